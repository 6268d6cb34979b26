//! MobileNetV3-Small and -Large (Howard et al. 2019), torchvision's definition.
//!
//! ```text
//! (B,3,H,W) → 3×3/2, 16, hardswish → inverted residuals → 1×1, 6c → mean → linear → hardswish → (B, 1024 or 1280)
//! ```
//!
//! Squeeze-and-excitation sits behind the depthwise convolution's activation and gates with hardsigmoid. The first
//! classifier layer belongs to the features: it was trained with the backbone and self-supervised students keep it.

use tch::Tensor;

use super::layers::{
    Activation, ConvBnAct, ConvShape, Linear, LinearInitial, NormConfig, SqueezeExcitation, global_average,
};
use super::maps::Maps;
use super::params::Path;
use super::{Backbone, Mode};
use crate::error::Result;
use crate::torch::fused::{Builder, IMAGES, Value};

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

const NORM: NormConfig = NormConfig::MOBILENET_V3;

/// The two sizes of the paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    Small,
    Large,
}

struct InvertedResidual {
    expand: Option<ConvBnAct>,
    depthwise: ConvBnAct,
    squeeze: Option<SqueezeExcitation>,
    project: ConvBnAct,
    add_input: bool,
}

impl InvertedResidual {
    fn new(path: &mut Path<'_>, input: i64, row: &Row) -> Result<InvertedResidual> {
        let mut path = path.at("block");
        let mut number = 0;
        let mut next = || {
            number += 1;
            number - 1
        };
        let expand = if row.expanded == input {
            None
        } else {
            let shape = ConvShape::pointwise(input, row.expanded);
            Some(ConvBnAct::new(&mut path.at(next()), ("0", "1"), shape, NORM, row.activation)?)
        };
        let shape = ConvShape::depthwise(row.expanded, row.kernel, row.stride);
        let depthwise = ConvBnAct::new(&mut path.at(next()), ("0", "1"), shape, NORM, row.activation)?;
        let squeeze = if row.squeeze {
            let squeezed = round_to_eight(row.expanded / 4);
            let path = &mut path.at(next());
            let (inner, gate) = (Activation::Relu, Activation::Hardsigmoid);
            Some(SqueezeExcitation::new(path, row.expanded, squeezed, inner, gate)?)
        } else {
            None
        };
        let shape = ConvShape::pointwise(row.expanded, row.output);
        let project = ConvBnAct::new(&mut path.at(next()), ("0", "1"), shape, NORM, Activation::Identity)?;
        let add_input = row.stride == 1 && input == row.output;
        Ok(InvertedResidual { expand, depthwise, squeeze, project, add_input })
    }

    fn forward(&self, input: &Tensor, mode: Mode) -> Result<Tensor> {
        let mut x = input.shallow_clone();
        if let Some(expand) = &self.expand {
            x = expand.forward(&x, mode)?;
        }
        x = self.depthwise.forward(&x, mode)?;
        if let Some(squeeze) = &self.squeeze {
            x = squeeze.forward(&x, mode)?;
        }
        x = self.project.forward(&x, mode)?;
        Ok(if self.add_input { x.f_add_(input)? } else { x })
    }

    fn lower(&self, builder: &mut Builder, input: Value) -> Result<Value> {
        let mut x = input;
        if let Some(expand) = &self.expand {
            x = expand.lower(builder, x)?;
        }
        x = self.depthwise.lower(builder, x)?;
        if let Some(squeeze) = &self.squeeze {
            x = squeeze.lower(builder, x)?;
        }
        match self.add_input {
            true => self.project.lower_sum(builder, x, input, Activation::Identity),
            false => self.project.lower(builder, x),
        }
    }
}

/// The multiple of eight nearest to `channels`, not more than a tenth below it (torchvision's `_make_divisible`).
fn round_to_eight(channels: i64) -> i64 {
    let rounded = ((channels + 4) / 8 * 8).max(8);
    if rounded * 10 < channels * 9 { rounded + 8 } else { rounded }
}

/// MobileNetV3 without the last layer of its classifier.
pub(crate) struct MobileNetV3 {
    stem: ConvBnAct,
    blocks: Vec<InvertedResidual>,
    last: ConvBnAct,
    widen: Linear,
    maps: Maps,
}

impl MobileNetV3 {
    pub fn new(root: &mut Path<'_>, size: Size) -> Result<MobileNetV3> {
        let (rows, width): (&[Row], i64) = match size {
            Size::Small => (&SMALL, 1024),
            Size::Large => (&LARGE, 1280),
        };
        let mut path = root.at("features");
        let shape = ConvShape::dense(3, 16, 3, 2);
        let stem = ConvBnAct::new(&mut path.at(0), ("0", "1"), shape, NORM, HS)?;
        let mut blocks = Vec::with_capacity(rows.len());
        let mut input = 16;
        let mut maps = Maps::new(2);
        for row in rows {
            blocks.push(InvertedResidual::new(&mut path.at(blocks.len() + 1), input, row)?);
            input = row.output;
            maps.block(blocks.len(), row.output, row.stride);
        }
        let shape = ConvShape::pointwise(input, 6 * input);
        let last = ConvBnAct::new(&mut path.at(blocks.len() + 1), ("0", "1"), shape, NORM, HS)?;
        let widen = Linear::new(&mut root.at("classifier").at(0), 6 * input, width, LinearInitial::MobileNet)?;
        Ok(MobileNetV3 { stem, blocks, last, widen, maps })
    }
}

impl Backbone for MobileNetV3 {
    fn features(&self, images: &Tensor, mode: Mode) -> Result<Tensor> {
        let mut x = self.stem.forward(images, mode)?; // (B, 16, H/2, W/2)
        for block in &self.blocks {
            x = block.forward(&x, mode)?;
        }
        let pooled = global_average(&self.last.forward(&x, mode)?)?; // (B, 576 or 960)
        HS.apply(self.widen.forward(&pooled)?, mode) // (B, 1024 or 1280)
    }

    fn lower(&self, builder: &mut Builder) -> Result<Value> {
        let mut x = self.stem.lower(builder, IMAGES)?;
        for (number, block) in self.blocks.iter().enumerate() {
            x = block.lower(builder, x)?;
            self.maps.mark(builder, number, x);
        }
        x = self.last.lower(builder, x)?;
        x = builder.mean(x)?;
        self.widen.lower(builder, x, HS)
    }
}

#[cfg(test)]
mod tests {
    use super::round_to_eight;

    #[test]
    fn channels_round_as_in_torchvision() {
        let rounded: Vec<i64> = [4, 18, 24, 30, 36, 60, 72, 120, 144, 168, 240].map(round_to_eight).to_vec();
        assert_eq!(rounded, [8, 24, 24, 32, 40, 64, 72, 120, 144, 168, 240]);
    }
}
