//! One call at a time in a station's folder.

use std::path::Path;

use crate::sys::file_lock::{Attempt, FileLock};
use crate::{Error, ErrorKind, Result};

/// The lock in the file `path`.
///
/// # Errors
/// `Busy` where another call has it, here or in another process; those of [`FileLock::attempt`].
pub(super) fn lock_folder(path: &Path) -> Result<FileLock> {
    match FileLock::attempt(path)? {
        Attempt::Taken(lock) => Ok(lock),
        Attempt::HeldBy(process) => Err(Error::new(
            ErrorKind::Busy,
            format!(
                "a night or a restore is under way in {} already, in process {process}; cancel it or wait for its end",
                path.parent().unwrap_or(path).display()
            ),
        )),
    }
}
