//! [`Range`]: which samples of a frame become which of 256 levels.
//!
//! ```text
//! level = ⌊255 · t^gamma + 1/2⌋,   t = (s − low) / (high − low), at least 0 and at most 1
//! ```
//!
//! computed in float64 for a sample s in the frame's own units: 0 to 2^bits − 1, or what a float says. All channels of a pixel go by the
//! same low and high. Where low and high are the same number, which only a frame's own percentiles may be, what is above it becomes 255
//! and the rest 0.
//!
//! | kind | low and high |
//! |---|---|
//! | full | all that the format can hold: s >> (bits − 8), which is no rounding; with another gamma than 1 the formula, from 0 to 2^bits − 1. Floats: 0 and 1 |
//! | fixed | two numbers |
//! | frame | two percentiles of each frame by itself |
//! | dataset | two percentiles of all frames of a data set; measured once ([`Dataset::set_range`](super::Dataset::set_range)), then fixed |
//!
//! Of a JPEG that is decoded smaller for a view, percentiles of the frame are those of what was decoded.
//!
//! The p-th percentile is the smallest sample that at least p % of the samples do not exceed: numpy's `inverted_cdf`, exact for floats too.
//!
//! ```
//! use seed::data::{FrameView, PixelFormat, Range, RawFrame};
//! let samples: Vec<u8> = [100u16, 300, 500].into_iter().flat_map(u16::to_ne_bytes).collect();
//! let raw = RawFrame::copy_of(&FrameView::new(&samples, 3, 1, 6, PixelFormat::Mono12)?, Vec::new())?;
//! assert_eq!(raw.to_frame(&Range::FULL)?.pixels(), [6, 18, 31]);
//! assert_eq!(raw.to_frame(&Range::fixed(100.0, 500.0))?.pixels(), [0, 128, 255]);
//! # Ok::<(), seed::Error>(())
//! ```

use serde::{Deserialize, Serialize};

use super::percentiles::percentiles;
use super::raw::RawFrame;
use crate::choice::choice;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::memory::room;

choice! {
    /// Where low and high come from.
    #[derive(Default)]
    pub enum RangeKind {
        /// All that the format can hold.
        #[default]
        Full = "full",
        /// Two numbers.
        Fixed = "fixed",
        /// Percentiles of each frame.
        Frame = "frame",
        /// Percentiles of a data set.
        Dataset = "dataset",
    }
}

/// Which samples become which levels. What a kind does not use counts for nothing: two ranges that give the same levels are equal.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Range {
    /// Which samples become the lowest and the highest of 256 levels. "full": the smallest and the largest value of the format; "fixed":
    /// `range.low` and `range.high`; "frame": two percentiles of each frame; "dataset": two percentiles of a data set, measured by
    /// seed_dataset_set_range.
    pub kind: RangeKind,
    /// For "fixed": the sample that becomes level 0, in the frame's own units (0 to 4095 for 12 bits).
    pub low: f64,
    /// For "fixed": the sample that becomes level 255.
    pub high: f64,
    /// For "frame" and "dataset": the percentile that becomes level 0.
    pub low_percentile: f64,
    /// For "frame" and "dataset": the percentile that becomes level 255.
    pub high_percentile: f64,
    /// Exponent of t in level = 255·t^gamma, where t goes from 0 to 1 between low and high; below 1, dark parts get more of the levels.
    pub gamma: f64,
}

/// A range as files have it: what it does not use is absent.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    kind: RangeKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    low: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    high: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    low_percentile: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    high_percentile: Option<f64>,
    gamma: f64,
}

impl Default for Range {
    fn default() -> Self {
        Self { kind: RangeKind::Full, low: 0.0, high: 0.0, low_percentile: 0.1, high_percentile: 99.9, gamma: 1.0 }
    }
}

impl PartialEq for Range {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

/// What tells one range from another, in the order of nothing in particular.
pub(super) type Key = (u8, [u64; 3]);

impl Range {
    /// All that the format can hold.
    pub const FULL: Self =
        Self { kind: RangeKind::Full, low: 0.0, high: 0.0, low_percentile: 0.1, high_percentile: 99.9, gamma: 1.0 };

    /// From `low` to `high`.
    pub fn fixed(low: f64, high: f64) -> Self {
        Self { kind: RangeKind::Fixed, low, high, ..Self::FULL }
    }

    /// From one percentile of each frame to another.
    pub fn of_frame(low_percentile: f64, high_percentile: f64) -> Self {
        Self { kind: RangeKind::Frame, low_percentile, high_percentile, ..Self::FULL }
    }

    /// Whether levels are the upper 8 bits, as they are without a range.
    pub fn is_full(&self) -> bool {
        self.kind == RangeKind::Full && self.gamma == 1.0
    }

    /// # Errors
    /// `InvalidArgument` where it is still to be measured over a data set.
    pub fn check_measured(&self) -> Result<()> {
        if self.kind != RangeKind::Dataset {
            return Ok(());
        }
        Err(Error::invalid(
            "the range \"dataset\" is to be measured first: set it at a data set, whose range is then fixed, and give that",
        ))
    }

    pub(super) fn key(&self) -> Key {
        let [from, to] = match self.kind {
            RangeKind::Full => [0.0; 2],
            RangeKind::Fixed => [self.low, self.high],
            RangeKind::Frame | RangeKind::Dataset => [self.low_percentile, self.high_percentile],
        };
        // Adding 0 makes one zero of both.
        (self.kind as u8, [from, to, self.gamma].map(|number| (number + 0.0).to_bits()))
    }

    /// # Errors
    /// `Config` where low is not below high, a percentile is out of 0 to 100, gamma out of 0.01 to 100 or a number none.
    pub fn check(&self) -> Result<()> {
        let refused = |message: String| Err(Error::new(ErrorKind::Config, message));
        // Written so that NaN fails.
        if !(self.gamma >= 0.01 && self.gamma <= 100.0) {
            return refused(format!("range.gamma is {}, expected 0.01 to 100", self.gamma));
        }
        let Self { low, high, low_percentile, high_percentile, .. } = *self;
        match self.kind {
            RangeKind::Full => {}
            RangeKind::Fixed => {
                if !(low.is_finite() && high.is_finite() && low < high) {
                    return refused(format!(
                        "range.low is {low} and range.high {high}, expected numbers with low < high"
                    ));
                }
            }
            RangeKind::Frame | RangeKind::Dataset => {
                if !(low_percentile >= 0.0 && low_percentile < high_percentile && high_percentile <= 100.0) {
                    return refused(format!(
                        "range.low_percentile is {low_percentile} and range.high_percentile {high_percentile}, expected \
                         0 ≤ low < high ≤ 100"
                    ));
                }
            }
        }
        Ok(())
    }

    /// The settings that make this range, as `Config::parse` takes them: "range=fixed range.low=100 range.high=500 range.gamma=1".
    pub fn pairs(&self) -> String {
        let Self { low, high, low_percentile, high_percentile, gamma, .. } = self;
        let bounds = match self.kind {
            RangeKind::Full => String::new(),
            RangeKind::Fixed => format!(" range.low={low} range.high={high}"),
            RangeKind::Frame | RangeKind::Dataset => {
                format!(" range.low_percentile={low_percentile} range.high_percentile={high_percentile}")
            }
        };
        format!("range={}{bounds} range.gamma={gamma}", self.kind.word())
    }

    /// How the samples of `frame` become levels.
    pub(super) fn levels(&self, frame: &RawFrame) -> Result<Levels> {
        if self.is_full() && frame.bits() <= 16 {
            return Ok(match frame.bits() {
                8 => Levels::Same,
                bits => Levels::Shift(u32::from(bits) - 8),
            });
        }
        self.check()?;
        self.check_measured()?;
        let (low, high) = match self.kind {
            RangeKind::Full if frame.bits() > 16 => (0.0, 1.0),
            RangeKind::Full => (0.0, f64::from((1u32 << frame.bits()) - 1)),
            RangeKind::Fixed => (self.low, self.high),
            // A data set's was refused above.
            RangeKind::Frame | RangeKind::Dataset => {
                percentiles([self.low_percentile, self.high_percentile], |look| look(frame))?.unwrap_or((0.0, 0.0))
            }
        };
        let mapping = Mapping { low, high, gamma: self.gamma };
        let samples = frame.bytes().len() / if frame.bits() == 8 { 1 } else { 2 };
        // Below, most of a table would never be looked up.
        if frame.bits() > 16 || samples < 1 << (frame.bits() - 1) {
            return Ok(Levels::Numbers(mapping));
        }
        let mut table = room(1 << frame.bits(), "a table of levels")?;
        table.extend((0..1u32 << frame.bits()).map(|sample| mapping.level(sample.into())));
        Ok(Levels::Table(table))
    }
}

/// How samples become levels.
pub(super) enum Levels {
    /// They are levels.
    Same,
    /// By shifting so many bits out.
    Shift(u32),
    /// By the level of each possible sample.
    Table(Vec<u8>),
    /// By the formula.
    Numbers(Mapping),
}

/// The formula with its numbers.
pub(super) struct Mapping {
    low: f64,
    high: f64,
    gamma: f64,
}

impl Mapping {
    /// The level of a sample that is a number.
    pub fn level(&self, sample: f64) -> u8 {
        let part = match self.high > self.low {
            true => ((sample - self.low) / (self.high - self.low)).clamp(0.0, 1.0),
            false => f64::from(u8::from(sample > self.low)),
        };
        let part = if self.gamma == 1.0 { part } else { part.powf(self.gamma) };
        // The conversion rounds down.
        (255.0 * part + 0.5) as u8
    }
}

impl From<Range> for Written {
    fn from(range: Range) -> Self {
        let Range { kind, low, high, low_percentile, high_percentile, gamma } = range;
        let fixed = kind == RangeKind::Fixed;
        let measured = matches!(kind, RangeKind::Frame | RangeKind::Dataset);
        Self {
            kind,
            low: fixed.then_some(low),
            high: fixed.then_some(high),
            low_percentile: measured.then_some(low_percentile),
            high_percentile: measured.then_some(high_percentile),
            gamma,
        }
    }
}

impl TryFrom<Written> for Range {
    type Error = Error;

    fn try_from(written: Written) -> Result<Self> {
        let full = Self::FULL;
        let range = Self {
            kind: written.kind,
            low: written.low.unwrap_or(full.low),
            high: written.high.unwrap_or(full.high),
            low_percentile: written.low_percentile.unwrap_or(full.low_percentile),
            high_percentile: written.high_percentile.unwrap_or(full.high_percentile),
            gamma: written.gamma,
        };
        range.check()?;
        Ok(range)
    }
}
