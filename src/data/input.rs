//! How any frame becomes a network's input: size, channels, geometry, range of samples and normalisation. Nothing of it is random.
//!
//! Student, classifier, detector and drift reference carry an [`Input`] each, so that whoever opens them sees frames as they were learned.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::geometry::{Placement, Resize};
use super::range::Range;
use super::roi::Roi;
use crate::error::{Error, ErrorKind, Result};

/// The largest side of a network's input, in pixels.
pub const MAX_VIEW_SIDE: u32 = 4_096;

/// What a network's input is made by. `Default` is the whole frame at 224² with ImageNet's mean and deviation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Input {
    /// Pixels in a row of an image.
    pub width: u32,
    /// Rows of an image.
    pub height: u32,
    /// Channels of an image: 3, or 1 for a network that takes grey images.
    #[serde(skip_serializing_if = "is_three")]
    pub channels: u32,
    /// How a whole frame becomes the network's input. It also determines what the ratio of a crop is relative to.
    #[serde(default = "Resize::unsaid", skip_serializing_if = "Resize::is_unsaid")]
    pub resize: Resize,
    /// Which samples of a frame become which levels, where the data set that it is from does not say it.
    #[serde(skip_serializing_if = "Range::is_full")]
    pub range: Range,
    /// The part of each frame that is looked at, before anything else is done to it.
    #[serde(skip_serializing_if = "Roi::is_none")]
    pub roi: Roi,
    /// Subtracted from red, green and blue in [0, 1].
    pub mean: [f64; 3],
    /// Divides red, green and blue after that.
    pub std: [f64; 3],
}

impl Default for Input {
    fn default() -> Self {
        Self {
            width: 224,
            height: 224,
            channels: 3,
            resize: Resize::Whole,
            range: Range::FULL,
            roi: Roi::NONE,
            mean: [0.485, 0.456, 0.406],
            std: [0.229, 0.224, 0.225],
        }
    }
}

impl Input {
    /// Numbers of an image, `height · width · channels`.
    pub fn view_len(&self) -> usize {
        self.width as usize * self.height as usize * self.channels as usize
    }

    /// Which part of a frame of these sides is seen, in the frame's pixels, and where it lies in the view.
    ///
    /// # Errors
    /// `InvalidArgument` where the region of interest is not inside of the frame.
    pub fn placement(&self, frame_w: u32, frame_h: u32) -> Result<Placement> {
        let part = self.roi.within(frame_w, frame_h)?;
        let placement = self.resize.placement((part.width, part.height), (self.width, self.height));
        let [left, top, width, height] = placement.source;
        Ok(Placement { source: [left + f64::from(part.left), top + f64::from(part.top), width, height], ..placement })
    }

    /// Mean and deviation of a grey image: the averages of the three colours'.
    pub fn grey_normal(&self) -> (f64, f64) {
        let average = |[red, green, blue]: [f64; 3]| (red + green + blue) / 3.0;
        (average(self.mean), average(self.std))
    }

    /// Mean and deviation of each of the image's channels.
    pub fn normal(&self) -> (Vec<f64>, Vec<f64>) {
        match self.channels {
            1 => (vec![self.grey_normal().0], vec![self.grey_normal().1]),
            _ => (self.mean.to_vec(), self.std.to_vec()),
        }
    }

    /// What makes a colour of a grey image's number x, so that the grey frame is normalised as a colour one: x·scale + shift,
    /// scale = s/s_c and shift = (m − m_c)/s_c with [`grey_normal`](Input::grey_normal)'s m and s.
    pub fn colours_of_grey(&self) -> [(f64, f64); 3] {
        let (mean, std) = self.grey_normal();
        std::array::from_fn(|c| (std / self.std[c], (mean - self.mean[c]) / self.std[c]))
    }

    /// # Errors
    /// `Config` where a value is out of bounds or not a number; says the key, the value and the bounds.
    pub fn check(&self) -> Result<()> {
        within("width", f64::from(self.width), 1.0, f64::from(MAX_VIEW_SIDE))?;
        within("height", f64::from(self.height), 1.0, f64::from(MAX_VIEW_SIDE))?;
        if self.channels != 3 && self.channels != 1 {
            return Err(Error::new(ErrorKind::Config, format!("channels is {}, expected 1 or 3", self.channels)));
        }
        self.range.check()?;
        self.roi.check()?;
        for (mean, std) in self.mean.into_iter().zip(self.std) {
            within("mean", mean, -1e3, 1e3)?;
            within("std", std, 1e-6, 1e3)?;
        }
        Ok(())
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { width, height, channels, resize, range, roi, mean, std } = self;
        let roi = if roi.is_none() { String::new() } else { format!(", the part of {roi}") };
        let (resize, range) = (resize.word(), range.pairs());
        write!(f, "{width}×{height}×{channels}, resize \"{resize}\", \"{range}\"{roi}, mean {mean:?}, std {std:?}")
    }
}

/// Three channels are not written, so that what was saved before there were others is still the same settings.
fn is_three(channels: &u32) -> bool {
    *channels == 3
}

pub(super) fn within(key: &str, value: f64, low: f64, high: f64) -> Result<()> {
    // Written so that NaN fails.
    if value >= low && value <= high {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Config, format!("{key} is {value}, expected {low} to {high}")))
}
