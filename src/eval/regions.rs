//! PRO: how much of each defect a heat map covers, whatever the defect's size (Bergmann et al., "The MVTec anomaly detection
//! dataset", IJCV 2021).
//!
//! ```text
//! PRO(t) = mean over regions of |{pixels of the region with score ≥ t}| / |region|      FPR(t) = the same share of good pixels
//! value  = 1/limit · ∫₀^limit PRO d FPR      limit = 0.3, as is usual
//! ```
//!
//! A region is a set of marked pixels of one image that touch, diagonally too. All pixels are sorted once: O(n log n).
//!
//! ```
//! use seed::eval::regions::{Heat, region_overlap};
//! let heat = Heat { scores: &[0.9, 0.8, 0.1, 0.2], mask: &[1, 1, 0, 0], width: 4 };
//! assert_eq!(region_overlap(&[heat], 0.3), Some(1.0));
//! ```

/// A heat map with the marked pixels of the same image, row after row.
#[derive(Clone, Copy)]
pub struct Heat<'a> {
    /// Grows with the belief that a pixel is defective.
    pub scores: &'a [f32],
    /// 0 for a good pixel, anything else for a defective one.
    pub mask: &'a [u8],
    /// Pixels in a row.
    pub width: usize,
}

/// The normalised area under PRO over the false-positive rate up to `limit`, in [0, 1]. None where there is no defect, no good
/// pixel, a score that is no number, sizes that do not fit, or a limit outside (0, 1].
pub fn region_overlap(images: &[Heat<'_>], limit: f64) -> Option<f64> {
    if !(limit > 0.0 && limit <= 1.0) {
        return None;
    }
    // Score and region of each pixel; region 0 is good.
    let mut pixels: Vec<(f32, u32)> = Vec::new();
    let mut sizes: Vec<u32> = vec![0];
    for image in images {
        let fits = image.width > 0 && image.scores.len() == image.mask.len();
        if !fits || !image.scores.len().is_multiple_of(image.width) || image.scores.iter().any(|score| score.is_nan()) {
            return None;
        }
        let regions = regions(image.mask, image.width, &mut sizes);
        pixels.extend(image.scores.iter().copied().zip(regions));
    }
    let good = pixels.iter().filter(|&&(_, region)| region == 0).count() as f64;
    let regions = (sizes.len() - 1) as f64;
    if good == 0.0 || regions == 0.0 {
        return None;
    }
    pixels.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    let (mut area, mut rate, mut overlap) = (0.0, 0.0, 0.0);
    let mut begin = 0;
    while begin < pixels.len() && rate < limit {
        let tied = pixels[begin..].iter().take_while(|(score, _)| *score == pixels[begin].0).count().max(1);
        let (mut false_alarms, mut gain) = (0u64, 0.0);
        for &(_, region) in &pixels[begin..begin + tied] {
            match region {
                0 => false_alarms += 1,
                region => gain += 1.0 / f64::from(sizes[region as usize]),
            }
        }
        let (next_rate, next_overlap) = (rate + false_alarms as f64 / good, overlap + gain / regions);
        // Equal scores are one step of the curve, a straight one; beyond the limit its part does not count.
        let end = next_rate.min(limit);
        let share = if next_rate > rate { (end - rate) / (next_rate - rate) } else { 0.0 };
        area += (end - rate) * (overlap + 0.5 * share * (next_overlap - overlap));
        (rate, overlap) = (next_rate, next_overlap);
        begin += tied;
    }
    // Sums of many small shares may pass 1 by a rounding.
    Some((area / limit).clamp(0.0, 1.0))
}

/// The region of each pixel, numbered from `sizes.len()` on; `sizes` grows by the regions' sizes.
fn regions(mask: &[u8], width: usize, sizes: &mut Vec<u32>) -> Vec<u32> {
    let height = mask.len() / width;
    let mut regions = vec![0u32; mask.len()];
    let mut open = Vec::new();
    for start in 0..mask.len() {
        if mask[start] == 0 || regions[start] != 0 {
            continue;
        }
        let number = sizes.len() as u32;
        let mut size = 0;
        regions[start] = number;
        open.push(start);
        while let Some(place) = open.pop() {
            size += 1;
            let (x, y) = (place % width, place / width);
            for near_y in y.saturating_sub(1)..(y + 2).min(height) {
                for near_x in x.saturating_sub(1)..(x + 2).min(width) {
                    let near = near_y * width + near_x;
                    if mask[near] != 0 && regions[near] == 0 {
                        regions[near] = number;
                        open.push(near);
                    }
                }
            }
        }
        sizes.push(size);
    }
    regions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_touch_diagonally_and_end_at_the_border() {
        #[rustfmt::skip]
        let mask = [1, 0, 0, 1,
                    0, 1, 0, 1,
                    0, 0, 0, 0,
                    1, 1, 0, 0];
        let mut sizes = vec![0];
        let found = regions(&mask, 4, &mut sizes);
        assert_eq!(sizes, [0, 2, 2, 2]);
        assert_eq!((found[0], found[5], found[3], found[7], found[12]), (1, 1, 2, 2, 3));
    }

    #[test]
    fn a_small_defect_counts_as_much_as_a_large_one() {
        // The large region is found first, the small one behind a tenth of the good pixels.
        let mut scores = vec![0.0f32; 100];
        let mut mask = vec![0u8; 100];
        for i in 0..20 {
            (scores[i], mask[i]) = (1.0, 1);
        }
        mask[50] = 1;
        scores[50] = 0.4;
        (60..68).for_each(|i| scores[i] = 0.5);
        let heat = Heat { scores: &scores, mask: &mask, width: 10 };
        let rate = 8.0 / 79.0;
        let expected = (rate * 0.5 + (0.3 - rate)) / 0.3;
        let found = region_overlap(&[heat], 0.3).unwrap();
        assert!((found - expected).abs() < 1e-9, "{found}, expected {expected}");
    }

    #[test]
    fn what_cannot_be_judged_is_none() {
        let heat = |scores, mask, width| Heat { scores, mask, width };
        assert_eq!(region_overlap(&[heat(&[1.0, 2.0], &[0, 0], 2)], 0.3), None);
        assert_eq!(region_overlap(&[heat(&[1.0, 2.0], &[1, 1], 2)], 0.3), None);
        assert_eq!(region_overlap(&[heat(&[1.0, 2.0], &[1, 0], 0)], 0.3), None);
        assert_eq!(region_overlap(&[heat(&[1.0, f32::NAN], &[1, 0], 2)], 0.3), None);
        assert_eq!(region_overlap(&[heat(&[1.0, 2.0], &[1, 0], 2)], 0.0), None);
        assert_eq!(region_overlap(&[], 0.3), None);
    }
}
