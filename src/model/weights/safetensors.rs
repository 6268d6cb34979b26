//! safetensors: `u64 header length · JSON header · tensors`, all little endian.
//!
//! The header maps each name to `{"dtype", "shape": [..], "data_offsets": [begin, end]}`, and tensors follow each other without
//! gap or overlap. The crate `safetensors` knows the types and the form of an entry. Not taken is its table of entries, which
//! ends the process where there is no memory for it and keeps one of two equal names silently; limits come before anything is
//! allocated, and tensors are read one by one, so that a file costs its size once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use ::safetensors::tensor::{Dtype, TensorInfo};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};

use super::fault::{Checked, Fault, zeroed};
use super::host::{HostTensor, HostType, StateDict};
use super::limits::{MAX_NAME, MAX_SAFETENSORS_HEADER};
use super::outline::TensorOutline;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::disk;

/// The header: tensors in the order of their bytes, and the texts beside them.
#[derive(Default)]
struct Header {
    tensors: Vec<(String, TensorInfo)>,
    texts: BTreeMap<String, String>,
    /// Bytes of the table that there was no memory for, which ends the parsing.
    missing: Option<u64>,
}

/// The checked header of the open file, which has `length` bytes; the file stands at the first tensor then.
fn header(file: &mut File, length: u64) -> Checked<Header> {
    let mut word = [0; 8];
    file.seek(SeekFrom::Start(0))?;
    file.read_exact(&mut word)?;
    let header_length = u64::from_le_bytes(word);
    if header_length > length.saturating_sub(8) {
        return Err(Fault::new(format!(
            "the safetensors header claims {header_length} bytes, but the file has {length}: truncated or not safetensors"
        )));
    }
    if header_length > MAX_SAFETENSORS_HEADER {
        return Err(Fault::new(format!(
            "the safetensors header has {header_length} bytes; at most {MAX_SAFETENSORS_HEADER} are read"
        )));
    }
    let mut text = zeroed(header_length as usize)?;
    file.read_exact(&mut text)?;
    let mut header = Header::default();
    let mut parser = serde_json::Deserializer::from_slice(&text);
    let parsed = header.deserialize(&mut parser).and_then(|()| parser.end());
    if let Some(bytes) = header.missing {
        return Err(Fault::Memory(bytes));
    }
    parsed.map_err(|reason| Fault::new(format!("the safetensors header cannot be read: {reason}")))?;
    let (claimed, present) = (header.check()?, length - 8 - header_length);
    if claimed != present {
        return Err(Fault::new(format!(
            "the safetensors header describes {claimed} bytes of tensors, but {present} follow it"
        )));
    }
    Ok(header)
}

impl Header {
    /// Sorts the tensors by their places and compares these with each other and the shapes; gives the bytes of all.
    fn check(&mut self) -> Checked<u64> {
        let fault = |name: &str, what: &dyn Display| Err(Fault::new(format!("tensor {name:?}: {what}")));
        self.tensors.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        if let Some(pair) = self.tensors.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return fault(&pair[0].0, &"the name occurs twice");
        }
        self.tensors.sort_unstable_by_key(|(_, tensor)| tensor.data_offsets);
        let mut place = 0;
        for (name, TensorInfo { dtype, shape, data_offsets: (begin, end) }) in &self.tensors {
            if *begin != place || end < begin {
                return fault(name, &format!("it lies at bytes {begin} to {end}, expected to begin at {place}"));
            }
            let bits = shape.iter().try_fold(dtype.bitsize(), |bits, &side| bits.checked_mul(side));
            if bits.is_none_or(|bits| bits % 8 != 0 || bits / 8 != end - begin) {
                return fault(name, &format!("{dtype:?} of {shape:?} does not take the {} bytes it has", end - begin));
            }
            place = *end;
        }
        Ok(place as u64)
    }
}

impl<'de> DeserializeSeed<'de> for &mut Header {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Header {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter.write_str("a JSON object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<(), A::Error> {
        let mut texts_before = false;
        while let Some(name) = map.next_key::<String>()? {
            if name.len() > MAX_NAME {
                let length = name.len();
                return Err(A::Error::custom(format!("a name has {length} bytes; at most {MAX_NAME} are read")));
            }
            if name == "__metadata__" {
                if std::mem::replace(&mut texts_before, true) {
                    return Err(A::Error::custom(format!("{name:?} occurs twice")));
                }
                self.texts = map.next_value::<Option<BTreeMap<String, String>>>()?.unwrap_or_default();
                continue;
            }
            let tensor = map.next_value()?;
            if self.tensors.try_reserve(1).is_err() {
                self.missing = Some(self.tensors.len() as u64 * 2 * size_of::<(String, TensorInfo)>() as u64);
                return Err(A::Error::custom("no memory"));
            }
            self.tensors.push((name, tensor));
        }
        Ok(())
    }
}

/// Names, types and shapes, and the texts beside them.
pub(super) fn outline(
    file: &mut File,
    length: u64,
) -> Checked<(BTreeMap<String, TensorOutline>, BTreeMap<String, String>)> {
    let header = header(file, length)?;
    let name =
        |dtype| host_type(dtype).map_or_else(|| format!("{dtype:?}").to_lowercase(), |known| known.name().into());
    let outlines = header
        .tensors
        .into_iter()
        .map(|(key, tensor)| (key, TensorOutline { dtype: name(tensor.dtype), shape: tensor.shape }));
    Ok((outlines.collect(), header.texts))
}

/// Reads all tensors of the open file, which has `length` bytes.
pub(super) fn read(file: &mut File, length: u64) -> Checked<StateDict> {
    let header = header(file, length)?;
    let mut state = StateDict { metadata: header.texts, ..StateDict::default() };
    // In the order of their offsets the file is read once from front to back.
    for (name, tensor) in header.tensors {
        let dtype = host_type(tensor.dtype).ok_or_else(|| {
            Fault::new(format!("tensor {name:?} has element type {:?}, which is not read", tensor.dtype))
        })?;
        // The header's offsets were checked to be contiguous and to end where the file ends.
        let mut bytes = zeroed(tensor.data_offsets.1 - tensor.data_offsets.0)?;
        file.read_exact(&mut bytes)?;
        if dtype == HostType::Bool {
            bytes.iter_mut().for_each(|byte| *byte = u8::from(*byte != 0));
        }
        state.tensors.insert(name, HostTensor { dtype, shape: tensor.shape, bytes });
    }
    Ok(state)
}

/// Reads the texts beside the tensors of the open file, which has `length` bytes.
pub(super) fn read_metadata(file: &mut File, length: u64) -> Checked<BTreeMap<String, String>> {
    Ok(header(file, length)?.texts)
}

/// Writes tensors and metadata so that `path` holds either the whole new file or what it held before.
///
/// The bytes depend on the arguments alone: tensors lie in the order given, stably sorted by falling element size so that
/// each is aligned; metadata is sorted by key.
///
/// # Errors
/// `InvalidArgument` for a name that occurs twice, is reserved, or a tensor whose bytes and shape disagree; `Io` from the
/// operating system, in which case no temporary file stays behind.
pub fn write_safetensors(
    path: &Path,
    tensors: &[(String, HostTensor)],
    metadata: &BTreeMap<String, String>,
) -> Result<()> {
    write_borrowed(path, &tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect::<Vec<_>>(), metadata)
}

/// [`write_safetensors`] of tensors that belong to someone else, since a copy of a large network may not fit.
///
/// # Errors
/// As [`write_safetensors`].
pub fn write_borrowed(path: &Path, tensors: &[(&str, &HostTensor)], metadata: &BTreeMap<String, String>) -> Result<()> {
    let (header, ordered) = laid_out(tensors, metadata)?;
    disk::replace(path, |writer| write_all(writer, &header, &ordered))
}

/// [`write_safetensors`] into an open file, which is called `path` in errors.
///
/// # Errors
/// As [`write_safetensors`].
pub fn write_to(
    file: File,
    path: &Path,
    tensors: &[(String, HostTensor)],
    metadata: &BTreeMap<String, String>,
) -> Result<()> {
    let borrowed: Vec<_> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let (header, ordered) = laid_out(&borrowed, metadata)?;
    let mut writer = BufWriter::with_capacity(1 << 14, file);
    write_all(&mut writer, &header, &ordered)
        .and_then(|()| writer.flush())
        .map_err(|error| Error::io("write", path, &error))
}

fn write_all(writer: &mut impl Write, header: &str, ordered: &[(&str, &HostTensor)]) -> std::io::Result<()> {
    writer.write_all(&(header.len() as u64).to_le_bytes())?;
    writer.write_all(header.as_bytes())?;
    ordered.iter().try_for_each(|(_, tensor)| writer.write_all(&tensor.bytes))
}

/// The header, and the tensors in the order in which they follow it.
fn laid_out<'a>(
    tensors: &[(&'a str, &'a HostTensor)],
    metadata: &BTreeMap<String, String>,
) -> Result<(String, Vec<(&'a str, &'a HostTensor)>)> {
    let mut names = BTreeSet::new();
    for (name, tensor) in tensors {
        tensor.check().map_err(|error| error.context(format!("tensor {name:?}")))?;
        if *name == "__metadata__" || name.len() > MAX_NAME || !names.insert(name) {
            return Err(Error::invalid(format!("{name:?} cannot name a tensor: it is taken, reserved or too long")));
        }
    }
    let mut ordered = tensors.to_vec();
    ordered.sort_by_key(|(_, tensor)| std::cmp::Reverse(tensor.dtype.size()));

    // The crate's own writer keeps metadata in a hash map, whose order differs from run to run.
    let mut header = String::from("{");
    if !metadata.is_empty() {
        header += &format!("\"__metadata__\":{}", json(metadata)?);
    }
    let mut offset = 0;
    for (name, tensor) in &ordered {
        let end = offset + tensor.bytes.len();
        let comma = if header.len() > 1 { "," } else { "" };
        let (name, dtype, shape) = (json(name)?, json(&safetensors_type(tensor.dtype))?, json(&tensor.shape)?);
        let entry = format!("{comma}{name}:{{\"dtype\":{dtype},\"shape\":{shape},\"data_offsets\":[{offset},{end}]}}");
        header.try_reserve(entry.len() + 8).map_err(|_| {
            let bytes = header.len() + entry.len();
            Error::new(ErrorKind::OutOfMemory, format!("cannot allocate {bytes} bytes for the names of tensors"))
        })?;
        header += &entry;
        offset = end;
    }
    header.push('}');
    // Spaces up to a multiple of 8 align the first tensor.
    header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
    if header.len() as u64 > MAX_SAFETENSORS_HEADER {
        return Err(Error::invalid(format!(
            "names and metadata need {} bytes; at most {MAX_SAFETENSORS_HEADER} are read",
            header.len()
        )));
    }
    Ok((header, ordered))
}

fn json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|reason| Error::invalid(format!("cannot be written as JSON: {reason}")))
}

fn host_type(dtype: Dtype) -> Option<HostType> {
    Some(match dtype {
        Dtype::F32 => HostType::F32,
        Dtype::F64 => HostType::F64,
        Dtype::F16 => HostType::F16,
        Dtype::BF16 => HostType::BF16,
        Dtype::I64 => HostType::I64,
        Dtype::I32 => HostType::I32,
        Dtype::I16 => HostType::I16,
        Dtype::I8 => HostType::I8,
        Dtype::U8 => HostType::U8,
        Dtype::BOOL => HostType::Bool,
        _ => return None,
    })
}

fn safetensors_type(dtype: HostType) -> Dtype {
    match dtype {
        HostType::F32 => Dtype::F32,
        HostType::F64 => Dtype::F64,
        HostType::F16 => Dtype::F16,
        HostType::BF16 => Dtype::BF16,
        HostType::I64 => Dtype::I64,
        HostType::I32 => Dtype::I32,
        HostType::I16 => Dtype::I16,
        HostType::I8 => Dtype::I8,
        HostType::U8 => Dtype::U8,
        HostType::Bool => Dtype::BOOL,
    }
}
