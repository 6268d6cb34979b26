//! Whose names a file has: each layout turns a tensor's name, relative to the network's place in the file, into ours.
//!
//! | layout | networks | its names | file |
//! |---|---|---|---|
//! | torchvision | all but ViTs | ours; MoCo, SwAV, SimCLR, SEED and timm name ResNets alike | |
//! | DINO | ViTs | ours, DINOv2 included | |
//! | timm | MobileNet, EfficientNet | `conv_stem`, `blocks.S.I.conv_pw`, `se.conv_reduce` (a 1×1 convolution) | `timm.rs` |
//! | timm | ViTs | `reg_token`; `pos_embed` perhaps without the class position | `transformer.rs` |
//! | DINOv2 training | ViTs | `blocks.CHUNK.I.…` | `transformer.rs` |
//! | Hugging Face | ResNets | `encoder.stages.S.layers.I.layer.J.convolution` | `hugging_face.rs` |
//! | Hugging Face | ViTs | `encoder.layer.I.attention.attention.query`: three tensors for one of ours | `hugging_face.rs` |
//! | MobileNetV2 port | MobileNetV2 | `features.I.conv.J`, flat | `mobilenet_v2.rs` |
//! | SEED | its MobileNetV3, EfficientNets | `features.I.conv.J`; `_blocks.N._expand_conv` | `seed.rs` |

use super::outline::{Family, Outline};
use super::target::{Target, whole};
use super::{hugging_face, mobilenet_v2, seed, timm, transformer};

/// Whose names a file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layout {
    /// torchvision's names; DINO's for vision transformers.
    Own,
    /// timm's MobileNets and EfficientNets.
    TimmBlocks,
    /// timm's vision transformers, where they differ from DINO's.
    TimmTransformer,
    /// DINOv2's training checkpoints, whose blocks lie in chunks.
    DinoChunks,
    /// Hugging Face's ResNets.
    HuggingFaceResNet,
    /// Hugging Face's ViT, Dinov2 and Dinov2WithRegisters.
    HuggingFaceTransformer,
    /// The first PyTorch port of MobileNetV2.
    FlatMobileNetV2,
    /// SEED's own MobileNetV3 and EfficientNets.
    Seed,
}

impl Layout {
    /// The layouts in which a family is found; of equals the first is taken.
    pub(super) fn of(family: Family) -> &'static [Layout] {
        match family {
            Family::ResNet => &[Layout::Own, Layout::HuggingFaceResNet],
            Family::MobileNetV2 => &[Layout::Own, Layout::FlatMobileNetV2, Layout::TimmBlocks],
            Family::MobileNetV3 | Family::EfficientNet => &[Layout::Own, Layout::TimmBlocks, Layout::Seed],
            Family::Transformer => {
                &[Layout::Own, Layout::TimmTransformer, Layout::DinoChunks, Layout::HuggingFaceTransformer]
            }
        }
    }

    /// What logs and reports call it.
    pub(super) fn name(self, family: Family) -> &'static str {
        match (self, family) {
            (Layout::Own, Family::Transformer) => "dino",
            (Layout::Own, _) => "torchvision",
            (Layout::TimmBlocks | Layout::TimmTransformer, _) => "timm",
            (Layout::DinoChunks, _) => "dinov2_training",
            (Layout::HuggingFaceResNet | Layout::HuggingFaceTransformer, _) => "hugging_face",
            (Layout::FlatMobileNetV2, _) => "mobilenet_v2_port",
            (Layout::Seed, _) => "seed",
        }
    }

    /// Our name of a tensor that stands under `name` in this layout; `None` for a name that it does not have.
    pub(super) fn target(self, outline: &Outline, name: &str) -> Option<Target> {
        match self {
            Layout::Own => whole(name),
            Layout::TimmBlocks => timm::target(outline, name),
            Layout::TimmTransformer => transformer::timm(name),
            Layout::DinoChunks => transformer::without_chunk(name),
            Layout::HuggingFaceResNet => hugging_face::resnet(name),
            Layout::HuggingFaceTransformer => hugging_face::transformer(name),
            Layout::FlatMobileNetV2 => mobilenet_v2::target(name),
            Layout::Seed => seed::target(outline.architecture, name),
        }
    }
}
