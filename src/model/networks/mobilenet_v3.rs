//! MobileNetV3-Small and -Large (Howard et al. 2019), torchvision's definition, also [narrow](crate::model::narrow).
//!
//! ```text
//! (B,3,H,W) → 3×3/2, 16, hardswish → inverted residuals → 1×1, 6c → mean → linear → hardswish → (B, 1024 or 1280)
//! ```
//!
//! Squeeze-and-excitation sits behind the depthwise convolution's activation and gates with hardsigmoid. The first
//! classifier layer belongs to the features: it was trained with the backbone and self-supervised students keep it.
//!
//! SEED's own MobileNetV3-Large puts squeeze-and-excitation before that activation and has torch's ε = 1e-5 in its norms. The
//! parameters have the same names and shapes here, so only the numbers tell the two apart.

use super::inverted::{Block, Gate, Inverted, Keys, Style};
use crate::error::Result;
use crate::model::layers::{Activation, Linear, LinearInitial, NormConfig, Padding};
use crate::model::narrow::round_to_eight;
use crate::model::params::Path;

/// One row of the paper's table 1 or 2.
struct Row {
    kernel: i64,
    expanded: i64,
    output: i64,
    squeeze: bool,
    activation: Activation,
    stride: i64,
}

const fn row(kernel: i64, expanded: i64, output: i64, squeeze: bool, activation: Activation, stride: i64) -> Row {
    Row { kernel, expanded, output, squeeze, activation, stride }
}

const RE: Activation = Activation::Relu;
const HS: Activation = Activation::Hardswish;

const LARGE: [Row; 15] = [
    row(3, 16, 16, false, RE, 1),
    row(3, 64, 24, false, RE, 2),
    row(3, 72, 24, false, RE, 1),
    row(5, 72, 40, true, RE, 2),
    row(5, 120, 40, true, RE, 1),
    row(5, 120, 40, true, RE, 1),
    row(3, 240, 80, false, HS, 2),
    row(3, 200, 80, false, HS, 1),
    row(3, 184, 80, false, HS, 1),
    row(3, 184, 80, false, HS, 1),
    row(3, 480, 112, true, HS, 1),
    row(3, 672, 112, true, HS, 1),
    row(5, 672, 160, true, HS, 2),
    row(5, 960, 160, true, HS, 1),
    row(5, 960, 160, true, HS, 1),
];

const SMALL: [Row; 11] = [
    row(3, 16, 16, true, RE, 2),
    row(3, 72, 24, false, RE, 2),
    row(3, 88, 24, false, RE, 1),
    row(5, 96, 40, true, HS, 2),
    row(5, 240, 40, true, HS, 1),
    row(5, 240, 40, true, HS, 1),
    row(5, 120, 48, true, HS, 1),
    row(5, 144, 48, true, HS, 1),
    row(5, 288, 96, true, HS, 2),
    row(5, 576, 96, true, HS, 1),
    row(5, 576, 96, true, HS, 1),
];

/// Whose definition it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Torchvision,
    Seed,
}

/// The two sizes of the paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    Small,
    Large,
}

/// Without the last layer of its classifier. `width` multiplies all channels, rounded to eights.
pub(super) fn mobilenet_v3(root: &mut Path<'_>, size: Size, width: f64, origin: Origin) -> Result<Inverted> {
    let norm = match origin {
        Origin::Torchvision => NormConfig::MOBILENET_V3,
        Origin::Seed => NormConfig::TORCH,
    };
    let style = Style { norm, padding: Padding::Even, keys: Keys::Block };
    let channels = |full: i64| round_to_eight(full as f64 * width);
    let (rows, features): (&[Row], i64) = match size {
        Size::Small => (&SMALL, 1024),
        Size::Large => (&LARGE, 1280),
    };
    let gate = |wide: i64| Gate {
        squeezed: round_to_eight((wide / 4) as f64),
        inner: Activation::Relu,
        gate: Activation::Hardsigmoid,
        before_activation: origin == Origin::Seed,
    };
    let blocks: Vec<Block> = (1..)
        .zip(rows)
        .map(|(module, &Row { kernel, expanded, output, squeeze, activation, stride })| Block {
            module,
            number: None,
            wide: channels(expanded),
            output: channels(output),
            kernel,
            stride,
            activation,
            gate: squeeze.then(|| gate(channels(expanded))),
            drop: None,
        })
        .collect();
    let last = 6 * blocks.last().map_or(0, |block| block.output);
    let network = Inverted::new(root, style, (channels(16), HS), &blocks, (last, HS))?;
    let path = &mut root.at("classifier");
    let linear = Linear::new(&mut path.at(0), last, channels(features), LinearInitial::MobileNet)?;
    Ok(network.widened(linear, HS))
}
