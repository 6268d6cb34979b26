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
use crate::config::{Config, FinetuneConfig};
use crate::data::{Dataset, ViewConfig};
use crate::eval::calibration::{fit_temperature, negative_log_likelihood, probabilities};
use crate::eval::judgement::{answers, judge};
use crate::eval::selective::{of_coverage, of_risk, shown_right};
use crate::infer::classifier::{CalibratedBy, Calibration, NOTHING_IS_SURE};
use crate::infer::classifier::{check_names, labelled};
use crate::infer::{Classifier, ClassifierHeader, Output, Session, SessionOptions};
use crate::memory::{collected, room};
use crate::model::Teacher;
use crate::{Error, ErrorKind, Result, device};

/// Values of the penalty that are tried, strongest first, each from the solution before.
const PENALTIES: [f64; 7] = [1e4, 1e3, 1e2, 1e1, 1e0, 1e-1, 1e-2];

/// Held-out images below which penalty, temperature and threshold come from cross-validation instead: by six of them a share of hits is
/// known to within .4, by thirty to within .18.
pub const FEWEST_HELD_OUT: usize = 30;

/// Images that cross-validation must have answered before temperature and threshold are chosen by them.
pub const FEWEST_TO_CALIBRATE: usize = 10;

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
    /// What who uses the classifier should know.
    notes: Vec<String>,
}

/// Features (N, d) in float64 and classes of images that could be read.
struct Part {
    /// Numbers in the data set.
    images: Vec<usize>,
    features: Tensor,
    truth: Vec<usize>,
}

impl Part {
    /// Both together.
    fn with(&self, other: &Part) -> Result<Part> {
        Ok(Part {
            images: [self.images.as_slice(), &other.images].concat(),
            features: Tensor::f_cat(&[&self.features, &other.features], 0)?,
            truth: [self.truth.as_slice(), &other.truth].concat(),
        })
    }
}

/// A linear classifier and what is known about it.
struct Fitted {
    layer: Linear,
    penalty: f64,
    score: Score,
    /// Images that it has learned from.
    images: usize,
    evidence: Evidence,
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
        view: ViewConfig,
    ) -> Result<Self> {
        check_names(images.names)?;
        let device = device::parse(&config.device)?;
        let precision = match config.precision.as_str() {
            "auto" => None,
            chosen => Some(device::precision(chosen, device)?),
        };
        Ok(Self { config, teachers, images, stop, began: Instant::now(), device, precision, view, notes: Vec::new() })
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
        let all_layers = settings.mode == "full";
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
        let rows = session.embed_marked(&part, CHUNK, to_usize(self.config.workers)?, &mut |done, total| {
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
        let take = |range: std::ops::Range<usize>| -> Result<Part> {
            let sound: Vec<usize> = range.filter(|place| !rows.broken.contains(place)).collect();
            let mut values: Vec<f32> = room(sound.len() * dim, "features of labelled images")?;
            sound.iter().for_each(|&place| values.extend_from_slice(&rows.values[place * dim..][..dim]));
            let features = Tensor::f_from_slice(&values)?.f_view([sound.len() as i64, dim as i64])?;
            let images: Vec<usize> = sound.iter().map(|&place| all[place]).collect();
            // The split holds images whose label is a class.
            let truth = images.iter().map(|&image| self.images.labels[image] as usize).collect();
            Ok(Part { images, features: features.f_to_kind(Kind::Double)?, truth })
        };
        Ok((take(0..split.train.len())?, take(split.train.len()..all.len())?))
    }

    /// The linear classifier on features as they are, its penalty, and how good it is. `given`: the penalty, else it is the setting's
    /// or the best on the held-out images.
    fn fit_linear(
        &mut self,
        train: &Part,
        held_out: &Part,
        given: Option<f64>,
        known: Option<&Linear>,
        report: &mut dyn FnMut(FinetuneProgress) -> Control,
    ) -> Result<Fitted> {
        let settings = &self.config.finetune;
        let weights = class_weights(&train.truth, self.classes(), settings.class_weights == "balanced");
        let scale = Scale::of(&train.features)?;
        let problem = Problem::new(&scale.apply(&train.features)?, &train.truth, &weights, settings.label_smoothing)?;
        let penalties = match given {
            Some(penalty) => vec![penalty],
            None => penalties(settings, !held_out.truth.is_empty()),
        };
        let mut from = known.map(|rows| rows.scaled(&scale)).transpose()?;
        let mut best: Option<Fitted> = None;
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
            if best.as_ref().is_none_or(|known| score.loss < known.score.loss) {
                let evidence = Evidence::held_out(logits, held_out);
                best = Some(Fitted { layer: unscaled, penalty, score, images: train.truth.len(), evidence });
            }
            from = Some(layer);
            let progress = self.linear_progress(number + 1, total, score);
            self.stop.asked |= report(progress) == Control::Stop;
            if stopped || self.stop.now() {
                break;
            }
        }
        best.ok_or_else(|| Error::new(ErrorKind::Internal, "no penalty was tried"))
    }

    /// The same where few images were held out: the penalty and what is known about the classifier come from cross-validation, and
    /// the classifier learns from all images. Where the settings ask for fewer labels than there are, the held-out ones are none of
    /// these, and are left aside.
    fn fit_few(
        &mut self,
        train: &Part,
        held_out: &Part,
        known: Option<&Linear>,
        report: &mut dyn FnMut(FinetuneProgress) -> Control,
    ) -> Result<Fitted> {
        let config = self.config;
        let settings = &config.finetune;
        let joined = match settings.label_fraction < 1.0 || settings.labels_per_class > 0 {
            true => None,
            false => Some(train.with(held_out)?),
        };
        let all = joined.as_ref().unwrap_or(train);
        let images = cross::Images {
            features: &all.features,
            truth: &all.truth,
            classes: self.classes(),
            balanced: settings.class_weights == "balanced",
            smoothing: settings.label_smoothing,
        };
        let tried = penalties(settings, true);
        let (began, cancel, mut asked) = (self.began, self.stop.cancel, self.stop.asked);
        let found = {
            let stopped = std::cell::Cell::new(asked);
            let mut stop = || {
                stopped.set(stopped.get() || cancel.wait().1);
                stopped.get()
            };
            let found = images.cross_validate(&tried, config.seed, &mut stop, &mut |done, score| {
                let progress = linear_progress(began, done, tried.len(), score);
                stopped.set(stopped.get() || report(progress) == Control::Stop);
                stopped.get()
            })?;
            asked |= stopped.get();
            found
        };
        self.stop.asked = asked;
        let alone = (0..self.classes()).filter(|class| all.truth.iter().filter(|truth| *truth == class).count() == 1);
        let alone: Vec<&str> = alone.map(|class| self.images.names[class].as_str()).collect();
        if !alone.is_empty() {
            self.notes
                .push(format!("no image could be spared to test the classes {alone:?}: they have one image each"));
        }
        let (penalty, score, evidence) = match found {
            Some(found) if found.truth.len() >= FEWEST_TO_CALIBRATE => {
                (found.penalty, found.score, Evidence::cross_validation(found))
            }
            Some(found) => (found.penalty, found.score, Evidence::none(all)),
            None => (penalties(settings, false)[0], Score::NONE, Evidence::none(all)),
        };
        // A cancel has had its effect on the search; this fit gives the best classifier so far.
        let scale = Scale::of(&all.features)?;
        let weights = class_weights(&all.truth, self.classes(), images.balanced);
        let problem = Problem::new(&scale.apply(&all.features)?, &all.truth, &weights, settings.label_smoothing)?;
        let from = known.map(|rows| rows.scaled(&scale)).transpose()?;
        let (layer, _) = problem.solve(penalty, from.as_ref(), &mut || false)?;
        Ok(Fitted { layer: layer.unscaled(&scale)?, penalty, score, images: all.truth.len(), evidence })
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
            if settings.held_out > 0.0 && settings.reject != "none" {
                header.threshold = NOTHING_IS_SURE;
            }
        } else {
            header.temperature = fit_temperature(&logits, self.classes(), &truth)?;
            let answers = answers(&probabilities(&logits, self.classes(), header.temperature), self.classes());
            let confidence: Vec<f64> = answers.iter().map(|&(_, confidence)| confidence).collect();
            let correct: Vec<bool> = answers.iter().zip(&truth).map(|((class, _), truth)| class == truth).collect();
            let threshold = match settings.reject.as_str() {
                "coverage" => of_coverage(&confidence, settings.reject_level),
                "risk" => of_risk(&confidence, &correct, settings.reject_level),
                _ => 0.0,
            };
            // Whatever share is to be answered: an answer that is as likely wrong as right is not sure.
            header.threshold = match settings.reject.as_str() {
                "none" => 0.0,
                _ => shown_right(&confidence, &correct, threshold).map_or(NOTHING_IS_SURE, not_below),
            };
            let threshold = f64::from(header.threshold);
            header.held_out = Some(judge(&logits, self.classes(), &truth, header.temperature, threshold)?);
        }
        header.calibration = Some(calibration);
        let options = SessionOptions { device: self.device, precision: self.precision, output: Output::Logits };
        Classifier::new(network, &self.view, header, options)
    }

    fn linear_progress(&self, done: usize, total: usize, score: Score) -> FinetuneProgress {
        linear_progress(self.began, done, total, score)
    }
}

fn linear_progress(began: Instant, done: usize, total: usize, score: Score) -> FinetuneProgress {
    FinetuneProgress {
        stage: Stage::Linear,
        done: done as u64,
        total: total as u64,
        epoch: 0,
        loss: f64::NAN,
        held_out_loss: score.loss,
        held_out_accuracy: score.accuracy,
        eta_seconds: 0.0,
        elapsed_seconds: began.elapsed().as_secs_f64(),
    }
}

/// The penalties to try, strongest first; `judged`: there are images to choose by.
fn penalties(settings: &FinetuneConfig, judged: bool) -> Vec<f64> {
    match (settings.penalty, judged) {
        (0.0, true) => PENALTIES.to_vec(),
        (0.0, false) => vec![1.0],
        (penalty, _) => vec![penalty],
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
