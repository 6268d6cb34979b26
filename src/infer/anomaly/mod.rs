//! Anomaly detection from good parts only, on a student's features: PatchCore (Roth et al., CVPR 2022), or a second network that
//! learns the maps of good parts ([`stfpm`]). Learning is `train::anomaly`'s.
//!
//! ```text
//! good parts → patches of the feature maps → coreset = memory M (M, D)
//! part → patches → distance to the nearest of M → score, heat map in the frame's pixels → alarm where score > threshold
//! ```
//!
//! A frame is resized as the student's (`Resize`): by "whole" and "letterbox" no pixel is outside, by "centre" what lies outside
//! the crop is not judged, and its heat is 0. The heat map is in the frame's own pixels always. The threshold keeps a false-alarm
//! rate on good parts that the memory has not seen. Pixels that the data set ignores show the mean colour, in learning and in judging, so
//! that nothing of them reaches a patch; patches of nothing else are left out, and their heat is 0. Further good parts can be added at any time; the memory grows
//! only by what it does not cover. A frame that is larger than the network's input may be seen in tiles ([`parts`]). All functions take `&self` and may be called from several threads at once.

mod file;
#[cfg(test)]
mod golden;
pub(crate) mod held_out;
pub(crate) mod images;
pub(crate) mod memory;
pub(crate) mod nearest;
pub(crate) mod parts;
pub(crate) mod patches;
pub(crate) mod score;
pub mod stfpm;
mod threshold;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use serde_json::Value;
use tch::{Device, Tensor};

pub use file::Settings;
pub use held_out::HeldOut;
pub use threshold::{Promise, Threshold, threshold};

use self::file::Learned;
use self::images::{Batch, CHUNK};
use self::memory::{Known, Memory};
use self::parts::{Part, Parts};
use self::score::Best;
use self::stfpm::Copyist;
use super::options::{Output, SessionOptions};
use super::session::Session;
use crate::data::{Frame, FrameView, Ignored, Input};
use crate::error::{Error, Result};
use crate::model::student_file::StudentHeader;
use crate::model::weights::HostTensor;
use crate::model::{Head, Load, Network, Stage};
use crate::sys::memory::{filled, room};
use crate::torch::numbers;
use crate::warnings::Warnings;

/// A detector ready for frames.
pub struct AnomalyDetector {
    pub(crate) session: Session,
    pub(crate) stages: Vec<Stage>,
    /// What is saved; the session has a copy of its own.
    network: Mutex<Network>,
    student: StudentHeader,
    /// What judges now. A call takes it once and keeps it to its end, so adding parts makes nobody wait.
    memory: RwLock<Arc<Memory>>,
    /// One addition at a time.
    pub(crate) adding: Mutex<()>,
}

/// What one frame gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Anomaly {
    /// The image score.
    pub score: f32,
    /// Whether it lies above the threshold.
    pub alarm: bool,
    /// Distances to the memory in the frame's pixels, (height, width), blurred; empty where it was not asked for.
    pub map: Vec<f32>,
}

impl AnomalyDetector {
    /// A detector of a session, the backbone that it was made of, and what is known of good parts.
    pub(crate) fn of(
        session: Session,
        stages: Vec<Stage>,
        network: Network,
        student: StudentHeader,
        memory: Memory,
    ) -> Self {
        if let Some(warning) = memory.warning() {
            session.warnings.add(warning);
        }
        let memory = RwLock::new(Arc::new(memory));
        Self { session, stages, network: Mutex::new(network), student, memory, adding: Mutex::new(()) }
    }

    /// The same detector, which says that its student comes from there.
    #[must_use]
    pub fn with_provenance(mut self, provenance: Value) -> Self {
        self.student.provenance = provenance;
        self
    }

    /// Reads a file of [`save`](AnomalyDetector::save); it is hostile until checked.
    ///
    /// # Errors
    /// Those of [`load_student`](crate::model::student_file::load_student); `Format` for a file without a sound memory.
    pub fn open(path: &Path, options: SessionOptions) -> Result<Self> {
        let file::Contents { network, student, settings, learned, held_out, ignored } = file::load(path)?;
        let input = settings.tile.seen(&Input { resize: settings.resize, ..student.input });
        let provenance = student.provenance;
        let (session, network, student) =
            prepare(&network, &input, options).map_err(|error| error.context(path.display()))?;
        let stages = stages(&session, &settings.layers).map_err(|error| Error::format(path, error))?;
        let dim: i64 = stages.iter().map(|stage| stage.channels).sum();
        let known = match learned {
            Learned::Memory(rows) if rows.size()[1] == dim => Known::Patches(rows),
            Learned::Memory(rows) => {
                let found = rows.size()[1];
                return Err(Error::format(path, format!("the memory is {found} wide, its layers give {dim}")));
            }
            Learned::Student(state) => {
                let copy = Copyist::from_state(&network, &state, &input, options);
                Known::Copy(Box::new(copy.map_err(|error| error.context(path.display()))?))
            }
        };
        let memory = Memory::new(known, settings, held_out, ignored.map(Arc::new))?;
        Ok(Self::of(session, stages, network, student, memory).with_provenance(provenance))
    }

    /// Writes everything to one safetensors file, atomically.
    ///
    /// # Errors
    /// `Io`; what stood at `path` is as it was then.
    pub fn save(&self, path: &Path) -> Result<()> {
        let memory = self.current();
        let mut learned = match &memory.known {
            Known::Patches(rows) => vec![("memory".to_owned(), HostTensor::from_tensor(rows)?)],
            Known::Copy(copy) => copy.to_state()?,
        };
        if let Some(ignored) = &memory.ignored {
            learned.push((file::IGNORED.to_owned(), file::tensor_of(ignored)?));
        }
        file::save(path, &self.lock(), &self.student, &memory.settings, learned, &memory.held_out)
    }

    /// Judges `frames` of any sizes, with heat maps in the frames' own pixels where `maps` asks for them.
    ///
    /// # Errors
    /// `InvalidArgument` for a frame that is not sound (names its place); `OutOfMemory` or `Torch` from libtorch.
    pub fn judge(&self, frames: &[FrameView<'_>], maps: bool) -> Result<Vec<Anomaly>> {
        let memory = self.current();
        let mut found: Vec<(Option<Best>, Vec<f32>)> = room(frames.len(), "the scores of frames")?;
        let mut batch = Batch::new(&self.session, CHUNK);
        let take = |images: &Tensor, parts: &[Part], found: &mut Vec<(Option<Best>, Vec<f32>)>| -> Result<()> {
            let names = |row: usize| format!("frame {}", parts[row].frame);
            let size = maps.then_some(self.size());
            let scores = memory.scores(&self.session, &self.stages, images, size, &names, parts)?;
            for (part, judged) in parts.iter().zip(scores) {
                let (best, map) = &mut found[part.frame];
                *best = Best::of_both(*best, judged.best);
                if let Some(heat) = judged.map {
                    let frame = &frames[part.frame];
                    put_in_frame(&heat, part, (frame.width, frame.height), map)?;
                }
            }
            Ok(())
        };
        for (number, frame) in frames.iter().enumerate() {
            self.session.note_frame(frame);
            let own = self.shown(frame, &memory).and_then(|own| {
                let parts =
                    Parts::new(number, &own, &self.session.input, &memory.settings.tile, memory.ignored.clone())?;
                Ok((Arc::new(own), parts))
            });
            let (own, parts) = own.map_err(|error| error.context(format!("frame {number}")))?;
            found.push((None, Vec::new()));
            batch.add(&own, parts, |images, parts| take(images, parts, &mut found))?;
        }
        batch.finish(|images, parts| take(images, parts, &mut found))?;
        let mut judged = room(frames.len(), "the scores of frames")?;
        for (best, mut map) in found {
            if let Some(ignored) = &memory.ignored {
                let marks = map.iter_mut().zip(ignored.marks());
                marks.filter(|(_, mark)| **mark == 1).for_each(|(heat, _)| *heat = 0.0);
            }
            let score = best.ok_or_else(|| Error::internal("a detector", "no part of a frame was judged"))?.score;
            judged.push(Anomaly { score, alarm: score > memory.threshold.score, map });
        }
        Ok(judged)
    }

    /// The frame as the network sees it: what is ignored has the mean colour.
    fn shown(&self, frame: &FrameView<'_>, memory: &Memory) -> Result<Frame> {
        let own = self.session.levels_of(frame)?;
        match &memory.ignored {
            Some(ignored) => ignored.paint(own, &self.session.input),
            None => Ok(own),
        }
    }

    /// The pixels that count in no score and have no heat: those that the data set ignored which was learned from.
    pub fn ignored(&self) -> Option<Arc<Ignored>> {
        self.current().ignored.clone()
    }

    /// The threshold and the false-alarm rate that it keeps.
    pub fn threshold(&self) -> Threshold {
        self.current().threshold
    }

    /// How patches are made and judged.
    pub fn settings(&self) -> Settings {
        self.current().settings.clone()
    }

    /// Patches in the memory, and numbers in each; zeros for the kind stfpm.
    pub fn memory_size(&self) -> (i64, i64) {
        match &self.current().known {
            Known::Patches(rows) => rows.size2().unwrap_or((0, 0)),
            Known::Copy(_) => (0, 0),
        }
    }

    /// Scores of the good parts that were held out.
    pub fn held_out(&self) -> HeldOut {
        self.current().held_out.clone()
    }

    /// How it computes, for a person.
    pub fn describe(&self) -> String {
        self.session.describe()
    }

    /// What a caller should know about the detector although nothing failed.
    pub fn warnings(&self) -> &Warnings {
        self.session.warnings()
    }

    /// A copy of the backbone, on the CPU.
    pub(crate) fn network(&self) -> Result<Network> {
        self.lock().deep_copy()
    }

    /// What the detector's file says about the backbone and its images.
    pub(crate) fn header(&self) -> &StudentHeader {
        &self.student
    }

    fn size(&self) -> (i64, i64) {
        (i64::from(self.student.input.height), i64::from(self.student.input.width))
    }

    /// From now on calls judge by `memory`.
    pub(crate) fn know(&self, memory: Memory) {
        *self.memory.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(memory);
    }

    pub(crate) fn current(&self) -> Arc<Memory> {
        // Nothing that may panic runs under the lock.
        Arc::clone(&self.memory.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn lock(&self) -> MutexGuard<'_, Network> {
        self.network.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts the heat map of a part, in the pixels of the view, into that of its frame, which is `width` × `height` pixels: empty before the first part.
fn put_in_frame(heat: &Tensor, part: &Part, (width, height): (u32, u32), map: &mut Vec<f32>) -> Result<()> {
    let Some((grid, number)) = &part.tile else {
        *map = numbers(&score::in_frame(heat, (i64::from(height), i64::from(width)), &part.input)?, "scores")?;
        return Ok(());
    };
    if map.is_empty() {
        *map = filled(0.0, width as usize * height as usize, "a heat map")?;
    }
    let tile = (i64::from(grid.rows.tile), i64::from(grid.columns.tile));
    let heat: Vec<f32> = numbers(&score::resized(heat, tile)?, "scores")?;
    grid.blend(*number, &heat, map, width)
}

/// A session of the backbone, and the backbone itself with its header, on the CPU.
pub(crate) fn prepare(
    network: &Network,
    input: &Input,
    options: SessionOptions,
) -> Result<(Session, Network, StudentHeader)> {
    let backbone = network.blank_like(Head::None, Device::Cpu)?;
    let state = crate::model::weights::StateDict {
        tensors: network.to_state()?.into_iter().collect(),
        metadata: Default::default(),
    };
    backbone.load(&state, Load::BackboneOnly)?;
    let session = Session::new(&backbone, input, SessionOptions { output: Output::Features, ..options })?;
    let student = StudentHeader::new(&backbone, session.input());
    Ok((session, backbone, student))
}

pub(crate) fn stages(session: &Session, names: &[String]) -> Result<Vec<Stage>> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut stages = session.stages_named(&names)?;
    if stages.is_empty() {
        return Err(Error::new(
            crate::ErrorKind::Unsupported,
            format!("{} has no feature maps to make patches of", session.description().name),
        ));
    }
    // The first map's size is that of all patches.
    stages.sort_by_key(|stage| stage.stride);
    Ok(stages)
}
