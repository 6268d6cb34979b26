//! Vision Transformers (Dosovitskiy et al. 2021) as DINO (Caron et al. 2021) and DINOv2 (Oquab et al. 2024) publish them,
//! with their key names.
//!
//! ```text
//! (B,3,H,W) → p×p patches, D → [class, registers, H/p·W/p patches + positions] (B,T,D) → blocks → norm → class (B, D)
//! ```
//!
//! The features are the class token behind the last norm, which is what DINO's and DINOv2's own kNN evaluation takes. Height
//! and width must be multiples of the patch, as DINOv2 demands; they need not be equal. Every [`ViT`] keeps positions for one
//! square grid and resamples them to the images' ([`positions`]). There is no dropout and no stochastic depth, so training
//! and eval mode are the same.
//!
//! ```
//! use seed::model::{Architecture, Head, Mode, Network};
//! use tch::{Device, Kind, Tensor};
//! let network = Network::new(Architecture::parse("vit_small_patch16")?, Head::None, 7, Device::Cpu)?;
//! let images = Tensor::zeros([1, 3, 32, 64], (Kind::Float, Device::Cpu));
//! assert_eq!(network.features(&images, Mode::Eval)?.size(), [1, 384]);
//! # Ok::<(), seed::Error>(())
//! ```

mod block;
mod positions;
mod shape;

use tch::Tensor;

use block::{Block, LayerNorm};

pub(crate) use positions::{resample, square_grid};
pub use shape::{ViT, ViTKind, ViTSize};

use super::params::{Initial, Path};
use super::patch_map::TOKENS;
use super::{Backbone, Mode};
use crate::error::Result;
use crate::torch::fused::{Builder, IMAGES, Value};

/// Standard deviation of initial positions, tokens and linear weights, as DINO starts them.
const SPREAD: f64 = 0.02;

/// A Vision Transformer without a head.
pub(crate) struct VisionTransformer {
    shape: ViT,
    class_token: Tensor,       // (1, 1, D)
    positions: Tensor,         // (1, 1 + G², D), the class token's first
    registers: Option<Tensor>, // (1, R, D)
    patch_weight: Tensor,      // (D, 3, p, p), grey (D, 1, p, p)
    patch_bias: Tensor,        // (D)
    blocks: Vec<Block>,
    norm: LayerNorm,
}

impl VisionTransformer {
    pub fn new(root: &mut Path<'_>, shape: ViT) -> Result<VisionTransformer> {
        let (width, patch, grid, channels) = (shape.width(), shape.patch(), shape.grid(), root.image_channels());
        let small = Initial::Normal { std: SPREAD };
        let class_token = root.parameter("cls_token", &[1, 1, width], small)?;
        let positions = root.parameter("pos_embed", &[1, 1 + grid * grid, width], small)?;
        let registers = match shape.registers() {
            0 => None,
            count => Some(root.parameter("register_tokens", &[1, count, width], small)?),
        };
        let mut path = root.at("patch_embed");
        let mut path = path.at("proj");
        // torch's own start of a convolution, which DINO leaves as it is: U(±1/√fan-in).
        let uniform = Initial::Uniform { bound: 1.0 / ((channels * patch * patch) as f64).sqrt() };
        let patch_weight = path.parameter("weight", &[width, channels, patch, patch], uniform)?;
        let patch_bias = path.parameter("bias", &[width], uniform)?;
        let mut path = root.at("blocks");
        let blocks = (0..shape.depth()).map(|number| Block::new(&mut path.at(number), shape)).collect::<Result<_>>()?;
        let norm = LayerNorm::new(&mut root.at("norm"), width)?;
        Ok(VisionTransformer { shape, class_token, positions, registers, patch_weight, patch_bias, blocks, norm })
    }

    /// The tokens before the patches, positions added (registers have none): (1, 1 + R, D).
    fn first_tokens(&self) -> Result<Tensor> {
        let class = self.class_token.f_add(&self.positions.f_narrow(1, 0, 1)?)?;
        match &self.registers {
            Some(registers) => Ok(Tensor::f_cat(&[&class, registers], 1)?),
            None => Ok(class),
        }
    }

    /// Positions of the patches alone, as a grid: (1, G, G, D).
    fn patch_positions(&self) -> Result<Tensor> {
        let grid = self.shape.grid();
        Ok(self.positions.f_narrow(1, 1, grid * grid)?.f_view([1, grid, grid, self.shape.width()])?)
    }
}

impl Backbone for VisionTransformer {
    fn features(&self, images: &Tensor, mode: Mode, keep: &mut dyn FnMut(&str, &Tensor)) -> Result<Tensor> {
        let patch = self.shape.patch();
        let grid = images.f_conv2d(&self.patch_weight, Some(&self.patch_bias), [patch, patch], [0, 0], [1, 1], 1)?; // (B, D, H/p, W/p)
        let (batch, _, rows, columns) = grid.size4()?;
        let positions = positions::resample(&self.patch_positions()?, rows, columns, self.shape.antialias())?;
        let patches = grid.f_flatten(2, -1)?.f_transpose(1, 2)?.f_add(&positions.f_flatten(1, 2)?)?; // (B, N, D)
        let first = self.first_tokens()?.f_expand([batch, -1, -1], false)?;
        let mut tokens = Tensor::f_cat(&[&first, &patches], 1)?; // (B, T, D)
        for block in &self.blocks {
            tokens = block.forward(&tokens, mode)?;
        }
        keep(TOKENS, &tokens);
        // The norm works on each token by itself, so that of the class token is enough.
        self.norm.forward(&tokens.f_select(1, 0)?) // (B, D)
    }

    fn lower(&self, builder: &mut Builder) -> Result<Value> {
        let tokens = self.lower_tokens(builder)?;
        let class = builder.token(tokens, 0)?;
        self.norm.lower(builder, class)
    }

    fn patches_of(&self, kept: &Tensor) -> Result<Tensor> {
        self.norm.forward(kept)
    }

    fn lower_with_patches(&self, builder: &mut Builder, name: &str) -> Result<(Value, Option<Value>)> {
        if name != TOKENS {
            return Ok((self.lower(builder)?, None));
        }
        let tokens = self.lower_tokens(builder)?;
        let normed = self.norm.lower(builder, tokens)?;
        Ok((builder.token(normed, 0)?, Some(normed)))
    }
}

impl VisionTransformer {
    /// Appends all tokens (B, T, D) behind the blocks, before the last norm.
    fn lower_tokens(&self, builder: &mut Builder) -> Result<Value> {
        let _no_grad = tch::no_grad_guard();
        let (first, positions) = (self.first_tokens()?, self.patch_positions()?);
        let weights = [&self.patch_weight.f_detach()?, &self.patch_bias.f_detach()?, &first, &positions];
        let mut tokens = builder.patches(IMAGES, weights, self.shape.antialias())?;
        for block in &self.blocks {
            tokens = block.lower(builder, tokens)?;
        }
        Ok(tokens)
    }
}
