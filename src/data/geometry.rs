//! How a frame becomes the network's input: which part of it is seen, and where that part lies in the view.
//!
//! ```text
//! whole:      all of the frame, each side to the view's
//! letterbox:  all of the frame, both sides by one factor, in the middle of the view; the mean colour fills the rest
//! centre:     the shorter side to size · 256/224, then the middle of that size
//! ```
//!
//! A coordinate x of the frame and v of the view, both counted from the left edge of the first pixel, belong together by
//!
//! ```text
//! v = target.left + (x − source.left) · target.width / source.width
//! ```
//!
//! and so down. Letterbox is Pillow's `ImageOps.pad`, whole its `Image.resize`, centre torchvision's `Resize` and `CenterCrop`.
//!
//! ```
//! use seed::data::Resize;
//! let placement = Resize::Letterbox.placement((200, 100), (64, 64));
//! assert_eq!((placement.source, placement.target), ([0.0, 0.0, 200.0, 100.0], [0, 16, 64, 32]));
//! assert_eq!(placement.to_view([100.0, 100.0]), [32.0, 48.0]);
//! ```

use crate::choice::choice;

choice! {
    /// How a frame becomes the network's input. Files that do not say it were made by [`Centre`](Resize::Centre).
    #[derive(Default)]
    pub enum Resize {
        /// All of the frame, each side resized to the view's: nothing is lost, the aspect ratio is.
        #[default]
        Whole = "whole",
        /// All of the frame with its aspect ratio, in the middle of the view; the rest is the mean colour, rounded to a level.
        Letterbox = "letterbox",
        /// The shorter side is resized to size · 256/224 and the middle cut out, as ImageNet's protocol has it. What lies near a
        /// border is not seen.
        Centre = "centre",
    }
}

impl Resize {
    /// What a file means that does not say it.
    pub(crate) fn unsaid() -> Self {
        Self::Centre
    }

    /// The centre crop is not written, so that what was saved before there were others is still the same settings.
    pub(crate) fn is_unsaid(&self) -> bool {
        *self == Self::unsaid()
    }

    /// Where a frame and a view of these sides, (width, height), each at least 1, show the same.
    pub fn placement(self, (frame_w, frame_h): (u32, u32), (view_w, view_h): (u32, u32)) -> Placement {
        let all = [0.0, 0.0, f64::from(frame_w), f64::from(frame_h)];
        match self {
            Self::Whole => Placement { source: all, target: [0, 0, view_w, view_h] },
            Self::Letterbox => Placement { source: all, target: contained([frame_w, frame_h], [view_w, view_h]) },
            Self::Centre => {
                Placement { source: centred([frame_w, frame_h], [view_w, view_h]), target: [0, 0, view_w, view_h] }
            }
        }
    }
}

/// Which part of a frame is seen, and where it lies in the view.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placement {
    /// Left, top, width and height of the part, in fractions of the frame's pixels.
    pub source: [f64; 4],
    /// Left, top, width and height of what shows it, in pixels of the view.
    pub target: [u32; 4],
}

impl Placement {
    /// A point [x, y] of the frame in the view.
    pub fn to_view(&self, point: [f64; 2]) -> [f64; 2] {
        std::array::from_fn(|axis| {
            let scale = f64::from(self.target[axis + 2]) / self.source[axis + 2];
            f64::from(self.target[axis]) + (point[axis] - self.source[axis]) * scale
        })
    }

    /// A point [x, y] of the view in the frame.
    pub fn to_frame(&self, point: [f64; 2]) -> [f64; 2] {
        std::array::from_fn(|axis| {
            let scale = self.source[axis + 2] / f64::from(self.target[axis + 2]);
            self.source[axis] + (point[axis] - f64::from(self.target[axis])) * scale
        })
    }
}

/// Pillow's `ImageOps.pad`: the largest rectangle of the frame's aspect ratio, in the middle of the view.
fn contained([frame_w, frame_h]: [u32; 2], [view_w, view_h]: [u32; 2]) -> [u32; 4] {
    let ratio = |width: u32, height: u32| f64::from(width) / f64::from(height);
    let rounded = |side: f64, most: u32| (side.round_ties_even() as u32).clamp(1, most);
    let (frame, view) = (ratio(frame_w, frame_h), ratio(view_w, view_h));
    let (mut width, mut height) = (view_w, view_h);
    if frame > view {
        height = rounded(ratio(frame_h, frame_w) * f64::from(view_w), view_h);
    } else if frame < view {
        width = rounded(frame * f64::from(view_h), view_w);
    }
    let before = |free: u32| (f64::from(free) * 0.5).round_ties_even() as u32;
    [before(view_w - width), before(view_h - height), width, height]
}

/// The part of a frame that the centre crop of the resized frame shows: torchvision's `Resize(size · 256 / 224)` of the shorter
/// side and `CenterCrop(size)`. Where the view is no square, the frame is resized until it just covers both sides · 256 / 224.
/// Resizing only that part gives the same pixels as resizing everything and cropping then.
fn centred(frame: [u32; 2], view: [u32; 2]) -> [f64; 4] {
    let [[frame_w, frame_h], [view_w, view_h]] = [frame, view].map(|sides| sides.map(u64::from));
    let [cover_w, cover_h] = [view_w, view_h].map(|side| side * 256 / 224);
    let (resized_w, resized_h) = if frame_w * cover_h <= frame_h * cover_w {
        (cover_w, cover_w * frame_h / frame_w)
    } else {
        (cover_h * frame_w / frame_h, cover_h)
    };
    let part = |frame: u64, resized: u64, view: u64| {
        let scale = frame as f64 / resized as f64;
        let start = ((resized - view) as f64 / 2.0).round_ties_even() * scale;
        (start, (view as f64 * scale).min(frame as f64 - start))
    };
    let ((left, width), (top, height)) = (part(frame_w, resized_w, view_w), part(frame_h, resized_h, view_h));
    [left, top, width, height]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_go_there_and_back() {
        for resize in [Resize::Whole, Resize::Letterbox, Resize::Centre] {
            for frame in [(200, 100), (99, 301), (64, 64), (4096, 1), (1, 4096)] {
                for view in [(96, 96), (64, 48), (8, 4096)] {
                    let placement = resize.placement(frame, view);
                    let ([left, top, width, height], target) = (placement.source, placement.target);
                    assert!(left >= 0.0 && top >= 0.0 && width > 0.0 && height > 0.0, "{placement:?}");
                    assert!(left + width <= f64::from(frame.0) && top + height <= f64::from(frame.1), "{placement:?}");
                    assert!(target[0] + target[2] <= view.0 && target[1] + target[3] <= view.1, "{placement:?}");
                    let end = placement.to_view([left + width, top + height]);
                    assert!((end[0] - f64::from(target[0] + target[2])).abs() < 1e-6, "{placement:?}");
                    let back = placement.to_frame(placement.to_view([3.5, 7.25]));
                    assert!((back[0] - 3.5).abs() < 1e-6 && (back[1] - 7.25).abs() < 1e-6, "{placement:?}");
                }
            }
        }
    }

    #[test]
    fn words_go_there_and_back() {
        for &resize in Resize::ALL {
            assert_eq!(Resize::parse("resize", resize.word()).unwrap(), resize);
            assert_eq!(serde_json::to_value(resize).unwrap(), resize.word());
        }
        assert!(Resize::parse("resize", "center").unwrap_err().message().contains("whole, letterbox, centre"));
    }
}
