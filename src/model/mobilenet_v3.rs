//! MobileNetV3-Small and -Large (Howard et al. 2019), torchvision's definition, also [narrow](super::narrow).
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

use tch::Tensor;

use super::layers::{
    Activation, ConvBnAct, ConvShape, Linear, LinearInitial, NormConfig, SqueezeExcitation, global_average,
};
use super::maps::Maps;
use super::narrow::round_to_eight;
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

/// Whose definition it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Torchvision,
    Seed,
}

impl Origin {
    fn norm(self) -> NormConfig {
        match self {
            Origin::Torchvision => NormConfig::MOBILENET_V3,
            Origin::Seed => NormConfig::TORCH,
        }
    }
}

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
    /// What follows squeeze-and-excitation where the depthwise convolution has no activation of its own.
    late: Activation,
    project: ConvBnAct,
    add_input: bool,
}

impl InvertedResidual {
    /// `row` with its channels already multiplied.
    fn new(path: &mut Path<'_>, input: i64, row: &Row, origin: Origin) -> Result<InvertedResidual> {
        let norm = origin.norm();
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
            Some(ConvBnAct::new(&mut path.at(next()), ("0", "1"), shape, norm, row.activation)?)
        };
        let shape = ConvShape::depthwise(row.expanded, row.kernel, row.stride);
        let (early, late) = match row.squeeze && origin == Origin::Seed {
            true => (Activation::Identity, row.activation),
            false => (row.activation, Activation::Identity),
        };
        let depthwise = ConvBnAct::new(&mut path.at(next()), ("0", "1"), shape, norm, early)?;
        let squeeze = if row.squeeze {
            let squeezed = round_to_eight((row.expanded / 4) as f64);
            let path = &mut path.at(next());
            let (inner, gate) = (Activation::Relu, Activation::Hardsigmoid);
            Some(SqueezeExcitation::new(path, row.expanded, squeezed, inner, gate)?)
        } else {
            None
        };
        let shape = ConvShape::pointwise(row.expanded, row.output);
        let project = ConvBnAct::new(&mut path.at(next()), ("0", "1"), shape, norm, Activation::Identity)?;
        let add_input = row.stride == 1 && input == row.output;
        Ok(InvertedResidual { expand, depthwise, squeeze, late, project, add_input })
    }

    fn forward(&self, input: &Tensor, mode: Mode) -> Result<Tensor> {
        let mut x = input.shallow_clone();
        if let Some(expand) = &self.expand {
            x = expand.forward(&x, mode)?;
        }
        x = self.depthwise.forward(&x, mode)?;
        if let Some(squeeze) = &self.squeeze {
            x = self.late.apply(squeeze.forward(&x, mode)?, mode)?;
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
            if self.late != Activation::Identity {
                x = builder.activation(x, self.late as i32)?;
            }
        }
        match self.add_input {
            true => self.project.lower_sum(builder, x, input, Activation::Identity),
            false => self.project.lower(builder, x),
        }
    }
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
    /// `widen` multiplies all channels, rounded to eights.
    pub fn new(root: &mut Path<'_>, size: Size, widen: f64, origin: Origin) -> Result<MobileNetV3> {
        let norm = origin.norm();
        let channels = |full: i64| round_to_eight(full as f64 * widen);
        let (rows, width): (&[Row], i64) = match size {
            Size::Small => (&SMALL, 1024),
            Size::Large => (&LARGE, 1280),
        };
        let mut path = root.at("features");
        let mut input = channels(16);
        let shape = ConvShape::dense(path.image_channels(), input, 3, 2);
        let stem = ConvBnAct::new(&mut path.at(0), ("0", "1"), shape, norm, HS)?;
        let mut blocks = Vec::with_capacity(rows.len());
        let mut maps = Maps::new(2);
        for row in rows {
            let row = Row { expanded: channels(row.expanded), output: channels(row.output), ..*row };
            blocks.push(InvertedResidual::new(&mut path.at(blocks.len() + 1), input, &row, origin)?);
            input = row.output;
            maps.block(blocks.len(), row.output, row.stride);
        }
        let shape = ConvShape::pointwise(input, 6 * input);
        let last = ConvBnAct::new(&mut path.at(blocks.len() + 1), ("0", "1"), shape, norm, HS)?;
        let widen =
            Linear::new(&mut root.at("classifier").at(0), 6 * input, channels(width), LinearInitial::MobileNet)?;
        Ok(MobileNetV3 { stem, blocks, last, widen, maps })
    }
}

impl Backbone for MobileNetV3 {
    fn features(&self, images: &Tensor, mode: Mode, keep: &mut dyn FnMut(&str, &Tensor)) -> Result<Tensor> {
        let mut x = self.stem.forward(images, mode)?; // (B, 16, H/2, W/2)
        for (number, block) in self.blocks.iter().enumerate() {
            x = block.forward(&x, mode)?;
            if let Some(name) = self.maps.name(number) {
                keep(name, &x);
            }
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
