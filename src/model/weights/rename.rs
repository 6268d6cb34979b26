//! Names of published weights that differ from torchvision's although the network is the same.
//!
//! One layout is known so far: the MobileNetV2 of the original PyTorch port, whose blocks are flat sequences where torchvision
//! nests convolution and normalisation:
//!
//! | block | here → torchvision |
//! |---|---|
//! | `features.1.conv.J` (no expansion) | 0 → 0.0, 1 → 0.1, 3 → 1, 4 → 2 |
//! | `features.2` to `features.17`, `.conv.J` | 0 → 0.0, 1 → 0.1, 3 → 1.0, 4 → 1.1, 6 → 2, 7 → 3 |
//!
//! The indices left out are activations, which have no weights. All other names are the same.

use super::{HostTensor, StateDict};

/// Renames a known layout to torchvision's names; any other state dict, torchvision's own included, comes back unchanged.
pub fn canonical(state: StateDict) -> StateDict {
    if !is_flat_mobilenet_v2(&state) {
        return state;
    }
    let renamed = state.tensors.keys().map(|name| flat_mobilenet_v2(name).unwrap_or_else(|| name.clone()));
    // Names that fall together would lose a tensor: then it is not the layout it seemed to be.
    if renamed.collect::<std::collections::BTreeSet<_>>().len() != state.tensors.len() {
        return state;
    }
    log::info!("the names are those of the original MobileNetV2 port and were changed to torchvision's");
    let rename = |(name, tensor): (String, HostTensor)| (flat_mobilenet_v2(&name).unwrap_or(name), tensor);
    StateDict { tensors: state.tensors.into_iter().map(rename).collect(), metadata: state.metadata }
}

/// In torchvision's layout `features.1.conv.0` is a sequence and has no weight of its own, and `features.2.conv` ends at 3.
fn is_flat_mobilenet_v2(state: &StateDict) -> bool {
    let rank = |name| state.tensors.get(name).map(|tensor| tensor.shape.len());
    rank("features.1.conv.0.weight") == Some(4) && rank("features.2.conv.7.weight") == Some(1)
}

/// torchvision's name of a tensor in a block; `None` where it is the same.
fn flat_mobilenet_v2(name: &str) -> Option<String> {
    let (block, rest) = name.strip_prefix("features.")?.split_once(".conv.")?;
    let (layer, leaf) = rest.split_once('.')?;
    if leaf.contains('.') {
        return None;
    }
    let layer = match (block.parse::<u32>().ok()?, layer) {
        (1..=17, "0") => "0.0",
        (1..=17, "1") => "0.1",
        (1, "3") => "1",
        (1, "4") => "2",
        (2..=17, "3") => "1.0",
        (2..=17, "4") => "1.1",
        (2..=17, "6") => "2",
        (2..=17, "7") => "3",
        _ => return None,
    };
    Some(format!("features.{block}.conv.{layer}.{leaf}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::weights::HostType;

    fn state(entries: &[(&str, usize)]) -> StateDict {
        let tensor = |rank| HostTensor { dtype: HostType::U8, shape: vec![1; rank], bytes: vec![rank as u8] };
        let tensors = entries.iter().map(|&(name, rank)| (name.to_owned(), tensor(rank))).collect();
        StateDict { tensors, ..StateDict::default() }
    }

    fn names(state: StateDict) -> Vec<String> {
        canonical(state).tensors.into_keys().collect()
    }

    #[test]
    fn the_flat_layout_gets_torchvisions_names() {
        let flat = state(&[
            ("features.0.0.weight", 4),
            ("features.1.conv.0.weight", 4),
            ("features.1.conv.1.bias", 1),
            ("features.1.conv.3.weight", 4),
            ("features.1.conv.4.running_mean", 1),
            ("features.17.conv.3.weight", 4),
            ("features.2.conv.4.weight", 1),
            ("features.2.conv.6.weight", 4),
            ("features.2.conv.7.weight", 1),
            ("features.18.0.weight", 4),
        ]);
        let expected = [
            "features.0.0.weight",
            "features.1.conv.0.0.weight",
            "features.1.conv.0.1.bias",
            "features.1.conv.1.weight",
            "features.1.conv.2.running_mean",
            "features.17.conv.1.0.weight",
            "features.18.0.weight",
            "features.2.conv.1.1.weight",
            "features.2.conv.2.weight",
            "features.2.conv.3.weight",
        ];
        assert_eq!(names(flat), expected);
    }

    #[test]
    fn torchvisions_layout_stays() {
        let entries =
            [("features.1.conv.0.0.weight", 4), ("features.1.conv.1.weight", 4), ("features.2.conv.3.weight", 1)];
        assert_eq!(names(state(&entries)), entries.map(|(name, _)| name));
    }

    #[test]
    fn names_that_would_fall_together_stay() {
        let entries =
            [("features.1.conv.0.0.weight", 4), ("features.1.conv.0.weight", 4), ("features.2.conv.7.weight", 1)];
        assert_eq!(names(state(&entries)), entries.map(|(name, _)| name));
    }
}
