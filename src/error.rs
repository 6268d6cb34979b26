//! One error type for the whole library. [`ErrorKind`] is what the C ABI shows as `seed_error_code`.
//!
//! Messages are lower case, without a full stop, and say what was expected, what was found and what to do.

use std::path::{Path, PathBuf};

/// Result of every fallible function of the crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, coarse enough for a program to act on. The discriminants are the codes of the C ABI: they are never
/// reused or renumbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum ErrorKind {
    /// An argument is NULL, out of bounds or contradicts another one.
    InvalidArgument = 1,
    /// A configuration key is unknown or its value is out of bounds.
    Config = 2,
    /// The operating system refused to read or write a file, or the other processes of a world do not answer.
    Io = 3,
    /// A file or image is damaged, hostile or of a kind that is not read.
    Format = 4,
    /// A file is sound but does not fit: another architecture, shape, version or data set.
    Mismatch = 5,
    /// Memory, on the host or on the device, could not be had.
    OutOfMemory = 6,
    /// The device is absent, or its driver or libtorch part is.
    Device = 7,
    /// The handle is in use by another thread, or by the callback's own caller.
    Busy = 8,
    /// An earlier panic left the handle in an unknown state; only freeing it is allowed.
    Poisoned = 9,
    /// The cancel token was triggered, or a callback asked to stop.
    Cancelled = 10,
    /// libtorch reported an error.
    Torch = 11,
    /// The feature exists in the method but not in this build or version.
    Unsupported = 12,
    /// `seed_init` has not been called, or was called for another ABI.
    NotInitialized = 13,
    /// A bug in libseed: a panic was caught at the border.
    Internal = 14,
    /// The caller's buffer is too small; the needed size has been written.
    BufferTooSmall = 15,
}

/// An error with its kind and a message for a person.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

impl Error {
    /// An error of `kind`; the message says what was expected, what was found and what to do.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// An argument that cannot be used.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }

    /// A damaged or hostile file; names the file and the reason.
    pub fn format(path: &Path, reason: impl std::fmt::Display) -> Self {
        Self::new(ErrorKind::Format, format!("{}: {reason}", path.display()))
    }

    /// A sound file that does not fit.
    pub fn mismatch(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Mismatch, message)
    }

    /// A fault of the library itself, such as settings of its own that are no JSON: in `what`, and why.
    pub fn internal(what: &str, reason: impl std::fmt::Display) -> Self {
        Self::new(ErrorKind::Internal, format!("{what}: {reason}"))
    }

    /// An operating-system error while doing `what` ("read", "create", …) to `path`: `Io`, or `OutOfMemory` where the system
    /// has none.
    pub fn io(what: &str, path: impl Into<PathBuf>, source: &std::io::Error) -> Self {
        let path = path.into();
        let hint = match source.kind() {
            std::io::ErrorKind::StorageFull => "; the disk is full, free some space and try again",
            std::io::ErrorKind::PermissionDenied => "; check the permissions of the file and its folder",
            std::io::ErrorKind::NotFound => "; check the path",
            _ => "",
        };
        let kind = match source.kind() {
            std::io::ErrorKind::OutOfMemory => ErrorKind::OutOfMemory,
            _ => ErrorKind::Io,
        };
        Self::new(kind, format!("cannot {what} {}: {source}{hint}", path.display()))
    }

    /// What a program acts on.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What a person reads.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The same error with what was being done put in front.
    #[must_use]
    pub fn context(mut self, doing: impl std::fmt::Display) -> Self {
        self.message = format!("{doing}: {}", self.message);
        self
    }
}

impl From<tch::TchError> for Error {
    fn from(error: tch::TchError) -> Self {
        let text = error.to_string();
        // libtorch appends its C++ backtrace; the first line carries the reason.
        let reason = text.lines().next().unwrap_or("unknown").trim().to_owned();
        let no_memory = text.contains("out of memory")
            || text.contains("can't allocate memory")
            || text.contains("not enough memory")
            || text.contains("std::bad_alloc")
            // of the writer of TorchScript files
            || text.contains(": allocation failed");
        let kind = if no_memory { ErrorKind::OutOfMemory } else { ErrorKind::Torch };
        Self::new(kind, format!("libtorch: {reason}"))
    }
}
