//! Files to be read: regular ones of the disk, and those that are in [memory](super::memory_file).

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::memory::room;
use super::memory_file;
use crate::error::{Error, Result};

/// The open file and its length in bytes.
///
/// # Errors
/// `Io`; `Format` for a folder, a pipe or a device, whose opening or reading might wait for ever.
pub(crate) fn open(path: &Path) -> Result<(File, u64)> {
    let file = match memory_file::name_of(path) {
        Some(name) => memory_file::open(path, name)?,
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

/// Whether a file is there, openable or not.
pub(crate) fn exists(path: &Path) -> bool {
    match memory_file::name_of(path) {
        Some(name) => memory_file::exists(name),
        None => path.is_file(),
    }
}

/// All of its bytes, where they are at most `most`.
///
/// # Errors
/// As [`open`], `Format` where there are more, and `OutOfMemory`.
pub(crate) fn read(path: &Path, most: u64) -> Result<Vec<u8>> {
    let (file, length) = open(path)?;
    if length > most {
        return Err(Error::format(path, format!("it has {length} bytes, expected at most {most}")));
    }
    let mut bytes = room(length as usize, "the content of a file")?;
    // Not what others write behind its end meanwhile, for which there is no room.
    file.take(length).read_to_end(&mut bytes).map_err(|error| Error::io("read", path, &error))?;
    Ok(bytes)
}
