//! Reading a store, from any number of threads and processes, while it grows.
//!
//! Each call takes a connection that no other thread uses, and no transaction outlives a call: a reader that holds one for hours
//! would keep the write-ahead log from being taken over, and the store would grow without bound.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension, params};

use super::fault::fault;
use super::record::{COLUMNS, Record};
use super::retention::{bad_vector, totals, unpack};
use super::schema::open_to_read;
use super::writer::no_frame;
use crate::data::{EncodedImage, EncodedImages};
use crate::error::{Error, Result};
use crate::sys::memory::{STRIDE, copied, push, room, spare};

/// Connections that wait to be used again.
const IDLE: usize = 8;

/// For messages.
const LIST: &str = "a list of frames";

/// SQLite's word for it, since its calls are what this happens between.
fn no_memory(_: Error) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_NOMEM), None)
}

/// Which labels a frame must have to be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Labelled {
    /// Any or none.
    #[default]
    Either,
    /// None.
    No,
    /// Any.
    Yes,
    /// This class.
    As(i64),
}

/// Which frames are listed: those that are within all bounds, which belong to the range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filter {
    /// Smallest and largest id.
    pub ids: (i64, i64),
    /// Earliest and latest time, in microseconds since 1970.
    pub time_us: (i64, i64),
    /// Which labels.
    pub labelled: Labelled,
    /// Only the last so many of them.
    pub last: Option<u64>,
}

impl Default for Filter {
    /// All frames.
    fn default() -> Self {
        Self { ids: (i64::MIN, i64::MAX), time_us: (i64::MIN, i64::MAX), labelled: Labelled::Either, last: None }
    }
}

/// The reading half of a store.
pub(super) struct Reader {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Reader {
    /// Opens the store at `path`.
    ///
    /// # Errors
    /// Those of [`open_to_read`].
    pub fn open(path: &Path) -> Result<Self> {
        let first = open_to_read(path)?;
        Ok(Self { path: path.to_owned(), idle: Mutex::new(vec![first]) })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn with<R>(&self, body: impl FnOnce(&Connection) -> rusqlite::Result<R>) -> Result<R> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => open_to_read(&self.path)?,
        };
        let result = body(&connection).map_err(|error| fault("read", &self.path, &error));
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE {
            idle.push(connection);
        }
        result
    }

    fn found<R>(&self, id: i64, found: Option<R>) -> Result<R> {
        found.ok_or_else(|| no_frame(&self.path, id))
    }

    /// What stands beside frame `id`.
    pub fn record(&self, id: i64) -> Result<Record> {
        let sql = format!("SELECT {COLUMNS} FROM frame WHERE id = ?1");
        let record = self.with(|connection| connection.prepare_cached(&sql)?.query_row([id], Record::of).optional())?;
        self.found(id, record)
    }

    /// The encoded image of frame `id`, compared with its checksum.
    pub fn encoded(&self, id: i64) -> Result<Vec<u8>> {
        let sql = "SELECT crc32, bytes, file FROM frame JOIN image USING (id) WHERE id = ?1";
        let row = self.with(|connection| {
            let mut query = connection.prepare_cached(sql)?;
            let owned = |file: &[u8]| copied(file, "an image of the store").map_err(no_memory);
            query.query_row([id], |row| Ok((row.get(0)?, row.get(1)?, owned(row.get_ref(2)?.as_blob()?)?))).optional()
        })?;
        let (crc32, bytes, file): (u32, u64, Vec<u8>) = self.found(id, row)?;
        let found = crc32fast::hash(&file);
        if found != crc32 || bytes != file.len() as u64 {
            let reason = format!(
                "frame {id} is damaged: {} bytes with CRC-32 {found:08x}, expected {bytes} with {crc32:08x}",
                file.len()
            );
            return Err(Error::format(&self.path, reason));
        }
        Ok(file)
    }

    /// The embedding of frame `id`, of length 1, if it has one.
    pub fn embedding(&self, id: i64) -> Result<Option<Vec<f32>>> {
        let sql = "SELECT vector FROM frame LEFT JOIN embedding USING (id) WHERE id = ?1";
        let row = self.with(|connection| {
            connection.prepare_cached(sql)?.query_row([id], |row| row.get::<_, Option<Vec<u8>>>(0)).optional()
        })?;
        let Some(bytes) = self.found(id, row)? else { return Ok(None) };
        let vector = unpack(&bytes).filter(|vector| vector.iter().all(|value| value.is_finite()));
        vector.map(Some).ok_or_else(|| bad_vector(&self.path, id, bytes.len()))
    }

    /// Ids in ascending order.
    pub fn list(&self, filter: &Filter) -> Result<Vec<i64>> {
        let (clause, class) = match filter.labelled {
            Labelled::Either => ("?5 = 0", 0),
            Labelled::No => ("?5 = 0 AND label IS NULL", 0),
            Labelled::Yes => ("?5 = 0 AND label IS NOT NULL", 0),
            Labelled::As(class) => ("label = ?5", class),
        };
        let sql = format!(
            "SELECT id FROM frame WHERE id BETWEEN ?1 AND ?2 AND time_us BETWEEN ?3 AND ?4 AND {clause} ORDER BY id DESC LIMIT ?6"
        );
        let last = filter.last.map_or(-1, |last| i64::try_from(last).unwrap_or(i64::MAX));
        let ((a, b), (c, d)) = (filter.ids, filter.time_us);
        let mut ids: Vec<i64> = self.with(|connection| {
            let mut query = connection.prepare_cached(&sql)?;
            let mut rows = query.query(params![a, b, c, d, class, last])?;
            let mut ids = Vec::new();
            while let Some(row) = rows.next()? {
                push(&mut ids, row.get(0)?, LIST).map_err(no_memory)?;
            }
            Ok(ids)
        })?;
        ids.reverse();
        Ok(ids)
    }

    /// The class of each frame.
    pub fn labels(&self, ids: &[i64]) -> Result<Vec<Option<i64>>> {
        let mut missing = None;
        let labels = self.with(|connection| {
            let mut query = connection.prepare_cached("SELECT label FROM frame WHERE id = ?1")?;
            let mut labels = room(ids.len(), LIST).map_err(no_memory)?;
            for &id in ids {
                match query.query_row([id], |row| row.get(0)).optional()? {
                    Some(label) => labels.push(label),
                    None => missing = missing.or(Some(id)),
                }
            }
            Ok(labels)
        })?;
        missing.map_or(Ok(labels), |id| self.found(id, None))
    }

    /// What a data set is made of.
    pub fn images(&self, ids: &[i64]) -> Result<Vec<EncodedImage>> {
        let mut images = room(ids.len(), LIST)?;
        for (&id, image) in ids.iter().zip(self.present(ids)?) {
            images.push(self.found(id, image)?);
        }
        Ok(images)
    }

    /// The same, `None` for each frame that is not there.
    pub fn present(&self, ids: &[i64]) -> Result<Vec<Option<EncodedImage>>> {
        self.with(|connection| {
            let mut query = connection.prepare_cached("SELECT name, bytes FROM frame WHERE id = ?1")?;
            let mut image = |key: i64| {
                let row = query.query_row([key], |row| {
                    let name: String = row.get(0)?;
                    Ok(EncodedImage { key, name: Record::title(key, &name), bytes: row.get(1)? })
                });
                row.optional()
            };
            let mut images = room(ids.len(), LIST).map_err(no_memory)?;
            for (number, &id) in ids.iter().enumerate() {
                if number.is_multiple_of(STRIDE) {
                    spare(0, LIST).map_err(no_memory)?;
                }
                images.push(image(id)?);
            }
            Ok(images)
        })
    }

    /// Frames, and bytes they count for.
    pub fn totals(&self) -> Result<(u64, u64)> {
        self.with(totals)
    }
}

impl EncodedImages for Reader {
    fn read(&self, key: i64) -> Result<Vec<u8>> {
        self.encoded(key)
    }
}
