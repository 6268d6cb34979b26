//! From distances to an image score and a heat map (Roth et al., CVPR 2022, §3.3).
//!
//! ```text
//! s* = max over patches p of min over m ∈ M of ‖p − m‖, at p* and m*
//! s  = (1 − exp‖p* − m*‖ / Σ_{m ∈ N_b(m*)} exp‖p* − m‖) · s*      N_b: the b nearest of m* in M, m* among them
//! ```
//!
//! The weight is larger where the neighbourhood of m* is far from p*, too: a rare patch of good parts explains less. The heat
//! map is the patches' distances, enlarged and blurred by σ.

use tch::{Kind, Tensor};

use super::nearest::nearest;
use crate::error::Result;

/// What one image gives.
pub(super) struct Scored {
    /// s.
    pub score: f32,
    /// Distances of its patches, (h, w).
    pub distances: Tensor,
}

/// Scores one image's patches (h·w, D) against `memory` (M, D).
pub(super) fn score(rows: &Tensor, (height, width): (i64, i64), memory: &Tensor, neighbours: i64) -> Result<Scored> {
    let _no_grad = tch::no_grad_guard();
    let (distances, numbers) = nearest(rows, memory)?;
    let (highest, place) = distances.f_max_dim(0, false)?;
    let highest = highest.f_double_value(&[])?;
    let score = match neighbours.min(memory.size()[0]) {
        // Alone, m* would explain everything: the weight would be 0.
        0 | 1 => highest,
        neighbours => {
            let patch = rows.f_index_select(0, &place.f_view([1])?)?; // (1, D)
            let centre = memory.f_index_select(0, &numbers.f_index_select(0, &place.f_view([1])?)?)?;
            let near = length(&memory.f_sub(&centre)?)?.f_topk(neighbours, 0, false, true)?.1;
            let away = length(&memory.f_index_select(0, &near)?.f_sub(&patch)?)?; // m* comes first, at distance 0 of itself
            let weight = 1.0 - away.f_softmax(0, Kind::Double)?.f_double_value(&[0])?;
            weight * highest
        }
    };
    Ok(Scored { score: score as f32, distances: distances.f_view([height, width])? })
}

/// ‖row‖ of each row, (N).
fn length(rows: &Tensor) -> Result<Tensor> {
    Ok(rows.f_mul(rows)?.f_sum_dim_intlist([1i64].as_slice(), false, Kind::Float)?.f_sqrt()?)
}

/// The heat map of `distances` (h, w) at `size` (height, width), blurred there by `sigma` pixels.
pub(super) fn heat_map(distances: &Tensor, (height, width): (i64, i64), sigma: f64) -> Result<Tensor> {
    let _no_grad = tch::no_grad_guard();
    let map = distances.f_unsqueeze(0)?.f_unsqueeze(0)?;
    let map = map.f_upsample_bilinear2d([height, width], false, None::<f64>, None::<f64>)?;
    let map = blurred(&blurred(&map, sigma, height, 2)?, sigma, width, 3)?;
    Ok(map.f_squeeze_dim(0)?.f_squeeze_dim(0)?)
}

/// A heat map (H, W) at another size.
pub(super) fn resized(map: &Tensor, (height, width): (i64, i64)) -> Result<Tensor> {
    let map = map.f_unsqueeze(0)?.f_unsqueeze(0)?;
    let map = map.f_upsample_bilinear2d([height, width], false, None::<f64>, None::<f64>)?;
    Ok(map.f_squeeze_dim(0)?.f_squeeze_dim(0)?)
}

/// (1, 1, H, W) blurred along `axis`, which is `side` long, by a Gaussian to 4σ; mirrored at the border.
fn blurred(map: &Tensor, sigma: f64, side: i64, axis: usize) -> Result<Tensor> {
    let radius = ((4.0 * sigma + 0.5) as i64).min(side - 1);
    if sigma <= 0.0 || radius < 1 {
        return Ok(map.shallow_clone());
    }
    let weight = |offset: i64| (-0.5 * (offset as f64 / sigma).powi(2)).exp() as f32;
    let kernel: Vec<f32> = (-radius..=radius).map(weight).collect();
    let sum: f32 = kernel.iter().sum();
    let kernel = Tensor::f_from_slice(&kernel)?.f_div_scalar(f64::from(sum))?.f_to_device(map.device())?;
    // Padding says left, right, top, bottom.
    let (padding, shape) = match axis {
        2 => ([0, 0, radius, radius], [1, 1, 2 * radius + 1, 1]),
        _ => ([radius, radius, 0, 0], [1, 1, 1, 2 * radius + 1]),
    };
    let padded = map.f_reflection_pad2d(padding)?;
    Ok(padded.f_conv2d(&kernel.f_view(shape)?, None::<Tensor>, [1, 1], [0, 0], [1, 1], 1)?)
}
