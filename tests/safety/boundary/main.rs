//! The locks of the C border under ThreadSanitizer: `ffi/handle.rs` and `ffi/live.rs` as they are, without libtorch, which no
//! sanitizer was built into. Eight threads read, write, are refused, and make and free handles that the others use; the value is
//! plain memory, so a lock that lets two writers in, or a writer beside a reader, or an object that goes too early, is a data
//! race that the sanitizer reports.
//!
//! Locks that wait are not shown here: std's own code, where the waiting is, has no sanitizer in it either, and each wait
//! would be reported. A handle's lock never waits; all of it is compiled into this program.
//!
//! With `--cfg race` a value is written without its lock: what shows that the sanitizer is there at all.

/// As much of the crate as the file names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    InvalidArgument,
    OutOfMemory,
    Busy,
    Poisoned,
}

#[derive(Debug)]
pub struct Error(ErrorKind, #[allow(dead_code)] String);

impl Error {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(kind, message.into())
    }
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }
    pub fn kind(&self) -> ErrorKind {
        self.0
    }
}

pub type Result<T> = std::result::Result<T, Error>;

mod torch {
    pub fn caught<T>(body: impl FnOnce() -> crate::Result<T>) -> crate::Result<T> {
        body()
    }
}

#[path = "../../../src/warnings.rs"]
#[allow(dead_code)]
mod warnings;

mod ffi {
    pub mod border {
        pub fn catch_void(body: impl FnOnce()) {
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
        }
    }
    #[path = "../../../../src/ffi/handle.rs"]
    pub mod handle;
    #[path = "../../../../src/ffi/live.rs"]
    pub mod live;
    pub mod work;
}

fn main() {
    ffi::work::run();
}
