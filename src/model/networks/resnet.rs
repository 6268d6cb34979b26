//! ResNets (He et al. 2016), torchvision's v1.5: a bottleneck's stride sits in its 3×3; also w times as wide, w = 2 and 4
//! (SwAV) or less than 1 ([`narrow`](crate::model::narrow)).
//!
//! ```text
//! (B,3,H,W) → 7×7/2 → 3×3 max/2 → layer1..4 (64w, 128w, 256w, 512w planes; /1, /2, /2, /2) → mean → (B, 512w or 2048w)
//! ```
//!
//! Each block is `relu(branch(x) + shortcut(x))`, the shortcut a 1×1 convolution where shape or stride change.

use tch::Tensor;

use crate::error::Result;
use crate::model::layers::{Activation, ConvBnAct, ConvShape, NormConfig, global_average};
use crate::model::params::Path;
use crate::model::{Backbone, Mode};
use crate::torch::fused::{Builder, IMAGES, Value};

/// Which residual branch the blocks have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BlockKind {
    /// 3×3, 3×3.
    Basic,
    /// 1×1, 3×3, 1×1 to four times the planes.
    Bottleneck,
}

impl BlockKind {
    fn expansion(self) -> i64 {
        match self {
            BlockKind::Basic => 1,
            BlockKind::Bottleneck => 4,
        }
    }
}

struct Block {
    branch: Vec<ConvBnAct>,
    downsample: Option<ConvBnAct>,
}

impl Block {
    fn new(path: &mut Path<'_>, kind: BlockKind, input: i64, planes: i64, stride: i64) -> Result<Block> {
        let output = planes * kind.expansion();
        let shapes = match kind {
            BlockKind::Basic => {
                vec![ConvShape::dense(input, planes, 3, stride), ConvShape::dense(planes, planes, 3, 1)]
            }
            BlockKind::Bottleneck => vec![
                ConvShape::pointwise(input, planes),
                ConvShape::dense(planes, planes, 3, stride),
                ConvShape::pointwise(planes, output),
            ],
        };
        let last = shapes.len();
        let mut branch = Vec::with_capacity(last);
        for (shape, number) in shapes.into_iter().zip(1..) {
            // The last activation comes after the shortcut is added.
            let activation = if number == last { Activation::Identity } else { Activation::Relu };
            let keys = (format!("conv{number}"), format!("bn{number}"));
            branch.push(ConvBnAct::new(path, (&keys.0, &keys.1), shape, NormConfig::TORCH, activation)?);
        }
        let downsample = if stride != 1 || input != output {
            let shape = ConvShape::dense(input, output, 1, stride);
            let path = &mut path.at("downsample");
            Some(ConvBnAct::new(path, ("0", "1"), shape, NormConfig::TORCH, Activation::Identity)?)
        } else {
            None
        };
        Ok(Block { branch, downsample })
    }

    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let mut out = x.shallow_clone();
        for layer in &self.branch {
            out = layer.forward(&out, mode)?;
        }
        let out = match &self.downsample {
            Some(downsample) => out.f_add_(&downsample.forward(x, mode)?)?,
            None => out.f_add_(x)?,
        };
        Activation::Relu.apply(out, mode)
    }

    fn lower(&self, builder: &mut Builder, input: Value) -> Result<Value> {
        let shortcut = match &self.downsample {
            Some(downsample) => downsample.lower(builder, input)?,
            None => input,
        };
        let mut x = input;
        for (number, layer) in self.branch.iter().enumerate() {
            x = match number + 1 == self.branch.len() {
                true => layer.lower_sum(builder, x, shortcut, Activation::Relu)?,
                false => layer.lower(builder, x)?,
            };
        }
        Ok(x)
    }
}

/// A ResNet without its classifier.
pub(super) struct ResNet {
    stem: ConvBnAct,
    blocks: Vec<Block>,
    /// For each of the four stages the number of blocks up to its end, and its channels.
    ends: [(usize, i64); 4],
}

/// `depths` is the number of blocks in each of the four stages; `stem` the channels of the first layer, usually 64 and always whole, to
/// which all others are in proportion.
pub(super) fn resnet(path: &mut Path<'_>, kind: BlockKind, depths: [usize; 4], stem: f64) -> Result<ResNet> {
    let stem = stem as i64;
    let shape = ConvShape::dense(path.image_channels(), stem, 7, 2);
    let stem_layer = ConvBnAct::new(path, ("conv1", "bn1"), shape, NormConfig::TORCH, Activation::Relu)?;
    let mut blocks = Vec::new();
    let mut ends = [(0, 0); 4];
    let mut input = stem;
    for (stage, depth) in depths.into_iter().enumerate() {
        let planes = stem << stage;
        let mut path = path.at(format!("layer{}", stage + 1));
        for number in 0..depth {
            let stride = if number == 0 && stage > 0 { 2 } else { 1 };
            blocks.push(Block::new(&mut path.at(number), kind, input, planes, stride)?);
            input = planes * kind.expansion();
        }
        ends[stage] = (blocks.len(), input);
    }
    Ok(ResNet { stem: stem_layer, blocks, ends })
}

impl Backbone for ResNet {
    fn features(&self, images: &Tensor, mode: Mode, keep: &mut dyn FnMut(&str, &Tensor)) -> Result<Tensor> {
        let x = self.stem.forward(images, mode)?; // (B, 64w, H/2, W/2)
        let mut x = x.f_max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false)?; // (B, 64w, H/4, W/4)
        for (number, block) in self.blocks.iter().enumerate() {
            x = block.forward(&x, mode)?;
            if let Some(stage) = self.ends.iter().position(|&(end, _)| end == number + 1) {
                keep(&format!("layer{}", stage + 1), &x);
            }
        }
        global_average(&x)
    }

    fn lower(&self, builder: &mut Builder) -> Result<Value> {
        let mut x = self.stem.lower(builder, IMAGES)?;
        x = builder.max_pool(x)?;
        for (number, block) in self.blocks.iter().enumerate() {
            x = block.lower(builder, x)?;
            if let Some(stage) = self.ends.iter().position(|&(end, _)| end == number + 1) {
                builder.mark(format!("layer{}", stage + 1), self.ends[stage].1, 4 << stage, x);
            }
        }
        builder.mean(x)
    }
}
