//! The table of the networks that can be built: one row each, and a file for each kind of network.
//!
//! Definitions, key names and parameter counts are torchvision 0.26's, but for ResNet-10 and the wide ResNets of SwAV, which
//! it lacks and whose keys are a ResNet's. All convolutional ones halve the image five times, so the last
//! feature map is ⌈H/32⌉ × ⌈W/32⌉. [Vision Transformers](super::vit) are DINO's and DINOv2's and cut the image into patches.

mod efficientnet;
mod inverted;
mod maps;
mod mobilenet_v2;
mod mobilenet_v3;
mod resnet;

use self::efficientnet::efficientnet;
use self::mobilenet_v2::mobilenet_v2;
use self::mobilenet_v3::{Size, mobilenet_v3};
use self::resnet::BlockKind::{Basic, Bottleneck};
use self::resnet::resnet;
use super::Backbone;
use super::layers::LinearInitial;
use super::narrow::{Narrow, Width};
use super::params::Path;
use super::vit::{ViT, VisionTransformer};
use crate::error::Result;

/// What networks of one kind have in common.
pub(crate) struct Family {
    /// Where the last linear layer of the classifier lies: the part of its keys before ".weight". torchvision's, DINO's of a Vision
    /// Transformer.
    pub classifier_key: &'static str,
    /// What that layer starts from.
    pub classifier_initial: LinearInitial,
    /// Probability with which features are dropped before it while training.
    pub classifier_dropout: f64,
    /// Whether SEED's released code drops features before the projection of such a student.
    pub drops_before_projection: bool,
    /// The first layer's weight, the tensor that takes its constant where three channels are folded to one, and with which sign.
    pub stem: (&'static str, &'static str, f64),
}

/// The first layer of torchvision's `features`.
const FEATURES: (&str, &str, f64) = ("features.0.0.weight", "features.0.1.running_mean", -1.0);

static RESNET: Family = Family {
    classifier_key: "fc",
    classifier_initial: LinearInitial::Torch,
    classifier_dropout: 0.0,
    drops_before_projection: false,
    stem: ("conv1.weight", "bn1.running_mean", -1.0),
};
static MOBILENET_V2: Family = Family {
    classifier_key: "classifier.1",
    classifier_initial: LinearInitial::MobileNet,
    classifier_dropout: 0.2,
    drops_before_projection: false,
    stem: FEATURES,
};
static MOBILENET_V3: Family = Family {
    classifier_key: "classifier.3",
    classifier_initial: LinearInitial::MobileNet,
    classifier_dropout: 0.2,
    drops_before_projection: true,
    stem: FEATURES,
};
static EFFICIENTNET: Family = Family {
    classifier_key: "classifier.1",
    classifier_initial: LinearInitial::EfficientNet,
    classifier_dropout: 0.2,
    drops_before_projection: true,
    stem: FEATURES,
};
/// B2 and B3.
static EFFICIENTNET_WIDE: Family = Family { classifier_dropout: 0.3, ..EFFICIENTNET };
static TRANSFORMER: Family = Family {
    classifier_key: "head",
    classifier_initial: LinearInitial::Transformer,
    classifier_dropout: 0.0,
    drops_before_projection: false,
    stem: ("patch_embed.proj.weight", "patch_embed.proj.bias", 1.0),
};

/// The layers up to the features, all channels times the factor.
type Build = fn(&mut Path<'_>, f64) -> Result<Box<dyn Backbone>>;

/// What the name of an architecture stands for.
enum Definition {
    Row(&'static Row),
    Narrow(Narrow, Width),
    ViT(ViT),
}

/// A row of the table.
struct Row {
    name: &'static str,
    feature_dim: i64,
    family: &'static Family,
    build: Build,
}

/// `Name: "name", width of the features, family, how it is built;`. A network whose builder ignores the factor has no narrow ones.
macro_rules! networks {
    ($($(#[$about:meta])* $network:ident: $name:literal, $features:literal, $family:ident, $build:expr;)+) => {
        /// A backbone.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Architecture {
            $($(#[$about])* $network,)+
            /// One of the above with fewer channels.
            Narrow(Narrow, Width),
            /// A Vision Transformer; features as wide as its tokens.
            ViT(ViT),
        }

        /// The networks of the table, in its order.
        const FULL: &[Architecture] = &[$(Architecture::$network),+];

        impl Architecture {
            fn definition(self) -> Definition {
                match self {
                    $(Architecture::$network => {
                        static ROW: Row =
                            Row { name: $name, feature_dim: $features, family: &$family, build: $build };
                        Definition::Row(&ROW)
                    })+
                    Architecture::Narrow(network, width) => Definition::Narrow(network, width),
                    Architecture::ViT(vit) => Definition::ViT(vit),
                }
            }
        }
    };
}

networks! {
    /// ResNet-10: basic blocks 1-1-1-1, features 512 wide.
    ResNet10: "resnet10", 512, RESNET, |root, w| boxed(resnet(root, Basic, [1, 1, 1, 1], 64.0 * w));
    /// ResNet-18: basic blocks 2-2-2-2, features 512 wide.
    ResNet18: "resnet18", 512, RESNET, |root, w| boxed(resnet(root, Basic, [2, 2, 2, 2], 64.0 * w));
    /// ResNet-34: basic blocks 3-4-6-3, features 512 wide.
    ResNet34: "resnet34", 512, RESNET, |root, w| boxed(resnet(root, Basic, [3, 4, 6, 3], 64.0 * w));
    /// ResNet-50 v1.5 (the stride sits in the 3×3): bottlenecks 3-4-6-3, features 2048 wide.
    ResNet50: "resnet50", 2048, RESNET, |root, w| boxed(resnet(root, Bottleneck, [3, 4, 6, 3], 64.0 * w));
    /// ResNet-101 v1.5: bottlenecks 3-4-23-3, features 2048 wide.
    ResNet101: "resnet101", 2048, RESNET, |root, w| boxed(resnet(root, Bottleneck, [3, 4, 23, 3], 64.0 * w));
    /// ResNet-152 v1.5: bottlenecks 3-8-36-3, features 2048 wide.
    ResNet152: "resnet152", 2048, RESNET, |root, w| boxed(resnet(root, Bottleneck, [3, 8, 36, 3], 64.0 * w));
    /// SwAV's ResNet-50w2: every width of ResNet-50 doubled, the stem's too; features 4096 wide. torchvision's
    /// wide_resnet50_2 is another network.
    ResNet50W2: "resnet50w2", 4096, RESNET, |root, w| boxed(resnet(root, Bottleneck, [3, 4, 6, 3], 128.0 * w));
    /// SwAV's ResNet-50w4: every width of ResNet-50 fourfold; features 8192 wide.
    ResNet50W4: "resnet50w4", 8192, RESNET, |root, w| boxed(resnet(root, Bottleneck, [3, 4, 6, 3], 256.0 * w));
    /// SwAV's ResNet-50w5: every width of ResNet-50 fivefold; features 10240 wide.
    ResNet50W5: "resnet50w5", 10240, RESNET, |root, w| boxed(resnet(root, Bottleneck, [3, 4, 6, 3], 320.0 * w));
    /// MobileNetV2 at width 1, features 1280 wide.
    MobileNetV2: "mobilenet_v2", 1280, MOBILENET_V2, |root, w| boxed(mobilenet_v2(root, w));
    /// MobileNetV3-Small, features 1024 wide (behind its first classifier layer).
    MobileNetV3Small: "mobilenet_v3_small", 1024, MOBILENET_V3,
        |root, w| boxed(mobilenet_v3(root, Size::Small, w, mobilenet_v3::Origin::Torchvision));
    /// MobileNetV3-Large, features 1280 wide (behind its first classifier layer).
    MobileNetV3Large: "mobilenet_v3_large", 1280, MOBILENET_V3,
        |root, w| boxed(mobilenet_v3(root, Size::Large, w, mobilenet_v3::Origin::Torchvision));
    /// EfficientNet-B0, features 1280 wide.
    EfficientNetB0: "efficientnet_b0", 1280, EFFICIENTNET,
        |root, _| boxed(efficientnet(root, efficientnet::B0, efficientnet::Origin::Torchvision));
    /// EfficientNet-B1, features 1280 wide.
    EfficientNetB1: "efficientnet_b1", 1280, EFFICIENTNET,
        |root, _| boxed(efficientnet(root, efficientnet::B1, efficientnet::Origin::Torchvision));
    /// EfficientNet-B2, features 1408 wide.
    EfficientNetB2: "efficientnet_b2", 1408, EFFICIENTNET_WIDE,
        |root, _| boxed(efficientnet(root, efficientnet::B2, efficientnet::Origin::Torchvision));
    /// EfficientNet-B3, features 1536 wide.
    EfficientNetB3: "efficientnet_b3", 1536, EFFICIENTNET_WIDE,
        |root, _| boxed(efficientnet(root, efficientnet::B3, efficientnet::Origin::Torchvision));
    /// The MobileNetV3-Large that SEED trained: squeeze-and-excitation before the activation; features 1280 wide.
    SeedMobileNetV3Large: "seed_mobilenet_v3_large", 1280, MOBILENET_V3,
        |root, w| boxed(mobilenet_v3(root, Size::Large, w, mobilenet_v3::Origin::Seed));
    /// The EfficientNet-B0 that SEED trained, TensorFlow's: "SAME" padding; features 1280 wide.
    TfEfficientNetB0: "tf_efficientnet_b0", 1280, EFFICIENTNET,
        |root, _| boxed(efficientnet(root, efficientnet::B0, efficientnet::Origin::TensorFlow));
    /// TensorFlow's EfficientNet-B1; features 1280 wide.
    TfEfficientNetB1: "tf_efficientnet_b1", 1280, EFFICIENTNET,
        |root, _| boxed(efficientnet(root, efficientnet::B1, efficientnet::Origin::TensorFlow));
    /// TensorFlow's EfficientNet-B2; features 1408 wide.
    TfEfficientNetB2: "tf_efficientnet_b2", 1408, EFFICIENTNET_WIDE,
        |root, _| boxed(efficientnet(root, efficientnet::B2, efficientnet::Origin::TensorFlow));
    /// TensorFlow's EfficientNet-B3; features 1536 wide.
    TfEfficientNetB3: "tf_efficientnet_b3", 1536, EFFICIENTNET_WIDE,
        |root, _| boxed(efficientnet(root, efficientnet::B3, efficientnet::Origin::TensorFlow));
    /// TensorFlow's EfficientNet-Lite0: B0 without gates, ReLU6; features 1280 wide.
    TfEfficientNetLite0: "tf_efficientnet_lite0", 1280, EFFICIENTNET,
        |root, _| boxed(efficientnet(root, efficientnet::B0, efficientnet::Origin::TensorFlowLite));
}

fn boxed(backbone: Result<impl Backbone + 'static>) -> Result<Box<dyn Backbone>> {
    Ok(Box::new(backbone?))
}

impl Architecture {
    /// Every architecture, in the order of [`all`](Architecture::all).
    pub(super) fn every() -> impl Iterator<Item = Architecture> {
        let narrow = Narrow::all().map(|(network, width)| Architecture::Narrow(network, width));
        FULL.iter().copied().chain(narrow).chain(ViT::all().map(Architecture::ViT))
    }

    /// torchvision's name where it has one, as configurations and files write it.
    pub fn name(self) -> &'static str {
        match self.definition() {
            Definition::Row(row) => row.name,
            Definition::Narrow(network, width) => network.name(width),
            Definition::ViT(vit) => vit.name(),
        }
    }

    /// Width of [`features`](super::Network::features).
    pub fn feature_dim(self) -> i64 {
        match self.definition() {
            Definition::Row(row) => row.feature_dim,
            Definition::Narrow(network, width) => network.feature_dim(width),
            Definition::ViT(vit) => vit.width(),
        }
    }

    /// What it has in common with others of its kind.
    pub(crate) fn family(self) -> &'static Family {
        match self.definition() {
            Definition::Row(row) => row.family,
            Definition::Narrow(network, _) => widest(network).family(),
            Definition::ViT(_) => &TRANSFORMER,
        }
    }

    /// Its layers up to the features.
    pub(super) fn build(self, root: &mut Path<'_>) -> Result<Box<dyn Backbone>> {
        self.build_narrower(root, 1.0)
    }

    fn build_narrower(self, root: &mut Path<'_>, factor: f64) -> Result<Box<dyn Backbone>> {
        match self.definition() {
            Definition::Row(row) => (row.build)(root, factor),
            Definition::Narrow(network, width) => widest(network).build_narrower(root, width.factor()),
            Definition::ViT(vit) => boxed(VisionTransformer::new(root, vit)),
        }
    }
}

fn widest(network: Narrow) -> Architecture {
    match network {
        Narrow::ResNet10 => Architecture::ResNet10,
        Narrow::ResNet18 => Architecture::ResNet18,
        Narrow::ResNet34 => Architecture::ResNet34,
        Narrow::ResNet50 => Architecture::ResNet50,
        Narrow::MobileNetV2 => Architecture::MobileNetV2,
        Narrow::MobileNetV3Small => Architecture::MobileNetV3Small,
        Narrow::MobileNetV3Large => Architecture::MobileNetV3Large,
    }
}
