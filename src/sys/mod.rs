//! The system below: files that are whole or absent, locks across processes, hashes, memory that may be refused, where code was loaded from. No libtorch.

pub(crate) mod disk;
pub(crate) mod file_lock;
pub(crate) mod files;
pub(crate) mod hash;
pub(crate) mod loaded;
pub mod memory;
pub(crate) mod memory_file;
