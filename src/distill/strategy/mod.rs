//! What a student learns of its teacher's embeddings: SEED's loss, and those that the paper compares it with (Fang et al., 2021, table
//! of strategies). All of them over the same frozen teacher, in float32, with the gradient through the student only.

pub mod binary_contrastive;
pub mod l2;

use tch::Tensor;

use super::loss::{Loss, Temperatures, seed_loss};
use crate::Result;
use binary_contrastive::binary_contrastive_loss;
use l2::l2_loss;

/// The loss of a run, with what it needs beside embeddings and queue.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Strategy {
    /// Similarities over the queue as the teacher has them ([`seed_loss`]).
    Seed,
    /// Each embedding as the teacher has it ([`l2_loss`]).
    L2,
    /// The teacher's embedding of the same view among those of the queue ([`binary_contrastive_loss`]).
    BinaryContrastive {
        /// Images of the data set, N.
        images: u64,
    },
}

impl Strategy {
    /// Loss and gradient of unit rows `student` (B,C) and `teacher` (B,C) over `queue` (K,C).
    ///
    /// # Errors
    /// Those of the loss.
    pub fn loss(self, student: &Tensor, teacher: &Tensor, queue: &Tensor, temperatures: Temperatures) -> Result<Loss> {
        match self {
            Strategy::Seed => seed_loss(student, teacher, queue, temperatures),
            Strategy::L2 => l2_loss(student, teacher),
            Strategy::BinaryContrastive { images } => {
                binary_contrastive_loss(student, teacher, queue, temperatures.student, images)
            }
        }
    }
}
