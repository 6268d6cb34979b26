//! Weights in several safetensors files, as Hugging Face splits large ones: an index beside the shards says which file has which
//! tensor.
//!
//! ```json
//! {"metadata": {"total_size": 123}, "weight_map": {"layer.weight": "model-00001-of-00002.safetensors"}}
//! ```
//!
//! Either the index (`model.safetensors.index.json`) or any one of its shards may be named. The index is hostile until checked: shards
//! are plain names of files in the same folder, and each must have exactly the tensors that the index says it has.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::host::{HostTensor, StateDict};
use super::limits::{MAX_INDEX, MAX_SHARDS};
use super::outline::TensorOutline;
use super::safetensors;
use crate::error::{Error, Result};
use crate::sys::{files, memory_file};

/// How an index's name ends.
const INDEX: &str = ".safetensors.index.json";

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The index that `path` is, or that it is a shard of; none where it is neither.
pub(super) fn index_of(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    if name.ends_with(INDEX) {
        return Some(path.to_owned());
    }
    // "model-00001-of-00002.safetensors" → "model.safetensors.index.json"
    let (start, count) = name.strip_suffix(".safetensors")?.rsplit_once("-of-")?;
    let (stem, number) = start.rsplit_once('-')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let index = beside(path, &format!("{stem}{INDEX}"));
    // What is there and cannot be opened is told when it is read.
    (digits(number) && digits(count) && files::exists(&index)).then_some(index)
}

/// The file called `name` in the folder of `path`, of the disk or in memory.
fn beside(path: &Path, name: &str) -> PathBuf {
    match path.to_str().and_then(|path| path.strip_prefix(memory_file::SCHEME)) {
        Some(held) => {
            let folder = held.rfind('/').map_or("", |end| &held[..=end]);
            PathBuf::from(format!("{}{folder}{name}", memory_file::SCHEME))
        }
        None => path.with_file_name(name),
    }
}

/// All shards' tensors.
///
/// # Errors
/// `Io`; `Format` for an index or a shard that is damaged or hostile, or shards that do not have what the index says.
pub(super) fn read(index: &Path) -> Result<StateDict> {
    let mut state = StateDict::default();
    each(index, |file, length, names| {
        let StateDict { tensors, metadata } = safetensors::read(file, length)?;
        if !tensors.keys().eq(names) {
            return Ok(false);
        }
        state.tensors.extend::<BTreeMap<String, HostTensor>>(tensors);
        state.metadata.extend(metadata);
        Ok(true)
    })?;
    Ok(state)
}

/// Names and shapes of all shards' tensors, and the texts beside them.
///
/// # Errors
/// Those of [`read`].
pub(super) fn outline(index: &Path) -> Result<(BTreeMap<String, TensorOutline>, BTreeMap<String, String>)> {
    let (mut all, mut texts) = (BTreeMap::new(), BTreeMap::new());
    each(index, |file, length, names| {
        let (tensors, metadata) = safetensors::outline(file, length)?;
        if !tensors.keys().eq(names) {
            return Ok(false);
        }
        all.extend(tensors);
        texts.extend(metadata);
        Ok(true)
    })?;
    Ok((all, texts))
}

/// Gives each shard to `take` with the names that it must have; `take` says whether it has them.
fn each(
    index: &Path,
    mut take: impl FnMut(&mut std::fs::File, u64, &BTreeSet<String>) -> super::fault::Checked<bool>,
) -> Result<()> {
    let text = files::read(index, MAX_INDEX)?;
    let found: Index = serde_json::from_slice(&text)
        .map_err(|error| Error::format(index, format!("no index of safetensors files: {error}")))?;
    let mut shards: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (tensor, shard) in found.weight_map {
        shards.entry(shard).or_default().insert(tensor);
    }
    if shards.is_empty() || shards.len() > MAX_SHARDS {
        return Err(Error::format(index, format!("it names {} files, expected 1 to {MAX_SHARDS}", shards.len())));
    }
    log::info!("{} names {} files of weights", index.display(), shards.len());
    for (shard, names) in &shards {
        let mut parts = Path::new(shard).components();
        let plain = matches!((parts.next(), parts.next()), (Some(std::path::Component::Normal(_)), None));
        if !plain || !shard.ends_with(".safetensors") {
            return Err(Error::format(
                index,
                format!("it names the file {shard:?}, expected the name of a .safetensors file beside it"),
            ));
        }
        let path = beside(index, shard);
        let (mut file, length) =
            files::open(&path).map_err(|error| error.context(format!("{} names", index.display())))?;
        if !take(&mut file, length, names).map_err(|fault| fault.at(&path))? {
            return Err(Error::format(&path, format!("it does not hold the tensors that {} says", index.display())));
        }
    }
    Ok(())
}
