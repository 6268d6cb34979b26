//! MoCo-v2 (He et al., "Momentum contrast", CVPR 2020; Chen et al., "Improved baselines with momentum contrastive learning", 2020): no
//! teacher. A view of an image is to be found among many by what a slow copy of the student says of another view of it.
//!
//! ```text
//! q = student(x)/‖·‖   k = momentum encoder(x')/‖·‖      x, x' two views of an image; the queue holds the k of earlier batches
//! L = InfoNCE(q, k, queue; τ)
//! ```

use std::collections::BTreeMap;

use tch::Tensor;

use super::{Learned, Piece, Strategy, part_of};
use crate::distill::batch::{StepBatch, StepSettings};
use crate::distill::contrast::info_nce_loss;
use crate::distill::momentum::{Momentum, pieces};
use crate::distill::queue::Queue;
use crate::model::Network;
use crate::model::weights::StateDict;
use crate::{Error, Result};

/// The part of a checkpoint.
const PART: &str = "momentum_encoder";

/// The copy that gives the keys, and the loss.
pub struct MocoV2 {
    encoder: Momentum,
    /// τ.
    temperature: f64,
}

impl MocoV2 {
    /// For a run of `student`, whose copy keeps `momentum` of itself at each step.
    ///
    /// # Errors
    /// `OutOfMemory` or `Torch` from libtorch.
    pub fn new(student: &Network, momentum: f64, temperature: f64) -> Result<Self> {
        Ok(Self { encoder: Momentum::new(student, momentum)?, temperature })
    }
}

impl Strategy for MocoV2 {
    fn wants_second_views(&self) -> bool {
        true
    }

    fn pieces(&self, rows: i64) -> u64 {
        pieces(rows).unsigned_abs()
    }

    /// k (B,C).
    fn goal(&self, batch: &StepBatch<'_>, _queue: &Queue, settings: &StepSettings) -> Result<Vec<Tensor>> {
        let other = batch.second.ok_or_else(|| Error::invalid("moco_v2 compares two views of an image, found one"))?;
        Ok(vec![self.encoder.keys_of_step(other, settings)?])
    }

    fn enqueued(&self, _batch: &StepBatch<'_>, goal: &[Tensor]) -> Option<Tensor> {
        goal.first().map(Tensor::shallow_clone)
    }

    fn loss(&self, piece: &Piece<'_>) -> Result<Learned> {
        let loss = info_nce_loss(piece.embedding, piece.target()?, piece.queue, self.temperature)?;
        Ok(Learned::of(loss, piece.embedding))
    }

    /// The copy follows before it gives the next keys.
    fn updated(&mut self, student: &Network, _goal: &[Tensor], _embedding: &Tensor) -> Result<()> {
        self.encoder.follow(student)
    }

    fn parts(&self) -> Result<BTreeMap<String, StateDict>> {
        Ok(BTreeMap::from([(PART.to_owned(), self.encoder.to_state()?)]))
    }

    fn restore(&mut self, parts: &BTreeMap<String, StateDict>) -> Result<()> {
        self.encoder.restore(part_of(parts, PART)?)
    }
}
