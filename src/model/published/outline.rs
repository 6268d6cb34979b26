//! What a file must hold to be the weights of a backbone: names and shapes, found without memory for the weights.

use std::collections::BTreeMap;

use tch::Tensor;

use crate::model::{Architecture, Network};

/// Names and shapes of a file's tensors.
pub(crate) type Shapes<'a> = BTreeMap<&'a str, &'a [usize]>;

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
    /// The highest I of `features.I`.
    pub last_features: Option<usize>,
    shapes: BTreeMap<String, Vec<usize>>,
}

impl Outline {
    /// Of a network without a head; its values are not looked at.
    pub fn of(network: &Network) -> Outline {
        // A tensor's sides are never negative.
        let shape = |tensor: &Tensor| tensor.size().iter().map(|&side| side as usize).collect();
        let shapes = network.entries().iter().map(|entry| (entry.name.clone(), shape(&entry.tensor)));
        Outline::new(network.architecture(), shapes.collect())
    }

    /// Of names and shapes.
    pub fn new(architecture: Architecture, shapes: BTreeMap<String, Vec<usize>>) -> Outline {
        let features = |name: &String| name.strip_prefix("features.")?.split('.').next()?.parse().ok();
        let last_features = shapes.keys().filter_map(features).max();
        Outline { architecture, family: family(&shapes), last_features, shapes }
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
    use crate::model::Head;

    fn network(architecture: Architecture) -> Network {
        Network::shape_only(architecture, Head::None, 3).unwrap()
    }

    #[test]
    fn every_network_has_its_family() {
        for &architecture in Architecture::all() {
            let outline = Outline::of(&network(architecture));
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
    fn an_outline_has_the_shapes_of_the_widest_network() {
        let outline = Outline::of(&network(Architecture::ResNet50W5));
        assert_eq!(outline.shape("layer4.0.conv2.weight"), Some(&[2560, 2560, 3, 3][..]));
        // Of ResNet-50's 23,508,032 numbers all but 62,528 (the stem's and the norms') grow with the square; SwAV's page says 586M.
        let numbers: usize = network(Architecture::ResNet50W5).entries().iter().map(|entry| entry.tensor.numel()).sum();
        let buffers: usize = 5 * 2 * 26_560 + 53;
        assert_eq!(numbers - buffers, 25 * (23_508_032 - 62_528) + 5 * 62_528);
        assert_eq!(outline.shape("layer5.0.conv2.weight"), None);
    }
}
