//! Networks of inverted residual blocks (Sandler et al. 2018): the MobileNets and the EfficientNets.
//!
//! ```text
//! (B,3,H,W) → 3×3/2 → blocks → 1×1 → mean → (B, d)
//! block: x → 1×1 to w channels → k×k on each channel → gate → 1×1 → (+ x)
//! ```
//!
//! A block widens, filters each channel, gates where it has squeeze-and-excitation, and narrows again without an activation. It does not
//! widen where w is the input's width. The input is added where shape and stride allow. Keys are torchvision's.

use tch::Tensor;

use super::maps::Maps;
use crate::error::Result;
use crate::model::layers::{
    Activation, ConvBnAct, ConvShape, Linear, NormConfig, Padding, SqueezeExcitation, global_average,
};
use crate::model::noise::RandomDrop;
use crate::model::params::Path;
use crate::model::{Backbone, Mode};
use crate::torch::fused::{Builder, IMAGES, Value};

/// What all blocks of a network share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    pub norm: NormConfig,
    pub padding: Padding,
    pub keys: Keys,
}

/// How the layers of a block are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keys {
    /// `conv.I.0`, `.1`; the narrowing convolution and its norm lie in the block's own sequence, `conv.I`, `conv.I+1`: MobileNetV2.
    Conv,
    /// `block.I.0`, `.1` for all of them.
    Block,
}

/// Squeeze and excitation inside a block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gate {
    /// Channels between its two layers.
    pub squeezed: i64,
    pub inner: Activation,
    pub gate: Activation,
    /// Whether it comes before the activation of the depthwise convolution.
    pub before_activation: bool,
}

/// One block; how many channels enter it is known from the one before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block {
    /// Its place: `features.MODULE`, or `features.MODULE.NUMBER` where a module holds several.
    pub module: usize,
    pub number: Option<usize>,
    /// Channels between the two 1×1 convolutions.
    pub wide: i64,
    pub output: i64,
    pub kernel: i64,
    pub stride: i64,
    pub activation: Activation,
    pub gate: Option<Gate>,
    /// Probability of dropping the branch of an image while training (stochastic depth); None draws nothing.
    pub drop: Option<f64>,
}

struct InvertedResidual {
    expand: Option<ConvBnAct>,
    depthwise: ConvBnAct,
    squeeze: Option<SqueezeExcitation>,
    /// What follows squeeze-and-excitation where the depthwise convolution has no activation of its own.
    late: Activation,
    project: ConvBnAct,
    add_input: bool,
    depth: Option<RandomDrop>,
}

impl InvertedResidual {
    fn new(path: &mut Path<'_>, style: Style, input: i64, block: &Block) -> Result<InvertedResidual> {
        let Style { norm, padding, keys } = style;
        let &Block { wide, output, kernel, stride, activation, gate, .. } = block;
        let depth = block.drop.map(|drop| RandomDrop::rows(path, drop));
        let mut path = path.at(if keys == Keys::Conv { "conv" } else { "block" });
        // What is left out takes no number.
        let mut number = 0..;
        let mut next = || number.next().unwrap_or_default();
        let expand = match wide == input {
            true => None,
            false => {
                let shape = ConvShape::pointwise(input, wide);
                Some(ConvBnAct::new(&mut path.at(next()), ("0", "1"), shape, norm, activation)?)
            }
        };
        let (early, late) = match gate {
            Some(Gate { before_activation: true, .. }) => (Activation::Identity, activation),
            _ => (activation, Activation::Identity),
        };
        let shape = ConvShape::depthwise(wide, kernel, stride).padded(padding);
        let depthwise = ConvBnAct::new(&mut path.at(next()), ("0", "1"), shape, norm, early)?;
        let squeeze = match gate {
            None => None,
            Some(Gate { squeezed, inner, gate, .. }) => {
                Some(SqueezeExcitation::new(&mut path.at(next()), wide, squeezed, inner, gate)?)
            }
        };
        let shape = ConvShape::pointwise(wide, output);
        let project = match keys {
            Keys::Block => ConvBnAct::new(&mut path.at(next()), ("0", "1"), shape, norm, Activation::Identity)?,
            Keys::Conv => {
                let (conv, norm_key) = (next().to_string(), next().to_string());
                ConvBnAct::new(&mut path, (&conv, &norm_key), shape, norm, Activation::Identity)?
            }
        };
        let add_input = stride == 1 && input == output;
        Ok(InvertedResidual { expand, depthwise, squeeze, late, project, add_input, depth })
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
        if !self.add_input {
            return Ok(x);
        }
        if let Some(depth) = &self.depth {
            x = depth.forward(x, mode)?;
        }
        Ok(x.f_add_(input)?)
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

/// A network of inverted residual blocks without its classifier.
pub(super) struct Inverted {
    stem: ConvBnAct,
    blocks: Vec<InvertedResidual>,
    last: ConvBnAct,
    maps: Maps,
    /// A linear layer behind the mean, which belongs to the features: MobileNetV3.
    widen: Option<(Linear, Activation)>,
}

impl Inverted {
    /// `stem` and `last` are the channels and the activation of the first and the last convolution.
    pub fn new(
        root: &mut Path<'_>,
        style: Style,
        stem: (i64, Activation),
        blocks: &[Block],
        last: (i64, Activation),
    ) -> Result<Inverted> {
        let mut path = root.at("features");
        let (mut input, activation) = stem;
        let shape = ConvShape::dense(path.image_channels(), input, 3, 2).padded(style.padding);
        let stem = ConvBnAct::new(&mut path.at(0), ("0", "1"), shape, style.norm, activation)?;
        let mut maps = Maps::new(2);
        let mut built = Vec::with_capacity(blocks.len());
        for block in blocks {
            let mut path = path.at(block.module);
            built.push(match block.number {
                Some(number) => InvertedResidual::new(&mut path.at(number), style, input, block)?,
                None => InvertedResidual::new(&mut path, style, input, block)?,
            });
            input = block.output;
            maps.block(block.module, block.output, block.stride);
        }
        let module = blocks.last().map_or(0, |block| block.module) + 1;
        let shape = ConvShape::pointwise(input, last.0);
        let last = ConvBnAct::new(&mut path.at(module), ("0", "1"), shape, style.norm, last.1)?;
        Ok(Inverted { stem, blocks: built, last, maps, widen: None })
    }

    /// The same network with a linear layer and its activation behind the mean.
    pub fn widened(self, linear: Linear, activation: Activation) -> Inverted {
        Inverted { widen: Some((linear, activation)), ..self }
    }
}

impl Backbone for Inverted {
    fn features(&self, images: &Tensor, mode: Mode, keep: &mut dyn FnMut(&str, &Tensor)) -> Result<Tensor> {
        let mut x = self.stem.forward(images, mode)?; // (B, C, H/2, W/2)
        for (number, block) in self.blocks.iter().enumerate() {
            x = block.forward(&x, mode)?;
            if let Some(name) = self.maps.name(number) {
                keep(name, &x);
            }
        }
        let pooled = global_average(&self.last.forward(&x, mode)?)?; // (B, C)
        match &self.widen {
            Some((linear, activation)) => activation.apply(linear.forward(&pooled)?, mode),
            None => Ok(pooled),
        }
    }

    fn lower(&self, builder: &mut Builder) -> Result<Value> {
        let mut x = self.stem.lower(builder, IMAGES)?;
        for (number, block) in self.blocks.iter().enumerate() {
            x = block.lower(builder, x)?;
            self.maps.mark(builder, number, x);
        }
        x = self.last.lower(builder, x)?;
        x = builder.mean(x)?;
        match &self.widen {
            Some((linear, activation)) => linear.lower(builder, x, *activation),
            None => Ok(x),
        }
    }
}
