//! The full mode as a method of the loop.

use std::path::Path;
use std::sync::Arc;

use tch::Tensor;

use super::Run;
use super::full::{Done, Full};
use super::progress::{FinetuneProgress, Stage};
use crate::Result;
use crate::checkpoint::pass;
use crate::config::{Config, to_usize};
use crate::data::{Batch, Loader};
use crate::optim::Cosine;
use crate::train::board::Board;
use crate::train::pace::Pace;
use crate::train::progress::{Control, Lap};
use crate::train::run::{At, Course, Method, Outcome, Verdict, run as train};

/// What it has between two passes.
pub(super) struct Passes<'a> {
    pub full: &'a mut Full,
    pub config: &'a Config,
    pub board: Board,
    /// Of this pass's steps, 0-dim, unread.
    pub losses: Vec<Tensor>,
    /// Their mean in the last pass.
    pub loss: f64,
    /// The learning rate of the last step.
    pub rate: f64,
    /// Steps made, and of the whole run.
    pub done: u64,
    pub total: u64,
}

impl Full {
    /// Makes the passes that are left, and keeps the best.
    pub fn run(mut self, run: &mut Run<'_>, report: &mut dyn FnMut(FinetuneProgress) -> Control) -> Result<Done> {
        let (config, settings) = (run.config, &run.config.finetune);
        let images = self.train.1.len() as u64;
        let batch = settings.batch_size.min(images).max(2);
        let steps = images.div_ceil(batch); // of one pass
        let total = settings.epochs.saturating_mul(steps);
        let schedule = Cosine { base: settings.learning_rate, warmup: 0, total };
        let first = self.epoch * steps;
        let images = to_usize(batch)?;
        let mut loader = Loader::views(
            Arc::clone(&self.train.0),
            self.augmented.clone(),
            config.seed,
            images,
            first..total,
            to_usize(config.workers)?,
        )?;
        let board = self.open_board(config, first)?;
        let (report_every, save_every) = (0, 0);
        let course = Course {
            first,
            end: total,
            total,
            of_pass: steps,
            images,
            report_every,
            save_every,
            schedule,
            seed: config.seed,
        };
        let pace = Pace::new(config, run.device, run.stop.cancel);
        let mut passes = Passes {
            full: &mut self,
            config,
            board,
            losses: Vec::new(),
            loss: f64::NAN,
            rate: f64::NAN,
            done: first,
            total,
        };
        let began = run.began;
        let mut told = |mut progress: FinetuneProgress| {
            progress.elapsed_seconds = began.elapsed().as_secs_f64();
            report(progress)
        };
        run.stop.asked |= train(&mut passes, &mut loader, &course, &pace, &mut told)? == Outcome::Cancelled;
        if !run.stop.asked {
            pass::forget(Path::new(&settings.checkpoint_path));
        }
        Ok(Done { epochs: self.epoch, best_epoch: self.best_epoch, diverged: self.diverged, best: self.best })
    }
}

impl Method for Passes<'_> {
    type Batch = Batch;
    type Report = FinetuneProgress;

    fn step(&mut self, batch: &Batch, at: At) -> Result<()> {
        self.losses.push(self.full.step(batch, self.config, at)?);
        (self.rate, self.done) = (at.learning_rate, at.step + 1);
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.full.out_of_patience(self.config.finetune.patience)
    }

    fn epoch_end(&mut self) -> Result<Verdict> {
        self.full.epoch += 1;
        self.loss = Tensor::f_stack(&self.losses, 0)?.f_mean(None)?.f_double_value(&[])?;
        self.losses.clear();
        self.full.diverged = !self.full.judge(self.loss, self.config)?;
        Ok(if self.full.diverged { Verdict::Enough } else { Verdict::GoOn })
    }

    fn report(&mut self, lap: &Lap) -> Result<FinetuneProgress> {
        Ok(FinetuneProgress {
            stage: Stage::Full,
            done: self.done,
            total: self.total,
            epoch: self.full.epoch,
            loss: self.loss,
            held_out_loss: self.full.last.loss,
            held_out_accuracy: self.full.last.accuracy,
            eta_seconds: lap.eta_seconds,
            elapsed_seconds: lap.elapsed_seconds,
        })
    }

    fn event(&mut self, progress: &FinetuneProgress) -> Option<(&mut Board, Vec<(&'static str, f64)>)> {
        let values = vec![
            ("train/loss", progress.loss),
            ("train/learning_rate", self.rate),
            ("held_out/loss", progress.held_out_loss),
            ("held_out/accuracy", progress.held_out_accuracy),
        ];
        Some((&mut self.board, values))
    }

    fn save(&mut self) -> Result<()> {
        self.full.save(&self.config.finetune.checkpoint_path)
    }

    /// The last pass that is whole was saved; what follows it is made again.
    fn leave(&mut self) -> Result<()> {
        Ok(())
    }
}
