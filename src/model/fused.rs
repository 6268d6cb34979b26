//! A network in eval mode as a program of fused operations: an own copy of the weights, batch norm folded into them.
//!
//! On the CPU a batch goes through in pieces of [`Fused::piece`] images: a piece's feature maps stay in the cache and in
//! memory that the allocator keeps, where those of 32 images at 224² are mapped and cleared anew in every pass (measured:
//! ResNet-50 in bfloat16 46 images/s in pieces of 4, 35 in one of 32).

use tch::{Device, Kind, Tensor};

use super::network::check_images;
use super::{Architecture, Mode, Network, PatchMap};
use crate::error::{Error, ErrorKind, Result};
use crate::torch::fused::{Builder, Program, Stage, Value};

/// An immutable copy of a network, for eval mode only; may be shared between threads.
pub struct Fused {
    program: Program,
    features: Value,
    output: Value,
    // Of a loss over patches, where there is one.
    patches: Option<Value>,
    architecture: Architecture,
    stages: Vec<Stage>,
    device: Device,
    channels: i64,
    piece: i64,
}

/// The values of features, output and, where it is asked for, the map of patches.
type Lowered = (Value, Value, Option<Value>);

impl Fused {
    /// A copy of `network` as it is now, weights in `kind` (float32 or bfloat16), laid out for pieces of `piece` images of
    /// height × width; other sizes run as well, but slower.
    ///
    /// # Errors
    /// `InvalidArgument` for another `kind` and for a size that the network does not take, `OutOfMemory` or `Torch` from libtorch.
    pub fn new(network: &Network, kind: Kind, piece: i64, height: i64, width: i64) -> Result<Fused> {
        let lower = |builder: &mut Builder| {
            let (features, output) = network.lower(builder)?;
            Ok((features, output, None))
        };
        Fused::lowered(network, &lower, kind, piece, height, width)
    }

    /// As [`new`](Fused::new), for [`forward_with_map`](Fused::forward_with_map).
    ///
    /// # Errors
    /// Those of `new`; `InvalidArgument` where the network has no such map.
    pub fn with_map(
        network: &Network,
        map: &PatchMap,
        kind: Kind,
        piece: i64,
        height: i64,
        width: i64,
    ) -> Result<Fused> {
        let lower = |builder: &mut Builder| {
            let (features, output, patches) = network.lower_with_map(builder, map)?;
            Ok((features, output, Some(patches)))
        };
        Fused::lowered(network, &lower, kind, piece, height, width)
    }

    fn lowered(
        network: &Network,
        lower: &dyn Fn(&mut Builder) -> Result<Lowered>,
        kind: Kind,
        piece: i64,
        height: i64,
        width: i64,
    ) -> Result<Fused> {
        let (architecture, device, piece) = (network.architecture(), network.device(), piece.max(1));
        let channels = network.channels();
        architecture.check_size(piece, height, width, Mode::Eval)?;
        let lowered = || -> Result<_> {
            let mut builder = Builder::new()?;
            let values = lower(&mut builder)?;
            Ok((builder, values))
        };
        let (builder, (features, output, patches)) = lowered()?;
        let stages = builder.stages().to_vec();
        let program = match builder.prepare(kind, device == Device::Cpu, piece, height, width) {
            // A libtorch without oneDNN, or a CPU that it does not serve in this format. Too little memory is neither.
            Err(error) if device == Device::Cpu && error.kind() == ErrorKind::Torch => {
                log::warn!("no fused operators on this CPU, going on without: {error}");
                lowered()?.0.prepare(kind, false, piece, height, width)?
            }
            prepared => prepared?,
        };
        Ok(Fused { program, features, output, patches, architecture, stages, device, channels, piece })
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

    /// The output with the map (B, C, h, w) that a loss over patches looks at, float32, of one pass.
    ///
    /// # Errors
    /// As [`Network::features`]; `InvalidArgument` of a program that was made without `map`.
    pub fn forward_with_map(&self, images: &Tensor, map: &PatchMap) -> Result<(Tensor, Tensor)> {
        let patches =
            self.patches.ok_or_else(|| Error::invalid("the fused program was made without a map of patches"))?;
        let mut values = self.run_many(images, &[self.output, patches])?;
        let (Some(patches), Some(output)) = (values.pop(), values.pop()) else {
            return Err(Error::invalid("the fused program gave nothing"));
        };
        let (_, _, height, width) = images.size4()?;
        Ok((output, map.of(&patches, height, width)?))
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

    /// Channels of the images.
    pub fn channels(&self) -> i64 {
        self.channels
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
        check_images(images, self.device, self.channels)?;
        let (batch, _, height, width) = images.size4()?;
        self.architecture.check_size(batch, height, width, Mode::Eval)?;
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
