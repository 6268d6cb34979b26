//! The [`Range`] of a [`Dataset`]: set by hand, or measured over its images.

use std::sync::Arc;

use rayon::prelude::*;

use super::dataset::Dataset;
use super::input::Input;
use super::lock;
use super::percentiles::percentiles;
use super::range::{Range, RangeKind};
use super::raw::RawFrame;
use crate::error::{Error, ErrorKind, Result};

/// Images that are decoded at once while percentiles are measured.
const CHUNK: usize = 16;

impl Dataset {
    /// From now on the samples of all images, those that are pushed later included, become levels by `range`, whoever asks for them. One of
    /// the kind "dataset" is measured now, over every image that can be read, and becomes a fixed one; gives what holds then. Frames
    /// that were decoded before are forgotten.
    ///
    /// # Errors
    /// Those of [`Range::check`]. Of a measured one: `InvalidArgument` where there is no image, images have different bits or all of their
    /// samples between the percentiles are one number; [`Dataset::nothing_to_read`]; `OutOfMemory`. The data set is as it was then.
    pub fn set_range(&self, range: Range) -> Result<Range> {
        range.check()?;
        let range = if range.kind == RangeKind::Dataset { self.measured(&range)? } else { range };
        *lock(&self.range) = Some(range);
        lock(&self.cache).forget();
        Ok(range)
    }

    /// The range that was set; none where none was, so that whoever reads the images says it.
    pub fn range(&self) -> Option<Range> {
        *lock(&self.range)
    }

    /// How whoever makes images by `input` sees these: by the data set's range where it has one, else by its own.
    ///
    /// # Errors
    /// `InvalidArgument` where that is one of the kind "dataset", which only [`set_range`](Dataset::set_range) measures.
    pub fn seen_by(&self, input: &Input) -> Result<Input> {
        let input = Input { range: self.range().unwrap_or(input.range), ..*input };
        input.range.check_measured()?;
        Ok(input)
    }

    fn measured(&self, range: &Range) -> Result<Range> {
        if self.is_empty() {
            return Err(Error::invalid("the data set is empty, so there are no percentiles; push its images first"));
        }
        let found = percentiles([range.low_percentile, range.high_percentile], |look| {
            let count = self.len();
            for begin in (0..count).step_by(CHUNK) {
                let frames: Vec<Result<Arc<RawFrame>>> =
                    (begin..count.min(begin + CHUNK)).into_par_iter().map(|i| self.load_raw(i)).collect();
                for (i, frame) in frames.into_iter().enumerate() {
                    match frame {
                        Ok(frame) => look(&frame).map_err(|error| error.context(self.title(begin + i)))?,
                        Err(error) if error.kind() == ErrorKind::OutOfMemory => return Err(error),
                        // It stands in the list of broken images.
                        Err(_) => {}
                    }
                }
            }
            Ok(())
        })?;
        let (low, high) = found.ok_or_else(|| self.nothing_to_read())?;
        if low >= high {
            return Err(Error::invalid(format!(
                "the samples at the {}th and the {}th percentile are both {low}: there is nothing between them",
                range.low_percentile, range.high_percentile
            )));
        }
        Ok(Range { kind: RangeKind::Fixed, low, high, ..*range })
    }
}
