//! Files and folders that are whole or absent, also across a power cut.
//!
//! A file's name always points to the whole old or the whole new content: temporary name in the same folder → fsync → rename →
//! fsync of the folder. Folders change places in one system call.
//!
//! Where a name is a symbolic link, what it points to is replaced and the link stays. The new file has mode and owner of the one that
//! it replaces; what is no regular file (a folder, a device, a pipe, a socket) is refused by name. Names of [files in memory](memory_file) leave the file there.

use std::ffi::{CString, OsStr, OsString};
use std::fs::{File, FileType, Metadata, OpenOptions, Permissions};
use std::io::{BufWriter, ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::memory_file;
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
    if let Some(name) = memory_file::name_of(path) {
        return memory_file::replace(path, name, make);
    }
    let path = &resolved(path)?;
    let name = path.file_name().ok_or_else(|| Error::invalid(format!("{} does not name a file", path.display())))?;
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let old = match std::fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => Some(found),
        Ok(found) => return Err(no_file(path, found.file_type())),
        // What is wrong with the folder shows when a file is made there.
        Err(_) => None,
    };
    let (temporary, file) = create(folder, name, old.is_some())?;
    make(file, &temporary.0)?;
    // Whoever wrote through the name has closed its own handle; syncing any handle syncs the file.
    let failed = |source| Error::io("write", path, &source);
    let file = File::open(&temporary.0).map_err(failed)?;
    if let Some(old) = old {
        keep_owner_and_mode(&file, &old).map_err(failed)?;
    }
    file.sync_all().map_err(failed)?;
    drop(file);
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

/// Where `path` leads when all symbolic links at its end are followed, whether anything is there or not.
///
/// # Errors
/// `Io` where a link cannot be read, or links lead in a circle.
pub(crate) fn resolved(path: &Path) -> Result<PathBuf> {
    let mut place = path.to_owned();
    for _ in 0..MOST_LINKS {
        match std::fs::symlink_metadata(&place) {
            Ok(found) if found.file_type().is_symlink() => {
                let target = std::fs::read_link(&place).map_err(|error| Error::io("read the link", &place, &error))?;
                // A relative target is seen from the link's folder; an absolute one replaces it.
                place = place.parent().unwrap_or(Path::new("")).join(target);
            }
            _ => return Ok(place),
        }
    }
    Err(Error::io("write", path, &std::io::Error::from_raw_os_error(libc::ELOOP)))
}

/// As many as Linux follows.
const MOST_LINKS: usize = 40;

fn no_file(path: &Path, kind: FileType) -> Error {
    let what = match kind {
        kind if kind.is_dir() => "a folder",
        kind if kind.is_char_device() || kind.is_block_device() => "a device",
        kind if kind.is_fifo() => "a pipe",
        kind if kind.is_socket() => "a socket",
        _ => "no file",
    };
    let reason = format!("cannot write {}: it is {what}, expected a regular file or a free name", path.display());
    Error::new(crate::ErrorKind::Io, reason)
}

/// Gives `new`, a file or folder, the owner and the permissions of `old`. Only root may give files away: without that right the new
/// one belongs to this process, and where it has another group, that gets none of the old one's rights.
pub(crate) fn keep_owner_and_mode(new: &File, old: &Metadata) -> std::io::Result<()> {
    let now = new.metadata()?;
    let give = |user: libc::uid_t, group: libc::gid_t| {
        // SAFETY: an open descriptor of our own.
        unsafe { libc::fchown(new.as_raw_fd(), user, group) == 0 }
    };
    const SAME: u32 = u32::MAX;
    if now.gid() != old.gid() {
        give(SAME, old.gid());
    }
    if now.uid() != old.uid() {
        give(old.uid(), SAME);
    }
    let same_group = new.metadata()?.gid() == old.gid();
    let mode = old.mode() & if same_group { 0o777 } else { 0o707 };
    new.set_permissions(Permissions::from_mode(mode))
}

/// A new file in `folder`, for this user alone where it is `private`. The process and a counter make its name unique among all
/// writers of the folder; `create_new` refuses the leftover of a process that was killed, which in a container may have had this
/// one's number.
fn create(folder: &Path, name: &OsStr, private: bool) -> Result<(Temporary, File)> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    loop {
        let mut temporary_name = OsString::from(".");
        temporary_name.push(name);
        temporary_name.push(format!(".{}-{}.tmp", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed)));
        let path = folder.join(temporary_name);
        let mode = if private { 0o600 } else { 0o666 };
        match OpenOptions::new().write(true).create_new(true).mode(mode).open(&path) {
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

    #[test]
    fn links_stay_and_what_they_point_to_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        std::fs::create_dir(place("data")).unwrap();
        std::fs::write(place("data/model"), "old").unwrap();
        let link = |target: &str, name: &str| std::os::unix::fs::symlink(target, place(name)).unwrap();
        link("data/model", "first");
        link("first", "second");
        link("data/not yet", "dangling");
        link("circle", "circle");
        for name in ["second", "dangling"] {
            write_whole(&place(name), name.as_bytes()).unwrap();
            assert!(std::fs::symlink_metadata(place(name)).unwrap().file_type().is_symlink());
        }
        assert_eq!(std::fs::read(place("data/model")).unwrap(), b"second");
        assert_eq!(std::fs::read(place("data/not yet")).unwrap(), b"dangling");
        let error = write_whole(&place("circle"), b"").unwrap_err();
        assert!(error.kind() == crate::ErrorKind::Io && error.message().contains("circle"), "{error}");
        assert_eq!(std::fs::read_dir(place("data")).unwrap().count(), 2, "no draft is left");
    }

    #[test]
    fn a_file_keeps_its_mode_and_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        for mode in [0o664, 0o600, 0o444, 0o750] {
            std::fs::write(&path, "old").unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            write_whole(&path, b"new").unwrap();
            assert_eq!(
                (std::fs::metadata(&path).unwrap().mode() & 0o7777, std::fs::read(&path).unwrap()),
                (mode, b"new".to_vec())
            );
            std::fs::remove_file(&path).unwrap();
        }
        // Only root may make a file of somebody else's.
        std::fs::write(&path, "old").unwrap();
        if std::os::unix::fs::chown(&path, Some(12_345), Some(23_456)).is_ok() {
            std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
            write_whole(&path, b"new").unwrap();
            let found = std::fs::metadata(&path).unwrap();
            assert_eq!((found.uid(), found.gid(), found.mode() & 0o7777), (12_345, 23_456, 0o640));
        }
    }

    #[test]
    fn what_is_no_regular_file_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let name = CString::new(pipe.as_os_str().as_encoded_bytes()).unwrap();
        // SAFETY: the name is NUL-terminated and lives through the call.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/dev/null", &link).unwrap();
        let null = Path::new("/dev/null");
        for (path, what) in [
            (&*pipe, "a pipe"),
            (&socket, "a socket"),
            (folder.path(), "a folder"),
            (null, "a device"),
            (&link, "a device"),
        ] {
            let error = write_whole(path, b"model").unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Io);
            assert!(error.message().contains(&format!("it is {what}")), "{error}");
        }
        assert!(std::fs::metadata(null).unwrap().file_type().is_char_device());
        assert!(std::fs::symlink_metadata(&link).unwrap().file_type().is_symlink());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3, "no draft is left");
    }
}
