//! Fine-tuning: a classifier out of a student and the few labels that there are.
//!
//! ```text
//! labelled images → split by class → features of the frozen backbone, once → logistic regression
//!   (full: → all layers learn from there → the best pass on the held-out images)
//!   → temperature and threshold on the held-out images → Classifier
//! ```
//!
//! Where fewer than [`FEWEST_HELD_OUT`] images would be held out, they decide nothing: the linear classifier learns from all images,
//! and penalty, temperature and threshold come from cross-validation ([`cross`]). What cannot be calibrated (fewer than
//! [`FEWEST_TO_CALIBRATE`] answers of cross-validation, or all layers fine-tuned) says so, and then no answer is sure.
//!
//! The full mode begins where the linear one ends, since a random classifier would bend the features first (Kumar et al.,
//! "Fine-tuning can distort pretrained features and underperform out-of-distribution", ICLR 2022), and it keeps the linear
//! classifier where no pass is better on the held-out images.

mod anchor;
mod checkpoint;
mod cross;
mod features;
mod full;
pub mod linear;
pub mod linear_sgd;
pub mod logits;
mod passes;
mod penalty;
pub mod probe;
mod progress;
pub mod protocol;
pub mod split;
mod start;

use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use tch::{Device, Tensor};

pub use progress::{FinetuneProgress, Stage};
pub use start::Start;

use self::features::Part;
use self::full::Full;
use self::start::with_classifier;
use super::cancel::CancelToken;
use super::pace::paced;
use super::progress::Control;
use super::run::Outcome;
use crate::config::{Config, FinetuneMode, Reject};
use crate::data::{Dataset, Input};
use crate::eval::calibration::{fit_temperature, negative_log_likelihood, probabilities};
use crate::eval::judgement::{answers, judge};
use crate::eval::selective::{of_coverage, of_risk, shown_right};
use crate::infer::classifier::{CalibratedBy, Calibration, NOTHING_IS_SURE};
use crate::infer::classifier::{check_names, labelled};
use crate::infer::{Classifier, ClassifierHeader, Output, SessionOptions};
use crate::model::Teacher;
use crate::sys::memory::collected;
use crate::{Error, Result, device};

/// Held-out images below which penalty, temperature and threshold come from cross-validation instead: by six of them a share of hits is
/// known to within .4, by thirty to within .18.
pub const FEWEST_HELD_OUT: usize = 30;

/// Images that cross-validation must have answered before temperature and threshold are chosen by them.
pub const FEWEST_TO_CALIBRATE: usize = 10;

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
    mut start: Start,
    teachers: Teachers,
    images: &Labelled<'_>,
    cancel: &CancelToken,
    mut observe: impl FnMut(&FinetuneProgress) -> Control,
) -> Result<(Classifier, Outcome)> {
    config.validate()?;
    // Range and region of what is learned are the classifier's from now on.
    let range = config.chosen_range()?.unwrap_or(start.input.range);
    let roi = config.chosen_roi()?.unwrap_or(start.input.roi);
    start.input = images.dataset.seen_by(&Input { range, roi, ..start.input })?;
    let mut own = config.clone();
    own.view.input.range = start.input.range;
    own.view.input.roi = roi;
    let config = &own;
    if teachers.classifier.is_some() && config.finetune.mode != FinetuneMode::Full {
        return Err(Error::invalid(
            "finetune.mode is linear, expected full: a teacher's logits are distilled by all layers",
        ));
    }
    let work = |report: &mut dyn FnMut(FinetuneProgress) -> Control| {
        let stop = Stop { cancel, asked: false };
        Run::new(config, teachers, images, stop, start.input)?.make(start, report)
    };
    paced(config, work, |progress| observe(&progress))
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
    input: Input,
    /// What who uses the classifier should know.
    notes: Vec<String>,
}

/// What a classifier says about images that it has not learned from.
struct Evidence {
    /// (images, classes).
    logits: Vec<f32>,
    truth: Vec<usize>,
    calibration: Calibration,
}

impl Evidence {
    fn held_out(logits: Vec<f32>, held_out: &Part) -> Self {
        let images = held_out.truth.len();
        let by = if images == 0 { CalibratedBy::None } else { CalibratedBy::HeldOut };
        Self { logits, truth: held_out.truth.clone(), calibration: Calibration { by, images, folds: None } }
    }

    fn cross_validation(found: cross::CrossValidated) -> Self {
        let (by, images, folds) = (CalibratedBy::CrossValidation, found.truth.len(), Some(found.folds));
        Self { logits: found.logits, truth: found.truth, calibration: Calibration { by, images, folds } }
    }

    /// That of too few images.
    fn none(few: &Part) -> Self {
        let calibration = Calibration { by: CalibratedBy::None, images: few.truth.len(), folds: None };
        Self { logits: Vec::new(), truth: Vec::new(), calibration }
    }
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
        input: Input,
    ) -> Result<Self> {
        check_names(images.names)?;
        let device = device::parse(&config.device)?;
        Ok(Self { config, teachers, images, stop, began: Instant::now(), device, input, notes: Vec::new() })
    }

    fn classes(&self) -> usize {
        self.images.names.len()
    }

    fn make(
        mut self,
        mut start: Start,
        report: &mut dyn FnMut(FinetuneProgress) -> Control,
    ) -> Result<(Classifier, Outcome)> {
        let config = self.config;
        let settings = &config.finetune;
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
        let few = settings.held_out > 0.0 && held_out.truth.len() < FEWEST_HELD_OUT;
        let all_layers = settings.mode == FinetuneMode::Full;
        let fitted = match few {
            true => self.fit_few(&train, &held_out, known.as_ref(), report)?,
            false => self.fit_linear(&train, &held_out, None, known.as_ref(), report)?,
        };
        let mut network = with_classifier(&start.network, &fitted.layer)?;
        let (penalty, mut score, mut evidence) = (fitted.penalty, fitted.score, fitted.evidence);
        let (mut epochs, mut diverged) = (None, false);
        let student = start.provenance.clone();
        let (mut learned, mut left_out) = (fitted.images, train.truth.len() + held_out.truth.len() - fitted.images);
        if all_layers && !self.stop.asked {
            // The images that passes are judged by must not have been learned from.
            let (layer, own) = match few {
                true => {
                    let fitted = self.fit_linear(&train, &held_out, Some(penalty), known.as_ref(), report)?;
                    (fitted.layer, fitted.score)
                }
                false => (fitted.layer, score),
            };
            let full = Full::new(&mut self, start, &layer, own, (&train, &held_out))?;
            let done = full.run(&mut self, report)?;
            epochs = Some((done.epochs, done.best_epoch));
            diverged = done.diverged;
            if let Some(best) = done.best {
                (network, score) = (best.network, best.score);
                (learned, left_out) = (train.truth.len(), held_out.truth.len());
                evidence = match few {
                    true => Evidence::none(&held_out),
                    false => Evidence::held_out(best.logits, &held_out),
                };
            }
        }
        let outcome = if self.stop.asked { Outcome::Cancelled } else { Outcome::Finished };
        let training = json!({
            "library": concat!("libseed ", env!("CARGO_PKG_VERSION")),
            "mode": settings.mode,
            "images": learned,
            "held_out": left_out,
            "penalty": penalty,
            "epochs": epochs.map(|(all, _)| all),
            "best_epoch": epochs.map(|(_, best)| best),
            "held_out_loss": score.loss.is_finite().then_some(score.loss),
            "diverged": diverged,
            "cancelled": outcome == Outcome::Cancelled,
            "student": student,
        });
        let classifier = self.classifier(network, evidence, training)?;
        self.notes.into_iter().for_each(|note| classifier.warnings().add(note));
        Ok((classifier, outcome))
    }

    /// Calibrates by what is known and makes the classifier.
    fn classifier(
        &self,
        network: crate::model::Network,
        evidence: Evidence,
        training: serde_json::Value,
    ) -> Result<Classifier> {
        let settings = &self.config.finetune;
        let Evidence { logits, truth, calibration } = evidence;
        let mut header = ClassifierHeader::uncalibrated(self.images.names.to_vec());
        header.training = training;
        if calibration.by == CalibratedBy::None {
            // Who wants all answers whatever they are worth says so.
            if settings.held_out > 0.0 && settings.reject != Reject::None {
                header.threshold = NOTHING_IS_SURE;
            }
        } else {
            header.temperature = fit_temperature(&logits, self.classes(), &truth)?;
            let answers = answers(&probabilities(&logits, self.classes(), header.temperature), self.classes());
            let confidence: Vec<f64> = answers.iter().map(|&(_, confidence)| confidence).collect();
            let correct: Vec<bool> = answers.iter().zip(&truth).map(|((class, _), truth)| class == truth).collect();
            let threshold = match settings.reject {
                Reject::Coverage => of_coverage(&confidence, settings.reject_level),
                Reject::Risk => of_risk(&confidence, &correct, settings.reject_level),
                Reject::None => 0.0,
            };
            // Whatever share is to be answered: an answer that is as likely wrong as right is not sure.
            header.threshold = match settings.reject {
                Reject::None => 0.0,
                _ => shown_right(&confidence, &correct, threshold).map_or(NOTHING_IS_SURE, not_below),
            };
            let threshold = f64::from(header.threshold);
            header.held_out = Some(judge(&logits, self.classes(), &truth, header.temperature, threshold)?);
        }
        header.calibration = Some(calibration);
        let options = SessionOptions::of(self.config, Output::Logits)?;
        Classifier::new(network, &self.input, header, options)
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
