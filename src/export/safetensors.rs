//! Weights under torchvision's names, for `load_state_dict(..., strict=True)`.
//!
//! Inside libseed a projection is "projection.0", ".1" and so on, beside the backbone. torchvision has a linear layer at the end of
//! its classifier; there goes the projection as an `nn.Sequential`:
//!
//! | network | the layer | in PyTorch, before loading |
//! |---|---|---|
//! | ResNet | `fc` | `net.fc = Sequential(Linear(d, hidden), ReLU(), Linear(hidden, C))` |
//! | MobileNetV2, EfficientNet | `classifier.1` | `net.classifier[1] = Sequential(…)` |
//! | MobileNetV3 | `classifier.3` | `net.classifier[3] = Sequential(…)` |

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::{Error, ErrorKind, Result};
use crate::model::weights::{self, HostTensor};
use crate::model::{Architecture, Network};
use crate::sys::disk;

/// Writes the backbone and, with `head`, what follows it.
pub(super) fn write(path: &Path, network: &Network, head: bool, mut texts: BTreeMap<String, String>) -> Result<()> {
    // transformers and other readers ask for this key; torch's own names are in the file.
    texts.insert("framework".to_owned(), "pt".to_owned());
    let mut tensors = Vec::new();
    for (name, tensor) in network.to_state()? {
        match theirs(network.architecture(), &name) {
            (name, false) => tensors.push((name, tensor)),
            (name, true) if head => tensors.push((name, tensor)),
            (_, true) => {}
        }
    }
    disk::replace_checked(path, |file, temporary| {
        weights::write_to(file, path, &tensors, &texts)?;
        compare(temporary, &tensors, &texts)
    })
}

/// The name in torchvision's network, and whether it belongs to the head.
fn theirs(architecture: Architecture, name: &str) -> (String, bool) {
    let key = architecture.family().classifier_key;
    match name.strip_prefix("projection.") {
        Some(rest) => (format!("{key}.{rest}"), true),
        None => (name.to_owned(), name.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'))),
    }
}

fn compare(path: &Path, tensors: &[(String, HostTensor)], texts: &BTreeMap<String, String>) -> Result<()> {
    let found = weights::read(path)?;
    let equal = found.tensors.len() == tensors.len()
        && tensors.iter().all(|(name, tensor)| found.tensors.get(name) == Some(tensor))
        && &found.metadata == texts;
    if equal {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Internal, "the weights that were written are not those that are read back"))
}
