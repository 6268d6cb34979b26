//! The entries of a zip file as its central directory lists them: name → where the stored bytes lie.
//!
//! Layout from the end: `end record (22 bytes + comment)`, before it for large files the `zip64 locator (20)` that points to
//! the `zip64 end record (56)`; they say where the `central directory` lies. Nothing is unpacked here: torch.save stores its
//! entries as they are, so none can be larger than it is in the file. Zip crates size their tables by the claimed number of
//! entries; this one reads as many as there are.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use super::fault::{Checked, Fault, zeroed};
use super::limits::{MAX_NAME, MAX_ZIP_DIRECTORY};

/// One entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// First byte of the content in the file.
    pub start: u64,
    /// Bytes of content as they lie in the file.
    pub length: u64,
    /// The bytes are the content itself, neither compressed nor encrypted.
    pub stored: bool,
    /// Checksum of the content; 0 where the writer left it out.
    pub crc32: u32,
}

/// All entries of the open file, which has `length` bytes.
pub(super) fn read(file: &mut File, length: u64) -> Checked<BTreeMap<String, Entry>> {
    let (start, size) = directory(file, length)?;
    if size > MAX_ZIP_DIRECTORY || start.checked_add(size).is_none_or(|end| end > length) {
        return Err(Fault::new(format!(
            "the zip directory of {size} bytes at {start} does not lie within the file's {length} bytes"
        )));
    }
    let mut bytes = zeroed(size as usize)?;
    file.seek(SeekFrom::Start(start))?;
    file.read_exact(&mut bytes)?;

    let mut entries = BTreeMap::new();
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let (name, entry, tail) = listed(file, length, rest)?;
        rest = tail;
        if entries.insert(name.clone(), entry).is_some() {
            return Err(Fault::new(format!("the zip lists the entry {name:?} twice")));
        }
    }
    // Entries that share bytes let a small file claim to be a large one.
    let total = entries.values().try_fold(0u64, |sum, entry| sum.checked_add(entry.length));
    if total.is_none_or(|total| total > length) {
        return Err(Fault::new("the zip's entries overlap: together they are longer than the file"));
    }
    Ok(entries)
}

/// Where the central directory begins and how many bytes it has.
fn directory(file: &mut File, length: u64) -> Checked<(u64, u64)> {
    const END: usize = 22;
    // A comment of up to 64 KiB may follow the end record.
    let tail_length = length.min(END as u64 + 0xffff);
    let mut tail = zeroed(tail_length as usize)?;
    file.seek(SeekFrom::Start(length - tail_length))?;
    file.read_exact(&mut tail)?;
    let end = (0..(tail.len() + 1).saturating_sub(END)).rev().find(|&at| {
        let comment = u16_at(&tail, at + 20).map(usize::from);
        u32_at(&tail, at) == Some(0x0605_4b50) && comment == Some(tail.len() - at - END)
    });
    let end = end.ok_or_else(|| Fault::new("the zip has no end record: the file is truncated"))?;
    let wide = |offset| {
        u32_at(&tail, end + offset).map(u64::from).ok_or_else(|| Fault::new("the zip's end record is cut off"))
    };
    let (size, start) = (wide(12)?, wide(16)?);
    let too_wide = u64::from(u32::MAX);
    if size != too_wide && start != too_wide {
        return Ok((start, size));
    }

    let malformed = || Fault::new("the zip64 end record is missing or damaged");
    let locator = end.checked_sub(20).filter(|&at| u32_at(&tail, at) == Some(0x0706_4b50)).ok_or_else(malformed)?;
    let at = u64_at(&tail, locator + 8)
        .filter(|at| at.checked_add(56).is_some_and(|end| end <= length))
        .ok_or_else(malformed)?;
    let mut record = [0; 56];
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(&mut record)?;
    match (u32_at(&record, 0), u64_at(&record, 48), u64_at(&record, 40)) {
        (Some(0x0606_4b50), Some(start), Some(size)) => Ok((start, size)),
        _ => Err(malformed()),
    }
}

/// The first record of what is left of the central directory, and what follows it.
fn listed<'a>(file: &mut File, file_length: u64, rest: &'a [u8]) -> Checked<(String, Entry, &'a [u8])> {
    let malformed = || Fault::new("the zip's directory is damaged");
    let half = |at| u16_at(rest, at).map(usize::from).ok_or_else(malformed);
    let word = |at| u32_at(rest, at).ok_or_else(malformed);
    if word(0)? != 0x0201_4b50 {
        return Err(malformed());
    }
    let (flags, method, crc32) = (half(8)?, half(10)?, word(16)?);
    let (packed, unpacked, header) = (word(20)?, word(24)?, word(42)?);
    let name_end = 46 + half(28)?;
    let extra_end = name_end + half(30)?;
    let name = rest.get(46..name_end).ok_or_else(malformed)?;
    let extra = rest.get(name_end..extra_end).ok_or_else(malformed)?;
    let tail = rest.get(extra_end + half(32)?..).ok_or_else(malformed)?;
    let name = std::str::from_utf8(name).map_err(|_| Fault::new("the zip has an entry whose name is not UTF-8"))?;
    if name.len() > MAX_NAME {
        return Err(malformed());
    }
    // The zip64 field holds, in this order, those of the values that do not fit their 32 bits.
    let mut large = zip64_field(extra).chunks_exact(8).filter_map(|chunk| u64_at(chunk, 0));
    let mut widen = |value: u32| match value {
        u32::MAX => large.next().ok_or_else(malformed),
        value => Ok(value.into()),
    };
    let (unpacked, packed, header) = (widen(unpacked)?, widen(packed)?, widen(header)?);
    let stored = method == 0 && flags & 1 == 0;
    if stored && packed != unpacked {
        return Err(Fault::new(format!(
            "the zip's stored entry {name:?} claims {unpacked} bytes, but {packed} are stored"
        )));
    }

    // The local header's own extra field pads torch's content to 64 bytes, so its length must be read there.
    let mut local = [0; 30];
    if header.checked_add(30).is_none_or(|end| end > file_length) {
        return Err(Fault::new(format!("the zip's entry {name:?} begins beyond the end of the file")));
    }
    file.seek(SeekFrom::Start(header))?;
    file.read_exact(&mut local)?;
    let (Some(0x0403_4b50), Some(name_length), Some(extra_length)) =
        (u32_at(&local, 0), u16_at(&local, 26), u16_at(&local, 28))
    else {
        return Err(Fault::new(format!("the zip's entry {name:?} has no header where the directory says")));
    };
    let start = header + 30 + u64::from(name_length) + u64::from(extra_length);
    if start.checked_add(packed).is_none_or(|end| end > file_length) {
        return Err(Fault::new(format!(
            "the zip's entry {name:?} of {packed} bytes reaches beyond the end of the file"
        )));
    }
    Ok((name.to_owned(), Entry { start, length: packed, stored, crc32 }, tail))
}

/// The content of the extra field with tag 1; empty where there is none.
fn zip64_field(mut extra: &[u8]) -> &[u8] {
    while let (Some(tag), Some(length)) = (u16_at(extra, 0), u16_at(extra, 2)) {
        let Some(content) = extra.get(4..4 + usize::from(length)) else { break };
        if tag == 1 {
            return content;
        }
        extra = &extra[4 + content.len()..];
    }
    &[]
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}
