//! What a student's file says about it besides the weights, as texts of the file's metadata: [`student_file`](super::student_file)
//! lists them. What is read is checked for itself here, and against the tensors there.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::provenance::provenance_text;
use super::{Architecture, Head, Mode, Network};
use crate::data::{Input, Range, Resize, Roi};
use crate::error::{Error, ErrorKind, Result};

/// What `format` must say.
pub const FORMAT: &str = "libseed.student.1";
/// How it begins in every version.
const FAMILY: &str = "libseed.student.";

/// What `format` says in a file for other programs (`export`), which has the same keys but not a student's tensors.
pub const EXPORT_FORMAT: &str = "libseed.export.1";

/// What a student's file says about it besides the weights.
#[derive(Clone, Debug, PartialEq)]
pub struct StudentHeader {
    /// The backbone.
    pub architecture: Architecture,
    /// The head, a projection's hidden width filled in.
    pub head: Head,
    /// How a frame becomes the network's input; never with a range that is to be measured.
    pub input: Input,
    /// A JSON object for people and other programs; nothing here depends on it.
    pub provenance: Value,
}

impl StudentHeader {
    /// The header of `network`, whose images are made as `input` says. The provenance names the library's version.
    pub fn new(network: &Network, input: &Input) -> Self {
        Self {
            architecture: network.architecture(),
            head: network.head(),
            input: Input { channels: if network.channels() == 1 { 1 } else { 3 }, ..*input },
            provenance: json!({ "library": concat!("libseed ", env!("CARGO_PKG_VERSION")) }),
        }
    }

    /// The header as a file's metadata, `format` being [`FORMAT`] or [`EXPORT_FORMAT`].
    ///
    /// # Errors
    /// `Config` where the view is out of bounds, `InvalidArgument` where the network cannot take its size or the provenance is larger
    /// than [`MAX_PROVENANCE`](super::provenance::MAX_PROVENANCE).
    pub fn texts(&self, format: &str) -> Result<BTreeMap<String, String>> {
        self.input.check()?;
        self.check_size()?;
        let texts = [
            ("format", format.to_owned()),
            ("architecture", self.architecture.name().to_owned()),
            ("head", json_text(&HeadText::from(self.head))?),
            ("width", self.input.width.to_string()),
            ("height", self.input.height.to_string()),
            ("mean", json_text(&self.input.mean)?),
            ("std", json_text(&self.input.std)?),
            ("provenance", provenance_text(&self.provenance)?),
        ];
        self.input.range.check_measured()?;
        // Not written for three, which is what earlier versions of this library read; so the centre crop, which they made, and the full
        // range.
        let channels = (self.input.channels == 1).then(|| ("channels", "1".to_owned()));
        let resize = (!self.input.resize.is_unsaid()).then(|| ("resize", self.input.resize.word().to_owned()));
        let range = match self.input.range.is_full() {
            true => None,
            false => Some(("range", json_text(&self.input.range)?)),
        };
        let roi = if self.input.roi.is_none() { None } else { Some(("roi", json_text(&self.input.roi)?)) };
        Ok(texts
            .into_iter()
            .chain(channels)
            .chain(resize)
            .chain(range)
            .chain(roi)
            .map(|(key, text)| (key.to_owned(), text))
            .collect())
    }

    /// Refuses a size that the network cannot take, saying what would fit: a Vision Transformer sees whole patches.
    fn check_size(&self) -> Result<()> {
        self.architecture.check_size(1, i64::from(self.input.height), i64::from(self.input.width), Mode::Eval)
    }
}

fn two() -> i64 {
    2
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
fn is_two(layers: &i64) -> bool {
    *layers == two()
}

/// A [`Head`] as the file writes it.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum HeadText {
    None,
    Classifier {
        classes: i64,
    },
    Projection {
        hidden: i64,
        dim: i64,
    },
    NormedProjection {
        /// Files of two layers do not say so.
        #[serde(default = "two", skip_serializing_if = "is_two")]
        layers: i64,
        hidden: i64,
        dim: i64,
    },
    LinearProjection {
        dim: i64,
    },
}

impl From<Head> for HeadText {
    fn from(head: Head) -> Self {
        match head {
            Head::None => Self::None,
            Head::Classifier { classes } => Self::Classifier { classes },
            Head::Projection { hidden, dim } => Self::Projection { hidden, dim },
            Head::NormedProjection { layers, hidden, dim } => Self::NormedProjection { layers, hidden, dim },
            Head::LinearProjection { dim } => Self::LinearProjection { dim },
        }
    }
}

impl From<HeadText> for Head {
    fn from(text: HeadText) -> Self {
        match text {
            HeadText::None => Self::None,
            HeadText::Classifier { classes } => Self::Classifier { classes },
            HeadText::Projection { hidden, dim } => Self::Projection { hidden, dim },
            HeadText::NormedProjection { layers, hidden, dim } => Self::NormedProjection { layers, hidden, dim },
            HeadText::LinearProjection { dim } => Self::LinearProjection { dim },
        }
    }
}

/// Reads and checks the header in a file's metadata, whose `format` must be one of `formats`.
pub(super) fn read_header(path: &Path, metadata: &BTreeMap<String, String>, formats: &[&str]) -> Result<StudentHeader> {
    let missing = |key: &str| Error::format(path, format!("no student of libseed: metadata key \"{key}\" is missing"));
    let text = |key: &str| metadata.get(key).map(String::as_str).ok_or_else(|| missing(key));
    match text("format")? {
        known if formats.contains(&known) => {}
        EXPORT_FORMAT => {
            return Err(Error::format(
                path,
                "this file was exported for other programs; a student is loaded from the file that it was saved to",
            ));
        }
        other if other.starts_with(FAMILY) => {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("{}: format is {other:?}, this library reads {FORMAT:?}; use a later libseed", path.display()),
            ));
        }
        other => return Err(Error::format(path, format!("format is {other:?}, expected {FORMAT:?}"))),
    }
    let architecture = Architecture::parse(text("architecture")?).map_err(|error| Error::format(path, error))?;
    let side = |key: &str| -> Result<u32> {
        let found = text(key)?;
        found.parse().map_err(|_| Error::format(path, format!("{key} is {found:?}, expected a number of pixels")))
    };
    let head: HeadText = json_value(path, "head", text("head")?)?;
    let header = StudentHeader {
        architecture,
        head: Head::from(head).resolved(architecture.feature_dim()).map_err(|error| Error::format(path, error))?,
        input: Input {
            width: side("width")?,
            height: side("height")?,
            channels: match metadata.get("channels").map(String::as_str) {
                None | Some("3") => 3,
                Some("1") => 1,
                Some(other) => return Err(Error::format(path, format!("channels is {other:?}, expected 3 or 1"))),
            },
            resize: match metadata.get("resize") {
                Some(word) => Resize::parse("resize", word).map_err(|error| Error::format(path, error))?,
                None => Resize::unsaid(),
            },
            range: match metadata.get("range") {
                Some(text) => json_value(path, "range", text)?,
                None => Range::FULL,
            },
            roi: match metadata.get("roi") {
                Some(text) => json_value(path, "roi", text)?,
                None => Roi::NONE,
            },
            mean: json_value(path, "mean", text("mean")?)?,
            std: json_value(path, "std", text("std")?)?,
        },
        provenance: json_value(path, "provenance", text("provenance")?)?,
    };
    header
        .input
        .check()
        .and_then(|()| header.check_size())
        .and_then(|()| header.input.range.check_measured())
        .map_err(|error| Error::format(path, error))?;
    Ok(header)
}

fn json_text(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| Error::invalid(format!("the header cannot be written as JSON: {error}")))
}

fn json_value<T: serde::de::DeserializeOwned>(path: &Path, key: &str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| {
        let shown: String = text.chars().take(80).collect();
        Error::format(path, format!("{key} is {shown:?}: {error}"))
    })
}
