//! The patches that a memory is chosen from.

use tch::{Kind, Tensor};

use crate::config::AnomalyConfig;
use crate::data::random::{Purpose, generator, shuffle};
use crate::data::{Dataset, Tile};
use crate::error::{Error, Result};
use crate::infer::Session;
use crate::infer::anomaly::images::{each_chunk, maps_of};
use crate::infer::anomaly::patches::patches;
use crate::model::Stage;
use crate::sys::memory::{push, room};

/// The error for work that found no sound image among `images`.
pub(super) fn nothing_learned(dataset: &Dataset, images: &[usize]) -> Error {
    let what = "there is no sound image of a good part to learn from";
    match images.is_empty() {
        true => Error::invalid(what),
        false => dataset.nothing_to_read_of(images.iter().copied()).context(what),
    }
}

/// The patches (N, D) of `images`, or of their tiles, that the memory is chosen from, an equal random part of each image where all would be
/// too many, which images were sound, and the image that each row is of. What is ignored gives none.
pub(super) fn pool(
    (session, stages, tile): (&Session, &[Stage], &Tile),
    dataset: &Dataset,
    images: &[usize],
    settings: &AnomalyConfig,
    seed: u64,
    told: &mut dyn FnMut(usize) -> bool,
) -> Result<(Tensor, Vec<usize>, Vec<usize>)> {
    let most = usize::try_from(settings.pool_max).unwrap_or(usize::MAX);
    let of_image = (most / images.len().max(1)).max(1);
    let mut rows = Vec::new();
    let (mut number, mut sound, mut origin) = (0u64, Vec::new(), Vec::new());
    each_chunk(session, tile, dataset, images, told, |images, parts| {
        let names = |row: usize| dataset.title(parts[row].frame);
        let patches = patches(&maps_of(session, stages, images, &names)?)?;
        let all = (patches.height * patches.width) as usize;
        let mut kept = room(of_image.min(all) * parts.len(), "the places of patches")?;
        let mut places: Vec<i64> = room(all, "the places of patches")?;
        for (row, part) in parts.iter().enumerate() {
            if sound.last() != Some(&part.frame) {
                push(&mut sound, part.frame, "the images that were learned")?;
            }
            places.clear();
            places.extend(0..all as i64);
            let counted = part.counted(patches.height, patches.width);
            if let Some(counted) = counted.map_err(|error| error.context(names(row)))? {
                places.retain(|&place| counted[place as usize]);
            }
            let most = part.share(of_image, seed);
            if all > most {
                shuffle(&mut generator(seed, 1, number, Purpose::Split), &mut places);
                places.truncate(most);
                number += 1;
            }
            kept.extend(places.iter().map(|place| (row * all) as i64 + place));
            origin.extend(std::iter::repeat_n(part.frame, places.len()));
        }
        if kept.len() == all * parts.len() {
            rows.push(patches.rows.shallow_clone());
            return Ok(());
        }
        rows.push(patches.rows.f_index_select(0, &Tensor::f_from_slice(&kept)?)?);
        Ok(())
    })?;
    if rows.is_empty() {
        return Err(nothing_learned(dataset, images));
    }
    Ok((Tensor::f_cat(&rows, 0)?.f_to_kind(Kind::Float)?, sound, origin))
}
