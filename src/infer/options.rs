//! What a session gives, and where and how it computes.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tch::{Device, Kind};

use crate::config::{Config, EngineConfig, EngineName, OutputName, Precision, Rate};
use crate::data::{Range, Roi, Tile};
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
    /// Which part of a frame is looked at; None: as the network's file says.
    pub roi: Option<Roi>,
    /// How frames are cut for feature maps; detectors and segmenters have their own.
    pub tile: Tile,
    /// What runs the network.
    pub engine: EngineChoice,
}

/// The settings of engines ([`EngineConfig`]), their texts kept once for the process, so that options are copied as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineChoice {
    /// What runs the network.
    pub name: EngineName,
    /// Where ONNX Runtime's library is; empty: wherever it is found.
    pub library: &'static str,
    /// What ONNX Runtime computes by, with commas between them.
    pub providers: &'static str,
}

impl EngineChoice {
    /// As `config` has it.
    pub fn of(config: &EngineConfig) -> Self {
        Self { name: config.name, library: kept(&config.library), providers: kept(&config.providers) }
    }
}

/// A text that lives as long as the process: each one once, so that memory does not grow by sessions.
fn kept(text: &str) -> &'static str {
    static KNOWN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = known.get(text) {
        return found;
    }
    let text: &'static str = Box::leak(Box::from(text));
    known.insert(text);
    text
}

impl SessionOptions {
    /// Device, precision, rate, engine and, where they were set, range and region of interest as `config` has them. What ONNX Runtime is given and gives lies in the
    /// host's memory, so the device is the CPU there; its execution providers compute where they do.
    ///
    /// # Errors
    /// `InvalidArgument` or `Device` for a device that is not there, `Config` for a range or region that is not sound.
    pub fn of(config: &Config, output: Output) -> Result<Self> {
        config.tile.check()?;
        let device = device::parse(&config.device)?;
        let precision = match config.precision {
            Precision::Auto => None,
            chosen => Some(device::precision(chosen, device)),
        };
        Ok(Self {
            device,
            precision,
            output,
            rate: config.into(),
            range: config.chosen_range()?,
            roi: config.chosen_roi()?,
            tile: config.tile,
            engine: EngineChoice::of(&config.engine),
        })
    }
}

impl Default for SessionOptions {
    /// Embeddings in float32 on the CPU, by libtorch.
    fn default() -> Self {
        let (precision, rate) = (Some(Kind::Float), Rate::default());
        let engine = EngineChoice::of(&EngineConfig::default());
        Self {
            device: Device::Cpu,
            precision,
            output: Output::Embedding,
            rate,
            range: None,
            roi: None,
            tile: Tile::default(),
            engine,
        }
    }
}
