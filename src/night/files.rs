//! Files that are whole or absent, their hashes, and the exchange of two folders.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::model::weights::atomic::replace;
use crate::{Error, ErrorKind, Result};

/// The largest JSON that is read: the frames of a night, a hundred bytes each.
const LARGEST: u64 = 1 << 30;

/// SHA-256 in lower-case hexadecimal.
pub(super) fn hash_of(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// SHA-256 of a file.
pub(super) fn hash_of_file(path: &Path) -> Result<String> {
    let mut file = File::open(path).map_err(|error| Error::io("open", path, &error))?;
    let mut hash = Sha256::new();
    std::io::copy(&mut file, &mut hash).map_err(|error| Error::io("read", path, &error))?;
    Ok(hex(&hash.finalize()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes `value` as JSON in place of `path`, atomically.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_vec_pretty(value)
        .map_err(|error| Error::new(ErrorKind::Internal, format!("{} as JSON: {error}", path.display())))?;
    write_whole(path, &text)
}

/// Writes `bytes` in place of `path`, atomically.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, |file| file.write_all(bytes))
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
    serde_json::from_slice(&text).map(Some).map_err(|error| Error::format(path, error))
}

/// Waits until what was done to the names in `folder` is on the disk.
pub(super) fn sync(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|file| file.sync_all()).map_err(|error| Error::io("sync", folder, &error))
}

/// A second name for a file, or a copy where the file system has no links.
pub(super) fn link_or_copy(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        fs::remove_file(to).map_err(|error| Error::io("remove", to, &error))?;
    }
    if fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    fs::copy(from, to).and_then(|_| File::open(to)?.sync_all()).map_err(|error| Error::io("copy to", to, &error))
}

/// Gives two folders each other's name in one system call (renameat2, Linux 3.15).
///
/// # Errors
/// `Unsupported` where the file system cannot; `Io`.
pub(super) fn exchange(a: &Path, b: &Path) -> Result<()> {
    let name = |path: &Path| {
        CString::new(path.as_os_str().as_encoded_bytes())
            .map_err(|_| Error::invalid(format!("{} holds a NUL byte", path.display())))
    };
    let (from, to) = (name(a)?, name(b)?);
    // SAFETY: both names are NUL-terminated and live through the call.
    let result =
        unsafe { libc::renameat2(libc::AT_FDCWD, from.as_ptr(), libc::AT_FDCWD, to.as_ptr(), libc::RENAME_EXCHANGE) };
    if result == 0 {
        return Ok(());
    }
    let error = std::io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EINVAL | libc::ENOSYS | libc::ENOTSUP) => Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "the file system of {} cannot exchange two folders at once (renameat2): put the station's folder on ext4, xfs, \
                 btrfs or tmpfs",
                b.display()
            ),
        )),
        _ => Err(Error::io("exchange with the new one", b, &error)),
    }
}
