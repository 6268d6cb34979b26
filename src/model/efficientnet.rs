//! EfficientNet-B0 and -B1 (Tan & Le 2019), torchvision's definition and TensorFlow's, and TensorFlow's Lite0.
//!
//! ```text
//! (B,3,H,W) → 3×3/2, 32, SiLU → 16 MBConv blocks in 7 stages → 1×1, 1280 → mean → (B, 1280)
//! ```
//!
//! A block widens, filters each channel, gates (squeeze-and-excitation behind the activation, SiLU inside, sigmoid gate)
//! and narrows. While training, block `i` of n (16 in B0, 23 in B1) drops its branch for an image with probability 0.2·i/n.
//!
//! TensorFlow's, which SEED trained and timm calls `tf_efficientnet_b0` and `_b1`, pads as few zeros as it can
//! ([`Padding::Same`]) and has ε = 1e-3 in its norms. The weights have the same names and shapes here as torchvision's, so they
//! can be taken for each other, but features of the one network with weights of the other are wrong.
//!
//! Lite0 is TensorFlow's B0 for integer arithmetic: no gates, and ReLU6 for SiLU.

use tch::Tensor;

use super::layers::{Activation, ConvBnAct, ConvShape, NormConfig, Padding, SqueezeExcitation, global_average};
use super::maps::Maps;
use super::noise::RandomDrop;
use super::params::Path;
use super::{Backbone, Mode};
use crate::error::Result;
use crate::torch::fused::{Builder, IMAGES, Value};

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

/// Whose definition it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Torchvision,
    TensorFlow,
    TensorFlowLite,
}

impl Origin {
    fn norm(self) -> NormConfig {
        match self {
            Origin::Torchvision => NormConfig::TORCH,
            Origin::TensorFlow | Origin::TensorFlowLite => NormConfig::MOBILENET_V3,
        }
    }

    fn padding(self) -> Padding {
        match self {
            Origin::Torchvision => Padding::Even,
            Origin::TensorFlow | Origin::TensorFlowLite => Padding::Same,
        }
    }

    fn activation(self) -> Activation {
        match self {
            Origin::Torchvision | Origin::TensorFlow => Activation::Silu,
            Origin::TensorFlowLite => Activation::Relu6,
        }
    }

    fn squeezes(self) -> bool {
        self != Origin::TensorFlowLite
    }
}

/// Channels into a block and out of it, with expansion, kernel and stride.
struct MbShape {
    input: i64,
    output: i64,
    expansion: i64,
    kernel: i64,
    stride: i64,
}

/// Probability of dropping the branch of a block that would follow the last one.
const STOCHASTIC_DEPTH: f64 = 0.2;

struct MbConv {
    expand: Option<ConvBnAct>,
    depthwise: ConvBnAct,
    squeeze: Option<SqueezeExcitation>,
    project: ConvBnAct,
    add_input: bool,
    depth: RandomDrop,
}

impl MbConv {
    fn new(path: &mut Path<'_>, shape: &MbShape, origin: Origin, drop: f64) -> Result<MbConv> {
        let &MbShape { input, output, expansion, kernel, stride } = shape;
        let (norm, activation) = (origin.norm(), origin.activation());
        let depth = RandomDrop::rows(path, drop);
        let mut path = path.at("block");
        let wide = input * expansion;
        // Without the widening layer everything behind it moves one key forward, without the gate what is behind that.
        let first = usize::from(expansion != 1);
        let expand = if expansion == 1 {
            None
        } else {
            let shape = ConvShape::pointwise(input, wide);
            Some(ConvBnAct::new(&mut path.at(0), ("0", "1"), shape, norm, activation)?)
        };
        let shape = ConvShape::depthwise(wide, kernel, stride).padded(origin.padding());
        let depthwise = ConvBnAct::new(&mut path.at(first), ("0", "1"), shape, norm, activation)?;
        let squeezed = (input / 4).max(1);
        let (inner, gate) = (Activation::Silu, Activation::Sigmoid);
        let squeeze = match origin.squeezes() {
            true => Some(SqueezeExcitation::new(&mut path.at(first + 1), wide, squeezed, inner, gate)?),
            false => None,
        };
        let shape = ConvShape::pointwise(wide, output);
        let last = first + 1 + usize::from(squeeze.is_some());
        let project = ConvBnAct::new(&mut path.at(last), ("0", "1"), shape, norm, Activation::Identity)?;
        Ok(MbConv { expand, depthwise, squeeze, project, add_input: stride == 1 && input == output, depth })
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
        Ok(if self.add_input { self.depth.forward(x, mode)?.f_add_(input)? } else { x })
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

/// EfficientNet-B0, -B1 or -Lite0 without its classifier.
pub(crate) struct EfficientNet {
    stem: ConvBnAct,
    blocks: Vec<MbConv>,
    last: ConvBnAct,
    maps: Maps,
}

impl EfficientNet {
    /// `deepen` multiplies the number of blocks of each stage, rounded up: 1 for B0 and Lite0, 1.1 for B1.
    pub fn new(path: &mut Path<'_>, deepen: f64, origin: Origin) -> Result<EfficientNet> {
        let (norm, activation) = (origin.norm(), origin.activation());
        let depth = |stage: usize| (STAGES[stage].4 as f64 * deepen).ceil() as usize;
        let mut path = path.at("features");
        let shape = ConvShape::dense(path.image_channels(), 32, 3, 2).padded(origin.padding());
        let stem = ConvBnAct::new(&mut path.at(0), ("0", "1"), shape, norm, activation)?;
        let total = (0..STAGES.len()).map(depth).sum::<usize>() as f64;
        let mut blocks = Vec::new();
        let mut input = 32;
        let mut maps = Maps::new(2);
        for (stage, (expansion, kernel, first_stride, output, _)) in STAGES.into_iter().enumerate() {
            let mut path = path.at(stage + 1);
            for number in 0..depth(stage) {
                let stride = if number == 0 { first_stride } else { 1 };
                let drop = STOCHASTIC_DEPTH * blocks.len() as f64 / total;
                let shape = MbShape { input, output, expansion, kernel, stride };
                blocks.push(MbConv::new(&mut path.at(number), &shape, origin, drop)?);
                input = output;
                maps.block(stage + 1, output, stride);
            }
        }
        let shape = ConvShape::pointwise(input, 4 * input);
        let path = &mut path.at(STAGES.len() + 1);
        let last = ConvBnAct::new(path, ("0", "1"), shape, norm, activation)?;
        Ok(EfficientNet { stem, blocks, last, maps })
    }
}

impl Backbone for EfficientNet {
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
