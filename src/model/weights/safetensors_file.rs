//! Safetensors: an 8-byte length, a JSON header, the bytes. Read and written by the crate `safetensors`.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::{HostTensor, HostType, StateDict};
use crate::error::{Error, ErrorKind, Result};

const TYPES: [(HostType, Dtype); 10] = [
    (HostType::F32, Dtype::F32),
    (HostType::F64, Dtype::F64),
    (HostType::F16, Dtype::F16),
    (HostType::BF16, Dtype::BF16),
    (HostType::I64, Dtype::I64),
    (HostType::I32, Dtype::I32),
    (HostType::I16, Dtype::I16),
    (HostType::I8, Dtype::I8),
    (HostType::U8, Dtype::U8),
    (HostType::Bool, Dtype::BOOL),
];

/// Reads every tensor. The crate checks that offsets, types and shapes agree and that the tensors tile the file.
pub(super) fn read(path: &Path) -> Result<StateDict> {
    let bytes = fs::read(path).map_err(|error| Error::io("read", path, &error))?;
    let bad = |error: safetensors::SafeTensorError| Error::format(path, format!("no sound safetensors file: {error}"));
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(bad)?;
    let metadata = header.metadata().clone().unwrap_or_default().into_iter().collect();
    let file = SafeTensors::deserialize(&bytes).map_err(bad)?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.tensors() {
        let dtype = TYPES.iter().find(|(_, theirs)| *theirs == view.dtype()).map(|(own, _)| *own);
        let dtype = dtype
            .ok_or_else(|| Error::format(path, format!("{name} is of type {:?}, which is not read", view.dtype())))?;
        tensors.insert(name, HostTensor { dtype, shape: view.shape().to_vec(), bytes: view.data().to_vec() });
    }
    Ok(StateDict { tensors, metadata })
}

/// Writes a safetensors file atomically: under a temporary name beside it, synced, renamed. On an error, a full disk
/// included, what stood at `path` is as it was and nothing half-written stays.
pub fn write_safetensors(
    path: &Path,
    tensors: &[(String, HostTensor)],
    metadata: &BTreeMap<String, String>,
) -> Result<()> {
    let mut views = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        // The table lists every variant.
        let dtype = TYPES.iter().find(|(own, _)| *own == tensor.dtype).map_or(Dtype::F32, |(_, theirs)| *theirs);
        let view = TensorView::new(dtype, tensor.shape.clone(), &tensor.bytes)
            .map_err(|error| Error::new(ErrorKind::Internal, format!("{name} cannot be stored: {error}")))?;
        views.push((name.as_str(), view));
    }
    let metadata: Option<HashMap<String, String>> =
        (!metadata.is_empty()).then(|| metadata.clone().into_iter().collect());
    let bytes = safetensors::serialize(views, metadata)
        .map_err(|error| Error::new(ErrorKind::Internal, format!("{}: {error}", path.display())))?;
    write_atomically(path, &bytes)
}

fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let name = path.file_name().ok_or_else(|| Error::invalid(format!("\"{}\" names no file", path.display())))?;
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    let mut draft = std::ffi::OsString::from(".");
    draft.push(name);
    draft.push(format!(".{}-{:?}.draft", std::process::id(), std::thread::current().id()));
    let draft = folder.join(draft);
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        File::open(&folder)?.sync_all()
    };
    write().map_err(|error| {
        // It may not exist, or be renamed already; either way nothing is left to do.
        let _ = fs::remove_file(&draft);
        Error::io("write", path, &error)
    })
}
