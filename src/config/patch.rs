//! The settings of patch similarity, under keys that begin with "patch.": what a student learns of its teacher's feature map beside the
//! embedding of the whole view.

use serde::{Deserialize, Serialize};

use super::Slot;

/// The part of the loss that compares the patches of a view with each other. τ is that of LightlyTrain's distillation, version 3.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PatchConfig {
    /// Weight of the patch loss beside the method's. 0: there is none.
    pub weight: f64,
    /// τ, which divides the similarities of both networks' patches.
    pub temperature: f64,
    /// Pixels of the view to one patch, in both networks' maps, as each network has them (8, 16 or 32, of a Vision Transformer its patch).
    /// 0: the last map of each.
    pub stride: u64,
}

impl Default for PatchConfig {
    fn default() -> Self {
        Self { weight: 0.0, temperature: 0.07, stride: 0 }
    }
}

pub(super) const KEYS: &[(&str, Slot)] = &[
    ("patch.weight", Slot::Float(|c| &mut c.patch.weight, 0.0, 1000.0)),
    ("patch.temperature", Slot::Float(|c| &mut c.patch.temperature, 1e-3, 100.0)),
    ("patch.stride", Slot::Int(|c| &mut c.patch.stride, 0, 64)),
];
