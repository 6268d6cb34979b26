//! Where everything lies in a bank's file, and what its header says.
//!
//! All numbers are little endian. With N images, V views of each, embeddings of width C, and blocks of
//! [`BLOCK_ROWS`] rows:
//!
//! | at | bytes | what |
//! |---|---|---|
//! | 0 | 8 | `SEEDBANK` |
//! | 8 | 4 | length of the JSON |
//! | 12 | 4 | CRC-32 of this page without these four bytes |
//! | 16 | 8176 | JSON ([`Header`]), then zeros |
//! | 8192 | 4096 | the mark: number of finished blocks (8 bytes), CRC-32 of those 8 bytes (4), zeros |
//! | 12288 | ⌈V·N/64⌉·4, to a whole page | CRC-32 of each block: of its number (8 bytes) and its rows |
//! | after it | V·N·(2·C·(1 + m) + 4) | row v·N + i: the embedding of view v of image i as C float16, those of the m small views beside it, then the number of the image that was shown (4 bytes): i, or the sound image that took a broken one's place |
//!
//! A bank without small views, m = 0, is a file of the first version ([`FORMAT`]), byte for byte; one with them is of the second
//! ([`FORMAT_WITH_SMALL`]), which readers of the first refuse.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::data::ViewConfig;
use crate::data::augment::VIEW_VERSION;
use crate::data::batch::MAX_VIEWS;
use crate::error::{Error, ErrorKind, Result};

/// The format's name and version of a bank of large views; a reader refuses others.
pub const FORMAT: &str = "libseed.bank.1";
/// The same of a bank that has small views beside the large ones.
pub const FORMAT_WITH_SMALL: &str = "libseed.bank.2";
/// Rows that share a checksum and are finished together.
pub const BLOCK_ROWS: u64 = 64;

const MAGIC: &[u8; 8] = b"SEEDBANK";
pub(super) const HEADER_BYTES: usize = 8192;
const PAGE: u64 = 4096;
const JSON_AT: usize = 16;

/// Whose embeddings the bank holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BankTeacher {
    /// Name of the backbone, "torchscript" or "application", for a person.
    pub architecture: String,
    /// `Teacher::identity`.
    pub identity: String,
    /// Number format of its forward pass: "fp32" or "bf16", or what another teacher than a network of ours computes in.
    pub precision: String,
}

/// Which views the rows belong to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BankViews {
    /// N, the number of images.
    pub images: u64,
    /// V, views of each image.
    pub count: u64,
    /// First word of every view's randomness.
    pub seed: u64,
    /// `Dataset::identity`.
    pub dataset: String,
    /// [`VIEW_VERSION`] of the library that drew them.
    pub version: u32,
    /// What they were drawn from.
    pub settings: ViewConfig,
    /// The small views beside each of them, where there are some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub small: Option<SmallViews>,
}

/// The small views of each image that stand beside its large one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmallViews {
    /// m, at least 1.
    pub count: u64,
    /// What they were drawn from.
    pub settings: ViewConfig,
}

/// The JSON at the head of a bank.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// [`FORMAT`] or [`FORMAT_WITH_SMALL`].
    pub format: String,
    /// Version of the library that made the bank.
    pub library: String,
    /// C, the width of an embedding.
    pub dim: u64,
    /// Whose embeddings.
    pub teacher: BankTeacher,
    /// Of which views.
    pub views: BankViews,
}

/// Offsets and sizes in bytes, all of which fit an `i64`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub rows: u64,
    pub blocks: u64,
    pub row_bytes: u64,
    pub rows_at: u64,
    pub total: u64,
}

/// Widest embedding.
const WIDEST: u64 = 65_536;

/// Size in bytes of a bank of `views` views of `images` images, `dim` numbers a row: what its file will have. A row has the embedding of the
/// large view and those of the small ones beside it, so `dim` is C·(1 + m).
///
/// # Errors
/// `InvalidArgument` where a number is 0 or out of bounds (2³² − 1 images, 10⁶ views, 2²² numbers: 64 views of width 65,536) or the size
/// exceeds 63 bits.
pub fn predicted_bytes(images: u64, views: u64, dim: u64) -> Result<u64> {
    Ok(Layout::new(images, views, dim)?.total)
}

impl Layout {
    pub fn new(images: u64, views: u64, dim: u64) -> Result<Self> {
        for (name, number, limit) in [
            ("images", images, u64::from(u32::MAX)),
            ("views", views, 1_000_000),
            ("numbers a row", dim, WIDEST * MAX_VIEWS as u64),
        ] {
            if !(1..=limit).contains(&number) {
                return Err(Error::invalid(format!("a bank of {number} {name}: expected 1 to {limit}")));
            }
        }
        // None of these overflow: 2³²·10⁶ < 2⁵², and the table is smaller.
        let rows = images * views;
        let blocks = rows.div_ceil(BLOCK_ROWS);
        let rows_at = HEADER_BYTES as u64 + PAGE + (blocks * 4).next_multiple_of(PAGE);
        let row_bytes = dim * 2 + 4;
        let total = rows.checked_mul(row_bytes).and_then(|bytes| bytes.checked_add(rows_at));
        let total = total.filter(|&total| i64::try_from(total).is_ok()).ok_or_else(|| {
            Error::invalid(format!("a bank of {views} views of {images} images, {dim} numbers each, exceeds 63 bits"))
        })?;
        Ok(Self { rows, blocks, row_bytes, rows_at, total })
    }

    pub fn mark_at(&self) -> u64 {
        HEADER_BYTES as u64
    }

    pub fn checksum_at(&self, block: u64) -> u64 {
        HEADER_BYTES as u64 + PAGE + block * 4
    }

    pub fn row_at(&self, row: u64) -> u64 {
        self.rows_at + row * self.row_bytes
    }

    /// How many rows block `block` has: the last one may be short.
    pub fn rows_of(&self, block: u64) -> u64 {
        BLOCK_ROWS.min(self.rows.saturating_sub(block * BLOCK_ROWS))
    }

    /// Rows in the first `blocks` blocks.
    pub fn rows_in(&self, blocks: u64) -> u64 {
        (blocks * BLOCK_ROWS).min(self.rows)
    }
}

/// CRC-32 of a block.
pub(super) fn checksum(block: u64, rows: &[u8]) -> u32 {
    let mut hash = crc32fast::Hasher::new();
    hash.update(&block.to_le_bytes());
    hash.update(rows);
    hash.finalize()
}

/// The first 16 bytes of the mark's page.
pub(super) fn mark(blocks: u64) -> [u8; 16] {
    let mut mark = [0; 16];
    mark[..8].copy_from_slice(&blocks.to_le_bytes());
    mark[8..12].copy_from_slice(&crc32fast::hash(&blocks.to_le_bytes()).to_le_bytes());
    mark
}

/// The number of finished blocks that a mark says; `None` where it is damaged.
pub(super) fn read_mark(bytes: [u8; 16], layout: &Layout) -> Option<u64> {
    let (number, _) = bytes.split_first_chunk::<8>()?;
    let blocks = u64::from_le_bytes(*number);
    (blocks <= layout.blocks && mark(blocks) == bytes).then_some(blocks)
}

impl Header {
    /// Sizes and offsets of this bank's file.
    pub(super) fn layout(&self) -> Result<Layout> {
        let small = self.views.small_count();
        if self.dim > WIDEST || small >= MAX_VIEWS as u64 || self.views.small.as_ref().is_some_and(|of| of.count == 0) {
            return Err(Error::invalid(format!("a bank of {small} small views, embeddings {} wide", self.dim)));
        }
        Layout::new(self.views.images, self.views.count, self.dim * (1 + small))
    }

    /// What a bank of such views calls its format.
    pub(crate) fn format_of(views: &BankViews) -> &'static str {
        if views.small.is_some() { FORMAT_WITH_SMALL } else { FORMAT }
    }

    /// The first page of the file.
    pub(super) fn to_page(&self) -> Result<Vec<u8>> {
        let json = serde_json::to_vec(self).map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
        let mut page = vec![0; HEADER_BYTES];
        let room = page.get_mut(JSON_AT..JSON_AT + json.len()).ok_or_else(|| {
            Error::new(ErrorKind::Internal, format!("a bank's header takes {} bytes, more than its page", json.len()))
        })?;
        room.copy_from_slice(&json);
        page[..8].copy_from_slice(MAGIC);
        page[8..12].copy_from_slice(&(json.len() as u32).to_le_bytes());
        let sum = page_checksum(&page);
        page[12..16].copy_from_slice(&sum.to_le_bytes());
        Ok(page)
    }

    /// From the first [`HEADER_BYTES`] bytes of the file at `path`, which are not trusted.
    pub(super) fn from_page(path: &Path, page: &[u8; HEADER_BYTES]) -> Result<Self> {
        let word = |at: usize| u32::from_le_bytes([page[at], page[at + 1], page[at + 2], page[at + 3]]);
        if &page[..8] != MAGIC {
            return Err(Error::format(path, "no teacher bank: it does not begin with SEEDBANK"));
        }
        if word(12) != page_checksum(page) {
            return Err(Error::format(path, "the bank's header is damaged; delete the file and fill a new bank"));
        }
        let json = page.get(JSON_AT..JSON_AT.saturating_add(word(8) as usize));
        let json = json.ok_or_else(|| Error::format(path, format!("a header of {} bytes is no bank's", word(8))))?;
        let value: Value =
            serde_json::from_slice(json).map_err(|error| Error::format(path, format!("no JSON: {error}")))?;
        let format = value.get("format").and_then(Value::as_str).unwrap_or("none");
        if ![FORMAT, FORMAT_WITH_SMALL].contains(&format) {
            return Err(Error::mismatch(format!(
                "{}: the format is \"{format}\", expected \"{FORMAT}\" or \"{FORMAT_WITH_SMALL}\"",
                path.display()
            )));
        }
        let header: Self = serde_json::from_value(value).map_err(|error| Error::format(path, error))?;
        let expected = Self::format_of(&header.views);
        if header.format != expected {
            return Err(Error::format(path, format!("a header of \"{expected}\" calls itself \"{}\"", header.format)));
        }
        header.layout().map_err(|error| Error::format(path, error.message()))?;
        Ok(header)
    }
}

fn page_checksum(page: &[u8]) -> u32 {
    let mut hash = crc32fast::Hasher::new();
    hash.update(&page[..12]);
    hash.update(&page[16..]);
    hash.finalize()
}

impl BankTeacher {
    /// # Errors
    /// `Mismatch` where the bank's teacher is another than `wanted`, or computed in another number format.
    pub(super) fn check(&self, wanted: &Self) -> Result<()> {
        if self.identity != wanted.identity {
            return Err(stale(format!(
                "its teacher is {} with the identity {}, expected {} with {}",
                self.architecture, self.identity, wanted.architecture, wanted.identity
            )));
        }
        if self.precision != wanted.precision {
            return Err(stale(format!(
                "its teacher computed in {}, expected {}; set \"precision\" or fill a new bank",
                self.precision, wanted.precision
            )));
        }
        Ok(())
    }
}

impl BankViews {
    /// The views of a run or a bank to be filled, as this library draws them.
    pub fn new(settings: ViewConfig, count: u64, seed: u64, images: u64, dataset: String) -> Self {
        Self { images, count, seed, dataset, version: VIEW_VERSION, settings, small: None }
    }

    /// m.
    pub fn small_count(&self) -> u64 {
        self.small.as_ref().map_or(0, |small| small.count)
    }

    /// # Errors
    /// `Mismatch` naming what differs from `wanted`.
    pub(super) fn check(&self, wanted: &Self) -> Result<()> {
        if self.count != wanted.count {
            let (found, expected) = (self.count, wanted.count);
            return Err(stale(format!("it holds {found} views of each image, \"view_count\" is {expected}")));
        }
        if self.seed != wanted.seed {
            return Err(stale(format!("its views were drawn with seed {}, \"seed\" is {}", self.seed, wanted.seed)));
        }
        if self.images != wanted.images {
            let (found, expected) = (self.images, wanted.images);
            return Err(stale(format!("it was filled from {found} images, the data set has {expected}")));
        }
        if self.dataset != wanted.dataset {
            return Err(stale(format!(
                "names or sizes of the images have changed: the data set was {}, it is {}",
                self.dataset, wanted.dataset
            )));
        }
        if self.version != wanted.version {
            return Err(stale(format!(
                "its views were drawn by version {} of the augmentation, this library has version {}",
                self.version, wanted.version
            )));
        }
        same_settings("views", &self.settings, &wanted.settings)?;
        if self.small_count() != wanted.small_count() {
            let (found, expected) = (self.small_count(), wanted.small_count());
            return Err(stale(format!(
                "it holds {found} small views beside each view, \"small.count\" is {expected}; set small.count to {found} or fill a new bank"
            )));
        }
        match (&self.small, &wanted.small) {
            (Some(own), Some(wanted)) => same_settings("small views", &own.settings, &wanted.settings),
            _ => Ok(()),
        }
    }
}

/// Whether `views` are drawn from the same settings.
fn same_settings(views: &str, own: &ViewConfig, wanted: &ViewConfig) -> Result<()> {
    // Both went through JSON once, so that equal settings are equal numbers.
    let internal = |error: serde_json::Error| Error::new(ErrorKind::Internal, error.to_string());
    let found = serde_json::to_value(own).map_err(internal)?;
    let text = serde_json::to_string(wanted).map_err(internal)?;
    let expected: Value = serde_json::from_str(&text).map_err(internal)?;
    // A setting that is not written has its usual value, on either side.
    let keys = found.as_object().into_iter().chain(expected.as_object()).flat_map(|settings| settings.keys());
    for key in keys {
        let value = expected.get(key).unwrap_or(&Value::Null);
        if found.get(key).unwrap_or(&Value::Null) != value {
            let found = found.get(key).unwrap_or(&Value::Null);
            return Err(stale(format!("its {views} were drawn with {key} {found}, the setting is {value}")));
        }
    }
    Ok(())
}

fn stale(reason: String) -> Error {
    Error::mismatch(format!("the bank is stale: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_bounded() {
        // 200 views of ImageNet, 128 wide: 65.6 GB of embeddings.
        let bytes = predicted_bytes(1_281_167, 200, 128).unwrap();
        assert!((66.5e9..66.8e9).contains(&(bytes as f64)), "{bytes}");
        for (images, views, dim) in
            [(0, 1, 1), (1, 0, 1), (1, 1, 0), (1 << 32, 1, 1), (1, u64::MAX, 1), (1, 1, (1 << 22) + 1)]
        {
            assert!(predicted_bytes(images, views, dim).is_err());
        }
        assert!(predicted_bytes(u64::from(u32::MAX), 1_000_000, 65_536).is_err());
        let (one, seven) = (predicted_bytes(64, 1, 128).unwrap(), predicted_bytes(64, 1, 7 * 128).unwrap());
        assert_eq!(seven - one, 64 * 6 * 128 * 2, "six small views beside each large one");
    }

    #[test]
    fn a_mark_is_whole_or_refused() {
        let layout = Layout::new(1000, 1, 8).unwrap();
        assert_eq!(read_mark(mark(16), &layout), Some(16));
        assert_eq!(read_mark(mark(17), &layout), None);
        assert_eq!(read_mark([0; 16], &layout), None);
    }
}
