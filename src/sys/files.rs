//! Files to be read: regular ones of the disk, and those that are [held](super::held) in memory.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::held;
use super::memory::room;
use crate::error::{Error, Result};

/// The open file and its length in bytes.
///
/// # Errors
/// `Io`; `Format` for a folder, a pipe or a device, whose opening or reading might wait for ever.
pub(crate) fn open(path: &Path) -> Result<(File, u64)> {
    let file = match held::name_of(path) {
        Some(name) => held::open(path, name)?,
        None => {
            let about = std::fs::metadata(path).map_err(|error| Error::io("open", path, &error))?;
            if !about.is_file() {
                return Err(Error::format(path, "not a regular file"));
            }
            File::open(path).map_err(|error| Error::io("open", path, &error))?
        }
    };
    let length = file.metadata().map_err(|error| Error::io("read", path, &error))?.len();
    Ok((file, length))
}

/// All of its bytes.
///
/// # Errors
/// As [`open`], and `OutOfMemory`.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    let (file, length) = open(path)?;
    let mut bytes = room(usize::try_from(length).unwrap_or(usize::MAX), "the content of a file")?;
    // Not what others write behind its end meanwhile, for which there is no room.
    file.take(length).read_to_end(&mut bytes).map_err(|error| Error::io("read", path, &error))?;
    Ok(bytes)
}
