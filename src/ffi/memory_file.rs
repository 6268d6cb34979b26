//! Files in memory, for models that do not come from a disk.

use std::ffi::c_char;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::slice;

use super::border::catch;
use super::error::seed_error;
use super::pointers::{answer_size, array, text};
use crate::Error;
use crate::sys::memory_file;

/// Copies `length` bytes into an in-memory file named `path` ("memory://NAME"). Any function that opens or saves one file accepts such a
/// name: use it for models that come encrypted or from a database. Saving to such a name makes a file, whose bytes
/// seed_memory_file_get gives. An existing file of that name is replaced; open readers keep the old content. The file belongs to the process and
/// lies on no disk, except for what the system swaps out. Checkpoints, stores, nights, folders and lists of images, event files and banks that are
/// being filled lie on a disk and refuse such a name with SEED_ERROR_INVALID_ARGUMENT. May be called from several threads at once.
///
/// Errors: SEED_ERROR_INVALID_ARGUMENT for another path, SEED_ERROR_OUT_OF_MEMORY, SEED_ERROR_IO without a free descriptor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_memory_file_put(path: *const c_char, bytes: *const u8, length: usize) -> *mut seed_error {
    // SAFETY: passed on from the C caller, as in every function of this file.
    catch(|| unsafe { memory_file::put(Path::new(text("path", path)?), array("bytes", bytes, length)?) })
}

/// Copies the bytes of an in-memory file into `buffer`, by the rule of seed_neighbours.
///
/// Errors: SEED_ERROR_BUFFER_TOO_SMALL (`*length` is set), SEED_ERROR_IO where there is no such file,
/// SEED_ERROR_INVALID_ARGUMENT for another path.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_memory_file_get(
    path: *const c_char,
    buffer: *mut u8,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        let path = Path::new(text("path", path)?);
        let (file, bytes) = memory_file::get(path)?;
        if answer_size(bytes, buffer, capacity, length)? {
            let buffer = slice::from_raw_parts_mut(buffer, bytes);
            file.read_exact_at(buffer, 0).map_err(|error| Error::io("read", path, &error))?;
        }
        Ok(())
    })
}

/// Removes an in-memory file. Its memory is released when the last reader closes it.
///
/// Errors: SEED_ERROR_IO where there is no such file, SEED_ERROR_INVALID_ARGUMENT for another path.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_memory_file_remove(path: *const c_char) -> *mut seed_error {
    catch(|| unsafe { memory_file::remove(Path::new(text("path", path)?)) })
}
