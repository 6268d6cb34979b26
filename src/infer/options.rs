//! What a session gives, and where and how it computes.

use tch::{Device, Kind};

use crate::config::{Config, OutputName, Precision, Rate};
use crate::data::Range;
use crate::device;
use crate::error::Result;

/// What a session gives for a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// The backbone's features before the head, not normalised: what kNN and classifiers use.
    Features,
    /// The projection divided by its length (without a head: the features divided by theirs): what was distilled.
    Embedding,
    /// A classifier's logits. Sessions of the C ABI have no such output; see [`Classifier`](super::Classifier).
    Logits,
}

impl From<OutputName> for Output {
    fn from(name: OutputName) -> Self {
        match name {
            OutputName::Embedding => Self::Embedding,
            OutputName::Features => Self::Features,
        }
    }
}

/// Where and how a session computes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SessionOptions {
    /// Where the session's copy of the weights lies.
    pub device: Device,
    /// Float32, or bfloat16 for products and convolutions; None: bfloat16 where the device computes in it and embeddings
    /// keep a cosine of [`BEARABLE`](super::BEARABLE) on calibration images. What comes out is float32 always.
    pub precision: Option<Kind>,
    /// What comes out.
    pub output: Output,
    /// What calls over whole data sets leave to others.
    pub rate: Rate,
    /// Which samples of a frame become which levels; None: as the network's file says.
    pub range: Option<Range>,
}

impl SessionOptions {
    /// Device, precision, rate and, where it was set, range as `config` has them.
    ///
    /// # Errors
    /// `InvalidArgument` or `Device` for a device that is not there, `Config` for a range that is not sound.
    pub fn of(config: &Config, output: Output) -> Result<Self> {
        let device = device::parse(&config.device)?;
        let precision = match config.precision {
            Precision::Auto => None,
            chosen => Some(device::precision(chosen, device)),
        };
        Ok(Self { device, precision, output, rate: config.into(), range: config.chosen_range()? })
    }
}

impl Default for SessionOptions {
    /// Embeddings in float32 on the CPU.
    fn default() -> Self {
        let (precision, rate) = (Some(Kind::Float), Rate::default());
        Self { device: Device::Cpu, precision, output: Output::Embedding, rate, range: None }
    }
}
