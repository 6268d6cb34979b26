//! The system below: files that are whole or absent, locks across processes, hashes, memory that may be refused. No libtorch.

pub(crate) mod disk;
pub(crate) mod file_lock;
pub(crate) mod files;
pub(crate) mod hash;
pub mod memory;
pub(crate) mod memory_file;
