//! What a [`Builder`](super::fused::Builder) was told, as data: the operations of a network in eval mode with their weights.
//!
//! The C++ program runs a network; this list is for those who write it down (`export`) or count it (`model::cost`). The tensors
//! are handles: what they refer to must not be written to while the list is read.

use tch::Tensor;

use super::fused::{ConvGeometry, IMAGES, Value};
use crate::{Error, ErrorKind, Result};

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
            Self::Linear { input, .. } => (Some(*input), None),
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
