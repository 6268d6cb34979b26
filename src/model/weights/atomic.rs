//! Writing a file so that its name always points to the whole old or the whole new content, also across a power cut:
//! temporary name in the same folder → fsync → rename → fsync of the folder.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};

/// Lets `fill` write the content, then puts it in place of `path`. On any failure `path` is untouched and the temporary
/// file is removed.
pub(crate) fn replace(path: &Path, fill: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>) -> Result<()> {
    replace_checked(path, |file, _| {
        let mut writer = BufWriter::with_capacity(1 << 20, file);
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
    // The process and a counter make the name unique among all writers of this folder; create_new refuses a leftover.
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let mut temporary_name = std::ffi::OsString::from(".");
    temporary_name.push(name);
    temporary_name.push(format!(".{}-{}.tmp", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed)));
    let temporary = Temporary(folder.join(temporary_name));

    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&temporary.0)
        .map_err(|source| Error::io("create", &temporary.0, &source))?;
    make(file, &temporary.0)?;
    // Whoever wrote through the name has closed its own handle; syncing any handle syncs the file.
    File::open(&temporary.0).and_then(|file| file.sync_all()).map_err(|source| Error::io("write", path, &source))?;
    std::fs::rename(&temporary.0, path).map_err(|source| Error::io("rename into place", path, &source))?;
    // Without this the rename itself may be lost in a power cut.
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|source| Error::io("sync", folder, &source))
}

/// Removes the file when dropped; after the rename nothing is there to remove.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
