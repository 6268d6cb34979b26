//! Writing a file so that its name always points to the whole old or the whole new content, also across a power cut:
//! temporary name in the same folder → fsync → rename → fsync of the folder.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

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
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|source| Error::io("sync", folder, &source))
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
}
