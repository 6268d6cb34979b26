//! Event files that TensorBoard reads: scalars by step.
//!
//! ```text
//! record = length u64 · masked CRC-32C of it · Event · masked CRC-32C of it          mask(c) = rot15(c) + 0xa282ead8
//! ```
//!
//! Each record is one write, so a process that is killed leaves whole records and at most one that is cut, at which TensorBoard
//! stops. Nothing is ever changed: who goes on begins another file in the same folder, which sorts behind the others and starts with
//! a SessionLog, by which TensorBoard drops what earlier files say about that step and later ones.
//!
//! ```
//! use seed::events::EventFile;
//! let folder = tempfile::tempdir().unwrap();
//! let mut events = EventFile::create(folder.path(), 0)?;
//! events.scalars(10, &[("loss", 7.5), ("learning_rate", 0.03)])?;
//! assert!(events.path().starts_with(folder.path()));
//! # Ok::<(), seed::Error>(())
//! ```

mod proto;

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;

use crate::error::{Error, ErrorKind, Result};
use crate::sys::memory_file;
use proto::{Event, START, SessionLog, Summary, Value, What};

/// How the names of event files begin; TensorBoard looks for it.
const PREFIX: &str = "events.out.tfevents.";
/// The format's version; from 2 on a SessionLog drops later steps.
const VERSION: &str = "brain.Event:2";

/// One event file that grows.
#[derive(Debug)]
pub struct EventFile {
    file: File,
    path: PathBuf,
}

impl EventFile {
    /// Begins a file in `folder`, which is made where it is absent. `first_step` is the first that will be written: what earlier
    /// files of the folder say about it and later steps no longer counts.
    ///
    /// # Errors
    /// `InvalidArgument` for a step beyond i64, `Io`.
    pub fn create(folder: &Path, first_step: u64) -> Result<Self> {
        memory_file::on_disk(folder, "event files lie in a folder")?;
        std::fs::create_dir_all(folder).map_err(|error| Error::io("make the folder", folder, &error))?;
        let (file, path) = new_file(folder)?;
        let mut events = Self { file, path };
        events.write(0, What::FileVersion(VERSION.to_owned()))?;
        events.write(signed(first_step)?, What::SessionLog(SessionLog { status: START }))?;
        Ok(events)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes values of one step under their tags; "a/b" is shown in group a. Values are kept as float32.
    ///
    /// # Errors
    /// `InvalidArgument` for a step beyond i64 or an empty tag, `Io`.
    pub fn scalars(&mut self, step: u64, values: &[(&str, f64)]) -> Result<()> {
        if values.iter().any(|(tag, _)| tag.is_empty()) {
            return Err(Error::invalid("a tag is empty, expected a name such as \"loss\""));
        }
        let value = values
            .iter()
            .map(|&(tag, value)| Value { tag: tag.to_owned(), simple_value: Some(value as f32) })
            .collect();
        self.write(signed(step)?, What::Summary(Summary { value }))
    }

    fn write(&mut self, step: i64, what: What) -> Result<()> {
        let event = Event { wall_time: now(), step, what: Some(what) };
        // In one call, so that a record is whole or cut, never mixed with another one.
        self.file.write_all(&record(&event)).map_err(|error| Error::io("write", &self.path, &error))
    }
}

fn record(event: &Event) -> Vec<u8> {
    let content = event.encode_to_vec();
    let length = (content.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(content.len() + 16);
    record.extend(length);
    record.extend(masked(&length).to_le_bytes());
    record.extend(&content);
    record.extend(masked(&content).to_le_bytes());
    record
}

/// TFRecord's checksum: bytes that hold checksums of their own would have poor ones otherwise.
fn masked(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

fn signed(step: u64) -> Result<i64> {
    i64::try_from(step).map_err(|_| Error::invalid(format!("step {step} is too large")))
}

fn now() -> f64 {
    // A clock before 1970 is a machine that was never set; the steps are right all the same.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// A new file whose name sorts behind all others of the folder: TensorBoard reads them in that order.
fn new_file(folder: &Path) -> Result<(File, PathBuf)> {
    let fail = |error: &std::io::Error| Error::io("list", folder, error);
    let mut latest = 0u64;
    for entry in std::fs::read_dir(folder).map_err(|error| fail(&error))? {
        let name = entry.map_err(|error| fail(&error))?.file_name();
        let seconds = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('.').next()?.parse().ok());
        latest = latest.max(seconds.unwrap_or(0));
    }
    let begin = (now() as u64).max(latest.saturating_add(1));
    for seconds in begin..begin.saturating_add(1000) {
        let path = folder.join(format!("{PREFIX}{seconds:010}.seed.{}", std::process::id()));
        match OpenOptions::new().append(true).create_new(true).open(&path) {
            Ok(file) => return Ok((file, path)),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Error::io("make", path, &error)),
        }
    }
    Err(Error::new(ErrorKind::Io, format!("cannot find a name for a new event file in {}", folder.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `tensorboard` itself writes for these events (tests/golden/make_events.py).
    const GOLDEN: &[u8] = include_bytes!("../../tests/golden/events.tfevents");

    #[test]
    fn records_are_tensorboards_to_the_byte() {
        let at = |wall_time, step, what| record(&Event { wall_time, step, what: Some(what) });
        let value = |tag: &str, value| Value { tag: tag.to_owned(), simple_value: Some(value) };
        let mut bytes = at(1.7e9, 0, What::FileVersion(VERSION.to_owned()));
        bytes.extend(at(1.7e9 + 0.5, 11, What::SessionLog(SessionLog { status: START })));
        let both = Summary { value: vec![value("train/loss", 7.25), value("rate", 0.0)] };
        bytes.extend(at(1.7e9 + 1.0, 11, What::Summary(both)));
        bytes.extend(at(1.7e9 + 2.0, 1 << 40, What::Summary(Summary { value: vec![value("τ", -1e-30)] })));
        assert_eq!(bytes, GOLDEN);
    }

    #[test]
    fn later_files_sort_behind_earlier_ones() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(format!("{PREFIX}{:010}.other.1", now() as u64 + 5)), "").unwrap();
        let paths: Vec<PathBuf> =
            (0..3).map(|step| EventFile::create(folder.path(), step).unwrap().path().to_owned()).collect();
        let mut names: Vec<PathBuf> =
            std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        assert_eq!(names[1..], paths);
    }

    #[test]
    fn misuse_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(EventFile::create(&file, 0).unwrap_err().kind(), ErrorKind::Io);
        assert!(EventFile::create(folder.path(), u64::MAX).is_err());
        let mut events = EventFile::create(folder.path(), 0).unwrap();
        assert!(events.scalars(0, &[("", 1.0)]).is_err() && events.scalars(u64::MAX, &[("a", 1.0)]).is_err());
    }
}
