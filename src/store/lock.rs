//! One writer at a time: an advisory lock on a file beside the store, which the system releases however the process ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};

/// Held as long as it lives. The file stays: removing it would let two writers lock two files of one name.
pub(super) struct WriterLock {
    file: File,
}

impl Drop for WriterLock {
    /// Closing alone would not do: a process that another thread is starting holds the file open until it runs its program.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

impl WriterLock {
    /// Takes the lock of the store at `path`.
    ///
    /// # Errors
    /// `Busy` where another writer has it (says which process), `Io` where the file cannot be made.
    pub fn take(path: &Path) -> Result<Self> {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let place = PathBuf::from(name);
        let failed = |error: std::io::Error| Error::io("lock the store by", &place, &error);
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&place).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Whatever the file says is for a person only; without it the reason stands all the same.
                let _ = Read::by_ref(&mut file).take(20).read_to_string(&mut holder);
                return Err(Error::new(
                    ErrorKind::Busy,
                    format!(
                        "process {} writes to the store {} already; a store has one writer: open it to read",
                        holder.trim(),
                        path.display()
                    ),
                ));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        // For the message above only; on a full disk the lock holds without it.
        let _ = file.rewind().and_then(|()| file.set_len(0)).and_then(|()| write!(file, "{}", std::process::id()));
        Ok(Self { file })
    }
}
