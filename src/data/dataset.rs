//! Images by number: files of a folder or a list, images of a store, and frames pushed from memory, in one growing list.
//!
//! Files are decoded when asked for, and decoded frames are kept while a byte budget lasts ([`DEFAULT_CACHE_BYTES`]).
//! Nothing is thrown out for something newer: an epoch visits every image once in random order, so an older frame is as
//! likely to be needed as a newer one.
//!
//! An image that cannot be used is recorded by name and reason, and is an error; who iterates decides what takes its place.
//! What could not be read (a disk that is away) is asked for again at every call, and its record goes when it is back. Damaged
//! content is not decoded again until the file changes.
//!
//! A name that is not UTF-8 is written with `\xNN` for each byte that is none, and `\x5C` for a backslash before an `x`, so that
//! different files always have different names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use sha2::{Digest, Sha256};
use walkdir::WalkDir;

use super::decode::EXTENSIONS;
use super::frame::{CLAMPED, Frame, FrameView};
use super::lock;
use super::scale::{Reading, ScaledFrame};
use super::source::{EncodedImage, EncodedImages, Source, Stamp, absolute};
use super::stored::{Stored, read_scaled};
use crate::error::{Error, ErrorKind, Result};
use crate::memory::{STRIDE, copied, filled, push, room, spare};
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
    broken: Arc<Mutex<Broken>>,
    /// The data set that this one is a part of, which is told what is broken.
    whole: Option<Arc<Whole>>,
    warnings: Warnings,
}

struct Image {
    name: String,
    source: Source,
    /// Bytes of the file when it was last looked at, [`UNKNOWN`] before: what [`Dataset::identity`] says of a file that is away.
    bytes: AtomicU64,
}

/// No file has this many bytes.
const UNKNOWN: u64 = u64::MAX;

impl Image {
    fn new(name: String, source: Source) -> Self {
        Self { name, source, bytes: AtomicU64::new(UNKNOWN) }
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

/// What a part of a data set knows of the whole.
struct Whole {
    broken: Arc<Mutex<Broken>>,
    /// Numbers in the whole.
    numbers: Vec<usize>,
    /// Where the whole is a part itself.
    above: Option<Arc<Whole>>,
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
    images: BTreeMap<usize, BrokenImage>,
}

#[derive(Clone)]
struct BrokenImage {
    skipped: Skipped,
    kind: ErrorKind,
    /// The file as it was before it was read; none for what is no file.
    stamp: Option<Stamp>,
}

impl Dataset {
    /// Every image below `root`, told by its extension ([`EXTENSIONS`], any case), sorted by name. Links are followed;
    /// files and folders whose name starts with a dot are left out (thumbnails, resource forks). Nothing is decoded
    /// yet. A relative `root` is that of now: the process may change its directory later.
    ///
    /// # Errors
    /// `Io` where `root` cannot be searched, `InvalidArgument` where it holds no image, `OutOfMemory`.
    pub fn from_folder(root: &Path) -> Result<Self> {
        std::fs::read_dir(root).map_err(|error| Error::io("search the folder", root, &error))?;
        let root = absolute(root);
        let root = root.as_path();
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
        let (frames, files) = (BTreeMap::new(), BTreeMap::new());
        let cache = Cache { frames, files, bytes: 0, budget: DEFAULT_CACHE_BYTES };
        let broken = Arc::new(Mutex::new(broken));
        let (images, cache) = (RwLock::new(images), Mutex::new(cache));
        Self { images, cache, broken, whole: None, warnings: Warnings::default() }
    }

    /// The images `numbers` of this one, in that order, as a data set of its own: names and files are the same, pushed
    /// frames are shared. What is found to be broken there is recorded there and here.
    ///
    /// # Errors
    /// `InvalidArgument` where there is no such image, `OutOfMemory`.
    pub fn subset(&self, numbers: &[usize]) -> Result<Self> {
        let mut chosen = room(numbers.len(), NAMES)?;
        for &number in numbers {
            enough_for_names(chosen.len())?;
            let (name, source) = self.image(number, |image| (image.name.clone(), image.source.clone()))?;
            chosen.push(Image::new(name, source));
        }
        let whole = Whole {
            broken: Arc::clone(&self.broken),
            numbers: copied(numbers, NAMES)?,
            above: self.whole.as_ref().map(Arc::clone),
        };
        Ok(Self { whole: Some(Arc::new(whole)), ..Self::of_images(chosen, Broken::default()) })
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
        push(&mut images, Image::new(name.to_owned(), Source::Memory(frame)), NAMES)?;
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

    /// The pixels of image `i` at their full size, decoded or from the cache.
    ///
    /// # Errors
    /// `InvalidArgument` where there is no image `i`; `Io` where it cannot be read now; `Format` where it is damaged, now or
    /// when it was last read, unless its file has changed since; `OutOfMemory`, which does not count as broken.
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
        if let Some(error) = self.still_broken(i, &source) {
            return Err(error);
        }
        // Before reading: a file that is written meanwhile has another one afterwards.
        let stamp = source.stamp();
        // Decoded without a lock held: two threads may decode the same image, none waits for another.
        match source.read(&self.name(i)?).and_then(|(place, bytes)| read_scaled(&place, &bytes, reading)) {
            Ok((stored, reading, frame)) => {
                let mut cache = lock(&self.cache);
                cache.files.insert(i, stored);
                if reading.keep {
                    cache.keep((i, reading.scale), &frame);
                }
                drop(cache);
                self.found_sound(i, stamp)?;
                Ok(frame)
            }
            Err(error) => {
                if error.kind() != ErrorKind::OutOfMemory {
                    self.record(i, &error, stamp)?;
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

    /// What could not be used when it was last asked for, each once: folders first, then images by number.
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
        let count = numbers.len();
        let (mut unreadable, mut damaged, mut reasons) = (0usize, 0usize, Vec::new());
        let broken = lock(&self.broken);
        for image in numbers.filter_map(|number| broken.images.get(&number)) {
            match image.kind {
                ErrorKind::Io => unreadable += 1,
                _ => damaged += 1,
            }
            if reasons.len() < REASONS {
                reasons.push(image.skipped.reason.as_str());
            }
        }
        if unreadable + damaged > REASONS {
            reasons.push("…");
        }
        let kind = if unreadable > 0 { ErrorKind::Io } else { ErrorKind::Format };
        let found = format!("{unreadable} cannot be opened or read, {damaged} are damaged");
        let message = format!("none of the {count} images can be read ({found}): {}", reasons.join("; "));
        Error::new(kind, message)
    }

    /// Which images these are: SHA-256, in hexadecimal, over the number of images and each one's name and size in bytes
    /// of the file, number and size in bytes of a store's image, or the size and pixels of a pushed frame. Checkpoints and banks
    /// compare it before they are used. The content of files is not read, so a file that was changed without changing its size
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

    /// The error of a damaged image whose file is as it was; none for what is to be read.
    fn still_broken(&self, i: usize, source: &Source) -> Option<Error> {
        let known = lock(&self.broken).images.get(&i).cloned()?;
        let same = known.kind != ErrorKind::Io && known.stamp == source.stamp();
        same.then(|| Error::new(known.kind, known.skipped.reason))
    }

    fn record(&self, i: usize, error: &Error, stamp: Option<Stamp>) -> Result<()> {
        let name = self.name(i)?;
        let skipped = Skipped { name, reason: error.message().to_owned() };
        let image = BrokenImage { skipped, kind: error.kind(), stamp };
        let known = lock(&self.broken).images.insert(i, image.clone());
        if known.is_none_or(|known| known.skipped.reason != image.skipped.reason) {
            log::warn!("skipping {}: {error}", image.skipped.name);
        }
        self.tell_whole(i, |broken, number| _ = broken.images.insert(number, image.clone()));
        Ok(())
    }

    /// Image `i` could be read from a file of this stamp.
    fn found_sound(&self, i: usize, stamp: Option<Stamp>) -> Result<()> {
        if let Some(stamp) = stamp {
            self.image(i, |image| image.bytes.store(stamp.bytes, Ordering::Relaxed))?;
        }
        let known = lock(&self.broken).images.remove(&i);
        if let Some(known) = known {
            log::info!("{} can be read again", known.skipped.name);
        }
        self.tell_whole(i, |broken, number| _ = broken.images.remove(&number));
        Ok(())
    }

    /// Does the same to the records of what this is a part of; an image that was pushed here is not there.
    fn tell_whole(&self, i: usize, tell: impl Fn(&mut Broken, usize)) {
        let (mut place, mut whole) = (i, self.whole.as_ref());
        while let Some(above) = whole {
            let Some(&number) = above.numbers.get(place) else { return };
            tell(&mut lock(&above.broken), number);
            (place, whole) = (number, above.above.as_ref());
        }
    }
}

impl Broken {
    fn all(&self) -> impl Iterator<Item = &Skipped> {
        self.folders.iter().chain(self.images.values().map(|image| &image.skipped))
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

/// Reasons that [`Dataset::nothing_to_read`] gives.
const REASONS: usize = 3;

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
    let parts: Vec<_> = below.components().map(|part| escaped(part.as_os_str().as_encoded_bytes())).collect();
    parts.join("/")
}

/// `bytes` as text in which no two names are the same: see the module's notes.
fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(&chunk.valid().replace("\\x", "\\x5Cx"));
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_differ_stay_different() {
        let names: [&[u8]; 7] = [
            b"kl\xe4sse",
            b"kl\xe5sse",
            "kl\u{e4}sse".as_bytes(),
            b"kl\\xE4sse",
            b"kl\\x5CxE4sse",
            b"kl\xff\\x",
            b"kl\\a",
        ];
        let escaped: Vec<String> = names.iter().map(|name| escaped(name)).collect();
        assert_eq!(escaped[..4], ["kl\\xE4sse", "kl\\xE5sse", "kl\u{e4}sse", "kl\\x5CxE4sse"]);
        assert_eq!(escaped[6], "kl\\a", "a backslash alone stays");
        let different: std::collections::BTreeSet<&String> = escaped.iter().collect();
        assert_eq!(different.len(), names.len());
    }
}
