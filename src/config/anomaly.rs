//! The settings of anomaly detection, under keys that begin with "anomaly.".

use serde::{Deserialize, Serialize};

use super::Slot;
use crate::choice::choice;

choice! {
    /// What a detector compares a part with.
    #[derive(Default)]
    pub enum DetectorKind {
        /// A memory of good parts' patches.
        #[default]
        PatchCore = "patchcore",
        /// A second network that has learned the feature maps of good parts.
        Stfpm = "stfpm",
    }
}

choice! {
    /// What is held out together.
    pub enum Group {
        /// Each image by itself.
        Image = "image",
        /// The images whose names are the same up to the last /.
        Folder = "folder",
        /// Images that follow each other.
        Block = "block",
    }
}

/// How a detector is made of good parts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AnomalyConfig {
    /// "patchcore": a memory of the patches of good parts. "stfpm": a second network learns the feature maps of good parts, and where it
    /// fails is a defect (Wang et al., 2021).
    pub kind: DetectorKind,
    /// Names of the feature maps that are compared, separated by commas; empty: those of strides 8 and 16, for stfpm also of stride 4.
    pub layers: String,
    /// Share of the good parts' patches that the memory keeps.
    pub memory_share: f64,
    /// Fewest patches in the memory, if the good parts have as many: the share of few good parts would be only a handful.
    pub memory_min: u64,
    /// Most patches in the memory.
    pub memory_max: u64,
    /// Most patches from which the memory is chosen; if there are more, a random part is used.
    pub pool_max: u64,
    /// Number of neighbours in the memory that weight the image score, b.
    pub neighbours: u64,
    /// Share of the good parts that is held out to set the threshold.
    pub held_out: f64,
    /// Which images are held out together because they resemble each other: "image", each on its own; "folder", images whose names are the
    /// same up to the last /; "block", `block_size` consecutive images.
    pub group: Group,
    /// Images of a block.
    pub block_size: u64,
    /// Share of good parts that may raise an alarm.
    pub false_alarm_rate: f64,
    /// Confidence with which this very detector keeps that rate; 0: the rate holds on average over the choice of held-out parts.
    pub confidence: f64,
    /// σ of the heat map's blur, in pixels of the view (patchcore).
    pub blur_sigma: f64,
    /// Passes over the good parts (stfpm).
    pub epochs: u64,
    /// Images a step (stfpm).
    pub batch_size: u64,
    /// Learning rate of SGD with momentum .9 and weight decay 1e-4 (stfpm).
    pub learning_rate: f64,
    /// File for the state after each pass (stfpm); empty: none is written.
    pub checkpoint_path: String,
}

/// A threshold that no draw can break would lie at infinity.
pub const MAX_CONFIDENCE: f64 = 0.999_999;

impl Default for AnomalyConfig {
    fn default() -> Self {
        Self {
            kind: DetectorKind::PatchCore,
            layers: String::new(),
            memory_share: 0.01,
            memory_min: 1000,
            memory_max: 10_000,
            pool_max: 100_000,
            neighbours: 9,
            held_out: 0.2,
            group: Group::Image,
            block_size: 32,
            false_alarm_rate: 0.01,
            confidence: 0.0,
            blur_sigma: 4.0,
            epochs: 100,
            batch_size: 32,
            learning_rate: 0.4,
            checkpoint_path: String::new(),
        }
    }
}

/// Every key of this part.
pub const KEYS: &[(&str, Slot)] = &[
    ("anomaly.kind", Slot::Word(|c| &mut c.anomaly.kind)),
    ("anomaly.layers", Slot::Text(|c| &mut c.anomaly.layers)),
    ("anomaly.memory_share", Slot::Float(|c| &mut c.anomaly.memory_share, 1e-6, 1.0)),
    ("anomaly.memory_min", Slot::Int(|c| &mut c.anomaly.memory_min, 0, 1 << 24)),
    ("anomaly.memory_max", Slot::Int(|c| &mut c.anomaly.memory_max, 1, 1 << 24)),
    ("anomaly.pool_max", Slot::Int(|c| &mut c.anomaly.pool_max, 1, 1 << 28)),
    ("anomaly.neighbours", Slot::Int(|c| &mut c.anomaly.neighbours, 1, 1024)),
    ("anomaly.held_out", Slot::Float(|c| &mut c.anomaly.held_out, 0.0, 0.9)),
    ("anomaly.group", Slot::Word(|c| &mut c.anomaly.group)),
    ("anomaly.block_size", Slot::Int(|c| &mut c.anomaly.block_size, 1, 1 << 28)),
    ("anomaly.false_alarm_rate", Slot::Float(|c| &mut c.anomaly.false_alarm_rate, 1e-6, 1.0)),
    ("anomaly.confidence", Slot::Float(|c| &mut c.anomaly.confidence, 0.0, MAX_CONFIDENCE)),
    ("anomaly.blur_sigma", Slot::Float(|c| &mut c.anomaly.blur_sigma, 0.0, 100.0)),
    ("anomaly.epochs", Slot::Int(|c| &mut c.anomaly.epochs, 1, 1_000_000)),
    ("anomaly.batch_size", Slot::Int(|c| &mut c.anomaly.batch_size, 1, 65_536)),
    ("anomaly.learning_rate", Slot::Float(|c| &mut c.anomaly.learning_rate, 0.0, 100.0)),
    ("anomaly.checkpoint_path", Slot::Text(|c| &mut c.anomaly.checkpoint_path)),
];
