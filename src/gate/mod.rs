//! Whether a new student may take the place of the old one.
//!
//! ```text
//! KL        upper bound of mean(KL_new − KL_old)            ≤ kl_margin · mean KL_old
//! overlap   lower bound of mean(overlap_new − overlap_old)  ≥ −overlap_margin
//! recall    lower bound of balanced recall new − old (kNN)  ≥ −recall_margin
//! latency   median of one frame, new                        ≤ latency_factor · old
//! ```
//!
//! Both students see the same frames, so the differences are taken frame by frame: what both find hard cancels out, and the bounds of
//! the 95 % interval are tight. A new student goes live only if it is shown to be no worse than the margins; with few frames the
//! bounds are wide and the answer is no. The old session stays as it is: `seed_session_swap` puts the new one in, and the same call
//! puts the old one back.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use crate::data::random::permutation;
use crate::data::{Dataset, FrameView, PixelFormat};
use crate::error::{Error, Result};
use crate::eval::bootstrap::{Interval, mean_interval, strata_interval};
use crate::eval::fidelity::{FidelityRows, fidelity_rows};
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
    /// Frames that each session is timed on, at least 1.
    pub latency_frames: usize,
    /// Neighbours that vote for a class.
    pub k: usize,
    /// Temperature of the votes.
    pub temperature: f64,
    /// Images that are embedded at once.
    pub batch: usize,
    /// Threads that load them; 0: one a core.
    pub workers: usize,
}

impl Default for GateConfig {
    /// A tenth of the KL, two points of overlap and recall, a tenth of the latency.
    fn default() -> Self {
        Self {
            fidelity: FidelityConfig::default(),
            kl_margin: 0.1,
            overlap_margin: 0.02,
            recall_margin: 0.02,
            latency_factor: 1.1,
            latency_frames: 50,
            k: 10,
            temperature: 0.07,
            batch: 32,
            workers: 0,
        }
    }
}

/// One thing that must hold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Criterion {
    /// Of the old student.
    pub old: f64,
    /// Of the new student.
    pub new: f64,
    /// New less old, with its interval; of the latency, without one.
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
    /// Balanced recall of kNN on the reference set.
    pub recall: Criterion,
    /// Median time of one frame, in milliseconds.
    pub latency: Criterion,
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
    let dim = teacher.dim();
    if (old.dim(), new.dim()) != (dim, dim) {
        let (old, new) = (old.dim(), new.dim());
        return Err(Error::mismatch(format!(
            "embeddings of the old session are {old} wide, of the new {new}, of the teacher {dim}: one width is expected"
        )));
    }
    check(reference, labels, config)?;
    let total = 3 * (frames.len() + reference.len());
    let mut done = 0;
    let mut embed = |session: &Session, dataset: &Arc<Dataset>| {
        let rows = session
            .embed_dataset(dataset, config.batch, config.workers, &mut |part, _| progress(done + part, total))?;
        done += dataset.len();
        Ok::<_, Error>(rows)
    };
    let today = [embed(teacher, frames)?, embed(old, frames)?, embed(new, frames)?];
    let known = [embed(teacher, reference)?, embed(old, reference)?, embed(new, reference)?];
    let (today, _) = sound(&today, dim, None);
    let (known, labels) = sound(&known, dim, Some(labels));
    let [t, s_old, s_new] = tables(&today, dim)?;
    let [queue, k_old, k_new] = tables(&known, dim)?;
    let before = fidelity_rows(&s_old, &t, &queue, &config.fidelity)?;
    let after = fidelity_rows(&s_new, &t, &queue, &config.fidelity)?;
    let seed = config.fidelity.seed;
    let kl = at_most(&before, &after, |rows| &rows.kl, config.kl_margin, seed);
    let overlap = at_least(&before, &after, |rows| &rows.overlap, config.overlap_margin, seed);
    let recall = recall(&k_old, &k_new, &labels, config)?;
    let latency = latency(old, new, frames, config)?;
    let passes = kl.holds && overlap.holds && recall.holds && latency.holds;
    Ok(Verdict { passes, kl, overlap, recall, latency, frames: t.len(), reference: labels.len() })
}

fn check(reference: &Dataset, labels: &[i64], config: &GateConfig) -> Result<()> {
    if labels.len() != reference.len() || labels.iter().any(|&label| label < 0) {
        return Err(Error::invalid(format!(
            "{} labels for {} reference images, expected one class from 0 on for each",
            labels.len(),
            reference.len()
        )));
    }
    let margins = [config.kl_margin, config.overlap_margin, config.recall_margin, config.latency_factor];
    if margins.iter().any(|margin| !(margin.is_finite() && *margin >= 0.0)) || config.latency_frames == 0 {
        return Err(Error::invalid("a margin of the gate is below 0 or not finite, or latency_frames is 0"));
    }
    Ok(())
}

/// The rows of images that all three networks have seen, and their labels: a broken image has zeros.
fn sound(rows: &[Vec<f32>; 3], dim: usize, labels: Option<&[i64]>) -> ([Vec<f32>; 3], Vec<i64>) {
    let count = rows[0].len() / dim;
    let whole = |i: usize| rows.iter().all(|rows| rows[i * dim..][..dim].iter().any(|&value| value != 0.0));
    let kept: Vec<usize> = (0..count).filter(|&i| whole(i)).collect();
    let of = |rows: &Vec<f32>| kept.iter().flat_map(|&i| rows[i * dim..][..dim].iter().copied()).collect();
    let labels = labels.map_or(Vec::new(), |labels| kept.iter().map(|&i| labels[i]).collect());
    ([of(&rows[0]), of(&rows[1]), of(&rows[2])], labels)
}

fn tables(rows: &[Vec<f32>; 3], dim: usize) -> Result<[Embeddings<'_>; 3]> {
    Ok([Embeddings::new(&rows[0], dim)?, Embeddings::new(&rows[1], dim)?, Embeddings::new(&rows[2], dim)?])
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn differences(old: &[f64], new: &[f64]) -> Vec<f64> {
    old.iter().zip(new).map(|(old, new)| new - old).collect()
}

fn at_most(
    before: &FidelityRows,
    after: &FidelityRows,
    figure: impl Fn(&FidelityRows) -> &Vec<f64>,
    share: f64,
    seed: u64,
) -> Criterion {
    let (old, new) = (mean(figure(before)), mean(figure(after)));
    let difference = mean_interval(&differences(figure(before), figure(after)), seed);
    let limit = share * old;
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
            let gallery_labels: Vec<i64> = gallery.iter().map(|&i| labels[i]).collect();
            let (query_rows, gallery_rows) =
                (Embeddings::new(&query_rows, rows.dim())?, Embeddings::new(&gallery_rows, rows.dim())?);
            let predicted = classify(&gallery_rows, &gallery_labels, &query_rows, config.k, config.temperature)?;
            for (&i, label) in queries.iter().zip(predicted) {
                hits[i] = f64::from(u8::from(label == labels[i]));
            }
        }
        Ok(hits)
    };
    let (old, new) = (hits(old)?, hits(new)?);
    let mut classes: Vec<i64> = labels.to_vec();
    classes.sort_unstable();
    classes.dedup();
    let groups = |values: &[f64]| -> Vec<Vec<f64>> {
        let of =
            |class: &i64| labels.iter().zip(values).filter(|(label, _)| *label == class).map(|(_, &v)| v).collect();
        classes.iter().map(of).collect()
    };
    let balanced = |values: &[f64]| mean(&groups(values).iter().map(|group| mean(group)).collect::<Vec<_>>());
    let difference = strata_interval(&groups(&differences(&old, &new)), config.fidelity.seed);
    let limit = -config.recall_margin;
    Ok(Criterion { old: balanced(&old), new: balanced(&new), difference, limit, holds: difference.low >= limit })
}

/// The median time of one frame; the sessions take turns, so that whatever else the machine does hits both.
fn latency(old: &Session, new: &Session, frames: &Arc<Dataset>, config: &GateConfig) -> Result<Criterion> {
    let mut times = [Vec::new(), Vec::new()];
    let mut rows = vec![0f32; old.dim()];
    let sound = (0..frames.len()).filter_map(|i| frames.load(i).ok());
    let shown: Vec<_> = sound.take(config.latency_frames).collect();
    // Each session's first frame of a size may be slower.
    for number in 0..config.latency_frames + 1 {
        let Some(frame) = shown.get(number % shown.len().max(1)) else { break };
        let (width, height, channels) = (frame.width(), frame.height(), usize::from(frame.channels()));
        let format = if channels == 1 { PixelFormat::Mono8 } else { PixelFormat::Rgb8 };
        let view = FrameView::new(frame.pixels(), width, height, width as usize * channels, format)?;
        for (session, times) in [old, new].into_iter().zip(&mut times) {
            let began = Instant::now();
            session.embed_into(&[view], &mut rows)?;
            if number > 0 {
                times.push(began.elapsed().as_secs_f64() * 1e3);
            }
        }
    }
    let median = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times.get(times.len() / 2).copied().unwrap_or(0.0)
    };
    let [of_old, of_new] = &mut times;
    let (old, new) = (median(of_old), median(of_new));
    let (value, limit) = (new - old, (config.latency_factor - 1.0) * old);
    let difference = Interval { value, low: value, high: value };
    Ok(Criterion { old, new, difference, limit, holds: value <= limit })
}
