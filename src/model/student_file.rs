//! A student on disk: one safetensors file with torchvision's key names, and beside the tensors what a station needs to
//! use it — architecture, head, input size, normalisation, provenance.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tch::Device;

use super::weights;
use super::{Architecture, Head, Load, Network};
use crate::data::ViewConfig;
use crate::error::{Error, Result};

/// The format's name and version; a reader refuses others.
pub const FORMAT: &str = "libseed.student.1";

/// Widest head that a file may ask for.
const MAXIMUM_WIDTH: i64 = 65_536;

/// What a student file says beside its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StudentHeader {
    /// The backbone's name.
    pub architecture: String,
    /// Hidden width of the projection head and width of the embedding; none for a backbone alone.
    pub projection: Option<(i64, i64)>,
    /// Input width in pixels.
    pub width: u32,
    /// Input height in pixels.
    pub height: u32,
    /// Mean that is subtracted from pixels in 0 to 1, red, green, blue.
    pub mean: [f64; 3],
    /// What the difference is divided by.
    pub std: [f64; 3],
    /// Where the student comes from: library version and whatever the training adds.
    pub provenance: BTreeMap<String, String>,
}

impl StudentHeader {
    /// The header of `network` with the input of `view`.
    pub fn new(network: &Network, view: &ViewConfig) -> Self {
        let projection = match network.head() {
            Head::Projection { hidden, dim } => Some((if hidden > 0 { hidden } else { network.feature_dim() }, dim)),
            _ => None,
        };
        let provenance = BTreeMap::from([("library".to_owned(), format!("libseed {}", env!("CARGO_PKG_VERSION")))]);
        Self {
            architecture: network.architecture().name().to_owned(),
            projection,
            width: view.width,
            height: view.height,
            mean: view.mean,
            std: view.std,
            provenance,
        }
    }

    /// The geometry and normalisation of the input.
    pub fn view(&self) -> ViewConfig {
        ViewConfig { width: self.width, height: self.height, mean: self.mean, std: self.std, ..ViewConfig::default() }
    }
}

/// Writes `network` with `header` to `path`, atomically.
pub fn save_student(path: &Path, network: &Network, header: &StudentHeader) -> Result<()> {
    let json = serde_json::to_string(header)
        .map_err(|error| Error::new(crate::ErrorKind::Internal, format!("the student's header: {error}")))?;
    let metadata = BTreeMap::from([("format".to_owned(), FORMAT.to_owned()), ("student".to_owned(), json)]);
    weights::write_safetensors(path, &network.to_state()?, &metadata)
}

/// The student in `path`, on the CPU. Nothing in the file is trusted.
///
/// Errors: `Format` for a damaged file, `Mismatch` for one that is no student or whose weights do not fit its header.
pub fn load_student(path: &Path) -> Result<(Network, StudentHeader)> {
    let state = weights::read(path)?;
    let misfit = |reason: String| Error::mismatch(format!("{}: {reason}", path.display()));
    let format = state.metadata.get("format").map_or("none", String::as_str);
    if format != FORMAT {
        return Err(misfit(format!(
            "the format is \"{format}\", expected \"{FORMAT}\"; only files that seed_student_save wrote can be opened"
        )));
    }
    let json = state.metadata.get("student").map_or("", String::as_str);
    let header: StudentHeader =
        serde_json::from_str(json).map_err(|error| misfit(format!("the header \"student\": {error}")))?;
    let widths = header.projection.unwrap_or((1, 1));
    if !(1..=MAXIMUM_WIDTH).contains(&widths.0) || !(1..=MAXIMUM_WIDTH).contains(&widths.1) {
        return Err(misfit(format!("a projection head of {widths:?}, expected widths of 1 to {MAXIMUM_WIDTH}")));
    }
    if !(8..=4096).contains(&header.width) || !(8..=4096).contains(&header.height) {
        return Err(misfit(format!("an input of {} × {}, expected 8 to 4096 a side", header.width, header.height)));
    }
    header.view().check().map_err(|error| error.context(path.display()))?;
    let architecture = Architecture::parse(&header.architecture).map_err(|error| error.context(path.display()))?;
    let head = header.projection.map_or(Head::None, |(hidden, dim)| Head::Projection { hidden, dim });
    let network = Network::blank(architecture, head, Device::Cpu)?;
    network.load(&state, Load::Everything).map_err(|error| error.context(path.display()))?;
    Ok((network, header))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Mode;

    #[test]
    fn a_saved_student_is_the_same_student() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("student.safetensors");
        let network =
            Network::new(Architecture::MobileNetV3Small, Head::Projection { hidden: 0, dim: 16 }, 3, Device::Cpu)
                .unwrap();
        let view = ViewConfig { width: 64, height: 48, ..ViewConfig::default() };
        let header = StudentHeader::new(&network, &view);
        save_student(&path, &network, &header).unwrap();
        let (again, read) = load_student(&path).unwrap();
        assert_eq!(read, header);
        let images = tch::Tensor::ones([1, 3, 48, 64], (tch::Kind::Float, Device::Cpu));
        let output =
            |network: &Network| Vec::<f32>::try_from(network.forward(&images, Mode::Eval).unwrap().view(-1)).unwrap();
        assert_eq!(output(&network), output(&again));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no draft stays behind");
    }

    #[test]
    fn other_files_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other.safetensors");
        weights::write_safetensors(&path, &[], &BTreeMap::from([("a".to_owned(), "b".to_owned())])).unwrap();
        let error = load_student(&path).map(|_| ()).unwrap_err();
        assert!(error.message().contains("libseed.student.1"), "{error}");
    }
}
