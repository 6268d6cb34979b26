//! Names of the networks in SEED's own code, brought to torchvision's.
//!
//! SEED took its MobileNetV3-Large and its EfficientNets from ports with names of their own. `LAYER` stands for a convolution's or
//! norm's tensors; `projection` heads stay at `fc.0` and `fc.2`, where SEED puts them and [`published`](super::published)
//! looks for them.
//!
//! | MobileNetV3 in SEED | here | | EfficientNet in SEED | here |
//! |---|---|---|---|---|
//! | `features.0` | `features.0` | | `_conv_stem`, `_bn0` | `features.0.0`, `.1` |
//! | `features.I.conv.J`, flat | `features.I.block.K.0`, `.1` | | `_blocks.N._expand_conv`, `_bn0` | `features.S.I.block.0.0`, `.1` |
//! | `features.I.conv.J.fc.0`, `.2`, linear | `features.I.block.K.fc1`, `.fc2`, 1×1 | | `_depthwise_conv`, `_bn1` | `block.1.0`, `.1` |
//! | `conv.0`, `.1` | `features.16.0`, `.1` | | `_se_reduce`, `_se_expand` | `block.2.fc1`, `.fc2` |
//! | `classifier.0` | `classifier.0` | | `_project_conv`, `_bn2` | `block.3.0`, `.1` |
//! | `fc` | `classifier.3` | | `_conv_head`, `_bn1`; `fc` or `_fc` | `features.8.0`, `.1`; `classifier.1` |
//!
//! In the first EfficientNet block, which does not widen, K counts from 0 at the depthwise convolution. Lite0, which ports of the same
//! origin publish under these names, has no gate, so its last convolution is `block.2`.

use super::target::{Target, whole};
use crate::model::Architecture;

/// torchvision's name of a tensor in SEED's layout; names that are the same stay. `None` for networks that SEED has no layout of.
pub(super) fn target(architecture: Architecture, name: &str) -> Option<Target> {
    let renamed = match architecture {
        Architecture::SeedMobileNetV3Large => mobilenet(name),
        Architecture::TfEfficientNetB0 => efficientnet(&B0, true, name),
        Architecture::TfEfficientNetB1 | Architecture::TfEfficientNetB2 => efficientnet(&B1, true, name),
        Architecture::TfEfficientNetB3 => efficientnet(&B3, true, name),
        Architecture::TfEfficientNetLite0 => efficientnet(&B0, false, name),
        _ => return None,
    };
    whole(renamed.unwrap_or_else(|| name.to_owned()))
}

fn mobilenet(name: &str) -> Option<String> {
    if let Some(rest) = name.strip_prefix("conv.") {
        return Some(format!("features.16.{rest}"));
    }
    if let Some(leaf @ ("weight" | "bias")) = name.strip_prefix("fc.") {
        return Some(format!("classifier.3.{leaf}"));
    }
    let (block, rest) = name.strip_prefix("features.")?.split_once(".conv.")?;
    let number: u32 = block.parse().ok()?;
    let (layer, leaf) = rest.split_once('.')?;
    // Places without weights are activations, and of blocks without it the squeeze-and-excitation.
    let squeezes = matches!(number, 4..=6 | 11..=15);
    let layer = match (number, layer) {
        (1, "0") => "0.0",
        (1, "1") => "0.1",
        (1, "4") => "1.0",
        (1, "5") => "1.1",
        (_, "0") => "0.0",
        (_, "1") => "0.1",
        (_, "3") => "1.0",
        (_, "4") => "1.1",
        (_, "5") => match leaf.split_once('.')? {
            ("fc", leaf) => match leaf.split_once('.')? {
                ("0", leaf) => return Some(format!("features.{block}.block.2.fc1.{leaf}")),
                ("2", leaf) => return Some(format!("features.{block}.block.2.fc2.{leaf}")),
                _ => return None,
            },
            _ => return None,
        },
        (_, "7") if squeezes => "3.0",
        (_, "8") if squeezes => "3.1",
        (_, "7") => "2.0",
        (_, "8") => "2.1",
        _ => return None,
    };
    Some(format!("features.{block}.block.{layer}.{leaf}"))
}

/// Blocks of each of EfficientNet's stages; B2 has B1's.
const B0: [usize; 7] = [1, 2, 2, 3, 3, 4, 1];
const B1: [usize; 7] = [2, 3, 3, 4, 4, 5, 2];
const B3: [usize; 7] = [2, 3, 3, 5, 5, 6, 2];

fn efficientnet(depths: &[usize; 7], squeezes: bool, name: &str) -> Option<String> {
    let (module, leaf) = match name.strip_prefix("_blocks.") {
        None => {
            let (module, leaf) = name.split_once('.')?;
            let module = match module {
                "_conv_stem" => "features.0.0",
                "_bn0" => "features.0.1",
                "_conv_head" => "features.8.0",
                "_bn1" => "features.8.1",
                // With a digit behind it is a projection head.
                "fc" | "_fc" if matches!(leaf, "weight" | "bias") => "classifier.1",
                _ => return None,
            };
            return Some(format!("{module}.{leaf}"));
        }
        Some(rest) => {
            let (number, rest) = rest.split_once('.')?;
            let mut number: usize = number.parse().ok()?;
            let stage = depths.iter().position(|&depth| {
                let inside = number < depth;
                number -= if inside { 0 } else { depth };
                inside
            })?;
            let (module, leaf) = rest.split_once('.')?;
            let block = format!("features.{}.{number}.block", stage + 1);
            let first = usize::from(stage > 0);
            let project = first + 1 + usize::from(squeezes);
            let module = match module {
                "_expand_conv" => format!("{block}.0.0"),
                "_bn0" => format!("{block}.0.1"),
                "_depthwise_conv" => format!("{block}.{first}.0"),
                "_bn1" => format!("{block}.{first}.1"),
                "_se_reduce" if squeezes => format!("{block}.{}.fc1", first + 1),
                "_se_expand" if squeezes => format!("{block}.{}.fc2", first + 1),
                "_project_conv" => format!("{block}.{project}.0"),
                "_bn2" => format!("{block}.{project}.1"),
                _ => return None,
            };
            (module, leaf)
        }
    };
    Some(format!("{module}.{leaf}"))
}
