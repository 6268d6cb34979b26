//! A bounded store of frames on disk, which the line fills from its own thread and training reads while it grows.
//!
//! ```text
//! push (bounded copy) → queue → writer: encode → one transaction for up to 8 frames → SQLite file (write-ahead log)
//!        full: drop and count, or wait so long                    limits: bytes, count, age → newest | reservoir | novel
//!                          readers, other processes too: list, image, label, data set, sqlite3 ←┘
//! ```
//!
//! What [`Store::flush`] has confirmed survives the end of the process and of power. docs/store.md says why the images lie inside
//! the file, what each limit means, and what was measured.
//!
//! ```
//! use seed::data::{FrameView, PixelFormat};
//! use seed::store::{Entry, Filter, Labelled, Store, StoreOptions};
//! let folder = tempfile::tempdir().unwrap();
//! let store = Store::open(&folder.path().join("line.seed"), &StoreOptions::default())?;
//! let pixels = vec![128; 64 * 48];
//! let view = FrameView::new(&pixels, 64, 48, 64, PixelFormat::Mono8)?;
//! let id = store.push(&view, Entry::default(), std::time::Duration::ZERO)?.expect("the queue has room");
//! store.set_label(id, Some((2, "crack".to_owned())))?;
//! store.flush()?;
//! assert_eq!(store.list(&Filter { labelled: Labelled::As(2), ..Filter::default() })?, [id]);
//! assert_eq!(store.dataset(None)?.load(0)?.pixels(), pixels);
//! # Ok::<(), seed::Error>(())
//! ```

use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

mod fault;
mod inspect;
mod lock;
mod novelty;
mod options;
mod prepare;
mod queue;
mod reader;
mod record;
mod retention;
mod schema;
mod state;
mod stats;
mod writer;

pub use inspect::{Inspection, Salvage, check, repair};
pub use options::{Keep, MAX_NOVEL_FRAMES, MAX_QUEUE_FRAMES, StoreOptions};
pub use prepare::Embed;
pub use reader::{Filter, Labelled};
pub use record::{Entry, MAX_TEXT_BYTES, Record};
pub use stats::StoreStats;

use self::fault::fault;
use self::lock::lock_writer;
use self::queue::{Job, Pixels, Queue, Reply, writer_is_gone};
use self::reader::Reader;
use self::retention::{PRIORITIES, Retention};
use self::schema::place;
use self::writer::{Counters, Reserve, Writer};
use crate::data::decode::{MAX_FILE_BYTES, decode_bytes};
use crate::data::random::{Purpose, below, generator};
use crate::data::{Dataset, EncodedImage, EncodedImages, Frame, FrameView, PixelFormat, RawFrame};
use crate::error::{Error, ErrorKind, Result};
use crate::shutdown;
use crate::sys::file_lock::FileLock;
use crate::sys::memory::copied;

/// The largest number of a frame when a store is opened: at a million frames a second, the next ones last for centuries.
const MAX_ID: i64 = 1 << 53;

/// An open store. All functions may be called from several threads at once.
pub struct Store {
    reader: Arc<Reader>,
    writing: Option<Writing>,
}

/// What only the one that writes has.
struct Writing {
    queue: Arc<Queue>,
    counters: Arc<Counters>,
    options: StoreOptions,
    embed: Arc<RwLock<Option<Arc<Embed>>>>,
    pushed: AtomicU64,
    /// None once it has been waited for.
    thread: Mutex<Option<JoinHandle<Result<()>>>>,
    // Released after the thread has ended.
    _lock: FileLock,
}

impl Store {
    /// Opens the store at `path` to write, and makes it where there is none. Beside it lie `path`-wal, `path`-shm and `path`.reserve
    /// (room for a full disk) while it is open, and `path`.lock.
    ///
    /// # Errors
    /// `InvalidArgument` for options out of bounds; `Busy` where another writer has it; `Io`; `Format` where the file is no
    /// store; `Mismatch` for another version, or where novel frames are to be kept and stored ones have no embedding.
    pub fn open(path: &Path, options: &StoreOptions) -> Result<Self> {
        options.check()?;
        let path = &place(path)?;
        let lock = lock_writer(path)?;
        let connection = schema::open_to_write(path)?;
        let failed = |error| fault("open", path, &error);
        let retention = Retention::load(&connection, path, options)?;
        let get = |key: &str| state::get(&connection, key).map_err(failed);
        let last: i64 =
            connection.query_row("SELECT coalesce(max(id), 0) FROM frame", [], |row| row.get(0)).map_err(failed)?;
        // Numbers that a killed writer gave to frames it did not store are not given again: at most the queue's.
        let lost = if get("clean")? == Some(0) { MAX_QUEUE_FRAMES as i64 } else { 0 };
        let next_id = get("next_id")?.unwrap_or(1).max(last.saturating_add(1)).max(1).saturating_add(lost);
        if next_id > MAX_ID {
            let reason = format!(
                "the next frame would have the number {next_id}, expected at most {MAX_ID}; no store writes such numbers"
            );
            return Err(Error::format(path, reason));
        }
        let dim: Option<u64> = connection
            .query_row("SELECT (SELECT octet_length(vector) / 4 FROM embedding LIMIT 1)", [], |row| row.get(0))
            .map_err(failed)?;
        let counters = Arc::new(Counters {
            seen: AtomicU64::new(get("seen")?.unwrap_or(0).max(0) as u64),
            threshold: AtomicI64::new(retention.threshold),
            frames: AtomicU64::new(retention.frames),
            bytes: AtomicU64::new(retention.bytes),
            dim: AtomicU64::new(dim.unwrap_or(0)),
            ..Counters::default()
        });
        state::put(&connection, "clean", 0).map_err(failed)?;
        let version = connection.query_row("PRAGMA data_version", [], |row| row.get::<_, i64>(0)).map_err(failed)?;
        let queue = Arc::new(Queue::new(options.queue_frames, options.queue_bytes, next_id));
        let embed = Arc::new(RwLock::new(None));
        let reader = Arc::new(Reader::open(path)?);
        let writer = Writer {
            path: path.to_owned(),
            connection,
            queue: Arc::clone(&queue),
            counters: Arc::clone(&counters),
            options: options.clone(),
            embed: Arc::clone(&embed),
            retention: Some(retention),
            version,
            reserve: Reserve::beside(path),
            lost: None,
        };
        let thread = std::thread::Builder::new()
            .name("seed-store".to_owned())
            .spawn(|| writer.run())
            .map_err(|error| Error::new(ErrorKind::Io, format!("cannot start the store's writer: {error}")))?;
        let (options, pushed, thread) = (options.clone(), AtomicU64::new(0), Mutex::new(Some(thread)));
        Ok(Self { reader, writing: Some(Writing { queue, counters, options, embed, pushed, thread, _lock: lock }) })
    }

    /// Opens the store at `path` to read, whether another process writes to it or not.
    ///
    /// # Errors
    /// `Io` where there is no file, `Format` where it is no store, `Mismatch` for another version.
    pub fn open_to_read(path: &Path) -> Result<Self> {
        Ok(Self { reader: Arc::new(Reader::open(&place(path)?)?), writing: None })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.reader.path()
    }

    fn writing(&self) -> Result<&Writing> {
        self.writing.as_ref().ok_or_else(|| {
            let path = self.path().display();
            Error::invalid(format!("the store {path} was opened to read; open it to write for this"))
        })
    }

    /// Frames without an embedding get one by a function that gives rows of this width, from now on and in the writer's thread;
    /// `None` ends that.
    ///
    /// # Errors
    /// `InvalidArgument` for a store that only reads; `Mismatch` where stored embeddings have another width.
    pub fn embed_by(&self, embed: Option<(usize, Arc<Embed>)>) -> Result<()> {
        let writing = self.writing()?;
        if let Some((dim, _)) = &embed {
            writing.counters.settle_dim(*dim)?;
        }
        *writing.embed.write().unwrap_or_else(PoisonError::into_inner) = embed.map(|(_, embed)| embed);
        Ok(())
    }

    /// Copies a frame into the queue and gives the number under which it will be stored. `None` where it is not taken: there was
    /// no room within `wait`, or the reservoir passes it over ([`StoreStats`] counts both).
    ///
    /// # Errors
    /// `InvalidArgument` for an unsound frame or entry, a frame larger than the queue, one without an embedding where novel ones
    /// are kept; `Mismatch` for an embedding of another width; `OutOfMemory`.
    pub fn push(&self, view: &FrameView<'_>, entry: Entry, wait: Duration) -> Result<Option<i64>> {
        let kept = view.format.kept_as();
        if kept == PixelFormat::MonoF32 {
            let reason = "a store keeps samples of 8 to 16 bits, not floats: push whole numbers in a format of 16 bits";
            return Err(Error::new(ErrorKind::Unsupported, reason));
        }
        // At most 2^64; a frame too large is found as it is copied.
        let bytes = kept.row_bytes(view.width).saturating_mul(view.height.into());
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        self.offer(bytes, entry, wait, |buffer| Ok(Pixels::Raw(RawFrame::copy_of(view, buffer)?)))
    }

    /// As [`push`](Store::push), for a JPEG, PNG, BMP, TIFF, WebP or PNM, which is stored as it is. The writer decodes it, and one that is not
    /// sound counts as failed.
    ///
    /// # Errors
    /// As `push`.
    pub fn push_encoded(&self, file: &[u8], entry: Entry, wait: Duration) -> Result<Option<i64>> {
        if file.is_empty() || file.len() as u64 > MAX_FILE_BYTES {
            let found = file.len();
            return Err(Error::invalid(format!("the image has {found} bytes, expected 1 to {MAX_FILE_BYTES}")));
        }
        self.offer(file.len(), entry, wait, |_| Ok(Pixels::File(copied(file, "an image")?)))
    }

    fn offer(
        &self,
        bytes: usize,
        entry: Entry,
        wait: Duration,
        copy: impl FnOnce(Vec<u8>) -> Result<Pixels>,
    ) -> Result<Option<i64>> {
        let writing = self.writing()?;
        let counters = &writing.counters;
        let entry = entry.settled()?;
        match &entry.embedding {
            Some(vector) => counters.settle_dim(vector.len())?,
            None if writing.options.keep == Keep::Novel
                && writing.embed.read().unwrap_or_else(PoisonError::into_inner).is_none() =>
            {
                let message = "the store keeps novel frames, but this one has no embedding and the store no session";
                return Err(Error::invalid(message));
            }
            None => {}
        }
        let number = counters.seen.fetch_add(1, Ordering::Relaxed);
        let priority = priority(writing.options.seed, number);
        let reservoir = writing.options.keep == Keep::Reservoir && entry.label.is_none();
        if reservoir && priority >= counters.threshold.load(Ordering::Relaxed) {
            writing.pushed.fetch_add(1, Ordering::Relaxed);
            counters.passed_over.fetch_add(1, Ordering::Relaxed);
            return Ok(None);
        }
        let Some(mut place) = writing.queue.reserve(bytes, wait)? else {
            writing.pushed.fetch_add(1, Ordering::Relaxed);
            counters.dropped.fetch_add(1, Ordering::Relaxed);
            return Ok(None);
        };
        match copy(std::mem::take(&mut place.buffer)) {
            Ok(pixels) => {
                writing.pushed.fetch_add(1, Ordering::Relaxed);
                Ok(Some(writing.queue.enqueue(place, pixels, entry, priority)))
            }
            Err(error) => {
                writing.queue.release(place);
                Err(error)
            }
        }
    }

    /// Waits until all that was pushed before is stored and synced to the disk.
    ///
    /// # Errors
    /// `Io` where that cannot be done now, with the reason; the frames wait and are tried again.
    pub fn flush(&self) -> Result<()> {
        self.command(|reply| Job::Flush { reply })
    }

    /// Gives frame `id` a class and what that is called, or takes it (`None`), once all that was pushed before is stored.
    ///
    /// # Errors
    /// `InvalidArgument` where there is no such frame or the class is below 0; `Io`.
    pub fn set_label(&self, id: i64, label: Option<(i64, String)>) -> Result<()> {
        record::check_label(label.as_ref())?;
        self.command(|reply| Job::Label { id, label, reply })
    }

    /// Removes frames, all or none; those that are not there are fine. On a full disk this goes before frames that wait for room, so
    /// that it makes room for them; 512 KiB are held back for it, which suffice for some tens of frames at once.
    ///
    /// # Errors
    /// `Io`.
    pub fn remove(&self, ids: &[i64]) -> Result<()> {
        self.command(|reply| Job::Remove { ids: ids.to_vec(), reply: Some(reply) })
    }

    /// Stores what waits and ends writing: what is pushed afterwards is refused. Dropping a store does the same, but can only log
    /// what is lost. The first call says it; others, and a store that only reads, have nothing to say.
    ///
    /// # Errors
    /// Where frames that had got a number could not be stored since the store was opened (a full disk: one more try is made), or
    /// what was stored could not be synced.
    pub fn close(&self) -> Result<()> {
        self.writing.as_ref().map_or(Ok(()), Writing::end)
    }

    fn command(&self, job: impl FnOnce(Reply) -> Job) -> Result<()> {
        let (reply, answer) = sync_channel(1);
        self.writing()?.queue.command(job(reply))?;
        shutdown::aside(|| answer.recv()).unwrap_or_else(|_| Err(writer_is_gone()))
    }

    /// The ids that the filter lets through, ascending.
    ///
    /// # Errors
    /// `Io` or `Format` from the file.
    pub fn list(&self, filter: &Filter) -> Result<Vec<i64>> {
        self.reader.list(filter)
    }

    /// What stands beside frame `id`.
    ///
    /// # Errors
    /// `InvalidArgument` where it is not there; `Io` or `Format` from the file.
    pub fn record(&self, id: i64) -> Result<Record> {
        self.reader.record(id)
    }

    /// The encoded image of frame `id`.
    ///
    /// # Errors
    /// As [`record`](Store::record); `Format` where it is not what was stored.
    pub fn encoded(&self, id: i64) -> Result<Vec<u8>> {
        self.reader.encoded(id)
    }

    /// The pixels of frame `id`.
    ///
    /// # Errors
    /// As [`encoded`](Store::encoded).
    pub fn load(&self, id: i64) -> Result<Frame> {
        decode_bytes(&format!("frame {id} of {}", self.path().display()), &self.encoded(id)?)
    }

    /// The embedding of frame `id`, of length 1, if it has one.
    ///
    /// # Errors
    /// As [`record`](Store::record).
    pub fn embedding(&self, id: i64) -> Result<Option<Vec<f32>>> {
        self.reader.embedding(id)
    }

    /// The class of each frame, if it has one.
    ///
    /// # Errors
    /// As [`record`](Store::record).
    pub fn labels(&self, ids: &[i64]) -> Result<Vec<Option<i64>>> {
        self.reader.labels(ids)
    }

    /// A data set of the given frames in the given order, or of all that are there now. It reads the store when an image is asked
    /// for, and lives on without this object. A frame that has gone by then counts as a broken image.
    ///
    /// # Errors
    /// `InvalidArgument` where there is none, or one of `ids` is not there; `Io` or `Format` from the file.
    pub fn dataset(&self, ids: Option<&[i64]>) -> Result<Dataset> {
        let images = match ids {
            Some(ids) => self.reader.images(ids)?,
            None => self.reader.images(&self.reader.list(&Filter::default())?)?,
        };
        self.dataset_of(images)
    }

    /// What a data set needs to know of each of `ids`, `None` for a frame that is not there (any more).
    ///
    /// # Errors
    /// `Io` or `Format` from the file.
    pub fn present(&self, ids: &[i64]) -> Result<Vec<Option<EncodedImage>>> {
        self.reader.present(ids)
    }

    /// A data set of frames as [`present`](Store::present) once gave them: the same one on another day, whatever has gone by then.
    ///
    /// # Errors
    /// `InvalidArgument` where there is none.
    pub fn dataset_of(&self, images: Vec<EncodedImage>) -> Result<Dataset> {
        let store: Arc<dyn EncodedImages> = Arc::clone(&self.reader) as _;
        Dataset::from_encoded(images, &store)
    }

    /// The same store, to read: it may be kept for as long as one likes, and does not keep the writer.
    #[must_use]
    pub fn to_read(&self) -> Self {
        Self { reader: Arc::clone(&self.reader), writing: None }
    }
}

/// The draw of frame `number`, from 0 to below [`PRIORITIES`].
fn priority(seed: u64, number: u64) -> i64 {
    below(&mut generator(seed, 0, number, Purpose::Reservoir), PRIORITIES as u64) as i64
}

impl Writing {
    fn end(&self) -> Result<()> {
        self.queue.close();
        // Held to the end: who calls meanwhile returns when all is stored, too.
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = thread.take().map_or(Ok(Ok(())), |thread| shutdown::aside(|| thread.join()));
        ended.unwrap_or_else(|_| Err(writer_is_gone()))
    }
}

impl Drop for Writing {
    /// Stores what waits; where that fails, one more try is made, and the log says what is lost.
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            log::error!("{error}");
        }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({}, {})", self.path().display(), if self.writing.is_some() { "writes" } else { "reads" })
    }
}
