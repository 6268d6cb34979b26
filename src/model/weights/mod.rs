//! Weights from files: safetensors, and torch's `.pt`, `.pth` and `.pth.tar`, zip and legacy. Nothing is ever executed.
//!
//! A file is taken for hostile until checked: every length, offset, shape and name is compared with what the file really
//! holds and with [`limits`] before memory is taken. A file that fails is an error of kind `Format` with its name and the
//! reason.
//!
//! The way through: [`read`] tells the formats apart by content; `torch_zip` and `torch_legacy` find the objects' pickle and
//! where each storage lies; `pickle` builds inert objects on a `heap`, `globals` being the list of what is understood;
//! `layout` finds the state dict among them; `gather` copies its tensors. [`contents`] goes the same way but for the tensors.
//! Names are the file's own; [`published`](super::published()) turns them into ours.

mod about;
mod contents;
mod fault;
mod gather;
mod globals;
mod heap;
mod host;
mod layout;
pub mod limits;
mod outline;
mod pickle;
mod rebuild;
mod safetensors;
mod shards;
mod torch_legacy;
mod torch_zip;
mod zip_directory;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use self::fault::{Checked, Fault};
use self::gather::{Checkpoint, Gather};
use self::heap::TensorRef;

pub use self::about::{SCRIPT_EXTRA, read_metadata};
pub use self::contents::{Contents, StateOutline, contents};
pub use self::host::{HostTensor, HostType, StateDict, check_finite};
pub use self::outline::TensorOutline;
pub use self::safetensors::{write_borrowed, write_safetensors, write_to};

use crate::error::Result;
use crate::sys::files;

/// Which one is wanted where a checkpoint holds a teacher and a student.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The network that was learned from.
    Teacher,
    /// The network that learned.
    Student,
}

/// As [`read_side`], for a teacher.
///
/// # Errors
/// Those of [`read_side`].
pub fn read(path: &Path) -> Result<StateDict> {
    read_side(path, Side::Teacher)
}

/// Reads the weights of a safetensors or torch file; which one it is shows in its content, not in its name.
///
/// From a torch checkpoint the state dict is taken from the top or from under one of these keys, the first that holds tensors: the
/// moving averages `state_dict_ema`, `model_ema`, `ema_state_dict`, `params_ema` (which is what is evaluated, so they come first, as in
/// timm), then `state_dict`, `model`, `model_state_dict`, `net`, `module`, `params`, `weights`, `teacher`, `student` (the student's
/// before the teacher's where `side` says so), `backbone`, `encoder`. A prefix `module.` that all names share is taken off. Names are
/// otherwise the file's own. Tensors come contiguous and little endian, tied ones as separate copies.
///
/// Several safetensors files are read as one where `path` is their index (`model.safetensors.index.json`) or one of them.
///
/// # Errors
/// `Io` where the file cannot be read, `Format` where it is damaged, hostile, of another kind or without a state dict,
/// `OutOfMemory` where its tensors do not fit.
pub fn read_side(path: &Path, side: Side) -> Result<StateDict> {
    if let Some(index) = shards::index_of(path) {
        return shards::read(&index);
    }
    let (mut file, length) = files::open(path)?;
    read_open(&mut file, length, path, side).map_err(|fault| fault.at(path))
}

/// What a file of weights can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// Hugging Face's safetensors.
    Safetensors,
    /// torch.save since 1.6.
    TorchZip,
    /// torch.save before.
    TorchLegacy,
}

impl FileFormat {
    /// "safetensors", "torch_zip" or "torch_legacy".
    pub fn name(self) -> &'static str {
        match self {
            Self::Safetensors => "safetensors",
            Self::TorchZip => "torch_zip",
            Self::TorchLegacy => "torch_legacy",
        }
    }
}

/// The format, by the file's first bytes.
fn format_of(file: &mut File, path: &Path) -> Checked<FileFormat> {
    let mut beginning = Vec::new();
    file.by_ref().take(64).read_to_end(&mut beginning)?;
    if beginning.starts_with(b"PK\x03\x04") {
        return Ok(FileFormat::TorchZip);
    }
    if torch_legacy::recognises(&beginning) {
        return Ok(FileFormat::TorchLegacy);
    }
    if beginning.get(8) == Some(&b'{') || path.extension().is_some_and(|extension| extension == "safetensors") {
        return Ok(FileFormat::Safetensors);
    }
    Err(Fault::new(if beginning.is_empty() {
        "the file is empty"
    } else if beginning.starts_with(b"version https://git-lfs") {
        "this is a Git LFS pointer, not the weights; fetch the file with git lfs pull"
    } else if beginning.first() == Some(&0x80) {
        "this is a pickle, but not one of torch.save"
    } else {
        "neither safetensors nor a torch checkpoint (zip or legacy)"
    }))
}

fn read_open(file: &mut File, length: u64, path: &Path, side: Side) -> Checked<StateDict> {
    let checkpoint = match format_of(file, path)? {
        FileFormat::Safetensors => return safetensors::read(file, length),
        FileFormat::TorchZip => torch_zip::open(file, length)?,
        FileFormat::TorchLegacy => torch_legacy::open(file, length)?,
    };
    let (windows, metadata) = layout::find(&checkpoint.heap, checkpoint.root, side)?;
    gathered(file, length, &checkpoint, windows, metadata)
}

/// The tensors of a torch checkpoint's state dict, read from the file.
fn gathered(
    file: &mut File,
    length: u64,
    checkpoint: &Checkpoint,
    windows: BTreeMap<String, &TensorRef>,
    metadata: BTreeMap<String, String>,
) -> Checked<StateDict> {
    let mut gather = Gather::new(file, length, &checkpoint.storages, checkpoint.order);
    let mut tensors = BTreeMap::new();
    for (name, window) in windows {
        let tensor = gather.tensor(window).map_err(|fault| fault.before(&format!("tensor {name:?}")))?;
        tensors.insert(name, tensor);
    }
    Ok(StateDict { tensors, metadata })
}
