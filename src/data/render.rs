//! Draws a view: crop and resize → jitter → grey → blur → flip → (v/255 − mean) / std.
//!
//! [`Frame`] (h, w, C) u8 → view (H, W, 3) f32, C = 1 or 3. One channel stays one up to the last step, where it is
//! written three times; a view whose colours are removed becomes one channel on the way. A grey view (H, W, 1) loses its
//! colours before the jitter, which then changes brightness and contrast only. Everything before that step is
//! on bytes, in [`Scratch`], as PIL works, so the levels are torchvision's to within the rounding of the resize.

use fast_image_resize::images::{TypedCroppedImage, TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8, U8x3};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};

use super::augment::{Crop, ViewConfig, ViewParams};
use super::frame::Frame;
use super::geometry::Placement;
use super::input::Input;
use super::scale::ScaledFrame;
use super::{blur, colour};
use crate::error::{Error, Result};
use crate::sys::memory::{MARGIN, reserve, spare};

/// Bytes of weights for each pixel of a side: two of 8 bytes, the same as integers, and places.
const WEIGHTS: usize = 64;

/// Memory that a thread keeps from one view to the next; grows to what the largest view needs.
#[derive(Default)]
pub struct Scratch {
    resizer: Resizer,
    image: Vec<u8>,
    spare: Vec<u8>,
    rows: blur::Rows,
    /// Bytes that were looked for, for the resizer, so far.
    seen: usize,
}

/// Writes the view `params` of `frame` into `out`, (H, W, channels) normalised, H, W and channels from `config`.
///
/// # Errors
/// `InvalidArgument` where `out` is not [`view_len`](Input::view_len) long or the crop is not inside the frame.
pub fn render(
    frame: &Frame,
    params: &ViewParams,
    config: &ViewConfig,
    out: &mut [f32],
    scratch: &mut Scratch,
) -> Result<()> {
    view_of(&Pixels::whole(frame), params, config, out, scratch)
}

/// As [`render`], of a frame that may have been decoded smaller; the crop counts pixels of the whole one.
///
/// # Errors
/// Those of [`render`].
pub fn render_scaled(
    frame: &ScaledFrame,
    params: &ViewParams,
    config: &ViewConfig,
    out: &mut [f32],
    scratch: &mut Scratch,
) -> Result<()> {
    view_of(&Pixels::of(frame), params, config, out, scratch)
}

/// Writes the crop alone, resized, to the front of `out` as (H, W, C) levels, and gives C, which is at most the view's
/// channels; `out` has room for those.
pub(super) fn crop_scaled(
    frame: &ScaledFrame,
    crop: Crop,
    config: &ViewConfig,
    out: &mut [u8],
    scratch: &mut Scratch,
) -> Result<usize> {
    let channels = scratch.crop(&Pixels::of(frame), crop, &config.input)?;
    let channels = scratch.drop_colours(channels, &config.input);
    out[..scratch.image.len()].copy_from_slice(&scratch.image);
    Ok(channels)
}

fn view_of(
    pixels: &Pixels<'_>,
    params: &ViewParams,
    config: &ViewConfig,
    out: &mut [f32],
    scratch: &mut Scratch,
) -> Result<()> {
    let input = &config.input;
    check_output(input, out.len())?;
    let channels = scratch.crop(pixels, params.crop, input)?;
    let mut channels = scratch.drop_colours(channels, input);
    if let Some(jitter) = &params.jitter {
        colour::jitter(&mut scratch.image, channels, jitter);
    }
    if params.grey && channels == 3 {
        colour::to_grey(&mut scratch.image);
        channels = 1;
    }
    if let Some(sigma) = params.blur_sigma {
        let Scratch { image, spare, rows, .. } = scratch;
        blur::blur(image, input.width as usize, channels, sigma, config.blur_reach, spare, rows);
    }
    normalise(&scratch.image, channels, params.flip, input, out);
    Ok(())
}

/// Writes `frame` as a session sees it into `out`, (H, W, channels) normalised: by the geometry that
/// [`Input::resize`] names, nothing drawn at random.
///
/// # Errors
/// `InvalidArgument` where `out` is not [`view_len`](Input::view_len) long.
pub fn render_frame(frame: &Frame, input: &Input, out: &mut [f32], scratch: &mut Scratch) -> Result<()> {
    frame_of(&Pixels::whole(frame), input, out, scratch)
}

/// As [`render_frame`], of a frame that may have been decoded smaller.
///
/// # Errors
/// Those of [`render_frame`].
pub fn render_frame_scaled(frame: &ScaledFrame, input: &Input, out: &mut [f32], scratch: &mut Scratch) -> Result<()> {
    frame_of(&Pixels::of(frame), input, out, scratch)
}

fn frame_of(pixels: &Pixels<'_>, input: &Input, out: &mut [f32], scratch: &mut Scratch) -> Result<()> {
    check_output(input, out.len())?;
    let channels = scratch.place(pixels, input)?;
    normalise(&scratch.image, channels, false, input, out);
    Ok(())
}

/// As [`render_frame`], before the normalisation: (H, W, channels) bytes, which are exactly what the network's numbers are made
/// of.
///
/// # Errors
/// Those of [`render_frame`].
pub fn frame_levels(frame: &Frame, input: &Input, out: &mut [u8], scratch: &mut Scratch) -> Result<()> {
    check_output(input, out.len())?;
    let channels = scratch.place(&Pixels::whole(frame), input)?;
    if scratch.image.len() == out.len() {
        out.copy_from_slice(&scratch.image);
        return Ok(());
    }
    // A grey frame in a view of colours.
    debug_assert_eq!((channels, input.channels), (1, 3));
    out.chunks_exact_mut(3).zip(&scratch.image).for_each(|(colours, &level)| colours.fill(level));
    Ok(())
}

/// The levels that stand for "nothing" beside a letterboxed frame: the means, which normalise to 0 but for half a level. Whole
/// levels, so that views stay what bytes can hold: an exported network and an application's teacher take bytes.
pub(crate) fn padding(input: &Input) -> Vec<u8> {
    input.normal().0.iter().map(|mean| (mean * 255.0).round().clamp(0.0, 255.0) as u8).collect()
}

fn check_output(input: &Input, length: usize) -> Result<()> {
    if input.width == 0 || input.height == 0 || length != input.view_len() {
        return Err(Error::invalid(format!(
            "view buffer holds {length} numbers, expected {} for {}×{}×{}",
            input.view_len(),
            input.width,
            input.height,
            input.channels
        )));
    }
    Ok(())
}

/// What is drawn from: the sides of the whole frame, and its pixels at 1/`scale` of them.
struct Pixels<'a> {
    frame: &'a Frame,
    width: u32,
    height: u32,
    scale: u32,
}

impl<'a> Pixels<'a> {
    fn whole(frame: &'a Frame) -> Self {
        Self { frame, width: frame.width(), height: frame.height(), scale: 1 }
    }

    fn of(scaled: &'a ScaledFrame) -> Self {
        Self { frame: &scaled.frame, width: scaled.width, height: scaled.height, scale: scaled.scale }
    }

    /// The pixels that show a part of the whole frame.
    fn cut(&self, Crop { left, top, width, height }: Crop) -> Crop {
        let (cut_left, cut_top) = (left / self.scale, top / self.scale);
        Crop {
            left: cut_left,
            top: cut_top,
            width: (left + width).div_ceil(self.scale) - cut_left,
            height: (top + height).div_ceil(self.scale) - cut_top,
        }
    }
}

impl Scratch {
    /// Empty; memory comes with the first view.
    pub fn new() -> Self {
        Self::default()
    }

    /// Fills `self.image` with the (H, W, C) bytes of a crop, and gives C.
    fn crop(&mut self, pixels: &Pixels<'_>, crop: Crop, input: &Input) -> Result<usize> {
        let Crop { left, top, width, height } = crop;
        input.roi.within(pixels.width, pixels.height)?;
        let inside =
            |start: u32, length: u32, side: u32| length > 0 && start.checked_add(length).is_some_and(|end| end <= side);
        if !inside(left, width, pixels.width) || !inside(top, height, pixels.height) {
            return Err(Error::invalid(format!(
                "crop {crop:?} is not inside the frame of {}×{} pixels",
                pixels.width, pixels.height
            )));
        }
        // The cut comes before the resize: pixels outside it never leak in, but for those that share one of the
        // scaled frame's pixels with the crop's edge.
        let scale = pixels.scale;
        let cut = pixels.cut(crop);
        let region = [left % scale, top % scale, width, height].map(|edge| f64::from(edge) / f64::from(scale));
        self.resize_any(pixels.frame, Some(cut), region, [input.width, input.height])
    }

    /// Fills `self.image` with the (H, W, C) bytes of a frame as a session sees it, and gives C.
    fn place(&mut self, pixels: &Pixels<'_>, input: &Input) -> Result<usize> {
        let view = (input.width, input.height);
        let Placement { source, target } = input.placement(pixels.width, pixels.height)?;
        let [left, top, width, height] = target;
        let mut region = source.map(|edge| edge / f64::from(pixels.scale));
        // What surrounds the region of interest does not leak in.
        let cut = match input.roi.is_none() {
            true => None,
            false => Some(pixels.cut(input.roi.within(pixels.width, pixels.height)?)),
        };
        if let Some(cut) = cut {
            region[0] -= f64::from(cut.left);
            region[1] -= f64::from(cut.top);
        }
        let channels = self.resize_any(pixels.frame, cut, region, [width, height])?;
        let channels = self.drop_colours(channels, input);
        if (width, height) == view {
            return Ok(channels);
        }
        // The padding has the view's colours, so a grey frame gets them, too.
        let padding = padding(input);
        let (wide, view_w) = (padding.len(), input.width as usize);
        let more = input.view_len().saturating_sub(self.spare.len());
        reserve(&mut self.spare, more, "a view")?;
        self.spare.resize(input.view_len(), 0);
        self.spare.chunks_exact_mut(wide).for_each(|pixel| pixel.copy_from_slice(&padding));
        let rows = self.spare.chunks_exact_mut(view_w * wide).skip(top as usize);
        for (to, from) in rows.zip(self.image.chunks_exact(width as usize * channels)) {
            let to = to.chunks_exact_mut(wide).skip(left as usize);
            for (to, from) in to.zip(from.chunks_exact(channels)) {
                if wide == channels {
                    to.copy_from_slice(from);
                } else {
                    to.fill(from[0]);
                }
            }
        }
        std::mem::swap(&mut self.image, &mut self.spare);
        Ok(wide)
    }

    /// Makes one channel of the image's `channels` where the view is grey; gives how many it has now.
    fn drop_colours(&mut self, channels: usize, input: &Input) -> usize {
        if channels == 3 && input.channels == 1 {
            colour::to_grey(&mut self.image);
            return 1;
        }
        channels
    }

    /// Fills `self.image` with (height, width, C) bytes of `to` = [width, height], bilinear with antialiasing as PIL, and gives
    /// C. `region` is left, top, width and height inside the frame or, where given, inside `cut`: what lies outside the cut does
    /// not count, what surrounds the region does where the filter reaches it.
    fn resize_any(&mut self, frame: &Frame, cut: Option<Crop>, region: [f64; 4], to: [u32; 2]) -> Result<usize> {
        match frame.channels() {
            1 => self.resize::<U8>(frame, cut, region, to),
            _ => self.resize::<U8x3>(frame, cut, region, to),
        }
    }

    fn resize<P: PixelTrait>(
        &mut self,
        frame: &Frame,
        cut: Option<Crop>,
        region: [f64; 4],
        [to_w, to_h]: [u32; 2],
    ) -> Result<usize> {
        let failed = |error: &dyn std::fmt::Display| Error::internal("resize", error);
        let bytes = to_w as usize * to_h as usize * P::size();
        let more = bytes.saturating_sub(self.image.len());
        reserve(&mut self.image, more, "a view")?;
        self.image.resize(bytes, 0);
        let whole =
            TypedImageRef::<P>::from_buffer(frame.width(), frame.height(), frame.pixels()).map_err(|e| failed(&e))?;
        let mut view = TypedImage::<P>::from_buffer(to_w, to_h, &mut self.image).map_err(|e| failed(&e))?;
        let [left, top, width, height] = region;
        let options = ResizeOptions::new()
            .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
            .use_alpha(false)
            .crop(left, top, width, height);
        let Crop { left, top, width, height } =
            cut.unwrap_or(Crop { left: 0, top: 0, width: frame.width(), height: frame.height() });
        // It resizes all rows of the crop to the new width first, by a table of weights for each side.
        let rows = to_w as usize * height as usize * P::size();
        let sides = [width, height, to_w, to_h].into_iter().sum::<u32>();
        let weights = WEIGHTS * sides as usize;
        // The resizer keeps its rows; weights are made anew, but a warm session takes no buffer to look for what is small.
        if rows + weights > self.seen || weights > MARGIN / 2 {
            spare(rows + weights, "resizing a frame")?;
            self.seen = self.seen.max(rows + weights);
        }
        let cut = TypedCroppedImage::from_ref(&whole, left, top, width, height).map_err(|e| failed(&e))?;
        self.resizer.resize_typed(&cut, &mut view, &options).map_err(|e| failed(&e))?;
        Ok(P::size())
    }
}

/// Bytes (H, W, C) → numbers (H, W, channels), mirrored where `flip`. A table of all 256 levels gives torchvision's own
/// roundings.
fn normalise(image: &[u8], channels: usize, flip: bool, input: &Input, out: &mut [f32]) {
    let levels = |mean: f64, std: f64| -> [f32; 256] {
        let (mean, std) = (mean as f32, std as f32);
        std::array::from_fn(|level| (level as f32 / 255.0 - mean) / std)
    };
    if input.channels == 1 {
        let (mean, std) = input.grey_normal();
        let table = levels(mean, std);
        let width = input.width as usize;
        for (to, from) in out.chunks_exact_mut(width).zip(image.chunks_exact(width)) {
            for (x, to) in to.iter_mut().enumerate() {
                *to = table[usize::from(from[if flip { width - 1 - x } else { x }])];
            }
        }
        return;
    }
    let table: [[f32; 256]; 3] = std::array::from_fn(|c| levels(input.mean[c], input.std[c]));
    let write = |to: &mut [f32], from: &[u8]| {
        for c in 0..3 {
            to[c] = table[c][usize::from(from[if channels == 3 { c } else { 0 }])];
        }
    };
    let width = input.width as usize;
    for (to, from) in out.chunks_exact_mut(width * 3).zip(image.chunks_exact(width * channels)) {
        let to = to.chunks_exact_mut(3);
        let from = from.chunks_exact(channels);
        if flip {
            to.zip(from.rev()).for_each(|(to, from)| write(to, from));
        } else {
            to.zip(from).for_each(|(to, from)| write(to, from));
        }
    }
}
