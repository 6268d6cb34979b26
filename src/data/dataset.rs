//! Images by number: files of a folder or a list, images of a store, and frames pushed from memory, in one growing list.
//!
//! Files are decoded when asked for, and decoded frames are kept while a byte budget lasts ([`DEFAULT_CACHE_BYTES`]).
//! Nothing is thrown out for something newer: an epoch visits every image once in random order, so an older frame is as
//! likely to be needed as a newer one. A broken image, or one that cannot be read at a second try either, is recorded once, by
//! name and reason, and is an error from then on; who iterates decides what takes its place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use sha2::{Digest, Sha256};
use walkdir::WalkDir;

use super::decode::EXTENSIONS;
use super::frame::{CLAMPED, Frame, FrameView};
use super::lock;
use super::scale::{Reading, ScaledFrame};
use super::source::{EncodedImage, EncodedImages, Source};
use super::stored::{Stored, read_scaled};
use crate::error::{Error, ErrorKind, Result};
use crate::memory::{STRIDE, push, room, spare};
use crate::warnings::Warnings;

/// Decoded frames of files are kept up to this many bytes: 5,461 frames of 256×256 in colour.
pub const DEFAULT_CACHE_BYTES: usize = 1 << 30;

/// An image, or a folder, that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The name as [`Dataset::name`] gives it.
    pub name: String,
    /// Why, for a person.
    pub reason: String,
}

/// An ordered list of images, shared between threads as `Arc<Dataset>`; frames may be pushed while others load.
pub struct Dataset {
    images: RwLock<Vec<Image>>,
    cache: Mutex<Cache>,
    broken: Mutex<Broken>,
    warnings: Warnings,
}

struct Image {
    name: String,
    source: Source,
}

struct Cache {
    /// By the number of the image and the scale that was asked for.
    frames: BTreeMap<(usize, u32), ScaledFrame>,
    /// What each image's file was found to be, so that a cached frame needs no look into the file.
    files: BTreeMap<usize, Stored>,
    bytes: usize,
    budget: usize,
}

#[derive(Default)]
struct Broken {
    /// Folders that could not be searched.
    folders: Vec<Skipped>,
    images: BTreeMap<usize, (Skipped, ErrorKind)>,
}

impl Dataset {
    /// Every image below `root`, told by its extension ([`EXTENSIONS`], any case), sorted by name. Links are followed;
    /// files and folders whose name starts with a dot are left out (thumbnails, resource forks). Nothing is decoded
    /// yet.
    ///
    /// # Errors
    /// `Io` where `root` cannot be searched, `InvalidArgument` where it holds no image, `OutOfMemory`.
    pub fn from_folder(root: &Path) -> Result<Self> {
        std::fs::read_dir(root).map_err(|error| Error::io("search the folder", root, &error))?;
        let hidden =
            |entry: &walkdir::DirEntry| entry.depth() > 0 && entry.file_name().as_encoded_bytes().starts_with(b".");
        let mut found = Vec::new();
        let mut others = 0usize;
        let mut broken = Broken::default();
        for entry in WalkDir::new(root).follow_links(true).into_iter().filter_entry(|entry| !hidden(entry)) {
            match entry {
                Ok(entry) if entry.file_type().is_dir() => {}
                Ok(entry) if is_image(entry.path()) => {
                    enough_for_names(found.len())?;
                    push(&mut found, (relative_name(root, entry.path()), entry.into_path()), NAMES)?;
                }
                Ok(_) => others += 1,
                Err(error) => {
                    let name = error.path().map_or_else(|| "?".to_owned(), |path| relative_name(root, path));
                    log::warn!("skipping {name}: {error}");
                    broken.folders.push(Skipped { name, reason: error.to_string() });
                }
            }
        }
        if found.is_empty() {
            return Err(Error::invalid(format!(
                "no image below {}: looked for files ending in {}, found {others} other files, {} unreadable entries",
                root.display(),
                EXTENSIONS.join(", "),
                broken.folders.len()
            )));
        }
        found.sort_unstable();
        Self::new(found, broken)
    }

    /// The given files in the given order, each named by its path. A file that is absent counts as a broken image.
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
            named.push((path.to_string_lossy().into_owned(), path));
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
            Image { name: image.name, source }
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
        images.extend(files.into_iter().map(|(name, path)| Image { name, source: Source::File(path) }));
        Ok(Self::of_images(images, broken))
    }

    fn of_images(images: Vec<Image>, broken: Broken) -> Self {
        let (frames, files) = (BTreeMap::new(), BTreeMap::new());
        let cache = Cache { frames, files, bytes: 0, budget: DEFAULT_CACHE_BYTES };
        let (images, cache, broken) = (RwLock::new(images), Mutex::new(cache), Mutex::new(broken));
        Self { images, cache, broken, warnings: Warnings::default() }
    }

    /// The images `numbers` of this one, in that order, as a data set of its own: names and files are the same, pushed
    /// frames are shared. What is found to be broken there is recorded there.
    ///
    /// # Errors
    /// `InvalidArgument` where there is no such image, `OutOfMemory`.
    pub fn subset(&self, numbers: &[usize]) -> Result<Self> {
        let mut chosen = room(numbers.len(), NAMES)?;
        for &number in numbers {
            enough_for_names(chosen.len())?;
            let (name, source) = self.image(number, |image| (image.name.clone(), image.source.clone()))?;
            chosen.push(Image { name, source });
        }
        Ok(Self::of_images(chosen, Broken::default()))
    }

    /// Appends a copy of `frame` and gives its number. Loaders that already run keep the length they started with.
    ///
    /// # Errors
    /// As [`FrameView::to_frame`], with the name in front.
    pub fn push(&self, name: &str, frame: &FrameView) -> Result<usize> {
        let copy = frame.to_frame().map_err(|error| error.context(name))?;
        if frame.is_clamped() {
            self.warnings.add(CLAMPED);
        }
        self.push_frame(name, copy)
    }

    /// Appends `frame` and gives its number, as [`Dataset::push`].
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn push_frame(&self, name: &str, frame: Frame) -> Result<usize> {
        let frame = Arc::new(frame);
        let mut images = self.images.write().unwrap_or_else(PoisonError::into_inner);
        enough_for_names(images.len())?;
        push(&mut images, Image { name: name.to_owned(), source: Source::Memory(frame) }, NAMES)?;
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
    /// Bytes that are not UTF-8 are replaced.
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

    /// The pixels of image `i` at their full size, decoded or from the cache.
    ///
    /// # Errors
    /// `InvalidArgument` where there is no image `i`; `Io` or `Format` where it is broken, now or at an earlier call;
    /// `OutOfMemory`, which does not count as broken.
    pub fn load(&self, i: usize) -> Result<Arc<Frame>> {
        Ok(self.load_scaled(i, |_, _| Reading::WHOLE)?.frame)
    }

    /// As [`Dataset::load`], but a JPEG of 1 or 3 components is read as `choose` says of its width and height. What
    /// cannot be decoded smaller comes at its full size. `choose` must depend on its arguments alone.
    ///
    /// # Errors
    /// Those of [`Dataset::load`].
    pub fn load_scaled(&self, i: usize, choose: impl Fn(u32, u32) -> Reading) -> Result<ScaledFrame> {
        let source = self.image(i, |image| image.source.clone())?;
        if let Source::Memory(frame) = source {
            return Ok(ScaledFrame::whole(frame));
        }
        let reading = |stored: Stored| match stored {
            Stored::Scalable(header) => choose(header.width, header.height),
            Stored::Whole => Reading::WHOLE,
        };
        let known = lock(&self.cache).files.get(&i).copied();
        let key = known.map(|stored| (i, reading(stored).scale));
        if let Some(frame) = key.and_then(|key| lock(&self.cache).frames.get(&key).cloned()) {
            return Ok(frame);
        }
        if let Some((skipped, kind)) = lock(&self.broken).images.get(&i) {
            return Err(Error::new(*kind, skipped.reason.clone()));
        }
        // Decoded without a lock held: two threads may decode the same image, none waits for another.
        match source.read(&self.name(i)?).and_then(|(place, bytes)| read_scaled(&place, &bytes, reading)) {
            Ok((stored, reading, frame)) => {
                let mut cache = lock(&self.cache);
                cache.files.insert(i, stored);
                if reading.keep {
                    cache.keep((i, reading.scale), &frame);
                }
                Ok(frame)
            }
            Err(error) => {
                if error.kind() != ErrorKind::OutOfMemory {
                    self.record(i, &error)?;
                }
                Err(error)
            }
        }
    }

    /// Sets the budget of decoded frames, in bytes; frames above it are dropped at once. Pushed frames do not count.
    pub fn set_cache_bytes(&self, bytes: usize) {
        let mut cache = lock(&self.cache);
        cache.budget = bytes;
        while cache.bytes > cache.budget {
            let Some((_, frame)) = cache.frames.pop_last() else { break };
            cache.bytes -= frame.frame.pixels().len();
        }
    }

    /// What could not be read so far, each once: folders first, then images by number.
    pub fn skipped(&self) -> Vec<Skipped> {
        lock(&self.broken).all().cloned().collect()
    }

    /// How many these are.
    pub fn skipped_count(&self) -> usize {
        let broken = lock(&self.broken);
        broken.folders.len() + broken.images.len()
    }

    /// Number `i` of them, if there are as many.
    pub fn skipped_at(&self, i: usize) -> Option<Skipped> {
        lock(&self.broken).all().nth(i).cloned()
    }

    /// What a caller should know about the images although they can be used.
    pub fn warnings(&self) -> &Warnings {
        &self.warnings
    }

    /// Gives images that could not be read another chance; those with damaged content stay broken.
    pub fn forget_unreadable(&self) {
        lock(&self.broken).images.retain(|_, (_, kind)| *kind != ErrorKind::Io);
    }

    /// Which images these are: SHA-256, in hexadecimal, over the number of images and each one's name and size in bytes
    /// of the file, number and size in bytes of a store's image, or the size and pixels of a pushed frame. Checkpoints and banks compare it before they are used. The
    /// content of files is not read, so a file that was changed without changing its size is not noticed.
    pub fn identity(&self) -> String {
        let images = self.images.read().unwrap_or_else(PoisonError::into_inner);
        let mut hash = Sha256::new();
        let word = |hash: &mut Sha256, number: u64| hash.update(number.to_le_bytes());
        word(&mut hash, images.len() as u64);
        for image in images.iter() {
            word(&mut hash, image.name.len() as u64);
            hash.update(image.name.as_bytes());
            match &image.source {
                Source::File(path) => word(&mut hash, std::fs::metadata(path).map_or(u64::MAX, |found| found.len())),
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
            }
        }
        crate::hash::text(hash)
    }

    fn image<T>(&self, i: usize, look: impl FnOnce(&Image) -> T) -> Result<T> {
        let images = self.images.read().unwrap_or_else(PoisonError::into_inner);
        let image = images.get(i).ok_or_else(|| {
            Error::invalid(format!("there is no image {i}, the data set holds {} (numbered from 0)", images.len()))
        })?;
        Ok(look(image))
    }

    fn record(&self, i: usize, error: &Error) -> Result<()> {
        let name = self.name(i)?;
        let mut broken = lock(&self.broken);
        broken.images.entry(i).or_insert_with(|| {
            log::warn!("skipping {name}: {error}");
            (Skipped { name, reason: error.message().to_owned() }, error.kind())
        });
        Ok(())
    }
}

impl Broken {
    fn all(&self) -> impl Iterator<Item = &Skipped> {
        self.folders.iter().chain(self.images.values().map(|(skipped, _)| skipped))
    }
}

impl Cache {
    fn keep(&mut self, key: (usize, u32), frame: &ScaledFrame) {
        let bytes = frame.frame.pixels().len();
        if bytes <= self.budget.saturating_sub(self.bytes) && self.frames.insert(key, frame.clone()).is_none() {
            self.bytes += bytes;
        }
    }
}

impl std::fmt::Debug for Dataset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Dataset({} images)", self.len())
    }
}

/// For messages.
const NAMES: &str = "the names of a data set's images";

/// Names and paths are small, but there may be millions of them.
fn enough_for_names(already: usize) -> Result<()> {
    if already.is_multiple_of(STRIDE) { spare(0, NAMES) } else { Ok(()) }
}

fn is_image(path: &Path) -> bool {
    path.extension()
        .and_then(|end| end.to_str())
        .is_some_and(|end| EXTENSIONS.contains(&end.to_ascii_lowercase().as_str()))
}

/// The path below `root` with `/` between its parts, so that names and order are the same on every system.
fn relative_name(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).unwrap_or(path);
    let parts: Vec<_> = below.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}
