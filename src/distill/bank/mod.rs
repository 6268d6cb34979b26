//! The teacher bank: the teacher's embeddings of V views of each of N images, made once and reused by every epoch.
//!
//! ```text
//! row v·N + i = t(view v of image i), t(each small view beside it), in float16      epoch e reads view e mod V
//! ```
//!
//! A view is a function of (seed, view, image), so the student can be shown the very view whose embedding is stored, and
//! the teacher leaves the loop: targets and queue depend on t alone. [`format`](mod@format) says how the file is laid out,
//! [`BankWriter`] fills it, [`Bank`] reads it.
//!
//! Reading is memory-mapped, with care, since a mapped file that shrinks or cannot be read kills the process: the file
//! is locked (shared) against our own writers; its length is looked at before each batch; the first use of a block goes
//! through a plain read, whose errors are errors, and compares the checksum. What remains is another program that cuts
//! the file within the same microseconds, or a disk that fails under a page that was read before.

pub mod format;
mod writer;

use std::fs::{File, TryLockError};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::Mmap;
use tch::{Kind, Tensor};

use self::format::{BLOCK_ROWS, HEADER_BYTES, Layout, checksum, read_mark};
use crate::data::Slot;
use crate::error::{Error, ErrorKind, Result};
use crate::finite;
use crate::sys::files;
use crate::sys::memory::{filled, room};

pub use self::format::{BankTeacher, BankViews, Header, SmallViews, predicted_bytes};
pub use self::writer::BankWriter;

/// A bank that is open for reading; shared between threads as `Arc<Bank>`.
#[derive(Debug)]
pub struct Bank {
    path: PathBuf,
    file: File,
    map: Mmap,
    header: Header,
    layout: Layout,
    blocks: u64,
    /// A bit for each block whose checksum was compared.
    checked: Vec<AtomicU64>,
}

impl Drop for Bank {
    /// Closing alone would not do: a process that another thread is starting holds the file open until it runs its program.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

impl Bank {
    /// Opens the bank at `path`, finished or not. Its header is checked now, its rows when they are first read.
    ///
    /// # Errors
    /// `Io`; `Format` for a damaged or hostile file; `Mismatch` for another version of the format; `Busy` while it is
    /// being filled; `OutOfMemory`.
    pub fn open(path: &Path) -> Result<Self> {
        let (file, _) = files::open(path)?;
        lock(path, file.try_lock_shared(), "it is being filled; open it when that has ended")?;
        let header = read_header(path, &file)?;
        let layout = header.layout()?;
        let length = file.metadata().map_err(|error| Error::io("read", path, &error))?.len();
        if length != layout.total {
            let total = layout.total;
            return Err(Error::format(
                path,
                format!("it has {length} bytes, expected {total}; fill it again to repair it"),
            ));
        }
        let mut mark = [0; 16];
        file.read_exact_at(&mut mark, layout.mark_at()).map_err(|error| Error::io("read", path, &error))?;
        let blocks = read_mark(mark, &layout)
            .ok_or_else(|| Error::format(path, "its count of finished rows is damaged; fill it again to repair it"))?;
        // SAFETY: see the module's notes on what is done about a file that changes.
        let map = unsafe { Mmap::map(&file) }.map_err(|error| Error::io("map", path, &error))?;
        // Epochs come in random order: reading ahead would only displace what is needed. Advice may be ignored.
        let _ = map.advise(memmap2::Advice::Random);
        let words = usize::try_from(layout.blocks.div_ceil(64)).unwrap_or(usize::MAX);
        let mut checked = Vec::new();
        checked.try_reserve_exact(words).map_err(|_| {
            Error::new(ErrorKind::OutOfMemory, format!("no memory for {words} words of a bank's blocks"))
        })?;
        checked.resize_with(words, AtomicU64::default);
        Ok(Self { path: path.to_owned(), file, map, header, layout, blocks, checked })
    }

    /// What it holds.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Rows that are finished, and rows in all: V·N.
    pub fn rows(&self) -> (u64, u64) {
        (self.layout.rows_in(self.blocks), self.layout.rows)
    }

    /// Refuses a bank that is not finished or holds other views than `wanted`.
    ///
    /// # Errors
    /// `Mismatch` with the reason.
    pub fn check_views(&self, wanted: &BankViews) -> Result<()> {
        self.header.views.check(wanted).map_err(|error| error.context(self.path.display()))?;
        let (done, rows) = self.rows();
        if done < rows {
            return Err(Error::mismatch(format!(
                "{}: only {done} of {rows} rows are filled; go on filling it first",
                self.path.display()
            )));
        }
        Ok(())
    }

    /// Refuses a bank of another teacher than the one with `identity` (`Teacher::identity`).
    ///
    /// # Errors
    /// `Mismatch` naming both.
    pub fn check_teacher(&self, architecture: &str, identity: &str) -> Result<()> {
        let wanted = BankTeacher {
            architecture: architecture.to_owned(),
            identity: identity.to_owned(),
            precision: self.header.teacher.precision.clone(),
        };
        self.header.teacher.check(&wanted).map_err(|error| error.context(self.path.display()))
    }

    /// Reads every finished row and compares all checksums. Costs one pass over the file, at the disk's speed.
    ///
    /// # Errors
    /// `Format` naming the first damaged block, `Io`.
    pub fn verify(&self) -> Result<()> {
        (0..self.blocks).try_for_each(|block| self.check_block(block))
    }

    /// The embeddings of view `number` among those of each of `slots`, 0 the large one and j the j-th small one, (B, C) float16 on the
    /// CPU; `shown` says which images the loader showed there.
    ///
    /// # Errors
    /// `InvalidArgument` for a slot or a view outside the bank; `Mismatch` where another image was shown when the bank was filled;
    /// `Format` for a damaged block or a file that has changed its length; `Io`.
    pub fn targets(&self, slots: &[Slot], shown: &[usize], number: usize) -> Result<Tensor> {
        let length = self.file.metadata().map_err(|error| Error::io("read", &self.path, &error))?.len();
        if length != self.layout.total {
            return Err(self.damaged(format!("it had {} bytes when opened and has {length} now", self.layout.total)));
        }
        let small = self.header.views.small_count();
        if number as u64 > small {
            return Err(Error::invalid(format!("small view {number} is not in the bank, which has {small} of them")));
        }
        let all = self.layout.row_bytes as usize - 4;
        let width = all / (1 + small as usize); // in bytes
        let mut halves = room(slots.len().saturating_mul(width), "a batch of targets")?;
        for (slot, &shown) in slots.iter().zip(shown) {
            let views = &self.header.views;
            let row = slot.view.checked_mul(views.images).and_then(|row| row.checked_add(slot.index as u64));
            let row =
                row.filter(|&row| (slot.index as u64) < views.images && row < self.rows().0).ok_or_else(|| {
                    Error::invalid(format!(
                    "view {} of image {} is not in the bank, which has {} views of {} images; if images were added, fill \
                     a new bank",
                    slot.view, slot.index, views.count, views.images
                ))
                })?;
            self.check_block(row / BLOCK_ROWS)?;
            let start = self.layout.row_at(row) as usize;
            let bytes = self.map.get(start..start + all + 4).ok_or_else(|| self.damaged("a row is missing"))?;
            let (embeddings, image) = bytes.split_at(all);
            let stored = image.first_chunk().map_or(u32::MAX, |image| u32::from_le_bytes(*image));
            if stored as usize != shown {
                return Err(Error::mismatch(format!(
                    "{}: image {stored} was shown in the place of image {} when the bank was filled, now it is image \
                     {shown}: an image broke or was repaired since; fill a new bank",
                    self.path.display(),
                    slot.index
                )));
            }
            halves.extend_from_slice(&embeddings[number * width..][..width]);
        }
        Ok(Tensor::f_from_data_size(&halves, &[slots.len() as i64, (width / 2) as i64], Kind::Half)?)
    }

    /// Compares the checksum of a finished block, once.
    fn check_block(&self, block: u64) -> Result<()> {
        let bit = 1 << (block % 64);
        let word = usize::try_from(block / 64).ok().and_then(|word| self.checked.get(word));
        let word = word.ok_or_else(|| Error::invalid(format!("the bank has no block {block}")))?;
        if word.load(Ordering::Acquire) & bit != 0 {
            return Ok(());
        }
        let first = block * BLOCK_ROWS;
        match look_at(&self.path, &self.file, &self.layout, block)? {
            BlockState::Sound => {}
            BlockState::Damaged => {
                let last = first + self.layout.rows_of(block) - 1;
                return Err(self.damaged(format!("rows {first} to {last} do not have their checksum")));
            }
            BlockState::NotFinite { row, image } => {
                let teacher = &self.header.teacher;
                return Err(Error::format(
                    &self.path,
                    format!(
                        "row {} holds {}, which the teacher ({} in {}) gave for view {} of image {image}: the file is not \
                         damaged, and the same teacher would give the same again; fill a new bank with sound weights",
                        first + row,
                        finite::NONE,
                        teacher.architecture,
                        teacher.precision,
                        (first + row) / self.header.views.images.max(1),
                    ),
                ));
            }
        }
        word.fetch_or(bit, Ordering::Release);
        Ok(())
    }

    fn damaged(&self, reason: impl std::fmt::Display) -> Error {
        Error::format(&self.path, format!("damaged: {reason}; fill it again to repair it"))
    }
}

/// What a look at a block finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BlockState {
    Sound,
    /// It does not have its checksum.
    Damaged,
    /// It is what was written, but a row of it, which shows that image, holds NaN or infinity.
    NotFinite {
        row: u64,
        image: u32,
    },
}

/// The first of rows of `width` float16 numbers, little endian, that holds NaN or infinity: all bits of its exponent are set.
pub(crate) fn bad_row(halves: &[u8], width: usize) -> Option<usize> {
    halves.chunks_exact((2 * width).max(2)).position(|row| !row_is_finite(row))
}

fn row_is_finite(halves: &[u8]) -> bool {
    halves.chunks_exact(2).all(|half| half[1] & 0x7c != 0x7c)
}

/// Compares a block with its checksum and looks at its numbers. Errors are those of reading.
fn look_at(path: &Path, file: &File, layout: &Layout, block: u64) -> Result<BlockState> {
    let bytes = (layout.rows_of(block) * layout.row_bytes) as usize;
    let (mut rows, mut sum) = (filled(0, bytes, "a block of the bank")?, [0; 4]);
    file.read_exact_at(&mut rows, layout.row_at(block * BLOCK_ROWS))
        .and_then(|()| file.read_exact_at(&mut sum, layout.checksum_at(block)))
        .map_err(|error| Error::io("read", path, &error))?;
    if u32::from_le_bytes(sum) != checksum(block, &rows) {
        return Ok(BlockState::Damaged);
    }
    for (number, row) in rows.chunks_exact(layout.row_bytes as usize).enumerate() {
        let (halves, image) = row.split_at(row.len() - 4);
        if !row_is_finite(halves) {
            let image = image.first_chunk().map_or(u32::MAX, |image| u32::from_le_bytes(*image));
            return Ok(BlockState::NotFinite { row: number as u64, image });
        }
    }
    Ok(BlockState::Sound)
}

fn open(path: &Path, options: &std::fs::OpenOptions) -> Result<File> {
    // Opening a pipe would wait for its other end.
    let about = std::fs::metadata(path).map_err(|error| Error::io("open the bank", path, &error))?;
    if !about.is_file() {
        return Err(Error::format(path, "not a regular file"));
    }
    options.open(path).map_err(|error| Error::io("open the bank", path, &error))
}

fn lock(path: &Path, result: std::result::Result<(), TryLockError>, reason: &str) -> Result<()> {
    match result {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            Err(Error::new(ErrorKind::Busy, format!("{} is in use: {reason}", path.display())))
        }
        // A file system without locks: the user keeps two programs apart.
        Err(TryLockError::Error(error)) => {
            log::warn!("cannot lock {}: {error}", path.display());
            Ok(())
        }
    }
}

fn read_header(path: &Path, file: &File) -> Result<Header> {
    let mut page = [0; HEADER_BYTES];
    file.read_exact_at(&mut page, 0).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => {
            Error::format(path, format!("no teacher bank: shorter than {HEADER_BYTES} bytes"))
        }
        _ => Error::io("read", path, &error),
    })?;
    Header::from_page(path, &page)
}
