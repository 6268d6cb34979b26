//! torch's legacy format (before 1.6): five pickles in a row — a magic number, the protocol, the writing machine, the
//! object, the keys of the storages — and then each storage as a count of elements and their bytes.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use super::StateDict;
use super::flatten::named_views;
use super::pickle::{Value, unpickle};
use crate::error::{Error, Result};

/// 0x1950a86a20f9469cfc6c, little endian: what torch.save wrote first.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
const PROTOCOL: i64 = 1001;

pub(super) fn read(path: &Path) -> Result<StateDict> {
    let file = File::open(path).map_err(|error| Error::io("open", path, &error))?;
    let length = file.metadata().map_err(|error| Error::io("read", path, &error))?.len();
    parse(&mut BufReader::new(file), length).map_err(|reason| Error::format(path, reason))
}

fn parse(input: &mut BufReader<File>, length: u64) -> std::result::Result<StateDict, String> {
    match unpickle(input)?.value {
        Value::Long(magic) if *magic == MAGIC => {}
        _ => return Err("a pickle, but not torch's; save weights with torch.save(model.state_dict(), …)".to_owned()),
    }
    match unpickle(input)?.value {
        Value::Int(PROTOCOL) => {}
        other => return Err(format!("protocol {other:?}, expected {PROTOCOL}")),
    }
    unpickle(input)?; // the writing machine; torch itself ignores it
    let object = unpickle(input)?;
    let keys = unpickle(input)?;
    let Value::List(keys_node) = keys.value else { return Err("the storages' keys are no list".to_owned()) };

    let mut storages: HashMap<String, Vec<u8>> = HashMap::new();
    for key in keys.arena.items(keys_node) {
        let Value::Text(key) = key else { return Err("a storage's key is no text".to_owned()) };
        let known = object.storages.iter().find(|storage| *storage.key == **key);
        let storage = known.ok_or_else(|| format!("storage {key} is listed, but no tensor lies in it"))?;
        let mut count = [0u8; 8];
        input.read_exact(&mut count).map_err(|_| "the file is cut off before its storages")?;
        let count = u64::from_le_bytes(count);
        let bytes = count.checked_mul(storage.dtype.size() as u64).filter(|&bytes| bytes <= length);
        let bytes = bytes.ok_or_else(|| format!("storage {key} claims {count} elements in a file of {length} bytes"))?;
        let mut content = Vec::new();
        input.by_ref().take(bytes).read_to_end(&mut content).map_err(|error| error.to_string())?;
        if content.len() as u64 != bytes {
            return Err(format!("storage {key} is cut off: {} of {bytes} bytes", content.len()));
        }
        storages.insert(key.to_string(), content);
    }
    let mut state = StateDict::default();
    for (name, view) in named_views(&object)? {
        let storage = storages.get(&view.key).ok_or_else(|| format!("{name}: storage {} is missing", view.key))?;
        let tensor = view.gather(storage).map_err(|reason| format!("{name}: {reason}"))?;
        state.tensors.insert(name, tensor);
    }
    Ok(state)
}
