//! What a store has done and holds.

use std::path::PathBuf;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Store;
use crate::error::Result;

/// What a store has done since it was opened, and holds now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoreStats {
    /// Frames that were offered: the sum of the next five and of those that wait.
    pub pushed: u64,
    /// Written, some of which may have gone since.
    pub stored: u64,
    /// Found no room in the queue in time.
    pub dropped: u64,
    /// Not chosen by the reservoir or as novel.
    pub passed_over: u64,
    /// Could not be encoded or written; the log says why.
    pub failed: u64,
    /// Have made room for others or were too old.
    pub evicted: u64,
    /// Wait for the writer.
    pub queue_frames: u64,
    /// Bytes of pixels that wait.
    pub queue_bytes: u64,
    /// In the store.
    pub frames: u64,
    /// What they count for against `max_bytes`.
    pub bytes: u64,
    /// Of the file and its write-ahead log.
    pub file_bytes: u64,
    /// What keeps the writer from storing at the moment, a full disk say.
    pub trouble: Option<String>,
}

impl Store {
    /// What was done and what is there.
    ///
    /// # Errors
    /// `Io` or `Format` from the file, for a store that only reads.
    pub fn stats(&self) -> Result<StoreStats> {
        let file_bytes = ["", "-wal"].iter().map(|end| {
            let mut name = self.path().as_os_str().to_owned();
            name.push(end);
            std::fs::metadata(PathBuf::from(name)).map_or(0, |found| found.len())
        });
        let file_bytes = file_bytes.sum();
        let Ok(writing) = self.writing() else {
            let (frames, bytes) = self.reader.totals()?;
            return Ok(StoreStats { frames, bytes, file_bytes, ..StoreStats::default() });
        };
        let counters = &writing.counters;
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (queue_frames, queue_bytes, _) = writing.queue.depth();
        Ok(StoreStats {
            pushed: of(&writing.pushed),
            stored: of(&counters.stored),
            dropped: of(&counters.dropped),
            passed_over: of(&counters.passed_over),
            failed: of(&counters.failed),
            evicted: of(&counters.evicted),
            queue_frames: queue_frames as u64,
            queue_bytes: queue_bytes as u64,
            frames: of(&counters.frames),
            bytes: of(&counters.bytes),
            file_bytes,
            trouble: counters.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        })
    }
}
