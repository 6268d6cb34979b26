//! A threshold where no good part was held out: few were there, or "anomaly.held_out" is 0.
//!
//! Without held-out scores the threshold of [`threshold`](crate::infer::anomaly::threshold()) lies at infinity, and the detector can never alarm. So
//! learned parts are scored as if they were further ones:
//!
//! - PatchCore: each image, with its group, is left out of the memory in turn (the jackknife: Quenouille, 1949), and the threshold is the
//!   highest of these scores. The memory without it is smaller than the detector's, so the scores are rather too high, which errs on the
//!   side of few alarms. Of many images [`MOST`] are taken.
//! - A single image has nothing to be compared with but itself: each quarter of its patches is scored against the other three.
//! - STFPM would have to learn anew for each image, so its threshold is [`MARGIN`] times the highest score of what it learned from.
//!
//! Nothing is promised of the rate of false alarms then, and a warning says so.

use tch::Tensor;

use crate::data::{Dataset, Tile};
use crate::error::{Error, Result};
use crate::infer::Session;
use crate::infer::anomaly::images::{each_chunk, maps_of};
use crate::infer::anomaly::patches::{Patches, patches};
use crate::infer::anomaly::score::{Best, score, score_part};
use crate::model::Stage;

/// Images that are left out at most, spread evenly over all.
const MOST: usize = 16;

/// Times the highest score of learned parts. The score is a product over maps: of three maps, each may be a quarter worse for a
/// further part (1.25³ = 1.95).
pub(super) const MARGIN: f32 = 2.0;

/// What was learned, image by image.
pub(super) struct Learned<'a> {
    pub session: &'a Session,
    pub stages: &'a [Stage],
    pub tile: &'a Tile,
    pub good: &'a Dataset,
    /// The images, by their numbers in `good`.
    pub images: &'a [usize],
    /// The group of each image of `good`.
    pub groups: &'a [usize],
}

impl Learned<'_> {
    /// Some of the images, spread evenly.
    pub fn some(&self) -> Vec<usize> {
        let count = self.images.len();
        let taken = count.min(MOST);
        (0..taken).map(|number| self.images[number * count / taken]).collect()
    }

    /// The highest score of learned images against the rows of `memory` (M, D) that come of other groups, or of other images where
    /// all are of one group; `origin` has the image of each row. `neighbours` is b of the image score.
    pub fn highest(
        &self,
        memory: &Tensor,
        origin: &[usize],
        neighbours: i64,
        told: &mut dyn FnMut(usize) -> bool,
    ) -> Result<f32> {
        let one_group = self.images.iter().all(|&image| self.groups[image] == self.groups[self.images[0]]);
        let same = |a: usize, b: usize| if one_group { a == b } else { self.groups[a] == self.groups[b] };
        let mut found = Vec::new();
        // What a frame's parts are compared with: one selection a frame, not a tile.
        let mut of_frame: Option<(usize, Option<Tensor>)> = None;
        each_chunk(self.session, self.tile, self.good, &self.some(), told, |images, parts| {
            let names = |row: usize| self.good.title(parts[row].frame);
            let patches = patches(&maps_of(self.session, self.stages, images, &names)?)?;
            let (height, width) = (patches.height, patches.width);
            let of_image = height * width;
            for (place, part) in parts.iter().enumerate() {
                if of_frame.as_ref().is_none_or(|(frame, _)| *frame != part.frame) {
                    let others = |&row: &i64| !same(origin[row as usize], part.frame);
                    let others: Vec<i64> = (0..origin.len() as i64).filter(others).collect();
                    let selected = match others.is_empty() {
                        true => None,
                        false => Some(memory.f_index_select(0, &Tensor::f_from_slice(&others)?)?),
                    };
                    of_frame = Some((part.frame, selected));
                }
                let others = of_frame.as_ref().and_then(|(_, selected)| selected.as_ref());
                let rows = patches.rows.f_narrow(0, place as i64 * of_image, of_image)?;
                let counted = part.counted(height, width)?;
                let best = match others {
                    None => {
                        let counted = counted.unwrap_or_else(|| vec![true; of_image as usize]);
                        quarters(&rows, &patches, neighbours, &counted)?
                    }
                    Some(memory) => {
                        let own = part.own(height, width)?;
                        score_part(&rows, (height, width), memory, neighbours, counted.as_deref(), own.as_deref())?.best
                    }
                };
                Best::join(&mut found, part.frame, best)?;
            }
            Ok(())
        })?;
        let mut highest = 0f32;
        for (_, best) in found {
            let best = best.ok_or_else(|| {
                Error::invalid(
                    "so little of the frame is not ignored that one good part does not tell how far such parts differ: give more good \
                     parts",
                )
            })?;
            highest = highest.max(best.score);
        }
        Ok(highest)
    }
}

/// The highest score of a quarter of an image's patches (h·w, D) that count against the others; none where one patch counts at most.
fn quarters(rows: &Tensor, of: &Patches, neighbours: i64, counted: &[bool]) -> Result<Option<Best>> {
    let (height, width) = (of.height, of.width);
    let places = || (0..height * width).filter(|&place| counted[place as usize]);
    // Quarters of what counts, which may be a small part of the frame.
    let (top, bottom) = span(places().map(|place| place / width));
    let (left, right) = span(places().map(|place| place % width));
    if (top, left) == (bottom, right) {
        return Ok(None);
    }
    let half = |at: i64, first: i64, last: i64| 2 * (at - first) / (last - first + 1);
    let quarter = |place: i64| 2 * half(place / width, top, bottom) + half(place % width, left, right);
    let mut highest: Option<Best> = None;
    for chosen in 0..4 {
        let (own, others): (Vec<i64>, Vec<i64>) = places().partition(|&place| quarter(place) == chosen);
        if own.is_empty() || others.is_empty() {
            continue;
        }
        let take = |places: &[i64]| -> Result<Tensor> { Ok(rows.f_index_select(0, &Tensor::f_from_slice(places)?)?) };
        let found = score(&take(&own)?, (own.len() as i64, 1), &take(&others)?, neighbours)?.best;
        highest = match (highest, found) {
            (Some(highest), Some(found)) if found.score > highest.score => Some(found),
            (highest, found) => highest.or(found),
        };
    }
    Ok(highest)
}

/// The first and the last of some places in a row.
fn span(places: impl Iterator<Item = i64>) -> (i64, i64) {
    places.fold((i64::MAX, i64::MIN), |(first, last), place| (first.min(place), last.max(place)))
}
