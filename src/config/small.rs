//! Small patches: further, smaller views of each image (multi-crop), which both networks see (Fang et al., 2021, §4.4; the scales are those of
//! SwAV, Caron et al., 2020); of the method "swav" those beside its two large views.

use serde::{Deserialize, Serialize};

use super::Slot;
use crate::data::{Input, ViewConfig};

/// How many small views an image has in each batch, and what they show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SmallConfig {
    /// Small views of each image in a batch, in addition to its large ones. 0: none.
    pub count: u64,
    /// Their shorter side in pixels; the sides have the ratio of those of the large views.
    pub size: u32,
    /// Smallest share of the frame's area that a small view covers.
    pub crop_scale_min: f64,
    /// Largest share of the frame's area that a small view covers.
    pub crop_scale_max: f64,
}

impl Default for SmallConfig {
    fn default() -> Self {
        Self { count: 0, size: 96, crop_scale_min: 0.05, crop_scale_max: 0.14 }
    }
}

impl SmallConfig {
    /// What small views are drawn from where `view` is what large ones are.
    pub fn view(&self, view: &ViewConfig) -> ViewConfig {
        let shorter = view.input.width.min(view.input.height).max(1);
        let side = |side: u32| ((u64::from(side) * u64::from(self.size)) / u64::from(shorter)).clamp(1, 4096) as u32;
        ViewConfig {
            input: Input { width: side(view.input.width), height: side(view.input.height), ..view.input },
            crop_scale_min: self.crop_scale_min,
            crop_scale_max: self.crop_scale_max,
            ..view.clone()
        }
    }
}

pub(super) const KEYS: &[(&str, Slot)] = &[
    ("small.count", Slot::Int(|c| &mut c.small.count, 0, 62)),
    ("small.size", Slot::Side(|c| &mut c.small.size, 8, 4096)),
    ("small.crop_scale_min", Slot::Float(|c| &mut c.small.crop_scale_min, 1e-4, 1.0)),
    ("small.crop_scale_max", Slot::Float(|c| &mut c.small.crop_scale_max, 1e-4, 1.0)),
];
