//! Decoded frames of files, and frames whose samples a range has made levels, kept while a byte budget lasts.
//!
//! Nothing is thrown out for something newer: an epoch visits every image once in random order, so an older frame is as
//! likely to be needed as a newer one.

use std::collections::BTreeMap;

use super::range::Key;
use super::scale::ScaledFrame;
use super::stored::Stored;

/// Decoded frames of files are kept up to this many bytes: 5,461 frames of 256×256 in colour.
pub const DEFAULT_CACHE_BYTES: usize = 1 << 30;

/// The number of an image, the scale that was asked for, and the range by which its samples became levels.
pub(super) type Place = (usize, u32, Key);

/// The frames of one data set.
pub(super) struct Cache {
    frames: BTreeMap<Place, ScaledFrame>,
    /// What each image's file was found to be, so that a cached frame needs no look into the file.
    files: BTreeMap<usize, Stored>,
    bytes: usize,
    budget: usize,
    /// How often all was forgotten: what was begun before is not kept afterwards.
    pub age: u64,
}

impl Default for Cache {
    fn default() -> Self {
        Self { frames: BTreeMap::new(), files: BTreeMap::new(), bytes: 0, budget: DEFAULT_CACHE_BYTES, age: 0 }
    }
}

impl Cache {
    /// What the file of image `i` was found to be.
    pub fn file(&self, i: usize) -> Option<Stored> {
        self.files.get(&i).copied()
    }

    /// The file of image `i` is `stored`, found when the cache had this `age`.
    pub fn learn(&mut self, age: u64, i: usize, stored: Stored) {
        if age == self.age {
            self.files.insert(i, stored);
        }
    }

    /// The frame of an image, scale and range, where it was kept.
    pub fn frame(&self, key: Place) -> Option<ScaledFrame> {
        self.frames.get(&key).cloned()
    }

    /// Keeps a frame, made when the cache had this `age`, while the budget lasts.
    pub fn keep(&mut self, age: u64, key: Place, frame: &ScaledFrame) {
        let bytes = frame.frame.pixels().len();
        if age != self.age {
            return;
        }
        if bytes <= self.budget.saturating_sub(self.bytes) && self.frames.insert(key, frame.clone()).is_none() {
            self.bytes += bytes;
        }
    }

    /// Drops all frames, and what is known of files.
    pub fn forget(&mut self) {
        self.frames.clear();
        self.files.clear();
        self.bytes = 0;
        self.age += 1;
    }

    /// Sets the budget in bytes; frames above it are dropped at once.
    pub fn limit(&mut self, bytes: usize) {
        self.budget = bytes;
        while self.bytes > self.budget {
            let Some((_, frame)) = self.frames.pop_last() else { break };
            self.bytes -= frame.frame.pixels().len();
        }
    }
}
