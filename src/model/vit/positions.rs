//! Positions for a grid of patches other than the one that was trained.
//!
//! Bicubic (a = −0.75) between the cells' centres, to the very number of rows and columns, in float32: what
//! `torch.nn.functional.interpolate(size=…)` does and Hugging Face's `ViTModel`, `Dinov2Model` and
//! `Dinov2WithRegistersModel` do. With registers a grid that shrinks is filtered first (antialias), without it is not; this
//! too is as DINOv2 published them. Two others differ a little:
//!
//! - DINO's and DINOv2's own code without registers adds 0.1 to rows and columns before it divides, which stretches the table
//!   by 0.1 of a cell at the far edge (a guard against rounding, they say; without effect on the trained size).
//! - timm filters always.
//!
//! At the trained size all of them give the table itself.

use tch::{Kind, Tensor};

use crate::error::Result;

/// Side of the square grid that `count` positions are of: with the class token's, 1 + G², or without it, G². No number is both.
pub(crate) fn square_grid(count: usize) -> Option<usize> {
    let side = |count: usize| Some(count.isqrt()).filter(|&side| side > 0 && side.pow(2) == count);
    // One position alone would be a grid of one patch without the class token's; no network has it.
    side(count.checked_sub(1)?).or_else(|| side(count).filter(|&side| side > 1))
}

/// (1, G, G, D) → (1, rows, columns, D).
pub(crate) fn resample(table: &Tensor, rows: i64, columns: i64, antialias: bool) -> Result<Tensor> {
    if table.size()[1..3] == [rows, columns] {
        return Ok(table.shallow_clone());
    }
    let planes = table.f_permute([0, 3, 1, 2])?.f_to_kind(Kind::Float)?; // (1, D, G, G)
    let planes = match antialias {
        true => planes.f_internal_upsample_bicubic2d_aa([rows, columns], false, None::<f64>, None::<f64>)?,
        false => planes.f_upsample_bicubic2d([rows, columns], false, None::<f64>, None::<f64>)?,
    };
    Ok(planes.f_permute([0, 2, 3, 1])?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    #[test]
    fn the_trained_grid_is_the_table_and_a_constant_stays_one() {
        let table = Tensor::arange(2 * 3 * 3, (Kind::Float, Device::Cpu)).view([1, 3, 3, 2]);
        assert_eq!(resample(&table, 3, 3, false).unwrap(), table);
        for antialias in [false, true] {
            let found = resample(&Tensor::ones([1, 7, 7, 2], (Kind::Float, Device::Cpu)), 2, 11, antialias).unwrap();
            assert_eq!(found.size(), [1, 2, 11, 2]);
            assert!((found - 1.0).abs().max().double_value(&[]) < 1e-6);
        }
    }
}
