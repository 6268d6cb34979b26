//! Which file loaded code comes from.

use std::ffi::{CStr, OsStr, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The file that holds the code at `address`, as the loader names it; None where it is of no library and no program.
pub(crate) fn file_of(address: *const c_void) -> Option<PathBuf> {
    // SAFETY: dladdr only reads the loader's tables; the struct is plain data, and the name in it, which is copied at once, lives as long as
    // the library is loaded.
    unsafe {
        let mut place: libc::Dl_info = std::mem::zeroed();
        if libc::dladdr(address, &mut place) == 0 || place.dli_fname.is_null() {
            return None;
        }
        Some(OsStr::from_bytes(CStr::from_ptr(place.dli_fname).to_bytes()).into())
    }
}
