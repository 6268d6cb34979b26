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
use crate::data::{Input, Resize};
use crate::error::{Error, Result};
use crate::sys::memory::{push, room};

/// What one image, or a part of it, gives.
pub(crate) struct Scored {
    /// s* and s; none where no patch counts for the score.
    pub best: Option<Best>,
    /// Distances of its patches, (h, w).
    pub distances: Tensor,
}

/// The score by the patch that is farthest from the memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Best {
    /// s*: of several parts of a frame, the one with the highest has the frame's p*.
    pub highest: f64,
    /// s.
    pub score: f32,
}

impl Best {
    /// That of a frame: of two of its parts, whose p* is farther from the memory.
    pub fn of_both(first: Option<Best>, second: Option<Best>) -> Option<Best> {
        match (first, second) {
            (Some(first), Some(second)) if second.highest > first.highest => Some(second),
            (first, second) => first.or(second),
        }
    }

    /// Adds the score of a part of `frame` to those of frames, whose parts come one after the other.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn join(found: &mut Vec<(usize, Option<Best>)>, frame: usize, part: Option<Best>) -> Result<()> {
        match found.last_mut() {
            Some((last, best)) if *last == frame => *best = Best::of_both(*best, part),
            _ => push(found, (frame, part), "the scores of frames")?,
        }
        Ok(())
    }
}

/// What a row of a batch gives.
pub(crate) struct Judged {
    /// The score; none where no patch of the row lies in its own part of the frame and counts.
    pub best: Option<Best>,
    /// The heat map, where it was asked for.
    pub map: Option<Tensor>,
}

/// Scores one image's patches (h·w, D) against `memory` (M, D).
pub(crate) fn score(rows: &Tensor, (height, width): (i64, i64), memory: &Tensor, neighbours: i64) -> Result<Scored> {
    let _no_grad = tch::no_grad_guard();
    let (distances, numbers) = nearest(rows, memory)?;
    let best = best(rows, &distances, &numbers, memory, neighbours)?;
    Ok(Scored { best: Some(best), distances: distances.f_view([height, width])? })
}

/// s* and s of patches (N, D), whose nearest rows of `memory` are `numbers` (N) at `distances` (N).
fn best(rows: &Tensor, distances: &Tensor, numbers: &Tensor, memory: &Tensor, neighbours: i64) -> Result<Best> {
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
    Ok(Best { highest, score: score as f32 })
}

/// As [`score`], of a part of a frame: the distances of patches that `counted` does not let through are 0, and patches that are not its
/// `own` have a distance but do not count for the score. None lets all through.
pub(crate) fn score_part(
    rows: &Tensor,
    (height, width): (i64, i64),
    memory: &Tensor,
    neighbours: i64,
    counted: Option<&[bool]>,
    own: Option<&[bool]>,
) -> Result<Scored> {
    let _no_grad = tch::no_grad_guard();
    let kept = counted.map(places).transpose()?;
    let rows = match &kept {
        Some(kept) => rows.f_index_select(0, kept)?,
        None => rows.shallow_clone(),
    };
    let (distances, numbers) = nearest(&rows, memory)?;
    let best = match own {
        None => Some(best(&rows, &distances, &numbers, memory, neighbours)?),
        Some(own) => {
            // Of those that count, so in the order of `rows`.
            let own: Vec<bool> = match counted {
                Some(counted) => {
                    own.iter().zip(counted).filter(|(_, counted)| **counted).map(|(own, _)| *own).collect()
                }
                None => own.to_vec(),
            };
            let judged = places(&own)?;
            let pick = |of: &Tensor| of.f_index_select(0, &judged);
            match judged.size()[0] {
                0 => None,
                _ => Some(best(&pick(&rows)?, &pick(&distances)?, &pick(&numbers)?, memory, neighbours)?),
            }
        }
    };
    let distances = match &kept {
        Some(kept) => {
            let mut all = Tensor::f_zeros([height * width], (distances.f_kind()?, distances.device()))?;
            all.f_index_copy_(0, kept, &distances)?
        }
        None => distances,
    };
    Ok(Scored { best, distances: distances.f_view([height, width])? })
}

/// The numbers of those that count.
pub(crate) fn places(counted: &[bool]) -> Result<Tensor> {
    let mut places: Vec<i64> = room(counted.len(), "the places of patches")?;
    places.extend((0..counted.len() as i64).filter(|&place| counted[place as usize]));
    Ok(Tensor::f_from_slice(&places)?)
}

/// ‖row‖ of each row, (N).
fn length(rows: &Tensor) -> Result<Tensor> {
    Ok(rows.f_mul(rows)?.f_sum_dim_intlist([1i64].as_slice(), false, Kind::Float)?.f_sqrt()?)
}

/// The heat map of `distances` (h, w) at `size` (height, width), blurred there by `sigma` pixels.
pub(crate) fn heat_map(distances: &Tensor, (height, width): (i64, i64), sigma: f64) -> Result<Tensor> {
    let _no_grad = tch::no_grad_guard();
    let map = distances.f_unsqueeze(0)?.f_unsqueeze(0)?;
    let map = map.f_upsample_bilinear2d([height, width], false, None::<f64>, None::<f64>)?;
    let map = blurred(&blurred(&map, sigma, height, 2)?, sigma, width, 3)?;
    Ok(map.f_squeeze_dim(0)?.f_squeeze_dim(0)?)
}

/// What [`heat_map`] does along one side, as a matrix (to, from): enlarging and blurring are linear.
pub(crate) fn enlarging(from: i64, to: i64, sigma: f64) -> Result<Tensor> {
    let _no_grad = tch::no_grad_guard();
    let units = Tensor::f_eye(from, (Kind::Float, tch::Device::Cpu))?.f_view([1, 1, from, from])?;
    let large = units.f_upsample_bilinear2d([to, from], false, None::<f64>, None::<f64>)?;
    Ok(blurred(&large, sigma, to, 2)?.f_view([to, from])?)
}

/// A heat map of a view (H, W) in the pixels of its frame, `size` = (height, width). What the view does not show is 0.
pub(crate) fn in_frame(map: &Tensor, (height, width): (i64, i64), input: &Input) -> Result<Tensor> {
    if input.roi.is_none() {
        return in_part(map, (height, width), input.resize);
    }
    let side = |side: i64| u32::try_from(side).map_err(|_| Error::invalid(format!("{side} is no side of a frame")));
    let part = input.roi.within(side(width)?, side(height)?)?;
    let [left, top, across, down] = [part.left, part.top, part.width, part.height].map(i64::from);
    let whole = Tensor::f_zeros([height, width], (map.f_kind()?, map.device()))?;
    whole.f_narrow(0, top, down)?.f_narrow(1, left, across)?.f_copy_(&in_part(map, (down, across), input.resize)?)?;
    Ok(whole)
}

/// As [`in_frame`], of all of a frame or its region of interest.
fn in_part(map: &Tensor, (height, width): (i64, i64), resize: Resize) -> Result<Tensor> {
    let side = |side: i64| u32::try_from(side).map_err(|_| Error::invalid(format!("{side} is no side of a frame")));
    let (rows, columns) = map.size2()?;
    let placement = resize.placement((side(width)?, side(height)?), (side(columns)?, side(rows)?));
    let [left, top, across, down] = placement.target.map(i64::from);
    if resize != Resize::Centre {
        return resized(&map.f_narrow(0, top, down)?.f_narrow(1, left, across)?, (height, width));
    }
    // Where the middles of the frame's columns and rows lie in the view, and whether they are seen.
    let places = |length: i64, axis: usize, side: i64| -> Result<(Tensor, Tensor)> {
        let middles = Tensor::f_arange(length, (Kind::Double, map.device()))?.f_add_scalar(0.5)?;
        let scale = side as f64 / placement.source[axis + 2];
        let inside = middles.f_sub_scalar(placement.source[axis])?.f_mul_scalar(scale)?;
        let seen = inside.f_ge(0.0)?.f_logical_and(&inside.f_le(side as f64)?)?;
        // grid_sampler counts from −1 at the first pixel's outer edge to 1 at the last one's.
        let grid = inside.f_mul_scalar(2.0 / side as f64)?.f_sub_scalar(1.0)?;
        Ok((grid.f_to_kind(Kind::Float)?, seen.f_to_kind(Kind::Float)?))
    };
    let ((x, seen_x), (y, seen_y)) = (places(width, 0, columns)?, places(height, 1, rows)?);
    let x = x.f_view([1, 1, width])?.f_expand([1, height, width], false)?;
    let y = y.f_view([1, height, 1])?.f_expand([1, height, width], false)?;
    let grid = Tensor::f_stack(&[x, y], 3)?; // (1, height, width, 2)
    let (bilinear, border) = (0, 1);
    let map = map.f_unsqueeze(0)?.f_unsqueeze(0)?.f_grid_sampler(&grid, bilinear, border, false)?;
    let seen = seen_y.f_view([height, 1])?.f_mul(&seen_x.f_view([1, width])?)?;
    Ok(map.f_view([height, width])?.f_mul(&seen)?)
}

/// A heat map (H, W) at another size.
pub(crate) fn resized(map: &Tensor, (height, width): (i64, i64)) -> Result<Tensor> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enlarging_is_what_heat_maps_are_made_by() {
        let map = Tensor::from_slice(&[0.0f32, 3.0, 1.0, 7.0, 2.0, 5.0]).view([2, 3]);
        for (size, sigma) in [((9i64, 14i64), 2.0), ((8, 12), 0.0), ((5, 3), 40.0), ((2, 3), 0.0)] {
            let expected = heat_map(&map, size, sigma).unwrap();
            let found =
                enlarging(2, size.0, sigma).unwrap().matmul(&map).matmul(&enlarging(3, size.1, sigma).unwrap().tr());
            assert!((found - expected).abs().max().double_value(&[]) < 1e-5, "{size:?} {sigma}");
        }
    }

    /// A map that says in each of the view's pixels where its middle lies must say the same in the frame's.
    #[test]
    fn maps_come_back_to_where_the_frame_is() {
        let (height, width) = (40i64, 32i64);
        for resize in [Resize::Whole, Resize::Letterbox, Resize::Centre] {
            for (frame_h, frame_w) in [(200i64, 130i64), (61, 190), (20, 20)] {
                let placement = resize.placement((frame_w as u32, frame_h as u32), (width as u32, height as u32));
                for axis in 0..2 {
                    let (side, shape) = [(width, [1, width]), (height, [height, 1])][axis];
                    let ramp = Tensor::arange(side, (Kind::Float, tch::Device::Cpu)) + 1.5;
                    let map = ramp.view(shape).expand([height, width], false).contiguous();
                    let found = in_part(&map, (frame_h, frame_w), resize).unwrap();
                    assert_eq!(found.size(), [frame_h, frame_w]);
                    let mut unseen = 0;
                    for y in 0..frame_h {
                        for x in 0..frame_w {
                            let at = placement.to_view([x as f64 + 0.5, y as f64 + 0.5]);
                            let found = found.double_value(&[y, x]);
                            let inside =
                                (0.0..=width as f64).contains(&at[0]) && (0.0..=height as f64).contains(&at[1]);
                            let [from, to] =
                                [placement.target[axis], placement.target[axis] + placement.target[axis + 2]];
                            // Bilinear between middles, and no farther than the outermost ones.
                            let expected = at[axis].clamp(f64::from(from) + 0.5, f64::from(to) - 0.5) + 1.0;
                            unseen += u64::from(!inside);
                            let expected = if inside { expected } else { 0.0 };
                            assert!(
                                (found - expected).abs() < 1e-3,
                                "{resize:?} {frame_w}×{frame_h} ({x}, {y}): {found} for {expected}"
                            );
                        }
                    }
                    assert_eq!(unseen > 0, resize == Resize::Centre);
                }
            }
        }
    }
}
