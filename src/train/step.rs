//! One step of a distillation, and distillation as the loop sees it.

use tch::Tensor;

use super::board::Board;
use super::cancel::CancelToken;
use super::distill::Distillation;
use super::progress::{Control, Lap, Progress};
use super::run::{At, Boundary, Method, alone};
use super::shared::lock;
use super::world::{Exchange, world_boundary};
use crate::config::{BatchNorm, to_usize};
use crate::data::{Batch, Frame};
use crate::distill::mixup::Mixup;
use crate::distill::patches::PatchTerm;
use crate::distill::step::{Small, Together, distill};
use crate::distill::{Asking, StepBatch, StepSettings};
use crate::finite::Names;
use crate::{Error, ErrorKind, Result};

impl Distillation {
    /// One step on the application's own frames, of any sizes: one view of each is made as in [`Distillation::run`], with
    /// the randomness of (seed, step, place in the batch). Returns the loss. Needs a teacher: a bank knows no such view.
    pub fn step_on(&mut self, frames: &[Frame]) -> Result<f64> {
        if frames.is_empty() {
            return Err(Error::invalid("a step takes at least one image, found none"));
        }
        if self.membership.is_some() {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "a step on images of your own is not made by several processes: call run with a data set, or leave the world out",
            ));
        }
        let batch = Batch::of_frames(frames, &self.recipes()?, self.config.seed, self.step)?;
        let images = self.upload(&batch)?;
        self.board.open(&self.config.tensorboard_folder, self.step + 1)?;
        let at = At::new(self.step, &self.schedule, self.config.seed);
        self.distill_once(&images, None, at, &|row| format!("image {row} of the step"))?;
        if self.step == self.total_steps() {
            self.take_average()?;
        }
        let loss = self.read_loss()?;
        self.note(Some(loss))?;
        let learning_rate = self.schedule.learning_rate(self.step - 1);
        self.board.show(self.step, &[("train/loss", loss), ("train/learning_rate", learning_rate)]);
        Ok(loss)
    }

    /// One step on `images`, the views of one batch, each (B,C,H,W), normalised float32 on the run's device. They are `batch` of the data
    /// set or none of it. Errors call image i by the name that `names` gives.
    fn distill_once(&mut self, images: &[Tensor], batch: Option<&Batch>, at: At, names: Names) -> Result<()> {
        let rows = images.first().map_or(0, |views| views.size()[0]);
        // The same pairs in all views of the batch.
        let mixed = match Mixup::of_step(self.config.mixup, self.config.seed, self.step, rows) {
            Some(mixup) => Some(images.iter().map(|views| mixup.of(views)).collect::<Result<Vec<_>>>()?),
            None => None,
        };
        let images = mixed.as_deref().unwrap_or(images);
        let (large, small) = images.split_at(images.len().saturating_sub(to_usize(self.config.small.count)?));
        let views = large.first().ok_or_else(|| Error::invalid("a batch has no views"))?;
        let pieces = self.config.accumulation_steps;
        let maps = self.patch_maps.as_ref();
        let plain = Asking { precision: self.precision, pieces, map: None, names };
        let asking = Asking { map: maps.map(|maps| &maps.teacher), ..plain };
        let of_teacher = |views: &Tensor, number: usize, asking: &Asking<'_>| -> Result<_> {
            if !self.targets.has_teacher() {
                return Ok((None, None));
            }
            let told = self.targets.of_step(views, batch, number, &self.config.view, asking)?;
            Ok((Some(self.standardised(told.rows)?), told.map))
        };
        let (target, of_map) = of_teacher(views, 0, &asking)?;
        let of_small = (1..).zip(small).map(|(number, views)| Ok(of_teacher(views, number, &plain)?.0));
        let of_small = of_small.collect::<Result<Vec<_>>>()?;
        let settings = StepSettings {
            precision: self.precision,
            learning_rate: at.learning_rate,
            // No two processes drop the same.
            noise: at.noise.wrapping_add(self.rank().wrapping_mul(0xa076_1d64_78bd_642f)),
            running_norm: self.config.batch_norm == BatchNorm::Running,
            pieces,
            clip_norm: self.config.clip_norm,
            epoch: self.dataset.as_ref().map(|_| self.epoch()),
        };
        let world = self.world();
        let exchange = world.as_deref().map(Exchange);
        let together = exchange.as_ref().map(|exchange| exchange as &dyn Together);
        let mut student = lock(&self.student)?;
        // At each step, since another run of the same student may drop another share.
        let drops = student.architecture().family().drops_before_projection;
        student.set_head_dropout(if drops { self.config.head_dropout } else { 0.0 });
        let mut queue = lock(&self.queue)?;
        let numbers = batch.map(|batch| batch.indices.as_slice());
        let strategy = &mut *self.strategy;
        let joined = if strategy.joins_views() { small } else { &[] };
        let patches = maps.zip(of_map.as_ref()).map(|(maps, teacher)| PatchTerm {
            teacher,
            map: &maps.student,
            weight: self.config.patch.weight,
            temperature: self.config.patch.temperature,
        });
        let shown =
            StepBatch { views, target: target.as_ref(), images: numbers, second: large.get(1), small: joined, patches };
        let beside = self.small_queue.as_mut().map(|queue| {
            let views = small.iter().zip(&of_small);
            let views = views.map(|(views, target)| StepBatch {
                views,
                target: target.as_ref(),
                second: None,
                patches: None,
                ..shown
            });
            Small { views: views.collect(), queue }
        });
        let step = distill(&shown, beside, &student, &mut queue, &mut self.optimiser, strategy, &settings, together)?;
        self.step += 1;
        if let Some(average) = &self.average {
            average.follow(&student, self.step)?;
        }
        self.losses.push(step, target.is_some(), names)
    }
}

impl Method for Distillation {
    type Batch = Batch;
    type Report = Progress;

    fn step(&mut self, batch: &Batch, at: At) -> Result<()> {
        let images = self.upload(batch)?;
        let dataset = self.dataset.clone();
        let names = |row: usize| match &dataset {
            Some(dataset) => dataset.title(batch.indices[row]),
            None => format!("image {row} of the step"),
        };
        self.distill_once(&images, Some(batch), at, &names)
    }

    fn boundary(&mut self, own: Result<Control>, over: bool, cancel: &CancelToken) -> Result<Boundary> {
        match self.world() {
            Some(world) => world_boundary(&world, own, over, cancel),
            None => alone(own, over, cancel),
        }
    }

    fn failed(&mut self, error: Error) -> Error {
        match self.together::<()>("a step", Err(error)) {
            Err(error) => error,
            Ok(()) => Error::internal("a step", "an error that nobody has"),
        }
    }

    fn leave(&mut self) -> Result<()> {
        self.checkpoint_of_all("the checkpoint")
    }

    fn look(&mut self) -> Result<()> {
        self.look_when_due()
    }

    fn report(&mut self, lap: &Lap) -> Result<Progress> {
        let progress = Progress {
            loss: self.read_loss()?,
            learning_rate: self.schedule.learning_rate(self.step - 1),
            images_per_second: lap.images_per_second,
            eta_seconds: lap.eta_seconds,
            elapsed_seconds: lap.elapsed_seconds,
            waiting_share: lap.waiting_share,
            ..self.before()
        };
        self.note(Some(progress.loss))?;
        Ok(progress)
    }

    fn event(&mut self, progress: &Progress) -> Option<(&mut Board, Vec<(&'static str, f64)>)> {
        let values = vec![
            ("train/loss", progress.loss),
            ("train/learning_rate", progress.learning_rate),
            ("speed/images_per_second", progress.images_per_second),
            ("speed/waiting_share", progress.waiting_share),
            ("speed/skipped_images", progress.skipped_images as f64),
        ];
        Some((&mut self.board, values))
    }

    fn save(&mut self) -> Result<()> {
        self.checkpoint_if_configured()
    }
}
