//! The methods of distillation and of learning without a teacher, and the settings of single ones, under keys that begin with a method's name.

use serde::{Deserialize, Serialize};

use super::Slot;
use crate::choice::choice;

choice! {
    /// What a run learns by: SEED's similarities over the queue, what the paper compares it with, and three that need no teacher.
    pub enum MethodName {
        /// SEED's similarities over the queue.
        Seed = "seed",
        /// Each embedding as it is.
        L2 = "l2",
        /// The teacher's clusters.
        KMeans = "k_means",
        /// Clusters that move with the student.
        OnlineClustering = "online_clustering",
        /// Contrastive representation distillation.
        BinaryContrastive = "binary_contrastive",
        /// SEED's and MoCo-v2's.
        SeedMoco = "seed_moco",
        /// Momentum contrast, without a teacher.
        MocoV2 = "moco_v2",
        /// Two views of each image against all others of the batch, without a teacher.
        SimClr = "simclr",
        /// The prototypes of one view predicted from the others, without a teacher.
        SwAv = "swav",
    }
}

/// What single methods need beside the settings that all have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MethodsConfig {
    /// Number of clusters into which "k_means" divides the images that the run learns from. 0: one for every ten of them, at least 1 and at
    /// most 1000.
    pub clusters: u64,
    /// Prototypes of "online_clustering"; a step needs 4 bytes for each pair of a prototype and a row of the batch or queue.
    pub prototypes: u64,
    /// λ, the weight of MoCo's loss in "seed_moco". 0: the method is "seed", bit for bit.
    pub moco_weight: f64,
    /// Share of itself that the momentum encoder of "moco_v2" and "seed_moco" keeps at each step.
    pub momentum: f64,
    /// Prototypes of "swav". 0: one for every ten images that the run learns from, at least 8 and at most the 3000 of the paper.
    pub swav_prototypes: u64,
    /// Rows of the queue of each of the two large views of "swav", so that a small batch can be distributed among many prototypes. 0: no
    /// queue.
    pub swav_queue: u64,
    /// The pass over the images, counted from 0, from which "swav" uses its queues, once they are full. A run without a data set uses them
    /// as soon as they are full.
    pub swav_queue_epoch: u64,
    /// Passes over the images in which the prototypes of "swav" stay fixed. A run without a data set has none.
    pub swav_frozen_epochs: u64,
}

impl Default for MethodsConfig {
    fn default() -> Self {
        Self {
            clusters: 0,
            prototypes: 512,
            moco_weight: 1.0,
            momentum: 0.999,
            swav_prototypes: 0,
            swav_queue: 3840,
            swav_queue_epoch: 15,
            swav_frozen_epochs: 1,
        }
    }
}

pub(super) const KEYS: &[(&str, Slot)] = &[
    ("k_means.clusters", Slot::Int(|c| &mut c.methods.clusters, 0, 65_536)),
    ("moco_v2.momentum", Slot::Float(|c| &mut c.methods.momentum, 0.0, 1.0)),
    ("online_clustering.prototypes", Slot::Int(|c| &mut c.methods.prototypes, 1, 65_536)),
    ("seed_moco.weight", Slot::Float(|c| &mut c.methods.moco_weight, 0.0, 1000.0)),
    ("swav.frozen_epochs", Slot::Int(|c| &mut c.methods.swav_frozen_epochs, 0, 1_000_000)),
    ("swav.prototypes", Slot::Int(|c| &mut c.methods.swav_prototypes, 0, 65_536)),
    ("swav.queue", Slot::Int(|c| &mut c.methods.swav_queue, 0, 1 << 24)),
    ("swav.queue_epoch", Slot::Int(|c| &mut c.methods.swav_queue_epoch, 0, 1_000_000)),
];
