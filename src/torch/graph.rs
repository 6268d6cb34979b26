//! What a [`Builder`](super::fused::Builder) was told, as data: the operations of a network in eval mode with their weights.
//!
//! The C++ program runs a network; this list is for those who write it down (`export`) or count it (`model::cost`). The tensors
//! are handles: what they refer to must not be written to while the list is read.

use std::collections::BTreeSet;

use tch::Tensor;

use crate::{Error, ErrorKind, Result};

/// What an operation of a program gives; [`IMAGES`] is what the program is run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value(pub(super) i32);

impl Value {
    /// 0 for the images, then in the order of the operations.
    pub fn number(self) -> i32 {
        self.0
    }
}

/// The batch of images, (B, 3, H, W).
pub const IMAGES: Value = Value(0);

/// Stride, padding and groups of a convolution.
#[derive(Debug, Clone, Copy)]
pub struct ConvGeometry {
    /// Step in both directions, in pixels.
    pub stride: i64,
    /// Zeros around the map, in pixels.
    pub padding: i64,
    /// Groups of channels.
    pub groups: i64,
}

/// One operation. Activations are the numbers of `model::layers::Activation`.
#[derive(Debug)]
pub enum Operation {
    /// act(conv(input) + other), weight (O, I/groups, k, k), bias (O).
    Conv {
        /// (B, I, H, W).
        input: Value,
        /// (B, O, H', W'), added before the activation.
        other: Option<Value>,
        /// (O, I/groups, k, k).
        weight: Tensor,
        /// (O).
        bias: Tensor,
        /// Stride, padding, groups.
        geometry: ConvGeometry,
        /// After the sum.
        activation: i32,
    },
    /// 3×3 maxima, stride 2, padding 1.
    MaxPool {
        /// (B, C, H, W).
        input: Value,
    },
    /// x·gate(W₂·inner(W₁·mean(x) + b₁) + b₂).
    Squeeze {
        /// (B, C, H, W).
        input: Value,
        /// W₁ (S, C), b₁ (S), W₂ (C, S), b₂ (C).
        weights: [Tensor; 4],
        /// Activation between the two products.
        inner: i32,
        /// Activation that makes the factors.
        gate: i32,
    },
    /// Mean over the image: (B, C, H, W) → (B, C).
    Mean {
        /// (B, C, H, W).
        input: Value,
    },
    /// act(input·Wᵀ + b), weight (O, I), bias (O).
    Linear {
        /// (B, I).
        input: Value,
        /// (O, I).
        weight: Tensor,
        /// (O).
        bias: Tensor,
        /// After the sum.
        activation: i32,
    },
    /// act(input·Wᵀ + b) + other, weight (O, I), bias (O).
    LinearSum {
        /// (B, T, I).
        input: Value,
        /// (B, T, O), added after the activation.
        other: Value,
        /// (O, I).
        weight: Tensor,
        /// (O).
        bias: Tensor,
        /// Before the sum.
        activation: i32,
    },
    /// Zeros around a map, as few as a convolution without padding needs to give ⌈H/stride⌉ × ⌈W/stride⌉, the odd one below and
    /// on the right.
    SamePadding {
        /// (B, C, H, W).
        input: Value,
        /// Side of the convolution's kernel.
        kernel: i64,
        /// Stride of the convolution.
        stride: i64,
    },
    /// act(input).
    Activation {
        /// Of any shape.
        input: Value,
        /// Which one.
        activation: i32,
    },
    /// Images (B, 3, H, W) → tokens (B, F + H/p·W/p, D).
    Patches {
        /// (B, 3, H, W).
        input: Value,
        /// W (D, 3, p, p), b (D), the first tokens (1, F, D), positions of the others (1, G, G, D).
        weights: [Tensor; 4],
        /// Whether positions that shrink are filtered.
        antialias: bool,
    },
    /// Layer normalisation over the last axis.
    LayerNorm {
        /// (…, D).
        input: Value,
        /// (D).
        weight: Tensor,
        /// (D).
        bias: Tensor,
        /// Added to the variance.
        eps: f64,
    },
    /// Self-attention: (B, T, 3D) → (B, T, D).
    Attention {
        /// Queries, keys and values.
        input: Value,
        /// Heads that D is divided into.
        heads: i64,
    },
    /// One token of each image: (B, T, D) → (B, D).
    Token {
        /// (B, T, D).
        input: Value,
        /// Which one.
        number: i64,
    },
    /// An operation that programs run and nobody can write down yet.
    Unrecorded {
        /// What to call it in a message.
        name: &'static str,
    },
}

impl Operation {
    /// The values that are read, of which there are at most two.
    pub fn inputs(&self) -> impl Iterator<Item = Value> {
        let (first, second) = match self {
            Self::Conv { input, other, .. } => (Some(*input), *other),
            Self::MaxPool { input } | Self::Squeeze { input, .. } | Self::Mean { input } => (Some(*input), None),
            Self::LinearSum { input, other, .. } => (Some(*input), Some(*other)),
            Self::Linear { input, .. }
            | Self::SamePadding { input, .. }
            | Self::Activation { input, .. }
            | Self::Patches { input, .. }
            | Self::LayerNorm { input, .. }
            | Self::Attention { input, .. }
            | Self::Token { input, .. } => (Some(*input), None),
            Self::Unrecorded { .. } => (None, None),
        };
        first.into_iter().chain(second)
    }
}

/// An operation and the value that it gives.
#[derive(Debug)]
pub struct Node {
    /// What is computed.
    pub operation: Operation,
    /// What it is called by later nodes.
    pub output: Value,
}

/// The operations of a network, each after those whose values it reads.
#[derive(Debug, Default)]
pub struct Graph {
    nodes: Vec<Node>,
}

impl Graph {
    /// Appends an operation.
    pub(super) fn push(&mut self, operation: Operation, output: Value) {
        self.nodes.push(Node { operation, output });
    }

    /// All operations, in order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The operations that `wanted` need, in order.
    pub fn leading_to(&self, wanted: &[Value]) -> Vec<&Node> {
        let mut needed: BTreeSet<i32> = wanted.iter().map(|value| value.number()).collect();
        let mut nodes: Vec<&Node> = Vec::new();
        for node in self.nodes.iter().rev() {
            if needed.contains(&node.output.number()) {
                needed.extend(node.operation.inputs().map(|value| value.number()));
                nodes.push(node);
            }
        }
        nodes.reverse();
        nodes
    }

    /// Refuses a graph that is not the whole network.
    ///
    /// # Errors
    /// `Unsupported`, naming the operation, where one was not recorded or reads what no operation before it gives.
    pub fn check_recorded(&self) -> Result<()> {
        let mut known = vec![IMAGES];
        for node in &self.nodes {
            if let Operation::Unrecorded { name } = node.operation {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    format!("the network has the operation {name}, which cannot be exported in this version"),
                ));
            }
            if let Some(strange) = node.operation.inputs().find(|input| !known.contains(input)) {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    format!(
                        "value {} of the network comes from an operation that cannot be exported in this version",
                        strange.number()
                    ),
                ));
            }
            known.push(node.output);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::fused::Builder;
    use super::*;

    #[test]
    fn a_program_is_recorded_as_it_is_built() {
        let mut builder = Builder::new().unwrap();
        let tensor = |shape: &[i64]| Tensor::zeros(shape, (tch::Kind::Float, tch::Device::Cpu));
        let geometry = ConvGeometry { stride: 2, padding: 1, groups: 1 };
        let conv = builder.conv(IMAGES, None, &tensor(&[4, 3, 3, 3]), &tensor(&[4]), geometry, 1).unwrap();
        let mean = builder.mean(conv).unwrap();
        let linear = builder.linear(mean, &tensor(&[2, 4]), &tensor(&[2]), 0).unwrap();
        let graph = builder.into_graph();
        graph.check_recorded().unwrap();
        assert_eq!(graph.nodes().iter().map(|node| node.output).collect::<Vec<_>>(), [conv, mean, linear]);
        assert_eq!(graph.nodes()[2].operation.inputs().collect::<Vec<_>>(), [mean]);
    }

    #[test]
    fn an_operation_that_is_not_recorded_is_named() {
        let mut builder = Builder::new().unwrap();
        let mean = builder.mean(IMAGES).unwrap();
        let mut graph = builder.into_graph();
        graph.push(Operation::Unrecorded { name: "layer norm" }, mean);
        let error = graph.check_recorded().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.message().contains("layer norm"), "{error}");
        let mut gap = Graph::default();
        gap.push(Operation::Mean { input: mean }, mean);
        assert!(gap.check_recorded().unwrap_err().message().contains("value 1 of the network"));
    }
}
