//! MobileNetV2 (Sandler et al. 2018), torchvision's definition, also [narrow](super::narrow).
//!
//! ```text
//! (B,3,H,W) → 3×3/2, 32 → 17 inverted residuals → 1×1, 1280 → mean → (B, 1280)
//! ```
//!
//! An inverted residual widens (1×1), filters each channel (3×3) and narrows again without an activation; the input is
//! added where shape and stride allow.

use tch::Tensor;

use super::layers::{Activation, ConvBnAct, ConvShape, NormConfig, global_average};
use super::maps::Maps;
use super::narrow::round_to_eight;
use super::params::Path;
use super::{Backbone, Mode};
use crate::error::Result;
use crate::torch::fused::{Builder, IMAGES, Value};

/// Expansion, channels, blocks and first stride of each stage: table 2 of the paper.
const STAGES: [(i64, i64, usize, i64); 7] =
    [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)];

const NORM: NormConfig = NormConfig::TORCH;

struct InvertedResidual {
    layers: Vec<ConvBnAct>,
    add_input: bool,
}

impl InvertedResidual {
    fn new(path: &mut Path<'_>, input: i64, output: i64, stride: i64, expansion: i64) -> Result<InvertedResidual> {
        let mut path = path.at("conv");
        let wide = input * expansion;
        let mut layers = Vec::with_capacity(3);
        if expansion != 1 {
            let shape = ConvShape::pointwise(input, wide);
            layers.push(ConvBnAct::new(&mut path.at(layers.len()), ("0", "1"), shape, NORM, Activation::Relu6)?);
        }
        let shape = ConvShape::depthwise(wide, 3, stride);
        layers.push(ConvBnAct::new(&mut path.at(layers.len()), ("0", "1"), shape, NORM, Activation::Relu6)?);
        // torchvision puts the narrowing convolution and its norm side by side into the block's own sequence.
        let (conv, norm) = (layers.len().to_string(), (layers.len() + 1).to_string());
        let shape = ConvShape::pointwise(wide, output);
        layers.push(ConvBnAct::new(&mut path, (&conv, &norm), shape, NORM, Activation::Identity)?);
        Ok(InvertedResidual { layers, add_input: stride == 1 && input == output })
    }

    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let mut out = x.shallow_clone();
        for layer in &self.layers {
            out = layer.forward(&out, mode)?;
        }
        Ok(if self.add_input { out.f_add_(x)? } else { out })
    }

    fn lower(&self, builder: &mut Builder, input: Value) -> Result<Value> {
        let mut x = input;
        for (number, layer) in self.layers.iter().enumerate() {
            x = match self.add_input && number + 1 == self.layers.len() {
                true => layer.lower_sum(builder, x, input, Activation::Identity)?,
                false => layer.lower(builder, x)?,
            };
        }
        Ok(x)
    }
}

/// MobileNetV2 without its classifier.
pub(crate) struct MobileNetV2 {
    stem: ConvBnAct,
    blocks: Vec<InvertedResidual>,
    last: ConvBnAct,
    maps: Maps,
}

impl MobileNetV2 {
    /// `widen` multiplies the channels, rounded to eights; the last layer is never narrower than 1280.
    pub fn new(path: &mut Path<'_>, widen: f64) -> Result<MobileNetV2> {
        let channels = |full: i64| round_to_eight(full as f64 * widen);
        let mut path = path.at("features");
        let mut input = channels(32);
        let shape = ConvShape::dense(path.image_channels(), input, 3, 2);
        let stem = ConvBnAct::new(&mut path.at(0), ("0", "1"), shape, NORM, Activation::Relu6)?;
        let mut blocks = Vec::new();
        let mut maps = Maps::new(2);
        for (expansion, output, depth, first_stride) in STAGES {
            let output = channels(output);
            for number in 0..depth {
                let stride = if number == 0 { first_stride } else { 1 };
                let mut path = path.at(blocks.len() + 1);
                blocks.push(InvertedResidual::new(&mut path, input, output, stride, expansion)?);
                input = output;
                maps.block(blocks.len(), output, stride);
            }
        }
        let shape = ConvShape::pointwise(input, round_to_eight(1280.0 * widen.max(1.0)));
        let last = ConvBnAct::new(&mut path.at(blocks.len() + 1), ("0", "1"), shape, NORM, Activation::Relu6)?;
        Ok(MobileNetV2 { stem, blocks, last, maps })
    }
}

impl Backbone for MobileNetV2 {
    fn features(&self, images: &Tensor, mode: Mode, keep: &mut dyn FnMut(&str, &Tensor)) -> Result<Tensor> {
        let mut x = self.stem.forward(images, mode)?; // (B, 32, H/2, W/2)
        for (number, block) in self.blocks.iter().enumerate() {
            x = block.forward(&x, mode)?;
            if let Some(name) = self.maps.name(number) {
                keep(name, &x);
            }
        }
        global_average(&self.last.forward(&x, mode)?) // (B, 1280)
    }

    fn lower(&self, builder: &mut Builder) -> Result<Value> {
        let mut x = self.stem.lower(builder, IMAGES)?;
        for (number, block) in self.blocks.iter().enumerate() {
            x = block.lower(builder, x)?;
            self.maps.mark(builder, number, x);
        }
        x = self.last.lower(builder, x)?;
        builder.mean(x)
    }
}
