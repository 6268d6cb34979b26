//! The settings of segmentation, under keys that begin with "segment.".

use serde::{Deserialize, Serialize};

use super::{ClassWeights, Slot};

/// How a segmenter is made of a student and a few masks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SegmentConfig {
    /// Names of the feature maps that pixels are told apart by, with commas between them; empty: those of strides 4, 8 and 16. The largest
    /// of them decides how fine the masks are.
    pub layers: String,
    /// λ of the linear fit's ½·λ·‖W‖², on features of deviation 1; 0: the best on a fifth of the masks of 1 to 10⁴, or 100 where there
    /// are fewer than five.
    pub penalty: f64,
    /// "balanced": a class's pixels weigh as much as any other class's together, so that small defects are found, and more pixels besides.
    /// "none": each pixel weighs 1.
    pub class_weights: ClassWeights,
    /// Most cells of the maps that are learned from; of more, a random part of each frame's.
    pub cells_max: u64,
    /// In seed_segmentation_evaluate: at most so many masks of a class are learned from; 0: all that are not for testing.
    pub masks_per_class: u64,
}

impl Default for SegmentConfig {
    fn default() -> Self {
        Self {
            layers: String::new(),
            penalty: 0.0,
            class_weights: ClassWeights::None,
            cells_max: 20_000,
            masks_per_class: 0,
        }
    }
}

pub(super) const KEYS: &[(&str, Slot)] = &[
    ("segment.layers", Slot::Text(|c| &mut c.segment.layers)),
    ("segment.penalty", Slot::Float(|c| &mut c.segment.penalty, 0.0, 1e9)),
    ("segment.class_weights", Slot::Word(|c| &mut c.segment.class_weights)),
    ("segment.cells_max", Slot::Int(|c| &mut c.segment.cells_max, 1000, 1 << 40)),
    ("segment.masks_per_class", Slot::Int(|c| &mut c.segment.masks_per_class, 0, 1 << 40)),
];
