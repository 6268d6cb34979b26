//! How much smaller than it is stored a JPEG may be decoded for a view: 1/1, 1/2, 1/4 or 1/8 of its sides.
//!
//! ```text
//! scale = the largest s of 1, 2, 4, 8 with   crop_w / s ≥ 2 · view_w   and   crop_h / s ≥ 2 · view_h
//! ```
//!
//! The choice depends on the frame's sides, the crop and the configuration alone, never on what is cached or on the
//! number of workers, so a view can be made again bit for bit.

use std::sync::Arc;

use super::augment::{Crop, ViewConfig, drawn_in, smallest_crop};
use super::frame::Frame;
use super::geometry::Placement;
use super::input::Input;
use super::jpeg::SCALES;

/// A scaled crop stays at least this many times the view's sides. PIL's `Image.resize(reducing_gap=2.0)`: "the result
/// may be close to fair resampling in most cases"; `Image.draft` and `thumbnail` use the same default with JPEG's DCT.
pub const REDUCING_GAP: f64 = 2.0;

/// A frame as it is stored or, of a JPEG, decoded smaller.
#[derive(Clone, Debug)]
pub struct ScaledFrame {
    /// The pixels: `ceil(width / scale)`×`ceil(height / scale)`.
    pub frame: Arc<Frame>,
    /// Pixels in a row of the whole frame.
    pub width: u32,
    /// Rows of the whole frame.
    pub height: u32,
    /// 1, 2, 4 or 8.
    pub scale: u32,
}

impl ScaledFrame {
    /// A frame at its own size.
    pub fn whole(frame: Arc<Frame>) -> Self {
        Self { width: frame.width(), height: frame.height(), scale: 1, frame }
    }
}

/// At which scale an image is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// 1, 2, 4 or 8.
    pub scale: u32,
    /// Whether the decoded frame is worth its place in the cache.
    pub keep: bool,
}

impl Reading {
    /// At full size.
    pub const WHOLE: Self = Self { scale: 1, keep: true };

    /// For an augmented view. Where even the smallest crop of the configuration allows a scale, all views of the image
    /// take it and share one cached frame. Else each takes its own, and the larger frames that only smaller crops than
    /// the mean ask for are not kept: they would push several times their number of more useful ones out of the budget.
    pub fn of_view(config: &ViewConfig, frame_w: u32, frame_h: u32, crop: Crop) -> Self {
        let (smallest_w, smallest_h) = smallest_crop(config, frame_w, frame_h);
        let view = [config.input.width, config.input.height];
        let shared = allowed([smallest_w, smallest_h].map(f64::from), view);
        if shared > 1 {
            return Self { scale: shared, keep: true };
        }
        let scale = allowed([crop.width, crop.height].map(f64::from), view);
        let share = (config.crop_scale_min + config.crop_scale_max) / 2.0;
        let (width, height) = drawn_in(config, frame_w, frame_h);
        let mean_side = (f64::from(width) * f64::from(height) * share).sqrt();
        let usual = allowed([width, height].map(|side| mean_side.min(f64::from(side))), view);
        Self { scale, keep: scale >= usual }
    }

    /// For the frame as a session sees it.
    pub fn of_frame(input: &Input, frame_w: u32, frame_h: u32) -> Self {
        // A frame that does not hold the region of interest is refused when it is drawn.
        let Ok(Placement { source, target }) = input.placement(frame_w.max(1), frame_h.max(1)) else {
            return Self::WHOLE;
        };
        Self { scale: allowed([source[2], source[3]], [target[2], target[3]]), keep: true }
    }
}

/// The largest scale at which a crop of these sides is still [`REDUCING_GAP`] times what it is resized to.
fn allowed(crop: [f64; 2], to: [u32; 2]) -> u32 {
    let fits = |scale: &u32| {
        let least = |side: u32| REDUCING_GAP * f64::from(*scale) * f64::from(side);
        crop[0] >= least(to[0]) && crop[1] >= least(to[1])
    };
    SCALES.into_iter().find(fits).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::random::{Purpose, generator};
    use crate::data::{Resize, ViewParams};

    #[test]
    fn no_scaled_crop_is_smaller_than_twice_the_view() {
        for resize in [Resize::Whole, Resize::Letterbox, Resize::Centre] {
            check_scales(&ViewConfig::from(Input { width: 64, height: 48, resize, ..Input::default() }));
        }
    }

    fn check_scales(config: &ViewConfig) {
        let mut seen = std::collections::BTreeSet::new();
        for (width, height) in [(100, 80), (640, 480), (1200, 900), (2592, 1944), (5000, 300), (300, 5000)] {
            let smallest = smallest_crop(config, width, height);
            for index in 0..300 {
                let crop = ViewParams::sample(config, width, height, &mut generator(5, 0, index, Purpose::View)).crop;
                assert!(crop.width >= smallest.0 && crop.height >= smallest.1, "{crop:?} of {width}×{height}");
                let Reading { scale, .. } = Reading::of_view(config, width, height, crop);
                assert!(scale == 1 || (crop.width >= 128 * scale && crop.height >= 96 * scale), "{crop:?} {scale}");
                seen.insert((width, scale));
            }
        }
        // 640×480: some of its crops allow 1/2; 2592×1944: all allow 1/4.
        let scales = |width: u32| seen.iter().filter(|(w, _)| *w == width).map(|(_, s)| *s).collect::<Vec<_>>();
        assert_eq!((scales(100), scales(640), scales(2592)), (vec![1], vec![1, 2, 4], vec![4]));
        assert_eq!(Reading::of_frame(&config.input, 2592, 1944).scale, 8);
        assert_eq!(Reading::of_frame(&config.input, 100, 80), Reading::WHOLE);
    }

    #[test]
    fn large_frames_that_few_views_need_are_not_kept() {
        let config = ViewConfig::default();
        // 5 megapixels at 224²: the mean crop allows 1/2, the smallest does not.
        let reading = |side| Reading::of_view(&config, 2592, 1944, Crop { left: 0, top: 0, width: side, height: side });
        assert_eq!(reading(880), Reading { scale: 1, keep: false });
        assert_eq!(reading(900), Reading { scale: 2, keep: true });
        assert_eq!(reading(1900), Reading { scale: 4, keep: true });
    }
}
