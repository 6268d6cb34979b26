//! SQLite's errors in our words.

use std::path::Path;

use rusqlite::ErrorCode;

use crate::error::{Error, ErrorKind};

/// The error of doing `what` to the store at `path`.
pub(super) fn fault(what: &str, path: &Path, error: &rusqlite::Error) -> Error {
    let (kind, hint) = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => (ErrorKind::Io, "; the disk is full, free some space"),
        Some(ErrorCode::NotADatabase) => (ErrorKind::Format, "; it is no SQLite file"),
        Some(ErrorCode::DatabaseCorrupt) => (ErrorKind::Format, "; repair it into a new file"),
        Some(ErrorCode::OutOfMemory) => (ErrorKind::OutOfMemory, ""),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            (ErrorKind::Busy, "; another program holds it in a transaction, end that")
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            (ErrorKind::Io, "; check the permissions of the file and its folder")
        }
        Some(ErrorCode::CannotOpen) => (ErrorKind::Io, "; check the path and the permissions of its folder"),
        Some(ErrorCode::SystemIoFailure) => (ErrorKind::Io, "; check the disk"),
        // The tables are ours, so a value of another type was put there by somebody else.
        None => (ErrorKind::Format, ""),
        Some(_) => (ErrorKind::Io, ""),
    };
    Error::new(kind, format!("cannot {what} the store {}: {error}{hint}", path.display()))
}

/// Whether the same may succeed later, when there is space again or another program has finished.
pub(super) fn passes(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Io | ErrorKind::Busy | ErrorKind::OutOfMemory)
}
