//! A training run on disk, so that kill -9 at any moment costs at most the steps since the last save.
//!
//! A checkpoint is one folder: `manifest.json` (format, step, configuration, identity of the data, sizes and SHA-256 of
//! the other files) and a file for each of the method's parts, `NAME.safetensors`; those of SEED are "student", "optimiser", "queue" and, where
//! another student than the last one was the best, "best". It is written under a temporary name, synced, and exchanged with the old one in a single rename; a reader sees the old or the new, never a mixture.
//!
//! Shorter runs, which are saved after each pass, have one file: [`pass`].

pub mod format;
pub mod load;
pub mod pass;
pub mod save;

pub use format::{Contents, Manifest};
pub use load::load;
pub use save::save;
