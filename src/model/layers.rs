//! The layers that the backbones are made of, with torch's arithmetic and key names.
//!
//! Feature maps are (B, C, H, W) in either memory format; libtorch keeps the format of its input. Each layer has two
//! forms: `forward`, and `lower`, which appends its eval mode to a [`Builder`] of fused operations. `tests/model/fused.rs` holds
//! them against each other.

use tch::{Kind, Tensor};

use super::Mode;
use super::params::{Initial, Path};
use crate::error::{Error, Result};
use crate::torch::fused::{Builder, ConvGeometry, Value};

/// A function applied to each element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Activation {
    /// x
    Identity,
    /// max(x, 0)
    Relu,
    /// min(max(x, 0), 6)
    Relu6,
    /// x · hardsigmoid(x)
    Hardswish,
    /// relu6(x + 3) / 6
    Hardsigmoid,
    /// x · sigmoid(x)
    Silu,
    /// 1 / (1 + e⁻ˣ)
    Sigmoid,
    /// x · Φ(x), exact
    Gelu,
}

impl Activation {
    /// The activation that an operation of a [`Graph`](crate::torch::graph::Graph) names by its number.
    pub fn numbered(number: i32) -> Option<Activation> {
        let all = [
            Activation::Identity,
            Activation::Relu,
            Activation::Relu6,
            Activation::Hardswish,
            Activation::Hardsigmoid,
            Activation::Silu,
            Activation::Sigmoid,
            Activation::Gelu,
        ];
        all.into_iter().find(|&activation| activation as i32 == number)
    }

    /// Takes `x` over, since most activations write in place: `x` must come fresh out of an operation whose backward does
    /// not need its result (convolution, batch norm, linear).
    pub fn apply(self, mut x: Tensor, mode: Mode) -> Result<Tensor> {
        // Hardswish, SiLU and GELU need their input in backward: in place, libtorch would copy it first and save nothing.
        let in_place = matches!(mode, Mode::Eval);
        Ok(match self {
            Activation::Identity => x,
            Activation::Relu => x.f_relu_()?,
            Activation::Relu6 => x.f_relu6_()?,
            Activation::Hardswish if in_place => x.f_hardswish_()?,
            Activation::Hardswish => x.f_hardswish()?,
            Activation::Hardsigmoid => x.f_hardsigmoid()?,
            Activation::Silu if in_place => x.f_silu_()?,
            Activation::Silu => x.f_silu()?,
            Activation::Sigmoid => x.f_sigmoid_()?,
            Activation::Gelu if in_place => x.f_gelu_("none")?,
            Activation::Gelu => x.f_gelu("none")?,
        })
    }
}

/// What is put around the image, so that a convolution gives ⌈side/stride⌉ pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Padding {
    /// (kernel − 1)/2 zeros on every side: torch's networks.
    Even,
    /// TensorFlow's "SAME": as few zeros as are needed, an odd one at the lower and right edge. Differs from `Even` where
    /// the stride is 2 and the side is even.
    Same,
}

/// Shape of a convolution.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConvShape {
    pub input: i64,
    pub output: i64,
    pub kernel: i64,
    pub stride: i64,
    pub groups: i64,
    pub padding: Padding,
}

impl ConvShape {
    /// 1×1, stride 1.
    pub fn pointwise(input: i64, output: i64) -> ConvShape {
        ConvShape { input, output, kernel: 1, stride: 1, groups: 1, padding: Padding::Even }
    }

    /// Every channel by itself.
    pub fn depthwise(channels: i64, kernel: i64, stride: i64) -> ConvShape {
        ConvShape { input: channels, output: channels, kernel, stride, groups: channels, padding: Padding::Even }
    }

    /// Every channel with every other.
    pub fn dense(input: i64, output: i64, kernel: i64, stride: i64) -> ConvShape {
        ConvShape { input, output, kernel, stride, groups: 1, padding: Padding::Even }
    }

    /// The same shape with another padding.
    pub fn padded(self, padding: Padding) -> ConvShape {
        ConvShape { padding, ..self }
    }

    /// Whether zeros are put around the image by an operation of their own: with stride 1 both paddings are the same.
    fn pads_first(&self) -> bool {
        self.padding == Padding::Same && self.stride > 1
    }
}

/// Convolution: weight (O, I/groups, k, k), bias (O) or none.
pub(crate) struct Conv2d {
    weight: Tensor,
    bias: Option<Tensor>,
    shape: ConvShape,
}

impl Conv2d {
    /// Kaiming normal over the fan-out, gain √2 (He et al. 2015), as all torchvision models here start; bias 0.
    pub fn new(path: &mut Path<'_>, shape: ConvShape, bias: bool) -> Result<Conv2d> {
        let ConvShape { input, output, kernel, groups, .. } = shape;
        // torch counts the fan-out from the weight's shape, so it does not divide by the groups.
        let std = (2.0 / (output * kernel * kernel) as f64).sqrt();
        let weight = path.parameter("weight", &[output, input / groups, kernel, kernel], Initial::Normal { std })?;
        let bias = if bias { Some(path.parameter("bias", &[output], Initial::Constant(0.0))?) } else { None };
        Ok(Conv2d { weight, bias, shape })
    }

    /// (B, I, H, W) → (B, O, ⌈H/stride⌉, ⌈W/stride⌉).
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let ConvShape { kernel, stride, groups, .. } = self.shape;
        let convolve = |x: &Tensor, padding| {
            x.f_conv2d(&self.weight, self.bias.as_ref(), [stride, stride], [padding, padding], [1, 1], groups)
        };
        if self.shape.pads_first() {
            let (_, _, height, width) = x.size4()?;
            let ((top, bottom), (left, right)) = (same(height, kernel, stride), same(width, kernel, stride));
            return Ok(convolve(&x.f_constant_pad_nd([left, right, top, bottom])?, 0)?);
        }
        Ok(convolve(x, (kernel - 1) / 2)?)
    }
}

/// Zeros before and behind `side` pixels for "SAME": (⌈side/stride⌉ − 1)·stride + kernel − side in all.
fn same(side: i64, kernel: i64, stride: i64) -> (i64, i64) {
    let zeros = (((side + stride - 1) / stride - 1) * stride + kernel - side).max(0);
    (zeros / 2, zeros - zeros / 2)
}

/// The two constants of batch normalisation that differ between architectures.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NormConfig {
    pub eps: f64,
    pub momentum: f64,
}

impl NormConfig {
    /// torch's defaults: ResNet, MobileNetV2, EfficientNet-B0.
    pub const TORCH: NormConfig = NormConfig { eps: 1e-5, momentum: 0.1 };
    /// torchvision's MobileNetV3; also TensorFlow's EfficientNets, whose momentum 0.99 is torch's 0.01.
    pub const MOBILENET_V3: NormConfig = NormConfig { eps: 1e-3, momentum: 0.01 };
}

/// Batch normalisation over (B, H, W), or over B of (B, C), per channel:
/// `y = (x − mean)/√(var + eps) · weight + bias`, with the batch's statistics in training and the running ones otherwise.
///
/// In training the running statistics move by `momentum` (unbiased variance) and `num_batches_tracked` counts the step.
pub(crate) struct BatchNorm2d {
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    num_batches_tracked: Tensor,
    config: NormConfig,
}

impl BatchNorm2d {
    pub fn new(path: &mut Path<'_>, channels: i64, config: NormConfig) -> Result<BatchNorm2d> {
        Ok(BatchNorm2d {
            weight: path.parameter("weight", &[channels], Initial::Constant(1.0))?,
            bias: path.parameter("bias", &[channels], Initial::Constant(0.0))?,
            running_mean: path.buffer("running_mean", &[channels], Kind::Float, 0.0)?,
            running_var: path.buffer("running_var", &[channels], Kind::Float, 1.0)?,
            num_batches_tracked: path.buffer("num_batches_tracked", &[], Kind::Int64, 0.0)?,
            config,
        })
    }

    /// Training needs more than one value per channel; [`Network`](super::Network) checks that before the first layer,
    /// because a failure half-way would leave some running statistics moved and others not.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let training = matches!(mode, Mode::Train { .. });
        if training {
            let _updated = self.num_batches_tracked.shallow_clone().f_add_scalar_(1)?;
        }
        Ok(x.f_batch_norm(
            Some(&self.weight),
            Some(&self.bias),
            Some(&self.running_mean),
            Some(&self.running_var),
            training,
            self.config.momentum,
            self.config.eps,
            true,
        )?)
    }

    /// Weight and bias of the convolution or product without bias `weight` (O, …) followed by this norm in eval mode, computed in float64:
    /// w·γ/√(var + eps) and β − mean·γ/√(var + eps).
    fn folded_into(&self, weight: &Tensor) -> Result<(Tensor, Tensor)> {
        let _no_grad = tch::no_grad_guard();
        let double = |tensor: &Tensor| tensor.f_detach()?.f_to_kind(Kind::Double);
        let deviation = double(&self.running_var)?.f_add_scalar(self.config.eps)?.f_sqrt()?;
        let scale = double(&self.weight)?.f_div(&deviation)?; // (O)
        let bias = double(&self.bias)?.f_sub(&double(&self.running_mean)?.f_mul(&scale)?)?;
        let mut per_output = vec![1; weight.dim()];
        per_output[0] = -1;
        let weight = double(weight)?.f_mul(&scale.f_view(per_output.as_slice())?)?;
        Ok((weight.f_to_kind(Kind::Float)?, bias.f_to_kind(Kind::Float)?))
    }
}

/// Convolution without bias, batch normalisation, activation.
pub(crate) struct ConvBnAct {
    conv: Conv2d,
    norm: BatchNorm2d,
    activation: Activation,
}

impl ConvBnAct {
    /// `keys` are the two modules' names under `path`: ("0", "1") in a sequence, ("conv1", "bn1") in a ResNet.
    pub fn new(
        path: &mut Path<'_>,
        keys: (&str, &str),
        shape: ConvShape,
        norm: NormConfig,
        activation: Activation,
    ) -> Result<ConvBnAct> {
        let conv = Conv2d::new(&mut path.at(keys.0), shape, false)?;
        let norm = BatchNorm2d::new(&mut path.at(keys.1), shape.output, norm)?;
        Ok(ConvBnAct { conv, norm, activation })
    }

    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let x = self.norm.forward(&self.conv.forward(x)?, mode)?;
        self.activation.apply(x, mode)
    }

    /// Eval mode as one operation: the norm goes into weight and bias.
    pub fn lower(&self, builder: &mut Builder, x: Value) -> Result<Value> {
        self.lower_fused(builder, x, None, self.activation)
    }

    /// `activation(conv and norm + other)`.
    pub fn lower_sum(&self, builder: &mut Builder, x: Value, other: Value, activation: Activation) -> Result<Value> {
        self.lower_fused(builder, x, Some(other), activation)
    }

    fn lower_fused(&self, b: &mut Builder, x: Value, other: Option<Value>, activation: Activation) -> Result<Value> {
        let (weight, bias) = self.norm.folded_into(&self.conv.weight)?;
        let ConvShape { kernel, stride, groups, .. } = self.conv.shape;
        let (x, padding) = match self.conv.shape.pads_first() {
            true => (b.same_padding(x, kernel, stride)?, 0),
            false => (x, (kernel - 1) / 2),
        };
        b.conv(x, other, &weight, &bias, ConvGeometry { stride, padding, groups }, activation as i32)
    }
}

/// Squeeze and excitation (Hu et al. 2018): `x · gate(fc2(inner(fc1(mean over H, W))))`, one factor per channel.
pub(crate) struct SqueezeExcitation {
    fc1: Conv2d,
    fc2: Conv2d,
    inner: Activation,
    gate: Activation,
}

impl SqueezeExcitation {
    pub fn new(
        path: &mut Path<'_>,
        channels: i64,
        squeezed: i64,
        inner: Activation,
        gate: Activation,
    ) -> Result<SqueezeExcitation> {
        let fc1 = Conv2d::new(&mut path.at("fc1"), ConvShape::pointwise(channels, squeezed), true)?;
        let fc2 = Conv2d::new(&mut path.at("fc2"), ConvShape::pointwise(squeezed, channels), true)?;
        Ok(SqueezeExcitation { fc1, fc2, inner, gate })
    }

    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let pooled = x.f_adaptive_avg_pool2d([1, 1])?; // (B, C, 1, 1)
        let squeezed = self.inner.apply(self.fc1.forward(&pooled)?, mode)?; // (B, S, 1, 1)
        let factors = self.gate.apply(self.fc2.forward(&squeezed)?, mode)?; // (B, C, 1, 1)
        Ok(factors.f_mul(x)?)
    }

    /// Overwrites `x`.
    pub fn lower(&self, builder: &mut Builder, x: Value) -> Result<Value> {
        let _no_grad = tch::no_grad_guard();
        let mut weights = Vec::with_capacity(4);
        for layer in [&self.fc1, &self.fc2] {
            weights.push(layer.weight.f_detach()?.f_flatten(1, -1)?); // (O, I, 1, 1) → (O, I)
            let bias = layer.bias.as_ref().ok_or_else(|| Error::invalid("squeeze and excitation without bias"))?;
            weights.push(bias.f_detach()?);
        }
        let [w1, b1, w2, b2] = [0, 1, 2, 3].map(|i: usize| &weights[i]);
        builder.squeeze(x, [w1, b1, w2, b2], self.inner as i32, self.gate as i32)
    }
}

/// How a linear layer starts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum LinearInitial {
    /// torch's `nn.Linear`: weight and bias U(±1/√fan-in). ResNet's classifier and every projection head.
    Torch,
    /// Weight N(0, 0.01²), bias 0: MobileNetV2 and V3.
    MobileNet,
    /// Weight U(±1/√outputs), bias 0: EfficientNet.
    EfficientNet,
    /// Weight N(0, 0.02²), bias 0: Vision Transformers.
    Transformer,
}

/// `y = x·Wᵀ + b`: (…, I) → (…, O), weight (O, I).
pub(crate) struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    pub fn new(path: &mut Path<'_>, input: i64, output: i64, initial: LinearInitial) -> Result<Linear> {
        let (weight, bias) = match initial {
            LinearInitial::Torch => {
                let bound = 1.0 / (input as f64).sqrt();
                (Initial::Uniform { bound }, Initial::Uniform { bound })
            }
            LinearInitial::MobileNet => (Initial::Normal { std: 0.01 }, Initial::Constant(0.0)),
            LinearInitial::Transformer => (Initial::Normal { std: 0.02 }, Initial::Constant(0.0)),
            LinearInitial::EfficientNet => {
                (Initial::Uniform { bound: 1.0 / (output as f64).sqrt() }, Initial::Constant(0.0))
            }
        };
        Ok(Linear {
            weight: path.parameter("weight", &[output, input], weight)?,
            bias: path.parameter("bias", &[output], bias)?,
        })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.f_linear(&self.weight, Some(&self.bias))?)
    }

    /// `activation(norm(x·Wᵀ + b))` in eval mode.
    pub fn lower_normed(
        &self,
        builder: &mut Builder,
        x: Value,
        norm: &BatchNorm2d,
        activation: Activation,
    ) -> Result<Value> {
        let _no_grad = tch::no_grad_guard();
        let (weight, shift) = norm.folded_into(&self.weight)?;
        // The bias goes through the norm's scale like a column of the weight.
        let (scaled_bias, _) = norm.folded_into(&self.bias.f_unsqueeze(1)?)?;
        builder.linear(x, &weight, &scaled_bias.f_squeeze_dim(1)?.f_add(&shift)?, activation as i32)
    }

    /// `other + scale·(x·Wᵀ + b)`, `scale` (O) or none.
    pub fn lower_scaled_sum(
        &self,
        builder: &mut Builder,
        x: Value,
        other: Value,
        scale: Option<&Tensor>,
    ) -> Result<Value> {
        let _no_grad = tch::no_grad_guard();
        let (mut weight, mut bias) = (self.weight.f_detach()?, self.bias.f_detach()?);
        if let Some(scale) = scale {
            weight = weight.f_mul(&scale.f_unsqueeze(1)?)?;
            bias = bias.f_mul(scale)?;
        }
        builder.linear_sum(x, other, &weight, &bias, Activation::Identity as i32)
    }

    /// `activation(x·Wᵀ + b)`.
    pub fn lower(&self, builder: &mut Builder, x: Value, activation: Activation) -> Result<Value> {
        builder.linear(x, &self.weight.f_detach()?, &self.bias.f_detach()?, activation as i32)
    }
}

/// Mean over the image: (B, C, H, W) → (B, C).
pub(crate) fn global_average(x: &Tensor) -> Result<Tensor> {
    Ok(x.f_adaptive_avg_pool2d([1, 1])?.f_flatten(1, -1)?)
}
