//! A detector in one file: a student's file without a head, the memory beside it.
//!
//! | | |
//! |---|---|
//! | tensor `anomaly.memory` | patches, (M, D), float32 (patchcore) |
//! | tensors `anomaly.student.NAME` | the network that learned the maps, as the backbone (stfpm) |
//! | tensor `anomaly.held_out` | scores of the held-out good parts, (n), float32; absent where there are none |
//! | tensor `anomaly.held_out_groups` | how many of them each group has, (K), int64; absent where each is a group by itself |
//! | tensor `anomaly.ignored` | pixels that do not count, (H, W) of the frame, uint8, 1 or 0; absent where all count |
//! | metadata `anomaly` | JSON: layers, neighbours, threshold, … ([`Settings`]) |

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::held_out::HeldOut;
use crate::config::{DetectorKind, MAX_CONFIDENCE};
use crate::data::{Ignored, Resize, Tile};
use crate::error::{Error, Result};
use crate::model::Network;
use crate::model::student_file::{DETECTOR as KEY, Holds, StudentHeader, load_with, save_with};
use crate::model::weights::{HostTensor, StateDict};
use crate::sys::memory::collected;
use crate::torch::numbers;

const PREFIX: &str = "anomaly.";
const HELD_OUT: &str = "held_out";
/// Pixels that do not count.
pub(super) const IGNORED: &str = "ignored";
const GROUPS: &str = "held_out_groups";
/// Begins the names of the tensors of the network that learned the maps.
pub(super) const STUDENT: &str = "student.";

/// What is said about a detector beside its network and memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What was learned; absent: patchcore, as earlier versions wrote.
    #[serde(default, skip_serializing_if = "is_patchcore")]
    pub kind: DetectorKind,
    /// The feature maps that patches are made of, the largest first.
    pub layers: Vec<String>,
    /// b of the image score.
    pub neighbours: u32,
    /// σ of the heat map's blur, in pixels of the view.
    pub blur_sigma: f64,
    /// α, the false-alarm rate that was asked for.
    pub false_alarm_rate: f64,
    /// c, how sure the rate is to be kept; absent: 0, on average, as earlier versions wrote.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub confidence: f64,
    /// How near a patch of a good part lies to the memory at most.
    pub radius: f64,
    /// Most patches in the memory.
    pub memory_max: u64,
    /// Good parts that were learned from.
    pub images: u64,
    /// The threshold as long as no good part is held out; absent: infinite, as earlier versions had it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<f32>,
    /// Pixels in a row of the view and rows of it.
    pub size: [u32; 2],
    /// How a frame becomes a view; absent: whole, as earlier versions made it, whatever the student's header says.
    #[serde(default = "whole", skip_serializing_if = "is_whole")]
    pub resize: Resize,
    /// How frames are cut into tiles; absent: not at all, as earlier versions had it.
    #[serde(default, skip_serializing_if = "Tile::is_none")]
    pub tile: Tile,
}

fn whole() -> Resize {
    Resize::Whole
}

fn is_whole(resize: &Resize) -> bool {
    *resize == Resize::Whole
}

fn is_patchcore(kind: &DetectorKind) -> bool {
    *kind == DetectorKind::PatchCore
}

fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

/// What a detector has learned, as a file holds it.
pub(super) enum Learned {
    /// Patches, (M, D).
    Memory(Tensor),
    /// The tensors of the network that learned the maps.
    Student(StateDict),
}

/// What a file holds.
pub(super) struct Contents {
    pub network: Network,
    pub student: StudentHeader,
    pub settings: Settings,
    pub learned: Learned,
    pub held_out: HeldOut,
    pub ignored: Option<Ignored>,
}

/// What is ignored, as a file holds it.
pub(super) fn tensor_of(ignored: &Ignored) -> Result<HostTensor> {
    let (width, height) = ignored.sides();
    HostTensor::from_tensor(&Tensor::f_from_slice(ignored.marks())?.f_view([height.into(), width.into()])?)
}

pub(super) fn save(
    path: &Path,
    network: &Network,
    student: &StudentHeader,
    settings: &Settings,
    learned: Vec<(String, HostTensor)>,
    held_out: &HeldOut,
) -> Result<()> {
    let text = serde_json::to_string(settings).map_err(|error| Error::internal("the detector's settings", error))?;
    let mut tensors: BTreeMap<String, HostTensor> =
        learned.into_iter().map(|(name, tensor)| (format!("{PREFIX}{name}"), tensor)).collect();
    let (scores, sizes) = (held_out.scores(), held_out.sizes());
    if !scores.is_empty() {
        tensors.insert(format!("{PREFIX}{HELD_OUT}"), HostTensor::from_tensor(&Tensor::f_from_slice(scores)?)?);
    }
    if sizes.len() < scores.len() {
        let sizes = collected(sizes.iter().map(|&size| size as i64), "groups of held-out parts")?;
        tensors.insert(format!("{PREFIX}{GROUPS}"), HostTensor::from_tensor(&Tensor::f_from_slice(&sizes)?)?);
    }
    let extra = StateDict { tensors, metadata: BTreeMap::from([(KEY.to_owned(), text)]) };
    save_with(path, network, student, extra)
}

/// Reads a file of [`save`]; it is hostile until checked.
pub(super) fn load(path: &Path) -> Result<Contents> {
    let (network, student, mut extra) = load_with(path, PREFIX)?;
    let wrong = |reason: String| Error::format(path, reason);
    let text = extra.metadata.get(KEY).ok_or_else(|| {
        wrong(format!("no anomaly detector of libseed: the file holds {}", Holds::of(&extra.metadata).text()))
    })?;
    let settings: Settings =
        serde_json::from_str(text).map_err(|error| wrong(format!("{KEY} is not sound: {error}")))?;
    for (key, value, low, high) in [
        ("neighbours", f64::from(settings.neighbours), 1.0, 1024.0),
        ("blur_sigma", settings.blur_sigma, 0.0, 100.0),
        ("false_alarm_rate", settings.false_alarm_rate, 0.0, 1.0),
        ("confidence", settings.confidence, 0.0, MAX_CONFIDENCE),
        ("radius", settings.radius, 0.0, f64::MAX),
        ("fallback", settings.fallback.map_or(0.0, f64::from), 0.0, f64::MAX),
    ] {
        // Written so that NaN fails.
        if !(value >= low && value <= high) {
            return Err(wrong(format!("{key} is {value}, expected {low} to {high}")));
        }
    }
    if settings.layers.is_empty() || settings.layers.len() > 64 {
        return Err(wrong(format!("there are {} layers, expected 1 to 64", settings.layers.len())));
    }
    settings.tile.check().map_err(|error| Error::format(path, error))?;
    let mut take = |name: &str, dims: usize, wanted: Kind| -> Result<Option<Tensor>> {
        let Some(found) = extra.tensors.remove(&format!("{PREFIX}{name}")) else { return Ok(None) };
        let tensor = found.to_tensor().map_err(|error| Error::format(path, error))?;
        let size = tensor.size();
        if tensor.kind() != wanted || size.len() != dims || size.contains(&0) {
            let kind = tensor.kind();
            return Err(Error::format(
                path,
                format!("{PREFIX}{name} is {kind:?} {size:?}, expected {dims} sides of {wanted:?}"),
            ));
        }
        if tensor.f_isfinite()?.f_all()?.f_int64_value(&[])? == 0 {
            return Err(Error::format(path, format!("{PREFIX}{name} holds NaN or infinite numbers")));
        }
        Ok(Some(tensor))
    };
    let memory = if settings.kind == DetectorKind::PatchCore { take("memory", 2, Kind::Float)? } else { None };
    let scores = match take(HELD_OUT, 1, Kind::Float)? {
        Some(scores) => numbers(&scores, "scores")?,
        None => Vec::new(),
    };
    let held_out = match take(GROUPS, 1, Kind::Int64)? {
        Some(tensor) => {
            let sizes: Vec<i64> = numbers(&tensor, "groups of held-out parts")?;
            // A negative one is larger than any number of scores.
            let sizes = collected(sizes.into_iter().map(|size| size as usize), "groups of held-out parts")?;
            let all = scores.len();
            HeldOut::grouped(scores, sizes).ok_or_else(|| {
                wrong(format!("{PREFIX}{GROUPS} are no groups of the {all} scores in {PREFIX}{HELD_OUT}"))
            })?
        }
        None => HeldOut::single(scores)?,
    };
    let ignored = match take(IGNORED, 2, Kind::Uint8)? {
        Some(marks) => {
            let (height, width) = marks.size2()?;
            // A side that is no u32 is none of a frame.
            let [width, height] = [width, height].map(|side| u32::try_from(side).unwrap_or(u32::MAX));
            let marks = numbers(&marks, "the pixels that are ignored")?;
            Some(Ignored::new(width, height, marks).map_err(|error| Error::format(path, error))?)
        }
        None => None,
    };
    let learned = match settings.kind {
        DetectorKind::Stfpm => Learned::Student(of_student(&mut extra.tensors)),
        DetectorKind::PatchCore => {
            Learned::Memory(memory.ok_or_else(|| wrong(format!("the tensor {PREFIX}memory is missing")))?)
        }
    };
    if let Learned::Student(StateDict { tensors, .. }) = &learned
        && tensors.is_empty()
    {
        return Err(wrong(format!("the tensors {PREFIX}{STUDENT}… are missing")));
    }
    if let Some(name) = extra.tensors.keys().next() {
        return Err(wrong(format!("the tensor {name} is unknown")));
    }
    Ok(Contents { network, student, settings, learned, held_out, ignored })
}

/// Takes the tensors of the network that learned the maps, under the network's own names.
fn of_student(tensors: &mut BTreeMap<String, HostTensor>) -> StateDict {
    let prefix = format!("{PREFIX}{STUDENT}");
    let (own, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
        std::mem::take(tensors).into_iter().partition(|(name, _)| name.starts_with(&prefix));
    *tensors = others;
    let bare = |(name, tensor): (String, HostTensor)| (name[prefix.len()..].to_owned(), tensor);
    StateDict { tensors: own.into_iter().map(bare).collect(), metadata: BTreeMap::new() }
}
