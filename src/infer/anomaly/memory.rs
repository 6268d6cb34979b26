//! What a detector knows of good parts, and how images are judged by it.

use std::sync::Arc;

use tch::Tensor;

use super::file::Settings;
use super::held_out::{HeldOut, Split};
use super::images::{each_chunk, maps_of};
use super::parts::Part;
use super::patches::{Patches, patches};
use super::score::{self, Best, Judged};
use super::stfpm::Copyist;
use super::threshold::{Promise, Threshold, threshold};
use crate::data::{Dataset, Ignored};
use crate::error::Result;
use crate::finite::{self, Names};
use crate::infer::session::Session;
use crate::model::Stage;

/// What is known of good parts, with its threshold. It never changes.
pub(crate) struct Memory {
    pub known: Known,
    pub held_out: HeldOut,
    pub settings: Settings,
    pub threshold: Threshold,
    /// What counts in no score and has no heat.
    pub ignored: Option<Arc<Ignored>>,
}

// SAFETY: the tensor is read only after it was put here, which libtorch allows from several threads; a handle's reference
// count is atomic.
unsafe impl Sync for Memory {}

pub(crate) enum Known {
    /// PatchCore's memory, (M, D).
    Patches(Tensor),
    /// The network that learned the maps.
    Copy(Box<Copyist>),
}

impl Memory {
    /// With the threshold that the scores of held-out parts give.
    pub fn new(known: Known, settings: Settings, held_out: HeldOut, ignored: Option<Arc<Ignored>>) -> Result<Memory> {
        let promise = Promise { rate: settings.false_alarm_rate, confidence: settings.confidence };
        let threshold = match (threshold(&held_out, promise)?, settings.fallback) {
            // Nothing is known of the rate.
            (found, Some(score)) if found.score.is_infinite() => Threshold { score, rate: f64::NAN },
            (found, _) => found,
        };
        Ok(Memory { known, held_out, settings, threshold, ignored })
    }

    /// The same with the held-out images of `split` judged, too.
    pub fn judged(
        self,
        session: &Session,
        stages: &[Stage],
        good: &Dataset,
        split: &Split,
        told: &mut dyn FnMut(usize) -> bool,
    ) -> Result<Memory> {
        let mut held_out = self.held_out.clone();
        // Of each sound image in turn; the tiles of one may come in several batches.
        let mut found = Vec::new();
        each_chunk(session, &self.settings.tile, good, &split.held, told, |images, parts| {
            let names = |row: usize| good.title(parts[row].frame);
            for (part, judged) in parts.iter().zip(self.scores(session, stages, images, None, &names, parts)?) {
                Best::join(&mut found, part.frame, judged.best)?;
            }
            Ok(())
        })?;
        let images: Vec<usize> = found.iter().map(|(image, _)| *image).collect();
        let scores = found.iter().map(|(_, best)| best.map_or(0.0, |best| best.score));
        split.add(&mut held_out, &images, scores)?;
        Memory::new(self.known, self.settings, held_out, self.ignored)
    }

    /// What a person should know about the threshold; none where it is what was asked for.
    pub fn warning(&self) -> Option<String> {
        let (groups, images) = (self.held_out.sizes().len(), self.settings.images);
        let (rate, confidence) = (self.settings.false_alarm_rate, self.settings.confidence);
        // K with 1/(K + 1) ≤ rate, or (1 − rate)^K ≤ 1 − confidence.
        let needed = match confidence {
            0.0 => 1.0 / rate - 1.0,
            sure => (1.0 - sure).ln() / (1.0 - rate).ln(),
        };
        let needed = (needed - 1e-9).ceil().max(1.0);
        let Threshold { score, rate: kept } = self.threshold;
        let more = "fit with more good parts, or add some by seed_anomaly_add";
        if groups > 0 {
            return (kept > rate).then(|| {
                format!(
                    "{groups} held-out good parts, or groups of them, are too few for a false-alarm rate of {rate}, which takes \
                     {needed}: the threshold keeps {kept:.3}; {more}"
                )
            });
        }
        Some(match score.is_finite() {
            true => format!(
                "none of the {images} good parts was held out, so the threshold {score:.4} comes of the learned parts themselves \
                 and keeps no known false-alarm rate; for {rate} hold out {needed}: {more}"
            ),
            false => format!("the threshold is infinite, since no good part was held out: nothing is an alarm; {more}"),
        })
    }

    /// Score and, at the size asked for, heat map of each of `images` (B, C, H, W), whose backbone is that of `session`. Errors
    /// call image i by the name that `names` gives; `parts` says what it shows: what is ignored there does not count, and is painted.
    pub fn scores(
        &self,
        session: &Session,
        stages: &[Stage],
        images: &Tensor,
        size: Option<(i64, i64)>,
        names: Names,
        parts: &[Part],
    ) -> Result<Vec<Judged>> {
        let maps = maps_of(session, stages, images, names)?;
        let scores = match &self.known {
            Known::Patches(rows) => self.distances(rows, &patches(&maps)?, size, parts),
            Known::Copy(copy) => copy.scores(&maps, stages, images, size, names, parts),
        }?;
        // Maps of numbers may still overflow.
        match scores.iter().position(|judged| judged.best.is_some_and(|best| !best.score.is_finite())) {
            Some(row) => Err(finite::gave(&format!("detector ({})", self.settings.kind), finite::NONE, &names(row))),
            None => Ok(scores),
        }
    }

    fn distances(
        &self,
        memory: &Tensor,
        patches: &Patches,
        size: Option<(i64, i64)>,
        parts: &[Part],
    ) -> Result<Vec<Judged>> {
        let of_image = patches.height * patches.width;
        let sides @ (height, width) = (patches.height, patches.width);
        let each = |(image, part): (usize, &Part)| -> Result<Judged> {
            let rows = patches.rows.f_narrow(0, image as i64 * of_image, of_image)?;
            let neighbours = i64::from(self.settings.neighbours);
            let (counted, own) = (part.counted(height, width)?, part.own(height, width)?);
            let scored = score::score_part(&rows, sides, memory, neighbours, counted.as_deref(), own.as_deref())?;
            let map =
                size.map(|size| score::heat_map(&scored.distances, size, self.settings.blur_sigma)).transpose()?;
            Ok(Judged { best: scored.best, map })
        };
        parts.iter().enumerate().map(each).collect()
    }
}
