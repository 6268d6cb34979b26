//! timm's names of MobileNets and EfficientNets, which it builds from one set of blocks.
//!
//! ```text
//! conv_stem, bn1 · blocks.STAGE.I.{conv_pw, bn1, conv_dw, bn2, se.conv_reduce, se.conv_expand, conv_pwl, bn3} · conv_head, bn2 · classifier
//! ```
//!
//! A block without expansion has `conv_dw, bn1, se, conv_pw, bn2` instead. MobileNetV3 ends in a stage of one convolution
//! (`conv`, `bn1`), and its `conv_head` is a 1×1 convolution behind the mean where torchvision has a linear layer.
//!
//! The networks called `tf_…` have the same names and shapes, but pad as TensorFlow does; nothing in a file tells them apart.

use super::outline::{Family, Outline};
use super::target::{Target, whole};

/// Blocks of each stage, where torchvision counts them through.
const MOBILENET_V2: &[usize] = &[1, 2, 3, 4, 3, 3, 1];
const MOBILENET_V3_LARGE: &[usize] = &[1, 2, 3, 4, 2, 3];
const MOBILENET_V3_SMALL: &[usize] = &[1, 2, 3, 2, 3];

/// torchvision's name of a tensor.
pub(super) fn target(outline: &Outline, name: &str) -> Option<Target> {
    let (module, leaf) = name.rsplit_once('.')?;
    let last = outline.last_features?;
    let ours = match (module, outline.family) {
        ("conv_stem", _) => "features.0.0".to_owned(),
        ("bn1", _) => "features.0.1".to_owned(),
        ("conv_head", Family::MobileNetV3) => "classifier.0".to_owned(),
        ("conv_head", _) => format!("features.{last}.0"),
        ("bn2", _) => format!("features.{last}.1"),
        ("classifier", _) => outline.architecture.family().classifier_key.to_owned(),
        _ => {
            let mut parts = module.strip_prefix("blocks.")?.splitn(3, '.');
            let (stage, number) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
            block(outline, last, stage, number, parts.next()?)?
        }
    };
    whole(format!("{ours}.{leaf}"))
}

fn block(outline: &Outline, last: usize, stage: usize, number: usize, layer: &str) -> Option<String> {
    let (place, inner) = match outline.family {
        Family::EfficientNet => (format!("features.{}.{number}", stage.checked_add(1)?), "block"),
        Family::MobileNetV2 => (format!("features.{}", through(MOBILENET_V2, stage, number)?), "conv"),
        Family::MobileNetV3 => {
            // torchvision's last `features` is the convolution that is timm's last stage.
            let depths = if last > 13 { MOBILENET_V3_LARGE } else { MOBILENET_V3_SMALL };
            if stage == depths.len() && number == 0 {
                return match layer {
                    "conv" => Some(format!("features.{last}.0")),
                    "bn1" => Some(format!("features.{last}.1")),
                    _ => None,
                };
            }
            (format!("features.{}", through(depths, stage, number)?), "block")
        }
        Family::ResNet | Family::Transformer => return None,
    };
    // Only blocks of the first stage do not expand.
    let (narrow, wide) = (stage == 0, usize::from(stage != 0));
    let squeeze = outline.has(&format!("{place}.{inner}.{}.fc1.weight", wide + 1));
    let project = wide + 1 + usize::from(squeeze);
    let sub = match (layer, narrow) {
        ("conv_pw", false) => "0.0".to_owned(),
        ("bn1", false) => "0.1".to_owned(),
        ("conv_dw", _) => format!("{wide}.0"),
        ("bn1", true) | ("bn2", false) => format!("{wide}.1"),
        ("se.conv_reduce", _) => format!("{}.fc1", wide + 1),
        ("se.conv_expand", _) => format!("{}.fc2", wide + 1),
        // MobileNetV2's last pair lies in the block's own sequence.
        ("conv_pw", true) | ("conv_pwl", false) if inner == "conv" => format!("{project}"),
        ("bn2", true) | ("bn3", false) if inner == "conv" => format!("{}", project + 1),
        ("conv_pw", true) | ("conv_pwl", false) => format!("{project}.0"),
        ("bn2", true) | ("bn3", false) => format!("{project}.1"),
        _ => return None,
    };
    Some(format!("{place}.{inner}.{sub}"))
}

/// torchvision's number of a block: the stem is 0, and the blocks follow without regard to stages.
fn through(depths: &[usize], stage: usize, number: usize) -> Option<usize> {
    let depth = *depths.get(stage)?;
    (number < depth).then(|| 1 + depths.iter().take(stage).sum::<usize>() + number)
}
