//! Files in memory: models that are no file of a disk.

use std::ffi::c_char;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::slice;

use super::border::catch;
use super::error::seed_error;
use super::pointers::{answer_size, array, text};
use crate::Error;
use crate::sys::held;

/// Puts a copy of the `length` bytes at `bytes` into a file in memory, which every function that takes the path of one file takes by
/// `path`, "memory://NAME"; for models that come encrypted or from a database. What saves or exports to such a path leaves a file there
/// (seed_memory_file_get). Another one of that name is replaced whole; who has it open keeps what it had. The file
/// belongs to the process and is on no disk, but for what the system swaps out. Checkpoints, stores, nights, folders of images and
/// banks while they are filled lie on a disk. May be called from several threads at once.
///
/// Errors: SEED_ERROR_INVALID_ARGUMENT for another path, SEED_ERROR_IO without memory or descriptors.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_memory_file_put(path: *const c_char, bytes: *const u8, length: usize) -> *mut seed_error {
    // SAFETY: passed on from the C caller, as in every function of this file.
    catch(|| unsafe { held::put(Path::new(text("path", path)?), array("bytes", bytes, length)?) })
}

/// Writes the number of bytes of the file in memory to `*length`, and the bytes to `buffer` if `capacity` is enough. `buffer` NULL
/// with capacity 0: the number alone.
///
/// Errors: SEED_ERROR_BUFFER_TOO_SMALL (`*length` is set), SEED_ERROR_IO where no file in memory has this name,
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
        let (file, bytes) = held::get(path)?;
        if answer_size(bytes, buffer, capacity, length)? {
            let buffer = slice::from_raw_parts_mut(buffer, bytes);
            file.read_exact_at(buffer, 0).map_err(|error| Error::io("read", path, &error))?;
        }
        Ok(())
    })
}

/// Takes the name away from a file in memory; its memory is free when nothing has it open any more.
///
/// Errors: SEED_ERROR_IO where no file in memory has this name, SEED_ERROR_INVALID_ARGUMENT for another path.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_memory_file_remove(path: *const c_char) -> *mut seed_error {
    catch(|| unsafe { held::remove(Path::new(text("path", path)?)) })
}
