//! One writer at a time.

use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::sys::file_lock::{Attempt, FileLock};

/// The lock of the store at `path`, on a file beside it.
///
/// # Errors
/// `Busy` where another writer has it (says which process); those of [`FileLock::attempt`].
pub(super) fn lock_writer(path: &Path) -> Result<FileLock> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    match FileLock::attempt(&PathBuf::from(name))? {
        Attempt::Taken(lock) => Ok(lock),
        Attempt::HeldBy(process) => Err(Error::new(
            ErrorKind::Busy,
            format!(
                "process {process} writes to the store {} already; a store has one writer: open it to read",
                path.display()
            ),
        )),
    }
}
