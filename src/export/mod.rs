//! A student for other programs: weights that PyTorch loads, a TorchScript module, an ONNX model.
//!
//! ```text
//! images → (bytes to numbers, normalisation, as asked) → backbone → features (B, d)
//!                                                       → head → divided by its length → embedding (B, C)
//!                                             → c2, c3, c4, c5 (B, C, H/4, W/4) to (B, C, H/32, W/32)
//! ```
//!
//! Modules and models are written from the list of operations that fused programs are made of
//! ([`crate::torch::graph`]): batch norm is folded into the weights, in float64. The batch is free, the images' size is the
//! student's. Every file carries the student's header, its provenance included, as [`crate::model::student_file`] lists it;
//! [`read_about`](crate::model::student_file::read_about) reads it back. Each file is looked at under a temporary name before it
//! is put in place: weights and ONNX models are read back and compared, a TorchScript module is loaded and run against the
//! network.
//!
//! ```
//! use seed::data::Input;
//! use seed::export::{Options, export};
//! use seed::model::student_file::{StudentHeader, read_about};
//! use seed::model::{Architecture, Head, Network};
//! let head = Head::Projection { hidden: 0, dim: 16 };
//! let network = Network::new(Architecture::MobileNetV3Small, head, 7, tch::Device::Cpu)?;
//! let header = StudentHeader::new(&network, &Input { width: 32, height: 32, ..Input::default() });
//! let folder = tempfile::tempdir().unwrap();
//! let path = folder.path().join("student.onnx");
//! export(&path, &network, &header, &Options::default())?;
//! assert_eq!(read_about(&path)?.architecture, Architecture::MobileNetV3Small);
//! # Ok::<(), seed::Error>(())
//! ```

mod check;
mod classifier;
mod detector;
mod numbers;
mod onnx_file;
mod onnx_patchcore;
mod onnx_stfpm;
mod outputs;
mod safetensors;
mod student;
mod torchscript;

use std::path::Path;

use self::check::Comparison;
pub use self::classifier::export_classifier;
pub use self::detector::export_detector;
use crate::error::{Error, Result};
use crate::model::student_file::{EXPORT_FORMAT, StudentHeader};
use crate::model::weights::check_finite;
use crate::model::{Head, Network};
pub use crate::onnx::ExportInput;

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// ONNX, operator set 17.
    Onnx,
    /// A TorchScript module.
    TorchScript,
    /// safetensors with torchvision's names, a projection in place of the last linear layer of the classifier: "fc.0.weight",
    /// "classifier.3.0.weight".
    Torchvision,
    /// As `Torchvision`, without a head: what torchvision's network loads whose last linear layer is `nn.Identity()`.
    Backbone,
}

/// How frames are resized to the network's input, for whoever resizes them elsewhere: Pillow's `Image.resize` with `BILINEAR`.
pub const FILTER: &str = "bilinear, antialiased";

/// What an exported network gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outputs {
    /// "embedding" (B, C), unit rows; of a network with a classifier "logits" (B, classes).
    Embedding,
    /// "features" (B, d), not normalised.
    Features,
    /// Both, in this order.
    Both,
    /// The feature maps "c2", "c3", "c4" and "c5", each (B, C, ⌈H/stride⌉, ⌈W/stride⌉) with strides 4, 8, 16 and 32, for the neck of a
    /// detector; nothing behind them is written.
    Stages,
}

/// How a student is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// What is written.
    pub format: Format,
    /// What the network takes; files of weights have no input.
    pub input: ExportInput,
    /// What the network gives; files of weights have no outputs.
    pub outputs: Outputs,
}

impl Default for Options {
    /// ONNX from normalised images to embeddings.
    fn default() -> Self {
        Self { format: Format::Onnx, input: ExportInput::Normalised, outputs: Outputs::Embedding }
    }
}

/// Writes `network`, whose images are made as `header` says, to `path`. On an error what stood there is as it was.
///
/// # Errors
/// `Mismatch` where the header is of another network or a weight is NaN or infinite; `Unsupported` for an operation that cannot be written, naming it, for stages
/// of a network without them and for an ONNX model of 2 GB and more; `Io` from writing; `Internal` where the written file does not compute what the network does.
pub fn export(path: &Path, network: &Network, header: &StudentHeader, options: &Options) -> Result<()> {
    if (header.architecture, header.head) != (network.architecture(), network.head()) {
        return Err(Error::mismatch(format!(
            "the header is of {} with {:?}, the network is {} with {:?}",
            header.architecture,
            header.head,
            network.architecture(),
            network.head()
        )));
    }
    check_finite(network.to_state()?.iter().map(|(name, tensor)| (name, tensor)))
        .map_err(|error| error.context(path.display()))?;
    let mut texts = header.texts(EXPORT_FORMAT)?;
    texts.extend(outputs::text(network.architecture())?.map(|stages| ("stages".to_owned(), stages)));
    if matches!(options.format, Format::Onnx | Format::TorchScript) {
        texts.extend(use_texts(header, options.input, &outputs::names(network.head(), options.outputs)));
    }
    let _no_grad = tch::no_grad_guard();
    match options.format {
        Format::Onnx => {
            // A student that gives NaN is not exported.
            Comparison::new(network, header, options, 1)?.check_finite()?;
            onnx_file::write(path, student::graph(network, header, options)?, &texts)
        }
        Format::TorchScript => torchscript::write(path, network, header, options, &texts),
        Format::Torchvision => safetensors::write(path, network, true, texts),
        Format::Backbone => safetensors::write(path, network, false, texts),
    }
}

/// What a file says about its input and outputs, for whoever runs it.
fn use_texts(header: &StudentHeader, input: ExportInput, outputs: &[&str]) -> [(String, String); 4] {
    let input = match input {
        ExportInput::Normalised => "normalised",
        ExportInput::Unit => "unit",
        ExportInput::Bytes => "bytes",
    };
    [("input", input), ("resize", header.input.resize.word()), ("filter", FILTER), ("outputs", &outputs.join(","))]
        .map(|(key, text)| (key.to_owned(), text.to_owned()))
}

/// Whether the output is divided by its length.
fn has_unit_rows(head: Head) -> bool {
    !matches!(head, Head::Classifier { .. })
}
