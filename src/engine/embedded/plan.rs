//! Where values lie in memory while a pass computes what is wanted: each from the step that gives it to the last that reads it, and then
//! the place is another's.

use super::layers::{Layer, Layers};
use crate::error::{Error, ErrorKind, Result};

/// Rows of attention's scores that are in memory at once.
pub const QUERIES: usize = 24;

/// The steps that wanted values need, and where values lie. Places are for one image; of n images, n times as far.
pub struct Plan {
    /// Numbers of the nodes, in order.
    pub order: Vec<usize>,
    /// Where each value begins; of those that are not computed nowhere.
    pub places: Vec<usize>,
    /// Numbers of one image.
    pub size: usize,
    /// Numbers that each thread needs for itself, whatever the images.
    pub scratch: usize,
}

impl Plan {
    /// The plan of `wanted` values, which keep their places to the end.
    ///
    /// # Errors
    /// `Internal` where there is no such value, `InvalidArgument` where a pass takes more memory than can be addressed.
    pub fn new(layers: &Layers, wanted: &[usize]) -> Result<Plan> {
        let values = layers.shapes.len();
        if let Some(strange) = wanted.iter().find(|&&value| value >= values) {
            return Err(Error::new(ErrorKind::Internal, format!("there is no value {strange}")));
        }
        let mut needed = vec![false; values];
        wanted.iter().for_each(|&value| needed[value] = true);
        // The last node that reads a value; the end for what is wanted.
        let mut last: Vec<usize> = needed.iter().map(|&wanted| if wanted { usize::MAX } else { 0 }).collect();
        let mut order = Vec::new();
        for (number, node) in layers.nodes.iter().enumerate().rev() {
            if needed[number + 1] {
                order.push(number);
                for value in std::iter::once(node.input).chain(node.other) {
                    needed[value] = true;
                    last[value] = last[value].max(number);
                }
            }
        }
        order.reverse();
        let (mut places, mut size, mut scratch) = (vec![0; values], 0usize, 0usize);
        // Begin, end and value of what is in memory, by place.
        let mut kept: Vec<[usize; 3]> = Vec::new();
        for &number in &order {
            let node = &layers.nodes[number];
            let output = number + 1;
            let length = layers.shapes[output].numbers()?;
            let in_place = matches!(node.layer, Layer::Scale | Layer::Activate(_) | Layer::Normalise(..));
            if in_place && node.input != 0 && last[node.input] == number {
                places[output] = places[node.input];
                kept.iter_mut().filter(|[.., value]| *value == node.input).for_each(|kept| kept[2] = output);
            } else {
                let mut begin = 0;
                let mut at = 0;
                for &[from, to, _] in &kept {
                    if begin + length <= from {
                        break;
                    }
                    (begin, at) = (to, at + 1);
                }
                kept.insert(at, [begin, begin + length, output]);
                places[output] = begin;
                size = size.max(begin + length);
            }
            kept.retain(|&[.., value]| last[value] > number);
            if let Layer::Attention(heads) = node.layer {
                let tokens = layers.shapes[output].pixels().next_multiple_of(layers.kernels.lanes);
                let each = layers.shapes[output].channels / heads;
                scratch = scratch.max(tokens.saturating_mul(each + QUERIES).next_multiple_of(16));
            }
        }
        if size.max(scratch) > isize::MAX as usize / 1024 {
            return Err(Error::invalid(format!("a pass takes {size} numbers for an image, which is too much")));
        }
        Ok(Plan { order, places, size, scratch })
    }

    /// Numbers that a pass of `images` by `members` threads needs.
    pub fn numbers(&self, images: usize, members: usize) -> usize {
        self.size.saturating_mul(images).saturating_add(self.scratch.saturating_mul(members))
    }
}
