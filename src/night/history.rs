//! `history.jsonl`: one line of JSON for each night that was done.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::folder::Folder;
use crate::eval::Interval;
use crate::sys::disk::write_whole;
use crate::{Error, ErrorKind, Result};

/// A night that was done. What could not be measured is null.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// From 1 on.
    pub night: u64,
    /// When it was done: "2026-01-31T04:12:09Z".
    pub ended: String,
    /// Seconds from its beginning to its end, interruptions included.
    pub seconds: f64,
    /// Whether its student went live.
    pub live: bool,
    /// Why it did not; empty where it did.
    pub reason: String,
    /// "session and files", "files", or "none".
    pub swapped: String,
    /// Whether its frames count as seen. They do not where the machine was too busy to compare the students: the next night has
    /// them as new ones again.
    #[serde(default = "yes")]
    pub frames_seen: bool,
    /// New frames in the store.
    pub new_frames: u64,
    /// Frames that were distilled on, older ones included.
    pub learned_frames: u64,
    /// How many of these are older.
    pub older_frames: u64,
    /// Labelled frames that a classifier was fitted to.
    pub labelled_frames: u64,
    /// Held-out frames that the students were compared on.
    pub compared_frames: u64,
    /// Labelled frames that were judged.
    pub reference_frames: u64,
    /// Rows of an earlier night's queue that the distillation began with; 0: none, it was filled as that of any run.
    #[serde(default)]
    pub queue_rows: u64,
    /// Why an earlier night's queue was not taken; empty where it was or there was none.
    #[serde(default)]
    pub queue_left_out: String,
    /// Loss of the distillation at its end.
    pub loss: Option<f64>,
    /// KL to the teacher on the held-out frames.
    pub kl: Option<Pair>,
    /// Overlap of the nearest neighbours with the teacher's.
    pub overlap: Option<Pair>,
    /// Cosine to the teacher's embedding.
    pub cosine: Option<Pair>,
    /// Balanced recall of kNN on the reference.
    pub knn_recall: Option<Values>,
    /// Balanced recall of the classifiers on the reference; the old one's is null where it knows other classes.
    pub classifier_recall: Option<OldNew>,
    /// The balanced recall of answers that know nothing, on the reference.
    #[serde(default)]
    pub chance: Option<f64>,
    /// Why the night's classifier did not go live with its student; empty where it did or there was none.
    #[serde(default)]
    pub classifier_left_out: String,
    /// Median milliseconds of one frame.
    pub latency_ms: Option<Values>,
}

fn yes() -> bool {
    true
}

/// A figure of the student that was live and of the new one, with 95 % intervals.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// Of the student that was live.
    pub old: Interval,
    /// Of the new one.
    pub new: Interval,
}

/// The same without intervals.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Values {
    /// Of the student that was live.
    pub old: f64,
    /// Of the new one.
    pub new: f64,
}

/// The same where either may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct OldNew {
    /// Of the classifier that was live.
    pub old: Option<f64>,
    /// Of the new one.
    pub new: Option<f64>,
}

/// Reads all nights; a folder without a history has none. A line that is no night's, of a person's hand say, is passed over.
pub(super) fn read(folder: &Folder) -> Result<Vec<Line>> {
    Ok(text(folder)?.lines().filter_map(parse).collect())
}

fn text(folder: &Folder) -> Result<String> {
    let path = folder.history();
    match std::fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        text => text
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .map_err(|error| Error::io("read", &path, &error)),
    }
}

fn parse(line: &str) -> Option<Line> {
    serde_json::from_str(line).ok()
}

/// Adds a night, in place of what may be there of the same one. The file is whole at every moment.
pub(super) fn add(folder: &Folder, line: &Line) -> Result<Vec<Line>> {
    let earlier = text(folder)?;
    let kept = earlier.lines().filter(|text| parse(text).is_none_or(|known| known.night < line.night));
    let own = serde_json::to_string(line)
        .map_err(|error| Error::new(ErrorKind::Internal, format!("the history: {error}")))?;
    let lines: Vec<&str> = kept.chain([own.as_str()]).collect();
    write_whole(&folder.history(), (lines.join("\n") + "\n").as_bytes())?;
    Ok(lines.into_iter().filter_map(parse).collect())
}

/// The last night that was done in the folder `path`.
///
/// # Errors
/// `Io`.
pub fn last(path: &Path) -> Result<Option<Line>> {
    Ok(read(&Folder::known(path))?.pop())
}

/// Microseconds since 1970.
pub(super) fn now_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64)
}

/// As RFC 3339 in UTC, to the second.
pub(super) fn date(us: i64) -> String {
    let seconds: libc::time_t = us.div_euclid(1_000_000);
    // SAFETY: all-zero is a sound tm, and gmtime_r writes nothing else.
    let parts = unsafe {
        let mut parts: libc::tm = std::mem::zeroed();
        libc::gmtime_r(&seconds, &mut parts);
        parts
    };
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        parts.tm_year + 1900,
        parts.tm_mon + 1,
        parts.tm_mday,
        parts.tm_hour,
        parts.tm_min,
        parts.tm_sec
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_date_1() {
        // date -u -d @1769832729 +%FT%TZ
        assert_eq!(date(1_769_832_729_999_999), "2026-01-31T04:12:09Z");
        assert_eq!(date(0), "1970-01-01T00:00:00Z");
    }
}
