//! Why a weights file could not be read, before the name of the file is put to it.

use std::path::Path;

use crate::error::Error;

/// The reason, still without the file's name.
#[derive(Debug)]
pub(super) enum Fault {
    /// The bytes are damaged, hostile or of a kind that is not read.
    Format(String),
    /// The operating system could not deliver the bytes.
    Io(std::io::Error),
    /// The file may be sound, but this machine has no memory for it.
    Memory(u64),
}

pub(super) type Checked<T> = std::result::Result<T, Fault>;

impl Fault {
    pub fn new(reason: impl Into<String>) -> Self {
        Self::Format(reason.into())
    }

    /// The same reason with what it concerns put in front.
    pub fn before(self, what: &str) -> Self {
        match self {
            Self::Format(reason) => Self::Format(format!("{what}: {reason}")),
            other => other,
        }
    }

    /// The error that the caller sees.
    pub fn at(self, path: &Path) -> Error {
        match self {
            Self::Format(reason) => Error::format(path, reason),
            Self::Io(source) => Error::io("read", path, &source),
            Self::Memory(bytes) => Error::new(
                crate::error::ErrorKind::OutOfMemory,
                format!("{}: no memory for {bytes} bytes of weights", path.display()),
            ),
        }
    }
}

impl From<std::io::Error> for Fault {
    fn from(source: std::io::Error) -> Self {
        // A file that ends early is damaged; everything else is the operating system's.
        match source.kind() {
            std::io::ErrorKind::UnexpectedEof => Self::new("the file is truncated"),
            _ => Self::Io(source),
        }
    }
}

/// `count` zero bytes, or a fault where the allocator has none. `count` must have been checked against a limit.
pub(super) fn zeroed(count: usize) -> Checked<Vec<u8>> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(count).map_err(|_| Fault::Memory(count as u64))?;
    bytes.resize(count, 0);
    Ok(bytes)
}
