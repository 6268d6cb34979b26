//! What a store keeps and how.

use std::time::Duration;

use crate::data::Encoding;
use crate::error::{Error, Result};

/// The most frames that may wait for the writer; ids of frames that a crash lost are skipped by as many.
pub const MAX_QUEUE_FRAMES: usize = 1 << 16;

/// The most frames a store that keeps novel ones may hold: all their embeddings are in memory and are looked through for each
/// new frame.
pub const MAX_NOVEL_FRAMES: u64 = 1 << 20;

/// Which frames stay when a limit is reached. Labelled frames stay before all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Keep {
    /// Those pushed last.
    Newest = 1,
    /// A uniform sample of all that were pushed.
    Reservoir = 2,
    /// Those that are far from their nearest stored neighbour by the cosine of their embeddings.
    Novel = 3,
}

/// How a store is opened.
#[derive(Debug, Clone, PartialEq)]
pub struct StoreOptions {
    /// Most bytes of encoded images, embeddings and texts; the file is a few per cent larger.
    pub max_bytes: u64,
    /// Most frames.
    pub max_frames: u64,
    /// Unlabelled frames older than this are let go.
    pub max_age: Option<Duration>,
    /// Which stay.
    pub keep: Keep,
    /// How frames are written.
    pub encoding: Encoding,
    /// Most frames that wait for the writer.
    pub queue_frames: usize,
    /// Most bytes of pixels that wait for the writer.
    pub queue_bytes: usize,
    /// Of the reservoir's choice.
    pub seed: u64,
}

impl Default for StoreOptions {
    /// The newest frames within 8 GiB, as PNG, with a queue of 32 frames and 256 MiB.
    fn default() -> Self {
        Self {
            max_bytes: 8 << 30,
            max_frames: u64::MAX,
            max_age: None,
            keep: Keep::Newest,
            encoding: Encoding::Png,
            queue_frames: 32,
            queue_bytes: 256 << 20,
            seed: 0,
        }
    }
}

impl StoreOptions {
    /// Whether every value is within its bounds.
    ///
    /// # Errors
    /// `InvalidArgument` with the name, the value and the bounds.
    pub fn check(&self) -> Result<()> {
        if self.max_bytes == 0 || self.max_frames == 0 {
            return Err(Error::invalid("max_bytes or max_frames is 0, expected room for a frame"));
        }
        if self.queue_frames == 0 || self.queue_frames > MAX_QUEUE_FRAMES {
            let found = self.queue_frames;
            return Err(Error::invalid(format!("queue_frames is {found}, expected 1 to {MAX_QUEUE_FRAMES}")));
        }
        if self.queue_bytes == 0 {
            return Err(Error::invalid("queue_bytes is 0, expected room for a frame"));
        }
        if let Encoding::Jpeg { quality } = self.encoding
            && !(1..=100).contains(&quality)
        {
            return Err(Error::invalid(format!("JPEG quality is {quality}, expected 1 to 100")));
        }
        if self.keep == Keep::Novel && self.max_frames > MAX_NOVEL_FRAMES {
            return Err(Error::invalid(format!(
                "max_frames is {}, expected 1 to {MAX_NOVEL_FRAMES} where the novel are kept: their embeddings stay in memory",
                self.max_frames
            )));
        }
        Ok(())
    }
}
