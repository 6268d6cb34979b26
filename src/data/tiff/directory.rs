//! The first directory of a TIFF or BigTIFF: its tags, read where they lie, nothing copied.
//!
//! TIFF 6.0, section 2; BigTIFF: offsets and counts of 8 bytes, entries of 20.

use std::collections::BTreeSet;

use crate::error::{Error, ErrorKind, Result};

/// Whether these are the first bytes of a TIFF, little-endian or big-endian, classic or big.
pub fn is_tiff(bytes: &[u8]) -> bool {
    [b"II\x2A\0", b"MM\0\x2A", b"II\x2B\0", b"MM\0\x2B"].iter().any(|magic| bytes.starts_with(*magic))
}

/// A directory's entries and the file that they point into.
#[derive(Clone, Copy)]
pub struct Directory<'a> {
    /// The whole file.
    pub bytes: &'a [u8],
    /// Whether the low byte of a number comes first.
    pub little: bool,
    big: bool,
    entries: &'a [u8],
    /// Where the next one begins; 0 where there is none.
    next: u64,
    /// Where this one does.
    own: u64,
}

/// How many pages the file has, at most `most`: as far as its directories can be followed, each once. One that is named but cannot be
/// read counts, so that it is missed.
pub fn pages(bytes: &[u8], most: u64) -> u64 {
    let Ok(mut directory) = Directory::first(bytes) else { return 1 };
    let (mut seen, mut count) = (BTreeSet::from([directory.own]), 1);
    while count < most && directory.has_next() && seen.insert(directory.next) {
        count += 1;
        let Ok(next) = directory.at(directory.next) else { break };
        directory = next;
    }
    count
}

/// The values of one tag.
#[derive(Clone, Copy)]
pub struct Values<'a> {
    data: &'a [u8],
    size: usize,
    little: bool,
}

impl<'a> Directory<'a> {
    /// The first directory of the file.
    ///
    /// # Errors
    /// `Format` where the file ends before it does.
    pub fn first(bytes: &'a [u8]) -> Result<Self> {
        let little = bytes.starts_with(b"II");
        let big = bytes.get(if little { 2 } else { 3 }) == Some(&0x2B);
        let directory = Self { bytes, little, big, entries: &[], next: 0, own: 0 };
        let offset = if big {
            if directory.number(bytes, 4, 2) != Some(8) {
                return Err(damaged("offsets of other than 8 bytes in a BigTIFF"));
            }
            directory.number(bytes, 8, 8)
        } else {
            directory.number(bytes, 4, 4)
        };
        directory.at(offset.ok_or_else(|| damaged("the file ends before its directory"))?)
    }

    /// The directory of image `page`, from 1 on.
    ///
    /// # Errors
    /// `Format` where there is none, or the file ends before it does.
    pub fn of_page(bytes: &'a [u8], page: u64) -> Result<Self> {
        let mut directory = Self::first(bytes)?;
        for before in 1..page {
            if !directory.has_next() {
                let message = format!("the TIFF has {before} pages, page {page} was asked for");
                return Err(Error::new(ErrorKind::Format, message));
            }
            directory = directory.at(directory.next)?;
        }
        Ok(directory)
    }

    /// Whether another directory follows.
    pub fn has_next(&self) -> bool {
        self.next != 0
    }

    /// The directory at `offset`.
    fn at(&self, offset: u64) -> Result<Self> {
        let (head, size, word) = if self.big { (8, 20, 8) } else { (2, 12, 4) };
        let found = usize::try_from(offset).ok().and_then(|offset| {
            let rest = self.bytes.get(offset..)?;
            let length = usize::try_from(self.number(rest, 0, head)?).ok()?.checked_mul(size)?;
            let entries = rest.get(head..)?.get(..length)?;
            // A file may end here: then no other one follows.
            Some((entries, self.number(rest, head + length, word).unwrap_or(0)))
        });
        let (entries, next) = found.ok_or_else(|| damaged("the file ends before its directory"))?;
        Ok(Self { entries, next, own: offset, ..*self })
    }

    /// The number of `size` bytes at `at`.
    fn number(&self, bytes: &[u8], at: usize, size: usize) -> Option<u64> {
        Some(number(bytes.get(at..)?.get(..size)?, self.little))
    }

    /// The values of `tag`, `None` where the directory has no such tag.
    ///
    /// # Errors
    /// `Format` where they are no whole numbers or the file ends before them.
    pub fn find(&self, tag: u16) -> Result<Option<Values<'a>>> {
        let (entry_size, word) = if self.big { (20, 8) } else { (12, 4) };
        let own = |entry: &&[u8]| self.number(entry, 0, 2) == Some(u64::from(tag));
        let Some(entry) = self.entries.chunks_exact(entry_size).find(own) else { return Ok(None) };
        let size = match self.number(entry, 2, 2) {
            // BYTE and UNDEFINED, SHORT, LONG and IFD, LONG8 and IFD8.
            Some(1 | 7) => 1,
            Some(3) => 2,
            Some(4 | 13) => 4,
            Some(16 | 18) => 8,
            other => return Err(damaged(format!("tag {tag} has the type {}", other.unwrap_or(0)))),
        };
        let data = self.number(entry, 4, word).and_then(|count| {
            let length = usize::try_from(count).ok()?.checked_mul(size)?;
            let inside = &entry[4 + word..];
            if length <= word {
                return inside.get(..length);
            }
            let offset = usize::try_from(self.number(inside, 0, word)?).ok()?;
            self.bytes.get(offset..)?.get(..length)
        });
        let data = data.ok_or_else(|| damaged(format!("the file ends before the values of tag {tag}")))?;
        Ok(Some(Values { data, size, little: self.little }))
    }

    /// The first value of `tag`, or `default` where there is none.
    ///
    /// # Errors
    /// As [`Directory::find`].
    pub fn one(&self, tag: u16, default: u64) -> Result<u64> {
        Ok(self.find(tag)?.and_then(|values| values.at(0)).unwrap_or(default))
    }
}

impl<'a> Values<'a> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.data.len() / self.size
    }

    /// Value `i`.
    pub fn at(&self, i: usize) -> Option<u64> {
        let at = i.checked_mul(self.size)?;
        Some(number(self.data.get(at..)?.get(..self.size)?, self.little))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        self.data.chunks_exact(self.size).map(|bytes| number(bytes, self.little))
    }

    /// Their bytes as they lie in the file.
    pub fn bytes(&self) -> &'a [u8] {
        self.data
    }
}

fn number(bytes: &[u8], little: bool) -> u64 {
    let digit = |number: u64, &byte: &u8| number << 8 | u64::from(byte);
    if little { bytes.iter().rev().fold(0, digit) } else { bytes.iter().fold(0, digit) }
}

/// The error of a file that contradicts itself.
pub fn damaged(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Format, format!("damaged TIFF: {what}"))
}

/// The error of a file that uses what is not read.
pub fn unsupported(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Format, format!("{what} is not supported"))
}
