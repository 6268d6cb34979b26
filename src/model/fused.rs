//! A network in eval mode as a program of fused operations: an own copy of the weights, batch norm folded into them.
//!
//! On the CPU a batch goes through in pieces of [`Fused::piece`] images: a piece's feature maps stay in the cache and in
//! memory that the allocator keeps, where those of 32 images at 224² are mapped and cleared anew in every pass (measured:
//! ResNet-50 in bfloat16 46 images/s in pieces of 4, 35 in one of 32).

use tch::{Device, Kind, Tensor};

use super::network::check_images;
use super::{Mode, Network};
use crate::error::{Error, Result};
use crate::torch::fused::{Builder, Program, Stage, Value};

/// An immutable copy of a network, for eval mode only; may be shared between threads.
pub struct Fused {
    program: Program,
    features: Value,
    output: Value,
    stages: Vec<Stage>,
    device: Device,
    piece: i64,
}

impl Fused {
    /// A copy of `network` as it is now, weights in `kind` (float32 or bfloat16), laid out for pieces of `piece` images of
    /// height × width; other sizes run as well, but slower.
    ///
    /// # Errors
    /// `InvalidArgument` for another `kind`, `OutOfMemory` or `Torch` from libtorch.
    pub fn new(network: &Network, kind: Kind, piece: i64, height: i64, width: i64) -> Result<Fused> {
        let (device, piece) = (network.device(), piece.max(1));
        let build = |onednn| {
            let mut builder = Builder::new()?;
            let (features, output) = network.lower(&mut builder)?;
            let stages = builder.stages().to_vec();
            let program = builder.prepare(kind, onednn, piece, height, width)?;
            Ok(Fused { program, features, output, stages, device, piece })
        };
        if device != Device::Cpu {
            return build(false);
        }
        build(true).or_else(|error: Error| {
            // A libtorch without oneDNN, or a CPU that it does not serve in this format.
            log::warn!("no fused operators on this CPU, going on without: {error}");
            build(false)
        })
    }

    /// Backbone features: (B, 3, H, W) floating point → (B, d) float32.
    ///
    /// # Errors
    /// As [`Network::features`].
    pub fn features(&self, images: &Tensor) -> Result<Tensor> {
        self.run(images, self.features)
    }

    /// Head on top of the features: (B, 3, H, W) floating point → (B, C) float32, not normalised.
    ///
    /// # Errors
    /// As [`Network::features`].
    pub fn forward(&self, images: &Tensor) -> Result<Tensor> {
        self.run(images, self.output)
    }

    /// The feature maps inside that can be asked for, from the image on; none for some backbones.
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// Feature maps (B, C, ⌈H/stride⌉, ⌈W/stride⌉), float32, of (B, 3, H, W), by one pass that goes no further than it must.
    ///
    /// # Errors
    /// As [`Network::features`].
    pub fn maps(&self, images: &Tensor, stages: &[Stage]) -> Result<Vec<Tensor>> {
        let values: Vec<Value> = stages.iter().map(|stage| stage.value).collect();
        self.run_many(images, &values)
    }

    /// Images that go through at once.
    pub fn piece(&self) -> i64 {
        self.piece
    }

    /// Where the weights lie.
    pub fn device(&self) -> Device {
        self.device
    }

    fn run(&self, images: &Tensor, value: Value) -> Result<Tensor> {
        let mut values = self.run_many(images, &[value])?;
        values.pop().ok_or_else(|| Error::invalid("the fused program gave nothing"))
    }

    fn run_many(&self, images: &Tensor, values: &[Value]) -> Result<Vec<Tensor>> {
        check_images(images, self.device, Mode::Eval)?;
        let batch = images.size()[0];
        if batch <= self.piece || self.device != Device::Cpu {
            return self.program.run_many(images, values);
        }
        let mut parts: Vec<Vec<Tensor>> = values.iter().map(|_| Vec::new()).collect();
        for start in (0..batch).step_by(self.piece as usize) {
            let piece = images.f_narrow(0, start, self.piece.min(batch - start))?;
            for (parts, part) in parts.iter_mut().zip(self.program.run_many(&piece, values)?) {
                parts.push(part);
            }
        }
        parts.iter().map(|parts| Ok(Tensor::f_cat(parts, 0)?)).collect()
    }
}
