//! What a file must hold to be the weights of a backbone: names and shapes, found without memory for the weights.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::model::{Architecture, Head, Network};

/// Networks that are built alike, so that other projects' names are turned into ours by one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// `layer1` to `layer4`.
    ResNet,
    /// `features.I.conv.…`.
    MobileNetV2,
    /// `features.I.block.…` and the first layer of the classifier.
    MobileNetV3,
    /// `features.STAGE.I.block.…`.
    EfficientNet,
    /// `cls_token`, `blocks.I.…`.
    Transformer,
}

/// Names and shapes of a backbone, without its head.
pub(super) struct Outline {
    pub architecture: Architecture,
    pub family: Family,
    /// Holds no weights of its own; see [`Network::outline`].
    pub network: Network,
    shapes: BTreeMap<String, Vec<usize>>,
}

impl Outline {
    pub fn of(architecture: Architecture) -> Result<Outline> {
        let network = Network::outline(architecture, Head::None)?;
        let shapes: BTreeMap<String, Vec<usize>> = network
            .entries()
            .iter()
            // A tensor's sides are never negative.
            .map(|entry| (entry.name.clone(), entry.tensor.size().iter().map(|&side| side as usize).collect()))
            .collect();
        Ok(Outline { architecture, family: family(&shapes), network, shapes })
    }

    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.shapes.get(name).map(Vec::as_slice)
    }

    pub fn has(&self, name: &str) -> bool {
        self.shapes.contains_key(name)
    }

    /// Number of tensors that a file must hold: all but the batch norms' counters.
    pub fn needed(&self) -> usize {
        self.shapes.keys().filter(|name| !is_counter(name)).count()
    }
}

/// Whether torch before 0.4.1 did without it.
pub(super) fn is_counter(name: &str) -> bool {
    name.ends_with(".num_batches_tracked")
}

/// By names and not by [`Architecture`], so that a new member of a family needs nothing here.
fn family(shapes: &BTreeMap<String, Vec<usize>>) -> Family {
    let has = |name: &str| shapes.contains_key(name);
    if has("cls_token") {
        Family::Transformer
    } else if has("features.1.conv.0.0.weight") {
        Family::MobileNetV2
    } else if has("classifier.0.weight") {
        Family::MobileNetV3
    } else if has("features.1.0.block.0.0.weight") {
        Family::EfficientNet
    } else {
        Family::ResNet
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_network_has_its_family() {
        for &architecture in Architecture::all() {
            let outline = Outline::of(architecture).unwrap();
            let name = architecture.name();
            let expected = match outline.family {
                Family::ResNet => "resnet",
                Family::MobileNetV2 => "mobilenet_v2",
                Family::MobileNetV3 => "mobilenet_v3",
                Family::EfficientNet => "efficientnet",
                Family::Transformer => "vit",
            };
            assert!(name.contains(expected), "{name} is taken for {:?}", outline.family);
        }
    }

    #[test]
    fn an_outline_is_the_network_without_its_memory() {
        let outline = Outline::of(Architecture::ResNet50W4).unwrap();
        assert_eq!(outline.shape("layer4.0.conv2.weight"), Some(&[2048, 2048, 3, 3][..]));
        let held: usize = outline
            .network
            .entries()
            .iter()
            .map(|entry| if entry.tensor.stride().iter().all(|&stride| stride == 0) { 1 } else { entry.tensor.numel() })
            .sum();
        assert!(held < 1 << 20, "{held} numbers are held");
    }
}
