//! Views finished on the device, a batch at a time: flip → jitter → grey → blur → (v/255 − mean) / std.
//!
//! [`Crops`] (B, H, W, C) u8 → (B, 3, H, W) f32, channels-last; grey views stay (B, 1, H, W). Each view gets what its parameters say, as the loader's
//! workers would do it (`data/colour.rs`, `data/blur.rs`), in float32 that holds the same whole levels: after each
//! operation they are truncated as there. Jitter and grey are exact; the blur sums in another order, which rounds about
//! one level in 100,000 the other way. The flip comes first, where a level is one byte: every other operation
//! commutes with it.
//!
//! Nothing here waits for the device: what depends on the parameters is decided on the host, and the small tables that
//! follow from it are copied without blocking. Views are grouped by operation, so that each is done once for each view
//! that has it, in the view's own order.

use tch::{Device, Kind, Tensor};

use crate::data::Crops;
use crate::data::augment::{Adjustment, ViewConfig, ViewParams};
use crate::{Result, torch};

/// Weights of grey in 16-bit fixed point, as PIL's and `data/colour.rs`'s; the sums stay below 2²⁴, exact in float32.
const LUMA: [f64; 3] = [19_595.0, 38_470.0, 7_471.0];

/// The views of `crops`, which are `config`'s size: (B, channels, H, W), channels-last, normalised float32 on `device`.
///
/// # Errors
/// `Torch` where libtorch fails, for example for want of memory.
pub fn finish(crops: &Crops, config: &ViewConfig, device: Device) -> Result<Tensor> {
    let _exact = torch::ExactFloat32::enter()?; // whole levels must come out as whole levels
    let (height, width, channels) =
        (i64::from(config.input.height), i64::from(config.input.width), crops.channels as i64);
    let levels = torch::copy_to(&Tensor::f_from_slice(&crops.levels)?, device)?
        .f_view([-1, height, width, channels])?
        .f_permute([0, 3, 1, 2])?
        .f_contiguous()?; // (B,C,H,W) u8
    let flips: Vec<bool> = crops.params.iter().map(|params| params.flip).collect();
    let flips = torch::copy_to(&Tensor::f_from_slice(&flips)?, device)?.f_view([-1, 1, 1, 1])?;
    let mut images = levels.f_flip([3])?.f_where_self(&flips, &levels)?.f_to_kind(Kind::Float)?; // (B,C,H,W) f32
    jitter(&mut images, &crops.params)?;
    if channels == 3 {
        remove_colours(&mut images, &crops.params)?;
    }
    blur(&mut images, crops, config)?;
    normalise(images, config)
}

/// The views' jitters, place by place in their orders.
fn jitter(images: &mut Tensor, params: &[ViewParams]) -> Result<()> {
    let colour = images.size()[1] == 3;
    let mut groups: Vec<(Adjustment, usize, usize)> = Vec::new();
    let (mut members, mut factors) = (Vec::<i64>::new(), Vec::<f32>::new());
    for place in 0..4 {
        for kind in [Adjustment::Brightness, Adjustment::Contrast, Adjustment::Saturation, Adjustment::Hue] {
            let start = members.len();
            for (view, jitter) in params.iter().enumerate().filter_map(|(view, p)| p.jitter.map(|j| (view, j))) {
                let factor = match kind {
                    Adjustment::Brightness => jitter.brightness as f32,
                    Adjustment::Contrast => jitter.contrast as f32,
                    Adjustment::Saturation => jitter.saturation as f32,
                    // Towards zero and then modulo 256, as the workers turn it.
                    Adjustment::Hue => f32::from((jitter.hue * 255.0) as i32 as u8),
                };
                // One channel has neither saturation nor hue; no turn is no round trip through HSV.
                let changes = match kind {
                    Adjustment::Brightness | Adjustment::Contrast => true,
                    Adjustment::Saturation => colour,
                    Adjustment::Hue => colour && jitter.hue != 0.0,
                };
                if jitter.order[place] == kind && changes {
                    members.push(view as i64);
                    factors.push(factor);
                }
            }
            if members.len() > start {
                groups.push((kind, start, members.len() - start));
            }
        }
    }
    if groups.is_empty() {
        return Ok(());
    }
    let device = images.device();
    let members = torch::copy_to(&Tensor::f_from_slice(&members)?, device)?;
    let factors = torch::copy_to(&Tensor::f_from_slice(&factors)?, device)?.f_view([-1, 1, 1, 1])?;
    for (kind, start, length) in groups {
        let members = members.f_narrow(0, start as i64, length as i64)?;
        let factors = factors.f_narrow(0, start as i64, length as i64)?; // (n,1,1,1)
        let chosen = images.f_index_select(0, &members)?; // (n,C,H,W)
        let adjusted = match kind {
            Adjustment::Brightness => truncated(chosen.f_mul(&factors)?)?,
            Adjustment::Contrast => blend(&mean_grey(&chosen)?, &chosen, &factors)?,
            Adjustment::Saturation => blend(&grey(&chosen)?, &chosen, &factors)?,
            Adjustment::Hue => turn_hue(&chosen, &factors)?,
        };
        let _ = images.f_index_copy_(0, &members, &adjusted)?;
    }
    Ok(())
}

/// Whole levels, as the cast to a byte makes them.
fn truncated(levels: Tensor) -> Result<Tensor> {
    Ok(levels.f_clamp(0.0, 255.0)?.f_floor()?)
}

fn blend(from: &Tensor, to: &Tensor, factors: &Tensor) -> Result<Tensor> {
    truncated(to.f_sub(from)?.f_mul(factors)?.f_add(from)?)
}

/// (n,3,H,W) → (n,1,H,W); one channel is its own grey.
fn grey(images: &Tensor) -> Result<Tensor> {
    if images.size()[1] == 1 {
        return Ok(images.shallow_clone());
    }
    let weighted = |c: usize| images.f_narrow(1, c as i64, 1)?.f_mul_scalar(LUMA[c]);
    let sum = weighted(0)?.f_add(&weighted(1)?)?.f_add(&weighted(2)?)?.f_add_scalar(32_768.0)?;
    Ok(sum.f_mul_scalar(1.0 / 65_536.0)?.f_floor()?)
}

/// The mean of the grey levels, to the nearest: (n,1,1,1).
fn mean_grey(images: &Tensor) -> Result<Tensor> {
    let mean = grey(images)?.f_mean_dim([1i64, 2, 3].as_slice(), true, Kind::Double)?;
    Ok(mean.f_add_scalar(0.5)?.f_floor()?.f_to_kind(Kind::Float)?)
}

/// Adds `turns` (n,1,1,1), of 256, to the hue in 8-bit HSV; (n,3,H,W). In float64, as the workers do it, but for what
/// they round to float32.
fn turn_hue(images: &Tensor, turns: &Tensor) -> Result<Tensor> {
    let rounded = |tensor: Tensor| tensor.f_to_kind(Kind::Float)?.f_to_kind(Kind::Double);
    let value = images.f_amax([1i64].as_slice(), true)?; // (n,1,H,W)
    let range = value.f_sub(&images.f_amin([1i64].as_slice(), true)?)?;
    let below = value.f_sub(images)?.f_div(&range.f_clamp_min(1.0)?)?.f_to_kind(Kind::Double)?; // (n,3,H,W)
    let [red, green, blue] = [below.f_narrow(1, 0, 1)?, below.f_narrow(1, 1, 1)?, below.f_narrow(1, 2, 1)?];
    let largest = |c: i64| images.f_narrow(1, c, 1)?.f_eq_tensor(&value);
    let from_green = red.f_add_scalar(2.0)?.f_sub(&blue)?;
    let from_blue = green.f_add_scalar(4.0)?.f_sub(&red)?;
    let elsewhere = from_green.f_where_self(&largest(1)?, &from_blue)?;
    let sixths = rounded(blue.f_sub(&green)?.f_where_self(&largest(0)?, &elsewhere)?)?;
    let share = sixths.f_div_scalar(6.0)?.f_add_scalar(1.0)?;
    let share = rounded(share.f_sub_scalar(1.0)?.f_where_self(&share.f_ge(1.0)?, &share)?)?;
    let hue = share.f_mul_scalar(255.0)?.f_floor()?.f_add(turns)?.f_remainder(256.0)?;

    let saturation = range.f_div(&value.f_clamp_min(1.0)?)?.f_to_kind(Kind::Double)?.f_mul_scalar(255.0)?.f_floor()?;
    let saturation = saturation.f_to_kind(Kind::Float)?.f_div_scalar(255.0)?.f_to_kind(Kind::Double)?;
    // The sixth of the circle and the place in it. A channel's share of the saturation is 0 for two sixths, rises
    // over one, is 1 for two and falls over one; red, green and blue are two sixths apart.
    let sixths = hue.f_mul_scalar(6.0)?.f_div_scalar(255.0)?;
    let sector = sixths.f_floor()?;
    let place = rounded(sixths.f_sub(&sector)?)?;
    let mut turned = Vec::with_capacity(3);
    for start in [5.0, 3.0, 1.0] {
        let along = sector.f_add_scalar(start)?.f_remainder(6.0)?.f_add(&place)?;
        let share = along.f_minimum(&along.f_neg()?.f_add_scalar(4.0)?)?.f_clamp(0.0, 1.0)?.f_mul(&saturation)?;
        turned.push(share.f_neg()?.f_add_scalar(1.0)?.f_mul(&value)?.f_add_scalar(0.5)?.f_floor()?);
    }
    Ok(Tensor::f_cat(&turned, 1)?.f_to_kind(Kind::Float)?)
}

/// Writes the grey of each view whose colours are removed into its three channels.
fn remove_colours(images: &mut Tensor, params: &[ViewParams]) -> Result<()> {
    let members: Vec<i64> = (0..).zip(params).filter(|(_, params)| params.grey).map(|(view, _)| view).collect();
    if members.is_empty() {
        return Ok(());
    }
    let members = torch::copy_to(&Tensor::f_from_slice(&members)?, images.device())?;
    let chosen = images.f_index_select(0, &members)?;
    let _ = images.f_index_copy_(0, &members, &grey(&chosen)?.f_expand_as(&chosen)?)?;
    Ok(())
}

/// Blurs each view that has a σ: a band matrix over the rows, then one over the columns.
fn blur(images: &mut Tensor, crops: &Crops, config: &ViewConfig) -> Result<()> {
    let down = crops.half_kernels(config.input.height, config.blur_reach);
    if down.is_empty() {
        return Ok(());
    }
    let device = images.device();
    let members: Vec<i64> = down.iter().map(|(view, _)| *view as i64).collect();
    let members = torch::copy_to(&Tensor::f_from_slice(&members)?, device)?;
    let chosen = images.f_index_select(0, &members)?; // (n,C,H,W)
    let (n, c, h, w) = chosen.size4()?;
    let down = band_matrices(&down, h, device)?.f_unsqueeze(1)?; // (n,1,H,H)
    let across = band_matrices(&crops.half_kernels(config.input.width, config.blur_reach), w, device)?; // (n,W,W)
    let rows = down.f_matmul(&chosen)?.f_reshape([n, c * h, w])?;
    let blurred = rows.f_bmm(&across.f_transpose(1, 2)?)?.f_round()?.f_reshape([n, c, h, w])?;
    let _ = images.f_index_copy_(0, &members, &blurred)?;
    Ok(())
}

/// (n, side, side): M[i, j] is what pixel j adds to pixel i, borders mirrored without repeating them.
///
/// With w the half kernel, M[i, j] = w(|i − j|) + w(i + j) for j > 0 + w(2(side − 1) − i − j) for j < side − 1.
fn band_matrices(kernels: &[(usize, Vec<f32>)], side: i64, device: Device) -> Result<Tensor> {
    let longest = kernels.iter().map(|(_, weights)| weights.len()).max().unwrap_or(0);
    // One column more, of zeros: the weight of everything out of reach.
    let mut table = vec![0f32; kernels.len() * (longest + 1)];
    for (row, (_, weights)) in table.chunks_exact_mut(longest + 1).zip(kernels) {
        row[..weights.len()].copy_from_slice(weights);
    }
    let (n, none) = (kernels.len() as i64, longest as i64);
    let table = torch::copy_to(&Tensor::f_from_slice(&table)?, device)?.f_view([n, none + 1])?;
    let j = Tensor::f_arange(side, (Kind::Int64, device))?.f_view([1, side])?;
    let i = j.f_view([side, 1])?;
    let weight = |distance: Tensor| {
        let distance = distance.f_clamp_max(none)?.f_view([-1])?;
        table.f_index_select(1, &distance)?.f_view([n, side, side])
    };
    let out_of_reach_at = |column: i64| j.f_eq(column)?.f_to_kind(Kind::Int64)?.f_mul_scalar(none);
    let left = i.f_add(&j)?.f_add(&out_of_reach_at(0)?)?;
    let right = i.f_add(&j)?.f_neg()?.f_add_scalar(2 * (side - 1))?.f_add(&out_of_reach_at(side - 1)?)?;
    Ok(weight(i.f_sub(&j)?.f_abs()?)?.f_add(&weight(left)?)?.f_add(&weight(right)?)?)
}

/// (B,C,H,W) levels → (B,3,H,W) channels-last numbers; one channel becomes three only here, and not in a grey view.
fn normalise(images: Tensor, config: &ViewConfig) -> Result<Tensor> {
    let (b, _, h, w) = images.size4()?;
    if config.input.channels == 1 {
        // In float32, as the workers' table has it.
        let (mean, std) = config.input.grey_normal();
        let levels = images.f_div_scalar(255.0)?;
        return Ok(levels.f_sub_scalar(f64::from(mean as f32))?.f_div_scalar(f64::from(std as f32))?);
    }
    let number = |values: [f64; 3]| torch::copy_to(&Tensor::f_from_slice(&values.map(|v| v as f32))?, images.device());
    let mut pixels = images.f_expand([b, 3, h, w], false)?.f_permute([0, 2, 3, 1])?.f_contiguous()?; // (B,H,W,3)
    let _ = pixels.f_div_scalar_(255.0)?.f_sub_(&number(config.input.mean)?)?.f_div_(&number(config.input.std)?)?;
    Ok(pixels.f_permute([0, 3, 1, 2])?)
}
