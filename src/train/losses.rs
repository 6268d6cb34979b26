//! The losses of a run that were not read yet, so that no step waits for the device, and what is said when they are.

use tch::Tensor;

use super::collapse::Collapse;
use super::distill::Distillation;
use super::shared::with_lock;
use crate::distill::UnreadTargets;
use crate::distill::step::Step;
use crate::finite::{self, Names};
use crate::{Error, ErrorKind, Result};

/// Steps since the last report, unread.
#[derive(Default)]
pub(super) struct Losses {
    /// Each step's loss, 0-dim.
    pub unread: Vec<Tensor>,
    targets: UnreadTargets,
    /// The embeddings (B,C) of the last step, and the teacher's where there is one.
    last: Option<(Tensor, Option<Tensor>)>,
    collapse: Collapse,
}

impl Losses {
    /// Keeps what a step gave; `names` says which image a row is of, and `has_teacher` whether its target is a teacher's.
    pub fn push(&mut self, step: Step, has_teacher: bool, names: Names) -> Result<()> {
        if let (true, Some(target)) = (has_teacher, &step.target) {
            self.targets.push(target, names)?;
        }
        self.unread.push(step.loss);
        self.last = Some((step.embedding, step.target.filter(|_| has_teacher)));
        Ok(())
    }
}

impl Distillation {
    /// Mean of the losses since the last call; waits for the device. Warns of a student that has collapsed.
    pub(super) fn read_loss(&mut self) -> Result<f64> {
        let mean = self.finite_loss()?;
        self.losses.unread.clear();
        self.losses.targets.clear();
        if let Some((embedding, target)) = self.losses.last.take() {
            let end = self.step == self.total_steps();
            if let Some(warning) =
                self.losses.collapse.look(&embedding, target.as_ref(), self.step, end, &self.config)?
            {
                self.warnings.add(warning);
            }
        }
        Ok(mean)
    }

    /// Mean of the losses that were not read yet, or an error where they are none: the teacher's fault, or the run has diverged.
    pub(super) fn finite_loss(&self) -> Result<f64> {
        let mean = Tensor::f_stack(&self.losses.unread, 0)?.f_mean(None)?.f_double_value(&[])?;
        if mean.is_finite() {
            return Ok(mean);
        }
        self.losses.targets.check(&self.targets)?;
        if with_lock(&self.queue, |queue| finite::bad_entry(queue.rows()))?.is_some() {
            return Err(Error::mismatch(format!(
                "the loss is {mean} by step {}: the queue holds {}, which its teacher gave",
                self.step,
                finite::NONE
            )));
        }
        Err(Error::new(
            ErrorKind::Torch,
            format!(
                "the loss is {mean} by step {}: the student has diverged; resume from the last checkpoint with a lower \
                 learning_rate (now {}) or precision \"fp32\"",
                self.step, self.config.learning_rate
            ),
        ))
    }
}
