//! AUROC: how often a positive image scores higher than a negative one; a tie counts half (Mann & Whitney, 1947).
//!
//! AUROC = (Σ ranks of the positives − P(P + 1)/2) / (P·N), ranks averaged over ties: O(n log n).
//!
//! ```
//! use seed::eval::auroc;
//! assert_eq!(auroc(&[0.1, 0.4, 0.35, 0.8], &[false, false, true, true]), Some(0.75));
//! ```

/// AUROC in [0, 1] of `scores`, which grow with the belief that an image is positive. None where there is no positive, no
/// negative, a score that is no number, or not as many scores as images.
pub fn auroc(scores: &[f32], positive: &[bool]) -> Option<f64> {
    if scores.len() != positive.len() || scores.iter().any(|score| score.is_nan()) {
        return None;
    }
    let positives = positive.iter().filter(|&&is| is).count() as f64;
    let negatives = positive.len() as f64 - positives;
    if positives == 0.0 || negatives == 0.0 {
        return None;
    }
    let mut order: Vec<(f32, bool)> = scores.iter().copied().zip(positive.iter().copied()).collect();
    order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    // −0 and 0 are one score, though total_cmp tells them apart; both stand side by side.
    let (mut ranks, mut begin) = (0.0f64, 0);
    while begin < order.len() {
        let tied = order[begin..].iter().take_while(|(score, _)| *score == order[begin].0).count().max(1);
        let middle = begin as f64 + (tied as f64 + 1.0) / 2.0; // mean of the ranks begin + 1 ..= begin + tied
        ranks += middle * order[begin..begin + tied].iter().filter(|(_, is)| *is).count() as f64;
        begin += tied;
    }
    Some((ranks - positives * (positives + 1.0) / 2.0) / (positives * negatives))
}

/// The mean over classes of each one's AUROC against all others, of `probabilities` (N, classes); classes that do not
/// occur, or that nothing else occurs beside, are left out. None where none is left.
pub fn auroc_one_against_rest(probabilities: &[f32], classes: usize, truth: &[usize]) -> Option<f64> {
    let of_class = |class: usize| {
        let scores: Vec<f32> = probabilities.iter().skip(class).step_by(classes.max(1)).copied().collect();
        auroc(&scores, &truth.iter().map(|&truth| truth == class).collect::<Vec<_>>())
    };
    let values: Vec<f64> = (0..classes).filter_map(of_class).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_count_half_and_one_sided_sets_have_none() {
        assert_eq!(auroc(&[1.0, 1.0], &[true, false]), Some(0.5));
        assert_eq!(auroc(&[-0.0, 0.0], &[true, false]), Some(0.5));
        assert_eq!(auroc(&[f32::NEG_INFINITY, f32::INFINITY], &[false, true]), Some(1.0));
        assert_eq!(auroc(&[1.0, 2.0], &[true, true]), None);
        assert_eq!(auroc(&[f32::NAN, 2.0], &[true, false]), None);
        assert_eq!(auroc(&[1.0], &[true, false]), None);
    }
}
