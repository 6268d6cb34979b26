//! Files in the memory of this process: `memory://NAME`.
//!
//! For models that come encrypted or from a database. [`put`] makes such a file, and everything that takes the path of one file takes its
//! name: opening reads it, saving makes one, whose bytes [`get`] gives. It is an anonymous file of the system (memfd_create, Linux 3.17;
//! reading needs /proc), so it is read, mapped and checked like any other. It never changes: a name can get another file, or be removed, and whoever
//! has the old one open keeps it.
//!
//! What is a folder or is written in place (checkpoints, stores, nights, banks while they are filled) lies on a disk: [`on_disk`].

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, FromRawFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, ErrorKind, Result};

/// How the names begin.
pub(crate) const SCHEME: &str = "memory://";

static FILES: Mutex<BTreeMap<String, Arc<File>>> = Mutex::new(BTreeMap::new());

fn files() -> MutexGuard<'static, BTreeMap<String, Arc<File>>> {
    // Nothing panics while it holds the lock, and no entry is ever half there.
    FILES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The name in `path`, where it is one of memory.
pub(crate) fn name_of(path: &Path) -> Option<&str> {
    path.to_str()?.strip_prefix(SCHEME)
}

/// Whether there is a file called `name`.
pub(super) fn exists(name: &str) -> bool {
    files().contains_key(name)
}

/// Refuses a name of memory where `what` must lie on a disk.
pub(crate) fn on_disk(path: &Path, what: &str) -> Result<()> {
    match name_of(path) {
        None => Ok(()),
        Some(_) => {
            Err(Error::invalid(format!("{} is a file in memory, but {what}; give a path of the disk", path.display())))
        }
    }
}

/// Makes a file of a copy of `bytes`, in place of what the name in `path` meant before.
///
/// # Errors
/// `InvalidArgument` where `path` is no `memory://NAME`, `OutOfMemory`, `Io` where the system gives no descriptor.
pub(crate) fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    let name = required(path)?;
    replace(path, name, |mut file, _| {
        file.write_all(bytes).map_err(|error| match error.kind() {
            // What a disk says when it is full.
            std::io::ErrorKind::StorageFull => {
                Error::new(ErrorKind::OutOfMemory, format!("no memory for {} bytes of {}", bytes.len(), path.display()))
            }
            _ => Error::io("write", path, &error),
        })
    })
}

/// The content behind the name in `path`, which later [`put`]s do not change, and its length in bytes.
///
/// # Errors
/// `InvalidArgument` where `path` is no `memory://NAME`, `Io` where there is no such file.
pub(crate) fn get(path: &Path) -> Result<(Arc<File>, usize)> {
    let file = file(path, required(path)?)?;
    let length = file.metadata().map_err(|error| Error::io("read", path, &error))?.len();
    let length = usize::try_from(length).map_err(|_| Error::format(path, "it is too large for this machine"))?;
    Ok((file, length))
}

/// Forgets the name. Its memory is given back when nobody has the file open any more.
///
/// # Errors
/// As [`get`].
pub(crate) fn remove(path: &Path) -> Result<()> {
    let removed = files().remove(required(path)?);
    removed.map(drop).ok_or_else(|| absent(path))
}

/// Opens the file called `name` to be read from its beginning.
pub(super) fn open(path: &Path, name: &str) -> Result<File> {
    // A descriptor of its own, since copies of one share their place in the file.
    File::open(link(&*file(path, name)?)).map_err(|error| Error::io("open", path, &error))
}

/// Lets `make` write a file, which it is given open and by a path of the system, then puts it behind `name`. On any failure what was
/// there stays.
pub(super) fn replace(path: &Path, name: &str, make: impl FnOnce(File, &Path) -> Result<()>) -> Result<()> {
    if name.is_empty() {
        return Err(nameless(path));
    }
    let file = create().map_err(|error| Error::io("create", path, &error))?;
    make(file.try_clone().map_err(|error| Error::io("write", path, &error))?, &link(&file))?;
    seal(&file).map_err(|error| Error::io("seal", path, &error))?;
    let before = files().insert(name.to_owned(), Arc::new(file));
    drop(before); // not under the lock: the last one gives its memory back
    Ok(())
}

/// An anonymous file that nobody can run. Kernels before 6.3 do not know the flag for that.
fn create() -> std::io::Result<File> {
    let create = |flags: libc::c_uint| {
        // SAFETY: a NUL-terminated name, which only shows in /proc; the descriptor is checked and then ours.
        unsafe {
            match libc::memfd_create(c"libseed".as_ptr(), flags | libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) {
                -1 => Err(std::io::Error::last_os_error()),
                descriptor => Ok(File::from_raw_fd(descriptor)),
            }
        }
    };
    match create(libc::MFD_NOEXEC_SEAL) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => create(0),
        result => result,
    }
}

/// From now on nobody can change the file, not even another process of this user, which can open it through /proc.
fn seal(file: &File) -> std::io::Result<()> {
    let seals = libc::F_SEAL_WRITE | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
    // SAFETY: an open descriptor of our own, and no pointers.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) } {
        -1 => Err(std::io::Error::last_os_error()),
        _ => Ok(()),
    }
}

fn link(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

fn file(path: &Path, name: &str) -> Result<Arc<File>> {
    files().get(name).cloned().ok_or_else(|| absent(path))
}

fn required(path: &Path) -> Result<&str> {
    name_of(path).filter(|name| !name.is_empty()).ok_or_else(|| nameless(path))
}

fn nameless(path: &Path) -> Error {
    Error::invalid(format!("\"{}\" is not a valid name of a file in memory; expected memory://NAME", path.display()))
}

fn absent(path: &Path) -> Error {
    Error::new(ErrorKind::Io, format!("there is no file in memory called {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;
    use crate::sys::{disk, files};

    fn bytes(path: &Path) -> Vec<u8> {
        let (file, length) = get(path).unwrap();
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    #[test]
    fn what_is_put_is_read_and_what_is_written_is_got() {
        let path = Path::new("memory://test/a");
        put(path, b"first").unwrap();
        let (mut reader, length) = files::open(path).unwrap();
        let mut again = files::open(path).unwrap().0;
        disk::write_whole(path, b"second").unwrap();
        // Who has opened it keeps what was there, each at a place of its own.
        for file in [&mut reader, &mut again] {
            let mut text = String::new();
            std::io::Read::read_to_string(file, &mut text).unwrap();
            assert_eq!((text.as_str(), length), ("first", 5));
        }
        assert_eq!((bytes(path), files::read(path, 6).unwrap()), (b"second".to_vec(), b"second".to_vec()));
        assert_eq!(files::read(path, 5).unwrap_err().kind(), ErrorKind::Format);
        // Nobody changes it, by whatever way.
        let way = link(&get(path).unwrap().0);
        let written = std::fs::OpenOptions::new().write(true).open(way).and_then(|mut file| file.write_all(b"third"));
        assert!(written.is_err());
        remove(path).unwrap();
        assert!(!Path::new("memory:").exists());
        for error in [remove(path).unwrap_err(), files::open(path).unwrap_err(), get(path).unwrap_err()] {
            assert_eq!(error.kind(), ErrorKind::Io);
            assert!(error.message().contains("memory://test/a"), "{error}");
        }
    }

    #[test]
    fn a_failed_write_leaves_what_was_there() {
        let path = Path::new("memory://test/failed");
        put(path, b"whole").unwrap();
        let failed = disk::replace_checked(path, |mut file, place| {
            file.write_all(b"half").unwrap();
            assert_eq!(std::fs::read(place).unwrap(), b"half");
            assert!(std::fs::read_link(place).unwrap().to_string_lossy().contains("memfd"));
            Err(Error::invalid("enough"))
        });
        assert!(failed.is_err());
        assert_eq!(bytes(path), b"whole");
        remove(path).unwrap();
    }

    #[test]
    fn other_names_and_folders_are_refused() {
        for path in ["memory://", "memory:/x", "memory:x", "model.safetensors", ""] {
            assert_eq!(put(Path::new(path), b"x").unwrap_err().kind(), ErrorKind::InvalidArgument, "{path}");
        }
        assert_eq!(disk::write_whole(Path::new("memory://"), b"x").unwrap_err().kind(), ErrorKind::InvalidArgument);
        on_disk(Path::new("memory"), "a store is").unwrap();
        let error = on_disk(Path::new("memory://x"), "a checkpoint is a folder").unwrap_err();
        assert!(error.message().contains("a checkpoint is a folder; give a path of the disk"), "{error}");
    }
}
