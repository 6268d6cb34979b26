//! Vision transformers whose names nearly are DINO's: timm's, and DINOv2's training checkpoints.

use super::layout::{Target, whole};
use crate::error::Result;
use crate::model::weights::HostTensor;

/// timm calls the registers `reg_token`.
pub(super) fn timm(name: &str) -> Option<Target> {
    whole(if name == "reg_token" { "register_tokens" } else { name })
}

/// `blocks.CHUNK.I.…` → `blocks.I.…`: DINOv2 shards its blocks for training, but counts them through.
pub(super) fn without_chunk(name: &str) -> Option<Target> {
    let Some(rest) = name.strip_prefix("blocks.") else { return whole(name) };
    let (chunk, rest) = rest.split_once('.')?;
    let (block, _) = rest.split_once('.')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits(chunk) && digits(block) { whole(format!("blocks.{rest}")) } else { None }
}

/// timm's models with `no_embed_class` add positions to the patches only, (1, N, D); ours have the class position first,
/// (1, 1+N, D), which is zero then. The grid is square, so N or N−1 is a square and says which of the two it is.
pub(super) fn with_class_position(positions: HostTensor) -> Result<HostTensor> {
    let &[1, count, width] = positions.shape.as_slice() else { return Ok(positions) };
    let square = |count: usize| count.isqrt().pow(2) == count;
    if !square(count) || count < 2 {
        return Ok(positions);
    }
    let mut bytes = vec![0; width * positions.dtype.size()];
    bytes.extend_from_slice(&positions.bytes);
    HostTensor::new(positions.dtype, vec![1, count + 1, width], bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::weights::HostType;

    #[test]
    fn chunks_are_taken_out() {
        let name = |name| without_chunk(name).map(|target| target.name);
        assert_eq!(name("blocks.1.7.attn.qkv.bias").as_deref(), Some("blocks.7.attn.qkv.bias"));
        assert_eq!(name("cls_token").as_deref(), Some("cls_token"));
        assert_eq!(name("blocks.7.attn.qkv.bias"), None);
    }

    #[test]
    fn patches_alone_get_a_class_position_of_zero() {
        let positions = |count: usize| {
            let bytes = (0..count * 2).flat_map(|i| (i as f32 + 1.0).to_le_bytes()).collect();
            HostTensor::new(HostType::F32, vec![1, count, 2], bytes).unwrap()
        };
        let made = with_class_position(positions(4)).unwrap();
        assert_eq!(made.shape, [1, 5, 2]);
        assert_eq!((&made.bytes[..8], &made.bytes[8..]), (&[0u8; 8][..], &positions(4).bytes[..]));
        assert_eq!(with_class_position(positions(5)).unwrap(), positions(5));
        // Where the class position is there already and 1+N is a square too (N = 0), nothing is to be done.
        assert_eq!(with_class_position(positions(1)).unwrap(), positions(1));
    }
}
