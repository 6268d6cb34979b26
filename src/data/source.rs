//! Where a [`Dataset`](super::Dataset) has its images from: files, an application's memory, and what holds encoded images that are no
//! files of their own, such as a store.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::decode::read_file;
use super::frame::Frame;
use super::raw::RawFrame;
use crate::error::{ErrorKind, Result};

/// `path` from the root on, by the process's directory of now; links stay. A path that has no directory to begin at stays as it is,
/// so that who opens it says what is wrong.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Gives the encoded bytes of images by key. Asked by many threads at once, while images may come and go.
pub trait EncodedImages: Send + Sync {
    /// The JPEG, PNG, BMP, TIFF, WebP or PNM of image `key`.
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

/// Where one image is.
#[derive(Clone)]
pub(super) enum Source {
    File(PathBuf),
    Memory(Arc<Frame>),
    /// A pushed frame of more than 8 bits.
    Deep(Arc<RawFrame>),
    /// Image `key` of a store, `bytes` long when the data set was made.
    Encoded {
        from: Arc<dyn EncodedImages>,
        key: i64,
        bytes: u64,
    },
}

/// What changes with a file's content: its size, when content and status changed last, in seconds and nanoseconds, and which file
/// of its device it is. A program may set the first time, but not the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    inode: u64,
}

impl Source {
    /// The file as it is now; none where it is away, or for what is no file.
    pub fn stamp(&self) -> Option<Stamp> {
        let Self::File(path) = self else { return None };
        let found = std::fs::metadata(path).ok()?;
        Some(Stamp {
            bytes: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
            inode: found.ino(),
        })
    }

    /// The encoded bytes, and where they are from, for messages. A disk or a network that fails once is asked once more: what
    /// cannot be read is replaced in training for a whole pass, and the run would be another one for a moment's fault.
    pub fn read(&self, name: &str) -> Result<(PathBuf, Vec<u8>)> {
        match self.read_once(name) {
            Err(error) if error.kind() == ErrorKind::Io => {
                log::debug!("reading {name} once more: {error}");
                self.read_once(name)
            }
            read => read,
        }
    }

    fn read_once(&self, name: &str) -> Result<(PathBuf, Vec<u8>)> {
        match self {
            Self::File(path) => Ok((path.clone(), read_file(path)?)),
            Self::Encoded { from, key, .. } => Ok((PathBuf::from(name), from.read(*key)?)),
            // Frames in memory are never read.
            Self::Memory(_) | Self::Deep(_) => Ok((PathBuf::from(name), Vec::new())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::data::Dataset;
    use crate::error::Error;

    /// Fails so many times, then gives a picture.
    struct Failing(AtomicU32);

    impl EncodedImages for Failing {
        fn read(&self, _key: i64) -> Result<Vec<u8>> {
            if self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
                return Err(Error::new(ErrorKind::Io, "the disk is away"));
            }
            let mut bytes = std::io::Cursor::new(Vec::new());
            image::GrayImage::new(2, 2).write_to(&mut bytes, image::ImageFormat::Png).expect("memory takes it");
            Ok(bytes.into_inner())
        }
    }

    #[test]
    fn damaged_content_is_not_decoded_again() {
        struct Damaged(AtomicU32);
        impl EncodedImages for Damaged {
            fn read(&self, _key: i64) -> Result<Vec<u8>> {
                self.0.fetch_add(1, Ordering::SeqCst);
                Ok(b"no image".to_vec())
            }
        }
        let reads = Arc::new(Damaged(AtomicU32::new(0)));
        let store: Arc<dyn EncodedImages> = Arc::clone(&reads) as _;
        let dataset =
            Dataset::from_encoded(vec![EncodedImage { key: 1, name: "one".to_owned(), bytes: 8 }], &store).unwrap();
        for _ in 0..3 {
            assert_eq!(dataset.load(0).unwrap_err().kind(), ErrorKind::Format);
        }
        assert_eq!((reads.0.load(Ordering::SeqCst), dataset.skipped().len()), (1, 1));
    }

    #[test]
    fn a_disk_that_fails_once_makes_no_broken_image() {
        let open = |faults: u32| {
            let image = EncodedImage { key: 1, name: "one".to_owned(), bytes: 9 };
            let store: Arc<dyn EncodedImages> = Arc::new(Failing(AtomicU32::new(faults)));
            Dataset::from_encoded(vec![image], &store).expect("it has an image")
        };
        let once = open(1);
        assert!(once.load(0).is_ok() && once.skipped().is_empty());
        let twice = open(2);
        assert_eq!(twice.load(0).map_err(|error| error.kind()).err(), Some(ErrorKind::Io));
        assert_eq!(twice.skipped().len(), 1);
        assert!(twice.load(0).is_ok() && twice.skipped().is_empty(), "it is asked again at the next call");
    }
}
