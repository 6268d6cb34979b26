//! Weights from files: safetensors, and torch's `.pt`, `.pth` and `.pth.tar`, zip and legacy. Nothing is ever executed.
//!
//! A file is taken for hostile until checked: every length, offset, shape and name is compared with what the file really
//! holds and with [`limits`] before memory is taken. A file that fails is an error of kind `Format` with its name and the
//! reason.
//!
//! The way through: [`read`] tells the formats apart by content; `torch_zip` and `torch_legacy` find the objects' pickle and
//! where each storage lies; `pickle` builds inert objects on a `heap`, `globals` being the list of what is understood;
//! `layout` finds the state dict among them; `gather` copies its tensors. [`rename::canonical`] then turns published names
//! into torchvision's.

mod atomic;
mod fault;
mod gather;
mod globals;
mod heap;
mod host;
mod layout;
pub mod limits;
mod pickle;
mod rebuild;
pub mod rename;
mod safetensors;
mod torch_legacy;
mod torch_zip;
mod zip_directory;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use self::fault::{Checked, Fault};
use self::gather::{Checkpoint, Gather};

pub use self::host::{HostTensor, HostType, StateDict};
pub use self::safetensors::{write_borrowed, write_safetensors};

use crate::error::{Error, Result};

/// Reads the weights of a safetensors or torch file; which one it is shows in its content, not in its name.
///
/// From a torch checkpoint the state dict is taken from the top or from under `state_dict`, `model`, `model_state_dict`,
/// `net`, `teacher`, `student`, in that order; a prefix `module.` that all names share is taken off. Names are otherwise the
/// file's own. Tensors come contiguous and little endian, tied ones as separate copies.
///
/// # Errors
/// `Io` where the file cannot be read, `Format` where it is damaged, hostile, of another kind or without a state dict,
/// `OutOfMemory` where its tensors do not fit.
pub fn read(path: &Path) -> Result<StateDict> {
    // Opening a pipe would wait for a writer, and a folder gives a confusing message.
    let about = std::fs::metadata(path).map_err(|source| Error::io("read", path, &source))?;
    if !about.is_file() {
        return Err(Error::format(path, "not a regular file"));
    }
    let mut file = File::open(path).map_err(|source| Error::io("open", path, &source))?;
    read_open(&mut file, path).map_err(|fault| fault.at(path))
}

fn read_open(file: &mut File, path: &Path) -> Checked<StateDict> {
    let length = file.metadata()?.len();
    let mut beginning = Vec::new();
    file.by_ref().take(64).read_to_end(&mut beginning)?;
    if beginning.starts_with(b"PK\x03\x04") {
        let checkpoint = torch_zip::open(file, length)?;
        return gathered(file, length, &checkpoint);
    }
    if torch_legacy::recognises(&beginning) {
        let checkpoint = torch_legacy::open(file, length)?;
        return gathered(file, length, &checkpoint);
    }
    if beginning.get(8) == Some(&b'{') || path.extension().is_some_and(|extension| extension == "safetensors") {
        return safetensors::read(file, length);
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

/// The state dict of a torch checkpoint, its tensors read from the file.
fn gathered(file: &mut File, length: u64, checkpoint: &Checkpoint) -> Checked<StateDict> {
    let (windows, metadata) = layout::find(&checkpoint.heap, checkpoint.root)?;
    let mut gather = Gather::new(file, length, &checkpoint.storages, checkpoint.order);
    let mut tensors = BTreeMap::new();
    for (name, window) in windows {
        let tensor = gather.tensor(window).map_err(|fault| fault.before(&format!("tensor {name:?}")))?;
        tensors.insert(name, tensor);
    }
    Ok(StateDict { tensors, metadata })
}
