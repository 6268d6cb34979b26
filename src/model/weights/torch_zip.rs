//! torch's zip format (since 1.6): `NAME/data.pkl` describes the tensors, `NAME/data/KEY` hold their storages, stored
//! without compression.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use zip::ZipArchive;

use super::StateDict;
use super::flatten::named_views;
use super::pickle::unpickle;
use crate::error::{Error, Result};

type Archive = ZipArchive<BufReader<File>>;

pub(super) fn read(path: &Path) -> Result<StateDict> {
    let file = File::open(path).map_err(|error| Error::io("open", path, &error))?;
    let length = file.metadata().map_err(|error| Error::io("read", path, &error))?.len();
    parse(file, length).map_err(|reason| Error::format(path, reason))
}

fn parse(file: File, length: u64) -> std::result::Result<StateDict, String> {
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|error| format!("no sound zip file: {error}"))?;
    let pickle = archive.file_names().find(|name| name.ends_with("/data.pkl")).map(str::to_owned);
    let pickle = pickle.ok_or("a zip file without data.pkl: no torch checkpoint (a TorchScript archive holds code)")?;
    let prefix = pickle.strip_suffix("data.pkl").unwrap_or("").to_owned();
    if archive.file_names().any(|name| name == format!("{prefix}constants.pkl")) {
        return Err("a TorchScript archive, which holds code; save model.state_dict() instead".to_owned());
    }
    if let Ok(order) = entry(&mut archive, &format!("{prefix}byteorder"), length)
        && order != b"little"
    {
        return Err("written on a big-endian machine".to_owned());
    }
    let object = unpickle(&mut entry(&mut archive, &pickle, length)?.as_slice())?;
    let mut storages: HashMap<String, Vec<u8>> = HashMap::new();
    let mut state = StateDict::default();
    for (name, view) in named_views(&object)? {
        if !storages.contains_key(&view.key) {
            let bytes = entry(&mut archive, &format!("{prefix}data/{}", view.key), length)?;
            storages.insert(view.key.clone(), bytes);
        }
        let tensor = view.gather(&storages[&view.key]).map_err(|reason| format!("{name}: {reason}"))?;
        state.tensors.insert(name, tensor);
    }
    Ok(state)
}

/// The content of one entry. An entry that is longer than the whole file is compressed, and torch compresses nothing: it
/// is a bomb.
fn entry(archive: &mut Archive, name: &str, length: u64) -> std::result::Result<Vec<u8>, String> {
    let entry = archive.by_name(name).map_err(|error| format!("{name}: {error}"))?;
    if entry.size() > length {
        return Err(format!("{name} claims {} bytes in a file of {length}", entry.size()));
    }
    let mut bytes = Vec::new();
    entry.take(length + 1).read_to_end(&mut bytes).map_err(|error| format!("{name}: {error}"))?;
    if bytes.len() as u64 > length {
        return Err(format!("{name} unpacks to more than the whole file"));
    }
    Ok(bytes)
}
