//! `seed_error`: what every fallible function returns.

use std::ffi::{CString, c_char};
use std::sync::LazyLock;

use super::fork;
use super::handle::{Guarded, create, free, handle, with};
use super::live::forked;
use crate::{Error, ErrorKind};

/// No error.
pub const SEED_OK: i32 = 0;
/// An argument is NULL, out of bounds or contradicts another one.
pub const SEED_ERROR_INVALID_ARGUMENT: i32 = 1;
/// A configuration key is unknown or its value is out of bounds.
pub const SEED_ERROR_CONFIG: i32 = 2;
/// The operating system refused to read or write a file, or the other processes of a world do not answer.
pub const SEED_ERROR_IO: i32 = 3;
/// A file or image is damaged, hostile or of a kind that is not read.
pub const SEED_ERROR_FORMAT: i32 = 4;
/// A file is sound but does not fit: another architecture, shape, version or data set.
pub const SEED_ERROR_MISMATCH: i32 = 5;
/// Memory, on the host or on the device, could not be had.
pub const SEED_ERROR_OUT_OF_MEMORY: i32 = 6;
/// The device is absent, or its driver or libtorch part is.
pub const SEED_ERROR_DEVICE: i32 = 7;
/// The handle is in use by another thread, or by the caller of the callback that asks.
pub const SEED_ERROR_BUSY: i32 = 8;
/// An earlier internal error left the handle in an unknown state; only freeing it is allowed.
pub const SEED_ERROR_POISONED: i32 = 9;
/// A cancel token was triggered, a callback asked to stop, or the process is ending.
pub const SEED_ERROR_CANCELLED: i32 = 10;
/// libtorch reported an error, or there is none that could be loaded.
pub const SEED_ERROR_TORCH: i32 = 11;
/// Not supported by this version.
pub const SEED_ERROR_UNSUPPORTED: i32 = 12;
/// seed_init has not been called, or was called with another SEED_ABI_VERSION.
pub const SEED_ERROR_NOT_INITIALIZED: i32 = 13;
/// A bug in libseed: a panic was caught at the border. Nothing crossed it; please report the message.
pub const SEED_ERROR_INTERNAL: i32 = 14;
/// The caller's buffer is too small; the needed size has been written and nothing else.
pub const SEED_ERROR_BUFFER_TOO_SMALL: i32 = 15;

// The codes above are ErrorKind's discriminants; the compiler checks the ends of the list.
const _: () = assert!(SEED_ERROR_INVALID_ARGUMENT == ErrorKind::InvalidArgument as i32);
const _: () = assert!(SEED_ERROR_POISONED == ErrorKind::Poisoned as i32);
const _: () = assert!(SEED_ERROR_BUFFER_TOO_SMALL == ErrorKind::BufferTooSmall as i32);

/// An error: a code for the program and a message for a person. Functions return NULL for success; what is not NULL
/// belongs to the caller and is released by seed_error_free.
pub struct seed_error(Guarded<Raised>);
handle!(seed_error, Raised);

/// What an error says.
pub struct Raised {
    code: i32,
    message: CString,
}

/// Returned when memory is out, since then no other error can be made. Never freed.
static OUT_OF_MEMORY: LazyLock<Raised> =
    LazyLock::new(|| Raised { code: SEED_ERROR_OUT_OF_MEMORY, message: c"out of memory".to_owned() });

/// Returned in a forked process, which has no table of handles. Never freed.
static FORKED: LazyLock<Raised> =
    LazyLock::new(|| Raised { code: SEED_ERROR_UNSUPPORTED, message: fork::REASON.to_owned() });

/// Makes sure that the static objects exist while there is still memory.
pub(super) fn prepare() {
    LazyLock::force(&OUT_OF_MEMORY);
    LazyLock::force(&FORKED);
}

/// The address that stands for one of the static objects.
fn address(raised: &'static Raised) -> *mut seed_error {
    std::ptr::from_ref(raised).cast_mut().cast()
}

/// The static object that `error` stands for.
fn fixed(error: *const seed_error) -> Option<&'static Raised> {
    [&*OUT_OF_MEMORY, &*FORKED].into_iter().find(|&raised| std::ptr::eq(error, address(raised)))
}

/// `error` as an object that the caller owns.
pub(super) fn raise(error: &Error) -> *mut seed_error {
    if error.kind() == ErrorKind::OutOfMemory && error.message().is_empty() {
        return address(&OUT_OF_MEMORY);
    }
    // A NUL inside would cut the message short; a path may hold anything.
    let message = CString::new(error.message().replace('\0', "\u{fffd}")).unwrap_or_default();
    create::<seed_error>(Raised { code: error.kind() as i32, message })
        .unwrap_or_else(|_| address(if forked() { &FORKED } else { &OUT_OF_MEMORY }))
}

/// What `read` gives of an error that is not NULL; `none` for a pointer to no error.
fn look<R>(error: *const seed_error, none: R, read: impl FnOnce(&Raised) -> R) -> R {
    if let Some(raised) = fixed(error) {
        return read(raised);
    }
    with(error, |raised| Ok(read(raised))).unwrap_or(none)
}

/// The code of an error, one of SEED_ERROR_*; SEED_OK for NULL, SEED_ERROR_INVALID_ARGUMENT for an error that was freed. From
/// any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_error_code(error: *const seed_error) -> i32 {
    if error.is_null() { SEED_OK } else { look(error, SEED_ERROR_INVALID_ARGUMENT, |raised| raised.code) }
}

/// The message of an error, UTF-8: what was expected, what was found and what to do. Valid until the error is freed;
/// an empty text for NULL. From any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_error_message(error: *const seed_error) -> *const c_char {
    if error.is_null() {
        return c"".as_ptr();
    }
    look(error, c"this is no seed_error, or one that was freed already".as_ptr(), |raised| raised.message.as_ptr())
}

/// Releases an error. NULL is fine. From any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_error_free(error: *mut seed_error) {
    if fixed(error).is_none() {
        free(error);
    }
}
