//! How the files of a [`Dataset`] are read: upright or as stored, and their pages as frames of their own.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::dataset::{Dataset, Image};
use super::decode::{BEGINNING, decode_by, may_have_pages, pages};
use super::decoded::MAX_BYTES;
use super::files::{FileOptions, MAX_PAGES};
use super::lock;
use super::name::{NAMES, enough_for_names};
use super::source::Source;
use super::stored::Told;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::memory::{push, room};

/// Said once of a data set.
pub const MORE_PAGES: &str = "a TIFF has several pages, of which the first is read; set \"page\" by seed_dataset_set_reading to 0 for all of \
                              them as frames of their own, or to the page that is meant";

impl Dataset {
    /// From now on files are read as `options` say. With page 0 each TIFF is looked at now, and the pages of one that has several become
    /// images of their own behind each other, "NAME", "NAME#2" and so on; images that come after it get other numbers. With another page
    /// each file is one image again. What is ignored of single images is forgotten. Images that are pushed as pixels stay as they are. Frames that were decoded before are forgotten.
    ///
    /// # Errors
    /// `InvalidArgument` where this is a part of another data set, whose images are numbered there; `OutOfMemory`. The data set is as it
    /// was then.
    pub fn set_reading(&self, options: FileOptions) -> Result<()> {
        if self.whole.is_some() {
            return Err(Error::invalid("how files are read is set at the whole data set, before parts of it are made"));
        }
        let known = {
            let images = self.images.read().unwrap_or_else(PoisonError::into_inner);
            let mut known = room(images.len(), NAMES)?;
            known.extend(images.iter().map(|image| (image.page <= 1).then(|| image.as_page(0))));
            known
        };
        // Reading files takes its time, in which others may use the data set.
        let mut changed = room(known.len(), NAMES)?;
        for image in known.iter().flatten() {
            let count = if options.page == 0 { image.source.pages(&image.name) } else { 1 };
            if count == 1 {
                enough_for_names(changed.len())?;
                push(&mut changed, image.as_page(0), NAMES)?;
                continue;
            }
            for page in 1..=count {
                enough_for_names(changed.len())?;
                push(&mut changed, image.as_page(page), NAMES)?;
            }
        }
        let mut images = self.images.write().unwrap_or_else(PoisonError::into_inner);
        if images.len() != known.len() {
            return Err(Error::invalid(
                "images were pushed while files were looked into for their pages: call it again",
            ));
        }
        *images = changed;
        *lock(&self.files) = Some(options);
        // Those of single images are of other ones now.
        lock(&self.ignored).one.clear();
        drop(images);
        lock(&self.broken).images.clear();
        lock(&self.cache).forget();
        Ok(())
    }

    /// How files are read; none where that was not said, which means upright and the first page.
    pub fn reading(&self) -> Option<FileOptions> {
        *lock(&self.files)
    }

    /// How the file of an image is read that is this `page` of it, 0 where no page of its own was chosen.
    pub(super) fn options_of(&self, page: u64) -> FileOptions {
        let options = self.reading().unwrap_or_default();
        if page == 0 { options } else { FileOptions { page, ..options } }
    }

    /// Says what is to be said of a file, each thing once.
    pub(super) fn tell(&self, name: &str, told: Told) {
        if told.turned && !self.turned.swap(true, Ordering::Relaxed) {
            log::info!(
                "{name} is turned upright as its orientation says, and so are others like it; \"exif=ignore\" keeps them as stored"
            );
        }
        if told.has_more_pages && self.reading().is_none() {
            self.warnings().add(MORE_PAGES);
        }
    }

    /// Decodes the image file in `bytes` as this data set reads files and appends its frame, or with page 0 the frame of each page; gives
    /// the number of the first.
    ///
    /// # Errors
    /// As [`decode_bytes`](super::decode::decode_bytes), and `Format` where all pages together are larger than one frame may be; then nothing
    /// was appended. Where memory runs out while several pages are appended, those before stay.
    pub fn push_encoded(&self, name: &str, bytes: &[u8]) -> Result<usize> {
        let options = self.options_of(0);
        let count = if options.page == 0 { pages(bytes, MAX_PAGES) } else { 1 };
        let (mut frames, mut total) = (room(count as usize, "the pages of a file")?, 0u64);
        for page in 1..=count {
            let own = if count == 1 { options } else { FileOptions { page, ..options } };
            let decoded = decode_by(name, bytes, &own).map_err(|error| match count {
                1 => error,
                _ => error.context(format!("page {page}")),
            })?;
            self.tell(name, Told::of(&decoded));
            total += decoded.frame.bytes().len() as u64;
            if total > MAX_BYTES {
                let reason = format!(
                    "page {page} brings the pages of the file above {MAX_BYTES} bytes decoded: push fewer at a time"
                );
                return Err(Error::new(ErrorKind::Format, reason).context(name));
            }
            frames.push((page_name(name, page), decoded.frame));
        }
        let mut first = None;
        for (name, frame) in frames {
            let number = self.push_raw(&name, frame)?;
            first.get_or_insert(number);
        }
        first.ok_or_else(|| Error::invalid("a file has no page"))
    }
}

/// What page `page` of a file is called, from 1 on.
pub(super) fn page_name(name: &str, page: u64) -> String {
    if page <= 1 { name.to_owned() } else { format!("{name}#{page}") }
}

impl Image {
    /// The same file, read at this page; 0: at that of the data set.
    fn as_page(&self, page: u64) -> Self {
        let bytes = self.bytes.load(Ordering::Relaxed).into();
        Self { name: page_name(&self.name, page), source: self.source.clone(), page, bytes }
    }
}

impl Source {
    /// How many pages there are to read; 1 of what cannot be read, which is told when it is asked for.
    fn pages(&self, name: &str) -> u64 {
        match self {
            Self::Memory(_) | Self::Deep(_) => 1,
            Self::File(path) if !begins_like_pages(path) => 1,
            Self::File(_) | Self::Encoded { .. } => self.read(name).map_or(1, |(_, bytes)| pages(&bytes, MAX_PAGES)),
        }
    }
}

/// Looks at a file's first bytes alone.
fn begins_like_pages(path: &Path) -> bool {
    let mut beginning = [0; BEGINNING];
    File::open(path).and_then(|mut file| file.read_exact(&mut beginning)).is_ok() && may_have_pages(&beginning)
}
