//! MobileNetV2 (Sandler et al. 2018), torchvision's definition, also [narrow](crate::model::narrow).
//!
//! ```text
//! (B,3,H,W) → 3×3/2, 32 → 17 inverted residuals → 1×1, 1280 → mean → (B, 1280)
//! ```

use super::inverted::{Block, Inverted, Keys, Style};
use crate::error::Result;
use crate::model::layers::{Activation, NormConfig, Padding};
use crate::model::narrow::round_to_eight;
use crate::model::params::Path;

/// Expansion, channels, blocks and first stride of each stage: table 2 of the paper.
const STAGES: [(i64, i64, usize, i64); 7] =
    [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)];

const STYLE: Style = Style { norm: NormConfig::TORCH, padding: Padding::Even, keys: Keys::Conv };

/// `width` multiplies the channels, rounded to eights; the last layer is never narrower than 1280.
pub(super) fn mobilenet_v2(root: &mut Path<'_>, width: f64) -> Result<Inverted> {
    let channels = |full: i64| round_to_eight(full as f64 * width);
    let activation = Activation::Relu6;
    let stem = channels(32);
    let mut input = stem;
    let mut blocks = Vec::new();
    for (expansion, output, depth, first_stride) in STAGES {
        for number in 0..depth {
            blocks.push(Block {
                module: blocks.len() + 1,
                number: None,
                wide: input * expansion,
                output: channels(output),
                kernel: 3,
                stride: if number == 0 { first_stride } else { 1 },
                activation,
                gate: None,
                drop: None,
            });
            input = channels(output);
        }
    }
    let last = round_to_eight(1280.0 * width.max(1.0));
    Inverted::new(root, STYLE, (stem, activation), &blocks, (last, activation))
}
