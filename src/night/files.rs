//! A night's JSON files, links, and the exchange of two folders.

use std::fs::{self, File};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::sys::disk;
use crate::sys::memory::spare;
use crate::{Error, ErrorKind, Result};

/// The largest JSON that is read: the frames of a night, a hundred bytes each.
const LARGEST: u64 = 1 << 30;

/// Writes `value` as JSON in place of `path`, atomically.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    // What serde_json finds wrong with the file stays an error of the file.
    disk::replace(path, |file| Ok(serde_json::to_writer_pretty(file, value)?))
}

/// Reads what [`write_json`] wrote; none where there is no file.
///
/// # Errors
/// `Io`; `Format` where it is something else.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("open", path, &error)),
        Ok(found) if found.len() > LARGEST => {
            return Err(Error::format(path, format!("{} bytes, expected at most {LARGEST}", found.len())));
        }
        Ok(_) => {}
    }
    let text = fs::read(path).map_err(|error| Error::io("read", path, &error))?;
    // A frame takes about as many bytes as its line.
    spare(2 * text.len(), "the JSON of a night")?;
    serde_json::from_slice(&text).map(Some).map_err(|error| Error::format(path, error))
}

/// A second name for a file, or a whole copy where there can be none: a system may refuse links to another user's file.
pub(super) fn link_or_copy(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        fs::remove_file(to).map_err(|error| Error::io("remove", to, &error))?;
    }
    if fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    let mut source = File::open(from).map_err(|error| Error::io("open", from, &error))?;
    disk::replace(to, |file| std::io::copy(&mut source, file).map(|_| ()))
}

/// Removes a file; one that is not there is gone already.
pub(super) fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", path, &error)),
        _ => Ok(()),
    }
}

/// Gives two folders each other's name in one system call.
///
/// # Errors
/// `Unsupported` where the file system cannot; `Io`.
pub(super) fn exchange(a: &Path, b: &Path) -> Result<()> {
    disk::exchange(a, b).map_err(|error| match error.raw_os_error() {
        Some(libc::EINVAL | libc::ENOSYS | libc::ENOTSUP) => Error::new(
            ErrorKind::Unsupported,
            format!(
                "the file system of {} cannot exchange two folders at once (renameat2): put the station's folder on ext4, xfs, \
                 btrfs or tmpfs",
                b.display()
            ),
        ),
        _ => Error::io("exchange with the new one", b, &error),
    })
}
