//! Whether a new student may take the place of the old one.
//!
//! ```text
//! KL        upper bound of mean(KL_new − KL_old)            ≤ kl_margin · mean KL_old
//! overlap   lower bound of mean(overlap_new − overlap_old)  ≥ −overlap_margin
//! recall    lower bound of balanced recall new − old (kNN)  ≥ −recall_margin
//! latency   median of one frame, new ÷ old in pairs         ≤ latency_factor       (see `latency`: refused only where shown)
//! ```
//!
//! Both students see the same frames, so the differences are taken frame by frame: what both find hard cancels out, and the bounds of
//! the 95 % interval are tight. A new student goes live only if it is shown to be no worse than the margins; with few frames the
//! bounds are wide and the answer is no. The old session stays as it is: `seed_session_swap` puts the new one in, and the same call
//! puts the old one back.

mod latency;
mod trial;

use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use latency::Side;
pub use trial::{Finding, Trial};

use crate::data::Dataset;
use crate::data::random::permutation;
use crate::error::{Error, ErrorKind, Result};
use crate::eval::bootstrap::{Interval, mean_interval, strata_interval};
use crate::eval::fidelity::FidelityRows;
use crate::eval::{Embeddings, FidelityConfig, classify};
use crate::infer::Session;

/// Parts that the reference set is cut into: each is classified by the others.
const FOLDS: usize = 5;

/// How much worse a new student may be.
#[derive(Debug, Clone, PartialEq)]
pub struct GateConfig {
    /// Of agreement with the teacher.
    pub fidelity: FidelityConfig,
    /// Share of the old student's KL that the new one's may be above it.
    pub kl_margin: f64,
    /// By how much the overlap may be below.
    pub overlap_margin: f64,
    /// By how much the balanced recall may be below.
    pub recall_margin: f64,
    /// How many times the old latency is allowed.
    pub latency_factor: f64,
    /// Pairs of times in a look at the latency, at least 1; fewer than 8 count as 8. Each is of one frame, three times by each session.
    pub latency_frames: usize,
    /// Neighbours that vote for a class.
    pub k: usize,
    /// Temperature of the votes.
    pub temperature: f64,
    /// Reference images below which the recall is measured but decides nothing: with few of them its interval is wider than any
    /// sensible margin.
    pub min_reference: usize,
    /// Images that are embedded at once.
    pub batch: usize,
    /// Threads that load them; 0: one a core.
    pub workers: usize,
}

impl Default for GateConfig {
    /// Two hundredths of KL, overlap and recall, a tenth of the latency.
    fn default() -> Self {
        Self {
            fidelity: FidelityConfig::default(),
            kl_margin: 0.02,
            overlap_margin: 0.02,
            recall_margin: 0.02,
            latency_factor: 1.1,
            latency_frames: 24,
            k: 10,
            temperature: 0.07,
            min_reference: 0,
            batch: 32,
            workers: 0,
        }
    }
}

/// One thing that must hold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Criterion {
    /// Of the old student.
    pub old: f64,
    /// Of the new student.
    pub new: f64,
    /// New less old, with its interval.
    pub difference: Interval,
    /// What the worse bound of the difference must keep to.
    pub limit: f64,
    /// Whether it does.
    pub holds: bool,
}

/// What the gate says.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Verdict {
    /// Whether all four hold.
    pub passes: bool,
    /// Mean KL to the teacher, in nats.
    pub kl: Criterion,
    /// Mean overlap with the teacher's neighbours.
    pub overlap: Criterion,
    /// Balanced recall of kNN on the reference set; where there is none, its figures are NaN and it holds.
    pub recall: Criterion,
    /// Median time of one frame, in milliseconds; the difference is that of pairs.
    pub latency: Criterion,
    /// Whether the machine was too busy to tell: the latency does not hold, but the new student was not shown to be slower either.
    pub latency_unclear: bool,
    /// Frames that agreement was measured on.
    pub frames: usize,
    /// Images of the reference set that were classified.
    pub reference: usize,
}

/// Compares two students: on `frames`, by how well they agree with the teacher; on `reference`, whose classes are `labels`, by kNN; and
/// by their latency on some of `frames`. The teacher's embeddings of `reference` are the queue of the KL. All three sessions give
/// embeddings of one width. Broken images are left out. `progress` is told how many of the images are embedded, and stops it by
/// returning false.
///
/// # Errors
/// `InvalidArgument` where labels, settings or sizes do not fit; `Mismatch` for widths that differ; `Cancelled` by `progress`; those of
/// [`Session::embed_dataset`].
#[allow(clippy::too_many_arguments)]
pub fn judge(
    old: &Session,
    new: &Session,
    teacher: &Session,
    frames: &Arc<Dataset>,
    reference: &Arc<Dataset>,
    labels: &[i64],
    config: &GateConfig,
    progress: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<Verdict> {
    let trial = Trial { old, new, teacher, frames, queue: reference, reference: Some((reference, labels)) };
    Ok(trial.find(config, progress)?.verdict)
}

fn check(config: &GateConfig) -> Result<()> {
    let margins = [config.kl_margin, config.overlap_margin, config.recall_margin, config.latency_factor];
    if margins.iter().any(|margin| !(margin.is_finite() && *margin >= 0.0)) || config.latency_frames == 0 {
        return Err(Error::invalid("a margin of the gate is below 0 or not finite, or latency_frames is 0"));
    }
    Ok(())
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn differences(old: &[f64], new: &[f64]) -> Vec<f64> {
    old.iter().zip(new).map(|(old, new)| new - old).collect()
}

/// Nats that rounding alone may make of a difference: where the old student is the teacher itself, its share of nothing is nothing,
/// and the sums of two equal students differ by 1e-16.
const ROUNDING: f64 = 1e-9;

fn at_most(
    before: &FidelityRows,
    after: &FidelityRows,
    figure: impl Fn(&FidelityRows) -> &Vec<f64>,
    share: f64,
    seed: u64,
) -> Criterion {
    let (old, new) = (mean(figure(before)), mean(figure(after)));
    let difference = mean_interval(&differences(figure(before), figure(after)), seed);
    let limit = (share * old).max(ROUNDING);
    Criterion { old, new, difference, limit, holds: difference.high <= limit }
}

fn at_least(
    before: &FidelityRows,
    after: &FidelityRows,
    figure: impl Fn(&FidelityRows) -> &Vec<f64>,
    margin: f64,
    seed: u64,
) -> Criterion {
    let (old, new) = (mean(figure(before)), mean(figure(after)));
    let difference = mean_interval(&differences(figure(before), figure(after)), seed);
    Criterion { old, new, difference, limit: -margin, holds: difference.low >= -margin }
}

/// Each image is classified by those of the other parts; the mean over the classes of the share that is right.
fn recall(old: &Embeddings<'_>, new: &Embeddings<'_>, labels: &[i64], config: &GateConfig) -> Result<Criterion> {
    let order = permutation(config.fidelity.seed, 0, labels.len());
    let hits = |rows: &Embeddings<'_>| -> Result<Vec<f64>> {
        let mut hits = vec![0.0; labels.len()];
        for fold in 0..FOLDS {
            let part = |own: bool| -> Vec<usize> {
                order.iter().enumerate().filter(|(place, _)| (place % FOLDS == fold) == own).map(|(_, &i)| i).collect()
            };
            let (queries, gallery) = (part(true), part(false));
            if queries.is_empty() {
                continue;
            }
            let (query_rows, gallery_rows) = (rows.select(&queries)?, rows.select(&gallery)?);
            let k = config.k.min(gallery.len());
            let gallery_labels: Vec<i64> = gallery.iter().map(|&i| labels[i]).collect();
            let (query_rows, gallery_rows) =
                (Embeddings::new(&query_rows, rows.dim())?, Embeddings::new(&gallery_rows, rows.dim())?);
            let predicted = classify(&gallery_rows, &gallery_labels, &query_rows, k, config.temperature)?;
            for (&i, label) in queries.iter().zip(predicted) {
                hits[i] = f64::from(u8::from(label == labels[i]));
            }
        }
        Ok(hits)
    };
    Ok(recall_of(&hits(old)?, &hits(new)?, labels, config.recall_margin, config.fidelity.seed))
}

/// Balanced recall of two networks on the same images: `old` and `new` are 1 where the answer is the image's class, of `labels`,
/// else 0. The difference is resampled class by class, image by image.
pub fn recall_of(old: &[f64], new: &[f64], labels: &[i64], margin: f64, seed: u64) -> Criterion {
    let mut classes: Vec<i64> = labels.to_vec();
    classes.sort_unstable();
    classes.dedup();
    let groups = |values: &[f64]| -> Vec<Vec<f64>> {
        let of =
            |class: &i64| labels.iter().zip(values).filter(|(label, _)| *label == class).map(|(_, &v)| v).collect();
        classes.iter().map(of).collect()
    };
    let balanced = |values: &[f64]| mean(&groups(values).iter().map(|group| mean(group)).collect::<Vec<_>>());
    let difference = strata_interval(&groups(&differences(old, new)), seed);
    Criterion { old: balanced(old), new: balanced(new), difference, limit: -margin, holds: difference.low >= -margin }
}

/// Times both sessions on some of `frames`; `go_on` is asked before each frame. The flag says that the machine was too busy to tell.
fn time_both(
    old: &Session,
    new: &Session,
    frames: &Arc<Dataset>,
    config: &GateConfig,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<(Criterion, bool)> {
    let sound = (0..frames.len()).filter_map(|i| frames.load_raw(i).ok());
    let shown: Vec<_> = sound.take(config.latency_frames).collect();
    if shown.is_empty() {
        let difference = Interval { value: 0.0, low: 0.0, high: 0.0 };
        return Ok((Criterion { old: 0.0, new: 0.0, difference, limit: 0.0, holds: true }, false));
    }
    let mut rows = vec![0f32; old.dim()];
    let mut time = |side: Side, number: usize| -> Result<f64> {
        if !go_on() {
            return Err(Error::new(ErrorKind::Cancelled, "the comparison was ended"));
        }
        let (frame, session) = (&shown[number % shown.len()], if side == Side::Old { old } else { new });
        let view = frame.view();
        let began = Instant::now();
        session.embed_into(&[view], &mut rows)?;
        Ok(began.elapsed().as_secs_f64() * 1e3)
    };
    // A session's first frame may be slower.
    time(Side::Old, 0)?;
    time(Side::New, 0)?;
    latency::compare(config, &mut time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recall_is_balanced_and_its_interval_that_of_pairs() {
        // Class 0: 3 of 4 and 2 of 4; class 1: 1 of 2 and 2 of 2.
        let labels = [0, 0, 1, 0, 0, 1];
        let (old, new) = ([1.0, 1.0, 0.0, 1.0, 0.0, 1.0], [1.0, 1.0, 1.0, 0.0, 0.0, 1.0]);
        let found = recall_of(&old, &new, &labels, 0.3, 7);
        assert_eq!((found.old, found.new, found.limit), (0.625, 0.75, -0.3));
        let Interval { value, low, high } = found.difference;
        assert!((value - 0.125).abs() < 1e-12 && low < 0.0 && high > 0.3 && found.holds == (low >= -0.3), "{found:?}");
        // What both get wrong is no uncertainty of their difference.
        let same = recall_of(&old, &old, &labels, 0.0, 7);
        assert!(same.holds && same.difference == Interval { value: 0.0, low: 0.0, high: 0.0 }, "{same:?}");
        // Ten of a hundred in one class, and none the other way: surely more than two points.
        let labels: Vec<i64> = (0..200).map(|i| i % 2).collect();
        let worse: Vec<f64> = (0..200).map(|i| f64::from(u8::from(i % 20 != 0))).collect();
        let found = recall_of(&[1.0; 200], &worse, &labels, 0.02, 7);
        assert!(
            !found.holds && (found.difference.value + 0.05).abs() < 1e-12 && found.difference.high < -0.02,
            "{found:?}"
        );
        assert!(recall_of(&[1.0; 200], &worse, &labels, 0.1, 7).holds);
    }
}
