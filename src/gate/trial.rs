//! What the gate looks at, and everything that it finds.

use std::sync::Arc;

use super::{Criterion, GateConfig, Verdict, at_least, at_most, check, recall, time_both};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::eval::bootstrap::mean_interval;
use crate::eval::fidelity::{FidelityRows, fidelity_rows};
use crate::eval::{Embeddings, Fidelity, Interval};
use crate::infer::Session;

/// Two students, their teacher, and what the students are compared on.
pub struct Trial<'a> {
    /// The student that is live.
    pub old: &'a Session,
    /// The student that is to take its place.
    pub new: &'a Session,
    /// The teacher of both.
    pub teacher: &'a Session,
    /// Unlabelled frames, of today.
    pub frames: &'a Arc<Dataset>,
    /// Images whose teacher embeddings are the queue of the KL. May be the reference set.
    pub queue: &'a Arc<Dataset>,
    /// Labelled images with a class from 0 on for each; none: recall is not judged.
    pub reference: Option<(&'a Arc<Dataset>, &'a [i64])>,
}

/// A verdict and what it rests on.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What the gate says.
    pub verdict: Verdict,
    /// How well the old student agrees with the teacher.
    pub old: Fidelity,
    /// How well the new student does.
    pub new: Fidelity,
    /// Numbers of the frames that could be read.
    pub frames: Vec<usize>,
    /// Their embeddings by teacher, old and new student.
    pub rows: [Vec<f32>; 3],
    /// The images of the reference that could be read; none where there is no reference.
    pub known: Vec<usize>,
    /// Their embeddings by the new student.
    pub known_rows: Vec<f32>,
}

impl Trial<'_> {
    /// Embeds, measures and judges; see [`judge`](super::judge).
    ///
    /// # Errors
    /// Those of [`judge`](super::judge).
    pub fn find(&self, config: &GateConfig, progress: &mut dyn FnMut(usize, usize) -> bool) -> Result<Finding> {
        let dim = self.teacher.dim();
        if (self.old.dim(), self.new.dim()) != (dim, dim) {
            let (old, new) = (self.old.dim(), self.new.dim());
            return Err(Error::mismatch(format!(
                "embeddings of the old session are {old} wide, of the new {new}, of the teacher {dim}: one width is expected"
            )));
        }
        if let Some((reference, labels)) = self.reference {
            check_labels(reference, labels)?;
        }
        check(config)?;
        let queue_is_reference = self.reference.is_some_and(|(reference, _)| Arc::ptr_eq(reference, self.queue));
        let known_images = self.reference.map_or(0, |(reference, _)| reference.len());
        let queue_images = if queue_is_reference { 0 } else { self.queue.len() };
        let total = 3 * (self.frames.len() + known_images) + queue_images;
        let mut done = 0;
        let mut embed = |session: &Session, dataset: &Arc<Dataset>| {
            let rows = session
                .embed_dataset(dataset, config.batch, config.workers, &mut |part, _| progress(done + part, total))?;
            done += dataset.len();
            Ok::<_, Error>(rows)
        };
        let mut by_all = |dataset: &Arc<Dataset>| -> Result<[Vec<f32>; 3]> {
            Ok([embed(self.teacher, dataset)?, embed(self.old, dataset)?, embed(self.new, dataset)?])
        };
        let today = by_all(self.frames)?;
        let known =
            self.reference.map(|(reference, labels)| Ok::<_, Error>((by_all(reference)?, labels))).transpose()?;
        let kept = sound(&today, dim);
        let rows = chosen(&today, dim, &kept);
        let [t, s_old, s_new] = tables(&rows, dim)?;
        let known = known.map(|(known, labels)| {
            let kept = sound(&known, dim);
            (chosen(&known, dim, &kept), kept.iter().map(|&i| labels[i]).collect::<Vec<_>>(), kept)
        });
        // Where the frames of but one class can be read, there is nothing to tell apart; recall is not judged then.
        let known = known
            .filter(|(_, labels, _)| queue_is_reference || labels.iter().any(|label| Some(label) != labels.first()));
        let queue = match &known {
            Some((known, ..)) if queue_is_reference => known[0].clone(),
            _ => {
                let rows = embed(self.teacher, self.queue)?;
                let rows = [rows.clone(), rows.clone(), rows];
                let kept = sound(&rows, dim);
                let [queue, ..] = chosen(&rows, dim, &kept);
                queue
            }
        };
        let queue = Embeddings::new(&queue, dim)?;
        let before = fidelity_rows(&s_old, &t, &queue, &config.fidelity)?;
        let after = fidelity_rows(&s_new, &t, &queue, &config.fidelity)?;
        let seed = config.fidelity.seed;
        let kl = at_most(&before, &after, |rows| &rows.kl, config.kl_margin, seed);
        let overlap = at_least(&before, &after, |rows| &rows.overlap, config.overlap_margin, seed);
        let (recall, reference) = match &known {
            Some((known, labels, _)) => {
                let [_, k_old, k_new] = tables(known, dim)?;
                let mut found = recall(&k_old, &k_new, labels, config)?;
                found.holds |= labels.len() < config.min_reference;
                (found, labels.len())
            }
            None => (not_judged(config), 0),
        };
        let (latency, latency_unclear) =
            time_both(self.old, self.new, self.frames, config, &mut || progress(total, total))?;
        let passes = kl.holds && overlap.holds && recall.holds && latency.holds;
        let verdict = Verdict { passes, kl, overlap, recall, latency, latency_unclear, frames: t.len(), reference };
        let fidelity = |rows: &FidelityRows| Fidelity {
            frames: t.len(),
            k: config.fidelity.k,
            queue: queue.len(),
            temperature_student: config.fidelity.temperature_student,
            temperature_teacher: config.fidelity.temperature_teacher,
            kl: mean_interval(&rows.kl, seed),
            overlap: mean_interval(&rows.overlap, seed),
            cosine: mean_interval(&rows.cosine, seed),
        };
        let (old, new) = (fidelity(&before), fidelity(&after));
        let (known_rows, known) = known.map_or_else(Default::default, |([.., by_new], _, known)| (by_new, known));
        Ok(Finding { verdict, old, new, frames: kept, rows, known, known_rows })
    }
}

fn check_labels(reference: &Dataset, labels: &[i64]) -> Result<()> {
    if labels.len() != reference.len() || labels.iter().any(|&label| label < 0) {
        return Err(Error::invalid(format!(
            "{} labels for {} reference images, expected one class from 0 on for each",
            labels.len(),
            reference.len()
        )));
    }
    Ok(())
}

fn not_judged(config: &GateConfig) -> Criterion {
    let difference = Interval { value: f64::NAN, low: f64::NAN, high: f64::NAN };
    Criterion { old: f64::NAN, new: f64::NAN, difference, limit: -config.recall_margin, holds: true }
}

/// Numbers of the images that all three networks have seen: a broken image has zeros.
fn sound(rows: &[Vec<f32>; 3], dim: usize) -> Vec<usize> {
    let whole = |i: usize| rows.iter().all(|rows| rows[i * dim..][..dim].iter().any(|&value| value != 0.0));
    (0..rows[0].len() / dim).filter(|&i| whole(i)).collect()
}

fn chosen(rows: &[Vec<f32>; 3], dim: usize, kept: &[usize]) -> [Vec<f32>; 3] {
    let of = |rows: &Vec<f32>| kept.iter().flat_map(|&i| rows[i * dim..][..dim].iter().copied()).collect();
    [of(&rows[0]), of(&rows[1]), of(&rows[2])]
}

fn tables(rows: &[Vec<f32>; 3], dim: usize) -> Result<[Embeddings<'_>; 3]> {
    Ok([Embeddings::new(&rows[0], dim)?, Embeddings::new(&rows[1], dim)?, Embeddings::new(&rows[2], dim)?])
}
