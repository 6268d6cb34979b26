//! Images by number: files of a folder or a list, images of a store, and frames pushed from memory, in one growing list.
//!
//! Files are decoded when asked for, and decoded frames are kept while a byte budget lasts ([`DEFAULT_CACHE_BYTES`]). What has more than 8
//! bits a sample keeps them until it is asked for; by which [`Range`] they become levels then is the data set's to say
//! ([`Dataset::set_range`]), or where it does not, of whoever asks.
//!
//! An image that cannot be used is recorded by name and reason, and is an error; who iterates decides what takes its place.
//! What could not be read (a disk that is away) is asked for again at every call, and its record goes when it is back. Damaged
//! content is not decoded again until the file changes.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use sha2::{Digest, Sha256};

use super::broken::{Broken, Whole};
use super::cache::Cache;
use super::files::FileOptions;
use super::folder::images_below;
use super::frame::{CLAMPED, Frame, FrameView};
use super::ignored::IgnoredOf;
use super::lock;
use super::name::{NAMES, enough_for_names, escaped};
use super::range::Range;
use super::raw::RawFrame;
use super::source::{EncodedImage, EncodedImages, Source, absolute};
use crate::error::{Error, Result};
use crate::sys::memory::{copied, filled, push, room};
use crate::sys::memory_file;
use crate::warnings::Warnings;

pub use super::broken::Skipped;
pub use super::cache::DEFAULT_CACHE_BYTES;

/// An ordered list of images, shared between threads as `Arc<Dataset>`; frames may be pushed while others load.
pub struct Dataset {
    pub(super) images: RwLock<Vec<Image>>,
    pub(super) cache: Mutex<Cache>,
    /// Which samples become which levels, where that was said.
    pub(super) range: Mutex<Option<Range>>,
    /// How files are read, where that was said.
    pub(super) files: Mutex<Option<FileOptions>>,
    /// Which pixels count for nothing.
    pub(super) ignored: Mutex<IgnoredOf>,
    /// Whether it was said that frames are turned upright.
    pub(super) turned: AtomicBool,
    pub(super) broken: Arc<Mutex<Broken>>,
    /// The data set that this one is a part of, which is told what is broken.
    pub(super) whole: Option<Arc<Whole>>,
    warnings: Warnings,
}

pub(super) struct Image {
    pub name: String,
    pub source: Source,
    /// The page of the file, from 1 on; 0: what the data set says.
    pub page: u64,
    /// Bytes of the file when it was last looked at, [`UNKNOWN`] before: what [`Dataset::identity`] says of a file that is away.
    pub bytes: AtomicU64,
}

/// No file has this many bytes.
const UNKNOWN: u64 = u64::MAX;

impl Image {
    fn new(name: String, source: Source) -> Self {
        Self { name, source, page: 0, bytes: AtomicU64::new(UNKNOWN) }
    }

    /// The size of the file now or, where that cannot be asked, when it last could.
    fn file_bytes(&self, path: &Path) -> u64 {
        match std::fs::metadata(path) {
            Ok(found) => {
                self.bytes.store(found.len(), Ordering::Relaxed);
                found.len()
            }
            Err(_) => self.bytes.load(Ordering::Relaxed),
        }
    }
}

impl Dataset {
    /// Every image below `root`, told by its extension ([`EXTENSIONS`](super::decode::EXTENSIONS), any case), sorted by
    /// name. Links are followed; files and folders whose name starts with a dot are left out (thumbnails, resource forks).
    /// Nothing is decoded yet. A relative `root` is that of now: the process may change its directory later.
    ///
    /// # Errors
    /// `Io` where `root` cannot be searched, `InvalidArgument` where it holds no image, `OutOfMemory`.
    pub fn from_folder(root: &Path) -> Result<Self> {
        memory_file::on_disk(root, "images lie in a folder; frames in memory are pushed")?;
        let (found, broken) = images_below(root)?;
        Self::new(found, broken)
    }

    /// The given files in the given order, each named by its path. A file that is absent counts as a broken image. Relative
    /// paths are those of now, as for [`Dataset::from_folder`].
    ///
    /// # Errors
    /// `InvalidArgument` where the list is empty, `OutOfMemory`.
    pub fn from_files(files: Vec<PathBuf>) -> Result<Self> {
        if files.is_empty() {
            return Err(Error::invalid("the list of image files is empty, expected at least one"));
        }
        let mut named = room(files.len(), NAMES)?;
        for path in files {
            enough_for_names(named.len())?;
            memory_file::on_disk(
                &path,
                "images are read again in each epoch; push the encoded bytes of frames in memory",
            )?;
            named.push((escaped(path.as_os_str().as_encoded_bytes()), absolute(&path)));
        }
        Self::new(named, Broken::default())
    }

    /// The given images of `store` in the given order. One that the store has let go by the time it is asked for counts as
    /// a broken image.
    ///
    /// # Errors
    /// `InvalidArgument` where there is none, `OutOfMemory`.
    pub fn from_encoded(images: Vec<EncodedImage>, store: &Arc<dyn EncodedImages>) -> Result<Self> {
        if images.is_empty() {
            return Err(Error::invalid("no image of the store was chosen, expected at least one"));
        }
        let image = |image: EncodedImage| {
            let source = Source::Encoded { from: Arc::clone(store), key: image.key, bytes: image.bytes };
            Image::new(image.name, source)
        };
        let mut all = room(images.len(), NAMES)?;
        all.extend(images.into_iter().map(image));
        Ok(Self::of_images(all, Broken::default()))
    }

    /// Nothing yet; see [`Dataset::push`].
    pub fn in_memory() -> Self {
        Self::of_images(Vec::new(), Broken::default())
    }

    fn new(files: Vec<(String, PathBuf)>, broken: Broken) -> Result<Self> {
        let mut images = room(files.len(), NAMES)?;
        images.extend(files.into_iter().map(|(name, path)| Image::new(name, Source::File(path))));
        Ok(Self::of_images(images, broken))
    }

    fn of_images(images: Vec<Image>, broken: Broken) -> Self {
        let broken = Arc::new(Mutex::new(broken));
        let (images, cache) = (RwLock::new(images), Mutex::new(Cache::default()));
        let (range, files, turned, warnings) =
            (Mutex::default(), Mutex::default(), AtomicBool::default(), Warnings::default());
        let ignored = Mutex::default();
        Self { images, cache, range, files, ignored, turned, broken, whole: None, warnings }
    }

    /// The images `numbers` of this one, in that order, as a data set of its own: names, files and range are the same, pushed
    /// frames are shared. What is found to be broken there is recorded there and here.
    ///
    /// # Errors
    /// `InvalidArgument` where there is no such image, `OutOfMemory`.
    pub fn subset(&self, numbers: &[usize]) -> Result<Self> {
        let mut chosen = room(numbers.len(), NAMES)?;
        for &number in numbers {
            enough_for_names(chosen.len())?;
            let (name, source, page) =
                self.image(number, |image| (image.name.clone(), image.source.clone(), image.page))?;
            chosen.push(Image { page, ..Image::new(name, source) });
        }
        let whole = Whole {
            broken: Arc::clone(&self.broken),
            numbers: copied(numbers, NAMES)?,
            above: self.whole.as_ref().map(Arc::clone),
        };
        let (range, files) = (Mutex::new(self.range()), Mutex::new(self.reading()));
        let known = lock(&self.ignored).clone();
        let own = |(place, number): (usize, &usize)| Some((place, Arc::clone(known.one.get(number)?)));
        let one = numbers.iter().enumerate().filter_map(own).collect();
        let ignored = Mutex::new(IgnoredOf { one, all: known.all });
        Ok(Self { range, files, ignored, whole: Some(Arc::new(whole)), ..Self::of_images(chosen, Broken::default()) })
    }

    /// Appends a copy of `frame` and gives its number. Loaders that already run keep the length they started with.
    ///
    /// # Errors
    /// As [`FrameView::to_frame`], with the name in front.
    pub fn push(&self, name: &str, frame: &FrameView) -> Result<usize> {
        let copy = RawFrame::copy_of(frame, Vec::new()).map_err(|error| error.context(name))?;
        if frame.is_clamped() {
            self.warnings.add(CLAMPED);
        }
        self.push_raw(name, copy)
    }

    /// Appends `frame` in its depth and gives its number, as [`Dataset::push`].
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn push_raw(&self, name: &str, frame: RawFrame) -> Result<usize> {
        match frame.bits() {
            8 => self.push_frame(name, frame.into_frame(&Range::FULL)?),
            _ => self.push_source(name, Source::Deep(Arc::new(frame))),
        }
    }

    /// Appends `frame` and gives its number, as [`Dataset::push`].
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn push_frame(&self, name: &str, frame: Frame) -> Result<usize> {
        self.push_source(name, Source::Memory(Arc::new(frame)))
    }

    fn push_source(&self, name: &str, source: Source) -> Result<usize> {
        let mut images = self.images.write().unwrap_or_else(PoisonError::into_inner);
        enough_for_names(images.len())?;
        push(&mut images, Image::new(name.to_owned(), source), NAMES)?;
        Ok(images.len() - 1)
    }

    /// How many images there are, broken ones included.
    pub fn len(&self) -> usize {
        self.images.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name of image `i`: its path below the folder with `/` between the parts, or the name it was pushed with.
    /// Bytes that are not UTF-8 stand there as `\xNN`.
    ///
    /// # Errors
    /// `InvalidArgument` where there is no image `i`.
    pub fn name(&self, i: usize) -> Result<String> {
        self.image(i, |image| image.name.clone())
    }

    /// What messages call image `i`: "image a/b.png".
    pub fn title(&self, i: usize) -> String {
        self.name(i).map_or_else(|_| format!("image {i}"), |name| format!("image {name}"))
    }

    /// Sets the budget of decoded frames, in bytes; frames above it are dropped at once. Pushed frames do not count, but the levels of those
    /// that have more than 8 bits.
    pub fn set_cache_bytes(&self, bytes: usize) {
        lock(&self.cache).limit(bytes);
    }

    /// What could not be used when it was last asked for, each once: folders first, then images by number.
    pub fn skipped(&self) -> Vec<Skipped> {
        lock(&self.broken).all().cloned().collect()
    }

    /// How many these are.
    pub fn skipped_count(&self) -> usize {
        lock(&self.broken).len()
    }

    /// Number `i` of them, if there are as many.
    pub fn skipped_at(&self, i: usize) -> Option<Skipped> {
        lock(&self.broken).all().nth(i).cloned()
    }

    /// What a caller should know about the images although they can be used.
    pub fn warnings(&self) -> &Warnings {
        &self.warnings
    }

    /// Whether image `i` could not be used when it was last asked for; false where it never was.
    pub fn is_skipped(&self, i: usize) -> bool {
        lock(&self.broken).images.contains_key(&i)
    }

    /// [`is_skipped`](Dataset::is_skipped) of each image, as 1 or 0.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn skipped_marks(&self) -> Result<Vec<u8>> {
        let mut marks = filled(0u8, self.len(), "the marks of broken images")?;
        for &number in lock(&self.broken).images.keys() {
            if let Some(mark) = marks.get_mut(number) {
                *mark = 1;
            }
        }
        Ok(marks)
    }

    /// The error for work that found no image it could use: how many cannot be read, how many are damaged, and the first
    /// reasons. `Io` where some cannot be read, so that another try may do better, else `Format`.
    pub fn nothing_to_read(&self) -> Error {
        self.nothing_to_read_of(0..self.len())
    }

    /// As [`nothing_to_read`](Dataset::nothing_to_read), for work on the images of these numbers alone.
    pub fn nothing_to_read_of(&self, numbers: impl ExactSizeIterator<Item = usize>) -> Error {
        lock(&self.broken).nothing_to_read(numbers)
    }

    /// Which images these are: SHA-256, in hexadecimal, over the number of images and each one's name and size in bytes
    /// of the file, number and size in bytes of a store's image, or the size and samples of a pushed frame, and over the range and the
    /// way of reading files that were set, but for the full range and the usual way. Checkpoints and banks compare it before they are used. The content of files is not read, so a file that was changed without changing its size
    /// is not noticed. A file that is away counts with the size that it was last seen with.
    pub fn identity(&self) -> String {
        let images = self.images.read().unwrap_or_else(PoisonError::into_inner);
        let mut hash = Sha256::new();
        let word = |hash: &mut Sha256, number: u64| hash.update(number.to_le_bytes());
        word(&mut hash, images.len() as u64);
        for image in images.iter() {
            word(&mut hash, image.name.len() as u64);
            hash.update(image.name.as_bytes());
            match &image.source {
                Source::File(path) => word(&mut hash, image.file_bytes(path)),
                Source::Encoded { key, bytes, .. } => {
                    word(&mut hash, *key as u64);
                    word(&mut hash, *bytes);
                }
                Source::Memory(frame) => {
                    for number in [frame.width(), frame.height(), u32::from(frame.channels())] {
                        word(&mut hash, u64::from(number));
                    }
                    hash.update(frame.pixels());
                }
                Source::Deep(frame) => {
                    let channels = u32::from(frame.channels());
                    for number in [frame.width(), frame.height(), channels, u32::from(frame.bits())] {
                        word(&mut hash, u64::from(number));
                    }
                    hash.update(frame.bytes());
                }
            }
        }
        if let Some(range) = self.range().filter(|range| !range.is_full()) {
            hash.update(range.pairs());
        }
        if let Some(files) =
            self.reading().filter(|files| FileOptions { page: files.page.max(1), ..*files } != FileOptions::default())
        {
            // Pages of their own stand in the names.
            hash.update(files.to_string());
        }
        crate::sys::hash::text(hash)
    }

    pub(super) fn image<T>(&self, i: usize, look: impl FnOnce(&Image) -> T) -> Result<T> {
        let images = self.images.read().unwrap_or_else(PoisonError::into_inner);
        let image = images.get(i).ok_or_else(|| {
            Error::invalid(format!("there is no image {i}, the data set holds {} (numbered from 0)", images.len()))
        })?;
        Ok(look(image))
    }
}

impl std::fmt::Debug for Dataset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Dataset({} images)", self.len())
    }
}
