//! Reading a checkpoint; nothing in it is trusted before its size and hash were checked.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::format::{Contents, FORMAT, FileRecord, MANIFEST, MOST, Manifest, part_of};
use super::save::{aside, record};
use crate::model::weights::{self, StateDict};
use crate::sys::disk::resolved;
use crate::sys::memory_file;
use crate::{Error, Result};

/// A manifest is a few KiB; more than this is no manifest.
const MANIFEST_LIMIT: u64 = 1 << 20;

/// Reads the checkpoint in the folder `path`.
///
/// Errors: `Io` when it is not there, `Format` when a file is damaged (with its name), `Mismatch` for another format.
pub fn load(path: &Path) -> Result<Contents> {
    memory_file::on_disk(path, "a checkpoint is a folder")?;
    let path = &resolved(path)?;
    // A kill between the two renames of a file system without exchange leaves the last good one aside.
    let old = aside(path);
    let folder = if !path.exists() && old.join(MANIFEST).exists() { &old } else { path };
    let manifest = read_manifest(folder)?;
    let listed = folder.join(MANIFEST);
    if manifest.files.len() > MOST {
        return Err(Error::format(
            &listed,
            format!("it lists {} files, expected at most {MOST}", manifest.files.len()),
        ));
    }
    let mut parts = BTreeMap::new();
    for (name, expected) in &manifest.files {
        let part =
            part_of(name).ok_or_else(|| Error::format(&listed, format!("it lists {name:?}, which is no part")))?;
        parts.insert(part.to_owned(), read_part(&folder.join(name), expected)?);
    }
    Ok(Contents { manifest, parts })
}

fn read_part(file: &Path, expected: &FileRecord) -> Result<StateDict> {
    let found = record(file)?;
    if found != *expected {
        return Err(Error::format(
            file,
            format!(
                "damaged: {} bytes with SHA-256 {}, expected {} bytes with {}",
                found.bytes, found.sha256, expected.bytes, expected.sha256
            ),
        ));
    }
    weights::read(file)
}

fn read_manifest(folder: &Path) -> Result<Manifest> {
    let path = folder.join(MANIFEST);
    let size = fs::metadata(&path).map_err(|error| Error::io("open the checkpoint's", &path, &error))?.len();
    if size > MANIFEST_LIMIT {
        return Err(Error::format(&path, format!("{size} bytes, expected at most {MANIFEST_LIMIT}")));
    }
    let text = fs::read(&path).map_err(|error| Error::io("read", &path, &error))?;
    let value: serde_json::Value =
        serde_json::from_slice(&text).map_err(|error| Error::format(&path, format!("no JSON: {error}")))?;
    let format = value.get("format").and_then(|format| format.as_str()).unwrap_or("none");
    if format != FORMAT {
        return Err(Error::mismatch(format!("{}: the format is \"{format}\", expected \"{FORMAT}\"", path.display())));
    }
    serde_json::from_value(value).map_err(|error| Error::format(&path, error))
}
