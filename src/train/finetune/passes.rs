//! The full mode as a method of the loop.

use tch::Tensor;

use super::full::Full;
use super::progress::{FinetuneProgress, Stage};
use crate::Result;
use crate::config::Config;
use crate::data::Batch;
use crate::train::board::Board;
use crate::train::progress::Lap;
use crate::train::run::{At, Method, Verdict};

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
