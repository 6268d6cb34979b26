//! Learning good parts: what makes and enlarges an [`AnomalyDetector`].

mod checkpoint;
mod coreset;
mod left_out;
mod pool;
mod stfpm;

use std::path::Path;
use std::sync::PoisonError;

use tch::Tensor;

use self::coreset::{Enough, k_centres};
use self::pool::pool;
use super::cancel::CancelToken;
use super::pace::counted;
use crate::checkpoint::pass;
use crate::config::{Config, DetectorKind, Group};
use crate::data::{Dataset, Input, Resize, Tile};
use crate::error::{Error, Result};
use crate::infer::anomaly::held_out::Split;
use crate::infer::anomaly::memory::{Known, Memory};
use crate::infer::anomaly::{AnomalyDetector, HeldOut, Settings, nearest, prepare, stages};
use crate::infer::{Session, SessionOptions};
use crate::model::Network;
use crate::model::student_file::StudentHeader;

impl AnomalyDetector {
    /// Learns good parts: the backbone of `network`, whose images are made by size, geometry, range, mean and deviation of `input`, and the
    /// images of `good`, by the settings "anomaly.…" and "seed" of `config`. `progress` is told how many images of how many are
    /// done, and stops it by returning false. Broken images are left out.
    ///
    /// # Errors
    /// [`Dataset::nothing_to_read_of`] where no image is sound; `InvalidArgument` where there is none or a layer is unknown; `Cancelled` where `progress` stops it; those of
    /// [`Session::new`].
    pub fn fit(
        network: &Network,
        input: &Input,
        config: &Config,
        options: SessionOptions,
        good: &Dataset,
        progress: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<Self> {
        Self::fit_with(network, input, config, options, good, &CancelToken::new(), progress)
    }

    /// As [`fit`](AnomalyDetector::fit), with a token that ends it as `progress` does, and pauses it.
    ///
    /// # Errors
    /// Those of `fit`.
    pub fn fit_with(
        network: &Network,
        input: &Input,
        config: &Config,
        options: SessionOptions,
        good: &Dataset,
        cancel: &CancelToken,
        progress: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<Self> {
        config.validate()?;
        // Range and region of what is learned are the detector's from now on.
        let roi = options.roi.unwrap_or(input.roi);
        let input = good.seen_by(&Input { range: options.range.unwrap_or(input.range), roi, ..*input })?;
        let input = &config.tile.seen(&input);
        let options = SessionOptions { range: None, roi: None, ..options };
        let prepared = prepare(network, input, options)?;
        let work = |progress: &mut dyn FnMut(usize, usize) -> bool| {
            learn(prepared, input, config, options, good, cancel, progress)
        };
        counted(config, options.device, cancel, work, progress)
    }

    /// Adds further good parts. The share "anomaly.held_out" of them joins the held-out scores; the others join the memory, as
    /// far as it does not cover them. Calls under way end with the memory they began with. What was held out before keeps its
    /// scores, which the larger memory could only lower: the threshold stays on the safe side.
    ///
    /// # Errors
    /// As [`fit`](AnomalyDetector::fit), and `Unsupported` for the kind stfpm; nothing has changed then.
    pub fn add(
        &self,
        good: &Dataset,
        config: &Config,
        cancel: &CancelToken,
        progress: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<()> {
        let work = |progress: &mut dyn FnMut(usize, usize) -> bool| self.enlarge(good, config, progress);
        counted(config, self.session.device(), cancel, work, progress)
    }

    fn enlarge(&self, good: &Dataset, config: &Config, progress: &mut dyn FnMut(usize, usize) -> bool) -> Result<()> {
        let _one = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(range) = good.range().filter(|range| *range != self.session.input().range) {
            return Err(Error::mismatch(format!(
                "the data set's range is \"{}\", the detector's \"{}\": its memory is of the latter",
                range.pairs(),
                self.session.input().range.pairs()
            )));
        }
        let before = self.current();
        let Known::Patches(known) = &before.known else {
            return Err(Error::new(
                crate::ErrorKind::Unsupported,
                "a detector of the kind stfpm has learned its good parts by training: fit it again with all of them",
            ));
        };
        // What the detector ignores is ignored in further parts, too.
        let masked;
        let good = match &before.ignored {
            Some(ignored) => {
                if let Some(all) = good.ignored()
                    && all.joined(ignored)? != **ignored
                {
                    return Err(Error::mismatch(
                        "the data set ignores pixels of every image that the detector judges: fit it again, or take them out of the data set's mask",
                    ));
                }
                masked = good.with_ignored(ignored)?;
                &masked
            }
            None if good.ignored().is_some() => {
                return Err(Error::mismatch(
                    "the data set ignores pixels of every image, the detector was learned without that: fit it again",
                ));
            }
            None => good,
        };
        let split = Split::new(good, &config.anomaly, config.seed, before.settings.images)?;
        let (total, mut done) = (good.len(), 0);
        let mut told = |count: usize| {
            done += count;
            progress(done, total)
        };
        let tile = &before.settings.tile;
        let (pool, images, _) =
            pool((&self.session, &self.stages, tile), good, &split.learned, &config.anomaly, config.seed, &mut told)?;
        let room = usize::try_from(before.settings.memory_max).unwrap_or(usize::MAX);
        let count = room.saturating_sub(known.size()[0] as usize);
        let enough = Enough { count, radius: before.settings.radius };
        let chosen = k_centres(&pool, Some(known), &enough, config.seed, &mut || !told(0))?;
        let new = pool.f_index_select(0, &Tensor::f_from_slice(&chosen)?)?;
        let known = Known::Patches(Tensor::f_cat(&[known, &new], 0)?);
        let settings = Settings { images: before.settings.images + images.len() as u64, ..before.settings.clone() };
        let memory = Memory::new(known, settings, before.held_out.clone(), before.ignored.clone())?;
        let memory = memory.judged(&self.session, &self.stages, good, &split, &mut told)?;
        if let Some(warning) = before.warning() {
            self.warnings().forget(&warning);
        }
        if let Some(warning) = memory.warning() {
            self.warnings().add(warning);
        }
        self.know(memory);
        Ok(())
    }
}

/// The work of [`AnomalyDetector::fit_with`].
fn learn(
    (session, network, student): (Session, Network, StudentHeader),
    input: &Input,
    config: &Config,
    options: SessionOptions,
    good: &Dataset,
    cancel: &CancelToken,
    progress: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<AnomalyDetector> {
    let (settings, tile) = (&config.anomaly, &config.tile);
    let stfpm = settings.kind == DetectorKind::Stfpm;
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
    if input.resize == Resize::Centre {
        session.warnings().add(
                "the student sees the middle of a frame only (resize is \"centre\"), and so does its detector: a defect near a border \
                 is not found"
            );
    }

    let split = Split::new(good, settings, config.seed, 0)?;
    if settings.group != Group::Image && settings.held_out > 0.0 && split.groups < 2 {
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
            let learner =
                stfpm::Learner { session: &session, network: &network, input, stages: &stages, tile, options };
            let (copy, images) = learner.fit(config, good, learned, cancel, &mut told)?;
            (Known::Copy(Box::new(copy)), images, 0.0, None)
        }
        false => {
            let (pool, images, origin) =
                pool((&session, &stages, tile), good, learned, settings, config.seed, &mut told)?;
            let share = (settings.memory_share * pool.size()[0] as f64).round().max(1.0) as usize;
            let [least, most] =
                [settings.memory_min, settings.memory_max].map(|bound| usize::try_from(bound).unwrap_or(usize::MAX));
            let count = share.max(least).min(most);
            let chosen = k_centres(&pool, None, &Enough { count, radius: 0.0 }, config.seed, &mut || !told(0))?;
            let rows = pool.f_index_select(0, &Tensor::f_from_slice(&chosen)?)?;
            let radius = nearest::nearest(&pool, &rows)?.0.f_max()?.f_double_value(&[])?;
            let fallback = match held.is_empty() {
                true => {
                    let origin: Vec<usize> = chosen.iter().map(|&row| origin[row as usize]).collect();
                    let (images, groups) = (images.as_slice(), split.of.as_slice());
                    let parts = left_out::Learned { session: &session, stages: &stages, tile, good, images, groups };
                    let neighbours = i64::try_from(settings.neighbours).unwrap_or(i64::MAX);
                    Some(parts.highest(&rows, &origin, neighbours, &mut |_| told(0))?)
                }
                false => None,
            };
            (Known::Patches(rows), images.len() as u64, radius, fallback)
        }
    };
    let settings = Settings {
        kind: settings.kind,
        layers: names,
        neighbours: u32::try_from(settings.neighbours).unwrap_or(u32::MAX),
        blur_sigma: settings.blur_sigma,
        false_alarm_rate: settings.false_alarm_rate,
        confidence: settings.confidence,
        radius,
        memory_max: settings.memory_max,
        images,
        fallback,
        size: [input.width, input.height],
        resize: input.resize,
        tile: if tile.is_none() { Tile::default() } else { *tile },
    };
    let memory = Memory::new(known, settings, HeldOut::default(), good.ignored())?;
    let memory = memory.judged(&session, &stages, good, &split, &mut told)?;
    let memory = match &memory.known {
        // Here and not before, since only now there is something to score with.
        Known::Copy(_) if memory.held_out.scores().is_empty() => {
            let (images, groups) = (learned.as_slice(), split.of.as_slice());
            let parts = left_out::Learned { session: &session, stages: &stages, tile, good, images, groups };
            let split = Split { learned: Vec::new(), held: parts.some(), of: split.of.clone(), groups: split.groups };
            let inside = HeldOut::default();
            let scored = Memory::new(memory.known, memory.settings, inside, memory.ignored)?;
            let scored = scored.judged(&session, &stages, good, &split, &mut |_| told(0))?;
            let highest = scored.held_out.scores().iter().copied().fold(0.0, f32::max);
            let settings = Settings { fallback: Some(left_out::MARGIN * highest), ..scored.settings };
            Memory::new(scored.known, settings, HeldOut::default(), scored.ignored)?
        }
        _ => memory,
    };
    // Kept till here, so that a run which ends while it judges does not learn again.
    pass::forget(Path::new(&config.anomaly.checkpoint_path));
    Ok(AnomalyDetector::of(session, stages, network, student, memory))
}
