//! The texts that a model file carries beside its weights, read without the weights: a safetensors file's `__metadata__`, an
//! ONNX file's `metadata_props`, a TorchScript archive's extra file [`SCRIPT_EXTRA`]. Nothing is executed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::fault::{Checked, Fault, zeroed};
use super::limits::MAX_NAME;
use super::{safetensors, zip_directory};
use crate::error::Result;
use crate::sys::files;

/// The extra file of a TorchScript archive that holds the texts, as one JSON object.
pub const SCRIPT_EXTRA: &str = "libseed.json";

/// Bytes that the texts of an ONNX or TorchScript file may take.
const MAX_TEXTS: u64 = 1 << 20;

/// The texts of the file at `path`; none where it has none. Which kind of file it is shows in its content.
///
/// # Errors
/// `Io` where the file cannot be read; `Format` where it is of none of the three kinds, damaged or hostile.
pub fn read_metadata(path: &Path) -> Result<BTreeMap<String, String>> {
    let (mut file, length) = files::open(path)?;
    texts(&mut file, length).map_err(|fault| fault.at(path))
}

fn texts(file: &mut File, length: u64) -> Checked<BTreeMap<String, String>> {
    let mut beginning = Vec::new();
    file.by_ref().take(9).read_to_end(&mut beginning)?;
    if beginning.get(8) == Some(&b'{') {
        return safetensors::read_metadata(file, length);
    }
    if beginning.starts_with(b"PK\x03\x04") {
        return script_texts(file, length);
    }
    // Field 1 of an ONNX model, the version of its format, is a small number and always written first.
    if beginning.first() == Some(&0x08) {
        file.seek(SeekFrom::Start(0))?;
        return onnx_texts(BufReader::new(file), length);
    }
    Err(Fault::new("neither safetensors nor ONNX nor TorchScript"))
}

fn script_texts(file: &mut File, length: u64) -> Checked<BTreeMap<String, String>> {
    let entries = zip_directory::read(file, length)?;
    let wanted = format!("/extra/{SCRIPT_EXTRA}");
    let Some((name, entry)) = entries.iter().find(|(name, _)| name.ends_with(&wanted)) else {
        return Ok(BTreeMap::new());
    };
    if !entry.stored || entry.length > MAX_TEXTS {
        return Err(Fault::new(format!("{name} is compressed or has more than {MAX_TEXTS} bytes")));
    }
    let mut bytes = zeroed(entry.length as usize)?;
    file.seek(SeekFrom::Start(entry.start))?;
    file.read_exact(&mut bytes)?;
    if entry.crc32 != 0 && entry.crc32 != crc32fast::hash(&bytes) {
        return Err(Fault::new(format!("{name} is damaged: the checksum differs")));
    }
    serde_json::from_slice(&bytes).map_err(|reason| Fault::new(format!("{name} cannot be read: {reason}")))
}

/// Walks the outermost fields of a protobuf message and keeps those numbered 14: `StringStringEntryProto {1: key, 2: value}`.
fn onnx_texts(mut file: impl Read + Seek, length: u64) -> Checked<BTreeMap<String, String>> {
    const METADATA: u64 = 14;
    let mut found = BTreeMap::new();
    let (mut at, mut kept) = (0, 0);
    while at < length {
        let (tag, width) = varint(&mut file)?;
        at += width;
        match tag & 7 {
            0 => at += varint(&mut file)?.1,
            2 => {
                let (size, width) = varint(&mut file)?;
                at += width;
                if at.checked_add(size).is_none_or(|end| end > length) {
                    return Err(Fault::new("a field reaches beyond the end of the file: truncated or not ONNX"));
                }
                if tag >> 3 == METADATA {
                    kept += size;
                    if kept > MAX_TEXTS {
                        return Err(Fault::new(format!("the metadata has more than {MAX_TEXTS} bytes")));
                    }
                    let mut bytes = zeroed(size as usize)?;
                    file.read_exact(&mut bytes)?;
                    let (key, value) = onnx_entry(&bytes)?;
                    found.insert(key, value);
                } else {
                    file.seek(SeekFrom::Current(size as i64))?;
                }
                at += size;
            }
            other => return Err(Fault::new(format!("a field of wire type {other}: not ONNX"))),
        }
    }
    Ok(found)
}

fn onnx_entry(mut bytes: &[u8]) -> Checked<(String, String)> {
    let (mut key, mut value) = (String::new(), String::new());
    while !bytes.is_empty() {
        let (tag, _) = varint(&mut bytes)?;
        let (size, _) = varint(&mut bytes)?;
        let damaged = || Fault::new("the metadata is damaged");
        let (text, rest) =
            usize::try_from(size).ok().and_then(|size| bytes.split_at_checked(size)).ok_or_else(damaged)?;
        bytes = rest;
        let text = std::str::from_utf8(text).map_err(|_| damaged())?.to_owned();
        match tag {
            0x0a if text.len() <= MAX_NAME => key = text,
            0x12 => value = text,
            _ => return Err(damaged()),
        }
    }
    Ok((key, value))
}

/// A number of protobuf, seven bits a byte, low ones first, and how many bytes it took.
fn varint(from: &mut impl Read) -> Checked<(u64, u64)> {
    let mut value = 0;
    for place in 0..10 {
        let mut byte = [0];
        from.read_exact(&mut byte)?;
        if place == 9 && byte[0] > 1 {
            break;
        }
        value |= u64::from(byte[0] & 0x7f) << (7 * place);
        if byte[0] & 0x80 == 0 {
            return Ok((value, place + 1));
        }
    }
    Err(Fault::new("a number is too long: not ONNX"))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn onnx(bytes: &[u8]) -> std::result::Result<BTreeMap<String, String>, String> {
        onnx_texts(Cursor::new(bytes), bytes.len() as u64)
            .map_err(|fault| fault.at(Path::new("x")).message().to_owned())
    }

    #[test]
    fn texts_of_onnx_are_found_behind_the_graph() {
        // ir_version 8, a graph of 3 bytes, {"k": "v"}.
        let model = b"\x08\x08\x3a\x03abc\x72\x06\x0a\x01k\x12\x01v";
        assert_eq!(onnx(model).unwrap(), BTreeMap::from([("k".to_owned(), "v".to_owned())]));
    }

    #[test]
    fn hostile_onnx_is_refused() {
        for (bytes, expected) in [
            (&b"\x08\x08\x3a\x7fabc"[..], "beyond the end"),
            (b"\x08\x08\x72\x06\x0a\x09k\x12\x01v", "metadata is damaged"),
            (b"\x08\x08\x72\x03\x0a\x01\xff", "metadata is damaged"),
            (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "too long"),
            (b"\x08\x08\x72\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "beyond the end"),
            (b"\x08\x08\x0b", "wire type 3"),
            (b"\x08", "truncated"),
        ] {
            let error = onnx(bytes).unwrap_err();
            assert!(error.contains(expected), "{bytes:?}: {error}");
        }
    }
}
