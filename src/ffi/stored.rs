//! Reading a `seed_store`: lists, images, records, statistics, damage, and a data set of it.

use std::ffi::{c_char, c_void};
use std::path::Path;
use std::sync::Arc;

use super::border::catch;
use super::callback::Asked;
use super::cancel::seed_count_callback;
use super::dataset::seed_dataset;
use super::error::seed_error;
use super::handle::with;
use super::image::{fill_image, seed_image};
use super::pointers::{array, check_out, check_size, fill, fill_text, put, put_new, text};
use super::store::{
    SEED_STORE_BMP, SEED_STORE_JPEG, SEED_STORE_PNG, SEED_STORE_PNM, SEED_STORE_TIFF, SEED_STORE_WEBP, seed_store,
};
use crate::store::{Filter, Labelled, check, repair};
use crate::train::CancelToken;
use crate::{Error, Result};

/// Frames with a label or without.
pub const SEED_STORE_EITHER: i32 = 0;
/// Frames without a label.
pub const SEED_STORE_UNLABELLED: i32 = 1;
/// Frames with any label.
pub const SEED_STORE_LABELLED: i32 = 2;
/// Frames of one class.
pub const SEED_STORE_OF_CLASS: i32 = 3;

/// What a frame is called.
pub const SEED_STORE_TEXT_NAME: i32 = 1;
/// What was kept with it.
pub const SEED_STORE_TEXT_METADATA: i32 = 2;
/// What its class is called.
pub const SEED_STORE_TEXT_LABEL: i32 = 3;

/// Which frames are listed. Set struct_size to sizeof(seed_store_filter); 0 elsewhere asks for all.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct seed_store_filter {
    /// sizeof(seed_store_filter).
    pub struct_size: usize,
    /// Smallest id.
    pub first_id: i64,
    /// Largest id; 0: no bound.
    pub last_id: i64,
    /// Earliest time, in microseconds since 1970; 0: no bound.
    pub from_us: i64,
    /// Latest time; 0: no bound.
    pub until_us: i64,
    /// The class, for SEED_STORE_OF_CLASS.
    pub label: i64,
    /// Only the last so many of them; 0: all.
    pub last: u64,
    /// SEED_STORE_EITHER, _UNLABELLED, _LABELLED or _OF_CLASS.
    pub labelled: i32,
}

/// A stored frame. Set struct_size to sizeof(seed_store_record) first.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct seed_store_record {
    /// sizeof(seed_store_record).
    pub struct_size: usize,
    /// Its number.
    pub id: i64,
    /// Microseconds since 1970, UTC.
    pub time_us: i64,
    /// Its class; −1 where it has no label.
    pub label: i64,
    /// Length of the encoded image.
    pub bytes: u64,
    /// Pixels a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// 1 or 3.
    pub channels: u32,
    /// 8 to 16 bits a sample, as it is stored.
    pub bits: u32,
    /// CRC-32 of the encoded image.
    pub crc32: u32,
    /// SEED_STORE_PNG, _JPEG, _BMP, _TIFF, _WEBP or _PNM.
    pub encoding: i32,
}

/// What a store has done since it was opened, and holds. Set struct_size to sizeof(seed_store_stats) first.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct seed_store_stats {
    /// sizeof(seed_store_stats).
    pub struct_size: usize,
    /// Frames that were offered: the sum of stored, dropped, passed_over, failed and queue_frames.
    pub pushed: u64,
    /// Written, some of which may have gone since.
    pub stored: u64,
    /// Found no room in the queue in time.
    pub dropped: u64,
    /// Not chosen by the reservoir or as novel.
    pub passed_over: u64,
    /// Could not be encoded or written; the log says why.
    pub failed: u64,
    /// Have made room for others or were too old.
    pub evicted: u64,
    /// Wait for the store's thread.
    pub queue_frames: u64,
    /// Bytes of pixels that wait.
    pub queue_bytes: u64,
    /// Frames in the store.
    pub frames: u64,
    /// What they count for against max_bytes.
    pub bytes: u64,
    /// Of the file and its write-ahead log.
    pub file_bytes: u64,
}

/// The ids of the frames that `filter` (NULL: all) lets through, ascending, into `buffer`: NULL asks for the size; too small a buffer
/// is left alone; `*length` receives the ids needed. A frame that was just pushed is there after seed_store_flush.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_store_list(
    store: *const seed_store,
    filter: *const seed_store_filter,
    buffer: *mut i64,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    // SAFETY: passed on from the C caller, as in every function of this file.
    catch(|| unsafe {
        let filter = if filter.is_null() { Filter::default() } else { read_filter(&array("filter", filter, 1)?[0])? };
        fill(&with(store, |store| store.list(&filter))?, buffer, capacity, length)
    })
}

fn read_filter(filter: &seed_store_filter) -> Result<Filter> {
    check_size::<seed_store_filter>("seed_store_filter", filter.struct_size)?;
    let up_to = |bound: i64| if bound == 0 { i64::MAX } else { bound };
    let labelled = match filter.labelled {
        SEED_STORE_EITHER => Labelled::Either,
        SEED_STORE_UNLABELLED => Labelled::No,
        SEED_STORE_LABELLED => Labelled::Yes,
        SEED_STORE_OF_CLASS => Labelled::As(filter.label),
        other => {
            return Err(Error::invalid(format!(
                "filter.labelled is {other}, expected SEED_STORE_EITHER (0) to SEED_STORE_OF_CLASS (3)"
            )));
        }
    };
    let from = if filter.from_us == 0 { i64::MIN } else { filter.from_us };
    let last = (filter.last > 0).then_some(filter.last);
    Ok(Filter {
        ids: (filter.first_id, up_to(filter.last_id)),
        time_us: (from, up_to(filter.until_us)),
        labelled,
        last,
    })
}

/// What is known of frame `id`; `*record` has its struct_size set.
///
/// Errors: SEED_ERROR_INVALID_ARGUMENT when it is not there, as for every function that takes an id.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_store_describe(
    store: *const seed_store,
    id: i64,
    record: *mut seed_store_record,
) -> *mut seed_error {
    catch(|| unsafe {
        check_out("record", record)?;
        check_size::<seed_store_record>("seed_store_record", (*record).struct_size)?;
        let found = with(store, |store| store.record(id))?;
        let encoding = match found.encoding.as_str() {
            "jpeg" => SEED_STORE_JPEG,
            "bmp" => SEED_STORE_BMP,
            "tiff" => SEED_STORE_TIFF,
            "webp" => SEED_STORE_WEBP,
            "pnm" => SEED_STORE_PNM,
            _ => SEED_STORE_PNG,
        };
        put(
            record,
            seed_store_record {
                struct_size: size_of::<seed_store_record>(),
                id: found.id,
                time_us: found.time_us,
                label: found.label.map_or(-1, |label| label.0),
                bytes: found.bytes,
                width: found.width,
                height: found.height,
                channels: found.channels,
                bits: found.bits,
                crc32: found.crc32,
                encoding,
            },
        );
        Ok(())
    })
}

/// A text of frame `id`, `which` of SEED_STORE_TEXT_*, into `buffer`: NULL asks for the size; too small a buffer is left alone;
/// `*length` receives the bytes needed, the NUL included.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_store_text(
    store: *const seed_store,
    id: i64,
    which: i32,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        let record = with(store, |store| store.record(id))?;
        let found = match which {
            SEED_STORE_TEXT_NAME => record.name,
            SEED_STORE_TEXT_METADATA => record.metadata,
            SEED_STORE_TEXT_LABEL => record.label.map_or(String::new(), |label| label.1),
            other => return Err(Error::invalid(format!("which is {other}, expected SEED_STORE_TEXT_* (1 to 3)"))),
        };
        fill_text(&found, buffer, capacity, length)
    })
}

/// The pixels of frame `id`, by the rule of seed_image_decode.
///
/// Errors: SEED_ERROR_FORMAT when the image is damaged.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_store_pixels(
    store: *const seed_store,
    id: i64,
    image: *mut seed_image,
    buffer: *mut u8,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe { fill_image(&with(store, |store| store.load(id))?, image, buffer, capacity, length) })
}

/// The file of frame `id`, PNG or JPEG say, into `buffer`: NULL asks for the size; too small a buffer is left alone; `*length`
/// receives the bytes needed.
///
/// Errors: SEED_ERROR_FORMAT when the bytes are not those that were stored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_store_encoded(
    store: *const seed_store,
    id: i64,
    buffer: *mut u8,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe { fill(&with(store, |store| store.encoded(id))?, buffer, capacity, length) })
}

/// The embedding of frame `id`, of length 1, into `buffer` by the rule of seed_store_encoded; no floats where it has none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_store_embedding(
    store: *const seed_store,
    id: i64,
    buffer: *mut f32,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        let vector = with(store, |store| store.embedding(id))?.unwrap_or_default();
        fill(&vector, buffer, capacity, length)
    })
}

/// The classes of `count` frames, −1 where there is none, into `labels`, which holds as many.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_store_labels(
    store: *const seed_store,
    ids: *const i64,
    count: usize,
    labels: *mut i64,
) -> *mut seed_error {
    catch(|| unsafe {
        let ids = array("ids", ids, count)?;
        let found = with(store, |store| store.labels(ids))?;
        let found: Vec<i64> = found.into_iter().map(|label| label.unwrap_or(-1)).collect();
        if count > 0 {
            check_out("labels", labels)?;
            std::ptr::copy_nonoverlapping(found.as_ptr(), labels, count);
        }
        Ok(())
    })
}

/// Makes a data set of `count` frames in this order, or of all that are there now where `ids` is NULL; image i is frame ids[i]. It
/// reads the store when an image is asked for, and may outlive the handle. The store may grow meanwhile: what comes later is not in the
/// data set, and a frame that has gone is skipped, counted and named like a broken file. The caller frees it with seed_dataset_free.
///
/// Errors: SEED_ERROR_INVALID_ARGUMENT when there is no frame, or one of `ids` is not there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_dataset_open_store(
    store: *const seed_store,
    ids: *const i64,
    count: usize,
    out: *mut *mut seed_dataset,
) -> *mut seed_error {
    catch(|| unsafe {
        put_new(out, || {
            let chosen = if ids.is_null() { None } else { Some(array("ids", ids, count)?) };
            Ok(Arc::new(with(store, |store| store.dataset(chosen))?))
        })
    })
}

/// What the store has done since it was opened, and holds; `*stats` has its struct_size set. Cheap for the one that writes; a reader
/// counts all frames.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_store_stats_now(
    store: *const seed_store,
    stats: *mut seed_store_stats,
) -> *mut seed_error {
    catch(|| unsafe {
        check_out("stats", stats)?;
        check_size::<seed_store_stats>("seed_store_stats", (*stats).struct_size)?;
        let found = with(store, |store| store.stats())?;
        put(
            stats,
            seed_store_stats {
                struct_size: size_of::<seed_store_stats>(),
                pushed: found.pushed,
                stored: found.stored,
                dropped: found.dropped,
                passed_over: found.passed_over,
                failed: found.failed,
                evicted: found.evicted,
                queue_frames: found.queue_frames,
                queue_bytes: found.queue_bytes,
                frames: found.frames,
                bytes: found.bytes,
                file_bytes: found.file_bytes,
            },
        );
        Ok(())
    })
}

/// What keeps the store's thread from storing at the moment, a full disk say, by the rule of seed_store_text; an empty text when
/// nothing does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_store_trouble(
    store: *const seed_store,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        let trouble = with(store, |store| store.stats())?.trouble.unwrap_or_default();
        fill_text(&trouble, buffer, capacity, length)
    })
}

/// Looks at every page of the store in the file `path` and decodes every image; others may use it meanwhile. `callback` (may be NULL)
/// is told how many of how many frames are done, on this thread. Success means that the store is sound.
///
/// Errors: SEED_ERROR_FORMAT with the number of problems and the first hundred of them; SEED_ERROR_CANCELLED; SEED_ERROR_IO.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_store_check(
    path: *const c_char,
    callback: seed_count_callback,
    user_data: *mut c_void,
) -> *mut seed_error {
    catch(|| unsafe {
        let path = Path::new(text("path", path)?);
        let asked = Asked::default();
        let found = asked.result(check(path, &mut report(callback, user_data, &asked)))?;
        if found.problems == 0 {
            return Ok(());
        }
        let (problems, frames, named) = (found.problems, found.frames, found.named.join("; "));
        let reason = format!("{problems} problems in a store of {frames} frames: {named}");
        Err(Error::format(path, reason))
    })
}

/// Copies every sound frame, with its number, label and embedding, from the store in the file `path`, which nobody writes to, into a
/// new store in the file `new_path`. `callback` as for seed_store_check. `*saved` and `*lost` receive the numbers of frames, and
/// `*list_damaged` (may be NULL) 1 where the list of frames is itself damaged, so that nobody knows how many more there were, else 0.
///
/// Errors: SEED_ERROR_INVALID_ARGUMENT when `new_path` exists; SEED_ERROR_BUSY; SEED_ERROR_CANCELLED; SEED_ERROR_IO; SEED_ERROR_FORMAT
/// when the old store cannot even be opened.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_store_repair(
    path: *const c_char,
    new_path: *const c_char,
    callback: seed_count_callback,
    user_data: *mut c_void,
    saved: *mut u64,
    lost: *mut u64,
    list_damaged: *mut i32,
) -> *mut seed_error {
    catch(|| unsafe {
        check_out("saved", saved)?;
        check_out("lost", lost)?;
        if !list_damaged.is_null() {
            check_out("list_damaged", list_damaged)?;
        }
        let (path, new) = (Path::new(text("path", path)?), Path::new(text("new_path", new_path)?));
        let asked = Asked::default();
        let salvage = asked.result(repair(path, new, &mut report(callback, user_data, &asked)))?;
        put(saved, salvage.saved);
        put(lost, salvage.lost);
        if !list_damaged.is_null() {
            put(list_damaged, i32::from(salvage.list_damaged));
        }
        Ok(())
    })
}

/// The question whether to go on, as the store asks it.
///
/// # Safety
/// As [`Asked::going_on`].
unsafe fn report(callback: seed_count_callback, user_data: *mut c_void, asked: &Asked) -> impl FnMut(u64, u64) -> bool {
    // SAFETY: by contract.
    let mut going_on = unsafe { asked.going_on(callback, user_data, CancelToken::new()) };
    move |done, total| going_on(done as usize, total as usize)
}
