//! The networks that can be built, and how a name becomes one.
//!
//! Definitions, key names and parameter counts are torchvision 0.26's. All of them halve the image five times, so the last
//! feature map is ⌈H/32⌉ × ⌈W/32⌉.

use std::fmt;

use super::names::nearest;
use crate::error::{Error, Result};

/// A backbone as torchvision defines it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Architecture {
    /// ResNet-18: basic blocks 2-2-2-2, features 512 wide.
    ResNet18,
    /// ResNet-34: basic blocks 3-4-6-3, features 512 wide.
    ResNet34,
    /// ResNet-50 v1.5 (the stride sits in the 3×3): bottlenecks 3-4-6-3, features 2048 wide.
    ResNet50,
    /// MobileNetV2 at width 1, features 1280 wide.
    MobileNetV2,
    /// MobileNetV3-Small, features 1024 wide (behind its first classifier layer).
    MobileNetV3Small,
    /// MobileNetV3-Large, features 1280 wide (behind its first classifier layer).
    MobileNetV3Large,
    /// EfficientNet-B0, features 1280 wide.
    EfficientNetB0,
}

const ALL: [Architecture; 7] = [
    Architecture::ResNet18,
    Architecture::ResNet34,
    Architecture::ResNet50,
    Architecture::MobileNetV2,
    Architecture::MobileNetV3Small,
    Architecture::MobileNetV3Large,
    Architecture::EfficientNetB0,
];

impl Architecture {
    /// Every architecture, in a fixed order.
    pub fn all() -> &'static [Architecture] {
        &ALL
    }

    /// torchvision's name, as configurations and files write it.
    pub fn name(self) -> &'static str {
        match self {
            Architecture::ResNet18 => "resnet18",
            Architecture::ResNet34 => "resnet34",
            Architecture::ResNet50 => "resnet50",
            Architecture::MobileNetV2 => "mobilenet_v2",
            Architecture::MobileNetV3Small => "mobilenet_v3_small",
            Architecture::MobileNetV3Large => "mobilenet_v3_large",
            Architecture::EfficientNetB0 => "efficientnet_b0",
        }
    }

    /// The architecture of that name; the error names the nearest one and lists all.
    ///
    /// ```
    /// use seed::model::Architecture;
    /// assert_eq!(Architecture::parse("resnet18").unwrap(), Architecture::ResNet18);
    /// assert!(Architecture::parse("resnet19").unwrap_err().message().contains("did you mean resnet18"));
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
            Architecture::ResNet18 | Architecture::ResNet34 => 512,
            Architecture::ResNet50 => 2048,
            Architecture::MobileNetV3Small => 1024,
            Architecture::MobileNetV2 | Architecture::MobileNetV3Large | Architecture::EfficientNetB0 => 1280,
        }
    }

    /// Where torchvision keeps the last linear layer of the classifier: the part of the key before ".weight".
    pub(crate) fn classifier_key(self) -> &'static str {
        match self {
            Architecture::ResNet18 | Architecture::ResNet34 | Architecture::ResNet50 => "fc",
            Architecture::MobileNetV2 | Architecture::EfficientNetB0 => "classifier.1",
            Architecture::MobileNetV3Small | Architecture::MobileNetV3Large => "classifier.3",
        }
    }

    /// Probability with which torchvision drops features before the last linear layer of the classifier.
    pub(crate) fn classifier_dropout(self) -> f64 {
        match self {
            Architecture::ResNet18 | Architecture::ResNet34 | Architecture::ResNet50 => 0.0,
            _ => 0.2,
        }
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
