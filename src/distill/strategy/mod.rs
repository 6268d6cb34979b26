//! What a student learns of its teacher's embeddings: SEED's loss, and those that the paper compares it with (Fang et al., 2021, table
//! of strategies); and three that need no teacher. All of them in float32, with the gradient through the student, and through what a
//! strategy trains beside it.
//!
//! A strategy is a file here and a row in the table of `train/strategies.rs`, which knows it by its name. [`distill`](super::step::distill)
//! asks it in this order:
//!
//! ```text
//! goal        once a step, over the whole batch: what its rows are to learn, such as t (B,C) or the assignment q (B,P)
//! loss        once a piece of the batch: value and gradients
//! updated     once, after the optimiser has changed student and parameters
//! ```

pub mod binary_contrastive;
pub mod k_means;
pub mod l2;
pub mod moco;
pub mod online_clustering;
pub mod prototypes;
pub mod seed_moco;
pub mod simclr;
pub mod spherical_k_means;
pub mod swav;

use std::collections::BTreeMap;

use tch::Tensor;

use super::batch::{StepBatch, StepSettings};
use super::loss::{Loss, Temperatures, seed_loss};
use super::patches::{PatchTerm, patch_loss, unit_patches};
use super::queue::Queue;
use crate::model::Network;
use crate::model::weights::{HostTensor, StateDict};
use crate::{Error, Result};

pub use binary_contrastive::BinaryContrastive;
pub use k_means::KMeans;
pub use l2::L2;
pub use moco::MocoV2;
pub use online_clustering::OnlineClustering;
pub use prototypes::Prototypes;
pub use seed_moco::{Moco, SeedMoco};
pub use simclr::SimClr;
pub use swav::{SwAv, SwAvSettings};

/// The loss of a run, with what it needs and trains beside embeddings and queue.
pub trait Strategy: Send {
    /// What the rows of a batch are to learn: tensors of B rows each, of which each piece gets its own. The teacher's rows themselves,
    /// unless a strategy makes something else of them.
    ///
    /// # Errors
    /// `InvalidArgument` for a batch that the strategy has nothing to say of; those of libtorch.
    fn goal(&self, batch: &StepBatch<'_>, _queue: &Queue, _settings: &StepSettings) -> Result<Vec<Tensor>> {
        Ok(vec![batch.taught()?.shallow_clone()])
    }

    /// The rows (B,C) that go into the queue after the step, if any: the teacher's, unless a strategy has others.
    fn enqueued(&self, batch: &StepBatch<'_>, _goal: &[Tensor]) -> Option<Tensor> {
        batch.target.map(Tensor::shallow_clone)
    }

    /// Whether all views of the images belong to one loss: the rows of the first ones, then those of the second and of the
    /// [small](StepBatch::small) ones, one after another. Views of one size go through the backbone at once, all of them through the head.
    fn joins_views(&self) -> bool {
        false
    }

    /// Loss of a piece of the batch, and its gradients.
    ///
    /// # Errors
    /// `InvalidArgument` for shapes and formats that do not fit; those of libtorch.
    fn loss(&self, piece: &Piece<'_>) -> Result<Learned>;

    /// What it trains beside the student, by names that no parameter of a network has: handles to its own tensors.
    fn parameters(&self) -> Vec<(String, Tensor)> {
        Vec::new()
    }

    /// After the optimiser's step, which learned `goal`; `embedding` has all rows of the batch as they were before it, without a gradient.
    ///
    /// # Errors
    /// Those of libtorch.
    fn updated(&mut self, _student: &Network, _goal: &[Tensor], _embedding: &Tensor) -> Result<()> {
        Ok(())
    }

    /// Whether it takes a second view of each image ([`StepBatch::second`]).
    fn wants_second_views(&self) -> bool {
        false
    }

    /// In how many pieces a batch of so many images goes through the student at least.
    fn pieces(&self, _batch: i64) -> u64 {
        1
    }

    /// Whether it has yet to be told what the teacher says of the images; see [`prepare`](Strategy::prepare).
    fn wants_embeddings(&self) -> bool {
        false
    }

    /// Takes, before the first step, what the teacher says of the images that the run learns from. Where `go_on` says no, it gives up and
    /// still [wants](Strategy::wants_embeddings) them.
    ///
    /// # Errors
    /// `InvalidArgument` where these images are too few; `OutOfMemory` or `Torch` from libtorch.
    fn prepare(&mut self, _known: &Known, _go_on: &dyn Fn() -> bool) -> Result<()> {
        Ok(())
    }

    /// What the caller should know of what it was told, the same after [`prepare`](Strategy::prepare) and in a resumed run.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// What a checkpoint keeps beside student, optimiser and queue, by the names of its parts.
    ///
    /// # Errors
    /// `OutOfMemory` or `Torch` from libtorch.
    fn parts(&self) -> Result<BTreeMap<String, StateDict>> {
        Ok(BTreeMap::new())
    }

    /// Puts back what [`parts`](Strategy::parts) gave; others may lie beside them. Nothing is changed on error.
    ///
    /// # Errors
    /// `Mismatch` where a part is missing or does not fit.
    fn restore(&mut self, _parts: &BTreeMap<String, StateDict>) -> Result<()> {
        Ok(())
    }
}

/// A piece of a step's batch, as the student has embedded it.
pub struct Piece<'a> {
    /// The backbone's features (b,F), in the format of the forward pass, within autograd.
    pub features: &'a Tensor,
    /// s (b,C), unit rows in float32, within autograd.
    pub embedding: &'a Tensor,
    /// The piece's rows of each tensor of [`Strategy::goal`].
    pub goal: &'a [Tensor],
    /// D (K,C).
    pub queue: &'a Tensor,
    /// As in [`StepSettings`].
    pub epoch: Option<u64>,
}

impl Piece<'_> {
    /// The teacher's rows t (b,C), where the goal is nothing else.
    fn target(&self) -> Result<&Tensor> {
        self.goal.first().ok_or_else(|| Error::invalid("a strategy was given a piece without a goal"))
    }
}

/// What the teacher says of whole frames of the data set.
pub struct Known {
    /// Images of the whole data set.
    pub images: usize,
    /// Whose rows these are, n of them.
    pub numbers: Vec<usize>,
    /// (n,C), row after row.
    pub rows: Vec<f32>,
    /// C.
    pub dim: usize,
}

/// The value of a loss, and its gradients with respect to tensors within autograd.
pub struct Learned {
    /// L, 0-dim, unread.
    pub value: Tensor,
    /// Each tensor with ∂L/∂ of it.
    pub gradients: Vec<(Tensor, Tensor)>,
}

impl Learned {
    /// A loss that depends on the embedding alone.
    pub fn of(loss: Loss, embedding: &Tensor) -> Self {
        Self { value: loss.value, gradients: vec![(embedding.shallow_clone(), loss.gradient)] }
    }

    /// With the similarities of the patches of `map` (b,C,h,w), the student's, within autograd, beside this loss.
    ///
    /// # Errors
    /// Those of [`patch_loss`].
    pub fn with_patches(mut self, patches: PatchTerm<'_>, map: &Tensor) -> Result<Self> {
        let (_, _, height, width) = patches.teacher.size4()?;
        let grid = [height, width];
        let own = unit_patches(map, grid)?;
        let loss = patch_loss(&own, &unit_patches(patches.teacher, grid)?, patches.temperature)?;
        self.value = self.value.f_add(&loss.value.f_mul_scalar(patches.weight)?)?;
        self.gradients.push((own, loss.gradient.f_mul_scalar(patches.weight)?));
        Ok(self)
    }

    /// Multiplies loss and gradients.
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn times(self, share: f64) -> Result<Self> {
        let gradients = self.gradients.into_iter().map(|(of, gradient)| Ok((of, gradient.f_mul_scalar(share)?)));
        Ok(Self { value: self.value.f_mul_scalar(share)?, gradients: gradients.collect::<Result<_>>()? })
    }

    /// Backpropagates: the gradient of Σ x·g over all pairs, each g a constant, is g.
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn backward(&self) -> Result<()> {
        let mut sum: Option<Tensor> = None;
        for (of, gradient) in &self.gradients {
            let product = of.f_mul(gradient)?.f_sum(None)?;
            sum = Some(match sum {
                Some(sum) => sum.f_add(&product)?,
                None => product,
            });
        }
        Ok(sum.map_or(Ok(()), |sum| sum.f_backward())?)
    }
}

/// Similarities over the queue as the teacher has them ([`seed_loss`]).
#[derive(Debug, Clone, Copy)]
pub struct Seed {
    /// τ_S and τ_T.
    pub temperatures: Temperatures,
}

impl Strategy for Seed {
    fn loss(&self, piece: &Piece<'_>) -> Result<Learned> {
        let loss = seed_loss(piece.embedding, piece.target()?, piece.queue, self.temperatures)?;
        Ok(Learned::of(loss, piece.embedding))
    }
}

/// A part of a checkpoint without metadata.
fn part(tensors: &[(&str, &Tensor)]) -> Result<StateDict> {
    let tensors = tensors.iter().map(|(name, tensor)| Ok(((*name).to_owned(), HostTensor::from_tensor(tensor)?)));
    Ok(StateDict { tensors: tensors.collect::<Result<_>>()?, metadata: BTreeMap::new() })
}

/// The part `name` of a checkpoint.
fn part_of<'a>(parts: &'a BTreeMap<String, StateDict>, name: &str) -> Result<&'a StateDict> {
    parts.get(name).ok_or_else(|| Error::mismatch(format!("the checkpoint has no part \"{name}\"")))
}

/// The tensor `name` of a part, which must be as `own` is; it is not trusted.
fn stored(part: &StateDict, name: &str, own: &Tensor) -> Result<Tensor> {
    let found = part.tensors.get(name).map(HostTensor::to_tensor).transpose()?;
    let found = found.ok_or_else(|| Error::mismatch(format!("the checkpoint has no tensor \"{name}\"")))?;
    if found.size() != own.size() || found.kind() != own.kind() {
        return Err(Error::mismatch(format!(
            "\"{name}\" is {:?} {:?} in the checkpoint, expected {:?} {:?}",
            found.kind(),
            found.size(),
            own.kind(),
            own.size()
        )));
    }
    if found.f_isfinite()?.f_all()?.f_int64_value(&[])? == 0 {
        return Err(Error::mismatch(format!("\"{name}\" holds numbers that are not finite")));
    }
    Ok(found)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Of a step that is not made.
    pub const SETTINGS: StepSettings = StepSettings {
        precision: tch::Kind::Float,
        learning_rate: 0.1,
        noise: 5,
        running_norm: false,
        pieces: 1,
        clip_norm: 0.0,
        epoch: None,
    };
}
