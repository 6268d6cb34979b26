//! Two protocols of the field over repeated splits: semi-supervised fine-tuning, and transfer to another data set (method.md
//! §6; Chen et al., "Big self-supervised models are strong semi-supervised learners", 2020).
//!
//! ```text
//! for each split: a third of each class is for testing → of the others the few labels → classifier → judged on the third
//! ```
//!
//! The few labels are all that a run sees: those that decide when it stops and calibrate it ("finetune.held_out") are taken
//! from among them. Split number i is that of the seed "seed" + i, so different networks are judged on the same ones.

use std::sync::Arc;

use super::features::CHUNK;
use super::probe::{Collected, ProbeScores, Scores, class_count, probe_once};
use super::split::split;
use super::{Labelled, Start, finetune};
use crate::config::{Config, FinetuneConfig, FinetuneMode, to_usize};
use crate::data::Dataset;
use crate::eval::Embeddings;
use crate::eval::judgement::Judgement;
use crate::eval::knn::MAX_SPLITS;
use crate::infer::classifier::labelled;
use crate::infer::{Output, Session, SessionOptions};
use crate::train::Outcome;
use crate::train::{CancelToken, Control};
use crate::{Error, ErrorKind, Result};

/// Share of each class that is for testing where no data set is given for it.
const TEST_FRACTION: f64 = 1.0 / 3.0;

/// Images with a class number for each, −1 for none.
#[derive(Clone, Copy)]
pub struct Classed<'a> {
    /// All images.
    pub dataset: &'a Arc<Dataset>,
    /// A class for each image.
    pub labels: &'a [i32],
}

/// All layers of the network that `start` holds are fine-tuned on few labels of `images`: "finetune.label_fraction" of those
/// that are not for testing, or "finetune.labels_per_class" of each class, by the other settings "finetune.…" of `config`.
/// `observe` is told how much of the work is done.
///
/// # Errors
/// Those of [`finetune`]; `InvalidArgument` for 0 splits or too many; `Cancelled` where a cancel or `observe` ends it.
pub fn semi_supervised(
    config: &Config,
    start: &Start,
    images: Classed<'_>,
    splits: u32,
    cancel: &CancelToken,
    observe: &mut dyn FnMut(usize, usize) -> Control,
) -> Result<ProbeScores> {
    let full = FinetuneConfig { mode: FinetuneMode::Full, ..config.finetune.clone() };
    Protocol::new(&Config { finetune: full, ..config.clone() }, images, None, splits, cancel)?
        .fine_tuned(start, observe)
}

/// The network that `start` holds is judged on other images than it was made for: by a linear classifier on frozen features,
/// embedded once ("finetune.mode" linear, whose penalty a fifth of the labels chooses), or with all layers fine-tuned (full).
/// Tested is on `test`, or where there is none on a third of each class of `images`. How many labels are learned from is as
/// for [`semi_supervised`], by default all.
///
/// # Errors
/// Those of [`semi_supervised`].
pub fn transfer(
    config: &Config,
    start: &Start,
    images: Classed<'_>,
    test: Option<Classed<'_>>,
    splits: u32,
    cancel: &CancelToken,
    observe: &mut dyn FnMut(usize, usize) -> Control,
) -> Result<ProbeScores> {
    let protocol = Protocol::new(config, images, test, splits, cancel)?;
    match config.finetune.mode {
        FinetuneMode::Full => protocol.fine_tuned(start, observe),
        FinetuneMode::Linear => protocol.linear(start, observe),
    }
}

struct Protocol<'a> {
    config: Config,
    images: Classed<'a>,
    labelled: Vec<usize>,
    test: Option<Classed<'a>>,
    classes: usize,
    splits: u32,
    cancel: &'a CancelToken,
}

impl<'a> Protocol<'a> {
    fn new(
        config: &Config,
        images: Classed<'a>,
        test: Option<Classed<'a>>,
        splits: u32,
        cancel: &'a CancelToken,
    ) -> Result<Self> {
        config.validate()?;
        if !(1..=MAX_SPLITS).contains(&splits) {
            return Err(Error::invalid(format!("{splits} splits, expected 1 to {MAX_SPLITS}")));
        }
        let known = class_count(images.labels)?;
        let classes = known.max(test.map_or(Ok(0), |test| class_count(test.labels))?);
        let labelled = labelled(images.labels, images.dataset.len(), classes)?;
        if let Some(test) = test {
            self::labelled(test.labels, test.dataset.len(), classes).map_err(|error| error.context("test"))?;
        }
        Ok(Self { config: config.clone(), images, labelled, test, classes, splits, cancel })
    }

    /// The images to learn from and, where no data set is for it, to be tested on.
    fn split(&self, seed: u64) -> super::split::Split {
        let held_out = if self.test.is_some() { 0.0 } else { TEST_FRACTION };
        let outer = FinetuneConfig { held_out, ..self.config.finetune.clone() };
        split(self.images.labels, &self.labelled, self.classes, &outer, seed)
    }

    fn seeds(&self) -> impl Iterator<Item = u64> + use<> {
        let first = self.config.seed;
        (0..u64::from(self.splits)).map(move |number| first.wrapping_add(number))
    }

    fn fine_tuned(&self, start: &Start, observe: &mut dyn FnMut(usize, usize) -> Control) -> Result<ProbeScores> {
        let names: Vec<String> = (0..self.classes).map(|class| class.to_string()).collect();
        let passes = to_usize(self.config.finetune.epochs)?.saturating_add(1); // and one for what comes before and after
        let total = passes.saturating_mul(self.splits as usize);
        let mut scores = Collected::new(self.classes);
        let only = |chosen: &[usize]| {
            let mut labels = vec![-1; self.images.labels.len()];
            chosen.iter().for_each(|&image| labels[image] = self.images.labels[image]);
            labels
        };
        for (number, seed) in self.seeds().enumerate() {
            let split = self.split(seed);
            let finetune_config = FinetuneConfig {
                label_fraction: 1.0,
                labels_per_class: 0,
                checkpoint_path: String::new(),
                ..self.config.finetune.clone()
            };
            // Each split's steps would take the place of those before.
            let tensorboard_folder = String::new();
            let config = Config { seed, finetune: finetune_config, tensorboard_folder, ..self.config.clone() };
            let learned = only(&split.train);
            let images = Labelled { dataset: self.images.dataset, labels: &learned, names: &names };
            let before = number * passes;
            let (classifier, outcome) = finetune(&config, start.copy()?, None, &images, self.cancel, |progress| {
                observe(before.saturating_add(progress.epoch as usize).min(total), total)
            })?;
            if outcome == Outcome::Cancelled {
                return Err(ended());
            }
            let (dataset, labels) = match self.test {
                Some(test) => (test.dataset, test.labels.to_vec()),
                None => (self.images.dataset, only(&split.held_out)),
            };
            let workers = to_usize(config.workers)?;
            let mut going_on = |_, _| {
                let told = observe((before + passes - 1).min(total), total);
                told == Control::Continue && !self.cancel.wait().1
            };
            scores.push(classifier.judge(dataset, &labels, CHUNK, workers, &mut going_on)?.into());
        }
        observe(total, total);
        Ok(scores.spread())
    }

    fn linear(&self, start: &Start, observe: &mut dyn FnMut(usize, usize) -> Control) -> Result<ProbeScores> {
        let options = SessionOptions::of(&self.config, Output::Features)?;
        let session = Session::new(&start.network, &start.input, options)?;
        let parts: Vec<Classed<'_>> = std::iter::once(self.images).chain(self.test).collect();
        let images: usize = parts.iter().map(|part| part.dataset.len()).sum();
        let total = images.saturating_add(self.splits as usize);
        let (mut rows, mut labels, mut done) = (Vec::new(), Vec::new(), 0);
        for part in &parts {
            let chosen = labelled(part.labels, part.dataset.len(), self.classes)?;
            let sound = Arc::new(part.dataset.subset(&chosen)?);
            let workers = to_usize(self.config.workers)?;
            let found = session.embed_marked(&sound, CHUNK, workers, &mut |count, _| {
                observe(done + count, total) == Control::Continue && !self.cancel.wait().1
            })?;
            // Rows stand where their images do, so that the split is the same for every network.
            let mut all = vec![0f32; part.dataset.len() * session.dim()];
            let mut own = vec![-1; part.labels.len()];
            for (place, &image) in chosen.iter().enumerate().filter(|(place, _)| !found.broken.contains(place)) {
                let row = &found.values[place * session.dim()..][..session.dim()];
                all[image * session.dim()..][..session.dim()].copy_from_slice(row);
                own[image] = part.labels[image];
            }
            rows.extend(all);
            labels.extend(own);
            done += part.dataset.len();
        }
        let features = Embeddings::new(&rows, session.dim())?;
        let sound = |chosen: &[usize]| chosen.iter().copied().filter(|&row| labels[row] >= 0).collect::<Vec<_>>();
        let tested: Vec<usize> = (self.images.dataset.len()..labels.len()).collect();
        let mut scores = Collected::new(self.classes);
        for (number, seed) in self.seeds().enumerate() {
            let split = self.split(seed);
            let test = if self.test.is_some() { &tested } else { &split.held_out };
            let (train, test) = (sound(&split.train), sound(test));
            let stop = &mut || self.cancel.wait().1;
            scores.push(probe_once(&features, &labels, self.classes, (&train, &test), seed, stop)?);
            if observe(images + number + 1, total) == Control::Stop {
                return Err(ended());
            }
        }
        Ok(scores.spread())
    }
}

impl From<Judgement> for Scores {
    fn from(judged: Judgement) -> Self {
        let Judgement { accuracy, balanced_recall, auroc, recalls, .. } = judged;
        Self { accuracy, balanced_recall, auroc, recalls }
    }
}

fn ended() -> Error {
    Error::new(ErrorKind::Cancelled, "the evaluation was ended")
}
