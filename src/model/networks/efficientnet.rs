//! EfficientNet-B0 and -B1 (Tan & Le 2019), torchvision's definition and TensorFlow's, and TensorFlow's Lite0.
//!
//! ```text
//! (B,3,H,W) → 3×3/2, 32, SiLU → 16 MBConv blocks in 7 stages → 1×1, 1280 → mean → (B, 1280)
//! ```
//!
//! Squeeze-and-excitation lies behind the activation, SiLU inside, with a sigmoid gate. While training, block `i` of n (16 in B0, 23 in B1) drops its branch for an image with probability 0.2·i/n.
//!
//! TensorFlow's, which SEED trained and timm calls `tf_efficientnet_b0` and `_b1`, pads as few zeros as it can
//! ([`Padding::Same`]) and has ε = 1e-3 in its norms. The weights have the same names and shapes here as torchvision's, so they
//! can be taken for each other, but features of the one network with weights of the other are wrong.
//!
//! Lite0 is TensorFlow's B0 for integer arithmetic: no gates, and ReLU6 for SiLU.

use super::inverted::{Block, Gate, Inverted, Keys, Style};
use crate::error::Result;
use crate::model::layers::{Activation, NormConfig, Padding};
use crate::model::params::Path;

/// Expansion, kernel, first stride, channels and blocks of each stage: table 1 of the paper.
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

/// Without its classifier. `deepen` multiplies the number of blocks of each stage, rounded up: 1 for B0 and Lite0, 1.1 for B1.
pub(super) fn efficientnet(root: &mut Path<'_>, deepen: f64, origin: Origin) -> Result<Inverted> {
    let (norm, padding) = match origin {
        Origin::Torchvision => (NormConfig::TORCH, Padding::Even),
        Origin::TensorFlow | Origin::TensorFlowLite => (NormConfig::MOBILENET_V3, Padding::Same),
    };
    let lite = origin == Origin::TensorFlowLite;
    let activation = if lite { Activation::Relu6 } else { Activation::Silu };
    let depth = |blocks: usize| (blocks as f64 * deepen).ceil() as usize;
    let total = STAGES.iter().map(|stage| depth(stage.4)).sum::<usize>() as f64;
    let mut blocks: Vec<Block> = Vec::new();
    let stem = 32;
    let mut input = stem;
    for (module, (expansion, kernel, first_stride, output, count)) in (1..).zip(STAGES) {
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
