//! The sizes and kinds of Vision Transformers that there are published teachers of.
//!
//! A name is `vit_SIZE_KIND`: the size `small`, `base` or `large`, and the kind
//!
//! | kind | patch | positions | registers | LayerScale | published by |
//! |---|---|---|---|---|---|
//! | `patch8` | 8 | 28×28 (224²) | – | no | DINO (small, base) |
//! | `patch16` | 16 | 14×14 (224²) | – | no | DINO (small, base), MAE, DeiT, supervised |
//! | `patch14_dinov2` | 14 | 37×37 (518²) | – | yes | DINOv2 |
//! | `patch14_reg4_dinov2` | 14 | 37×37 (518²) | 4 | yes | DINOv2 with registers (Darcet et al. 2024) |
//!
//! Without the `_224` these are timm's names. LayerScale and registers belong to the name and are not guessed from the
//! weights: weights of another kind do not fit, and the error says which keys are missing or too many. The grid of positions
//! does not: one network is published at several image sizes (DeiT-B and AugReg at 384² too), so a frozen network has the grid of its
//! file.

/// Width and depth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ViTSize {
    /// 12 blocks, 384 wide, 6 heads.
    Small,
    /// 12 blocks, 768 wide, 12 heads.
    Base,
    /// 24 blocks, 1024 wide, 16 heads.
    Large,
}

/// Patch, positions, registers and LayerScale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ViTKind {
    /// Patches of 8 pixels, as DINO has them.
    Patch8,
    /// Patches of 16 pixels, as DINO has them.
    Patch16,
    /// DINOv2: patches of 14 pixels, LayerScale.
    Dinov2,
    /// DINOv2 with four registers.
    Dinov2Registers,
}

/// A Vision Transformer: see the [table](self) of kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ViT {
    /// Width and depth.
    pub size: ViTSize,
    /// Patch, positions, registers and LayerScale.
    pub kind: ViTKind,
    /// Side of the square grid of positions that the weights hold.
    grid: i64,
}

impl ViT {
    /// With the positions that weights of this kind were published with.
    pub fn new(size: ViTSize, kind: ViTKind) -> ViT {
        let grid = match kind {
            ViTKind::Patch8 => 28,
            ViTKind::Patch16 => 14,
            ViTKind::Dinov2 | ViTKind::Dinov2Registers => 37,
        };
        ViT { size, kind, grid }
    }

    /// The same network with positions for a square of `grid` patches a side.
    pub(crate) fn with_grid(self, grid: i64) -> ViT {
        ViT { grid, ..self }
    }

    /// Every combination.
    pub(crate) fn all() -> impl Iterator<Item = ViT> {
        let kinds = [ViTKind::Patch8, ViTKind::Patch16, ViTKind::Dinov2, ViTKind::Dinov2Registers];
        let sizes = [ViTSize::Small, ViTSize::Base, ViTSize::Large];
        sizes.into_iter().flat_map(move |size| kinds.into_iter().map(move |kind| ViT::new(size, kind)))
    }

    pub(crate) fn name(self) -> &'static str {
        use ViTKind::{Dinov2, Dinov2Registers, Patch8, Patch16};
        use ViTSize::{Base, Large, Small};
        match (self.size, self.kind) {
            (Small, Patch8) => "vit_small_patch8",
            (Small, Patch16) => "vit_small_patch16",
            (Small, Dinov2) => "vit_small_patch14_dinov2",
            (Small, Dinov2Registers) => "vit_small_patch14_reg4_dinov2",
            (Base, Patch8) => "vit_base_patch8",
            (Base, Patch16) => "vit_base_patch16",
            (Base, Dinov2) => "vit_base_patch14_dinov2",
            (Base, Dinov2Registers) => "vit_base_patch14_reg4_dinov2",
            (Large, Patch8) => "vit_large_patch8",
            (Large, Patch16) => "vit_large_patch16",
            (Large, Dinov2) => "vit_large_patch14_dinov2",
            (Large, Dinov2Registers) => "vit_large_patch14_reg4_dinov2",
        }
    }

    /// D, the width of a token.
    pub(crate) fn width(self) -> i64 {
        match self.size {
            ViTSize::Small => 384,
            ViTSize::Base => 768,
            ViTSize::Large => 1024,
        }
    }

    pub(crate) fn depth(self) -> usize {
        match self.size {
            ViTSize::Small | ViTSize::Base => 12,
            ViTSize::Large => 24,
        }
    }

    /// Heads of 64 numbers each.
    pub(crate) fn heads(self) -> i64 {
        self.width() / 64
    }

    /// Side of a patch in pixels.
    pub(crate) fn patch(self) -> i64 {
        match self.kind {
            ViTKind::Patch8 => 8,
            ViTKind::Patch16 => 16,
            ViTKind::Dinov2 | ViTKind::Dinov2Registers => 14,
        }
    }

    /// Side of the square grid of positions that the weights hold.
    pub(crate) fn grid(self) -> i64 {
        self.grid
    }

    pub(crate) fn registers(self) -> i64 {
        if self.kind == ViTKind::Dinov2Registers { 4 } else { 0 }
    }

    /// Whether each branch is multiplied by a weight per channel.
    pub(crate) fn layer_scale(self) -> bool {
        matches!(self.kind, ViTKind::Dinov2 | ViTKind::Dinov2Registers)
    }

    /// Whether positions are filtered where their grid shrinks: only DINOv2 with registers was published so.
    pub(crate) fn antialias(self) -> bool {
        self.kind == ViTKind::Dinov2Registers
    }
}
