//! How sure a mean is: percentile bootstrap.
//!
//! ```text
//! mean*_b = mean of n values drawn with replacement, b = 1 … 1000        interval = [2.5 %, 97.5 %] of the mean*_b
//! ```
//!
//! Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13. The draws are a function of the seed, so the same
//! values give the same interval everywhere. It assumes that the images are independent: frames that follow one another on a line
//! are not, and their interval is too narrow. Draw frames over the day.

use serde::{Deserialize, Serialize};

use crate::data::random::{Purpose, below, generator};

/// Resamples of an interval.
pub const RESAMPLES: u64 = 1000;

/// A mean and its 95 % confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The mean.
    pub value: f64,
    /// 2.5 % of the resamples are below.
    pub low: f64,
    /// 2.5 % of the resamples are above.
    pub high: f64,
}

/// The mean of `values`; zeros for none.
///
/// ```
/// use seed::eval::bootstrap::mean_interval;
/// let values: Vec<f64> = (0..100).map(|i| f64::from(i % 10)).collect();
/// let mean = mean_interval(&values, 7);
/// assert_eq!(mean.value, 4.5);
/// // The normal approximation says 4.5 ± 1.96 · 2.87 / 10.
/// assert!((mean.low - 3.94).abs() < 0.1 && (mean.high - 5.06).abs() < 0.1);
/// ```
pub fn mean_interval(values: &[f64], seed: u64) -> Interval {
    strata_interval(&[values.to_vec()], seed)
}

/// The mean of the groups' means, each group resampled by itself: for a mean over classes, whose sizes are not chance.
pub fn strata_interval(groups: &[Vec<f64>], seed: u64) -> Interval {
    let groups: Vec<&Vec<f64>> = groups.iter().filter(|group| !group.is_empty()).collect();
    if groups.is_empty() {
        return Interval { value: 0.0, low: 0.0, high: 0.0 };
    }
    let count = groups.len() as f64;
    let value = groups.iter().map(|group| group.iter().sum::<f64>() / group.len() as f64).sum::<f64>() / count;
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|number| {
            let mut rng = generator(seed, 0, number, Purpose::Resample);
            let of_group = |group: &&Vec<f64>| {
                let n = group.len() as u64;
                (0..n).map(|_| group[below(&mut rng, n) as usize]).sum::<f64>() / n as f64
            };
            groups.iter().map(of_group).sum::<f64>() / count
        })
        .collect();
    means.sort_unstable_by(f64::total_cmp);
    Interval { value, low: quantile(&means, 0.025), high: quantile(&means, 0.975) }
}

/// The value at `share` of ascending values, at least one, between its neighbours by proportion (NumPy's "linear").
pub(super) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = (sorted.len() - 1) as f64 * share;
    let (below, part) = (place.floor() as usize, place.fract());
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (sorted[above] - sorted[below]) * part
}
