//! The settings of a range, under "range" and keys that begin with "range.": which samples of a frame become which levels. Their fields are
//! those of [`Range`](crate::data::Range). Bounds of samples are those of a frame of floats.

use super::{Config, Slot};
use crate::data::{Range, RangeKind, Roi};
use crate::error::Result;

pub(super) const KEYS: &[(&str, Slot)] = &[
    ("range", Slot::Word(|c| &mut c.view.input.range.kind)),
    ("range.low", Slot::Float(|c| &mut c.view.input.range.low, -3.5e38, 3.5e38)),
    ("range.high", Slot::Float(|c| &mut c.view.input.range.high, -3.5e38, 3.5e38)),
    ("range.low_percentile", Slot::Float(|c| &mut c.view.input.range.low_percentile, 0.0, 100.0)),
    ("range.high_percentile", Slot::Float(|c| &mut c.view.input.range.high_percentile, 0.0, 100.0)),
    ("range.gamma", Slot::Float(|c| &mut c.view.input.range.gamma, 0.01, 100.0)),
];

impl Config {
    /// The range, where the caller has set one of its keys. "dataset" is none: that is the range of what a network learned from.
    ///
    /// # Errors
    /// `Config` where it is not sound.
    pub fn chosen_range(&self) -> Result<Option<Range>> {
        let range = self.view.input.range;
        range.check()?;
        let chosen = range.kind != RangeKind::Dataset && KEYS.iter().any(|(key, _)| self.chosen.contains(key));
        Ok(chosen.then_some(range))
    }

    /// The region of interest, where the caller has set one of its keys.
    ///
    /// # Errors
    /// `Config` where it is not sound.
    pub fn chosen_roi(&self) -> Result<Option<Roi>> {
        self.view.input.roi.check()?;
        let chosen = ["roi.x", "roi.y", "roi.width", "roi.height"].iter().any(|key| self.chosen.contains(key));
        Ok(chosen.then_some(self.view.input.roi))
    }
}
