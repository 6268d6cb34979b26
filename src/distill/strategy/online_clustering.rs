//! Online clustering as SwAV does it (Caron et al., "Unsupervised learning of visual features by contrasting cluster assignments",
//! NeurIPS 2020), over a frozen teacher: the student is to find which [prototypes](Prototypes) the teacher's embedding belongs to.
//!
//! ```text
//! q = Sinkhorn(t·cᵀ/ε)        over batch and queue
//! L = −mean_i Σ_p q_ip · log softmax(s·cᵀ/τ)_ip        through s and the prototypes c
//! ```
//!
//! Of the queue only rows that came from a teacher take part: its first noise would take prototypes away from images. Memory is O((B+K)·P).

use std::collections::BTreeMap;

use tch::{Device, Tensor};

use super::prototypes::{Prototypes, assignment, clustering_loss};
use super::{Learned, Piece, Strategy};
use crate::Result;
use crate::distill::batch::{StepBatch, StepSettings};
use crate::distill::queue::Queue;
use crate::model::Network;
use crate::model::weights::StateDict;

/// τ (SwAV, appendix A).
const TEMPERATURE: f64 = 0.1;

/// Prototypes, and the loss over them.
#[derive(Debug)]
pub struct OnlineClustering {
    prototypes: Prototypes,
}

impl OnlineClustering {
    /// `count` prototypes of `width` numbers on `device`: unit noise drawn from `seed`.
    ///
    /// # Errors
    /// `InvalidArgument` without a prototype; `OutOfMemory` or `Torch` from libtorch.
    pub fn new(count: i64, width: i64, seed: u64, device: Device) -> Result<Self> {
        Ok(Self { prototypes: Prototypes::new(count, width, seed, device)? })
    }
}

impl Strategy for OnlineClustering {
    /// q (B,P).
    fn goal(&self, batch: &StepBatch<'_>, queue: &Queue, _settings: &StepSettings) -> Result<Vec<Tensor>> {
        let known = queue.rows().f_narrow(0, 0, queue.len())?;
        Ok(vec![assignment(batch.taught()?, &known, &self.prototypes.rows().f_detach()?)?])
    }

    fn loss(&self, piece: &Piece<'_>) -> Result<Learned> {
        clustering_loss(piece.embedding, piece.target()?, self.prototypes.rows(), TEMPERATURE)
    }

    fn parameters(&self) -> Vec<(String, Tensor)> {
        self.prototypes.parameters()
    }

    fn updated(&mut self, _student: &Network, _goal: &[Tensor], _embedding: &Tensor) -> Result<()> {
        self.prototypes.normalise()
    }

    fn parts(&self) -> Result<BTreeMap<String, StateDict>> {
        self.prototypes.parts()
    }

    fn restore(&mut self, parts: &BTreeMap<String, StateDict>) -> Result<()> {
        self.prototypes.restore(parts)
    }
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;
    use crate::distill::strategy::prototypes::tests::{apart, unit};
    use crate::distill::strategy::tests::SETTINGS;

    #[test]
    fn the_queues_first_noise_takes_no_part() {
        let clusters = OnlineClustering::new(4, 16, 1, Device::Cpu).unwrap();
        let target = unit(6, 2).to_kind(Kind::Float);
        let batch =
            StepBatch { views: &target, target: Some(&target), images: None, second: None, small: &[], patches: None };
        let goal = |queue: &Queue| clusters.goal(&batch, queue, &SETTINGS).unwrap().remove(0);
        let (mut short, mut long) =
            (Queue::new(3, 16, 3, Device::Cpu).unwrap(), Queue::new(30, 16, 4, Device::Cpu).unwrap());
        assert!(apart(&goal(&short), &goal(&long)) == 0.0);
        let rows = unit(3, 5).to_kind(Kind::Float);
        let before = goal(&short);
        short.push(&rows).unwrap();
        long.push(&rows).unwrap();
        assert!(apart(&goal(&short), &goal(&long)) == 0.0 && apart(&goal(&short), &before) > 1e-4);
    }
}
