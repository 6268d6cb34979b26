//! Encoded images that are no files of their own, such as those of a store: what a [`Dataset`](super::Dataset) asks of it.

use serde::{Deserialize, Serialize};

use crate::error::Result;

/// Gives the encoded bytes of images by key. Asked by many threads at once, while images may come and go.
pub trait EncodedImages: Send + Sync {
    /// The JPEG, PNG, BMP or TIFF of image `key`.
    ///
    /// # Errors
    /// `InvalidArgument` where there is no image `key` (any more), `Io` or `Format` where it cannot be read.
    fn read(&self, key: i64) -> Result<Vec<u8>>;
}

/// One of them, as it was when a data set was made of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncodedImage {
    /// Its key.
    pub key: i64,
    /// What it is called in messages and reports.
    pub name: String,
    /// Length of its encoded bytes; part of the data set's identity.
    pub bytes: u64,
}
