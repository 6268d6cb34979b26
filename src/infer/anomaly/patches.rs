//! Locally aware patch features (Roth et al., "Towards total recall in industrial anomaly detection", CVPR 2022, §3.1).
//!
//! ```text
//! maps (B, C_j, h_j, w_j) → 3×3 mean, stride 1 → to the first map's size, bilinear → side by side → patches (B·h·w, ΣC_j)
//! ```

use tch::{Kind, Tensor};

use crate::error::{Error, Result};

/// Patches of some images.
pub(crate) struct Patches {
    /// (B·h·w, D), float32, image after image, row after row.
    pub rows: Tensor,
    /// B.
    pub images: i64,
    /// h.
    pub height: i64,
    /// w.
    pub width: i64,
}

/// Patches of the feature maps of some images, the largest map first.
pub(crate) fn patches(maps: &[Tensor]) -> Result<Patches> {
    let first = maps.first().ok_or_else(|| Error::invalid("patches need at least one feature map"))?;
    let (images, _, height, width) = first.size4()?;
    let mut levels = Vec::with_capacity(maps.len());
    for map in maps {
        let smooth = map.f_contiguous()?.f_avg_pool2d([3, 3], [1, 1], [1, 1], false, true, None::<i64>)?;
        levels.push(match smooth.size()[2..] == [height, width] {
            true => smooth,
            false => smooth.f_upsample_bilinear2d([height, width], false, None::<f64>, None::<f64>)?,
        });
    }
    let rows = Tensor::f_cat(&levels, 1)?.f_permute([0, 2, 3, 1])?; // (B, h, w, D)
    let dim = rows.size()[3];
    let rows = rows.f_reshape([images * height * width, dim])?.f_to_kind(Kind::Float)?;
    Ok(Patches { rows, images, height, width })
}
