//! `seed_store`: a bounded store of frames on disk. This file opens and fills it; `stored.rs` reads.

use std::ffi::c_char;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::border::catch;
use super::error::seed_error;
use super::handle::{Guarded, free, handle, with};
use super::image::seed_image;
use super::pointers::{array, check_out, check_size, put, put_new, text};
use super::session::seed_session;
use crate::data::{Encoding, FrameView};
use crate::store::{Embed, Entry, Keep, Store, StoreOptions};
use crate::{Error, Result};

/// The frames that were pushed last stay.
pub const SEED_STORE_KEEP_NEWEST: i32 = 1;
/// A uniform sample of all frames that were pushed stays, the same for the same seed.
pub const SEED_STORE_KEEP_RESERVOIR: i32 = 2;
/// Frames that are far from their nearest stored neighbour by the cosine of their embeddings stay.
pub const SEED_STORE_KEEP_NOVEL: i32 = 3;

/// Lossless PNG of 8 to 16 bits a sample; an sBIT chunk says how many of 16 are real.
pub const SEED_STORE_PNG: i32 = 1;
/// JPEG: the upper 8 bits of each sample, so a range in samples of more bits does not fit what is stored; a frame of more than 8 bits is a
/// warning in the log.
pub const SEED_STORE_JPEG: i32 = 2;
/// BMP, of images that were pushed encoded.
pub const SEED_STORE_BMP: i32 = 3;
/// TIFF, of images that were pushed encoded.
pub const SEED_STORE_TIFF: i32 = 4;
/// WebP, of images that were pushed encoded.
pub const SEED_STORE_WEBP: i32 = 5;
/// PBM, PGM or PPM, of images that were pushed encoded.
pub const SEED_STORE_PNM: i32 = 6;

/// A bounded store of frames on disk: the line pushes, a thread of the store's encodes and writes, and any number of
/// threads and processes read meanwhile. One process writes. The file is an SQLite data base (docs/store.md). All functions
/// may be called from several threads at once.
pub struct seed_store(pub(super) Guarded<Store>);
handle!(seed_store, Store);

/// How a store is opened. Set struct_size to sizeof(seed_store_options); 0 elsewhere is the default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct seed_store_options {
    /// sizeof(seed_store_options).
    pub struct_size: usize,
    /// Most bytes of images, embeddings and texts; the file is a few per cent larger. Default: 8 GiB.
    pub max_bytes: u64,
    /// Most frames. Default: no limit.
    pub max_frames: u64,
    /// Unlabelled frames older than this are let go. Default: no limit.
    pub max_age_seconds: u64,
    /// Of the reservoir's choice.
    pub seed: u64,
    /// Most bytes of pixels that wait for the store's thread. Default: 256 MiB.
    pub queue_bytes: u64,
    /// Most frames that wait for the store's thread, up to 65536. Default: 32.
    pub queue_frames: u32,
    /// SEED_STORE_KEEP_*. Default: the newest. Novel needs max_frames, at most 1048576. Labelled frames stay before all others.
    pub keep: i32,
    /// SEED_STORE_PNG (the default) or SEED_STORE_JPEG.
    pub encoding: i32,
    /// 1 to 100, for SEED_STORE_JPEG alone. Default: 90.
    pub jpeg_quality: i32,
}

/// What goes with a frame. Set struct_size to sizeof(seed_store_entry); NULL and 0 elsewhere are fine.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct seed_store_entry {
    /// sizeof(seed_store_entry).
    pub struct_size: usize,
    /// What the frame is called; need not be unique.
    pub name: *const c_char,
    /// Whatever shall be kept with it, JSON say.
    pub metadata: *const c_char,
    /// Microseconds since 1970, UTC; 0: the clock's now.
    pub time_us: i64,
    /// embedding_dim floats, kept with length 1. All of a store must be as wide and come from one network.
    pub embedding: *const f32,
    /// Their number; 0: no embedding.
    pub embedding_dim: usize,
    /// The frame's class, from 0 on, if has_label is not 0.
    pub label: i64,
    /// What the class is called.
    pub label_text: *const c_char,
    /// Whether the frame has a label.
    pub has_label: i32,
}

fn read_options(options: &seed_store_options) -> Result<StoreOptions> {
    check_size::<seed_store_options>("seed_store_options", options.struct_size)?;
    let standard = StoreOptions::default();
    let or = |value: u64, default: u64| if value == 0 { default } else { value };
    let keep = match options.keep {
        0 | SEED_STORE_KEEP_NEWEST => Keep::Newest,
        SEED_STORE_KEEP_RESERVOIR => Keep::Reservoir,
        SEED_STORE_KEEP_NOVEL => Keep::Novel,
        other => return Err(Error::invalid(format!("keep is {other}, expected SEED_STORE_KEEP_* (1 to 3)"))),
    };
    let encoding = match (options.encoding, options.jpeg_quality) {
        (0 | SEED_STORE_PNG, _) => Encoding::Png,
        (SEED_STORE_JPEG, 0) => Encoding::Jpeg { quality: 90 },
        (SEED_STORE_JPEG, quality @ 1..=100) => Encoding::Jpeg { quality: quality as u8 },
        (SEED_STORE_JPEG, quality) => {
            return Err(Error::invalid(format!("jpeg_quality is {quality}, expected 1 to 100")));
        }
        (other, _) => {
            return Err(Error::invalid(format!(
                "encoding is {other}, expected SEED_STORE_PNG (1) or SEED_STORE_JPEG (2)"
            )));
        }
    };
    Ok(StoreOptions {
        max_bytes: or(options.max_bytes, standard.max_bytes),
        max_frames: or(options.max_frames, standard.max_frames),
        max_age: (options.max_age_seconds > 0).then(|| Duration::from_secs(options.max_age_seconds)),
        keep,
        encoding,
        queue_frames: or(options.queue_frames.into(), standard.queue_frames as u64) as usize,
        queue_bytes: usize::try_from(or(options.queue_bytes, standard.queue_bytes as u64)).unwrap_or(usize::MAX),
        seed: options.seed,
    })
}

/// Opens the store in the file `path` to write, and makes it where there is none; `options` NULL means all defaults. Beside it lie
/// `path`.lock and, while it is open, `path`-wal and `path`-shm. It must be on a local disk. The caller frees it with
/// seed_store_free.
///
/// Errors: SEED_ERROR_BUSY when another store writes to it, here or in another process; SEED_ERROR_IO; SEED_ERROR_FORMAT when the
/// file is no store; SEED_ERROR_MISMATCH for another version's, or when novel frames are to be kept and stored ones have no
/// embedding.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_store_open(
    path: *const c_char,
    options: *const seed_store_options,
    out: *mut *mut seed_store,
) -> *mut seed_error {
    // SAFETY: passed on from the C caller, as in every function of this file.
    catch(|| unsafe {
        put_new(out, || {
            let options = if options.is_null() {
                StoreOptions::default()
            } else {
                read_options(&array("options", options, 1)?[0])?
            };
            Store::open(Path::new(text("path", path)?), &options)
        })
    })
}

/// Opens the store in the file `path` to read, whether or not a process writes to it. Functions that change the store answer
/// SEED_ERROR_INVALID_ARGUMENT. The caller frees it with seed_store_free.
///
/// Errors: SEED_ERROR_IO when there is no such file, SEED_ERROR_FORMAT when it is no store, SEED_ERROR_MISMATCH for another version's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_store_open_to_read(path: *const c_char, out: *mut *mut seed_store) -> *mut seed_error {
    catch(|| unsafe { put_new(out, || Store::open_to_read(Path::new(text("path", path)?))) })
}

/// Stores what waits and ends writing, and says what could not be stored. What is pushed afterwards is refused; reading goes on. The
/// handle stays to be freed by seed_store_free. Only the first call says what was lost. A store that was opened to read is left as it
/// is.
///
/// Errors: SEED_ERROR_IO (a full disk, after one more try) when frames that had got a number since the store was opened are lost, how
/// many and why, or when what was stored could not be synced.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_store_close(store: *const seed_store) -> *mut seed_error {
    catch(|| with(store, |store| store.close()))
}

/// Releases a store, after what seed_store_close does: what could not be stored only the log says. NULL is fine. Data sets of the
/// store live on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_store_free(store: *mut seed_store) {
    free(store)
}

/// Frames without an embedding get that of `session`, as it is now, in the store's thread from now on; NULL ends it. After
/// seed_session_swap the store goes on with the old network: embeddings of two networks cannot be compared.
///
/// Errors: SEED_ERROR_MISMATCH when the store has embeddings of another width.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_store_set_session(
    store: *const seed_store,
    session: *const seed_session,
) -> *mut seed_error {
    catch(|| {
        if session.is_null() {
            return with(store, |store| store.embed_by(None));
        }
        let session = with(session, |session| Ok(session.current()))?;
        let dim = session.dim();
        let embed: Arc<Embed> = Arc::new(move |frames: &[FrameView<'_>]| session.embed(frames));
        with(store, |store| store.embed_by(Some((dim, embed))))
    })
}

/// Copies a frame into the store's queue and returns; encoding and writing happen in the store's thread. `entry` may be NULL.
/// Where the queue is full it waits up to `wait_ms` milliseconds for room (0: not at all; UINT32_MAX: for ever). `*id` (may be NULL)
/// receives the number under which the frame will be stored, from 1 on and never given twice, or 0 when it was not taken: there was
/// no room, or the reservoir passes it over; seed_store_stats_now counts both.
///
/// Errors: SEED_ERROR_INVALID_ARGUMENT for an image that is not sound or larger than queue_bytes, and where novel frames are kept and
/// there is neither an embedding nor a session; SEED_ERROR_MISMATCH for an embedding of another width; SEED_ERROR_UNSUPPORTED for
/// SEED_PIXEL_MONO_F32.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_store_push(
    store: *const seed_store,
    image: *const seed_image,
    entry: *const seed_store_entry,
    wait_ms: u32,
    id: *mut i64,
) -> *mut seed_error {
    catch(|| unsafe {
        check_place(id)?;
        let view = array("image", image, 1)?[0].view()?;
        let entry = read_entry(entry)?;
        let number = with(store, |store| store.push(&view, entry, patience(wait_ms)))?;
        put_id(id, number);
        Ok(())
    })
}

/// As seed_store_push for `length` bytes of JPEG, PNG, BMP, TIFF, WebP or PNM, which are stored as they are. One that does not decode counts as
/// failed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_store_push_encoded(
    store: *const seed_store,
    bytes: *const u8,
    length: usize,
    entry: *const seed_store_entry,
    wait_ms: u32,
    id: *mut i64,
) -> *mut seed_error {
    catch(|| unsafe {
        check_place(id)?;
        let bytes = array("bytes", bytes, length)?;
        let entry = read_entry(entry)?;
        let number = with(store, |store| store.push_encoded(bytes, entry, patience(wait_ms)))?;
        put_id(id, number);
        Ok(())
    })
}

/// Waits until all frames that were pushed before are stored and synced to the disk: they survive the end of the process, and of
/// power where the disk keeps its word.
///
/// Errors: SEED_ERROR_IO when that cannot be done now, with the reason; the frames wait and are tried again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_store_flush(store: *const seed_store) -> *mut seed_error {
    catch(|| with(store, Store::flush))
}

/// Gives frame `id` the class `label`, from 0 on, called `label_text` (may be NULL), once all that was pushed before is stored; a
/// negative `label` takes the label away. Labelled frames are not let go for their age, and for others only when all are labelled.
///
/// Errors: SEED_ERROR_INVALID_ARGUMENT when there is no such frame, SEED_ERROR_IO.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_store_set_label(
    store: *const seed_store,
    id: i64,
    label: i64,
    label_text: *const c_char,
) -> *mut seed_error {
    catch(|| unsafe {
        let words = optional_text("label_text", label_text)?;
        let label = (label >= 0).then(|| (label, words.to_owned()));
        with(store, |store| store.set_label(id, label))
    })
}

/// Removes `count` frames, all or none; those that are not there are fine.
///
/// Errors: SEED_ERROR_IO.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_store_remove(store: *const seed_store, ids: *const i64, count: usize) -> *mut seed_error {
    catch(|| unsafe {
        let ids = array("ids", ids, count)?;
        with(store, |store| store.remove(ids))
    })
}

fn patience(wait_ms: u32) -> Duration {
    if wait_ms == u32::MAX { Duration::MAX } else { Duration::from_millis(wait_ms.into()) }
}

unsafe fn optional_text<'a>(name: &str, pointer: *const c_char) -> Result<&'a str> {
    // SAFETY: by contract of the C functions.
    if pointer.is_null() { Ok("") } else { unsafe { text(name, pointer) } }
}

unsafe fn read_entry(entry: *const seed_store_entry) -> Result<Entry> {
    if entry.is_null() {
        return Ok(Entry::default());
    }
    // SAFETY: by contract of the C functions.
    unsafe {
        let entry = array("entry", entry, 1)?[0];
        check_size::<seed_store_entry>("seed_store_entry", entry.struct_size)?;
        let words = optional_text("entry.label_text", entry.label_text)?;
        Ok(Entry {
            name: optional_text("entry.name", entry.name)?.to_owned(),
            time_us: (entry.time_us != 0).then_some(entry.time_us),
            metadata: optional_text("entry.metadata", entry.metadata)?.to_owned(),
            embedding: match entry.embedding_dim {
                0 => None,
                dim => Some(array("entry.embedding", entry.embedding, dim)?.to_vec()),
            },
            label: (entry.has_label != 0).then(|| (entry.label, words.to_owned())),
        })
    }
}

/// Checks the place for a number that may be NULL, before anything is pushed.
fn check_place(id: *mut i64) -> Result<()> {
    if id.is_null() { Ok(()) } else { check_out("id", id) }
}

/// # Safety
/// `id` passed [`check_place`].
unsafe fn put_id(id: *mut i64, number: Option<i64>) {
    if !id.is_null() {
        // SAFETY: by contract.
        unsafe { put(id, number.unwrap_or(0)) };
    }
}
