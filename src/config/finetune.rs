//! The settings of fine-tuning, under keys that begin with "finetune.".

use serde::{Deserialize, Serialize};

use super::Slot;
use crate::choice::choice;

choice! {
    /// Which layers learn.
    pub enum FinetuneMode {
        /// A linear classifier on the features of a backbone that stays as it is.
        Linear = "linear",
        /// That first, then all layers.
        Full = "full",
    }
}

choice! {
    /// How much an image weighs in the loss.
    pub enum ClassWeights {
        /// Each image weighs 1.
        None = "none",
        /// A class's images weigh as much as any other class's together.
        Balanced = "balanced",
    }
}

choice! {
    /// Which views the full mode learns from.
    pub enum Augmentation {
        /// Crops of at least 60 %, flips, little brightness and contrast.
        Mild = "mild",
        /// Those of distillation.
        Views = "views",
    }
}

choice! {
    /// How the threshold of the answer "unsure" is chosen.
    pub enum Reject {
        /// There is none.
        None = "none",
        /// By the share of images to be answered.
        Coverage = "coverage",
        /// By the share of wrong answers.
        Risk = "risk",
    }
}

/// How a classifier is made of a student and labelled images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FinetuneConfig {
    /// "linear": the backbone is frozen and a linear classifier is fitted to its features. "full": starts with that, then trains all
    /// layers.
    pub mode: FinetuneMode,
    /// Share of each class's labelled images that is held out to decide when to stop, to calibrate the probabilities and to set the
    /// threshold. 0: all labelled images are trained on for all passes, and nothing is calibrated.
    pub held_out: f64,
    /// Share of each class's other labelled images that is learned from, at least one image; for few-label protocols.
    pub label_fraction: f64,
    /// Largest number of images of a class that are learned from; 0: no limit.
    pub labels_per_class: u64,
    /// "balanced": the images of each class together have the same weight. "none": each image weighs 1.
    pub class_weights: ClassWeights,
    /// Share of the target that is spread over all classes, for labels that are sometimes wrong (Szegedy et al., 2016).
    pub label_smoothing: f64,
    /// λ of the linear fit's ½·λ·‖W‖², on features of deviation 1; 0: the value from 10⁻² to 10⁴ that is best on the held-out images.
    pub penalty: f64,
    /// Largest number of passes over the labelled images in the full mode.
    pub epochs: u64,
    /// Images a step in the full mode.
    pub batch_size: u64,
    /// Highest learning rate of the backbone; it falls as a cosine.
    pub learning_rate: f64,
    /// The classifier's learning rate is this many times the backbone's.
    pub head_rate_factor: f64,
    /// L2 penalty in the full mode.
    pub weight_decay: f64,
    /// Passes without a better held-out loss after which the full mode stops; 0: never.
    pub patience: u64,
    /// "mild": crops of at least 60 %, flips, little brightness and contrast. "views": those of distillation.
    pub augmentation: Augmentation,
    /// λ of the distillation loss that is added to the labels' loss in the full mode, so that the student keeps its embedding; 0: none.
    pub anchor: f64,
    /// Weight of the labels' loss in the full mode; below 1, labels count less than a teacher's classifier, if there is one.
    pub label_weight: f64,
    /// Weight of the loss against the logits of a teacher's classifier, if there is one (Hinton et al., 2015).
    pub logit_weight: f64,
    /// τ of that loss: above 1, the teacher's smaller probabilities count more.
    pub logit_temperature: f64,
    /// How the threshold for the answer "unsure" is chosen on the held-out images: "none", by "coverage" or by "risk".
    pub reject: Reject,
    /// Share of images to be answered ("coverage"), or highest share of wrong answers ("risk").
    pub reject_level: f64,
    /// File to which the full mode writes its state after each pass, and from which it continues; empty: none.
    pub checkpoint_path: String,
}

impl Default for FinetuneConfig {
    fn default() -> Self {
        Self {
            mode: FinetuneMode::Linear,
            held_out: 0.2,
            label_fraction: 1.0,
            labels_per_class: 0,
            class_weights: ClassWeights::None,
            label_smoothing: 0.0,
            penalty: 0.0,
            epochs: 30,
            batch_size: 32,
            learning_rate: 0.005,
            head_rate_factor: 10.0,
            weight_decay: 1e-4,
            patience: 8,
            augmentation: Augmentation::Mild,
            anchor: 0.0,
            label_weight: 1.0,
            logit_weight: 1.0,
            logit_temperature: 4.0,
            reject: Reject::Coverage,
            reject_level: 0.95,
            checkpoint_path: String::new(),
        }
    }
}

/// Every key of this part.
pub const KEYS: &[(&str, Slot)] = &[
    ("finetune.mode", Slot::Word(|c| &mut c.finetune.mode)),
    ("finetune.held_out", Slot::Float(|c| &mut c.finetune.held_out, 0.0, 0.9)),
    ("finetune.label_fraction", Slot::Float(|c| &mut c.finetune.label_fraction, 1e-6, 1.0)),
    ("finetune.labels_per_class", Slot::Int(|c| &mut c.finetune.labels_per_class, 0, 1 << 40)),
    ("finetune.class_weights", Slot::Word(|c| &mut c.finetune.class_weights)),
    ("finetune.label_smoothing", Slot::Float(|c| &mut c.finetune.label_smoothing, 0.0, 0.9)),
    ("finetune.penalty", Slot::Float(|c| &mut c.finetune.penalty, 0.0, 1e9)),
    ("finetune.epochs", Slot::Int(|c| &mut c.finetune.epochs, 1, 1_000_000)),
    ("finetune.batch_size", Slot::Int(|c| &mut c.finetune.batch_size, 2, 65_536)),
    ("finetune.learning_rate", Slot::Float(|c| &mut c.finetune.learning_rate, 0.0, 100.0)),
    ("finetune.head_rate_factor", Slot::Float(|c| &mut c.finetune.head_rate_factor, 0.0, 1e6)),
    ("finetune.weight_decay", Slot::Float(|c| &mut c.finetune.weight_decay, 0.0, 1.0)),
    ("finetune.patience", Slot::Int(|c| &mut c.finetune.patience, 0, 1_000_000)),
    ("finetune.augmentation", Slot::Word(|c| &mut c.finetune.augmentation)),
    ("finetune.anchor", Slot::Float(|c| &mut c.finetune.anchor, 0.0, 1e6)),
    ("finetune.label_weight", Slot::Float(|c| &mut c.finetune.label_weight, 0.0, 1e6)),
    ("finetune.logit_weight", Slot::Float(|c| &mut c.finetune.logit_weight, 0.0, 1e6)),
    ("finetune.logit_temperature", Slot::Float(|c| &mut c.finetune.logit_temperature, 1e-3, 1e3)),
    ("finetune.reject", Slot::Word(|c| &mut c.finetune.reject)),
    ("finetune.reject_level", Slot::Float(|c| &mut c.finetune.reject_level, 0.0, 1.0)),
    ("finetune.checkpoint_path", Slot::Text(|c| &mut c.finetune.checkpoint_path)),
];
