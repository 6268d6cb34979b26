//! Gaussian blur of (H, W, C) bytes, separable, with mirrored borders, as torchvision's `GaussianBlur`.
//!
//! ```text
//! out[y, x] = Σ_j Σ_k w_j w_k · in[y + j, x + k],   w_k ∝ exp(−k² / 2σ²),   |k| ≤ int(r · side)
//! ```
//!
//! MoCo-v2 itself blurs with PIL's `ImageFilter.GaussianBlur(radius=σ)`, which approximates the Gaussian by box filters
//! and has no limit on |k|. torchvision's is a true Gaussian and needs a kernel size; `2·int(.05·side) + 1` is the
//! usual one (SimCLR's tenth of the side: 23 at 224), which r = .05 gives; at small sides it cuts a wide Gaussian off, and r = 1 does not. Measured on 60 images at 224² (surface defects and CIFAR-10), the
//! two differ by 0 to .42 levels on average over σ = .1, .5, 1, 1.5 and 2, and by up to 29 levels in single pixels.

/// Weights below this share of the kernel's sum are left out from its ends: each is worth a two-hundredth of a level.
const NEGLIGIBLE: f32 = 2e-5;

/// Adding 2²³ leaves the nearest whole number (ties to even) in the low bits of an `f32`; exact for 0..=255.
const ROUND: f32 = 8_388_608.0;

/// Blurs `image` (height, width, channels) in place; `reach` is r. `spare` and `row` are scratch and keep their memory.
pub(super) fn blur(
    image: &mut Vec<u8>,
    width: usize,
    channels: usize,
    sigma: f64,
    reach: f64,
    spare: &mut Vec<u8>,
    row: &mut Rows,
) {
    let bytes = width * channels;
    if bytes == 0 || image.len() < bytes {
        return;
    }
    let height = image.len() / bytes;
    kernel(&mut row.across, sigma, pixels(reach, width));
    kernel(&mut row.down, sigma, pixels(reach, height));
    let border = (row.across.len() - 1) * channels;
    row.padded.resize(border + bytes + border, 0.0);
    row.sum.resize(bytes, 0.0);
    spare.resize(image.len(), 0);
    for (y, out) in spare.chunks_exact_mut(bytes).enumerate() {
        let line = |y: usize| &image[y * bytes..][..bytes];
        let middle = &mut row.padded[border..][..bytes];
        for (sum, &value) in middle.iter_mut().zip(line(y)) {
            *sum = row.down[0] * f32::from(value);
        }
        for (k, &weight) in row.down.iter().enumerate().skip(1) {
            let (above, below) = (line(mirror(y, -(k as isize), height)), line(mirror(y, k as isize, height)));
            for ((sum, &a), &b) in middle.iter_mut().zip(above).zip(below) {
                *sum += weight * f32::from(u16::from(a) + u16::from(b));
            }
        }
        for k in 1..row.across.len() {
            for channel in 0..channels {
                let (left, right) = (mirror(0, -(k as isize), width), mirror(width - 1, k as isize, width));
                row.padded[border - k * channels + channel] = row.padded[border + left * channels + channel];
                row.padded[border + (width - 1 + k) * channels + channel] =
                    row.padded[border + right * channels + channel];
            }
        }
        for (sum, &value) in row.sum.iter_mut().zip(&row.padded[border..]) {
            *sum = row.across[0] * value;
        }
        for (k, &weight) in row.across.iter().enumerate().skip(1) {
            let (left, right) = (&row.padded[border - k * channels..], &row.padded[border + k * channels..]);
            for ((sum, &a), &b) in row.sum.iter_mut().zip(left).zip(right) {
                *sum += weight * (a + b);
            }
        }
        for (byte, &sum) in out.iter_mut().zip(&row.sum) {
            *byte = (sum + ROUND).to_bits() as u8;
        }
    }
    std::mem::swap(image, spare);
}

/// Scratch of [`blur`]: the two half kernels, one row of sums with its mirrored borders, and one row of results.
#[derive(Debug, Default)]
pub(super) struct Rows {
    across: Vec<f32>,
    down: Vec<f32>,
    padded: Vec<f32>,
    sum: Vec<f32>,
}

/// Weights of offsets 0, 1, … of the kernel that [`blur`] takes along a side of `side` pixels; all of it sums to 1.
pub(super) fn half_kernel(sigma: f64, side: u32, reach: f64) -> Vec<f32> {
    let mut weights = Vec::new();
    kernel(&mut weights, sigma, pixels(reach, side as usize));
    weights
}

/// The largest offset along a side of `side` pixels: mirrored borders have all but one of them.
fn pixels(reach: f64, side: usize) -> usize {
    ((reach * side as f64) as usize).min(side.saturating_sub(1))
}

/// Weights of offsets 0, 1, … `reach`, fewer where the tail is negligible; the whole kernel, both sides, sums to 1.
fn kernel(weights: &mut Vec<f32>, sigma: f64, reach: usize) {
    weights.clear();
    weights.extend((0..=reach).map(|k| (-0.5 * (k as f64 / sigma).powi(2)).exp() as f32));
    let total = |weights: &[f32]| weights[0] + 2.0 * weights[1..].iter().sum::<f32>();
    let negligible = NEGLIGIBLE * total(weights);
    while weights.len() > 1 && weights.last().is_some_and(|&last| last < negligible) {
        weights.pop();
    }
    let sum = total(weights);
    weights.iter_mut().for_each(|weight| *weight /= sum);
}

/// The place `by` after `at` in 0..len, reflected at the borders without repeating them; |by| < len.
fn mirror(at: usize, by: isize, len: usize) -> usize {
    let place = (at as isize + by).unsigned_abs();
    if place >= len { 2 * (len - 1) - place } else { place }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_area_stays_level_and_a_tiny_sigma_changes_nothing() {
        let (mut spare, mut rows) = (Vec::new(), Rows::default());
        let mut level = vec![255u8; 40 * 60 * 3];
        blur(&mut level, 60, 3, 1.7, 0.05, &mut spare, &mut rows);
        assert!(level.iter().all(|&v| v == 255));
        let before: Vec<u8> = (0..40 * 60).map(|i| (i * 37 % 256) as u8).collect();
        let mut after = before.clone();
        blur(&mut after, 60, 1, 0.1, 0.05, &mut spare, &mut rows);
        assert_eq!(before, after);
        // Too small for any neighbour to count.
        let mut dot = vec![9u8];
        blur(&mut dot, 1, 1, 2.0, 0.05, &mut spare, &mut rows);
        assert_eq!(dot, [9]);
        // No neighbour is asked for that mirrored borders do not have.
        for side in 1..9 {
            let mut small = vec![77u8; side * 3];
            blur(&mut small, side, 1, 2.0, 1.0, &mut spare, &mut rows);
            assert!(small.iter().all(|&v| v == 77));
        }
    }

    #[test]
    fn the_usual_reach_is_a_twentieth_of_the_side() {
        for side in 1..5000 {
            assert_eq!(pixels(0.05, side), side / 20);
        }
        assert_eq!((pixels(1.0, 32), pixels(1.0, 1), pixels(0.5, 32)), (31, 0, 16));
    }

    #[test]
    fn the_kernel_sums_to_one() {
        let mut weights = Vec::new();
        kernel(&mut weights, 2.0, 11);
        let sum = weights[0] + 2.0 * weights[1..].iter().sum::<f32>();
        assert!((sum - 1.0).abs() < 1e-6);
        assert!((8..=10).contains(&weights.len()), "{}", weights.len());
    }
}
