//! The feature map that a loss over patches looks at: one of a network's stages, or the patch tokens of a Vision Transformer.

use tch::Tensor;

use super::{Architecture, Head, Network};
use crate::error::{Error, Result};

/// The name of a Vision Transformer's tokens, behind its blocks.
pub(super) const TOKENS: &str = "tokens";

/// Which map of an architecture, and how many pixels of the image one of its patches stands for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PatchMap {
    /// The stage, as [`Stage`](super::Stage) names it.
    pub(super) stage: String,
    /// Pixels of the image to a patch, in both directions.
    stride: i64,
    /// Of a Vision Transformer: tokens before the patches.
    first: Option<i64>,
}

impl PatchMap {
    /// The map of `architecture` whose patches are `stride` pixels apart, or its last one where `stride` is 0. A Vision Transformer has
    /// its patch tokens only, whatever `stride` says.
    ///
    /// # Errors
    /// `InvalidArgument` where there is no such map.
    pub fn new(architecture: Architecture, stride: i64) -> Result<PatchMap> {
        if let Architecture::ViT(shape) = architecture {
            let first = Some(1 + shape.registers());
            return Ok(PatchMap { stage: TOKENS.to_owned(), stride: shape.patch(), first });
        }
        let (_, stages, _, _) = Network::shape_only(architecture, Head::None, 3)?.staged_graph()?;
        let found = stages.iter().rev().find(|stage| stride == 0 || stage.stride == stride);
        let found = found.ok_or_else(|| {
            let known: Vec<String> = stages.iter().map(|stage| stage.stride.to_string()).collect();
            Error::invalid(format!(
                "{architecture} has no feature map with {stride} pixels to a patch; it has {}",
                known.join(", ")
            ))
        })?;
        Ok(PatchMap { stage: found.name.clone(), stride: found.stride, first: None })
    }

    /// Rows and columns of the map of images of this size.
    pub fn grid(&self, height: i64, width: i64) -> (i64, i64) {
        let side = |pixels: i64| (pixels + self.stride - 1) / self.stride;
        (side(height), side(width))
    }

    /// (B, C, h, w) of what a forward pass over images of this size gives: (B, C, h, w), or tokens (B, T, C).
    pub(super) fn of(&self, value: &Tensor, height: i64, width: i64) -> Result<Tensor> {
        let Some(first) = self.first else { return Ok(value.shallow_clone()) };
        let (rows, columns) = self.grid(height, width);
        let patches = value.f_narrow(1, first, rows * columns)?.f_transpose(1, 2)?; // (B, C, N)
        Ok(patches.f_unflatten(2, [rows, columns])?)
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;
    use crate::model::{Fused, Mode};

    #[test]
    fn fused_or_not_a_pass_gives_the_same_features_and_map() {
        for (name, stride, grid, size) in [
            ("resnet18_w0.5", 0, (2, 3), (64, 96)),
            ("resnet18_w0.5", 8, (8, 12), (64, 96)),
            ("mobilenet_v2", 16, (4, 6), (64, 96)),
            ("mobilenet_v3_small", 32, (3, 3), (65, 70)),
            ("vit_small_patch16", 0, (2, 3), (32, 48)),
            ("vit_small_patch14_reg4_dinov2", 16, (2, 3), (28, 42)),
        ] {
            let architecture = Architecture::parse(name).unwrap();
            let network = Network::new(architecture, Head::None, 3, Device::Cpu).unwrap();
            let map = PatchMap::new(architecture, stride).unwrap();
            let (height, width) = size;
            assert_eq!(map.grid(height, width), grid, "{name}");
            let images = Tensor::rand([2, 3, height, width], (Kind::Float, Device::Cpu));
            let _no_grad = tch::no_grad_guard();
            let (features, found) = network.features_with_map(&images, &map, Mode::Eval).unwrap();
            assert_eq!(&found.size()[2..], [grid.0, grid.1], "{name}");
            assert!(features.equal(&network.features(&images, Mode::Eval).unwrap()), "{name}");
            let fused = Fused::with_map(&network, &map, Kind::Float, 2, height, width).unwrap();
            let (output, fused_map) = fused.forward_with_map(&images, &map).unwrap();
            let apart = |a: &Tensor, b: &Tensor| ((a - b).abs().max() / b.abs().max()).double_value(&[]);
            assert!(apart(&output, &features) < 1e-4 && apart(&fused_map, &found) < 1e-4, "{name}");
        }
    }

    #[test]
    fn a_transformers_patches_are_its_normed_tokens_in_the_images_order() {
        let architecture = Architecture::parse("vit_small_patch16").unwrap();
        let network = Network::new(architecture, Head::None, 3, Device::Cpu).unwrap();
        let map = PatchMap::new(architecture, 0).unwrap();
        let images = Tensor::rand([1, 3, 32, 48], (Kind::Float, Device::Cpu));
        let _no_grad = tch::no_grad_guard();
        let of = |images: &Tensor| network.features_with_map(images, &map, Mode::Eval).unwrap().1;
        // LayerNorm at its start: each token has mean 0 and variance 1.
        let before = of(&images);
        let deviation = before.std_dim(Some([1i64].as_slice()), false, false);
        assert!((deviation - 1.0).abs().max().double_value(&[]) < 1e-2);
        // What changes in the last patch of the first row moves that token the most.
        let changed = images.copy();
        let _same = changed.narrow(2, 0, 16).narrow(3, 32, 16).f_add_scalar_(3.0).unwrap();
        let moved = (of(&changed) - before).pow_tensor_scalar(2).sum_dim_intlist([1i64].as_slice(), false, None);
        assert_eq!(moved.argmax(None, false).int64_value(&[]), 2);
    }

    #[test]
    fn a_map_that_there_is_not_is_refused_with_those_there_are() {
        let refused = PatchMap::new(Architecture::ResNet18, 64).unwrap_err().to_string();
        assert!(refused.contains("64 pixels") && refused.contains("4, 8, 16, 32"), "{refused}");
    }
}
