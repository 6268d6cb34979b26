//! A student in one file: safetensors whose metadata says everything that is needed to use it.
//!
//! | key | text |
//! |---|---|
//! | `format` | `libseed.student.1` |
//! | `architecture` | torchvision's name |
//! | `head` | JSON: `{"kind":"projection","hidden":1024,"dim":128}`, `{"kind":"classifier","classes":10}` or `{"kind":"none"}` |
//! | `width`, `height` | size of the views in pixels |
//! | `channels` | `1` for grey views; absent: 3 |
//! | `resize` | `whole` or `letterbox`: how a frame becomes a view; absent: the centre crop (`Resize::Centre`) |
//! | `range` | JSON: `{"kind":"fixed","low":120.0,"high":3900.0,"gamma":1.0}` or `{"kind":"frame","low_percentile":…,"high_percentile":…,"gamma":1.0}` or `{"kind":"full","gamma":0.5}`: which samples become which levels; absent: the full range |
//! | `mean`, `std` | JSON: three numbers each, red, green, blue in [0, 1] |
//! | `provenance` | JSON object: where it comes from (library version, teacher, settings, scores) |
//!
//! The tensors have torchvision's names, so the file also opens in Python. What is read is hostile until checked: widths are
//! compared with the tensors in the file before anything is allocated by them.

use std::collections::BTreeMap;
use std::path::Path;

use tch::Device;

pub use super::student_header::{EXPORT_FORMAT, FORMAT, StudentHeader};

use super::student_header::read_header;
use super::weights::{self, StateDict, write_safetensors};
use super::{DEEPEST, Head, Load, Network};
use crate::error::{Error, Result};
use crate::sys::memory::push;

/// Writes network and header to `path`, atomically.
///
/// # Errors
/// `Mismatch` where the header is of another network or a tensor holds NaN or infinity, `Config` where its view is out of bounds, `Io` from writing; what
/// stood at `path` is as it was then.
pub fn save_student(path: &Path, network: &Network, header: &StudentHeader) -> Result<()> {
    save_with(path, network, header, StateDict::default())
}

/// As [`save_student`], with further tensors and metadata beside the student's. Whoever adds some gives them names that no
/// network has.
pub(crate) fn save_with(path: &Path, network: &Network, header: &StudentHeader, extra: StateDict) -> Result<()> {
    let (of_header, of_network) = (
        (header.architecture, header.head, i64::from(header.input.channels)),
        (network.architecture(), network.head(), network.channels()),
    );
    if of_header != of_network {
        let [header, network] = [of_header, of_network]
            .map(|(architecture, head, channels)| format!("{architecture} with {head:?} for {channels} channels"));
        return Err(Error::mismatch(format!("the header is of {header}, the network is {network}")));
    }
    let mut metadata = extra.metadata;
    metadata.extend(header.texts(FORMAT)?);
    let mut tensors = network.to_state()?;
    for tensor in extra.tensors {
        push(&mut tensors, tensor, "a table of weights")?;
    }
    weights::check_finite(tensors.iter().map(|(name, tensor)| (name, tensor)))
        .map_err(|error| error.context(path.display()))?;
    write_safetensors(path, &tensors, &metadata)
}

/// What a file of this format holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    Student,
    /// Of [`crate::infer::Classifier`].
    Classifier,
    /// Of [`crate::infer::AnomalyDetector`].
    Detector,
    /// Of [`crate::infer::Segmenter`].
    Segmenter,
}

/// The metadata key of a classifier's file that no other has.
pub(crate) const CLASSIFIER: &str = "classifier";
/// The metadata key of a detector's file that no other has.
pub(crate) const DETECTOR: &str = "anomaly";
/// The metadata key of a segmenter's file that no other has.
pub(crate) const SEGMENTER: &str = "segmenter";

impl Holds {
    /// By the file's metadata.
    pub fn of(metadata: &BTreeMap<String, String>) -> Self {
        let kinds = [(CLASSIFIER, Self::Classifier), (DETECTOR, Self::Detector), (SEGMENTER, Self::Segmenter)];
        kinds.into_iter().find(|(key, _)| metadata.contains_key(*key)).map_or(Self::Student, |(_, kind)| kind)
    }

    /// What the names of its tensors that are no student's begin with; empty where there are none.
    fn prefix(self) -> &'static str {
        match self {
            Self::Student | Self::Classifier => "",
            Self::Detector => "anomaly.",
            Self::Segmenter => "segment.",
        }
    }

    /// For a person: what it is, and which call opens it.
    pub fn text(self) -> &'static str {
        match self {
            Self::Student => "a student; seed_session_open or seed_student_load opens it",
            Self::Classifier => "a classifier; seed_classifier_open opens it",
            Self::Detector => "an anomaly detector; seed_anomaly_open opens it",
            Self::Segmenter => "a segmenter; seed_segmenter_open opens it",
        }
    }
}

/// What a student's file, or one that was exported from a student, says about itself: safetensors, ONNX or TorchScript. The
/// weights are not read, and nothing in the file is executed.
///
/// # Errors
/// `Io`; `Format` for a file of another kind, without libseed's metadata or with damaged one; `Unsupported` for a later version.
pub fn read_about(path: &Path) -> Result<StudentHeader> {
    read_header(path, &weights::read_metadata(path)?, &[FORMAT, EXPORT_FORMAT])
}

/// Reads a file of [`save_student`]: the network on the CPU, and its header.
///
/// # Errors
/// `Io`; `Format` naming the file, the key, what was expected and what was found; `Unsupported` for a later version of the
/// format; `Mismatch` listing tensors that do not fit the architecture.
pub fn load_student(path: &Path) -> Result<(Network, StudentHeader)> {
    let (network, header, _) = load_with(path, "")?;
    Ok((network, header))
}

/// As [`load_student`]; tensors whose names begin with `prefix` (none where it is empty) and all metadata come beside it.
pub(crate) fn load_with(path: &Path, prefix: &str) -> Result<(Network, StudentHeader, StateDict)> {
    let mut state = weights::read(path)?;
    let mut extra = StateDict { metadata: state.metadata.clone(), ..StateDict::default() };
    let holds = Holds::of(&state.metadata);
    if !holds.prefix().is_empty() && holds.prefix() != prefix {
        return Err(Error::format(path, format!("the file holds {}", holds.text())));
    }
    if !prefix.is_empty() {
        let (own, others) = state.tensors.into_iter().partition(|(name, _)| !name.starts_with(prefix));
        (state.tensors, extra.tensors) = (own, others);
    }
    let header = read_header(path, &state.metadata, &[FORMAT])?;
    check_head(path, &header, &state)?;
    let channels = i64::from(header.input.channels);
    let network = Network::blank_with_channels(header.architecture, header.head, channels, Device::Cpu)?;
    network.load(&state, Load::Everything).map_err(|error| error.context(path.display()))?;
    check_finite(path, &network)?;
    Ok((network, header, extra))
}

/// The head's widths are those of the tensors, whose bytes are really there: so no allocation exceeds the file's size.
fn check_head(path: &Path, header: &StudentHeader, state: &StateDict) -> Result<()> {
    let features = header.architecture.feature_dim();
    let weights = match header.head {
        Head::None => Vec::new(),
        Head::Classifier { classes } => {
            vec![(format!("{}.weight", header.architecture.family().classifier_key), [classes, features])]
        }
        Head::Projection { hidden, dim } => vec![
            ("projection.0.weight".to_owned(), [hidden, features]),
            ("projection.2.weight".to_owned(), [dim, hidden]),
        ],
        Head::LinearProjection { dim } => vec![("projection.0.weight".to_owned(), [dim, features])],
        Head::NormedProjection { layers, .. } if !(2..=DEEPEST).contains(&layers) => {
            return Err(Error::format(path, format!("head has {layers} layers, expected 2 to {DEEPEST}")));
        }
        Head::NormedProjection { layers, hidden, dim } => {
            let sizes =
                |layer| [if layer + 1 == layers { dim } else { hidden }, if layer == 0 { features } else { hidden }];
            (0..layers).map(|layer| (format!("projection.{}.weight", 3 * layer), sizes(layer))).collect()
        }
    };
    for (name, expected) in weights {
        let found = state.tensors.get(&name).map(|weight| weight.shape.as_slice());
        let equal =
            |shape: &[usize]| shape.len() == 2 && shape.iter().zip(expected).all(|(&a, b)| i64::try_from(a) == Ok(b));
        if !found.is_some_and(equal) {
            let found = found.map_or_else(|| "none".to_owned(), |shape| format!("{shape:?}"));
            let head = header.head;
            return Err(Error::format(path, format!("head is {head:?}: expected {name} {expected:?}, found {found}")));
        }
    }
    Ok(())
}

fn check_finite(path: &Path, network: &Network) -> Result<()> {
    let _guard = tch::no_grad_guard();
    for (name, tensor) in network.tensors() {
        if tensor.f_isfinite()?.f_all()?.f_int64_value(&[])? == 0 {
            return Err(Error::format(path, format!("{name} holds NaN or infinite numbers")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::data::Input;
    use crate::error::ErrorKind;
    use crate::model::Architecture;

    const HEAD: Head = Head::Projection { hidden: 16, dim: 8 };

    fn network() -> Network {
        Network::new(Architecture::MobileNetV3Small, HEAD, 3, Device::Cpu).unwrap()
    }

    fn header(network: &Network) -> StudentHeader {
        let view = Input { width: 96, height: 64, mean: [0.1, 0.2, 0.3], ..Input::default() };
        StudentHeader {
            provenance: json!({ "teacher": "a \"b\"", "k": [1, 2.5] }),
            ..StudentHeader::new(network, &view)
        }
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("student.safetensors");
        let network = network();
        let header = header(&network);
        save_student(&path, &network, &header).unwrap();
        let (loaded, found) = load_student(&path).unwrap();
        assert_eq!(found, header);
        assert!(loaded.to_state().unwrap() == network.to_state().unwrap());
        let normed = |layers| Head::NormedProjection { layers, hidden: 16, dim: 8 };
        for head in [Head::None, Head::Classifier { classes: 3 }, normed(2), normed(3), normed(DEEPEST)] {
            let network = Network::new(Architecture::MobileNetV3Small, head, 3, Device::Cpu).unwrap();
            save_student(&path, &network, &StudentHeader::new(&network, &Input::default())).unwrap();
            assert_eq!(load_student(&path).unwrap().1.head, head);
        }
        assert_eq!(
            save_student(&path, &network, &StudentHeader { head: Head::None, ..header }).unwrap_err().kind(),
            ErrorKind::Mismatch
        );
    }

    #[test]
    fn a_changed_header_is_refused_with_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("student.safetensors");
        let network = network();
        save_student(&path, &network, &header(&network)).unwrap();
        let sound = weights::read(&path).unwrap();
        let tensors: Vec<_> = sound.tensors.clone().into_iter().collect();
        let long = "9".repeat(400);
        for (key, text, kind, expected) in [
            ("format", None, ErrorKind::Format, "\"format\" is missing"),
            ("format", Some("libseed.student.2"), ErrorKind::Unsupported, "later libseed"),
            ("format", Some("pt"), ErrorKind::Format, "expected \"libseed.student.1\""),
            ("architecture", Some("resnet"), ErrorKind::Format, "unknown architecture"),
            ("architecture", Some("resnet50"), ErrorKind::Format, "expected projection.0.weight [16, 2048]"),
            ("head", Some("{\"kind\":\"projection\",\"hidden\":16}"), ErrorKind::Format, "head is"),
            (
                "head",
                Some("{\"kind\":\"projection\",\"hidden\":1048576,\"dim\":1048576}"),
                ErrorKind::Format,
                "found [16, 1024]",
            ),
            ("head", Some("{\"kind\":\"projection\",\"hidden\":-1,\"dim\":8}"), ErrorKind::Format, "hidden width"),
            (
                "head",
                Some("{\"kind\":\"normed_projection\",\"layers\":9000000000,\"hidden\":16,\"dim\":8}"),
                ErrorKind::Format,
                "9000000000",
            ),
            (
                "head",
                Some("{\"kind\":\"normed_projection\",\"layers\":3,\"hidden\":16,\"dim\":8}"),
                ErrorKind::Format,
                "expected projection.3.weight [16, 16]",
            ),
            (
                "head",
                Some("{\"kind\":\"classifier\",\"classes\":1000}"),
                ErrorKind::Format,
                "classifier.3.weight [1000, 1024], found none",
            ),
            ("width", Some("0"), ErrorKind::Format, "width is 0"),
            ("channels", Some("2"), ErrorKind::Format, "channels is \"2\", expected 3 or 1"),
            ("channels", Some("1"), ErrorKind::Mismatch, "features.0.0.weight (expected [16, 1, 3, 3]"),
            ("resize", Some("stretch"), ErrorKind::Format, "resize is \"stretch\", expected one of whole, letterbox"),
            ("range", Some("{\"kind\":\"fixed\",\"low\":5,\"high\":5,\"gamma\":1}"), ErrorKind::Format, "low < high"),
            ("range", Some("{\"kind\":\"half\",\"gamma\":1}"), ErrorKind::Format, "range is"),
            (
                "range",
                Some("{\"kind\":\"dataset\",\"low_percentile\":1,\"high_percentile\":99,\"gamma\":1}"),
                ErrorKind::Format,
                "is to be measured first",
            ),
            ("height", Some("4294967296"), ErrorKind::Format, "height is"),
            ("width", Some(&long), ErrorKind::Format, "width is"),
            ("mean", Some("[0.1,0.2]"), ErrorKind::Format, "mean is"),
            ("std", Some("[0.1,0.2,0]"), ErrorKind::Format, "std is"),
            ("std", Some("[1e999,1,1]"), ErrorKind::Format, "std is"),
            ("provenance", Some("{"), ErrorKind::Format, "provenance is"),
        ] {
            let mut metadata = sound.metadata.clone();
            metadata.remove(key);
            metadata.extend(text.map(|text| (key.to_owned(), text.to_owned())));
            write_safetensors(&path, &tensors, &metadata).unwrap();
            let error = load_student(&path).err().unwrap_or_else(|| panic!("{key} {text:?} was taken"));
            assert_eq!(error.kind(), kind, "{key} {text:?}: {error}");
            assert!(error.message().contains(expected) && error.message().contains("student.safetensors"), "{error}");
        }
    }

    #[test]
    fn numbers_that_are_none_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("student.safetensors");
        let network = network();
        save_student(&path, &network, &header(&network)).unwrap();
        let mut sound = weights::read(&path).unwrap();
        let bias = sound.tensors.get_mut("projection.2.bias").unwrap();
        bias.bytes[..4].copy_from_slice(&f32::NAN.to_le_bytes());
        write_safetensors(&path, &sound.tensors.into_iter().collect::<Vec<_>>(), &sound.metadata).unwrap();
        let _ = network.parameters().last().unwrap().1.detach().fill_(f64::INFINITY);
        let refused = save_student(&path, &network, &header(&network)).unwrap_err();
        assert!(refused.message().contains("nothing is written: projection.2.bias holds numbers"), "{refused}");
        let error = load_student(&path).err().unwrap();
        assert!(error.message().ends_with("projection.2.bias holds NaN or infinite numbers"), "{error}");
    }
}
