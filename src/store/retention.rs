//! Which frames stay: the limits, and who goes when one is reached.
//!
//! ```text
//! newest      the oldest unlabelled goes
//! reservoir   each frame draws a priority u(seed, number); those below a threshold θ stay, and θ falls as the store fills.
//!             Every frame that was seen is then there with the same probability (bottom-k sampling, Cohen and Kaplan 2007)
//! novel       the most redundant unlabelled goes ([`super::novelty`])
//! ```
//!
//! Labelled frames are a person's work: they go only when no unlabelled one is left, the oldest first, and only for another
//! labelled one. Age and removal by hand make room that θ = 1 fills again with what comes.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::fault::fault;
use super::novelty::Novelty;
use super::options::{Keep, StoreOptions};
use super::prepare::{Prepared, ROW_BYTES};
use super::record::now_us;
use super::state;
use crate::error::{Error, Result};

/// Priorities are whole numbers below this.
pub(super) const PRIORITIES: i64 = 1 << 53;

/// Most frames that one transaction lets go for their age.
const AGED_AT_ONCE: i64 = 256;

/// What became of frames in one transaction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub stored: u64,
    pub passed_over: u64,
    pub evicted: u64,
}

/// What is stored, as far as choosing needs it.
pub(super) struct Retention {
    options: StoreOptions,
    pub frames: u64,
    pub bytes: u64,
    /// θ.
    pub threshold: i64,
    novelty: Option<Novelty>,
}

impl Retention {
    /// What the store holds now.
    ///
    /// # Errors
    /// `Io` or `Format` from the file; `Mismatch` where novel frames are to be kept and stored ones have no embedding.
    pub fn load(connection: &Connection, path: &Path, options: &StoreOptions) -> Result<Self> {
        let failed = |error| fault("read", path, &error);
        let (frames, bytes) = totals(connection).map_err(failed)?;
        let threshold = state::get(connection, "threshold").map_err(failed)?.unwrap_or(PRIORITIES);
        let novelty = if options.keep == Keep::Novel { Some(load_embeddings(connection, path)?) } else { None };
        Ok(Self { options: options.clone(), frames, bytes, threshold, novelty })
    }

    /// Stores the frame, or passes it over, and lets others go until the limits hold.
    pub fn place(
        &mut self,
        transaction: &Transaction<'_>,
        frame: &Prepared,
        tally: &mut Tally,
    ) -> rusqlite::Result<()> {
        let labelled = frame.entry.label.is_some();
        let reservoir = self.options.keep == Keep::Reservoir && !labelled;
        if reservoir && frame.priority >= self.threshold {
            tally.passed_over += 1;
            return Ok(());
        }
        if let (Some(novelty), Some(row)) = (&mut self.novelty, &frame.entry.embedding) {
            // The widths were compared when it was prepared.
            let _ = novelty.insert(frame.id, row, labelled);
        }
        while self.frames + 1 > self.options.max_frames || self.bytes + frame.bytes() > self.options.max_bytes {
            match self.chosen(transaction, frame)? {
                Some(id) => {
                    if reservoir {
                        let priority: i64 = transaction
                            .prepare_cached("SELECT priority FROM frame WHERE id = ?1")?
                            .query_row([id], |row| row.get(0))?;
                        self.threshold = self.threshold.min(priority);
                    }
                    self.let_go(transaction, id)?;
                    tally.evicted += 1;
                }
                None => {
                    if let Some(novelty) = &mut self.novelty {
                        novelty.remove(frame.id);
                    }
                    if reservoir {
                        self.threshold = self.threshold.min(frame.priority);
                    }
                    tally.passed_over += 1;
                    return Ok(());
                }
            }
        }
        insert(transaction, frame)?;
        self.frames += 1;
        self.bytes += frame.bytes();
        tally.stored += 1;
        Ok(())
    }

    /// The stored frame that goes for `new`; none where that is the one to go.
    fn chosen(&self, transaction: &Transaction<'_>, new: &Prepared) -> rusqlite::Result<Option<i64>> {
        let first = |sql: &str| transaction.prepare_cached(sql)?.query_row([], |row| row.get::<_, i64>(0)).optional();
        let unlabelled = match (self.options.keep, &self.novelty) {
            (Keep::Newest, _) => first("SELECT id FROM frame WHERE label IS NULL ORDER BY id LIMIT 1")?,
            (Keep::Reservoir, _) => {
                // An unlabelled one comes here only when its priority is below every stored one's; a labelled one always may.
                first("SELECT id FROM frame WHERE label IS NULL ORDER BY priority DESC LIMIT 1")?.filter(|&id| {
                    new.entry.label.is_some() || self.is_above(transaction, id, new.priority).unwrap_or(true)
                })
            }
            (Keep::Novel, novelty) => novelty.as_ref().and_then(Novelty::redundant).filter(|&id| id != new.id),
        };
        match unlabelled {
            Some(id) => Ok(Some(id)),
            None if new.entry.label.is_none() => Ok(None),
            None => first("SELECT id FROM frame WHERE label IS NOT NULL ORDER BY id LIMIT 1"),
        }
    }

    fn is_above(&self, transaction: &Transaction<'_>, id: i64, priority: i64) -> rusqlite::Result<bool> {
        let mut query = transaction.prepare_cached("SELECT priority FROM frame WHERE id = ?1")?;
        Ok(query.query_row([id], |row| row.get::<_, i64>(0))? > priority)
    }

    /// Lets unlabelled frames go that are too old, at most [`AGED_AT_ONCE`]; whether there may be more.
    pub fn age(&mut self, transaction: &Transaction<'_>, tally: &mut Tally) -> rusqlite::Result<bool> {
        let Some(age) = self.options.max_age else { return Ok(false) };
        let oldest = now_us().saturating_sub(i64::try_from(age.as_micros()).unwrap_or(i64::MAX));
        let sql = "SELECT id FROM frame WHERE time_us < ?1 AND label IS NULL ORDER BY time_us LIMIT ?2";
        let mut query = transaction.prepare_cached(sql)?;
        let aged: Vec<i64> =
            query.query_map([oldest, AGED_AT_ONCE], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        for &id in &aged {
            self.remove(transaction, id)?;
            tally.evicted += 1;
        }
        Ok(aged.len() as i64 == AGED_AT_ONCE)
    }

    /// Takes out a frame for another reason than room; whether it was there.
    pub fn remove(&mut self, transaction: &Transaction<'_>, id: i64) -> rusqlite::Result<bool> {
        let there = self.let_go(transaction, id)?;
        if there {
            self.threshold = PRIORITIES;
        }
        Ok(there)
    }

    fn let_go(&mut self, transaction: &Transaction<'_>, id: i64) -> rusqlite::Result<bool> {
        let sql = format!("SELECT {SIZE} FROM frame WHERE id = ?1");
        let size: Option<u64> = transaction.prepare_cached(&sql)?.query_row([id], |row| row.get(0)).optional()?;
        let Some(size) = size else { return Ok(false) };
        for table in ["frame", "image", "embedding"] {
            transaction.prepare_cached(&format!("DELETE FROM {table} WHERE id = ?1"))?.execute([id])?;
        }
        self.frames = self.frames.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(size);
        if let Some(novelty) = &mut self.novelty {
            novelty.remove(id);
        }
        Ok(true)
    }

    /// Gives frame `id` a label or takes it; whether the frame is there.
    pub fn label(
        &mut self,
        transaction: &Transaction<'_>,
        id: i64,
        label: Option<&(i64, String)>,
    ) -> rusqlite::Result<bool> {
        let mut update = transaction.prepare_cached("UPDATE frame SET label = ?2, label_text = ?3 WHERE id = ?1")?;
        let (class, text) = (label.map(|label| label.0), label.map(|label| label.1.as_str()));
        let there = update.execute(params![id, class, text])? == 1;
        if let Some(novelty) = &mut self.novelty {
            novelty.set_labelled(id, label.is_some());
        }
        Ok(there)
    }
}

/// What a stored frame counts for; [`Prepared::bytes`] in SQL.
const SIZE: &str = "bytes + octet_length(name) + octet_length(metadata) + 256
 + coalesce((SELECT octet_length(vector) FROM embedding WHERE embedding.id = frame.id), 0)";
const _: () = assert!(ROW_BYTES == 256);

/// Frames, and the bytes they count for.
pub(super) fn totals(connection: &Connection) -> rusqlite::Result<(u64, u64)> {
    let sql = format!("SELECT count(*), coalesce(sum({SIZE}), 0) FROM frame");
    connection.query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
}

pub(super) fn insert(transaction: &Transaction<'_>, frame: &Prepared) -> rusqlite::Result<()> {
    let entry = &frame.entry;
    let mut row = transaction.prepare_cached(
        "INSERT INTO frame (id, name, time_us, width, height, channels, bits, encoding, bytes, crc32, priority, label,
         label_text, metadata) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?;
    row.execute(params![
        frame.id,
        entry.name,
        entry.time_us,
        frame.width,
        frame.height,
        frame.channels,
        frame.bits,
        frame.encoding,
        frame.file.len(),
        frame.crc32,
        frame.priority,
        entry.label.as_ref().map(|label| label.0),
        entry.label.as_ref().map(|label| label.1.as_str()),
        entry.metadata,
    ])?;
    transaction
        .prepare_cached("INSERT INTO image (id, file) VALUES (?1, ?2)")?
        .execute(params![frame.id, frame.file])?;
    if let Some(vector) = &entry.embedding {
        let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
        transaction
            .prepare_cached("INSERT INTO embedding (id, vector) VALUES (?1, ?2)")?
            .execute(params![frame.id, bytes])?;
    }
    Ok(())
}

fn load_embeddings(connection: &Connection, path: &Path) -> Result<Novelty> {
    let failed = |error| fault("read", path, &error);
    let mut query = connection
        .prepare("SELECT frame.id, label IS NOT NULL, vector FROM frame LEFT JOIN embedding USING (id) ORDER BY id")
        .map_err(failed)?;
    let mut rows = query.query([]).map_err(failed)?;
    let mut novelty = Novelty::default();
    while let Some(row) = rows.next().map_err(failed)? {
        let id: i64 = row.get(0).map_err(failed)?;
        let Some(vector) = row.get::<_, Option<Vec<u8>>>(2).map_err(failed)? else {
            return Err(Error::mismatch(format!(
                "frame {id} of the store {} has no embedding, so novel frames cannot be told there; keep the newest or a \
                 reservoir, or begin a new store",
                path.display()
            )));
        };
        let mut row_of = unpack(&vector).ok_or_else(|| bad_vector(path, id, vector.len()))?;
        super::record::make_unit(&mut row_of).map_err(|_| bad_vector(path, id, vector.len()))?;
        novelty.insert(id, &row_of, row.get(1).map_err(failed)?)?;
    }
    Ok(novelty)
}

pub(super) fn bad_vector(path: &Path, id: i64, bytes: usize) -> Error {
    Error::format(
        path,
        format!("the embedding of frame {id} ({bytes} bytes) is no row of finite float32 that are not all 0"),
    )
}

/// Little-endian float32.
pub(super) fn unpack(bytes: &[u8]) -> Option<Vec<f32>> {
    let numbers = bytes.chunks_exact(4);
    let whole = !bytes.is_empty() && numbers.remainder().is_empty();
    whole.then(|| numbers.map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect())
}
