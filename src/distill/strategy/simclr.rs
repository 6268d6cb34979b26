//! SimCLR (Chen et al., "A simple framework for contrastive learning of visual representations", ICML 2020): no teacher, no queue. Each
//! view of a batch is to find the other view of its image among all the others.
//!
//! ```text
//! z = student([x; x'])/‖·‖ (2B,C)      L = NT-Xent(z; τ)      both views in one pass, so that they share their statistics
//! ```

use tch::Tensor;

use super::{Learned, Piece, Strategy};
use crate::distill::batch::{StepBatch, StepSettings};
use crate::distill::contrast::nt_xent_loss;
use crate::distill::queue::Queue;
use crate::{Error, Result};

/// The loss.
#[derive(Debug, Clone, Copy)]
pub struct SimClr {
    /// τ.
    pub temperature: f64,
}

impl Strategy for SimClr {
    fn wants_second_views(&self) -> bool {
        true
    }

    fn joins_views(&self) -> bool {
        true
    }

    /// Nothing; a batch that has nothing to compare is refused before the student has seen it.
    fn goal(&self, batch: &StepBatch<'_>, _queue: &Queue, _settings: &StepSettings) -> Result<Vec<Tensor>> {
        match batch.views.size()[0] {
            0 | 1 => Err(Error::invalid("simclr compares two images at least, the batch has one: raise batch_size")),
            _ => Ok(Vec::new()),
        }
    }

    fn enqueued(&self, _batch: &StepBatch<'_>, _goal: &[Tensor]) -> Option<Tensor> {
        None
    }

    fn loss(&self, piece: &Piece<'_>) -> Result<Learned> {
        Ok(Learned::of(nt_xent_loss(piece.embedding, self.temperature)?, piece.embedding))
    }
}
