//! One call at a time in a station's folder, by an advisory lock that the system releases however the process ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use crate::{Error, ErrorKind, Result};

/// Held as long as it lives. The file stays: removing it would let two calls lock two files of one name.
pub(super) struct Lock(File);

impl Drop for Lock {
    /// Closing alone would not do: a process that another thread is starting holds the file open until it runs its program.
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

impl Lock {
    /// Takes the lock in the file `path`.
    ///
    /// # Errors
    /// `Busy` where another call has it, here or in another process; `Io` where the file cannot be made.
    pub fn take(path: &Path) -> Result<Self> {
        let failed = |error: std::io::Error| Error::io("lock the folder by", path, &error);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(Error::new(
                ErrorKind::Busy,
                format!(
                    "a night or a restore is under way in {} already; cancel it or wait for its end",
                    path.parent().unwrap_or(path).display()
                ),
            )),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }
}
