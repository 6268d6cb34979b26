//! How image files are read: whether they are turned upright, and which page of several.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::choice::choice;

choice! {
    /// Whether a frame is turned as its file says.
    pub enum Exif {
        /// Turned upright.
        Apply = "apply",
        /// As its pixels are stored.
        Ignore = "ignore",
    }
}

/// The most pages of a file that become frames of their own.
pub const MAX_PAGES: u64 = 65_535;

/// How image files are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FileOptions {
    /// Whether a frame is turned according to the orientation in its file, which is the EXIF of a JPEG, PNG or WebP or the tag of a TIFF:
    /// "apply", or "ignore", which takes pixels as they are stored. Set by seed_dataset_set_reading; without that call frames are turned.
    pub exif: Exif,
    /// The page of a TIFF that is read, counted from 1. 0 makes each page a separate frame, the second one called "NAME#2". Set by
    /// seed_dataset_set_reading; without that call the first page is read, with a warning if there are more.
    pub page: u64,
}

impl Default for FileOptions {
    fn default() -> Self {
        Self { exif: Exif::Apply, page: 1 }
    }
}

/// The settings that make them, as `Config::parse` takes them.
impl fmt::Display for FileOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exif={} page={}", self.exif, self.page)
    }
}
