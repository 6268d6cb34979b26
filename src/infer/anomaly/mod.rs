//! Anomaly detection from good parts only, on a student's features: PatchCore (Roth et al., CVPR 2022), or a second network that
//! learns the maps of good parts ([`stfpm`]).
//!
//! ```text
//! good parts → patches of the feature maps → coreset = memory M (M, D)
//! part → patches → distance to the nearest of M → score, heat map in the frame's pixels → alarm where score > threshold
//! ```
//!
//! A frame is resized as the student's (`Resize`): by "whole" and "letterbox" no pixel is outside, by "centre" what lies outside
//! the crop is not judged, and its heat is 0. The heat map is in the frame's own pixels always. The threshold keeps a false-alarm
//! rate on good parts that the memory has not seen. Further good parts can be added at any time; the memory grows
//! only by what it does not cover. All functions take `&self` and may be called from several threads at once.

mod checkpoint;
mod coreset;
mod file;
#[cfg(test)]
mod golden;
mod held_out;
mod left_out;
mod memory;
mod nearest;
mod patches;
mod pool;
mod score;
pub mod stfpm;
mod threshold;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tch::{Device, Tensor};

pub use file::Settings;
pub use held_out::HeldOut;
pub use threshold::{Promise, Threshold, threshold};

use self::coreset::{Enough, k_centres};
use self::file::Learned;
use self::held_out::Split;
use self::memory::{Known, Memory};
use self::pool::{CHUNK, images_of_frames, pool};
use self::stfpm::Copyist;
use super::session::{Output, Session, SessionOptions};
use crate::checkpoint::pass;
use crate::config::Config;
use crate::data::{Dataset, Frame, FrameView, Resize, ViewConfig};
use crate::error::{Error, Result};
use crate::memory::filled;
use crate::model::student_file::StudentHeader;
use crate::model::weights::HostTensor;
use crate::model::{Head, Load, Network, Stage};
use crate::warnings::Warnings;

/// A detector ready for frames.
pub struct AnomalyDetector {
    session: Session,
    stages: Vec<Stage>,
    /// What is saved; the session has a copy of its own.
    network: Mutex<Network>,
    student: StudentHeader,
    /// What judges now. A call takes it once and keeps it to its end, so adding parts makes nobody wait.
    memory: RwLock<Arc<Memory>>,
    /// One addition at a time.
    adding: Mutex<()>,
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
    /// Learns good parts: the backbone of `network`, whose images are made by size, geometry, mean and deviation of `view`, and the
    /// images of `good`, by the settings "anomaly.…" and "seed" of `config`. `progress` is told how many images of how many are
    /// done, and stops it by returning false. Broken images are left out.
    ///
    /// # Errors
    /// [`Dataset::nothing_to_read_of`] where no image is sound; `InvalidArgument` where there is none or a layer is unknown; `Cancelled` where `progress` stops it; those of
    /// [`Session::new`].
    pub fn fit(
        network: &Network,
        view: &ViewConfig,
        config: &Config,
        options: SessionOptions,
        good: &Dataset,
        progress: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<Self> {
        config.validate()?;
        let settings = &config.anomaly;
        let stfpm = settings.kind == "stfpm";
        let (session, network, student) = prepare(network, view, options)?;
        let names = match settings.layers.is_empty() {
            true => session
                .stages()
                .iter()
                .filter(|stage| [8, 16].contains(&stage.stride) || (stfpm && stage.stride == 4))
                .map(|s| s.name.clone())
                .collect(),
            false => settings.layers.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>(),
        };
        let stages = stages(&session, &names)?;
        if view.resize == Resize::Centre {
            session.warnings().add(
                "the student sees the middle of a frame only (resize is \"centre\"), and so does its detector: a defect near a border \
                 is not found"
            );
        }

        let split = Split::new(good, settings, config.seed, 0)?;
        if settings.group != "image" && settings.held_out > 0.0 && split.groups < 2 {
            return Err(Error::invalid(format!(
                "the {} images are one {}, so none can be held out; expected 2 at least by anomaly.group, or anomaly.held_out 0",
                good.len(),
                settings.group
            )));
        }
        let (held, learned) = (&split.held, &split.learned);
        let passes = if stfpm { usize::try_from(settings.epochs).unwrap_or(usize::MAX) } else { 1 };
        let total = learned.len().saturating_mul(passes).saturating_add(held.len());
        let mut done = 0;
        let mut told = |count: usize| {
            done += count;
            progress(done, total)
        };
        let (known, images, radius, fallback) = match stfpm {
            true => {
                let learner = stfpm::Learner { session: &session, network: &network, view, stages: &stages, options };
                let (copy, images) = learner.fit(config, good, learned, &mut told)?;
                (Known::Copy(Box::new(copy)), images, 0.0, None)
            }
            false => {
                let (pool, images) = pool(&session, &stages, good, learned, settings, config.seed, &mut told)?;
                let share = (settings.memory_share * pool.size()[0] as f64).round().max(1.0) as usize;
                let [least, most] = [settings.memory_min, settings.memory_max]
                    .map(|bound| usize::try_from(bound).unwrap_or(usize::MAX));
                let count = share.max(least).min(most);
                let chosen = k_centres(&pool, None, &Enough { count, radius: 0.0 }, config.seed, &mut || !told(0))?;
                let rows = pool.f_index_select(0, &Tensor::f_from_slice(&chosen)?)?;
                let radius = nearest::nearest(&pool, &rows)?.0.f_max()?.f_double_value(&[])?;
                let fallback = match held.is_empty() {
                    true => {
                        let of_image = pool.size()[0] as usize / images.len().max(1);
                        let origin: Vec<usize> =
                            chosen.iter().map(|&row| images[row as usize / of_image.max(1)]).collect();
                        let (images, groups) = (images.as_slice(), split.of.as_slice());
                        let parts = left_out::Learned { session: &session, stages: &stages, good, images, groups };
                        let neighbours = i64::try_from(settings.neighbours).unwrap_or(i64::MAX);
                        Some(parts.highest(&rows, &origin, neighbours, &mut |_| told(0))?)
                    }
                    false => None,
                };
                (Known::Patches(rows), images.len() as u64, radius, fallback)
            }
        };
        let settings = Settings {
            kind: settings.kind.clone(),
            layers: names,
            neighbours: u32::try_from(settings.neighbours).unwrap_or(u32::MAX),
            blur_sigma: settings.blur_sigma,
            false_alarm_rate: settings.false_alarm_rate,
            confidence: settings.confidence,
            radius,
            memory_max: settings.memory_max,
            images,
            fallback,
            size: [view.width, view.height],
            resize: view.resize,
        };
        let memory = Memory::new(known, settings, HeldOut::default())?;
        let memory = memory.judged(&session, &stages, good, &split, &mut told)?;
        let memory = match &memory.known {
            // Here and not before, since only now there is something to score with.
            Known::Copy(_) if memory.held_out.scores().is_empty() => {
                let (images, groups) = (learned.as_slice(), split.of.as_slice());
                let parts = left_out::Learned { session: &session, stages: &stages, good, images, groups };
                let split =
                    Split { learned: Vec::new(), held: parts.some(), of: split.of.clone(), groups: split.groups };
                let inside = HeldOut::default();
                let scored = Memory::new(memory.known, memory.settings, inside)?;
                let scored = scored.judged(&session, &stages, good, &split, &mut |_| told(0))?;
                let highest = scored.held_out.scores().iter().copied().fold(0.0, f32::max);
                let settings = Settings { fallback: Some(left_out::MARGIN * highest), ..scored.settings };
                Memory::new(scored.known, settings, HeldOut::default())?
            }
            _ => memory,
        };
        // Kept till here, so that a run which ends while it judges does not learn again.
        pass::forget(Path::new(&config.anomaly.checkpoint_path));
        Ok(Self::of(session, stages, network, student, memory))
    }

    fn of(session: Session, stages: Vec<Stage>, network: Network, student: StudentHeader, memory: Memory) -> Self {
        if let Some(warning) = memory.warning() {
            session.warnings.add(warning);
        }
        let memory = RwLock::new(Arc::new(memory));
        Self { session, stages, network: Mutex::new(network), student, memory, adding: Mutex::new(()) }
    }

    /// Adds further good parts. The share "anomaly.held_out" of them joins the held-out scores; the others join the memory, as
    /// far as it does not cover them. Calls under way end with the memory they began with. What was held out before keeps its
    /// scores, which the larger memory could only lower: the threshold stays on the safe side.
    ///
    /// # Errors
    /// As [`fit`](AnomalyDetector::fit), and `Unsupported` for the kind stfpm; nothing has changed then.
    pub fn add(&self, good: &Dataset, config: &Config, progress: &mut dyn FnMut(usize, usize) -> bool) -> Result<()> {
        let _one = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.current();
        let Known::Patches(known) = &before.known else {
            return Err(Error::new(
                crate::ErrorKind::Unsupported,
                "a detector of the kind stfpm has learned its good parts by training: fit it again with all of them",
            ));
        };
        let split = Split::new(good, &config.anomaly, config.seed, before.settings.images)?;
        let (total, mut done) = (good.len(), 0);
        let mut told = |count: usize| {
            done += count;
            progress(done, total)
        };
        let (pool, images) =
            pool(&self.session, &self.stages, good, &split.learned, &config.anomaly, config.seed, &mut told)?;
        let room = usize::try_from(before.settings.memory_max).unwrap_or(usize::MAX);
        let count = room.saturating_sub(known.size()[0] as usize);
        let enough = Enough { count, radius: before.settings.radius };
        let chosen = k_centres(&pool, Some(known), &enough, config.seed, &mut || !told(0))?;
        let new = pool.f_index_select(0, &Tensor::f_from_slice(&chosen)?)?;
        let known = Known::Patches(Tensor::f_cat(&[known, &new], 0)?);
        let settings = Settings { images: before.settings.images + images.len() as u64, ..before.settings.clone() };
        let memory = Memory::new(known, settings, before.held_out.clone())?;
        let memory = memory.judged(&self.session, &self.stages, good, &split, &mut told)?;
        if let Some(warning) = before.warning() {
            self.warnings().forget(&warning);
        }
        if let Some(warning) = memory.warning() {
            self.warnings().add(warning);
        }
        *self.memory.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(memory);
        Ok(())
    }

    /// Reads a file of [`save`](AnomalyDetector::save); it is hostile until checked.
    ///
    /// # Errors
    /// Those of [`load_student`](crate::model::student_file::load_student); `Format` for a file without a sound memory.
    pub fn open(path: &Path, options: SessionOptions) -> Result<Self> {
        let file::Contents { network, student, settings, learned, held_out } = file::load(path)?;
        let view = ViewConfig { resize: settings.resize, ..student.view() };
        let (session, network, student) =
            prepare(&network, &view, options).map_err(|error| error.context(path.display()))?;
        let stages = stages(&session, &settings.layers).map_err(|error| Error::format(path, error))?;
        let dim: i64 = stages.iter().map(|stage| stage.channels).sum();
        let known = match learned {
            Learned::Memory(rows) if rows.size()[1] == dim => Known::Patches(rows),
            Learned::Memory(rows) => {
                let found = rows.size()[1];
                return Err(Error::format(path, format!("the memory is {found} wide, its layers give {dim}")));
            }
            Learned::Student(state) => {
                let copy = Copyist::from_state(&network, &state, &view, options);
                Known::Copy(Box::new(copy.map_err(|error| error.context(path.display()))?))
            }
        };
        Ok(Self::of(session, stages, network, student, Memory::new(known, settings, held_out)?))
    }

    /// Writes everything to one safetensors file, atomically.
    ///
    /// # Errors
    /// `Io`; what stood at `path` is as it was then.
    pub fn save(&self, path: &Path) -> Result<()> {
        let memory = self.current();
        let learned = match &memory.known {
            Known::Patches(rows) => vec![("memory".to_owned(), HostTensor::from_tensor(rows)?)],
            Known::Copy(copy) => copy.to_state()?,
        };
        file::save(path, &self.lock(), &self.student, &memory.settings, learned, &memory.held_out)
    }

    /// Judges `frames` of any sizes, with heat maps in the frames' own pixels where `maps` asks for them.
    ///
    /// # Errors
    /// `InvalidArgument` for a frame that is not sound (names its place); `OutOfMemory` or `Torch` from libtorch.
    pub fn judge(&self, frames: &[FrameView<'_>], maps: bool) -> Result<Vec<Anomaly>> {
        let memory = self.current();
        let mut judged = Vec::with_capacity(frames.len());
        for (number, chunk) in frames.chunks(CHUNK).enumerate() {
            let place = |i: usize| format!("frame {}", number * CHUNK + i);
            chunk.iter().for_each(|frame| self.session.note_frame(frame));
            let own: Vec<Frame> = chunk
                .iter()
                .enumerate()
                .map(|(i, frame)| frame.to_frame().map_err(|error| error.context(place(i))))
                .collect::<Result<_>>()?;
            let own: Vec<&Frame> = own.iter().collect();
            let sizes: Vec<(i64, i64)> = own.iter().map(|f| (i64::from(f.height()), i64::from(f.width()))).collect();
            let images = images_of_frames(&self.session, &own)?;
            let size = maps.then_some(self.size());
            let scores = memory.scores(&self.session, &self.stages, &images, size, &place)?;
            for ((score, map), size) in scores.into_iter().zip(sizes) {
                let map = match map {
                    Some(map) => floats(&score::in_frame(&map, size, self.session.view.resize)?)?,
                    None => Vec::new(),
                };
                judged.push(Anomaly { score, alarm: score > memory.threshold.score, map });
            }
        }
        Ok(judged)
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

    fn size(&self) -> (i64, i64) {
        (i64::from(self.student.height), i64::from(self.student.width))
    }

    fn current(&self) -> Arc<Memory> {
        // Nothing that may panic runs under the lock.
        Arc::clone(&self.memory.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn lock(&self) -> MutexGuard<'_, Network> {
        self.network.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session of the backbone, and the backbone itself with its header, on the CPU.
fn prepare(network: &Network, view: &ViewConfig, options: SessionOptions) -> Result<(Session, Network, StudentHeader)> {
    let backbone = Network::blank(network.architecture(), Head::None, Device::Cpu)?;
    let state = crate::model::weights::StateDict {
        tensors: network.to_state()?.into_iter().collect(),
        metadata: Default::default(),
    };
    backbone.load(&state, Load::BackboneOnly)?;
    let session = Session::new(&backbone, view, SessionOptions { output: Output::Features, ..options })?;
    let student = StudentHeader::new(&backbone, view);
    Ok((session, backbone, student))
}

fn stages(session: &Session, names: &[String]) -> Result<Vec<Stage>> {
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

fn floats(tensor: &Tensor) -> Result<Vec<f32>> {
    let flat = tensor.f_to_device(Device::Cpu)?.f_contiguous()?;
    let mut values = filled(0f32, flat.numel(), "scores")?;
    let count = values.len();
    flat.f_copy_data(&mut values, count)?;
    Ok(values)
}
