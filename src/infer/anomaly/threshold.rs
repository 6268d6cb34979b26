//! The threshold of a chosen false-alarm rate, from good parts that the memory has not seen.
//!
//! With n held-out scores, the ⌈(n + 1)(1 − α)⌉-th smallest is exceeded by a further good part with probability at most α,
//! whatever their distribution, as long as it comes from the same one (split conformal prediction; Vovk et al., 2005).

/// A threshold and the rate that it keeps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    /// Scores above it are alarms; infinite where there is no held-out part.
    pub score: f32,
    /// The false-alarm rate that is kept: α, or 1/(n + 1) where n parts are too few for it.
    pub rate: f64,
}

/// The threshold for the rate `alpha` by the scores of held-out good parts.
///
/// ```
/// use seed::infer::anomaly::threshold;
/// let scores: Vec<f32> = (1..=99).map(|score| score as f32).collect();
/// assert_eq!(threshold(&scores, 0.05).score, 95.0);
/// assert_eq!(threshold(&scores[..9], 0.05).rate, 0.1);
/// ```
pub fn threshold(scores: &[f32], alpha: f64) -> Threshold {
    let mut sorted = scores.to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    let count = sorted.len();
    // Rounding must not turn 95.000…01 into 96.
    let rank = ((count + 1) as f64 * (1.0 - alpha) - 1e-9).ceil().max(1.0) as usize;
    match sorted.last() {
        None => Threshold { score: f32::INFINITY, rate: 0.0 },
        Some(&highest) if rank > count => Threshold { score: highest, rate: 1.0 / (count + 1) as f64 },
        Some(_) => Threshold { score: sorted[rank - 1], rate: alpha },
    }
}
