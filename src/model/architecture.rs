//! The networks that can be built, and how a name becomes one.
//!
//! Definitions, key names and parameter counts are torchvision 0.26's, but for ResNet-10 and the wide ResNets of SwAV, which
//! it lacks and whose keys are a ResNet's. All convolutional ones halve the image five times, so the last
//! feature map is ⌈H/32⌉ × ⌈W/32⌉. [`Vision Transformers`](super::vit) are DINO's and DINOv2's and cut the image into patches.

use std::fmt;
use std::sync::LazyLock;

use super::Mode;
use super::names::nearest;
use super::narrow::{Narrow, Width};
use super::vit::ViT;
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
    /// The MobileNetV3-Large that SEED trained: squeeze-and-excitation before the activation; features 1280 wide.
    SeedMobileNetV3Large,
    /// The EfficientNet-B0 that SEED trained, TensorFlow's: "SAME" padding; features 1280 wide.
    TfEfficientNetB0,
    /// TensorFlow's EfficientNet-B1; features 1280 wide.
    TfEfficientNetB1,
    /// TensorFlow's EfficientNet-Lite0: B0 without gates, ReLU6; features 1280 wide.
    TfEfficientNetLite0,
    /// One of the above with fewer channels.
    Narrow(Narrow, Width),
    /// A Vision Transformer; features as wide as its tokens.
    ViT(ViT),
}

const FULL: [Architecture; 17] = [
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
    Architecture::SeedMobileNetV3Large,
    Architecture::TfEfficientNetB0,
    Architecture::TfEfficientNetB1,
    Architecture::TfEfficientNetLite0,
];

static ALL: LazyLock<Vec<Architecture>> = LazyLock::new(|| {
    let narrow = Narrow::all().map(|(network, width)| Architecture::Narrow(network, width));
    FULL.into_iter().chain(narrow).chain(ViT::all().map(Architecture::ViT)).collect()
});

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
            Architecture::SeedMobileNetV3Large => "seed_mobilenet_v3_large",
            Architecture::TfEfficientNetB0 => "tf_efficientnet_b0",
            Architecture::TfEfficientNetB1 => "tf_efficientnet_b1",
            Architecture::TfEfficientNetLite0 => "tf_efficientnet_lite0",
            Architecture::Narrow(network, width) => network.name(width),
            Architecture::ViT(vit) => vit.name(),
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
            | Architecture::EfficientNetB1
            | Architecture::SeedMobileNetV3Large
            | Architecture::TfEfficientNetB0
            | Architecture::TfEfficientNetB1
            | Architecture::TfEfficientNetLite0 => 1280,
            Architecture::Narrow(network, width) => network.feature_dim(width),
            Architecture::ViT(vit) => vit.width(),
        }
    }

    /// Where torchvision keeps the last linear layer of the classifier, DINO of a Vision Transformer: the part of the key before ".weight".
    pub(crate) fn classifier_key(self) -> &'static str {
        match self {
            Self::MobileNetV2 | Self::Narrow(Narrow::MobileNetV2, _) => "classifier.1",
            Self::MobileNetV3Small | Self::MobileNetV3Large | Self::SeedMobileNetV3Large => "classifier.3",
            Self::Narrow(Narrow::MobileNetV3Small | Narrow::MobileNetV3Large, _) => "classifier.3",
            efficient if efficient.is_efficientnet() => "classifier.1",
            Self::ViT(_) => "head",
            _ => "fc",
        }
    }

    /// Whether it is one of the EfficientNets.
    pub(crate) fn is_efficientnet(self) -> bool {
        use Architecture::{EfficientNetB0, EfficientNetB1, TfEfficientNetB0, TfEfficientNetB1, TfEfficientNetLite0};
        matches!(self, EfficientNetB0 | EfficientNetB1 | TfEfficientNetB0 | TfEfficientNetB1 | TfEfficientNetLite0)
    }

    /// Whether it is one of the ResNets.
    pub(crate) fn is_resnet(self) -> bool {
        self.classifier_key() == "fc"
    }

    /// Probability with which torchvision drops features before the last linear layer of the classifier.
    pub(crate) fn classifier_dropout(self) -> f64 {
        if self.is_resnet() || matches!(self, Architecture::ViT(_)) { 0.0 } else { 0.2 }
    }

    /// Refuses a batch of images that cannot go through: a Vision Transformer takes whole patches, and batch norm needs more
    /// than one value per channel to train.
    ///
    /// # Errors
    /// `InvalidArgument` saying what would fit.
    pub(crate) fn takes(self, height: i64, width: i64) -> bool {
        self.check_size(2, height, width, Mode::Eval).is_ok()
    }

    pub(crate) fn check_size(self, batch: i64, height: i64, width: i64, mode: Mode) -> Result<()> {
        if let Architecture::ViT(vit) = self {
            let patch = vit.patch();
            if height % patch == 0 && width % patch == 0 {
                return Ok(());
            }
            let whole = |side: i64| ((side + patch / 2) / patch).max(1) * patch;
            return Err(Error::invalid(format!(
                "{self} takes images whose height and width are multiples of {patch}, got {height}x{width}; \
                 the nearest is {}x{}",
                whole(height),
                whole(width)
            )));
        }
        // The others halve the image five times, rounding up; the last batch norm sees the smallest map.
        let values = batch.saturating_mul((height - 1) / 32 + 1).saturating_mul((width - 1) / 32 + 1);
        if matches!(mode, Mode::Train { .. }) && values < 2 {
            return Err(Error::invalid(format!(
                "training needs more than one value per channel: {batch} image of {height}x{width} leaves one; \
                 take a larger batch or images larger than 32 pixels"
            )));
        }
        Ok(())
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
    fn names_differ_and_say_what_they_stand_for() {
        let names: std::collections::BTreeSet<_> = Architecture::all().iter().map(|found| found.name()).collect();
        assert_eq!(names.len(), Architecture::all().len());
        for (name, near) in [
            ("resnet18_w.5", "resnet18_w0.5"),
            ("mobilenet_v3_large_0.75", "mobilenet_v3_large_w0.75"),
            ("vit_small_patch16_224", "vit_small_patch16"),
            ("efficientnet_lite0", "tf_efficientnet_lite0"),
            ("vit_base_patch14_dinov3", "vit_base_patch14_dinov2"),
        ] {
            let message = Architecture::parse(name).unwrap_err().message().to_owned();
            assert!(message.contains(&format!("did you mean {near}?")), "{name}: {message}");
        }
    }

    #[test]
    fn a_transformer_takes_whole_patches() {
        let vit = Architecture::parse("vit_small_patch14_dinov2").unwrap();
        assert!(vit.check_size(1, 224, 98, Mode::Train { noise: 0 }).is_ok());
        let message = vit.check_size(1, 225, 96, Mode::Eval).unwrap_err().message().to_owned();
        assert!(message.contains("multiples of 14, got 225x96; the nearest is 224x98"), "{message}");
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
