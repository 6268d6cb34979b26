//! A batch's views on the device that computes: the student's, and what the teacher sees of them.

use tch::{Device, Tensor};

use super::device_views;
use crate::data::{Input, ViewConfig, Views};
use crate::{Result, torch};

/// The views of a batch by one recipe as (B,C,H,W) on `device`, C the view's channels. The loader writes NHWC, which is what channels-last means, so no pixel moves.
/// Where the workers made crops only, the views are finished there.
///
/// # Errors
/// `OutOfMemory` or `Torch` from libtorch.
pub fn upload(views: &Views, recipe: &ViewConfig, device: Device) -> Result<Tensor> {
    if let Some(crops) = &views.crops {
        return device_views::finish(crops, recipe, device);
    }
    let (height, width) = (i64::from(views.height), i64::from(views.width));
    let nhwc = Tensor::f_from_slice(&views.pixels)?.f_view([-1, height, width, i64::from(recipe.input.channels)])?;
    Ok(torch::copy_to(&nhwc, device)?.f_permute([0, 3, 1, 2])?)
}

/// What the teacher sees of `images` with the channels of `input`: the same, or of grey ones (B,1,H,W) the colours (B,3,H,W) that the
/// grey frame has when it is normalised as a colour one: x·scale + shift a channel.
///
/// # Errors
/// `OutOfMemory` or `Torch` from libtorch.
pub fn for_teacher(images: &Tensor, input: &Input) -> Result<Tensor> {
    if input.channels != 1 {
        return Ok(images.shallow_clone());
    }
    let colours = input.colours_of_grey();
    let row =
        |values: [f64; 3]| torch::copy_to(&Tensor::f_from_slice(&values.map(|value| value as f32))?, images.device());
    let pixels = images.f_permute([0, 2, 3, 1])?; // (B,H,W,1)
    let pixels = pixels.f_mul(&row(colours.map(|(scale, _)| scale))?)?.f_add(&row(colours.map(|(_, shift)| shift))?)?;
    Ok(pixels.f_permute([0, 3, 1, 2])?) // channels-last
}
