//! What one image costs: multiplications with addition, counted over the operations of a network in eval mode; and the sizes of
//! the maps on the way.
//!
//! ```text
//! convolution: O · H' · W' · (I/groups) · k²      linear: O · I (a token)      squeeze and excitation: 2 · S · C
//! attention over T tokens: 2 · T² · D
//! ```
//!
//! Biases, activations, norms, pooling and sums are left out, as torchvision and fvcore count.

use crate::error::{Error, ErrorKind, Result};
use crate::torch::fused::{ConvGeometry, IMAGES, Value};
use crate::torch::graph::{Graph, Operation};

/// The size of one image's share of a value: a map (C, H, W); T tokens of width C, (C, T, 1); a row, (C, 1, 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Map {
    pub channels: i64,
    pub height: i64,
    pub width: i64,
}

/// What [`count`] finds.
#[derive(Default)]
pub(crate) struct Count {
    /// Multiply-adds of one image.
    pub multiply_adds: u64,
    maps: Vec<(Value, Map)>,
}

impl Count {
    /// The size of a value.
    pub fn map(&self, value: Value) -> Result<Map> {
        let found = self.maps.iter().rev().find(|(known, _)| *known == value).map(|&(_, map)| map);
        found.ok_or_else(|| Error::new(ErrorKind::Internal, "a value of the network has no size"))
    }
}

/// Counts for one image of height × width.
///
/// # Errors
/// `Unsupported` where an operation was not recorded, `InvalidArgument` where a map is empty.
pub(crate) fn count(graph: &Graph, height: i64, width: i64) -> Result<Count> {
    graph.check_recorded()?;
    let mut count = Count { multiply_adds: 0, maps: vec![(IMAGES, Map { channels: 3, height, width })] };
    for node in graph.nodes() {
        let first = node.operation.inputs().next();
        let input =
            count.map(first.ok_or_else(|| Error::new(ErrorKind::Internal, "an operation without an input"))?)?;
        let (map, products) = cost_of(&node.operation, input)?;
        count.maps.push((node.output, map));
        count.multiply_adds = count.multiply_adds.saturating_add(products);
    }
    Ok(count)
}

/// The size of what `operation` gives, and its multiply-adds.
fn cost_of(operation: &Operation, input: Map) -> Result<(Map, u64)> {
    let Map { channels, height, width } = input;
    let row = |channels| Map { channels, height: 1, width: 1 };
    Ok(match operation {
        Operation::Conv { weight, geometry, .. } => {
            let (output, inputs, rows, columns) = weight.size4()?;
            let (height, width) = (moved(height, rows, *geometry)?, moved(width, columns, *geometry)?);
            (Map { channels: output, height, width }, product(&[output, height, width, inputs, rows, columns])?)
        }
        Operation::MaxPool { .. } => {
            let geometry = ConvGeometry { stride: 2, padding: 1, groups: 1 };
            (Map { channels, height: moved(height, 3, geometry)?, width: moved(width, 3, geometry)? }, 0)
        }
        Operation::Squeeze { weights, .. } => {
            let (squeezed, channels) = weights[0].size2()?;
            (input, product(&[2, squeezed, channels])?)
        }
        Operation::Mean { .. } | Operation::Token { .. } => (row(channels), 0),
        Operation::Linear { weight, .. } | Operation::LinearSum { weight, .. } => {
            let (output, inputs) = weight.size2()?;
            (Map { channels: output, ..input }, product(&[output, inputs, height, width])?)
        }
        Operation::SamePadding { kernel, stride, .. } => {
            let ((above, below), (left, right)) =
                (same_padding(height, *kernel, *stride), same_padding(width, *kernel, *stride));
            (Map { channels, height: height + above + below, width: width + left + right }, 0)
        }
        Operation::Activation { .. } | Operation::LayerNorm { .. } => (input, 0),
        Operation::Patches { weights, .. } => {
            let (output, inputs, rows, columns) = weights[0].size4()?;
            let (_, first, _) = weights[2].size3()?;
            let patches = (height / rows.max(1)) * (width / columns.max(1));
            if patches < 1 {
                return Err(Error::invalid(format!("{width}x{height} pixels hold no patch of {columns}x{rows}")));
            }
            let map = Map { channels: output, height: first + patches, width: 1 };
            (map, product(&[output, patches, inputs, rows, columns])?)
        }
        Operation::Attention { .. } => {
            (Map { channels: channels / 3, ..input }, product(&[2, height, height, channels / 3])?)
        }
        Operation::Unrecorded { name } => {
            return Err(Error::new(ErrorKind::Unsupported, format!("the cost of {name} is not known")));
        }
    })
}

/// Zeros before and behind a side of `length` pixels for [`Operation::SamePadding`].
pub(crate) fn same_padding(length: i64, kernel: i64, stride: i64) -> (i64, i64) {
    let stride = stride.max(1);
    let places = (length + stride - 1) / stride;
    let zeros = ((places - 1) * stride + kernel - length).max(0);
    (zeros / 2, zeros - zeros / 2)
}

/// Places of a kernel along a side of `length` pixels.
fn moved(length: i64, kernel: i64, geometry: ConvGeometry) -> Result<i64> {
    let places = (length + 2 * geometry.padding - kernel).div_euclid(geometry.stride.max(1)) + 1;
    if places < 1 {
        return Err(Error::invalid(format!("a side of {length} pixels has no place for a kernel of {kernel}")));
    }
    Ok(places)
}

fn product(factors: &[i64]) -> Result<u64> {
    let product = factors.iter().try_fold(1u64, |product, &factor| product.checked_mul(u64::try_from(factor).ok()?));
    product.ok_or_else(|| Error::invalid(format!("{factors:?} multiply-adds are too many to count")))
}
