//! Which blocks of a network of inverted residuals give the feature maps that can be asked for: the last one of each size,
//! as timm's `features_only` takes them.

use crate::torch::fused::{Builder, Value};

/// torchvision's module, channels and stride of every block's output.
pub(crate) struct Maps {
    blocks: Vec<(String, i64, i64)>,
    stride: i64,
}

impl Maps {
    /// Before the first block; the stem has `stride`.
    pub fn new(stride: i64) -> Maps {
        Maps { blocks: Vec::new(), stride }
    }

    /// Notes the next block, which belongs to the module `features.number`.
    pub fn block(&mut self, number: usize, channels: i64, stride: i64) {
        self.stride *= stride;
        self.blocks.push((format!("features.{number}"), channels, self.stride));
    }

    /// Marks `value`, the output of block `number`, where it is the last of its size.
    pub fn mark(&self, builder: &mut Builder, number: usize, value: Value) {
        if let Some((name, channels, stride)) = self.last_of_size(number) {
            builder.mark(name.clone(), *channels, *stride, value);
        }
    }

    /// The name of the map that block `number` gives, where it is the last of its size.
    pub fn name(&self, number: usize) -> Option<&str> {
        self.last_of_size(number).map(|(name, _, _)| name.as_str())
    }

    fn last_of_size(&self, number: usize) -> Option<&(String, i64, i64)> {
        let block = self.blocks.get(number)?;
        self.blocks.get(number + 1).is_none_or(|(_, _, next)| *next != block.2).then_some(block)
    }
}
