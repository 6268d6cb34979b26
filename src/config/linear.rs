//! The settings of the linear probe by SGD, under keys that begin with "linear.". Defaults are those of the released code of MoCo and SEED
//! (He et al., CVPR 2020, §4.1; Fang et al., 2021, §4.2).

use serde::{Deserialize, Serialize};

use super::Slot;

/// How a linear classifier learns by SGD on the features of a frozen backbone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LinearConfig {
    /// Passes over the training images, each of N/B steps rounded up, so of full batches. The learning rate drops to a tenth after three
    /// fifths of them, and again after four fifths.
    pub epochs: u64,
    /// Images a step, B.
    pub batch_size: u64,
    /// Learning rate for 256 images a step; the probe uses linear.learning_rate·B/256.
    pub learning_rate: f64,
    /// Momentum of the probe's SGD.
    pub momentum: f64,
    /// L2 penalty of the probe's SGD.
    pub weight_decay: f64,
    /// Smallest share of the frame's area that a training view covers. Such a view has neither jitter nor blur; ratio and flips are those
    /// of "view.".
    pub crop_scale_min: f64,
    /// Largest share of the frame's area that a training view covers.
    pub crop_scale_max: f64,
}

impl Default for LinearConfig {
    fn default() -> Self {
        Self {
            epochs: 100,
            batch_size: 256,
            learning_rate: 30.0,
            momentum: 0.9,
            weight_decay: 0.0,
            crop_scale_min: 0.08,
            crop_scale_max: 1.0,
        }
    }
}

pub(super) const KEYS: &[(&str, Slot)] = &[
    ("linear.epochs", Slot::Int(|c| &mut c.linear.epochs, 1, 1_000_000)),
    ("linear.batch_size", Slot::Int(|c| &mut c.linear.batch_size, 1, 65_536)),
    ("linear.learning_rate", Slot::Float(|c| &mut c.linear.learning_rate, 0.0, 1e6)),
    ("linear.momentum", Slot::Float(|c| &mut c.linear.momentum, 0.0, 0.9999)),
    ("linear.weight_decay", Slot::Float(|c| &mut c.linear.weight_decay, 0.0, 1.0)),
    ("linear.crop_scale_min", Slot::Float(|c| &mut c.linear.crop_scale_min, 1e-4, 1.0)),
    ("linear.crop_scale_max", Slot::Float(|c| &mut c.linear.crop_scale_max, 1e-4, 1.0)),
];
