//! The networks that can be built, and how a name becomes one.
//!
//! Definitions, key names and parameter counts are torchvision 0.26's, but for ResNet-10 and the wide ResNets of SwAV, which
//! it lacks and whose keys are a ResNet's. All of them halve the image five times, so the last
//! feature map is ⌈H/32⌉ × ⌈W/32⌉.

use std::fmt;

use super::names::nearest;
use crate::error::{Error, Result};

/// A backbone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Architecture {
    /// ResNet-10: basic blocks 1-1-1-1, features 512 wide.
    ResNet10,
    /// ResNet-18: basic blocks 2-2-2-2, features 512 wide.
    ResNet18,
    /// ResNet-34: basic blocks 3-4-6-3, features 512 wide.
    ResNet34,
    /// ResNet-50 v1.5 (the stride sits in the 3×3): bottlenecks 3-4-6-3, features 2048 wide.
    ResNet50,
    /// ResNet-101 v1.5: bottlenecks 3-4-23-3, features 2048 wide.
    ResNet101,
    /// ResNet-152 v1.5: bottlenecks 3-8-36-3, features 2048 wide.
    ResNet152,
    /// SwAV's ResNet-50w2: every width of ResNet-50 doubled, the stem's too; features 4096 wide. torchvision's
    /// wide_resnet50_2 is another network.
    ResNet50W2,
    /// SwAV's ResNet-50w4: every width of ResNet-50 fourfold; features 8192 wide.
    ResNet50W4,
    /// MobileNetV2 at width 1, features 1280 wide.
    MobileNetV2,
    /// MobileNetV3-Small, features 1024 wide (behind its first classifier layer).
    MobileNetV3Small,
    /// MobileNetV3-Large, features 1280 wide (behind its first classifier layer).
    MobileNetV3Large,
    /// EfficientNet-B0, features 1280 wide.
    EfficientNetB0,
    /// EfficientNet-B1, features 1280 wide.
    EfficientNetB1,
}

const ALL: [Architecture; 13] = [
    Architecture::ResNet10,
    Architecture::ResNet18,
    Architecture::ResNet34,
    Architecture::ResNet50,
    Architecture::ResNet101,
    Architecture::ResNet152,
    Architecture::ResNet50W2,
    Architecture::ResNet50W4,
    Architecture::MobileNetV2,
    Architecture::MobileNetV3Small,
    Architecture::MobileNetV3Large,
    Architecture::EfficientNetB0,
    Architecture::EfficientNetB1,
];

impl Architecture {
    /// Every architecture, in a fixed order.
    pub fn all() -> &'static [Architecture] {
        &ALL
    }

    /// torchvision's name where it has one, as configurations and files write it.
    pub fn name(self) -> &'static str {
        match self {
            Architecture::ResNet10 => "resnet10",
            Architecture::ResNet18 => "resnet18",
            Architecture::ResNet34 => "resnet34",
            Architecture::ResNet50 => "resnet50",
            Architecture::ResNet101 => "resnet101",
            Architecture::ResNet152 => "resnet152",
            Architecture::ResNet50W2 => "resnet50w2",
            Architecture::ResNet50W4 => "resnet50w4",
            Architecture::MobileNetV2 => "mobilenet_v2",
            Architecture::MobileNetV3Small => "mobilenet_v3_small",
            Architecture::MobileNetV3Large => "mobilenet_v3_large",
            Architecture::EfficientNetB0 => "efficientnet_b0",
            Architecture::EfficientNetB1 => "efficientnet_b1",
        }
    }

    /// The architecture of that name; the error names the nearest one and lists all.
    ///
    /// ```
    /// use seed::model::Architecture;
    /// assert_eq!(Architecture::parse("resnet18").unwrap(), Architecture::ResNet18);
    /// assert!(Architecture::parse("resnet35").unwrap_err().message().contains("did you mean resnet34"));
    /// ```
    pub fn parse(name: &str) -> Result<Architecture> {
        if let Some(&found) = ALL.iter().find(|architecture| architecture.name() == name) {
            return Ok(found);
        }
        let names: Vec<&str> = ALL.iter().map(|architecture| architecture.name()).collect();
        let hint =
            nearest(name, names.iter().copied()).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        Err(Error::invalid(format!("unknown architecture {name:?}{hint} (known: {})", names.join(", "))))
    }

    /// Width of [`features`](super::Network::features).
    pub fn feature_dim(self) -> i64 {
        match self {
            Architecture::ResNet10 | Architecture::ResNet18 | Architecture::ResNet34 => 512,
            Architecture::ResNet50 | Architecture::ResNet101 | Architecture::ResNet152 => 2048,
            Architecture::ResNet50W2 => 4096,
            Architecture::ResNet50W4 => 8192,
            Architecture::MobileNetV3Small => 1024,
            Architecture::MobileNetV2
            | Architecture::MobileNetV3Large
            | Architecture::EfficientNetB0
            | Architecture::EfficientNetB1 => 1280,
        }
    }

    /// Where torchvision keeps the last linear layer of the classifier: the part of the key before ".weight".
    pub(crate) fn classifier_key(self) -> &'static str {
        match self {
            Architecture::MobileNetV2 | Architecture::EfficientNetB0 | Architecture::EfficientNetB1 => "classifier.1",
            Architecture::MobileNetV3Small | Architecture::MobileNetV3Large => "classifier.3",
            _ => "fc",
        }
    }

    /// Whether it is one of the ResNets.
    pub(crate) fn is_resnet(self) -> bool {
        self.classifier_key() == "fc"
    }

    /// Probability with which torchvision drops features before the last linear layer of the classifier.
    pub(crate) fn classifier_dropout(self) -> f64 {
        if self.is_resnet() { 0.0 } else { 0.2 }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_parses_to_itself() {
        for &architecture in Architecture::all() {
            assert_eq!(Architecture::parse(architecture.name()).unwrap(), architecture);
        }
    }

    #[test]
    fn an_unknown_name_lists_all_and_suggests_one() {
        let message = Architecture::parse("mobilenet_v3").unwrap_err().message().to_owned();
        assert!(message.contains("did you mean mobilenet_v2"), "{message}");
        for architecture in Architecture::all() {
            assert!(message.contains(architecture.name()), "{message}");
        }
    }
}
