//! What the engine runs, before it is made ready: the operations of a network in eval mode with their weights, as plain numbers.
//!
//! ```text
//! value 0          the images (B, H, W, C)
//! value n + 1      what step n gives: a map (B, H, W, C), tokens (B, T, 1, D) or a row (B, 1, 1, d)
//! ```

use crate::error::{Error, ErrorKind, Result};

/// A function applied to each number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// x
    Identity,
    /// max(x, 0)
    Relu,
    /// min(max(x, 0), 6)
    Relu6,
    /// x · relu6(x + 3) / 6
    Hardswish,
    /// relu6(x + 3) / 6
    Hardsigmoid,
    /// x / (1 + e⁻ˣ)
    Silu,
    /// 1 / (1 + e⁻ˣ)
    Sigmoid,
    /// x · Φ(x)
    Gelu,
}

/// The operations of a network on images of one size.
#[derive(Debug, Clone, Default)]
pub struct Program {
    /// H, W and C of the images.
    pub image: [usize; 3],
    /// In an order in which each reads what the ones before it give.
    pub steps: Vec<Step>,
}

/// One operation.
#[derive(Debug, Clone)]
pub struct Step {
    /// What is computed.
    pub operation: Operation,
    /// The value that it is computed of.
    pub input: usize,
}

/// What a step computes of its input.
#[derive(Debug, Clone)]
pub enum Operation {
    /// act(conv(x) + other).
    Convolution {
        /// (O, I/groups, k, k), row after row.
        weight: Vec<f32>,
        /// (O).
        bias: Vec<f32>,
        /// Height and width of the kernel.
        kernel: [usize; 2],
        /// Step in both directions.
        stride: usize,
        /// Zeros above, on the left, below, on the right.
        padding: [usize; 4],
        /// 1, or as many as there are channels.
        groups: usize,
        /// A value of the result's shape.
        other: Option<usize>,
        /// After the sum.
        activation: Activation,
    },
    /// 3×3 maxima, stride 2, padding 1.
    MaxPool,
    /// The mean over the map: a row.
    Mean,
    /// act(x·Wᵀ + b + other) of each row or token.
    Linear {
        /// (O, I).
        weight: Vec<f32>,
        /// (O).
        bias: Vec<f32>,
        /// A value of the result's shape.
        other: Option<usize>,
        /// After the sum.
        activation: Activation,
    },
    /// x times a row, channel by channel.
    Scale {
        /// The row's value.
        factors: usize,
    },
    /// act(x).
    Activate(Activation),
    /// Tokens: the first ones, and of each p × p patch of the images its product with the weights.
    Patches {
        /// (D, C, p, p).
        weight: Vec<f32>,
        /// (D).
        bias: Vec<f32>,
        /// p, downwards and across.
        patch: [usize; 2],
        /// (F, D).
        first: Vec<f32>,
        /// (H/p · W/p, D), added to the patches' tokens.
        positions: Vec<f32>,
    },
    /// (x − mean)/√(var + eps)·weight + bias over the channels.
    LayerNorm {
        /// (D).
        weight: Vec<f32>,
        /// (D).
        bias: Vec<f32>,
        /// Added to the variance.
        eps: f32,
    },
    /// softmax(q·kᵀ/√d)·v in each head, of tokens (T, 3D) that hold q, k and v.
    Attention {
        /// Heads that D is divided into.
        heads: usize,
    },
    /// One token as a row.
    Token(usize),
}

impl Operation {
    /// What messages call it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Convolution { .. } => "convolution",
            Self::MaxPool => "max pooling",
            Self::Mean => "mean",
            Self::Linear { .. } => "linear",
            Self::Scale { .. } => "scale",
            Self::Activate(_) => "activation",
            Self::Patches { .. } => "patches",
            Self::LayerNorm { .. } => "layer norm",
            Self::Attention { .. } => "attention",
            Self::Token(_) => "token",
        }
    }

    /// The second value that it reads.
    pub fn other(&self) -> Option<usize> {
        match self {
            Self::Convolution { other, .. } | Self::Linear { other, .. } => *other,
            Self::Scale { factors } => Some(*factors),
            _ => None,
        }
    }
}

/// The error of an operation that the engine does not know in this form.
pub fn unsupported(operation: &str, why: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Unsupported, format!("not supported by the embedded engine: operation {operation}: {why}"))
}

/// H, W and C of one image's share of a value, and how far its pixels lie from each other in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Rows; tokens.
    pub height: usize,
    /// Columns; 1 for tokens.
    pub width: usize,
    /// Numbers of a pixel.
    pub channels: usize,
    /// Numbers from one pixel to the next: the channels, up to whole vectors. Of the images the channels alone.
    pub pitch: usize,
}

impl Shape {
    /// A value whose pixels are whole vectors of `lanes` numbers.
    pub fn padded(height: usize, width: usize, channels: usize, lanes: usize) -> Shape {
        Shape { height, width, channels, pitch: channels.next_multiple_of(lanes) }
    }

    /// Pixels, or tokens.
    pub fn pixels(&self) -> usize {
        self.height * self.width
    }

    /// Whether pixels follow each other without a gap where vectors would have one: the images, and what is made of them by padding.
    pub fn is_packed(&self, lanes: usize) -> bool {
        !self.pitch.is_multiple_of(lanes)
    }

    /// Numbers of one image's share in memory, such that each begins at the beginning of a line of the cache.
    ///
    /// # Errors
    /// `InvalidArgument` where so many cannot be addressed by the kernels.
    pub fn numbers(&self) -> Result<usize> {
        let all = self.height.checked_mul(self.width).and_then(|pixels| pixels.checked_mul(self.pitch));
        all.filter(|&all| all < LARGEST).map(|all| all.next_multiple_of(16)).ok_or_else(|| {
            let Shape { height, width, channels, .. } = self;
            Error::invalid(format!("a map of {height}×{width} pixels with {channels} channels is too large"))
        })
    }
}

/// Numbers of one image's share of a value.
const LARGEST: usize = 1 << 31;
