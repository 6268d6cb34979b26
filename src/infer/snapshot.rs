//! A network that no one writes to any more, laid out for inference.

use std::sync::Arc;

use tch::{Device, Kind, Tensor};

use crate::error::Result;
use crate::model::{Architecture, Head, Mode, Network, Teacher, unit_rows};
use crate::torch::Autocast;

/// Either an own copy of a network or a teacher, which is immutable already and need not be copied.
pub(super) enum Snapshot {
    Copy(Frozen),
    Teacher(Arc<Teacher>),
}

/// A deep copy in channels-last, its weights in the precision they are used in.
pub(super) struct Frozen {
    network: Network,
    precision: Kind,
}

// SAFETY: `Network` is not Sync because training writes running statistics and parameters through `&self`, and because
// handles to its tensors can be taken. A `Frozen` shares its tensors with nothing (`deep_copy`), hands out no handle, and
// through `&self` offers only forward passes in eval mode without autograd, which read the tensors and write none. There is
// no interior mutability on the Rust side. libtorch allows concurrent reads, and a handle's reference count is atomic.
unsafe impl Sync for Frozen {}

impl Frozen {
    /// Copies `network` to `device`. With bfloat16 the weights of products and convolutions are converted once, here,
    /// rather than by autocast in every pass; batch norm keeps its float32 statistics.
    pub fn new(network: &Network, device: Device, precision: Kind) -> Result<Self> {
        let mut network = network.deep_copy()?;
        network.freeze()?;
        if network.device() != device {
            network.to_device(device)?;
        }
        network.to_channels_last()?;
        if precision != Kind::Float {
            let _guard = tch::no_grad_guard();
            // All parameters of two and more dimensions are weights of linear layers and convolutions.
            for (_, mut tensor) in network.parameters().into_iter().filter(|(_, tensor)| tensor.dim() >= 2) {
                let converted = tensor.f_to_kind(precision)?;
                tensor.f_set_data(&converted)?;
            }
        }
        Ok(Self { network, precision })
    }

    fn run(&self, images: &Tensor, embedding: bool) -> Result<Tensor> {
        let _guard = tch::no_grad_guard();
        let _autocast = Autocast::enter(self.network.device(), self.precision)?;
        if embedding {
            unit_rows(&self.network.forward(images, Mode::Eval)?)
        } else {
            self.network.features(images, Mode::Eval)
        }
    }
}

impl Snapshot {
    /// (B, 3, H, W) → float32 (B, C) unit rows, or (B, d) features.
    pub fn run(&self, images: &Tensor, precision: Kind, embedding: bool) -> Result<Tensor> {
        let output = match self {
            Self::Copy(frozen) => frozen.run(images, embedding)?,
            Self::Teacher(teacher) => {
                let _autocast = Autocast::enter(teacher.device(), precision)?;
                if embedding { teacher.embed(images)? } else { teacher.features(images)? }
            }
        };
        Ok(output.f_to_kind(Kind::Float)?)
    }

    pub fn device(&self) -> Device {
        match self {
            Self::Copy(frozen) => frozen.network.device(),
            Self::Teacher(teacher) => teacher.device(),
        }
    }

    pub fn architecture(&self) -> Architecture {
        match self {
            Self::Copy(frozen) => frozen.network.architecture(),
            Self::Teacher(teacher) => teacher.architecture(),
        }
    }

    pub fn head(&self) -> Head {
        match self {
            Self::Copy(frozen) => frozen.network.head(),
            Self::Teacher(teacher) => teacher.head(),
        }
    }

    pub fn feature_dim(&self) -> i64 {
        self.architecture().feature_dim()
    }

    /// Width of the embedding; for a network without a head the features are the embedding.
    pub fn embedding_dim(&self) -> i64 {
        match self {
            Self::Copy(frozen) => frozen.network.output_dim(),
            Self::Teacher(teacher) => teacher.embedding_dim(),
        }
    }

    pub fn parameter_count(&self) -> i64 {
        match self {
            Self::Copy(frozen) => frozen.network.parameter_count(),
            Self::Teacher(teacher) => teacher.parameter_count(),
        }
    }
}
