//! The threshold of a chosen false-alarm rate α, from good parts that the memory has not seen.
//!
//! With K groups of held-out parts, of n_k scores each, the threshold is the (1 − α) quantile of
//!
//! ```text
//! Σ_k Σ_i 1/((K + 1)·n_k) δ(s_ki) + 1/(K + 1) δ(∞)
//! ```
//!
//! A part of a further group is an alarm with probability at most α then, whatever the distributions within groups and between them,
//! as long as the groups are exchangeable (Lee, Barber & Willett, "Distribution-free inference with hierarchical data", 2023). Where
//! each part is a group by itself this is the ⌈(K + 1)(1 − α)⌉-th smallest score: split conformal prediction (Vovk et al., 2005).
//!
//! That probability is over the draw of the held-out parts, too. For the detector at hand the rate of alarms R is a matter of their
//! luck: of the k-th smallest of K independent scores, R ~ Beta(K − k + 1, k). With a confidence c, k is the smallest with
//!
//! ```text
//! P(R ≤ α) = P(Bin(K, α) ≥ K − k + 1) ≥ c
//! ```
//!
//! (Wilks, "Determination of sample sizes for setting tolerance limits", 1941; Vovk, "Conditional validity of inductive conformal
//! predictors", 2012, proposition 2a). One score of each group counts there, a random one, so that they are independent (Dunn,
//! Wasserman & Ramdas, "Distribution-free prediction sets for two-layer hierarchical models", 2022).

use super::held_out::HeldOut;
use crate::error::Result;
use crate::sys::memory::room;

/// What a threshold shall keep.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Promise {
    /// α.
    pub rate: f64,
    /// c; 0: on average over what might have been held out.
    pub confidence: f64,
}

/// A threshold and the rate that it keeps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    /// Scores above it are alarms; infinite where there is no held-out part. A detector has another one then ([`left_out`](super::left_out)).
    pub score: f32,
    /// The false-alarm rate that is kept: α, or where K groups are too few for it 1/(K + 1), with a confidence 1 − (1 − c)^(1/K). NaN where
    /// the detector's threshold comes of no held-out part.
    pub rate: f64,
}

/// The threshold that keeps `promise` by the scores of held-out good parts.
///
/// # Errors
/// `OutOfMemory`.
///
/// ```
/// use seed::infer::anomaly::{HeldOut, Promise, threshold};
/// let scores = |count: u32| HeldOut::single((1..=count).map(|score| score as f32).collect());
/// let average = Promise { rate: 0.05, confidence: 0.0 };
/// assert_eq!(threshold(&scores(99)?, average)?.score, 95.0);
/// assert_eq!(threshold(&scores(9)?, average)?.rate, 0.1);
/// let sure = Promise { confidence: 0.95, ..average };
/// assert_eq!(threshold(&scores(99)?, sure)?.score, 98.0);
/// # Ok::<(), seed::Error>(())
/// ```
pub fn threshold(held_out: &HeldOut, promise: Promise) -> Result<Threshold> {
    let groups = held_out.sizes().len();
    // Score and share of a group, by rising scores.
    let mut sorted = room(held_out.scores().len(), "scores of held-out parts")?;
    if promise.confidence > 0.0 {
        // Within a group the order is random.
        sorted.extend(held_out.groups().filter_map(|group| Some((*group.first()?, 1.0))));
    } else {
        sorted.extend(held_out.groups().flat_map(|group| {
            let share = 1.0 / group.len() as f64;
            group.iter().map(move |&score| (score, share))
        }));
    }
    sorted.sort_unstable_by(|(a, _), (b, _)| a.total_cmp(b));
    let Some(&(highest, _)) = sorted.last() else { return Ok(Threshold { score: f32::INFINITY, rate: 0.0 }) };
    let (wanted, least) = match promise.confidence {
        0.0 => ((groups + 1) as f64 * (1.0 - promise.rate), 1.0 / (groups + 1) as f64),
        sure => {
            let rank = exceedances(groups, promise.rate, sure).map_or(f64::INFINITY, |over| (groups - over) as f64);
            (rank, 1.0 - (1.0 - sure).powf(1.0 / groups as f64))
        }
    };
    let mut sum = 0.0;
    for &(score, share) in &sorted {
        sum += share;
        // Rounding must not turn 95.000…01 into 96.
        if sum >= wanted - 1e-9 {
            return Ok(Threshold { score, rate: promise.rate });
        }
    }
    Ok(Threshold { score: highest, rate: least })
}

/// How many of `count` scores may lie above the threshold: the largest j with P(Bin(count, rate) ≤ j) ≤ 1 − confidence; None where
/// there is none. `count` is at least 1; j is below it, since all of them may not.
fn exceedances(count: usize, rate: f64, confidence: f64) -> Option<usize> {
    if rate >= 1.0 {
        return Some(count - 1);
    }
    let odds = (rate / (1.0 - rate)).ln();
    let mut log = count as f64 * (-rate).ln_1p(); // ln P(Bin = 0)
    let (mut sum, mut found) = (0.0, None);
    for over in 0..count {
        sum += log.exp();
        if sum > 1.0 - confidence {
            break;
        }
        found = Some(over);
        log += ((count - over) as f64 / (over + 1) as f64).ln() + odds;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::random::{Purpose, generator, shuffle, unit};

    fn single(count: usize) -> HeldOut {
        HeldOut::single((1..=count).map(|score| score as f32).collect()).unwrap()
    }

    #[test]
    fn the_rank_is_scipys() {
        // count, rate, confidence → the largest j with scipy.stats.binom.cdf(j, count, rate) ≤ 1 − confidence; −1: none
        let known: [(usize, f64, f64, i64); 15] = [
            (1, 0.5, 0.4, 0),
            (1, 0.5, 0.6, -1),
            (58, 0.05, 0.95, -1),
            (59, 0.05, 0.95, 0),
            (95, 0.01, 0.95, -1),
            (95, 0.05, 0.95, 1),
            (299, 0.01, 0.95, 0),
            (298, 0.01, 0.95, -1),
            (1000, 0.01, 0.95, 4),
            (1000, 0.01, 0.5, 9),
            (200, 0.3, 0.9, 51),
            (100_000, 0.01, 0.999, 903),
            (1_000_000, 0.001, 0.9, 959),
            (50, 0.9, 0.99, 39),
            (20_000, 0.2, 0.999_999, 3732),
        ];
        for (count, rate, confidence, over) in known {
            let found = exceedances(count, rate, confidence).map_or(-1, |over| over as i64);
            assert_eq!(found, over, "{count} {rate} {confidence}");
            let kept = threshold(&single(count), Promise { rate, confidence }).unwrap();
            assert_eq!(kept.score, (count as i64 - over.max(0)) as f32);
            match over {
                // (1 − rate)^count = 1 − confidence is what the highest keeps.
                -1 => {
                    assert!(kept.rate > rate && ((1.0 - kept.rate).powi(count as i32) - 1.0 + confidence).abs() < 1e-12)
                }
                _ => assert_eq!(kept.rate, rate),
            }
        }
        assert_eq!(threshold(&single(9), Promise { rate: 1.0, confidence: 0.9 }).unwrap().score, 1.0);
    }

    #[test]
    fn each_group_weighs_the_same() {
        // 19 groups of one part and one of a hundred high scores: a share of 1/21 lies above, which 5 % allow.
        let scores: Vec<f32> = (1..=119).map(|score| score as f32).collect();
        let sizes = [vec![1; 19], vec![100]].concat();
        let held_out = HeldOut::grouped(scores, sizes).unwrap();
        let of = |rate| threshold(&held_out, Promise { rate, confidence: 0.0 }).unwrap();
        assert_eq!(of(0.1).score, 19.0, "two groups of 21 may lie above, infinity is one");
        // 1/42 of the mass are the upper half of the hundred, 1/21 is infinity's.
        assert_eq!(of(1.5 / 21.0).score, 69.0);
        let least = of(0.01);
        assert_eq!((least.score, least.rate), (119.0, 1.0 / 21.0));
    }

    /// Alarms are as rare as was promised, by parts that are drawn: 4 frames a part that differ less than parts do.
    #[test]
    fn promises_are_kept() {
        let part = |number: u64, frames: usize| -> Vec<f32> {
            let mut random = generator(number, 0, 0, Purpose::Resample);
            let level = unit(&mut random);
            let mut frames: Vec<f32> = (0..frames).map(|_| (level + 0.2 * unit(&mut random)) as f32).collect();
            shuffle(&mut random, &mut frames);
            frames
        };
        // R of a threshold t: P(level + 0.2·u > t), level and u uniform.
        let rate = |t: f64| {
            let steps = 200;
            let above = |u: f64| (1.0 - (t - 0.2 * u)).clamp(0.0, 1.0);
            (0..steps).map(|i| above((f64::from(i) + 0.5) / f64::from(steps))).sum::<f64>() / f64::from(steps)
        };
        let trials = 400;
        for promise in [Promise { rate: 0.1, confidence: 0.0 }, Promise { rate: 0.1, confidence: 0.9 }] {
            let (mut mean, mut kept) = (0.0, 0);
            for trial in 0..trials {
                let groups: Vec<Vec<f32>> =
                    (0..60).map(|group| part(trial * 60 + group, 1 + group as usize % 4)).collect();
                let sizes = groups.iter().map(Vec::len).collect();
                let held_out = HeldOut::grouped(groups.concat(), sizes).unwrap();
                let found = threshold(&held_out, promise).unwrap();
                assert_eq!(found.rate, 0.1);
                let alarms = rate(f64::from(found.score));
                mean += alarms / trials as f64;
                kept += u32::from(alarms <= 0.1);
            }
            let kept = f64::from(kept) / trials as f64;
            match promise.confidence {
                // One standard error is .0019 on the mean, 0.015 on the share.
                0.0 => assert!((0.08..0.106).contains(&mean), "alarms at a rate of {mean}"),
                sure => assert!(kept > sure - 0.045, "{kept} of the thresholds keep the rate"),
            }
        }
    }
}
