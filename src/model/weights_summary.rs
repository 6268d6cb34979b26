//! What a file of weights is, for a person who does not know: format, networks, heads, texts.
//!
//! ```text
//! { "format": "safetensors" | "torch_zip" | "torch_legacy", "metadata": { key: text, … },
//!   "states": [ { "under": "state_dict", "tensors": 322, "elements": 55932224, "types": { "float32": 268, "int64": 54 },
//!                 "first_names": [ … ],
//!                 "networks": [ { "architecture": "resnet50", "layout": "torchvision", "prefix": "module.encoder_q.",
//!                                 "head": { "kind": "projection", "hidden": 2048, "dim": 128 } } ],
//!                 "nearest": null | { "architecture": "resnet50", "prefix": "", "fitting": 199, "needed": 265 } } ] }
//! ```
//!
//! `networks` are those whose tensors all are there, by names and shapes. Where there is none, `nearest` is the one with the
//! largest share of its tensors there. The tensors' bytes are not read.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::published::{Shapes, every_best};
use super::student_header::HeadText;
use super::weights::{self, StateOutline};
use crate::error::Result;

/// How many names are shown of a state dict.
const SHOWN_NAMES: usize = 5;

/// A description of the weights in a file, as the [module](self) shows it.
///
/// # Errors
/// Those of [`weights::contents`].
pub fn describe(path: &Path) -> Result<Value> {
    let contents = weights::contents(path)?;
    let states: Vec<Value> = contents.states.iter().map(state).collect::<Result<_>>()?;
    Ok(json!({ "format": contents.format.name(), "metadata": contents.metadata, "states": states }))
}

fn state(state: &StateOutline) -> Result<Value> {
    let shapes: Shapes<'_> =
        state.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.shape.as_slice())).collect();
    let mut types: BTreeMap<&str, usize> = BTreeMap::new();
    let mut elements = 0usize;
    for tensor in state.tensors.values() {
        *types.entry(&tensor.dtype).or_default() += 1;
        elements = elements.saturating_add(tensor.shape.iter().fold(1, |count, &side| count.saturating_mul(side)));
    }
    let fits = every_best(&shapes)?;
    let networks: Vec<Value> = fits
        .iter()
        .filter(|fit| fit.is_whole())
        .map(|fit| {
            json!({
                "architecture": fit.architecture.name(),
                "layout": fit.layout_name,
                "prefix": fit.prefix,
                "head": HeadText::from(fit.head),
            })
        })
        .collect();
    // By share: a small network's names are among those of many a large one.
    let share = |fitting: usize, needed: usize| fitting as f64 / needed.max(1) as f64;
    let nearest = fits
        .iter()
        .filter(|fit| networks.is_empty() && fit.fitting > 0)
        .max_by(|a, b| share(a.fitting, a.needed).total_cmp(&share(b.fitting, b.needed)));
    let nearest = nearest.map(|fit| {
        json!({
            "architecture": fit.architecture.name(),
            "prefix": fit.prefix,
            "fitting": fit.fitting,
            "needed": fit.needed,
        })
    });
    Ok(json!({
        "under": state.under,
        "tensors": state.tensors.len(),
        "elements": elements,
        "types": types,
        "first_names": state.tensors.keys().take(SHOWN_NAMES).collect::<Vec<_>>(),
        "networks": networks,
        "nearest": nearest,
    }))
}
