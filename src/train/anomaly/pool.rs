//! The patches that a memory is chosen from.

use tch::{Kind, Tensor};

use crate::config::AnomalyConfig;
use crate::data::Dataset;
use crate::data::random::{Purpose, generator, shuffle};
use crate::error::{Error, Result};
use crate::infer::Session;
use crate::infer::anomaly::images::{each_chunk, maps_of};
use crate::infer::anomaly::patches::patches;
use crate::model::Stage;
use crate::sys::memory::room;

/// The error for work that found no sound image among `images`.
pub(super) fn nothing_learned(dataset: &Dataset, images: &[usize]) -> Error {
    let what = "there is no sound image of a good part to learn from";
    match images.is_empty() {
        true => Error::invalid(what),
        false => dataset.nothing_to_read_of(images.iter().copied()).context(what),
    }
}

/// The patches (N, D) of `images` that the memory is chosen from, an equal random part of each where all would be too many,
/// which images were sound, and the image that each row is of. What is ignored gives none.
pub(super) fn pool(
    session: &Session,
    stages: &[Stage],
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
    each_chunk(session, dataset, images, told, |images, numbers| {
        sound.extend_from_slice(numbers);
        let names = |row: usize| dataset.title(numbers[row]);
        let patches = patches(&maps_of(session, stages, images, &names)?)?;
        let all = (patches.height * patches.width) as usize;
        let mut kept = room(of_image.min(all) * numbers.len(), "the places of patches")?;
        let mut places: Vec<i64> = room(all, "the places of patches")?;
        for (image, &named) in numbers.iter().enumerate() {
            places.clear();
            places.extend(0..all as i64);
            if let Some(ignored) = dataset.ignored_of(named)? {
                let counted = ignored.counted(session.input(), patches.height as usize, patches.width as usize);
                let counted = counted.map_err(|error| error.context(dataset.title(named)))?;
                places.retain(|&place| counted[place as usize]);
            }
            if all > of_image {
                shuffle(&mut generator(seed, 1, number, Purpose::Split), &mut places);
                places.truncate(of_image);
                number += 1;
            }
            kept.extend(places.iter().map(|place| (image * all) as i64 + place));
            origin.extend(std::iter::repeat_n(named, places.len()));
        }
        if kept.len() == all * numbers.len() {
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
