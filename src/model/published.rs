//! Names of published checkpoints, brought to torchvision's.
//!
//! Checkpoints wrap the network in trainers and parallel containers (`module.encoder_q.`, `model.module.module.`) and put other
//! things beside it (a key encoder, a queue, prototypes). The network is what lies under the prefix that gives the most of
//! its keys. MoCo-v2 keeps its projection head at `fc.0` and `fc.2`, SimCLR at `fc.0`, `fc.1` and `fc.3`, SwAV at
//! `projection_head`; here it is `projection`.

use std::collections::{BTreeMap, HashSet};

use super::seed_names::torchvision_names;
use super::weights::rename::canonical;
use super::weights::{HostTensor, StateDict};
use super::{Architecture, Head, Network};
use crate::error::{Error, Result};

/// The tensors of `state` that belong to one network of that architecture, under torchvision's names; what lies under
/// other prefixes is left out. A state with torchvision's names comes back as it is.
///
/// # Errors
/// `Mismatch` where no prefix gives a single tensor of the backbone.
pub fn published_names(architecture: Architecture, state: StateDict) -> Result<StateDict> {
    let state = torchvision_names(architecture, state);
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
    let all = tensors.len();
    let mut tensors: BTreeMap<String, HostTensor> = tensors
        .into_iter()
        .filter_map(|(name, tensor)| name.strip_prefix(&prefix).map(|rest| (rest.to_owned(), tensor)))
        .filter(|(name, _)| !beside_the_network(name))
        .collect();
    if !prefix.is_empty() || tensors.len() < all {
        log::info!(
            "{architecture} lies under \"{prefix}\" in the checkpoint: {} of its {all} tensors; the others are left out",
            tensors.len()
        );
    }
    // Where a projection stands elsewhere: MoCo-v2's and SimCLR's in place of the classifier, SwAV's under its own name.
    for theirs in ["fc.", "projection_head."] {
        let layers: Vec<(String, String)> = tensors
            .keys()
            .filter_map(|name| Some((name.clone(), name.strip_prefix(theirs)?.to_owned())))
            .filter(|(_, rest)| rest.starts_with(|first: char| first.is_ascii_digit()))
            .collect();
        for (name, rest) in layers {
            if let Some(tensor) = tensors.remove(&name) {
                tensors.insert(format!("projection.{rest}"), tensor);
            }
        }
    }
    Ok(canonical(StateDict { tensors, metadata }))
}

/// What training keeps beside the network, under the same prefix: SwAV's prototypes, MoCo's queue.
fn beside_the_network(name: &str) -> bool {
    name.starts_with("prototypes.") || name == "queue" || name == "queue_ptr"
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

/// The projection head in a state, if it has one.
pub(crate) fn projection_of(state: &StateDict) -> Option<Head> {
    let rows = |name: &str| match state.tensors.get(name)?.shape.as_slice() {
        &[rows, _] => i64::try_from(rows).ok(),
        _ => None,
    };
    let hidden = rows("projection.0.weight")?;
    match rows("projection.3.weight") {
        Some(dim) => Some(Head::NormedProjection { hidden, dim }),
        None => Some(Head::Projection { hidden, dim: rows("projection.2.weight")? }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::weights::HostType;

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
    fn swav_gives_its_head_without_the_prototypes() {
        let found = published_names(
            Architecture::ResNet50,
            state(&[
                "module.conv1.weight",
                "module.layer1.0.conv1.weight",
                "module.projection_head.0.weight",
                "module.projection_head.1.running_mean",
                "module.projection_head.3.bias",
                "module.prototypes.weight",
            ]),
        );
        let expected = [
            "conv1.weight",
            "layer1.0.conv1.weight",
            "projection.0.weight",
            "projection.1.running_mean",
            "projection.3.bias",
        ];
        assert_eq!(names(found.unwrap()), expected);
    }

    #[test]
    fn simclr_under_seeds_prefix_gives_its_head() {
        let found = published_names(
            Architecture::ResNet50,
            state(&["model.module.module.conv1.weight", "model.module.module.fc.1.running_var", "epoch"]),
        );
        assert_eq!(names(found.unwrap()), ["conv1.weight", "projection.1.running_var"]);
    }

    #[test]
    fn torchvision_names_stay_and_strangers_are_an_error() {
        let plain = ["conv1.weight", "fc.bias", "layer1.0.conv1.weight"];
        assert_eq!(names(published_names(Architecture::ResNet18, state(&plain)).unwrap()), plain);
        let error = published_names(Architecture::ResNet18, state(&["blocks.0.attn.qkv.weight"])).err().unwrap();
        assert!(error.message().contains("blocks.0.attn.qkv.weight"), "{error}");
    }
}
