//! What one image costs: multiplications with addition, counted over the operations of a network in eval mode.
//!
//! ```text
//! convolution: O · H' · W' · (I/groups) · k²        linear: O · I        squeeze and excitation: 2 · S · C
//! ```
//!
//! Biases, activations, pooling and sums are left out, as torchvision and fvcore count.

use crate::error::{Error, ErrorKind, Result};
use crate::torch::fused::{ConvGeometry, IMAGES};
use crate::torch::graph::{Graph, Operation};

/// Multiply-adds of one image of height × width.
///
/// # Errors
/// `Unsupported` where an operation was not recorded, `InvalidArgument` where a map is empty.
pub(super) fn multiply_adds(graph: &Graph, height: i64, width: i64) -> Result<u64> {
    graph.check_recorded()?;
    // Height and width of each value's map, by number; (1, 1) for rows.
    let mut sides = vec![(IMAGES, (height, width))];
    let mut total = 0u64;
    for node in graph.nodes() {
        let first = node.operation.inputs().next();
        let input = sides.iter().rev().find(|(value, _)| Some(*value) == first).map(|&(_, sides)| sides);
        let (height, width) = input.ok_or_else(|| Error::new(ErrorKind::Internal, "an operation without an input"))?;
        let (map, products) = match &node.operation {
            Operation::Conv { weight, geometry, .. } => {
                let (output, input, kernel_height, kernel_width) = weight.size4()?;
                let map = (moved(height, kernel_height, *geometry)?, moved(width, kernel_width, *geometry)?);
                (map, product(&[output, map.0, map.1, input, kernel_height, kernel_width])?)
            }
            Operation::MaxPool { .. } => {
                let geometry = ConvGeometry { stride: 2, padding: 1, groups: 1 };
                ((moved(height, 3, geometry)?, moved(width, 3, geometry)?), 0)
            }
            Operation::Squeeze { weights, .. } => {
                let (squeezed, channels) = weights[0].size2()?;
                ((height, width), product(&[2, squeezed, channels])?)
            }
            Operation::Mean { .. } => ((1, 1), 0),
            Operation::Linear { weight, .. } => {
                let (output, input) = weight.size2()?;
                ((1, 1), product(&[output, input])?)
            }
            Operation::Unrecorded { name } => {
                return Err(Error::new(ErrorKind::Unsupported, format!("the cost of {name} is not known")));
            }
        };
        sides.push((node.output, map));
        total = total.saturating_add(products);
    }
    Ok(total)
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
