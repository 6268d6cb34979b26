//! Fine-tuning: a classifier out of a student and the few labels that there are.
//!
//! ```text
//! labelled images → split by class → features of the frozen backbone, once → logistic regression
//!   (full: → all layers learn from there → the best pass on the held-out images)
//!   → temperature and threshold on the held-out images → Classifier
//! ```
//!
//! The full mode begins where the linear one ends, since a random classifier would bend the features first (Kumar et al.,
//! "Fine-tuning can distort pretrained features and underperform out-of-distribution", ICLR 2022), and it keeps the linear
//! classifier where no pass is better on the held-out images.

mod anchor;
mod checkpoint;
mod full;
pub mod linear;
pub mod logits;
pub mod probe;
mod progress;
pub mod protocol;
pub mod split;
mod start;

use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use tch::{Device, Kind, Tensor};

pub use progress::{FinetuneProgress, Stage};
pub use start::Start;

use self::full::Full;
use self::linear::{Linear, Problem, Scale, class_weights};
use self::start::with_classifier;
use super::background::in_background;
use super::cancel::CancelToken;
use super::distill::{Outcome, to_usize};
use super::progress::Control;
use crate::config::Config;
use crate::data::{Dataset, ViewConfig};
use crate::eval::calibration::{fit_temperature, negative_log_likelihood, probabilities};
use crate::eval::judgement::{answers, judge};
use crate::eval::selective::{of_coverage, of_risk};
use crate::infer::classifier::{broken_rows, check_names, labelled};
use crate::infer::{Classifier, ClassifierHeader, Output, Session, SessionOptions};
use crate::memory::{collected, room};
use crate::model::Teacher;
use crate::{Error, ErrorKind, Result, device};

/// Values of the penalty that are tried, strongest first, each from the solution before.
const PENALTIES: [f64; 7] = [1e4, 1e3, 1e2, 1e1, 1e0, 1e-1, 1e-2];

/// Images that are embedded at once.
const CHUNK: usize = 32;

/// Labelled images.
pub struct Labelled<'a> {
    /// All images.
    pub dataset: &'a Arc<Dataset>,
    /// A class for each image, −1 for none.
    pub labels: &'a [i32],
    /// The classes' names by their numbers, at least two.
    pub names: &'a [String],
}

/// What a student may learn from beside the labels.
#[derive(Clone, Default)]
pub struct Teachers {
    /// What "finetune.anchor" draws the student's embedding to; none: the student as it was.
    pub anchor: Option<Arc<Teacher>>,
    /// The classifier of a teacher, whose logits are distilled in the full mode ([`logits`]). Images without a label are
    /// learned from as well then.
    pub classifier: Option<Arc<Classifier>>,
}

/// Makes a classifier, by the settings "finetune.…", "seed", "device", "precision", "workers", "duty_cycle" and "nice" of
/// `config`. `teacher` is what "finetune.anchor" draws the student to; without one it is the student as it was. `observe` is
/// called on this thread, about once for every pass and every 32 images that are embedded.
///
/// A cancel gives the best classifier so far with [`Outcome::Cancelled`].
///
/// # Errors
/// `Cancelled` where a cancel comes before there is any classifier; `InvalidArgument` for labels that do not fit, names that
/// are not sound, or images of fewer than two classes; `Mismatch` for a teacher or an earlier classifier that does not fit,
/// or a checkpoint of another run; those of the loader, and `OutOfMemory` or `Torch` from libtorch.
pub fn finetune(
    config: &Config,
    start: Start,
    teacher: Option<Arc<Teacher>>,
    images: &Labelled<'_>,
    cancel: &CancelToken,
    observe: impl FnMut(&FinetuneProgress) -> Control,
) -> Result<(Classifier, Outcome)> {
    let teachers = Teachers { anchor: teacher, classifier: None };
    finetune_with(config, start, teachers, images, cancel, observe)
}

/// As [`finetune`], from a teacher's classifier too.
///
/// # Errors
/// Those of [`finetune`]; `InvalidArgument` for a teacher's classifier in the linear mode, `Mismatch` where its classes or its
/// images are not those of the run.
pub fn finetune_with(
    config: &Config,
    start: Start,
    teachers: Teachers,
    images: &Labelled<'_>,
    cancel: &CancelToken,
    mut observe: impl FnMut(&FinetuneProgress) -> Control,
) -> Result<(Classifier, Outcome)> {
    config.validate()?;
    if teachers.classifier.is_some() && config.finetune.mode != "full" {
        return Err(Error::invalid(
            "finetune.mode is linear, expected full: a teacher's logits are distilled by all layers",
        ));
    }
    let work = |report: &mut dyn FnMut(FinetuneProgress) -> Control| {
        let stop = Stop { cancel, asked: false };
        Run::new(config, teachers, images, stop, start.view.clone())?.make(start, report)
    };
    match config.nice {
        0 => work(&mut |progress| observe(&progress)),
        nice => in_background(nice, work, |progress| observe(&progress)),
    }
}

/// Whether the caller wants an end: by the token or by the answer to a report.
struct Stop<'a> {
    cancel: &'a CancelToken,
    asked: bool,
}

impl Stop<'_> {
    /// Waits while paused.
    fn now(&mut self) -> bool {
        self.asked |= self.cancel.wait().1;
        self.asked
    }
}

struct Run<'a> {
    config: &'a Config,
    teachers: Teachers,
    images: &'a Labelled<'a>,
    stop: Stop<'a>,
    began: Instant,
    device: Device,
    precision: Option<Kind>,
    view: ViewConfig,
}

/// Features (N, d) in float64 and classes of images that could be read.
struct Part {
    /// Numbers in the data set.
    images: Vec<usize>,
    features: Tensor,
    truth: Vec<usize>,
}

/// How good a classifier is on the held-out images.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Score {
    /// NLL at the best temperature.
    loss: f64,
    accuracy: f64,
}

impl Score {
    const NONE: Score = Score { loss: f64::NAN, accuracy: f64::NAN };

    /// Of logits (N, K); NONE for no image.
    fn of(logits: &[f32], classes: usize, truth: &[usize]) -> Result<Score> {
        if truth.is_empty() {
            return Ok(Score::NONE);
        }
        let temperature = fit_temperature(logits, classes, truth)?;
        let loss = negative_log_likelihood(logits, classes, truth, temperature)?;
        let answers = answers(&probabilities(logits, classes, temperature), classes);
        let hits = answers.iter().zip(truth).filter(|((class, _), truth)| class == *truth).count();
        Ok(Score { loss, accuracy: hits as f64 / truth.len() as f64 })
    }
}

impl<'a> Run<'a> {
    fn new(
        config: &'a Config,
        teachers: Teachers,
        images: &'a Labelled<'a>,
        stop: Stop<'a>,
        view: ViewConfig,
    ) -> Result<Self> {
        check_names(images.names)?;
        let device = device::parse(&config.device)?;
        let precision = match config.precision.as_str() {
            "auto" => None,
            chosen => Some(device::precision(chosen, device)?),
        };
        Ok(Self { config, teachers, images, stop, began: Instant::now(), device, precision, view })
    }

    fn classes(&self) -> usize {
        self.images.names.len()
    }

    fn make(
        mut self,
        mut start: Start,
        report: &mut dyn FnMut(FinetuneProgress) -> Control,
    ) -> Result<(Classifier, Outcome)> {
        let settings = &self.config.finetune;
        let chosen = labelled(self.images.labels, self.images.dataset.len(), self.classes())?;
        let split = split::split(self.images.labels, &chosen, self.classes(), settings, self.config.seed);
        let known = start.rows(self.images.names)?;
        start.network.to_device(self.device)?;

        let (train, held_out) = self.embed(&start, &split, report)?;
        let present = (0..self.classes()).filter(|class| train.truth.contains(class)).count();
        if present < 2 {
            return Err(Error::invalid(format!(
                "the images to learn from are of {present} class, expected at least 2 of {:?}",
                self.images.names
            )));
        }
        let (layer, penalty, mut score) = self.fit_linear(&train, &held_out, known.as_ref(), report)?;
        let mut logits = floats(&layer.logits(&held_out.features)?)?;
        let mut network = with_classifier(&start.network, &layer)?;
        let (mut epochs, mut diverged) = (None, false);
        let student = start.provenance.clone();
        if settings.mode == "full" && !self.stop.asked {
            let full = Full::new(&mut self, start, &layer, score, (&train, &held_out))?;
            let done = full.run(&mut self, report)?;
            epochs = Some((done.epochs, done.best_epoch));
            diverged = done.diverged;
            if let Some(best) = done.best {
                (network, logits, score) = (best.network, best.logits, best.score);
            }
        }
        let outcome = if self.stop.asked { Outcome::Cancelled } else { Outcome::Finished };
        let training = json!({
            "library": concat!("libseed ", env!("CARGO_PKG_VERSION")),
            "mode": settings.mode,
            "images": train.truth.len(),
            "held_out": held_out.truth.len(),
            "penalty": penalty,
            "epochs": epochs.map(|(all, _)| all),
            "best_epoch": epochs.map(|(_, best)| best),
            "held_out_loss": score.loss.is_finite().then_some(score.loss),
            "diverged": diverged,
            "cancelled": outcome == Outcome::Cancelled,
            "student": student,
        });
        Ok((self.classifier(network, &logits, &held_out.truth, training)?, outcome))
    }

    /// Features of all images of the split, by one pass of the backbone.
    fn embed(
        &mut self,
        start: &Start,
        split: &split::Split,
        report: &mut dyn FnMut(FinetuneProgress) -> Control,
    ) -> Result<(Part, Part)> {
        let all = [split.train.as_slice(), split.held_out.as_slice()].concat();
        let part = Arc::new(self.images.dataset.subset(&all)?);
        let options = SessionOptions { device: self.device, precision: self.precision, output: Output::Features };
        let session = Session::new(&start.network, &start.view, options)?;
        let began = self.began;
        let stop = &mut self.stop;
        let rows = session.embed_dataset(&part, CHUNK, to_usize(self.config.workers)?, &mut |done, total| {
            let elapsed = began.elapsed().as_secs_f64();
            let progress = FinetuneProgress {
                stage: Stage::Embedding,
                done: done as u64,
                total: total as u64,
                epoch: 0,
                loss: f64::NAN,
                held_out_loss: f64::NAN,
                held_out_accuracy: f64::NAN,
                eta_seconds: elapsed / done.max(1) as f64 * (total - done) as f64,
                elapsed_seconds: elapsed,
            };
            stop.asked |= report(progress) == Control::Stop;
            !stop.now()
        })?;
        let dim = session.dim();
        let broken = broken_rows(&part, &rows, dim);
        let take = |range: std::ops::Range<usize>| -> Result<Part> {
            let sound: Vec<usize> = range.filter(|&place| !broken[place]).collect();
            let mut values: Vec<f32> = room(sound.len() * dim, "features of labelled images")?;
            sound.iter().for_each(|&place| values.extend_from_slice(&rows[place * dim..][..dim]));
            let features = Tensor::f_from_slice(&values)?.f_view([sound.len() as i64, dim as i64])?;
            let images: Vec<usize> = sound.iter().map(|&place| all[place]).collect();
            // The split holds images whose label is a class.
            let truth = images.iter().map(|&image| self.images.labels[image] as usize).collect();
            Ok(Part { images, features: features.f_to_kind(Kind::Double)?, truth })
        };
        Ok((take(0..split.train.len())?, take(split.train.len()..all.len())?))
    }

    /// The linear classifier on features as they are, its penalty, and how good it is.
    fn fit_linear(
        &mut self,
        train: &Part,
        held_out: &Part,
        known: Option<&Linear>,
        report: &mut dyn FnMut(FinetuneProgress) -> Control,
    ) -> Result<(Linear, f64, Score)> {
        let settings = &self.config.finetune;
        let weights = class_weights(&train.truth, self.classes(), settings.class_weights == "balanced");
        let scale = Scale::of(&train.features)?;
        let problem = Problem::new(&scale.apply(&train.features)?, &train.truth, &weights, settings.label_smoothing)?;
        let penalties = match (settings.penalty, held_out.truth.is_empty()) {
            (0.0, false) => PENALTIES.to_vec(),
            (0.0, true) => vec![1.0],
            (penalty, _) => vec![penalty],
        };
        let mut from = known.map(|rows| rows.scaled(&scale)).transpose()?;
        let mut best: Option<(Linear, f64, Score)> = None;
        let total = penalties.len();
        for (number, penalty) in penalties.into_iter().enumerate() {
            let solved = problem.solve(penalty, from.as_ref(), &mut || self.stop.now());
            let (layer, stopped) = match solved {
                Err(error) if error.kind() == ErrorKind::Cancelled && best.is_some() => break,
                solved => solved?,
            };
            let unscaled = layer.unscaled(&scale)?;
            let logits = floats(&unscaled.logits(&held_out.features)?)?;
            let score = Score::of(&logits, self.classes(), &held_out.truth)?;
            // Of equals the stronger penalty stays; a search that was cut short counts as well as what it found.
            if best.as_ref().is_none_or(|(_, _, known)| score.loss < known.loss) {
                best = Some((unscaled, penalty, score));
            }
            from = Some(layer);
            let done = number + 1;
            let elapsed = self.began.elapsed().as_secs_f64();
            let progress = FinetuneProgress {
                stage: Stage::Linear,
                done: done as u64,
                total: total as u64,
                epoch: 0,
                loss: f64::NAN,
                held_out_loss: score.loss,
                held_out_accuracy: score.accuracy,
                eta_seconds: 0.0,
                elapsed_seconds: elapsed,
            };
            self.stop.asked |= report(progress) == Control::Stop;
            if stopped || self.stop.now() {
                break;
            }
        }
        best.ok_or_else(|| Error::new(ErrorKind::Internal, "no penalty was tried"))
    }

    /// Calibrates on the held-out images' logits (N, K) and makes the classifier.
    fn classifier(
        &self,
        network: crate::model::Network,
        logits: &[f32],
        truth: &[usize],
        training: serde_json::Value,
    ) -> Result<Classifier> {
        let settings = &self.config.finetune;
        let mut header = ClassifierHeader::uncalibrated(self.images.names.to_vec());
        header.training = training;
        if !truth.is_empty() {
            header.temperature = fit_temperature(logits, self.classes(), truth)?;
            let answers = answers(&probabilities(logits, self.classes(), header.temperature), self.classes());
            let confidence: Vec<f64> = answers.iter().map(|&(_, confidence)| confidence).collect();
            let correct: Vec<bool> = answers.iter().zip(truth).map(|((class, _), truth)| class == truth).collect();
            let threshold = match settings.reject.as_str() {
                "coverage" => of_coverage(&confidence, settings.reject_level),
                "risk" => of_risk(&confidence, &correct, settings.reject_level),
                _ => 0.0,
            };
            header.threshold = not_below(threshold);
            let threshold = f64::from(header.threshold);
            header.held_out = Some(judge(logits, self.classes(), truth, header.temperature, threshold)?);
        }
        let options = SessionOptions { device: self.device, precision: self.precision, output: Output::Logits };
        Classifier::new(network, &self.view, header, options)
    }
}

/// The smallest float that is not below `threshold`.
fn not_below(threshold: f64) -> f32 {
    let near = threshold as f32;
    if f64::from(near) < threshold { near.next_up() } else { near }
}

fn floats(tensor: &Tensor) -> Result<Vec<f32>> {
    collected(linear::numbers(tensor)?.into_iter().map(|value| value as f32), "logits")
}
