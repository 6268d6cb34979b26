//! The settings of segmentation, under keys that begin with "segment.".

use serde::{Deserialize, Serialize};

use super::{ClassWeights, Slot};

/// How a segmenter is made of a student and a few masks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SegmentConfig {
    /// Names of the feature maps that pixels are classified by, separated by commas; empty: those of strides 4, 8 and 16. The largest of
    /// them determines how fine the masks are.
    pub layers: String,
    /// λ of the linear fit's ½·λ·‖W‖², on features of deviation 1; 0: the value from 1 to 10⁴ that is best on a fifth of the masks, or 100
    /// with fewer than five masks.
    pub penalty: f64,
    /// "balanced": the pixels of each class together have the same weight, so that small defects are found, along with more false pixels.
    /// "none": each pixel weighs 1.
    pub class_weights: ClassWeights,
    /// Most cells of the maps that are learned from; if there are more, a random part of each frame's is used.
    pub cells_max: u64,
    /// In seed_segmentation_evaluate: the most masks of a class that are learned from; 0: all that are not for testing.
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
