//! What stands beside a frame: [`Entry`] as the application gives it, [`Record`] as the store has it.

use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::Row;

use crate::error::{Error, Result};

/// The longest name, label or metadata text, in bytes.
pub const MAX_TEXT_BYTES: usize = 1 << 20;

/// What the application says of a frame. Empty texts and `None` are fine.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Entry {
    /// What it is called; need not be unique.
    pub name: String,
    /// Microseconds since 1970, UTC; None: the clock's when it is pushed.
    pub time_us: Option<i64>,
    /// Whatever the application wants to keep with it, JSON say.
    pub metadata: String,
    /// Of any length above 0; kept with length 1.
    pub embedding: Option<Vec<f32>>,
    /// Its class, from 0 on, with what that is called.
    pub label: Option<(i64, String)>,
}

impl Entry {
    /// The entry with its time, checked, its embedding of length 1.
    ///
    /// # Errors
    /// `InvalidArgument` for texts that are too long, labels below 0, embeddings that are empty, not finite or zero.
    pub(super) fn settled(mut self) -> Result<Self> {
        check_text("name", &self.name)?;
        check_text("metadata", &self.metadata)?;
        check_label(self.label.as_ref())?;
        if let Some(vector) = &mut self.embedding {
            make_unit(vector)?;
        }
        self.time_us.get_or_insert_with(now_us);
        Ok(self)
    }
}

/// Divides by the length.
pub(super) fn make_unit(vector: &mut [f32]) -> Result<()> {
    let length = vector.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
    if !(length.is_finite() && length > 0.0) {
        return Err(Error::invalid(format!(
            "the embedding of {} numbers has length {length}, expected finite numbers that are not all 0",
            vector.len()
        )));
    }
    for value in vector {
        *value = (f64::from(*value) / length) as f32;
    }
    Ok(())
}

pub(super) fn check_label(label: Option<&(i64, String)>) -> Result<()> {
    match label {
        Some((class, _)) if *class < 0 => {
            Err(Error::invalid(format!("the label is {class}, expected a class from 0 on")))
        }
        Some((_, text)) => check_text("label_text", text),
        None => Ok(()),
    }
}

fn check_text(what: &str, text: &str) -> Result<()> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(Error::invalid(format!("{what} has {} bytes, expected at most {MAX_TEXT_BYTES}", text.len())));
    }
    Ok(())
}

/// The clock's time in microseconds since 1970; a clock before that counts as 1970.
pub(super) fn now_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64)
}

/// A stored frame, without its pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its number, from 1 on, in the order of the pushes; never given twice.
    pub id: i64,
    /// What it is called.
    pub name: String,
    /// Microseconds since 1970, UTC.
    pub time_us: i64,
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// 1 or 3.
    pub channels: u32,
    /// 8 to 16 bits a sample, as it is stored.
    pub bits: u32,
    /// "png", "jpeg", "bmp", "tiff", "webp" or "pnm".
    pub encoding: String,
    /// Length of the encoded image.
    pub bytes: u64,
    /// CRC-32 of the encoded image.
    pub crc32: u32,
    /// Its class and what that is called.
    pub label: Option<(i64, String)>,
    /// The application's.
    pub metadata: String,
}

/// What [`Record::of`] reads, in this order.
pub(super) const COLUMNS: &str =
    "id, name, time_us, width, height, channels, bits, encoding, bytes, crc32, label, label_text, metadata";

impl Record {
    /// From a row of [`COLUMNS`].
    pub(super) fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        let label: Option<i64> = row.get(10)?;
        let text: Option<String> = row.get(11)?;
        Ok(Self {
            id: row.get(0)?,
            name: row.get(1)?,
            time_us: row.get(2)?,
            width: row.get(3)?,
            height: row.get(4)?,
            channels: row.get(5)?,
            bits: row.get(6)?,
            encoding: row.get(7)?,
            bytes: row.get(8)?,
            crc32: row.get(9)?,
            label: label.map(|class| (class, text.unwrap_or_default())),
            metadata: row.get(12)?,
        })
    }

    /// What the frame is called in messages and data sets.
    pub(super) fn title(id: i64, name: &str) -> String {
        if name.is_empty() { format!("frame {id}") } else { name.to_owned() }
    }
}
