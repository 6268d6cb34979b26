//! Start-up and versions.

use std::ffi::c_char;

use once_cell::sync::OnceCell;

use super::border::{catch_always, silence_own_panics};
use super::error::{prepare, seed_error};
use super::fork;
use crate::{Error, ErrorKind, Result, device, shutdown, torch};

/// Major version of the header; changes when old programs no longer work.
pub const SEED_VERSION_MAJOR: i32 = 0;
/// Minor version of the header; changes when functions are added (and, while the major version is 0, with the ABI).
pub const SEED_VERSION_MINOR: i32 = 1;
/// Patch version of the header.
pub const SEED_VERSION_PATCH: i32 = 0;
/// The ABI that this header describes; pass it to seed_init.
pub const SEED_ABI_VERSION: u32 = 2;

static READY: OnceCell<()> = OnceCell::new();

/// Whether seed_init has succeeded, and in this process.
pub(super) fn check() -> Result<()> {
    READY.get().copied().ok_or_else(|| {
        Error::new(ErrorKind::NotInitialized, "call seed_init(SEED_ABI_VERSION) before any other function")
    })?;
    fork::check()
}

/// Prepares the library for this process; call it before anything else, with SEED_ABI_VERSION. Further calls, from any
/// thread, do nothing. Loads libtorch's CUDA part where it is found; this must come before the application itself asks
/// libtorch for CUDA. A process that forks does so before its first call after this one: in a child that comes later
/// every call gives SEED_ERROR_UNSUPPORTED, since threads, files and devices do not come along. It changes no signal
/// handler, locale, thread count or other state of the process but two: a panic hook is chained so that internal errors
/// of this library are logged instead of printed, and libtorch's allocator for main memory is wrapped so that tensors
/// leave the last 32 MiB to libtorch itself.
///
/// The process may end at any time, by a return from main or by exit, while other threads are inside the library: their calls
/// do not return then, and files are whole. A destructor or an exit handler that joins such a thread waits for at most a
/// second; the call ends with SEED_ERROR_CANCELLED then (docs/safety.md).
///
/// Errors: SEED_ERROR_NOT_INITIALIZED when the header's ABI is not the library's; SEED_ERROR_MISMATCH when another
/// version of libtorch is found; SEED_ERROR_TORCH when none is. The message of the last two says which version is wanted,
/// where it was looked for and what to do; every other call gives the same error then.
#[unsafe(no_mangle)]
pub extern "C" fn seed_init(abi_version: u32) -> *mut seed_error {
    prepare();
    catch_always(|| {
        if abi_version != SEED_ABI_VERSION {
            return Err(Error::new(
                ErrorKind::NotInitialized,
                format!(
                    "the program was compiled for ABI {abi_version} of libseed, but this library has ABI \
                     {SEED_ABI_VERSION}; compile it with the seed.h of libseed {}",
                    env!("CARGO_PKG_VERSION")
                ),
            ));
        }
        READY
            .get_or_try_init(|| {
                device::initialise()?;
                silence_own_panics();
                shutdown::watch();
                torch::statics::keep();
                Ok(())
            })
            .map(|&()| ())
    })
}

/// The library's version, such as "0.1.0". Static text; may be called before seed_init, from any thread.
#[unsafe(no_mangle)]
pub extern "C" fn seed_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}
