//! Segmentation: frames in, a class for each pixel out, by one linear layer on a student's feature maps.
//!
//! ```text
//! frame → maps of some stages, brought to the largest one's size → cells (h·w, D) → logits W·x + b (h·w, K)
//!       → enlarged to the view, brought to the frame's own pixels → class argmax, its probability softmax
//! ```
//!
//! Learning is `train::segment`'s. What a view does not show ("resize" "centre") has the class 0 there, with the probability 1/K. All
//! functions take `&self` and may be called from several threads at once.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tch::{Kind, Tensor};

use super::anomaly::images::{CHUNK, images_of_frames, images_of_parts};
use super::anomaly::parts::{Part, Parts};
use super::anomaly::patches::patches;
use super::anomaly::score::{in_frame, resized};
use super::anomaly::{prepare, stages};
use super::options::SessionOptions;
use super::session::Session;
use crate::data::tile_rows::{Band, TileRows};
use crate::data::{Frame, FrameView, Input, Tile};
use crate::error::{Error, ErrorKind, Result};
use crate::eval::overlap::MOST_CLASSES;
use crate::infer::classifier::check_names;
use crate::model::student_file::{Holds, SEGMENTER as KEY, StudentHeader, load_with, save_with};
use crate::model::weights::{HostTensor, StateDict};
use crate::model::{Network, Stage};
use crate::sys::memory::filled;
use crate::torch::numbers;
use crate::warnings::Warnings;

/// Begins the names of the head's tensors.
const PREFIX: &str = "segment.";

/// What is said about a segmenter beside its network and layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmenterHeader {
    /// The classes' names by their numbers; class 0 is what no mask marks.
    pub names: Vec<String>,
    /// The feature maps, the largest first.
    pub layers: Vec<String>,
    /// How frames are cut into tiles; absent: not at all, as earlier versions had it.
    #[serde(default, skip_serializing_if = "Tile::is_none")]
    pub tile: Tile,
    /// How it was made, for people.
    #[serde(default)]
    pub training: Value,
}

impl SegmenterHeader {
    fn check(&self) -> Result<()> {
        check_names(&self.names)?;
        if self.names.len() > MOST_CLASSES {
            return Err(Error::invalid(format!("{} classes, expected at most {MOST_CLASSES}", self.names.len())));
        }
        self.tile.check()?;
        if self.layers.is_empty() || self.layers.len() > 64 {
            return Err(Error::invalid(format!("there are {} layers, expected 1 to 64", self.layers.len())));
        }
        Ok(())
    }
}

/// The classes of a frame's pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct Segmented {
    /// A class for each pixel, row after row.
    pub classes: Vec<u8>,
    /// The probability of that class.
    pub confidence: Vec<f32>,
}

/// A segmenter ready for frames.
pub struct Segmenter {
    session: Session,
    stages: Vec<Stage>,
    /// What is saved; the session has a copy of its own.
    network: Mutex<Network>,
    student: StudentHeader,
    header: SegmenterHeader,
    /// W (K, D) and b (K), float32, on the session's device.
    weight: Tensor,
    bias: Tensor,
}

// SAFETY: the layer's tensors are only read after the segmenter was made.
unsafe impl Sync for Segmenter {}

impl Segmenter {
    /// Builds a segmenter from a session, its backbone and a layer W (K, D), b (K) on the maps that the header names.
    ///
    /// # Errors
    /// `InvalidArgument` for a header that is not sound or a layer that does not fit it.
    pub(crate) fn of(
        (session, network, student): (Session, Network, StudentHeader),
        header: SegmenterHeader,
        (weight, bias): (&Tensor, &Tensor),
    ) -> Result<Self> {
        header.check()?;
        let stages = stages(&session, &header.layers)?;
        let (classes, dim) = (header.names.len() as i64, stages.iter().map(|stage| stage.channels).sum::<i64>());
        if weight.size() != [classes, dim] || bias.size() != [classes] {
            let (found, bias) = (weight.size(), bias.size());
            return Err(Error::invalid(format!(
                "the layer is {found:?} with a bias of {bias:?}, expected [{classes}, {dim}] for {classes} classes on these maps"
            )));
        }
        let own = |tensor: &Tensor| -> Result<Tensor> {
            Ok(tensor.f_detach()?.f_to_device_(session.device(), Kind::Float, false, true)?.f_contiguous()?)
        };
        let (weight, bias) = (own(weight)?, own(bias)?);
        for warning in notes(&header, &session) {
            session.warnings.add(warning);
        }
        Ok(Self { session, stages, network: Mutex::new(network), student, header, weight, bias })
    }

    /// The same segmenter, which says that its student comes from there.
    #[must_use]
    pub fn with_provenance(mut self, provenance: Value) -> Self {
        self.student.provenance = provenance;
        self
    }

    /// Reads a file of [`save`](Segmenter::save); it is hostile until checked.
    ///
    /// # Errors
    /// Those of [`load_student`](crate::model::student_file::load_student); `Format` for a file without a sound layer.
    pub fn open(path: &Path, options: SessionOptions) -> Result<Self> {
        let (network, student, mut extra) = load_with(path, PREFIX)?;
        let wrong = |reason: String| Error::format(path, reason);
        let text = extra.metadata.get(KEY).ok_or_else(|| {
            wrong(format!("no segmenter of libseed: the file holds {}", Holds::of(&extra.metadata).text()))
        })?;
        let header: SegmenterHeader =
            serde_json::from_str(text).map_err(|error| wrong(format!("{KEY} is not sound: {error}")))?;
        header.check().map_err(|error| Error::format(path, error))?;
        let mut take = |name: &str, dims: usize| -> Result<Tensor> {
            let name = format!("{PREFIX}{name}");
            let found = extra.tensors.remove(&name).ok_or_else(|| wrong(format!("the tensor {name} is missing")))?;
            let tensor = found.to_tensor().map_err(|error| error.context(path.display()))?;
            let (kind, size) = (tensor.kind(), tensor.size());
            if kind != Kind::Float || size.len() != dims || size.contains(&0) {
                return Err(wrong(format!("{name} is {kind:?} {size:?}, expected {dims} sides of Float")));
            }
            if tensor.f_isfinite()?.f_all()?.f_int64_value(&[])? == 0 {
                return Err(wrong(format!("{name} holds NaN or infinite numbers")));
            }
            Ok(tensor)
        };
        let (weight, bias) = (take("weight", 2)?, take("bias", 1)?);
        if let Some(name) = extra.tensors.keys().next() {
            return Err(wrong(format!("the tensor {name} is unknown")));
        }
        let provenance = student.provenance.clone();
        let input = header.tile.seen(&student.input);
        let parts = prepare(&network, &input, options).map_err(|error| error.context(path.display()))?;
        let found = Self::of(parts, header, (&weight, &bias)).map_err(|error| match error.kind() {
            ErrorKind::InvalidArgument | ErrorKind::Unsupported => Error::format(path, error),
            _ => error.context(path.display()),
        })?;
        Ok(found.with_provenance(provenance))
    }

    /// Writes everything to one safetensors file, atomically.
    ///
    /// # Errors
    /// `Mismatch` where a tensor holds NaN, `Io`; what stood at `path` is as it was then.
    pub fn save(&self, path: &Path) -> Result<()> {
        let text =
            serde_json::to_string(&self.header).map_err(|error| Error::internal("the segmenter's header", error))?;
        let layer = [("weight", &self.weight), ("bias", &self.bias)];
        let tensors = layer.into_iter().map(|(name, tensor)| {
            Ok((format!("{PREFIX}{name}"), HostTensor::from_tensor(&tensor.f_to_device(tch::Device::Cpu)?)?))
        });
        let tensors = tensors.collect::<Result<BTreeMap<_, _>>>()?;
        save_with(
            path,
            &self.lock(),
            &self.student,
            StateDict { tensors, metadata: BTreeMap::from([(KEY.to_owned(), text)]) },
        )
    }

    /// The class of each pixel of `frame`, in its own pixels.
    ///
    /// # Errors
    /// `InvalidArgument` for a frame that is not sound; `Mismatch` where the network gives NaN or infinity; `OutOfMemory` or `Torch` from
    /// libtorch.
    pub fn segment(&self, frame: &FrameView<'_>) -> Result<Segmented> {
        self.session.note_frame(frame);
        self.segment_frame(&self.session.levels_of(frame)?)
    }

    /// As [`segment`](Segmenter::segment), of a frame whose samples are levels already.
    pub(crate) fn segment_frame(&self, own: &Frame) -> Result<Segmented> {
        if !self.header.tile.is_none() {
            return self.segment_tiles(own);
        }
        let size = (i64::from(own.height()), i64::from(own.width()));
        let logits = self.logits(&images_of_frames(&self.session, &[own])?, &|_| "the frame".to_owned())?; // (1, K, h, w)
        let _no_grad = tch::no_grad_guard();
        let view = (i64::from(self.student.input.height), i64::from(self.student.input.width));
        // One class after the other: memory is that of a few maps of the frame's size, however many classes there are.
        let mut found: Option<Leading> = None;
        for class in 0..self.header.names.len() as i64 {
            let map = logits.f_narrow(0, 0, 1)?.f_narrow(1, class, 1)?.f_view([logits.size()[2], logits.size()[3]])?;
            let map = in_frame(&resized(&map, view)?, size, &self.session.input)?;
            found = Some(match found {
                None => Leading::first(map)?,
                Some(leading) => leading.joined(&map, class)?,
            });
        }
        let leading = found.ok_or_else(|| Error::internal("a segmenter", "it has no class"))?;
        leading.segmented()
    }

    /// As [`segment_frame`](Segmenter::segment_frame), by tiles: logits are blended, so that masks have no seam. Memory is that of the logits of
    /// one row of tiles and of the result.
    fn segment_tiles(&self, own: &Frame) -> Result<Segmented> {
        let _no_grad = tch::no_grad_guard();
        let classes = self.header.names.len();
        let parts = Parts::new(0, own, self.session.input(), &self.header.tile, None)?;
        let grid = parts.grid().ok_or_else(|| Error::internal("a segmenter", "its frame has no tiles"))?;
        let mut rows = TileRows::new(grid, own.width(), classes)?;
        let all = own.width() as usize * own.height() as usize;
        // What is not seen has the class 0, with the probability 1/K.
        let mut found = Segmented {
            classes: filled(0u8, all, "the classes of pixels")?,
            confidence: filled(1.0 / classes as f32, all, "the probabilities of pixels")?,
        };
        let view = (i64::from(self.student.input.height), i64::from(self.student.input.width));
        let tile = (i64::from(grid.rows.tile), i64::from(grid.columns.tile));
        let mut parts = parts.peekable();
        let mut batch: Vec<Part> = Vec::with_capacity(CHUNK);
        while let Some(part) = parts.next() {
            batch.push(part);
            if batch.len() < CHUNK && parts.peek().is_some() {
                continue;
            }
            let rows_of: Vec<(&Frame, &Input)> = batch.iter().map(|part| (own, &part.input)).collect();
            let logits =
                self.logits(&images_of_parts(&self.session, &rows_of)?, &|_| "a tile of the frame".to_owned())?;
            for (row, part) in batch.drain(..).enumerate() {
                let place = part.number().0;
                for class in 0..classes {
                    let map = logits.f_select(0, row as i64)?.f_select(0, class as i64)?;
                    let map: Vec<f32> = numbers(&resized(&resized(&map, view)?, tile)?, "the logits of a tile")?;
                    rows.add(place, class, &map)?;
                }
                // After the last tile of a row, what the next row does not reach is whole.
                if (place + 1).is_multiple_of(grid.columns.count()) {
                    rows.finish(place, |band| write_band(band, &mut found))?;
                }
            }
        }
        Ok(found)
    }

    /// Logits (B, K, h, w) of images (B, C, H, W), on the CPU; errors call image i by the name that `names` gives.
    fn logits(&self, images: &Tensor, names: crate::finite::Names) -> Result<Tensor> {
        let _no_grad = tch::no_grad_guard();
        let found = patches(&self.session.sound_maps(images, &self.stages, names)?)?;
        let logits = found.rows.f_linear(&self.weight, Some(&self.bias))?; // (B·h·w, K)
        let logits = logits.f_view([found.images, found.height, found.width, self.bias.size()[0]])?;
        crate::torch::copy_to(&logits.f_permute([0, 3, 1, 2])?.f_contiguous()?, tch::Device::Cpu)
    }

    /// Names, maps, and how it was made.
    pub fn header(&self) -> &SegmenterHeader {
        &self.header
    }

    /// How images are made.
    pub fn input(&self) -> &Input {
        self.session.input()
    }

    /// What the file says about the backbone and its images.
    pub fn student(&self) -> &StudentHeader {
        &self.student
    }

    /// How it computes, for a person.
    pub fn describe(&self) -> String {
        self.session.describe()
    }

    /// What a caller should know about the segmenter although nothing failed.
    pub fn warnings(&self) -> &Warnings {
        self.session.warnings()
    }

    fn lock(&self) -> MutexGuard<'_, Network> {
        // The network is only read after it was put here.
        self.network.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts the classes of rows of pixels, by their logits, into those of the frame.
fn write_band(band: &Band<'_>, found: &mut Segmented) -> Result<()> {
    let sides = [band.height as i64, band.width as i64];
    let mut leading: Option<Leading> = None;
    for (class, logits) in band.maps.iter().enumerate() {
        let map = Tensor::f_from_slice(logits)?.f_view(sides)?;
        leading = Some(match leading {
            None => Leading::first(map)?,
            Some(leading) => leading.joined(&map, class as i64)?,
        });
    }
    let own = leading.ok_or_else(|| Error::internal("a segmenter", "it has no class"))?.segmented()?;
    for y in 0..band.height {
        let (to, from) = (band.place(y), y * band.width..(y + 1) * band.width);
        found.classes[to.clone()].copy_from_slice(&own.classes[from.clone()]);
        found.confidence[to].copy_from_slice(&own.confidence[from]);
    }
    Ok(())
}

/// Of each pixel, over the classes so far: the highest logit, whose it is, and Σ exp(z − highest).
struct Leading {
    highest: Tensor,
    class: Tensor,
    sum: Tensor,
}

impl Leading {
    fn first(map: Tensor) -> Result<Self> {
        let class = map.f_zeros_like()?.f_to_kind(Kind::Uint8)?;
        Ok(Self { class, sum: map.f_ones_like()?, highest: map })
    }

    /// With the logits `map` of `class`; of equal ones the lower class leads.
    fn joined(self, map: &Tensor, class: i64) -> Result<Self> {
        let above = map.f_gt_tensor(&self.highest)?;
        let highest = map.f_maximum(&self.highest)?;
        let before = self.sum.f_mul(&self.highest.f_sub(&highest)?.f_exp()?)?;
        let sum = before.f_add(&map.f_sub(&highest)?.f_exp()?)?;
        Ok(Self { highest, class: self.class.f_masked_fill(&above, class)?, sum })
    }

    fn segmented(&self) -> Result<Segmented> {
        Ok(Segmented {
            classes: numbers(&self.class, "the classes of pixels")?,
            confidence: numbers(&self.sum.f_reciprocal()?, "the probabilities of pixels")?,
        })
    }
}

/// What who uses the segmenter should know.
fn notes(header: &SegmenterHeader, session: &Session) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(missing) =
        header.training.get("without").and_then(Value::as_array).filter(|missing| !missing.is_empty())
    {
        notes.push(format!(
            "no pixel of these classes was learned from, so none is given: {}",
            Value::from(missing.clone())
        ));
    }
    if session.input.resize == crate::data::Resize::Centre {
        notes.push(
            "the student sees the middle of a frame only (resize is \"centre\"): what lies outside of it has the class 0".to_owned(),
        );
    }
    notes
}

impl std::fmt::Debug for Segmenter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Segmenter({:?}, {:?})", self.header.names, self.session)
    }
}
