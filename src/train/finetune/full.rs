//! The full mode: all layers learn the labels, from the linear classifier on.
//!
//! ```text
//! view x → h = backbone(x) → z = W·h + b      L = Σ w_i·CE(q_i, softmax(z_i)) / Σ w_i  (+ λ·L_SEED, see the anchor)
//!                                        (+ λ·τ²·KL of a teacher's classifier, see the logits)
//! SGD with momentum, cosine; W and b at "finetune.head_rate_factor" times the backbone's rate
//! after each pass: loss on the held-out images at its best temperature → keep the best, stop when none came for long
//! ```

use std::path::Path;
use std::sync::Arc;

use tch::{Device, Kind, Tensor};

use super::anchor::Anchor;
use super::features::Part;
use super::linear::{Linear, class_weights, smoothed_targets};
use super::logits::{Tutor, logit_loss};
use super::start::{Start, with_classifier};
use super::{Run, Score, floats};
use crate::config::{Augmentation, ClassWeights, Config, to_usize};
use crate::data::{Batch, Dataset, Input, Loader, ViewConfig};
use crate::distill::views::upload;
use crate::model::{Mode, Network};
use crate::optim::Sgd;
use crate::torch::Autocast;
use crate::train::board::Board;
use crate::train::run::At;
use crate::{Error, ErrorKind, Result, device, torch};

/// Images that are judged at once.
const CHUNK: usize = 32;

/// Where the event files are, in "tensorboard_folder".
const BOARD: &str = "finetune";

/// The best pass so far.
pub(super) struct Best {
    pub network: Network,
    /// Of the held-out images, (N, K).
    pub logits: Vec<f32>,
    pub score: Score,
}

/// What the full mode came to.
pub(super) struct Done {
    /// Passes made, resumed ones included.
    pub epochs: u64,
    /// The pass that was the best; 0: the linear classifier.
    pub best_epoch: u64,
    /// Whether it ended because the loss was no number any more.
    pub diverged: bool,
    /// None where no pass was better than the linear classifier.
    pub best: Option<Best>,
}

pub(super) struct Full {
    pub(super) network: Network,
    pub(super) weight: Tensor,
    pub(super) bias: Tensor,
    pub(super) of_backbone: Sgd,
    pub(super) of_head: Sgd,
    pub(super) anchor: Option<Anchor>,
    pub(super) tutor: Option<Tutor>,
    pub(super) best: Option<Best>,
    pub(super) best_score: Score,
    pub(super) best_epoch: u64,
    pub(super) epoch: u64,
    /// Of the last pass.
    pub(super) last: Score,
    pub(super) identity: String,
    pub(super) diverged: bool,
    precision: Kind,
    /// Of each image to learn from: its class's, 0 where it has no label.
    weights: Vec<f32>,
    pub(super) input: Input,
    pub(super) augmented: ViewConfig,
    /// Images and classes; those without a label, which only a tutor knows an answer to, stand last with class 0.
    pub(super) train: (Arc<Dataset>, Vec<usize>),
    held_out: (Arc<Dataset>, Vec<usize>),
}

impl Full {
    pub fn new(
        run: &mut Run<'_>,
        start: Start,
        layer: &Linear,
        score: Score,
        (train, held_out): (&Part, &Part),
    ) -> Result<Full> {
        let config = run.config;
        let settings = &config.finetune;
        let Start { network, input, .. } = start;
        network.to_channels_last()?;
        let subset = |part: &Part| -> Result<(Arc<Dataset>, Vec<usize>)> {
            Ok((Arc::new(run.images.dataset.subset(&part.images)?), part.truth.clone()))
        };
        let of_class = class_weights(&train.truth, run.classes(), settings.class_weights == ClassWeights::Balanced);
        let mut weights: Vec<f32> = train.truth.iter().map(|&class| of_class[class] as f32).collect();
        let tutor = match &run.teachers.classifier {
            Some(classifier) => Some(Tutor::new(classifier, run.images.names, &input, run.device)?),
            None => None,
        };
        let train = match &tutor {
            Some(_) => {
                let unlabelled: Vec<usize> =
                    (0..run.images.labels.len()).filter(|&image| run.images.labels[image] < 0).collect();
                let all = [train.images.as_slice(), &unlabelled].concat();
                let mut truth = train.truth.clone();
                truth.resize(all.len(), 0);
                weights.resize(all.len(), 0.0);
                (Arc::new(run.images.dataset.subset(&all)?), truth)
            }
            None => subset(train)?,
        };
        let held_out = subset(held_out)?;
        let cache = usize::try_from(config.cache_mib).unwrap_or(usize::MAX).saturating_mul(1 << 20);
        train.0.set_cache_bytes(cache);
        let leaf = |tensor: &Tensor| -> Result<Tensor> {
            let copy = tensor.f_detach()?.f_to_device_(run.device, Kind::Float, false, true)?;
            Ok(copy.f_set_requires_grad(true)?)
        };
        let (weight, bias) = (leaf(&layer.weight)?, leaf(&layer.bias)?);
        let head = vec![("weight".to_owned(), weight.shallow_clone()), ("bias".to_owned(), bias.shallow_clone())];
        let anchor = Anchor::new(config, run.teachers.anchor.clone(), &network, &train.0, &input)?;
        let mut full = Full {
            of_backbone: Sgd::new(network.parameters(), config.momentum, settings.weight_decay)?,
            of_head: Sgd::new(head, config.momentum, settings.weight_decay)?,
            weights,
            precision: device::precision(config.precision, run.device),
            augmented: augmented(input, config),
            best: None,
            best_score: score,
            best_epoch: 0,
            epoch: 0,
            last: score,
            identity: String::new(),
            diverged: false,
            network,
            weight,
            bias,
            anchor,
            tutor,
            input,
            train,
            held_out,
        };
        full.identity = full.identify(config, run.images)?;
        full.resume(&settings.checkpoint_path)?;
        Ok(full)
    }

    /// An event file in a folder of its own, since the steps of a distillation count from 1 as well. Step 0 is the linear
    /// classifier.
    pub(super) fn open_board(&self, config: &Config, first: u64) -> Result<Board> {
        let mut board = Board::default();
        if config.tensorboard_folder.is_empty() {
            return Ok(board);
        }
        let folder = Path::new(&config.tensorboard_folder).join(BOARD);
        if first > 0 {
            board.open(folder, first + 1)?;
        } else {
            board.open(folder, 0)?;
            board.show(0, &[("held_out/loss", self.last.loss), ("held_out/accuracy", self.last.accuracy)]);
        }
        Ok(board)
    }

    fn classes(&self) -> usize {
        self.bias.numel()
    }

    /// Whether the best pass is long ago. Without held-out images the last one is always the best.
    pub(super) fn out_of_patience(&self, patience: u64) -> bool {
        patience > 0 && self.epoch - self.best_epoch >= patience
    }

    /// One step; gives the loss, 0-dim, unread.
    pub(super) fn step(&mut self, batch: &Batch, config: &Config, at: At) -> Result<Tensor> {
        let learning_rate = at.learning_rate;
        let result = self.forward_backward(batch, config, at.noise);
        let (loss, target) = result.inspect_err(|_| {
            // The first error is the one to tell.
            let _ = (self.of_backbone.drop_gradients(), self.of_head.drop_gradients());
        })?;
        self.of_backbone.step(learning_rate)?;
        self.of_head.step(learning_rate * config.finetune.head_rate_factor)?;
        if let (Some(anchor), Some(target)) = (&mut self.anchor, target) {
            anchor.queue.push(&target)?;
        }
        Ok(loss)
    }

    fn forward_backward(&self, batch: &Batch, config: &Config, noise: u64) -> Result<(Tensor, Option<Tensor>)> {
        let device = self.weight.device();
        let images = upload(&batch.views[0], &self.augmented, device)?; // (B, 3, H, W), channels-last
        // A broken image is shown by another one, whose class counts.
        let truth: Vec<usize> = batch.indices.iter().map(|&place| self.train.1[place]).collect();
        let mode = Mode::Train { noise };
        let features = {
            let _autocast = Autocast::enter(device, self.precision)?;
            self.network.features(&images, mode)?
        };
        let features = features.f_to_kind(Kind::Float)?; // h, (B, d)
        let logits = features.f_linear(&self.weight, Some(&self.bias))?; // z, (B, K)
        let settings = &config.finetune;
        let targets = smoothed_targets(&truth, self.classes(), settings.label_smoothing)?;
        let of_image: Vec<f32> = batch.indices.iter().map(|&place| self.weights[place]).collect();
        let total = match of_image.contains(&0.0) {
            // By the images of the step: a single labelled one among many must not weigh as much as a step full of them.
            true => of_image.len() as f32,
            false => of_image.iter().sum::<f32>(),
        };
        // On the host, so that one copy goes to the device, in the format that it is needed in.
        let of_image = Tensor::f_from_slice(&of_image)?.f_view([-1, 1])?;
        let weighted = torch::copy_to(&targets.f_to_kind(Kind::Float)?.f_mul(&of_image)?, device)?;
        let logs = logits.f_log_softmax(1, Kind::Float)?;
        let scale = -settings.label_weight / f64::from(total);
        let mut loss = weighted.f_mul(&logs)?.f_sum(Kind::Float)?.f_mul_scalar(scale)?;
        if let Some(tutor) = &self.tutor {
            let taught = logit_loss(&logits, &tutor.logits(&images)?, settings.logit_temperature)?;
            loss = loss.f_add(&taught.f_mul_scalar(settings.logit_weight)?)?;
        }
        let mut told = loss.f_detach()?;
        let mut target = None;
        if let Some(anchor) = &self.anchor {
            let (pull, value, rows) = anchor.pull(&self.network, &features, &images, mode)?;
            loss = loss.f_add(&pull)?;
            told = told.f_add(&value)?;
            target = Some(rows);
        }
        loss.f_backward()?;
        Ok((told, target))
    }

    /// Measures the network as it is after a pass, and keeps it where it is the best. False where it has diverged: what was the
    /// best before stays, and nothing better will come.
    pub(super) fn judge(&mut self, loss: f64, config: &Config) -> Result<bool> {
        let logits = self.held_out_logits(config)?;
        if !loss.is_finite() || logits.iter().any(|logit| !logit.is_finite()) {
            log::warn!(
                "fine-tuning has diverged in pass {} (loss {loss}); the best before is kept, lower finetune.learning_rate \
                 (now {})",
                self.epoch,
                config.finetune.learning_rate
            );
            return Ok(false);
        }
        self.last = Score::of(&logits, self.classes(), &self.held_out.1)?;
        let no_measure = self.held_out.1.is_empty();
        if no_measure || self.last.loss < self.best_score.loss {
            let layer = Linear { weight: self.weight.shallow_clone(), bias: self.bias.shallow_clone() };
            let network = with_classifier(&self.network, &layer)?;
            self.best = Some(Best { network, logits, score: self.last });
            (self.best_score, self.best_epoch) = (self.last, self.epoch);
        }
        Ok(true)
    }

    /// Logits (N, K) of the middles of the held-out images.
    fn held_out_logits(&self, config: &Config) -> Result<Vec<f32>> {
        let (dataset, truth) = &self.held_out;
        if truth.is_empty() {
            return Ok(Vec::new());
        }
        let _no_grad = tch::no_grad_guard();
        let mut logits = Vec::new();
        let workers = to_usize(config.workers)?;
        let recipe = ViewConfig::from(self.input);
        let mut loader = Loader::frames(Arc::clone(dataset), self.input, CHUNK, workers)?;
        while let Some(batch) = loader.next() {
            let batch = batch?;
            if let Some(&place) = batch.broken.first() {
                // It was sound when the run began, and a measure without it would not be comparable.
                let error = dataset.load(batch.indices[place]).err();
                let error = error.unwrap_or_else(|| Error::new(ErrorKind::Io, "it could not be read for a moment"));
                return Err(error.context("a held-out image can no longer be read"));
            }
            let images = upload(&batch.views[0], &recipe, self.weight.device())?;
            let features = self.network.features(&images, Mode::Eval)?;
            let rows = features.f_linear(&self.weight, Some(&self.bias))?;
            let rows = torch::copy_to(&rows, Device::Cpu)?;
            logits.extend(floats(&rows)?);
            loader.recycle(batch);
        }
        Ok(logits)
    }
}

/// The views that are learned from. Those of distillation hide too much of an image to judge it by: a scratch at the border
/// is outside most crops.
fn augmented(input: Input, config: &Config) -> ViewConfig {
    // A label is the frame's.
    let own = ViewConfig { input, tile: 0, ..config.view.clone() };
    if config.finetune.augmentation == Augmentation::Views {
        return own;
    }
    ViewConfig {
        crop_scale_min: 0.6,
        crop_scale_max: 1.0,
        jitter_probability: 0.5,
        brightness: 0.2,
        contrast: 0.2,
        saturation: 0.0,
        hue: 0.0,
        grey_probability: 0.0,
        blur_probability: 0.0,
        ..own
    }
}
