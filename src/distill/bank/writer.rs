//! Filling a bank: rows go in block after block, and a mark in the file says how many blocks are finished.
//!
//! The order of the writes is what kill -9 and a power cut are survived by: rows and checksums first, then a sync, then
//! the mark, then a sync. Who goes on does not trust the mark either: every block below it is compared with its checksum,
//! and filling begins again at the first one that is not sound.

use std::ffi::{CString, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::format::{BLOCK_ROWS, Header, Layout, checksum, mark, read_mark};
use super::{BlockState, bad_row, lock, look_at, open, read_header};
use crate::error::{Error, ErrorKind, Result};
use crate::finite;
use crate::sys::disk::resolved;
use crate::sys::memory::room;
use crate::sys::memory_file;

/// Time between two syncs. A kill costs at most what was made in it.
const COMMIT_EVERY: Duration = Duration::from_secs(2);

/// A bank that is being filled, locked against readers and other writers.
pub struct BankWriter {
    path: PathBuf,
    file: File,
    layout: Layout,
    /// Blocks on the disk, and of them those that the mark tells of.
    written: u64,
    marked: u64,
    synced: Instant,
}

impl Drop for BankWriter {
    /// Closing alone would not do: a process that another thread is starting holds the file open until it runs its program.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

impl BankWriter {
    /// Makes the bank at `path`, or goes on with the one that is there. The whole file is reserved at once where the file
    /// system can do that, so that a full disk shows now and not at night.
    ///
    /// # Errors
    /// `Io` where the disk has too little room (says how much) or refuses; `Mismatch` where the bank there is another
    /// teacher's, of other views or of another format; `Format` where the file there is no bank; `Busy` where someone
    /// uses it. What is there stays as it is.
    pub fn open(path: &Path, header: &Header) -> Result<Self> {
        memory_file::on_disk(path, "a bank is filled on a disk, since it may be larger than memory")?;
        let layout = header.layout()?;
        let path = &resolved(path)?;
        if !path.exists() {
            check_room(path, layout.total)?;
            create(path, header)?;
        }
        let file = open(path, OpenOptions::new().read(true).write(true))?;
        lock(path, file.try_lock(), "another program fills or reads it")?;
        let found = read_header(path, &file)?;
        found
            .teacher
            .check(&header.teacher)
            .and_then(|()| found.views.check(&header.views))
            .map_err(|error| error.context(path.display()))?;
        if found.dim != header.dim {
            return Err(Error::mismatch(format!(
                "{}: the bank is stale: its rows have {} numbers, the teacher gives {}",
                path.display(),
                found.dim,
                header.dim
            )));
        }
        let about = file.metadata().map_err(|error| Error::io("read", path, &error))?;
        if about.len() > layout.total {
            let (found, total) = (about.len(), layout.total);
            return Err(Error::format(path, format!("it has {found} bytes, expected at most {total}; delete it")));
        }
        check_room(path, layout.total.saturating_sub(about.blocks().saturating_mul(512)))?;
        reserve(&file, layout.total).map_err(|error| Error::io("reserve room for", path, &error))?;
        let mut writer =
            Self { path: path.to_owned(), file, layout, written: 0, marked: u64::MAX, synced: Instant::now() };
        writer.written = writer.sound_blocks()?;
        Ok(writer)
    }

    /// Rows that are finished.
    pub fn rows(&self) -> u64 {
        self.layout.rows_in(self.written)
    }

    /// Rows of the whole bank, V·N.
    pub fn total_rows(&self) -> u64 {
        self.layout.rows
    }

    /// Forgets the rows from `row` on, which begins a block: they will be written again.
    ///
    /// # Errors
    /// `Io`.
    pub fn rewind(&mut self, row: u64) -> Result<()> {
        self.written = self.written.min(row / BLOCK_ROWS);
        // Before the first row is written over, so that a kill does not leave a mark above a block that is half new.
        self.commit()
    }

    /// Appends rows: `halves` (B, C) float16, little endian, and the number of the image that each shows. B is a multiple
    /// of [`BLOCK_ROWS`], but for the bank's last rows.
    ///
    /// # Errors
    /// `InvalidArgument` for another number of rows, `Mismatch` for NaN and infinity, `Io` for a disk that refuses; what was finished before stays.
    pub fn append(&mut self, halves: &[u8], shown: &[usize]) -> Result<()> {
        let (first, count) = (self.written * BLOCK_ROWS, shown.len() as u64);
        let width = self.layout.row_bytes as usize - 4;
        let end = first.saturating_add(count);
        if halves.len() != shown.len() * width
            || end > self.layout.rows
            || (end < self.layout.rows && !count.is_multiple_of(BLOCK_ROWS))
        {
            return Err(Error::invalid(format!(
                "{} bytes for {count} rows of {width} bytes at row {first} of {}: expected whole blocks of {BLOCK_ROWS}",
                halves.len(),
                self.layout.rows
            )));
        }
        if let Some(row) = bad_row(halves, width / 2) {
            return Err(Error::mismatch(format!(
                "row {} for the bank, of image {}, holds {}; nothing was written",
                first + row as u64,
                shown[row],
                finite::NONE
            )));
        }
        let mut rows = room(shown.len().saturating_mul(width + 4), "rows of the bank")?;
        for (half, &image) in halves.chunks_exact(width).zip(shown) {
            rows.extend_from_slice(half);
            let image = u32::try_from(image).map_err(|_| Error::invalid(format!("image {image} is above 32 bits")))?;
            rows.extend_from_slice(&image.to_le_bytes());
        }
        let block_bytes = self.layout.row_bytes as usize * BLOCK_ROWS as usize;
        let sums: Vec<u8> = rows
            .chunks(block_bytes)
            .zip(self.written..)
            .flat_map(|(block, number)| checksum(number, block).to_le_bytes())
            .collect();
        self.file
            .write_all_at(&rows, self.layout.row_at(first))
            .and_then(|()| self.file.write_all_at(&sums, self.layout.checksum_at(self.written)))
            .map_err(|error| Error::io("write", &self.path, &error))?;
        self.written += count.div_ceil(BLOCK_ROWS);
        if self.synced.elapsed() >= COMMIT_EVERY || end == self.layout.rows {
            self.commit()?;
        }
        Ok(())
    }

    /// Makes sure that all rows so far are on the disk, and marks them as finished.
    ///
    /// # Errors
    /// `Io`.
    pub fn commit(&mut self) -> Result<()> {
        if self.marked != self.written {
            let write = || {
                self.file.sync_data()?;
                self.file.write_all_at(&mark(self.written), self.layout.mark_at())?;
                self.file.sync_data()
            };
            write().map_err(|error| Error::io("write", &self.path, &error))?;
            self.marked = self.written;
        }
        self.synced = Instant::now();
        Ok(())
    }

    /// How many blocks from the first on are what their checksums say, up to the mark; without one, as far as it goes.
    fn sound_blocks(&self) -> Result<u64> {
        let mut bytes = [0; 16];
        self.file
            .read_exact_at(&mut bytes, self.layout.mark_at())
            .map_err(|error| Error::io("read", &self.path, &error))?;
        let limit = read_mark(bytes, &self.layout).unwrap_or(self.layout.blocks);
        for block in 0..limit {
            let found = look_at(&self.path, &self.file, &self.layout, block)?;
            if found != BlockState::Sound {
                let what = if found == BlockState::Damaged { "is damaged" } else { "holds infinity or NaN" };
                log::warn!("{}: block {block} {what}; filling goes on from there", self.path.display());
                return Ok(block);
            }
        }
        Ok(limit)
    }
}

/// Writes header and mark under another name and renames, so that a bank at `path` always has both.
fn create(path: &Path, header: &Header) -> Result<()> {
    let name = path.file_name().ok_or_else(|| {
        Error::invalid(format!("the bank's path is \"{}\", expected the name of a file", path.display()))
    })?;
    let mut draft = OsString::from(".");
    draft.push(name);
    draft.push(format!(".draft-{}", std::process::id()));
    let draft = folder_of(path).join(draft);
    let mut first = header.to_page()?;
    first.extend_from_slice(&mark(0));
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&draft)?;
        file.write_all(&first)?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        File::open(folder_of(path))?.sync_all()
    };
    write().map_err(|error| {
        // The first error is the one to tell; the draft may not even exist.
        let _ = fs::remove_file(&draft);
        Error::io("create the bank", path, &error)
    })
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Refuses to begin what the disk cannot hold.
fn check_room(path: &Path, needed: u64) -> Result<()> {
    let folder = folder_of(path);
    let name = CString::new(folder.as_os_str().as_encoded_bytes())
        .map_err(|_| Error::invalid(format!("the path \"{}\" holds a zero byte", path.display())))?;
    // SAFETY: statvfs fills the struct, which is plain data, where it returns 0.
    let (result, found) = unsafe {
        let mut found: libc::statvfs = std::mem::zeroed();
        (libc::statvfs(name.as_ptr(), &mut found), found)
    };
    if result != 0 {
        return Err(Error::io("look at the disk of", folder, &std::io::Error::last_os_error()));
    }
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    if needed > free {
        return Err(Error::new(
            ErrorKind::Io,
            format!(
                "{}: the bank needs {needed} bytes more, the disk has {free} free; free some space, choose another disk \
                 or lower \"view_count\"",
                path.display()
            ),
        ));
    }
    Ok(())
}

/// Gives the file its whole length, on the disk where that can be had.
fn reserve(file: &File, bytes: u64) -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use std::os::fd::AsRawFd;
        let length = libc::off_t::try_from(bytes).map_err(|_| std::io::ErrorKind::FileTooLarge)?;
        // SAFETY: an open descriptor of our own.
        if unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, length) } == 0 {
            return Ok(());
        }
        let error = std::io::Error::last_os_error();
        if error.kind() == std::io::ErrorKind::StorageFull {
            return Err(error);
        }
        log::debug!("cannot reserve {bytes} bytes: {error}");
    }
    file.set_len(bytes)
}
