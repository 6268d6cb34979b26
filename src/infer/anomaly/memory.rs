//! What a detector knows of good parts, and how images are judged by it.

use tch::Tensor;

use super::file::Settings;
use super::held_out::{HeldOut, Split};
use super::patches::{Patches, patches};
use super::pool::{CHUNK, each_chunk, maps_of};
use super::score;
use super::stfpm::Copyist;
use super::threshold::{Promise, Threshold, threshold};
use crate::data::Dataset;
use crate::error::Result;
use crate::infer::session::Session;
use crate::model::Stage;

/// What is known of good parts, with its threshold. It never changes.
pub(super) struct Memory {
    pub known: Known,
    pub held_out: HeldOut,
    pub settings: Settings,
    pub threshold: Threshold,
}

// SAFETY: the tensor is read only after it was put here, which libtorch allows from several threads; a handle's reference
// count is atomic.
unsafe impl Sync for Memory {}

pub(super) enum Known {
    /// PatchCore's memory, (M, D).
    Patches(Tensor),
    /// The network that learned the maps.
    Copy(Box<Copyist>),
}

impl Memory {
    /// With the threshold that the scores of held-out parts give.
    pub fn new(known: Known, settings: Settings, held_out: HeldOut) -> Result<Memory> {
        let promise = Promise { rate: settings.false_alarm_rate, confidence: settings.confidence };
        let threshold = threshold(&held_out, promise)?;
        Ok(Memory { known, held_out, settings, threshold })
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
        let (mut held_out, mut last) = (self.held_out.clone(), None);
        each_chunk(session, good, &split.held, CHUNK, told, |images, numbers| {
            let scores = self.scores(session, stages, images, None)?.into_iter().map(|(score, _)| score);
            split.add(&mut held_out, &mut last, numbers, scores)
        })?;
        Memory::new(self.known, self.settings, held_out)
    }

    /// Score and, at the size asked for, heat map of each of `images` (B, C, H, W), whose backbone is that of `session`.
    pub fn scores(
        &self,
        session: &Session,
        stages: &[Stage],
        images: &Tensor,
        size: Option<(i64, i64)>,
    ) -> Result<Vec<(f32, Option<Tensor>)>> {
        let maps = maps_of(session, stages, images)?;
        match &self.known {
            Known::Patches(rows) => self.distances(rows, &patches(&maps)?, size),
            Known::Copy(copy) => copy.scores(&maps, stages, images, size),
        }
    }

    fn distances(
        &self,
        memory: &Tensor,
        patches: &Patches,
        size: Option<(i64, i64)>,
    ) -> Result<Vec<(f32, Option<Tensor>)>> {
        let of_image = patches.height * patches.width;
        let each = |image: i64| -> Result<(f32, Option<Tensor>)> {
            let rows = patches.rows.f_narrow(0, image * of_image, of_image)?;
            let neighbours = i64::from(self.settings.neighbours);
            let scored = score::score(&rows, (patches.height, patches.width), memory, neighbours)?;
            let map =
                size.map(|size| score::heat_map(&scored.distances, size, self.settings.blur_sigma)).transpose()?;
            Ok((scored.score, map))
        };
        (0..patches.images).map(each).collect()
    }
}
