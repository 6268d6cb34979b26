//! Files and folders that are whole or absent, also across a power cut, and their hashes.
//!
//! A file's name always points to the whole old or the whole new content: temporary name in the same folder → fsync → rename →
//! fsync of the folder. Folders change places in one system call.

use std::ffi::{CString, OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// Lets `fill` write the content, then puts it in place of `path`. On any failure `path` is untouched and the temporary
/// file is removed.
pub(crate) fn replace(path: &Path, fill: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>) -> Result<()> {
    replace_checked(path, |file, _| {
        let mut writer = BufWriter::with_capacity(1 << 14, file);
        fill(&mut writer).and_then(|()| writer.flush()).map_err(|source| Error::io("write", path, &source))
    })
}

/// As [`replace`], for content that is written and looked at under the temporary name that `make` is given together with the
/// open file.
pub(crate) fn replace_checked(path: &Path, make: impl FnOnce(File, &Path) -> Result<()>) -> Result<()> {
    let name = path.file_name().ok_or_else(|| Error::invalid(format!("{} does not name a file", path.display())))?;
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let (temporary, file) = create(folder, name)?;
    make(file, &temporary.0)?;
    // Whoever wrote through the name has closed its own handle; syncing any handle syncs the file.
    File::open(&temporary.0).and_then(|file| file.sync_all()).map_err(|source| Error::io("write", path, &source))?;
    std::fs::rename(&temporary.0, path).map_err(|source| Error::io("rename into place", path, &source))?;
    // Without this the rename itself may be lost in a power cut.
    sync(folder)
}

/// Writes `bytes` in place of `path`, as [`replace`].
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, |file| file.write_all(bytes))
}

/// Waits until what was done to the names in `folder` is on the disk.
pub(crate) fn sync(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|file| file.sync_all()).map_err(|error| Error::io("sync", folder, &error))
}

/// Gives two files or folders each other's name in one system call (renameat2, Linux 3.15), which not every file system can:
/// the system's own error then.
pub(crate) fn exchange(a: &Path, b: &Path) -> std::io::Result<()> {
    let name = |path: &Path| CString::new(path.as_os_str().as_encoded_bytes());
    let (from, to) = (name(a)?, name(b)?);
    // SAFETY: both names are NUL-terminated and live through the call.
    let result =
        unsafe { libc::renameat2(libc::AT_FDCWD, from.as_ptr(), libc::AT_FDCWD, to.as_ptr(), libc::RENAME_EXCHANGE) };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// Bytes of a file, and their SHA-256 in lower-case hexadecimal.
pub(crate) fn hash_of_file(path: &Path) -> Result<(u64, String)> {
    let mut file = File::open(path).map_err(|error| Error::io("open", path, &error))?;
    let mut hash = Sha256::new();
    let bytes = std::io::copy(&mut file, &mut hash).map_err(|error| Error::io("read", path, &error))?;
    Ok((bytes, hexadecimal(&hash.finalize())))
}

/// SHA-256 in lower-case hexadecimal.
pub(crate) fn hash_of(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// Two lower-case digits a byte.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A new file in `folder`. The process and a counter make its name unique among all writers of the folder; `create_new`
/// refuses the leftover of a process that was killed, which in a container may have had this one's number.
fn create(folder: &Path, name: &OsStr) -> Result<(Temporary, File)> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    loop {
        let mut temporary_name = OsString::from(".");
        temporary_name.push(name);
        temporary_name.push(format!(".{}-{}.tmp", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed)));
        let path = folder.join(temporary_name);
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((Temporary(path), file)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Error::io("create", &path, &error)),
        }
    }
}

/// Removes the file when dropped; after the rename nothing is there to remove.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leftovers_of_a_killed_process_of_the_same_number_are_no_hindrance() {
        let folder = tempfile::tempdir().unwrap();
        // More than the other tests of this process can have counted.
        for number in 0..500 {
            std::fs::write(folder.path().join(format!(".x.{}-{number}.tmp", std::process::id())), "half").unwrap();
        }
        let path = folder.path().join("x");
        replace(&path, |writer| writer.write_all(b"whole")).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"whole");
    }

    #[test]
    fn a_failed_write_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("taken");
        std::fs::create_dir(&target).unwrap();
        std::fs::write(target.join("inside"), "").unwrap();
        assert!(write_whole(&target, b"report").is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(write_whole(Path::new("/"), b"report").is_err());
    }
}
