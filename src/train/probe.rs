//! A look at the student while it learns: does it see the teacher's neighbourhoods in some frames of the data set?
//!
//! ```text
//! agreement = share of the teacher's k nearest frames among the student's     (P frames, k = 10; by chance k / (P − 1))
//! recall    = balanced recall of weighted 10-NN, each frame judged by the others, where folders give labels
//! cosine    = mean cosine between the embeddings of two different frames: 1 when the student has collapsed
//! ```
//!
//! The loss falls in every run, also in one that learns nothing of use; these figures do not. Frames are seen as a session sees
//! them. No gradient comes of a look.

use std::sync::Arc;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::shared::{SharedNetwork, with_lock};
use crate::config::Config;
use crate::data::labels::FolderLabels;
use crate::data::random::{Purpose, generator, shuffle};
use crate::data::render::render_frame_scaled;
use crate::data::scale::Reading;
use crate::data::{Dataset, Input, Scratch};
use crate::distill::Targets;
use crate::distill::views::for_teacher;
use crate::eval::{Embeddings, Neighbours, agreement, knn, nearest};
use crate::model::{Mode, Network, unit_rows};
use crate::sys::memory::{filled, reserve, room};
use crate::torch::{self, Autocast};
use crate::{ErrorKind, Result};

/// Neighbours that are compared, and that vote.
const NEIGHBOURS: usize = 10;
/// τ of the votes (Wu et al., 2018).
const TEMPERATURE: f64 = 0.07;
/// Frames are held out of the training from this many times their number on.
const ENOUGH: usize = 10;
/// With fewer frames than this the figures say nothing.
const FEWEST: usize = 3 * NEIGHBOURS;
/// Frames that go through a network at once.
pub(crate) const PIECE: usize = 64;

/// What one look found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// Steps made by then.
    pub step: u64,
    /// Share of the teacher's neighbours that are the student's too, 0 to 1.
    pub agreement: f64,
    /// Balanced recall of 10-NN, 0 to 1; none without labels.
    pub recall: Option<f64>,
    /// Mean cosine between the embeddings of two frames, −1 to 1.
    pub cosine: f64,
}

/// All looks of a run that matter.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Looks {
    /// Frames that are looked at.
    pub images: u64,
    /// Whether the run never learns from them.
    pub held_out: bool,
    /// Agreement of a student that neighbours at random.
    pub chance: f64,
    /// Classes among the frames; 0 without labels.
    pub classes: u64,
    /// Before the first step.
    pub start: Look,
    /// The last one.
    pub last: Look,
    /// The one with the highest agreement.
    pub best: Look,
}

/// Which frames a run is probed on, chosen by its seed.
#[derive(Debug, Clone)]
pub(super) struct ProbeImages {
    /// In ascending order.
    pub images: Vec<usize>,
    /// The other images, where the probe's are held out of the training.
    pub learned: Option<Arc<[usize]>>,
}

impl ProbeImages {
    /// Those of `config` out of `len` images; none where too few are wanted or there.
    pub fn choose(config: &Config, len: usize) -> Option<Self> {
        let wanted = usize::try_from(config.probe.images).unwrap_or(usize::MAX).min(len);
        if wanted < FEWEST {
            return None;
        }
        let mut order: Vec<usize> = (0..len).collect();
        shuffle(&mut generator(config.seed, 0, 0, Purpose::Probe), &mut order);
        let (images, rest) = order.split_at_mut(wanted);
        images.sort_unstable();
        rest.sort_unstable();
        let learned = (len >= ENOUGH * wanted).then(|| Arc::from(&*rest));
        Some(Self { images: images.to_vec(), learned })
    }
}

/// Which of a data set's `len` images a run with `config` learns from.
pub(crate) fn learned_images(config: &Config, len: usize) -> Vec<usize> {
    match ProbeImages::choose(config, len).and_then(|chosen| chosen.learned) {
        Some(learned) => learned.to_vec(),
        None => (0..len).collect(),
    }
}

/// The frames of the probe, and what the teacher says of them.
pub(super) struct Probe {
    /// (P,C,H,W), normalised, on the host.
    frames: Tensor,
    teacher: Neighbours,
    labels: Option<Vec<i64>>,
    classes: u64,
    held_out: bool,
}

impl Probe {
    /// Reads the frames and asks the teacher. None where fewer than 30 frames can be read.
    ///
    /// # Errors
    /// Those of the teacher; `OutOfMemory`.
    pub fn new(
        chosen: &ProbeImages,
        dataset: &Dataset,
        targets: &Targets,
        config: &Config,
        device: Device,
        precision: Kind,
    ) -> Result<Option<Self>> {
        let (images, frames) = read(dataset, &chosen.images, &config.view.input)?;
        if images.len() < FEWEST {
            log::warn!("the run is not probed: {} of {} frames can be read", images.len(), chosen.images.len());
            return Ok(None);
        }
        let input = &config.view.input;
        let mut rows: Vec<f32> = Vec::new();
        let mut dim = 0;
        for (number, piece) in images.chunks(PIECE).enumerate() {
            let seen = torch::copy_to(&frames.f_narrow(0, (number * PIECE) as i64, piece.len() as i64)?, device)?;
            let seen = for_teacher(&seen, input)?;
            let found = host_rows(&targets.of_frames(&seen, piece, precision, &|row| dataset.title(piece[row]))?)?;
            dim = found.1;
            reserve(&mut rows, found.0.len(), "the teacher's embeddings of the probe")?;
            rows.extend(found.0);
        }
        let teacher = nearest(&Embeddings::new(&rows, dim)?, NEIGHBOURS)?;
        let labels = labels_of(dataset, &images)?;
        let classes = labels.as_ref().map_or(0, |(_, classes)| *classes);
        let labels = labels.map(|(labels, _)| labels);
        Ok(Some(Self { frames, teacher, labels, classes, held_out: chosen.learned.is_some() }))
    }

    /// P.
    pub fn images(&self) -> u64 {
        self.frames.size()[0].unsigned_abs()
    }

    /// Looks at the student as it is after `step` steps.
    ///
    /// # Errors
    /// `OutOfMemory` or `Torch` from libtorch.
    pub fn look(&self, student: &SharedNetwork, step: u64, precision: Kind) -> Result<Look> {
        let mut rows: Vec<f32> = Vec::new();
        let mut dim = 0;
        let images = self.frames.size()[0];
        for start in (0..images).step_by(PIECE) {
            let piece = self.frames.f_narrow(0, start, (PIECE as i64).min(images - start))?;
            // Locked piece by piece: sessions that are made meanwhile need not wait for the whole look.
            let found = with_lock(student, |student| host_rows(&embed(student, &piece, precision)?))?;
            dim = found.1;
            reserve(&mut rows, found.0.len(), "the student's embeddings of the probe")?;
            rows.extend(found.0);
        }
        let cosine = mean_cosine(&rows, dim);
        // Numbers that are none, rows of zeros, or one point for all frames: what is nearest then is rounding or the order of the frames.
        let unit = |row: &[f32]| row.iter().map(|x| x * x).sum::<f32>() > 0.5;
        if !cosine.is_finite() || cosine > COLLAPSED || !rows.chunks_exact(dim).all(unit) {
            return Ok(Look { step, agreement: 0.0, recall: self.labels.as_ref().map(|_| 0.0), cosine: 1.0 });
        }
        let embeddings = Embeddings::new(&rows, dim)?;
        let recall = match &self.labels {
            None => None,
            Some(labels) => {
                let predicted = knn::leave_one_out(&embeddings, labels, NEIGHBOURS, TEMPERATURE)?;
                Some(knn::score(&predicted, labels)?.balanced_recall)
            }
        };
        let agreement = agreement(&self.teacher, &nearest(&embeddings, NEIGHBOURS)?)?;
        Ok(Look { step, agreement, recall, cosine })
    }

    /// The first look, as all there is so far.
    pub fn begin(&self, look: Look) -> Looks {
        let images = self.images();
        let chance = NEIGHBOURS as f64 / (images - 1) as f64;
        let (held_out, classes) = (self.held_out, self.classes);
        Looks { images, held_out, chance, classes, start: look, last: look, best: look }
    }
}

impl Looks {
    /// Takes a further look; whether it is the best so far.
    pub fn add(&mut self, look: Look) -> bool {
        self.last = look;
        let better = look.agreement > self.best.agreement;
        if better {
            self.best = look;
        }
        better
    }

    /// What a caller should know about the run when it has ended with `end`.
    pub fn warnings(&self, end: &Look) -> Vec<String> {
        let mut found = Vec::new();
        let try_this = "try the preset \"site\" (or \"site_from_weights\" for a student with weights of its own), more epochs, \
                        or seed_config_plan";
        if end.agreement < self.start.agreement {
            found.push(format!(
                "the student agrees less with its teacher than before the run: it shares {:.3} of the teacher's nearest frames, \
                 {:.3} at the start; the learning rate is too high for it: {try_this}",
                end.agreement, self.start.agreement
            ));
        } else if end.agreement < 2.0 * self.chance {
            found.push(format!(
                "the student has learned next to nothing: it shares {:.3} of the teacher's nearest frames, by chance it would be \
                 {:.3}; {try_this}",
                end.agreement, self.chance
            ));
        }
        if end.cosine > COLLAPSED {
            found.push(format!(
                "the student has collapsed: the embeddings of two different frames have a mean cosine of {:.4}; lower learning_rate",
                end.cosine
            ));
        }
        if let (Some(first), Some(last)) = (self.start.recall, end.recall)
            && last < first
        {
            found.push(format!(
                "the student separates the folders' classes worse than before the run: balanced 10-NN recall {last:.3} instead of \
                 {first:.3}; {try_this}"
            ));
        }
        found
    }
}

/// Above this mean cosine the embeddings of a probe's frames are one point, and what is nearest is rounding of float32. An untrained network may
/// well have .999.
const COLLAPSED: f64 = 1.0 - 1e-6;

/// Those of `images` that can be read, and their frames (P,C,H,W), normalised, on the host, as a session makes them.
pub(crate) fn read(dataset: &Dataset, images: &[usize], input: &Input) -> Result<(Vec<usize>, Tensor)> {
    let length = input.view_len();
    let mut pixels = filled(0f32, images.len().saturating_mul(length), "frames")?;
    let sound: Vec<bool> = pixels
        .par_chunks_exact_mut(length)
        .zip(images)
        .map_init(Scratch::new, |scratch, (out, &image)| {
            match dataset.load_scaled(image, &input.range, |width, height| Reading::of_frame(input, width, height)) {
                Ok(frame) => match render_frame_scaled(&frame, input, out, scratch) {
                    Ok(()) => Ok(true),
                    Err(error) => Err(error.context(dataset.title(image))),
                },
                Err(error) if error.kind() == ErrorKind::OutOfMemory => Err(error),
                Err(_) => Ok(false),
            }
        })
        .collect::<Result<_>>()?;
    let mut kept = room(images.len(), "the numbers of images")?;
    for (place, _) in sound.iter().enumerate().filter(|(_, sound)| **sound) {
        pixels.copy_within(place * length..(place + 1) * length, kept.len() * length);
        kept.push(images[place]);
    }
    pixels.truncate(kept.len() * length);
    let size = [kept.len() as i64, i64::from(input.height), i64::from(input.width), i64::from(input.channels)];
    let frames = Tensor::f_from_slice(&pixels)?.f_view(size)?.f_permute([0, 3, 1, 2])?;
    Ok((kept, frames))
}

/// The folders' classes of `images`, and how many classes they are; none unless every image has one and two classes have two
/// images each.
fn labels_of(dataset: &Dataset, images: &[usize]) -> Result<Option<(Vec<i64>, u64)>> {
    let all = FolderLabels::of(dataset)?;
    let labels: Vec<i64> =
        images.iter().map(|&image| all.labels.get(image).map_or(-1, |&label| i64::from(label))).collect();
    let mut counts = std::collections::BTreeMap::new();
    labels.iter().for_each(|label| *counts.entry(*label).or_insert(0u64) += 1);
    let usable = !counts.contains_key(&-1) && counts.values().filter(|count| **count >= 2).count() >= 2;
    Ok(usable.then_some((labels, counts.len() as u64)))
}

/// Unit rows (B,C) of the student in eval mode, outside autograd.
fn embed(student: &Network, images: &Tensor, precision: Kind) -> Result<Tensor> {
    let _no_grad = tch::no_grad_guard();
    let images = torch::copy_to(images, student.device())?;
    let output = {
        let _autocast = Autocast::enter(student.device(), precision)?;
        student.forward(&images, Mode::Eval)?
    };
    unit_rows(&output.f_to_kind(Kind::Float)?)
}

/// Rows (B,C) as numbers on the host, and C.
pub(crate) fn host_rows(rows: &Tensor) -> Result<(Vec<f32>, usize)> {
    Ok((torch::numbers(rows, "embeddings")?, rows.size()[1] as usize))
}

/// The mean of cos(i, j) over i ≠ j of P unit rows: (‖Σ rows‖² − P) / (P·(P − 1)).
fn mean_cosine(rows: &[f32], dim: usize) -> f64 {
    let count = rows.len() / dim.max(1);
    let mut sum = vec![0f64; dim];
    let mut squares = 0.0;
    for row in rows.chunks_exact(dim) {
        for (total, &value) in sum.iter_mut().zip(row) {
            *total += f64::from(value);
            squares += f64::from(value) * f64::from(value);
        }
    }
    let whole: f64 = sum.iter().map(|value| value * value).sum();
    (whole - squares) / (count as f64 * (count as f64 - 1.0)).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_held_out_where_there_are_enough() {
        let config = Config::default();
        assert!(ProbeImages::choose(&config, 29).is_none());
        let few = ProbeImages::choose(&config, 1344).unwrap();
        assert!(few.images.len() == 256 && few.learned.is_none());
        let many = ProbeImages::choose(&config, 2560).unwrap();
        let learned = many.learned.unwrap();
        assert_eq!((many.images.len(), learned.len()), (256, 2304));
        assert!(many.images.iter().all(|image| learned.binary_search(image).is_err()));
        let mut none = Config::default();
        none.probe.images = 0;
        assert!(ProbeImages::choose(&none, 2560).is_none());
    }

    #[test]
    fn the_mean_cosine_is_that_of_all_pairs() {
        let rows = [1.0, 0.0, 0.6, 0.8, 0.0, -1.0];
        let pairs = (0.6 + 0.0 - 0.8) / 3.0;
        assert!((mean_cosine(&rows, 2) - pairs).abs() < 1e-7);
        assert!((mean_cosine(&[0.6, 0.8, 0.6, 0.8], 2) - 1.0).abs() < 1e-7);
    }

    #[test]
    fn the_best_look_is_kept_and_a_fall_is_told() {
        let look = |step, agreement| Look { step, agreement, recall: Some(agreement), cosine: 0.5 };
        let mut looks = Looks {
            images: 256,
            held_out: false,
            chance: 0.04,
            classes: 2,
            start: look(0, 0.3),
            last: look(0, 0.3),
            best: look(0, 0.3),
        };
        assert!(looks.add(look(5, 0.4)) && !looks.add(look(10, 0.2)));
        assert_eq!((looks.best.step, looks.last.step), (5, 10));
        assert!(looks.warnings(&looks.best.clone()).is_empty());
        assert_eq!(looks.warnings(&looks.last.clone()).len(), 2);
        assert!(looks.warnings(&Look { cosine: 1.0, ..look(10, 0.4) })[0].contains("collapsed"));
    }
}
