//! Looking through a whole store for damage, and saving what is sound into a new one.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::fault::fault;
use super::lock::lock_writer;
use super::prepare::Prepared;
use super::reader::{Filter, Reader};
use super::record::{Entry, Record};
use super::retention::insert;
use super::schema::{open_to_read, open_to_write, place};
use super::state;
use crate::data::decode::decode_bytes;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::memory::{push, reserve};

/// Most problems that are put into words.
const NAMED: usize = 100;

/// Frames of one transaction of a repair.
const BATCH: usize = 16;

/// Told how many of how many frames are done; returning false stops.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64) -> bool;

/// What [`check`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inspection {
    /// Frames that were looked at.
    pub frames: u64,
    /// How many problems there are; 0: the store is sound.
    pub problems: u64,
    /// The first hundred, for a person.
    pub named: Vec<String>,
}

/// What [`repair`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Salvage {
    /// Frames in the new store.
    pub saved: u64,
    /// Frames that are named in the old one, but damaged.
    pub lost: u64,
    /// Whether the list of frames is itself damaged, so that nobody knows how many there were.
    pub list_damaged: bool,
}

impl Inspection {
    fn note(&mut self, problem: String) {
        self.problems += 1;
        if self.named.len() < NAMED {
            self.named.push(problem);
        }
    }
}

/// Looks at every page of the file at `path` and at every image: its checksum, and whether it decodes. Others may read and write
/// meanwhile; frames that go while it runs are no problem.
///
/// # Errors
/// `Cancelled` by `progress`; `OutOfMemory`; `Io`, `Format` or `Mismatch` where the file cannot even be opened.
pub fn check(path: &Path, progress: Progress<'_>) -> Result<Inspection> {
    let path = &place(path)?;
    let mut found = Inspection::default();
    let connection = open_to_read(path)?;
    let pages = || -> rusqlite::Result<Vec<String>> {
        let mut query = connection.prepare(&format!("PRAGMA integrity_check({NAMED})"))?;
        query.query_map([], |row| row.get(0))?.collect()
    };
    match pages() {
        Ok(lines) => lines.into_iter().filter(|line| line != "ok").for_each(|line| found.note(line)),
        Err(error) => {
            let error = fault("check", path, &error);
            if error.kind() == ErrorKind::OutOfMemory {
                return Err(error);
            }
            found.note(error.message().to_owned());
        }
    }
    let reader = Reader::open(path)?;
    let (ids, sound) = walk(&connection)?;
    if !sound {
        found.note("the list of frames is damaged".to_owned());
    }
    for (done, &id) in ids.iter().enumerate() {
        if !progress(done as u64, ids.len() as u64) {
            return Err(cancelled("check", done, ids.len()));
        }
        found.frames += 1;
        let decoded = reader.encoded(id).and_then(|file| decode_bytes(&format!("frame {id}"), &file));
        let problem = decoded.map(|_| ()).and_then(|()| reader.embedding(id).map(|_| ()));
        if let Err(error) = problem {
            // Says nothing about the file.
            if error.kind() == ErrorKind::OutOfMemory {
                return Err(error);
            }
            // A frame that the writer has let go since is gone from the list as well.
            let still = reader.list(&Filter { ids: (id, id), ..Filter::default() });
            if still.is_ok_and(|still| still.is_empty()) {
                continue;
            }
            found.note(error.message().to_owned());
        }
    }
    progress(ids.len() as u64, ids.len() as u64);
    Ok(found)
}

/// Copies every sound frame, with its number, label and embedding, from the store at `path` into a new one at `new`.
///
/// # Errors
/// `InvalidArgument` where `new` exists; `Busy` where someone writes to the old store; `Cancelled` by `progress` (what was
/// saved stays); `Io`; `Format` where the old one cannot even be opened.
pub fn repair(path: &Path, new: &Path, progress: Progress<'_>) -> Result<Salvage> {
    let (path, new) = (&place(path)?, &place(new)?);
    if new.exists() {
        return Err(Error::invalid(format!("{} exists, expected a path for a new store", new.display())));
    }
    std::fs::metadata(path).map_err(|error| Error::io("open the store", path, &error))?;
    let _old_lock = lock_writer(path)?;
    let old = open_to_read(path)?;
    let reader = Reader::open(path)?;
    let _new_lock = lock_writer(new)?;
    let mut connection = open_to_write(new)?;
    let failed = |error| fault("write", new, &error);
    let (ids, sound) = walk(&old)?;
    let mut salvage = Salvage { list_damaged: !sound, ..Salvage::default() };
    for (batch, chunk) in ids.chunks(BATCH).enumerate() {
        if !progress((batch * BATCH) as u64, ids.len() as u64) {
            return Err(cancelled("repair", batch * BATCH, ids.len()));
        }
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        for &id in chunk {
            match sound_frame(&old, &reader, id) {
                Ok(frame) => {
                    insert(&transaction, &frame).map_err(failed)?;
                    salvage.saved += 1;
                }
                Err(error) => {
                    log::warn!("frame {id} is lost: {error}");
                    salvage.lost += 1;
                }
            }
        }
        transaction.commit().map_err(failed)?;
    }
    // Numbers of lost frames are not given again, and the reservoir's draws go on.
    for key in ["next_id", "seen", "threshold"] {
        let value = state::get(&old, key).ok().flatten();
        let value = value.or_else(|| (key == "next_id").then(|| ids.last().map_or(1, |id| id.saturating_add(1))));
        if let Some(value) = value {
            state::put(&connection, key, value).map_err(failed)?;
        }
    }
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").map_err(failed)?;
    progress(ids.len() as u64, ids.len() as u64);
    Ok(salvage)
}

fn sound_frame(old: &Connection, reader: &Reader, id: i64) -> Result<Prepared> {
    let record = reader.record(id)?;
    let file = reader.encoded(id)?;
    decode_bytes(&format!("frame {id}"), &file)?;
    let priority = old
        .query_row("SELECT priority FROM frame WHERE id = ?1", [id], |row| row.get(0))
        .map_err(|error| fault("read", reader.path(), &error))?;
    let Record { name, time_us, width, height, channels, bits, crc32, label, metadata, .. } = record;
    let encoding = match record.encoding.as_str() {
        "jpeg" => "jpeg",
        "bmp" => "bmp",
        "tiff" => "tiff",
        "webp" => "webp",
        "pnm" => "pnm",
        _ => "png",
    };
    // An image without its embedding is worth keeping.
    let embedding = reader.embedding(id).unwrap_or_default();
    let entry = Entry { name, time_us: Some(time_us), metadata, embedding, label };
    Ok(Prepared { id, file, width, height, channels, bits, encoding, crc32, entry, priority })
}

/// For messages.
const LIST: &str = "the list of a store's frames";

/// All ids, ascending; and whether the list was sound. Where a page in its middle is damaged, what lies before and behind it is
/// found from both ends.
fn walk(connection: &Connection) -> Result<(Vec<i64>, bool)> {
    let (mut first, mut last) = (i64::MIN, i64::MAX);
    let (mut from_below, mut from_above) = (Vec::new(), Vec::new());
    let step = |sql: &str, first: i64, last: i64| {
        let mut query = connection.prepare_cached(sql)?;
        query.query_row([first, last], |row| row.get::<_, i64>(0)).optional()
    };
    loop {
        match step("SELECT id FROM frame NOT INDEXED WHERE id BETWEEN ?1 AND ?2 ORDER BY id LIMIT 1", first, last) {
            Ok(Some(id)) if id < i64::MAX => {
                push(&mut from_below, id, LIST)?;
                first = id + 1;
            }
            Ok(_) => return Ok((from_below, true)),
            Err(_) => break,
        }
    }
    while let Ok(Some(id)) =
        step("SELECT id FROM frame NOT INDEXED WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC LIMIT 1", first, last)
    {
        push(&mut from_above, id, LIST)?;
        if id == i64::MIN {
            break;
        }
        last = id - 1;
    }
    from_above.reverse();
    reserve(&mut from_below, from_above.len(), LIST)?;
    from_below.extend(from_above);
    Ok((from_below, false))
}

fn cancelled(what: &str, done: usize, total: usize) -> Error {
    Error::new(ErrorKind::Cancelled, format!("the {what} was stopped after {done} of {total} frames"))
}
