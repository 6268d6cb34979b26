//! EfficientNet-B0 to -B3 (Tan & Le 2019), torchvision's definition and TensorFlow's, and TensorFlow's Lite0.
//!
//! ```text
//! (B,3,H,W) → 3×3/2, 32, SiLU → 16 MBConv blocks in 7 stages → 1×1, 1280 → mean → (B, 1280)    (B0)
//! ```
//!
//! The larger ones scale B0's channels and depth together (section 3 and the authors' code): a width times the factor is rounded to
//! eights, never more than a tenth down, a stage's number of blocks is rounded up. The last convolution is four times as wide as the last stage.
//!
//! | | channels | depth | blocks | features | trained at | dropout |
//! |---|---|---|---|---|---|---|
//! | B0 | 1 | 1 | 16 | 1280 | 224 | 0.2 |
//! | B1 | 1 | 1.1 | 23 | 1280 | 240 | 0.2 |
//! | B2 | 1.1 | 1.2 | 23 | 1408 | 260 | 0.3 |
//! | B3 | 1.2 | 1.4 | 26 | 1536 | 300 | 0.3 |
//!
//! Squeeze-and-excitation lies behind the activation, SiLU inside, with a sigmoid gate. While training, block `i` of n drops its
//! branch for an image with probability 0.2·i/n. Dropout is the classifier's, in the table of networks.
//!
//! TensorFlow's, which SEED trained and timm calls `tf_efficientnet_b0` to `_b3`, pads as few zeros as it can
//! ([`Padding::Same`]) and has ε = 1e-3 in its norms. The weights have the same names and shapes here as torchvision's, so they
//! can be taken for each other, but features of the one network with weights of the other are wrong.
//!
//! Lite0 is TensorFlow's B0 for integer arithmetic: no gates, and ReLU6 for SiLU.

use super::inverted::{Block, Gate, Inverted, Keys, Style};
use crate::error::Result;
use crate::model::layers::{Activation, NormConfig, Padding};
use crate::model::narrow::round_to_eight;
use crate::model::params::Path;

/// Expansion, kernel, first stride, channels and blocks of each stage of B0: table 1 of the paper.
const STAGES: [(i64, i64, i64, i64, usize); 7] = [
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
];

/// Probability of dropping the branch of a block that would follow the last one.
const STOCHASTIC_DEPTH: f64 = 0.2;

/// Whose definition it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Torchvision,
    TensorFlow,
    TensorFlowLite,
}

/// The factors of channels and of depth by which a network is larger than B0.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale(f64, f64);

pub(super) const B0: Scale = Scale(1.0, 1.0);
pub(super) const B1: Scale = Scale(1.0, 1.1);
pub(super) const B2: Scale = Scale(1.1, 1.2);
pub(super) const B3: Scale = Scale(1.2, 1.4);

/// Without its classifier.
pub(super) fn efficientnet(root: &mut Path<'_>, Scale(widen, deepen): Scale, origin: Origin) -> Result<Inverted> {
    let (norm, padding) = match origin {
        Origin::Torchvision => (NormConfig::TORCH, Padding::Even),
        Origin::TensorFlow | Origin::TensorFlowLite => (NormConfig::MOBILENET_V3, Padding::Same),
    };
    let lite = origin == Origin::TensorFlowLite;
    let activation = if lite { Activation::Relu6 } else { Activation::Silu };
    let channels = |full: i64| round_to_eight(full as f64 * widen);
    let depth = |blocks: usize| (blocks as f64 * deepen).ceil() as usize;
    let total = STAGES.iter().map(|stage| depth(stage.4)).sum::<usize>() as f64;
    let mut blocks: Vec<Block> = Vec::new();
    let stem = channels(32);
    let mut input = stem;
    for (module, (expansion, kernel, first_stride, output, count)) in (1..).zip(STAGES) {
        let output = channels(output);
        for number in 0..depth(count) {
            let squeezed = (input / 4).max(1);
            let (inner, gate) = (Activation::Silu, Activation::Sigmoid);
            blocks.push(Block {
                module,
                number: Some(number),
                wide: input * expansion,
                output,
                kernel,
                stride: if number == 0 { first_stride } else { 1 },
                activation,
                gate: (!lite).then_some(Gate { squeezed, inner, gate, before_activation: false }),
                drop: Some(STOCHASTIC_DEPTH * blocks.len() as f64 / total),
            });
            input = output;
        }
    }
    let style = Style { norm, padding, keys: Keys::Block };
    Inverted::new(root, style, (stem, activation), &blocks, (4 * input, activation))
}
