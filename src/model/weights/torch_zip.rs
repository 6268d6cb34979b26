//! torch.save's format since 1.6: a zip of stored entries, `NAME/data.pkl` with the objects, `NAME/data/KEY` with a storage
//! each, and `NAME/byteorder`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use super::fault::{Checked, Fault, zeroed};
use super::gather::{ByteOrder, Checkpoint, Storage};
use super::limits::MAX_PICKLE_BYTES;
use super::{pickle, zip_directory};

/// Reads the objects and finds the storages of the open file, which has `length` bytes.
pub(super) fn open(file: &mut File, length: u64) -> Checked<Checkpoint> {
    let entries = zip_directory::read(file, length)?;
    // torch names the folder after the file; what matters is that there is one.
    let mut folders =
        entries.keys().filter_map(|name| name.strip_suffix("data.pkl").filter(|folder| folder.ends_with('/')));
    let (folder, None) = (folders.next(), folders.next()) else {
        return Err(Fault::new("the zip has several data.pkl: not a torch checkpoint"));
    };
    let folder = folder.ok_or_else(|| Fault::new("the zip has no data.pkl in a folder: not a torch checkpoint"))?;
    if entries.contains_key(&format!("{folder}constants.pkl")) {
        return Err(Fault::new(
            "this is a TorchScript archive, which is a program; save model.state_dict() with torch.save instead",
        ));
    }
    let find = |name: &str| match entries.get(&format!("{folder}{name}")) {
        Some(entry) if !entry.stored => {
            Err(Fault::new(format!("{folder}{name} is compressed or encrypted; torch.save stores it as it is")))
        }
        found => Ok(found),
    };
    let mut content = |name: &str, limit: u64| -> Checked<Option<Vec<u8>>> {
        let Some(entry) = find(name)? else { return Ok(None) };
        if entry.length > limit {
            return Err(Fault::new(format!("{folder}{name} has {} bytes; at most {limit} are read", entry.length)));
        }
        let mut bytes = zeroed(entry.length as usize)?;
        file.seek(SeekFrom::Start(entry.start))?;
        file.read_exact(&mut bytes)?;
        if entry.crc32 != 0 && entry.crc32 != crc32fast::hash(&bytes) {
            return Err(Fault::new(format!("{folder}{name} is damaged: the checksum differs")));
        }
        Ok(Some(bytes))
    };
    // Versions before 2.1 wrote no byte order; they ran on little-endian machines.
    let order = match content("byteorder", 16)?.as_deref() {
        None | Some(b"little") => ByteOrder::Little,
        Some(b"big") => ByteOrder::Big,
        Some(_) => return Err(Fault::new("the checkpoint's byteorder is neither little nor big")),
    };
    let program = content("data.pkl", MAX_PICKLE_BYTES)?.unwrap_or_default();
    let pickled = pickle::read(program.as_slice(), program.len() as u64)?;

    let mut storages = BTreeMap::new();
    for (key, storage) in &pickled.storages {
        let entry = find(&format!("data/{key}"))?;
        let entry = entry.ok_or_else(|| Fault::new(format!("storage {key:?} is missing from the zip")))?;
        // No overflow: a storage's length comes from a pickle's i64, and elements have at most 16 bytes.
        let claimed = u128::from(storage.whole) * storage.element.size() as u128;
        if claimed > entry.length.into() {
            return Err(Fault::new(format!(
                "storage {key:?} claims {claimed} bytes, but the zip holds {} of it",
                entry.length
            )));
        }
        let crc32 = (entry.crc32 != 0).then_some(entry.crc32);
        storages.insert(key.clone(), Storage { start: entry.start, length: entry.length, crc32 });
    }
    Ok(Checkpoint { heap: pickled.heap, root: pickled.root, storages, order })
}
