//! torch.save's format before 1.6, still found in `.pth.tar` files: five parts one after the other.
//!
//! `pickle(magic number) · pickle(1001) · pickle(system) · pickle(object) · pickle([key, …])`, then for each key
//! `i64 number of elements · elements`, little endian.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};

use super::fault::{Checked, Fault};
use super::gather::{ByteOrder, Checkpoint, Storage};
use super::heap::Value;
use super::limits::MAX_NAME;
use super::pickle::{self, Pickled};

/// The magic number as LONG1 has it: ten little-endian bytes.
const MAGIC: &[u8] = &[0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, b'.'];

/// Whether a file that begins so is of this format: PROTO, since protocol 4 perhaps a FRAME, the magic number.
pub(super) fn recognises(beginning: &[u8]) -> bool {
    match beginning {
        [0x80, _, 0x95, rest @ ..] => rest.get(8..).is_some_and(|rest| rest.starts_with(MAGIC)),
        [0x80, _, rest @ ..] => rest.starts_with(MAGIC),
        _ => false,
    }
}

/// Reads the objects and finds the storages of the open file, which has `length` bytes.
pub(super) fn open(file: &mut File, length: u64) -> Checked<Checkpoint> {
    file.seek(SeekFrom::Start(0))?;
    let mut reader = BufReader::new(file);
    let mut next = |what: &str| -> Checked<Pickled> {
        let position = reader.stream_position()?;
        pickle::read(&mut reader, length.saturating_sub(position)).map_err(|fault| fault.before(what))
    };
    // The magic number was compared before.
    next("magic number")?;
    let protocol = next("protocol")?;
    if !matches!(protocol.root, Value::Int(1001)) {
        return Err(Fault::new(format!(
            "the legacy protocol is {}, only 1001 is read",
            protocol.heap.describe(protocol.root)
        )));
    }
    let system = next("system")?;
    let entries = system.heap.dict(system.root).unwrap_or_default();
    if entries
        .iter()
        .any(|&(key, value)| system.heap.text(key) == Some("little_endian") && matches!(value, Value::Bool(false)))
    {
        return Err(Fault::new("the checkpoint was written on a big-endian machine"));
    }
    let pickled = next("object")?;
    let keys = next("storage keys")?;
    let order = keys.heap.sequence(keys.root).ok_or_else(|| Fault::new("the storage keys are not a list"))?;

    let mut storages = BTreeMap::new();
    for &key in order {
        let key = keys
            .heap
            .text(key)
            .filter(|key| key.len() <= MAX_NAME)
            .ok_or_else(|| Fault::new(format!("a storage's key is {} or too long", keys.heap.describe(key))))?;
        let (key, storage) = pickled
            .storages
            .get_key_value(key)
            .ok_or_else(|| Fault::new(format!("storage {key:?} is not referred to")))?;
        let mut word = [0; 8];
        reader.read_exact(&mut word).map_err(|error| Fault::from(error).before(&format!("storage {key:?}")))?;
        let count = i64::from_le_bytes(word);
        if u64::try_from(count) != Ok(storage.whole) {
            return Err(Fault::new(format!(
                "storage {key:?} has {count} elements, the object expects {}",
                storage.whole
            )));
        }
        let start = reader.stream_position()?;
        let bytes = storage.whole.checked_mul(storage.element.size() as u64);
        let end = bytes.and_then(|bytes| start.checked_add(bytes)).filter(|&end| end <= length);
        let (Some(bytes), Some(end)) = (bytes, end) else {
            return Err(Fault::new(format!(
                "storage {key:?} claims {count} elements of {} bytes, but only {} bytes are left in the file",
                storage.element.size(),
                length.saturating_sub(start)
            )));
        };
        if storages.insert(key.clone(), Storage { start, length: bytes, crc32: None }).is_some() {
            return Err(Fault::new(format!("storage {key:?} occurs twice")));
        }
        reader.seek(SeekFrom::Start(end))?;
    }
    Ok(Checkpoint { heap: pickled.heap, root: pickled.root, storages, order: ByteOrder::Little })
}
