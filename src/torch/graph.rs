//! What a [`Builder`](super::fused::Builder) was told, as data: the operations of a network in eval mode with their weights.
//!
//! The C++ program runs a network; this list is for those who write it down (`export`) or count it (`model::cost`). The tensors
//! are handles: what they refer to must not be written to while the list is read.

use std::collections::BTreeMap;

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
    /// Zeros around the map, by [`same_padding`], for a convolution without padding.
    SamePadding {
        /// (B, C, H, W).
        input: Value,
        /// Side of the convolution's kernel.
        kernel: i64,
        /// The convolution's stride.
        stride: i64,
    },
    /// act(input), element by element.
    Activation {
        /// Any shape.
        input: Value,
        /// Which one.
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
            Self::MaxPool { input }
            | Self::Squeeze { input, .. }
            | Self::Mean { input }
            | Self::Linear { input, .. }
            | Self::SamePadding { input, .. }
            | Self::Activation { input, .. } => (Some(*input), None),
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

impl Graph {
    /// Height and width of every value's map for images of height × width, by the value's number; (1, 1) for rows.
    ///
    /// # Errors
    /// `Unsupported` as [`check_recorded`](Graph::check_recorded), `InvalidArgument` where a map is empty.
    pub fn map_sizes(&self, height: i64, width: i64) -> Result<BTreeMap<i32, (i64, i64)>> {
        self.check_recorded()?;
        let mut sizes = BTreeMap::from([(IMAGES.number(), (height, width))]);
        for node in &self.nodes {
            let input = node.operation.inputs().next().and_then(|input| sizes.get(&input.number()));
            let &(height, width) =
                input.ok_or_else(|| Error::new(ErrorKind::Internal, "an operation without an input"))?;
            let both = |side: &dyn Fn(i64) -> Result<i64>| Ok::<_, Error>((side(height)?, side(width)?));
            let size = match &node.operation {
                Operation::Conv { weight, geometry, .. } => {
                    let (_, _, kernel_height, kernel_width) = weight.size4()?;
                    (moved(height, kernel_height, *geometry)?, moved(width, kernel_width, *geometry)?)
                }
                Operation::MaxPool { .. } => {
                    both(&|side| moved(side, 3, ConvGeometry { stride: 2, padding: 1, groups: 1 }))?
                }
                Operation::SamePadding { kernel, stride, .. } => both(&|side| {
                    let (before, after) = same_padding(side, *kernel, *stride);
                    Ok(before + side + after)
                })?,
                Operation::Squeeze { .. } | Operation::Activation { .. } => (height, width),
                Operation::Mean { .. } | Operation::Linear { .. } | Operation::Unrecorded { .. } => (1, 1),
            };
            sizes.insert(node.output.number(), size);
        }
        Ok(sizes)
    }
}

/// Places of a kernel along a side of `length` pixels.
fn moved(length: i64, kernel: i64, geometry: ConvGeometry) -> Result<i64> {
    let places = (length + 2 * geometry.padding - kernel).div_euclid(geometry.stride.max(1)) + 1;
    if places < 1 {
        return Err(Error::invalid(format!("a side of {length} pixels has no place for a kernel of {kernel}")));
    }
    Ok(places)
}

/// Zeros before and behind a side of `length` pixels, so that a kernel has ⌈length/stride⌉ places: TensorFlow's "SAME".
pub fn same_padding(length: i64, kernel: i64, stride: i64) -> (i64, i64) {
    let stride = stride.max(1);
    let places = (length + stride - 1).div_euclid(stride);
    let zeros = ((places - 1) * stride + kernel - length).max(0);
    (zeros / 2, zeros - zeros / 2)
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
    fn same_padding_gives_a_place_for_each_stride() {
        for (length, kernel, stride, expected) in
            [(224, 3, 2, (0, 1)), (225, 3, 2, (1, 1)), (7, 5, 1, (2, 2)), (4, 1, 2, (0, 0))]
        {
            assert_eq!(same_padding(length, kernel, stride), expected);
        }
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
