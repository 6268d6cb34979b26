//! What one image costs: multiplications with addition, counted over the operations of a network in eval mode.
//!
//! ```text
//! convolution: O · H' · W' · (I/groups) · k²        linear: O · I        squeeze and excitation: 2 · S · C
//! ```
//!
//! Biases, activations, pooling and sums are left out, as torchvision and fvcore count.

use crate::error::{Error, ErrorKind, Result};
use crate::torch::graph::{Graph, Operation};

/// Multiply-adds of one image of height × width.
///
/// # Errors
/// `Unsupported` where an operation was not recorded, `InvalidArgument` where a map is empty.
pub(super) fn multiply_adds(graph: &Graph, height: i64, width: i64) -> Result<u64> {
    let sizes = graph.map_sizes(height, width)?;
    let mut total = 0u64;
    for node in graph.nodes() {
        // Every value of a recorded graph has a size.
        let (height, width) = sizes.get(&node.output.number()).copied().unwrap_or((1, 1));
        total = total.saturating_add(match &node.operation {
            Operation::Conv { weight, .. } => {
                let (output, input, kernel_height, kernel_width) = weight.size4()?;
                product(&[output, height, width, input, kernel_height, kernel_width])?
            }
            Operation::Squeeze { weights, .. } => {
                let (squeezed, channels) = weights[0].size2()?;
                product(&[2, squeezed, channels])?
            }
            Operation::Linear { weight, .. } => {
                let (output, input) = weight.size2()?;
                product(&[output, input])?
            }
            Operation::MaxPool { .. }
            | Operation::Mean { .. }
            | Operation::SamePadding { .. }
            | Operation::Activation { .. } => 0,
            Operation::Unrecorded { name } => {
                return Err(Error::new(ErrorKind::Unsupported, format!("the cost of {name} is not known")));
            }
        });
    }
    Ok(total)
}

fn product(factors: &[i64]) -> Result<u64> {
    let product = factors.iter().try_fold(1u64, |product, &factor| product.checked_mul(u64::try_from(factor).ok()?));
    product.ok_or_else(|| Error::invalid(format!("{factors:?} multiply-adds are too many to count")))
}
