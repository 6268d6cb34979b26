//! The names of the first PyTorch port of MobileNetV2, whose blocks are flat sequences where torchvision nests convolution and
//! normalisation:
//!
//! | block | there → torchvision |
//! |---|---|
//! | `features.1.conv.J` (no expansion) | 0 → 0.0, 1 → 0.1, 3 → 1, 4 → 2 |
//! | `features.2` to `features.17`, `.conv.J` | 0 → 0.0, 1 → 0.1, 3 → 1.0, 4 → 1.1, 6 → 2, 7 → 3 |
//!
//! The indices left out are activations, which have no weights. All other names are the same.

use super::target::{Target, whole};

/// torchvision's name of a tensor.
pub(super) fn target(name: &str) -> Option<Target> {
    let Some((block, rest)) = name.strip_prefix("features.").and_then(|rest| rest.split_once(".conv.")) else {
        return whole(name);
    };
    let (layer, leaf) = rest.split_once('.')?;
    // torchvision's own names nest once more and are none of this layout.
    if leaf.contains('.') {
        return None;
    }
    let layer = match (block.parse::<u32>().ok()?, layer) {
        (_, "0") => "0.0",
        (_, "1") => "0.1",
        (1, "3") => "1",
        (1, "4") => "2",
        (_, "3") => "1.0",
        (_, "4") => "1.1",
        (_, "6") => "2",
        (_, "7") => "3",
        _ => return None,
    };
    whole(format!("features.{block}.conv.{layer}.{leaf}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_blocks_nest_and_others_stay() {
        let name = |name| target(name).map(|target| target.name);
        for (theirs, ours) in [
            ("features.0.0.weight", "features.0.0.weight"),
            ("features.1.conv.0.weight", "features.1.conv.0.0.weight"),
            ("features.1.conv.3.weight", "features.1.conv.1.weight"),
            ("features.1.conv.4.running_mean", "features.1.conv.2.running_mean"),
            ("features.17.conv.3.weight", "features.17.conv.1.0.weight"),
            ("features.2.conv.4.weight", "features.2.conv.1.1.weight"),
            ("features.2.conv.7.weight", "features.2.conv.3.weight"),
            ("classifier.1.bias", "classifier.1.bias"),
        ] {
            assert_eq!(name(theirs).as_deref(), Some(ours), "{theirs}");
        }
        assert_eq!(name("features.2.conv.0.0.weight"), None);
    }
}
