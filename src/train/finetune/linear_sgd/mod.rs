//! The linear probe by SGD, as the paper has it (Fang et al., 2021, §4.2; He et al., CVPR 2020, §4.1): a frozen backbone, one linear layer,
//! fixed images to learn from and to be tested on.
//!
//! ```text
//! random crop x → h = backbone(x), (B, d) → z = W·h + b, (B, K)      L = mean of −log softmax(z)[class]
//! SGD with momentum; lr·B/256, a tenth of it from 60 % of the steps on, a hundredth from 80 %; W from N(0, .01²), b from 0
//! test image as a session sees it → z → top-1, top-5, recall of each class
//! ```
//!
//! Features are computed batch by batch, of other crops in each pass, and are not kept: memory is that of a few batches, however many images
//! there are. Nothing is chosen by the images that are tested, and they are tested once, after the last step.

mod layer;
mod scores;

use std::sync::Arc;
use std::time::Instant;

use tch::Tensor;

pub use self::layer::Layer;
pub use self::scores::SgdScores;

use self::scores::Counts;
use super::features::CHUNK;
use super::probe::class_count;
use super::protocol::Classed;
use super::{FinetuneProgress, Stage, Start};
use crate::config::{Config, to_usize};
use crate::data::augment::ViewDevice;
use crate::data::{Batch, Dataset, Input, Loader, ViewConfig};
use crate::infer::classifier::labelled;
use crate::infer::{Output, Session, SessionOptions};
use crate::optim::{Cosine, Tenths};
use crate::sys::memory::room;
use crate::train::cancel::CancelToken;
use crate::train::pace::{Pace, paced};
use crate::train::progress::{Control, Lap};
use crate::train::run::{At, Course, Method, Outcome, Verdict, run};
use crate::{Error, ErrorKind, Result, finite};

/// Probes the network that `start` holds: learns from `train` and is tested on `test`, by the settings "linear.…", "view.crop_ratio_…",
/// "view.flip_probability", "seed", "device", "precision", "workers", "progress_every", "duty_cycle" and "nice" of `config`. `observe` is
/// called on this thread.
///
/// # Errors
/// `InvalidArgument` for labels that do not fit or images to learn from of fewer than two classes; `Cancelled` where a cancel or `observe`
/// ends it; `Mismatch` where the network gives NaN or infinity; `Torch` where the classifier diverges; those of the loader.
pub fn linear_sgd(
    config: &Config,
    start: &Start,
    train: Classed<'_>,
    test: Classed<'_>,
    cancel: &CancelToken,
    mut observe: impl FnMut(&FinetuneProgress) -> Control,
) -> Result<SgdScores> {
    config.validate()?;
    let began = Instant::now();
    let classes = class_count(train.labels)?.max(class_count(test.labels)?);
    let learned = Part::of(train, classes)?;
    let tested = Part::of(test, classes).map_err(|error| error.context("test"))?;
    let mut present = learned.truth.clone();
    present.sort_unstable();
    present.dedup();
    if present.len() < 2 {
        let found = present.len();
        return Err(Error::invalid(format!("the images to learn from are of {found} class, expected at least 2")));
    }
    let session = Session::new(&start.network, &start.input, SessionOptions::of(config, Output::Features)?)?;
    let work = |report: &mut dyn FnMut(FinetuneProgress) -> Control| {
        let pace = Pace::new(config, session.device(), cancel);
        let (layer, train_loss) = learn(config, &session, &learned, classes, began, &pace, report)?;
        let counts = judge(config, &session, &tested, (&layer, classes), began, &pace, report)?;
        Ok(counts.scores(learned.truth.len(), train_loss))
    };
    paced(config, work, |progress| observe(&progress))
}

/// The labelled images of a data set and the class of each.
struct Part {
    dataset: Arc<Dataset>,
    truth: Vec<i64>,
}

impl Part {
    fn of(images: Classed<'_>, classes: usize) -> Result<Self> {
        let chosen = labelled(images.labels, images.dataset.len(), classes)?;
        let mut truth = room(chosen.len(), "the classes of labelled images")?;
        truth.extend(chosen.iter().map(|&image| i64::from(images.labels[image])));
        Ok(Self { dataset: Arc::new(images.dataset.subset(&chosen)?), truth })
    }
}

/// Makes all steps; gives the layer and the mean loss of the last pass.
fn learn(
    config: &Config,
    session: &Session,
    learned: &Part,
    classes: usize,
    began: Instant,
    pace: &Pace<'_>,
    report: &mut dyn FnMut(FinetuneProgress) -> Control,
) -> Result<(Layer, f64)> {
    let settings = &config.linear;
    let images = learned.truth.len() as u64;
    let batch = settings.batch_size.min(images);
    let of_pass = images.div_ceil(batch);
    let total = settings.epochs.saturating_mul(of_pass);
    let schedule = Tenths { base: settings.learning_rate * batch as f64 / 256.0, total };
    let batch = to_usize(batch)?;
    let mut loader = Loader::views(
        Arc::clone(&learned.dataset),
        crops(config, session.input()),
        config.seed,
        batch,
        0..total,
        to_usize(config.workers)?,
    )?;
    let course = Course {
        first: 0,
        end: total,
        total,
        of_pass,
        images: batch,
        report_every: config.progress_every.max(1),
        // There is nothing to save.
        save_every: u64::MAX,
        // The method has a schedule of its own.
        schedule: Cosine { base: 0.0, warmup: 0, total },
        seed: config.seed,
    };
    let layer = Layer::new(session.dim(), classes, settings, config.seed, session.device())?;
    let (of_report, of_run) = (Mean::default(), Mean::default());
    let (sound, train_loss, done) = (None, f64::NAN, 0);
    let mut learning = Learning {
        session,
        truth: &learned.truth,
        layer,
        schedule,
        of_pass,
        of_report,
        of_run,
        sound,
        train_loss,
        done,
    };
    let mut told = |mut progress: FinetuneProgress| {
        progress.elapsed_seconds = began.elapsed().as_secs_f64();
        report(progress)
    };
    match run(&mut learning, &mut loader, &course, pace, &mut told)? {
        Outcome::Finished => Ok((learning.layer, learning.train_loss)),
        Outcome::Paused | Outcome::Cancelled => Err(ended()),
    }
}

/// The views that are learned from: crops and flips alone.
fn crops(config: &Config, seen: &Input) -> ViewConfig {
    ViewConfig {
        crop_scale_min: config.linear.crop_scale_min,
        crop_scale_max: config.linear.crop_scale_max,
        crop_ratio_min: config.view.crop_ratio_min,
        crop_ratio_max: config.view.crop_ratio_max,
        flip_probability: config.view.flip_probability,
        jitter_probability: 0.0,
        grey_probability: 0.0,
        blur_probability: 0.0,
        device: ViewDevice::Workers,
        ..ViewConfig::from(*seen)
    }
}

/// The mean of losses that were not read.
#[derive(Default)]
struct Mean {
    sum: Option<Tensor>,
    count: u64,
}

impl Mean {
    fn push(&mut self, loss: &Tensor) -> Result<()> {
        self.sum = Some(match &self.sum {
            Some(sum) => sum.f_add(loss)?,
            None => loss.shallow_clone(),
        });
        self.count += 1;
        Ok(())
    }

    /// Of what was pushed since the last call; NaN for nothing. Waits for the device.
    fn take(&mut self) -> Result<f64> {
        let sum = self.sum.take().map_or(Ok(f64::NAN), |sum| sum.f_double_value(&[]))?;
        Ok(sum / std::mem::take(&mut self.count).max(1) as f64)
    }
}

/// The probe as a method of the loop.
struct Learning<'a> {
    session: &'a Session,
    truth: &'a [i64],
    layer: Layer,
    schedule: Tenths,
    of_pass: u64,
    of_report: Mean,
    of_run: Mean,
    /// Whether all features since the last look were numbers, unread.
    sound: Option<Tensor>,
    /// Of the last pass.
    train_loss: f64,
    done: u64,
}

impl Learning<'_> {
    /// Refuses features and losses that are no numbers; waits for the device.
    fn check(&mut self, loss: f64) -> Result<()> {
        let sound = self.sound.take().map_or(Ok(1), |sound| sound.f_int64_value(&[]))?;
        if sound == 0 {
            let views = format!("a view of the steps up to {}", self.done);
            return Err(finite::gave(&self.session.who(), finite::NONE, &views));
        }
        if loss.is_finite() {
            return Ok(());
        }
        Err(diverged(&format!(
            "the loss is {loss} by step {} (the first one's rate was {})",
            self.done, self.schedule.base
        )))
    }
}

impl Method for Learning<'_> {
    type Batch = Batch;
    type Report = FinetuneProgress;

    fn step(&mut self, batch: &Batch, at: At) -> Result<()> {
        let features = self.session.rows_unread(&batch.views[0].pixels)?; // h, (B, d)
        let sound = features.f_isfinite()?.f_all()?;
        self.sound = Some(match &self.sound {
            Some(all) => all.f_logical_and(&sound)?,
            None => sound,
        });
        // A broken image is shown by another one, whose class counts.
        let truth: Vec<i64> = batch.indices.iter().map(|&place| self.truth[place]).collect();
        let loss = self.layer.step(&features, &truth, self.schedule.learning_rate(at.step))?;
        self.of_report.push(&loss)?;
        self.of_run.push(&loss)?;
        self.done = at.step + 1;
        Ok(())
    }

    fn epoch_end(&mut self) -> Result<Verdict> {
        self.train_loss = self.of_run.take()?;
        self.check(self.train_loss)?;
        Ok(Verdict::GoOn)
    }

    fn report(&mut self, lap: &Lap) -> Result<FinetuneProgress> {
        let loss = self.of_report.take()?;
        self.check(loss)?;
        let total = self.schedule.total;
        let epoch = self.done / self.of_pass;
        Ok(FinetuneProgress { epoch, loss, eta_seconds: lap.eta_seconds, ..blank(Stage::Sgd, self.done, total) })
    }

    fn save(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Tests the layer, a batch after the other.
fn judge(
    config: &Config,
    session: &Session,
    tested: &Part,
    (layer, classes): (&Layer, usize),
    began: Instant,
    pace: &Pace<'_>,
    report: &mut dyn FnMut(FinetuneProgress) -> Control,
) -> Result<Counts> {
    let mut counts = Counts::new(classes)?;
    let (mut done, total) = (0, tested.truth.len() as u64);
    let (start, mut since) = (Instant::now(), Instant::now());
    session.embed_chunks(&tested.dataset, CHUNK, to_usize(config.workers)?, &mut |chunk| {
        let logs = layer.log_probabilities(chunk.values)?;
        for (place, logs) in logs.chunks_exact(classes).enumerate().filter(|(place, _)| !chunk.broken.contains(place)) {
            // `labelled` gives images whose label is a class.
            if !counts.add(logs, tested.truth[chunk.indices[place]] as usize) {
                return Err(diverged("the classifier gives infinity or NaN"));
            }
        }
        done += chunk.indices.len() as u64;
        pace.rest(since)?;
        let eta_seconds = start.elapsed().as_secs_f64() / done.max(1) as f64 * total.saturating_sub(done) as f64;
        let elapsed_seconds = began.elapsed().as_secs_f64();
        let epoch = config.linear.epochs;
        let told = report(FinetuneProgress { epoch, eta_seconds, elapsed_seconds, ..blank(Stage::Test, done, total) });
        let go_on = told == Control::Continue && !pace.cancel().wait().1;
        since = Instant::now();
        Ok(go_on)
    })?;
    Ok(counts)
}

fn blank(stage: Stage, done: u64, total: u64) -> FinetuneProgress {
    FinetuneProgress {
        stage,
        done,
        total,
        epoch: 0,
        loss: f64::NAN,
        held_out_loss: f64::NAN,
        held_out_accuracy: f64::NAN,
        eta_seconds: 0.0,
        elapsed_seconds: 0.0,
    }
}

fn diverged(what: &str) -> Error {
    Error::new(ErrorKind::Torch, format!("{what}: the linear probe has diverged; lower linear.learning_rate"))
}

fn ended() -> Error {
    Error::new(ErrorKind::Cancelled, "the evaluation was ended")
}
