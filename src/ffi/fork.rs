//! Processes that are forked off after the library was used. Such a child has a copy of the memory and none of the threads: libtorch
//! would wait for its pool for ever, a store's writer is gone, and SQLite forbids it. So every call in the child is an error.

use std::sync::atomic::{AtomicBool, Ordering};

use super::live::FORKED;
use crate::shutdown;
use crate::{Error, ErrorKind, Result};

/// Why, and what to do instead.
pub(super) const REASON: &std::ffi::CStr =
    c"this process was forked off one that had used libseed, whose threads, files and \
    devices stayed there; fork before the first call after seed_init, or start a program of its own";

extern "C" fn in_child() {
    FORKED.store(true, Ordering::Release);
    shutdown::forked();
}

/// An error of the kind `Unsupported` in a child. Else the library is in use from now on, and a child will know.
pub(super) fn check() -> Result<()> {
    static USED: AtomicBool = AtomicBool::new(false);
    if FORKED.load(Ordering::Acquire) {
        return Err(Error::new(ErrorKind::Unsupported, REASON.to_string_lossy()));
    }
    if !USED.load(Ordering::Relaxed) && !USED.swap(true, Ordering::Relaxed) {
        // SAFETY: the function stores a flag and a number, which is allowed in a child of any process. Where the handler cannot be had for
        // want of memory, a child is not told, which is no worse than without.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    }
    Ok(())
}
