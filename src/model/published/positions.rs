//! A Vision Transformer's positions as its file has them: without the class token's, or of another grid than the architecture's.
//!
//! Publishers train one network at several image sizes, and `pos_embed` grows with the size: (1, 1 + G², D). A teacher keeps the file's
//! grid, so at the file's own image size it is the publisher's network and at others what Hugging Face makes of it
//! ([`resample`](crate::model::vit::resample)); nothing is lost on the way. A student has its architecture's grid whatever it starts
//! from, since a run that trains it already goes on from the new weights: there positions are resampled once, as timm does when a
//! model loads weights of another image size (`resample_abs_pos_embed`: bicubic, always filtered).
//!
//! Files do not say how many rows a grid has, so it must be square. timm's models for images that are not square hold others, and
//! are refused; one whose count happens to be a square (18×8 = 12×12) cannot be told.

use std::collections::BTreeMap;

use tch::Kind;

use crate::error::Result;
use crate::model::Architecture;
use crate::model::vit::{resample, square_grid};
use crate::model::weights::{HostTensor, Side};

/// timm's models with `no_embed_class` add positions to the patches only, (1, G², D); ours have the class position first,
/// (1, 1+G², D), which is zero then.
pub(super) fn with_class_position(positions: HostTensor) -> Result<HostTensor> {
    let &[1, count, width] = positions.shape.as_slice() else { return Ok(positions) };
    if square_grid(count).is_none_or(|side| side.pow(2) != count) {
        return Ok(positions);
    }
    positions.check()?;
    let mut bytes = vec![0; width * positions.dtype.size()];
    bytes.extend_from_slice(&positions.bytes);
    HostTensor::new(positions.dtype, vec![1, count + 1, width], bytes)
}

/// Settles positions, class token's first, of another grid than the architecture's, as the [module](self) says: the architecture
/// that a teacher has then; a student's stays, and its positions are resampled.
pub(super) fn settle(
    architecture: Architecture,
    side: Side,
    tensors: &mut BTreeMap<String, HostTensor>,
) -> Result<Architecture> {
    let (Architecture::ViT(vit), Some(positions)) = (architecture, tensors.get_mut("pos_embed")) else {
        return Ok(architecture);
    };
    // Of another width, or not square: the check that follows says so.
    let &[1, count, width] = positions.shape.as_slice() else { return Ok(architecture) };
    let (Some(found), Ok(width)) = (square_grid(count), i64::try_from(width)) else { return Ok(architecture) };
    let (found, own) = (found as i64, vit.grid());
    if width != vit.width() || found == own {
        return Ok(architecture);
    }
    positions.check()?;
    if side == Side::Teacher {
        log::info!(
            "positions are of {found}x{found} patches, where {architecture} was published with {own}x{own}; they are kept"
        );
        return Ok(Architecture::ViT(vit.with_grid(found)));
    }
    let _no_grad = tch::no_grad_guard();
    let all = positions.to_tensor()?.f_to_kind(Kind::Float)?; // (1, 1 + G², D)
    let table = all.f_narrow(1, 1, found * found)?.f_view([1, found, found, width])?;
    let table = resample(&table, own, own, true)?.f_reshape([1, own * own, width])?;
    let made = tch::Tensor::f_cat(&[&all.f_narrow(1, 0, 1)?, &table], 1)?;
    *positions = HostTensor::from_tensor(&made)?;
    log::info!("positions of {found}x{found} patches were resampled to the student's {own}x{own}");
    Ok(architecture)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::weights::HostType;

    #[test]
    fn squares_are_found_with_the_class_position_and_without() {
        for (count, side) in [(2, 1), (4, 2), (5, 2), (196, 14), (197, 14), (577, 24), (1369, 37), (1370, 37)] {
            assert_eq!(square_grid(count), Some(side), "{count}");
        }
        for count in [0, 1, 3, 198, 578, usize::MAX] {
            assert_eq!(square_grid(count), None, "{count}");
        }
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
