//! What a file of weights holds, without reading its tensors: names, element types, shapes and the texts beside them.

use std::collections::BTreeMap;
use std::path::Path;

use super::fault::Checked;
use super::globals::Element;
use super::heap::TensorRef;
use super::outline::TensorOutline;
use super::{FileFormat, Side, format_of, layout, safetensors, shards, torch_legacy, torch_zip};
use crate::error::Result;
use crate::sys::files;

/// What a file of weights holds.
#[derive(Clone, Debug)]
pub struct Contents {
    /// How it is written.
    pub format: FileFormat,
    /// The state dicts in it: one, or two where a checkpoint has teacher and student in dicts of their own.
    pub states: Vec<StateOutline>,
    /// As [`StateDict::metadata`](super::StateDict::metadata).
    pub metadata: BTreeMap<String, String>,
}

/// Names and shapes of a state dict.
#[derive(Clone, Debug)]
pub struct StateOutline {
    /// The keys under which it lies, joined by dots; empty at the top.
    pub under: String,
    /// By the file's own names.
    pub tensors: BTreeMap<String, TensorOutline>,
}

/// Reads what a file holds. The checks are those of [`read`](super::read), but for the tensors' own bytes.
///
/// # Errors
/// Those of [`read`](super::read).
pub fn contents(path: &Path) -> Result<Contents> {
    if let Some(index) = shards::index_of(path) {
        let (tensors, metadata) = shards::outline(&index)?;
        let states = vec![StateOutline { under: String::new(), tensors }];
        return Ok(Contents { format: FileFormat::Safetensors, states, metadata });
    }
    let (mut file, length) = files::open(path)?;
    let mut read = || -> Checked<Contents> {
        let format = format_of(&mut file, path)?;
        let checkpoint = match format {
            FileFormat::Safetensors => {
                let (tensors, metadata) = safetensors::outline(&mut file, length)?;
                return Ok(Contents { format, states: vec![StateOutline { under: String::new(), tensors }], metadata });
            }
            FileFormat::TorchZip => torch_zip::open(&mut file, length)?,
            FileFormat::TorchLegacy => torch_legacy::open(&mut file, length)?,
        };
        let mut states: Vec<StateOutline> = Vec::new();
        let mut texts = BTreeMap::new();
        for side in [Side::Student, Side::Teacher] {
            let (under, tensors, metadata) = layout::found(&checkpoint.heap, checkpoint.root, side)?;
            texts = metadata;
            if states.iter().all(|state| state.under != under) {
                let tensors = tensors.into_iter().map(|(name, window)| (name, outline(window))).collect();
                states.push(StateOutline { under, tensors });
            }
        }
        Ok(Contents { format, states, metadata: texts })
    };
    read().map_err(|fault| fault.at(path))
}

fn outline(window: &TensorRef) -> TensorOutline {
    let dtype = match window.element {
        Element::Known(dtype) => dtype.name(),
        Element::Untyped => "untyped",
        Element::Foreign { name, .. } => name,
    };
    TensorOutline { dtype: dtype.to_owned(), shape: window.shape.clone() }
}
