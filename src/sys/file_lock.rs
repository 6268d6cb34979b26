//! One at a time, across processes: an advisory lock on a file, which the system releases however the process ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use crate::error::{Error, Result};

/// Held as long as it lives. The file stays: removing it would let two holders lock two files of one name.
pub(crate) struct FileLock(File);

/// What came of an attempt.
pub(crate) enum Attempt {
    /// Nobody else has it.
    Taken(FileLock),
    /// Another has it, in the process of this number as the file says it.
    HeldBy(String),
}

impl Drop for FileLock {
    /// Closing alone would not do: a process that another thread is starting holds the file open until it runs its program.
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

impl FileLock {
    /// Tries to take the lock in the file `path`, which is made where there is none.
    ///
    /// # Errors
    /// `Io` where the file cannot be made or its file system has no locks.
    pub fn attempt(path: &Path) -> Result<Attempt> {
        let failed = |error: std::io::Error| Error::io("lock", path, &error);
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Whatever the file says is for a person only; without it the lock is held all the same.
                let _ = Read::by_ref(&mut file).take(20).read_to_string(&mut holder);
                return Ok(Attempt::HeldBy(holder.trim().to_owned()));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        // For others' messages only; on a full disk the lock holds without it.
        let _ = file.rewind().and_then(|()| file.set_len(0)).and_then(|()| write!(file, "{}", std::process::id()));
        Ok(Attempt::Taken(Self(file)))
    }
}
