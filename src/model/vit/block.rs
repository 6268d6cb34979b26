//! A transformer block: attention and a two-layer network, each behind a norm and added to its input.
//!
//! ```text
//! x ← x + γ₁·attention(norm₁(x))        x: (B, T, D)
//! x ← x + γ₂·W₂·gelu(W₁·norm₂(x))       W₁: (4D, D), W₂: (D, 4D), biases left out
//! ```
//!
//! γ is DINOv2's LayerScale (Touvron et al. 2021), one weight per channel; DINO has none.

use tch::Tensor;

use super::ViT;
use crate::error::Result;
use crate::model::Mode;
use crate::model::layers::{Activation, Linear, LinearInitial};
use crate::model::params::{Initial, Path};
use crate::torch::fused::{Builder, Value};

/// DINO's and DINOv2's; torch's default is 1e-5.
const EPS: f64 = 1e-6;

/// What γ starts from: DINOv2's training configuration.
const LAYER_SCALE: f64 = 1e-5;

/// Layer normalisation over the last axis: `y = (x − mean)/√(var + eps) · weight + bias`.
pub(super) struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    width: i64,
}

impl LayerNorm {
    pub fn new(path: &mut Path<'_>, width: i64) -> Result<LayerNorm> {
        Ok(LayerNorm {
            weight: path.parameter("weight", &[width], Initial::Constant(1.0))?,
            bias: path.parameter("bias", &[width], Initial::Constant(0.0))?,
            width,
        })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.f_layer_norm([self.width], Some(&self.weight), Some(&self.bias), EPS, true)?)
    }

    pub fn lower(&self, builder: &mut Builder, x: Value) -> Result<Value> {
        builder.layer_norm(x, &self.weight.f_detach()?, &self.bias.f_detach()?, EPS)
    }
}

/// The end of a branch: a linear layer, and LayerScale where there is one.
struct BranchEnd {
    linear: Linear,
    scale: Option<Tensor>,
}

impl BranchEnd {
    /// `input + γ·(W·x + b)`. Under autocast the sum stays float32, as `input` is.
    fn forward(&self, x: &Tensor, input: &Tensor) -> Result<Tensor> {
        let out = self.linear.forward(x)?;
        match &self.scale {
            Some(scale) => Ok(input.f_add(&out.f_mul(scale)?)?),
            None => Ok(input.f_add(&out)?),
        }
    }

    /// As one operation: γ goes into weight and bias.
    fn lower(&self, builder: &mut Builder, x: Value, input: Value) -> Result<Value> {
        self.linear.lower_scaled_sum(builder, x, input, self.scale.as_ref())
    }
}

/// One block.
pub(super) struct Block {
    norm1: LayerNorm,
    qkv: Linear,
    attention: BranchEnd,
    norm2: LayerNorm,
    widen: Linear,
    narrow: BranchEnd,
    heads: i64,
}

impl Block {
    pub fn new(path: &mut Path<'_>, shape: ViT) -> Result<Block> {
        let width = shape.width();
        let linear = |path: &mut Path<'_>, input, output| Linear::new(path, input, output, LinearInitial::Transformer);
        let scale = |path: &mut Path<'_>, name: &str| match shape.layer_scale() {
            true => path.at(name).parameter("gamma", &[width], Initial::Constant(LAYER_SCALE)).map(Some),
            false => Ok(None),
        };
        let norm1 = LayerNorm::new(&mut path.at("norm1"), width)?;
        let qkv = linear(&mut path.at("attn").at("qkv"), width, 3 * width)?;
        let attention =
            BranchEnd { linear: linear(&mut path.at("attn").at("proj"), width, width)?, scale: scale(path, "ls1")? };
        let norm2 = LayerNorm::new(&mut path.at("norm2"), width)?;
        let widen = linear(&mut path.at("mlp").at("fc1"), width, 4 * width)?;
        let narrow =
            BranchEnd { linear: linear(&mut path.at("mlp").at("fc2"), 4 * width, width)?, scale: scale(path, "ls2")? };
        Ok(Block { norm1, qkv, attention, norm2, widen, narrow, heads: shape.heads() })
    }

    /// (B, T, D) → (B, T, D).
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let attended = self.attend(&self.qkv.forward(&self.norm1.forward(x)?)?)?;
        let x = self.attention.forward(&attended, x)?;
        let wide = Activation::Gelu.apply(self.widen.forward(&self.norm2.forward(&x)?)?, mode)?; // (B, T, 4D)
        self.narrow.forward(&wide, &x)
    }

    /// softmax(q·kᵀ/√64)·v in each head: (B, T, 3D) → (B, T, D).
    fn attend(&self, qkv: &Tensor) -> Result<Tensor> {
        let (batch, tokens, width) = qkv.size3()?;
        let width = width / 3;
        let parts = qkv.f_view([batch, tokens, 3, self.heads, width / self.heads])?.f_permute([2, 0, 3, 1, 4])?;
        let [q, k, v] = [0, 1, 2].map(|part| parts.f_select(0, part)); // each (B, heads, T, 64)
        let out = Tensor::f_scaled_dot_product_attention(&q?, &k?, &v?, None::<Tensor>, 0.0, false, None, false)?;
        Ok(out.f_transpose(1, 2)?.f_reshape([batch, tokens, width])?)
    }

    pub fn lower(&self, builder: &mut Builder, x: Value) -> Result<Value> {
        let normed = self.norm1.lower(builder, x)?;
        let qkv = self.qkv.lower(builder, normed, Activation::Identity)?;
        let attended = builder.attention(qkv, self.heads)?;
        let x = self.attention.lower(builder, attended, x)?;
        let normed = self.norm2.lower(builder, x)?;
        let wide = self.widen.lower(builder, normed, Activation::Gelu)?;
        self.narrow.lower(builder, wide, x)
    }
}
