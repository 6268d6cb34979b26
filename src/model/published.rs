//! Names of published checkpoints, brought to torchvision's.
//!
//! Checkpoints wrap the network in trainers and parallel containers (`module.encoder_q.`, `model.module.module.`) and put other
//! things beside it (a key encoder, a queue, prototypes). The network is what lies under the prefix that gives the most of
//! its keys. MoCo-v2 keeps its projection head at `fc.0` and `fc.2`, where we keep it at `projection.0` and `projection.2`.

use std::collections::{BTreeMap, HashSet};

use super::weights::StateDict;
use super::weights::rename::canonical;
use super::{Architecture, Head, Network};
use crate::error::{Error, Result};

/// The tensors of `state` that belong to one network of that architecture, under torchvision's names; what lies under
/// other prefixes is left out. A state with torchvision's names comes back as it is.
///
/// # Errors
/// `Mismatch` where no prefix gives a single tensor of the backbone.
pub fn published_names(architecture: Architecture, state: StateDict) -> Result<StateDict> {
    let blank = Network::blank(architecture, Head::None, tch::Device::Cpu)?;
    let wanted: HashSet<&str> = blank.entries().iter().map(|entry| entry.name.as_str()).collect();
    let prefix = best_prefix(&wanted, &state).ok_or_else(|| {
        let examples: Vec<&str> = state.tensors.keys().take(5).map(String::as_str).collect();
        Error::mismatch(format!(
            "no weights of {architecture} among {} tensors (the first are: {})",
            state.tensors.len(),
            examples.join(", ")
        ))
    })?;
    let StateDict { tensors, metadata, .. } = state;
    let stripped = tensors
        .into_iter()
        .filter_map(|(name, tensor)| name.strip_prefix(&prefix).map(|rest| (rest.to_owned(), tensor)));
    let mut tensors: BTreeMap<_, _> = stripped.collect();
    for (theirs, ours) in [("fc.0.", "projection.0."), ("fc.2.", "projection.2.")] {
        for part in ["weight", "bias"] {
            if let Some(tensor) = tensors.remove(&format!("{theirs}{part}")) {
                tensors.insert(format!("{ours}{part}"), tensor);
            }
        }
    }
    Ok(canonical(StateDict { tensors, metadata }))
}

/// The prefix ("" or ending in a dot) under which the most wanted names lie. Of equals MoCo's query encoder, which is the one
/// that is published, comes before its key encoder; then the shortest.
fn best_prefix(wanted: &HashSet<&str>, state: &StateDict) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for name in state.tensors.keys() {
        let starts = std::iter::once(0).chain(name.match_indices('.').map(|(dot, _)| dot + 1));
        for start in starts {
            let (prefix, rest) = name.split_at(start);
            if wanted.contains(rest) {
                *counts.entry(prefix).or_default() += 1;
            }
        }
    }
    let rank = |prefix: &str, count: usize| (count, prefix.contains("encoder_q"), std::cmp::Reverse(prefix.len()));
    counts.into_iter().max_by_key(|&(prefix, count)| rank(prefix, count)).map(|(prefix, _)| prefix.to_owned())
}

/// Hidden and output width of the projection head in a state, if it has one.
pub(crate) fn projection_widths(state: &StateDict) -> Option<(i64, i64)> {
    let rows = |name: &str| match state.tensors.get(name)?.shape.as_slice() {
        &[rows, _] => i64::try_from(rows).ok(),
        _ => None,
    };
    Some((rows("projection.0.weight")?, rows("projection.2.weight")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::weights::{HostTensor, HostType};

    fn state(names: &[&str]) -> StateDict {
        let scalar = HostTensor { dtype: HostType::F32, shape: vec![], bytes: vec![0; 4] };
        StateDict {
            tensors: names.iter().map(|&name| (name.to_owned(), scalar.clone())).collect(),
            metadata: BTreeMap::new(),
        }
    }

    fn names(state: StateDict) -> Vec<String> {
        state.tensors.into_keys().collect()
    }

    #[test]
    fn moco_gives_its_query_encoder_with_the_head() {
        let found = published_names(
            Architecture::ResNet50,
            state(&[
                "module.queue",
                "module.encoder_k.conv1.weight",
                "module.encoder_k.bn1.weight",
                "module.encoder_q.bn1.weight",
                "module.encoder_q.conv1.weight",
                "module.encoder_q.fc.0.weight",
                "module.encoder_q.fc.2.bias",
                "module.encoder_q.layer1.0.conv1.weight",
            ]),
        );
        let expected =
            ["bn1.weight", "conv1.weight", "layer1.0.conv1.weight", "projection.0.weight", "projection.2.bias"];
        assert_eq!(names(found.unwrap()), expected);
    }

    #[test]
    fn torchvision_names_stay_and_strangers_are_an_error() {
        let plain = ["conv1.weight", "fc.bias", "layer1.0.conv1.weight"];
        assert_eq!(names(published_names(Architecture::ResNet18, state(&plain)).unwrap()), plain);
        let error = published_names(Architecture::ResNet18, state(&["blocks.0.attn.qkv.weight"])).err().unwrap();
        assert!(error.message().contains("blocks.0.attn.qkv.weight"), "{error}");
    }
}
