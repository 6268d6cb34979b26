//! The view distribution of MoCo-v2: which crop, colours, blur and flip a view gets.
//!
//! In torchvision's words, and in this order (Chen et al., arXiv 2003.04297; method.md §3):
//!
//! ```text
//! RandomResizedCrop(size, scale (.2, 1), ratio (3/4, 4/3)) → RandomApply(ColorJitter(.4, .4, .4, .1), .8)
//!   → RandomGrayscale(.2) → RandomApply(GaussianBlur(σ ~ U(.1, 2)), .5) → RandomHorizontalFlip(.5)
//!   → ToTensor → Normalize
//! ```
//!
//! [`ViewParams::sample`] draws, [`super::render`](mod@super::render) draws nothing: the same parameters give the same
//! view.
//!
//! ```
//! use seed::data::random::{Purpose, generator};
//! use seed::data::{ViewConfig, ViewParams};
//! let config = ViewConfig::default();
//! let view = || ViewParams::sample(&config, 640, 480, &mut generator(7, 0, 12, Purpose::View));
//! assert_eq!(view(), view());
//! ```

use rand_core::RngCore;
use serde::{Deserialize, Serialize};

use super::geometry::Resize;
use super::input::{Input, within};
use super::random::{below, between, shuffle, unit};
use super::tiles::Tile;
use crate::choice::choice;
use crate::error::Result;

pub use super::roi::Crop;

/// Version of what [`ViewParams::sample`] and [`super::render`](mod@super::render) make of the same settings and randomness.
/// Raise it with every change that moves a pixel: stored embeddings of the old views are stale then.
pub const VIEW_VERSION: u32 = 3;

/// What views are drawn from. `Default` is MoCo-v2's at 224² with ImageNet's mean and deviation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ViewConfig {
    /// What any image is made by, these views as well.
    #[serde(flatten)]
    pub input: Input,
    /// Shorter side, in pixels of the frame, of the random tile that a crop is drawn in, as if it were the frame; the other side is as much
    /// longer as that of the network's input is, and both end at the frame's. With `tile.size` of a detector, training sees what its tiles
    /// show. 0: crops are drawn in the frame.
    #[serde(skip_serializing_if = "is_none")]
    pub tile: u32,
    /// Smallest share of the frame's area that a crop covers.
    pub crop_scale_min: f64,
    /// Largest share of the frame's area that a crop covers.
    pub crop_scale_max: f64,
    /// Smallest width / height of a crop; with `resize` "whole", relative to the frame's own.
    pub crop_ratio_min: f64,
    /// Largest width / height of a crop; with `resize` "whole", relative to the frame's own.
    pub crop_ratio_max: f64,
    /// Probability that the colours are changed.
    pub jitter_probability: f64,
    /// Brightness is multiplied by a factor from `max(0, 1 − x)..1 + x`.
    pub brightness: f64,
    /// Contrast is multiplied by a factor from `max(0, 1 − x)..1 + x`.
    pub contrast: f64,
    /// Saturation is multiplied by a factor from `max(0, 1 − x)..1 + x`.
    pub saturation: f64,
    /// Hue is turned by a share `−x..x` of the circle; at most 0.5.
    pub hue: f64,
    /// Probability that the colours are removed.
    pub grey_probability: f64,
    /// Probability that the view is blurred.
    pub blur_probability: f64,
    /// Smallest σ of the blur, in pixels of the view.
    pub blur_sigma_min: f64,
    /// Largest σ of the blur, in pixels of the view.
    pub blur_sigma_max: f64,
    /// Largest reach of the blur, as a share of the view's side: 0.05 is the usual kernel of torchvision (23 pixels at 224); with 1 it
    /// reaches as far as σ requires, as in PIL, even for small views.
    #[serde(skip_serializing_if = "is_usual_reach")]
    pub blur_reach: f64,
    /// Probability that left and right are swapped.
    pub flip_probability: f64,
    /// Where the views of a training step are made: completely by the loader's threads, or there only cropped and resized, with the rest
    /// done in batches on the run's device.
    pub device: ViewDevice,
}

choice! {
    /// Where the views of a training step are made.
    pub enum ViewDevice {
        /// The loader's threads make whole views.
        Workers = "workers",
        /// They only crop and resize; colours, blur, flip and normalisation are done in batch on the device of the run.
        Device = "device",
    }
}

const USUAL_REACH: f64 = 0.05;

fn is_none(tile: &u32) -> bool {
    *tile == 0
}

fn is_usual_reach(reach: &f64) -> bool {
    *reach == USUAL_REACH
}

impl Default for ViewConfig {
    fn default() -> Self {
        Self {
            input: Input::default(),
            tile: 0,
            crop_scale_min: 0.2,
            crop_scale_max: 1.0,
            crop_ratio_min: 3.0 / 4.0,
            crop_ratio_max: 4.0 / 3.0,
            jitter_probability: 0.8,
            brightness: 0.4,
            contrast: 0.4,
            saturation: 0.4,
            hue: 0.1,
            grey_probability: 0.2,
            blur_probability: 0.5,
            blur_sigma_min: 0.1,
            blur_sigma_max: 2.0,
            blur_reach: USUAL_REACH,
            flip_probability: 0.5,
            device: ViewDevice::Workers,
        }
    }
}

/// The usual random views for a network of that input.
impl From<Input> for ViewConfig {
    fn from(input: Input) -> Self {
        Self { input, ..Self::default() }
    }
}

impl ViewConfig {
    /// Whether the loader leaves the views to the device.
    pub fn on_device(&self) -> bool {
        self.device == ViewDevice::Device
    }

    /// # Errors
    /// `Config` where a value is out of bounds or not a number; says the key, the value and the bounds.
    pub fn check(&self) -> Result<()> {
        self.input.check()?;
        within("crop_scale_max", self.crop_scale_max, 1e-6, 1.0)?;
        within("crop_scale_min", self.crop_scale_min, 1e-6, self.crop_scale_max)?;
        within("crop_ratio_max", self.crop_ratio_max, 0.01, 100.0)?;
        within("crop_ratio_min", self.crop_ratio_min, 0.01, self.crop_ratio_max)?;
        within("jitter_probability", self.jitter_probability, 0.0, 1.0)?;
        within("brightness", self.brightness, 0.0, 10.0)?;
        within("contrast", self.contrast, 0.0, 10.0)?;
        within("saturation", self.saturation, 0.0, 10.0)?;
        within("hue", self.hue, 0.0, 0.5)?;
        within("grey_probability", self.grey_probability, 0.0, 1.0)?;
        within("blur_probability", self.blur_probability, 0.0, 1.0)?;
        within("blur_sigma_max", self.blur_sigma_max, 0.01, 100.0)?;
        within("blur_sigma_min", self.blur_sigma_min, 0.01, self.blur_sigma_max)?;
        within("blur_reach", self.blur_reach, 0.0, 1.0)?;
        within("flip_probability", self.flip_probability, 0.0, 1.0)?;
        Ok(())
    }
}

/// One of the four operations of the colour jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adjustment {
    /// Blend with black.
    Brightness,
    /// Blend with the mean grey level.
    Contrast,
    /// Blend with the grey image.
    Saturation,
    /// Turn the hue.
    Hue,
}

/// Factors of the colour jitter and the order they are applied in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Jitter {
    /// All four, each once.
    pub order: [Adjustment; 4],
    /// 1 leaves the image as it is.
    pub brightness: f64,
    /// 1 leaves the image as it is.
    pub contrast: f64,
    /// 1 leaves the image as it is.
    pub saturation: f64,
    /// Share of the circle, −0.5..=0.5; 0 leaves the image as it is.
    pub hue: f64,
}

/// Everything that is random about one view.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ViewParams {
    /// What is cut out of the frame.
    pub crop: Crop,
    /// The colour jitter, if any.
    pub jitter: Option<Jitter>,
    /// Whether the colours are removed.
    pub grey: bool,
    /// σ of the blur in pixels, if any.
    pub blur_sigma: Option<f64>,
    /// Whether left and right are swapped.
    pub flip: bool,
}

impl ViewParams {
    /// Draws a view of a frame of `frame_w`×`frame_h` pixels. The order of the draws is part of what makes a run
    /// replayable: crop, jitter, grey, blur, flip.
    pub fn sample(config: &ViewConfig, frame_w: u32, frame_h: u32, rng: &mut impl RngCore) -> Self {
        Self {
            crop: crop_in_region(config, frame_w, frame_h, rng),
            jitter: chance(rng, config.jitter_probability).then(|| sample_jitter(config, rng)),
            grey: chance(rng, config.grey_probability),
            blur_sigma: chance(rng, config.blur_probability)
                .then(|| between(rng, config.blur_sigma_min, config.blur_sigma_max)),
            flip: chance(rng, config.flip_probability),
        }
    }

    /// The whole frame, unchanged but for its size.
    pub fn plain(frame_w: u32, frame_h: u32) -> Self {
        let crop = Crop { left: 0, top: 0, width: frame_w, height: frame_h };
        Self { crop, jitter: None, grey: false, blur_sigma: None, flip: false }
    }
}

fn chance(rng: &mut impl RngCore, probability: f64) -> bool {
    unit(rng) < probability
}

fn sample_jitter(config: &ViewConfig, rng: &mut impl RngCore) -> Jitter {
    let mut order = [Adjustment::Brightness, Adjustment::Contrast, Adjustment::Saturation, Adjustment::Hue];
    shuffle(rng, &mut order);
    let mut factor = |spread: f64| between(rng, (1.0 - spread).max(0.0), 1.0 + spread);
    let (brightness, contrast, saturation) =
        (factor(config.brightness), factor(config.contrast), factor(config.saturation));
    Jitter { order, brightness, contrast, saturation, hue: between(rng, -config.hue, config.hue) }
}

/// Smallest and largest width / height of a crop in the frame's pixels. Where a session resizes the whole frame, the frame's own
/// ratio is what a crop's is relative to: the crop of scale 1 and ratio 1 is the frame as a session sees it, and objects are as
/// wide in views as there. For square frames nothing changes.
fn ratios(config: &ViewConfig, frame_w: u32, frame_h: u32) -> (f64, f64) {
    let own = match config.input.resize {
        Resize::Whole => f64::from(frame_w) / f64::from(frame_h),
        Resize::Letterbox | Resize::Centre => 1.0,
    };
    (config.crop_ratio_min * own, config.crop_ratio_max * own)
}

/// Width and height of what a crop is drawn in: the region of interest, or a tile of it.
pub(super) fn drawn_in(config: &ViewConfig, frame_w: u32, frame_h: u32) -> (u32, u32) {
    let part = config.input.roi.of(frame_w, frame_h);
    let (width, height) = Tile { size: config.tile, ..Tile::default() }.sides(&config.input);
    match config.tile {
        0 => (part.width, part.height),
        _ => (width.clamp(1, part.width.max(1)), height.clamp(1, part.height.max(1))),
    }
}

/// A crop of the region of interest or of a random tile of it, in the frame's pixels.
fn crop_in_region(config: &ViewConfig, frame_w: u32, frame_h: u32, rng: &mut impl RngCore) -> Crop {
    let part = config.input.roi.of(frame_w, frame_h);
    let (width, height) = drawn_in(config, frame_w, frame_h);
    let (mut left, mut top) = (part.left, part.top);
    if config.tile > 0 {
        left = left.saturating_add(below(rng, u64::from(part.width.saturating_sub(width)) + 1) as u32);
        top = top.saturating_add(below(rng, u64::from(part.height.saturating_sub(height)) + 1) as u32);
    }
    let crop = sample_crop(config, width, height, rng);
    // Outside of a frame it is refused when it is drawn.
    Crop { left: left.saturating_add(crop.left), top: top.saturating_add(crop.top), ..crop }
}

/// torchvision's `RandomResizedCrop.get_params`: ten tries at an area and a ratio (uniform in its logarithm) that fit,
/// then the largest centred crop whose ratio is in range.
fn sample_crop(config: &ViewConfig, frame_w: u32, frame_h: u32, rng: &mut impl RngCore) -> Crop {
    let (frame_w, frame_h) = (frame_w.max(1), frame_h.max(1));
    let area = f64::from(frame_w) * f64::from(frame_h);
    let (ratio_min, ratio_max) = ratios(config, frame_w, frame_h);
    let (log_min, log_max) = (ratio_min.ln(), ratio_max.ln());
    for _ in 0..10 {
        let target = area * between(rng, config.crop_scale_min, config.crop_scale_max);
        let ratio = between(rng, log_min, log_max).exp();
        let width = (target * ratio).sqrt().round_ties_even();
        let height = (target / ratio).sqrt().round_ties_even();
        if width >= 1.0 && width <= f64::from(frame_w) && height >= 1.0 && height <= f64::from(frame_h) {
            let (width, height) = (width as u32, height as u32);
            let top = below(rng, u64::from(frame_h - height) + 1) as u32;
            let left = below(rng, u64::from(frame_w - width) + 1) as u32;
            return Crop { left, top, width, height };
        }
    }
    largest_centred(config, frame_w, frame_h)
}

/// The largest centred crop whose ratio is in range.
fn largest_centred(config: &ViewConfig, frame_w: u32, frame_h: u32) -> Crop {
    let ratio = f64::from(frame_w) / f64::from(frame_h);
    let (ratio_min, ratio_max) = ratios(config, frame_w, frame_h);
    let (mut width, mut height) = (frame_w, frame_h);
    if ratio < ratio_min {
        height = ((f64::from(frame_w) / ratio_min).round_ties_even() as u32).clamp(1, frame_h);
    } else if ratio > ratio_max {
        width = ((f64::from(frame_h) * ratio_max).round_ties_even() as u32).clamp(1, frame_w);
    }
    Crop { left: (frame_w - width) / 2, top: (frame_h - height) / 2, width, height }
}

/// Width and height that no crop of a frame of these sides falls below.
pub(super) fn smallest_crop(config: &ViewConfig, frame_w: u32, frame_h: u32) -> (u32, u32) {
    let (width, height) = drawn_in(config, frame_w, frame_h);
    let (frame_w, frame_h) = (width.max(1), height.max(1));
    let area = f64::from(frame_w) * f64::from(frame_h) * config.crop_scale_min;
    let centred = largest_centred(config, frame_w, frame_h);
    let (ratio_min, ratio_max) = ratios(config, frame_w, frame_h);
    // Rounded down, where a crop's sides are rounded to the nearest.
    let width = (area * ratio_min).sqrt() as u32;
    let height = (area / ratio_max).sqrt() as u32;
    (width.min(centred.width), height.min(centred.height))
}
