//! From images to the patches that a memory is chosen from.

use std::sync::Arc;

use rayon::prelude::*;
use tch::{Device, Kind, Tensor};

use super::patches::patches;
use crate::config::AnomalyConfig;
use crate::data::random::{Purpose, generator, shuffle};
use crate::data::render::render_frame;
use crate::data::{Dataset, Frame, Scratch};
use crate::error::{Error, ErrorKind, Result};
use crate::finite::Names;
use crate::infer::feature_maps::images_of;
use crate::infer::session::Session;
use crate::memory::{filled, room};
use crate::model::Stage;

/// Images that go through at once.
pub(super) const CHUNK: usize = 16;

/// Frames as images (B, C, H, W) of the session's view, on the CPU.
pub(super) fn images_of_frames(session: &Session, frames: &[&Frame]) -> Result<Tensor> {
    let length = session.view.view_len();
    let mut views = filled(0f32, frames.len() * length, "views of frames")?;
    views
        .par_chunks_exact_mut(length)
        .zip(frames)
        .try_for_each_init(Scratch::new, |scratch, (view, frame)| render_frame(frame, &session.view, view, scratch))?;
    images_of(&views, &session.view)
}

/// Feature maps of images (B, C, H, W), on the CPU, all of them numbers; errors call image i by the name that `names` gives.
pub(super) fn maps_of(session: &Session, stages: &[Stage], images: &Tensor, names: Names) -> Result<Vec<Tensor>> {
    let maps = session.sound_maps(images, stages, names)?;
    Ok(maps.iter().map(|map| map.f_to_device(Device::Cpu)).collect::<std::result::Result<_, _>>()?)
}

pub(super) fn stopped() -> Error {
    Error::new(ErrorKind::Cancelled, "learning the good parts was stopped")
}

/// The error for work that found no sound image among `images`.
pub(super) fn nothing_learned(dataset: &Dataset, images: &[usize]) -> Error {
    let what = "there is no sound image of a good part to learn from";
    match images.is_empty() {
        true => Error::invalid(what),
        false => dataset.nothing_to_read_of(images.iter().copied()).context(what),
    }
}

/// Gives the sound ones of `images` to `take` as (B, C, H, W) with their numbers, `size` at a time; how many were sound.
pub(super) fn each_chunk(
    session: &Session,
    dataset: &Dataset,
    images: &[usize],
    size: usize,
    told: &mut dyn FnMut(usize) -> bool,
    mut take: impl FnMut(&Tensor, &[usize]) -> Result<()>,
) -> Result<u64> {
    let mut sound = 0;
    for chunk in images.chunks(size) {
        let loaded: Vec<Result<Arc<Frame>>> = chunk.par_iter().map(|&image| dataset.load(image)).collect();
        let (mut frames, mut numbers) = (Vec::with_capacity(loaded.len()), Vec::with_capacity(loaded.len()));
        for (&number, frame) in chunk.iter().zip(loaded) {
            match frame {
                Ok(frame) => {
                    frames.push(frame);
                    numbers.push(number);
                }
                Err(error) if error.kind() == ErrorKind::OutOfMemory => return Err(error),
                // It stands in the data set's list of broken images.
                Err(_) => {}
            }
        }
        if !frames.is_empty() {
            let frames: Vec<&Frame> = frames.iter().map(|frame| &**frame).collect();
            take(&images_of_frames(session, &frames)?, &numbers)?;
            sound += frames.len() as u64;
        }
        if !told(chunk.len()) {
            return Err(stopped());
        }
    }
    Ok(sound)
}

/// The patches (N, D) of `images` that the memory is chosen from, an equal random part of each where all would be too many,
/// and which images were sound: each has as many rows as the others, in this order.
pub(super) fn pool(
    session: &Session,
    stages: &[Stage],
    dataset: &Dataset,
    images: &[usize],
    settings: &AnomalyConfig,
    seed: u64,
    told: &mut dyn FnMut(usize) -> bool,
) -> Result<(Tensor, Vec<usize>)> {
    let most = usize::try_from(settings.pool_max).unwrap_or(usize::MAX);
    let of_image = (most / images.len().max(1)).max(1);
    let mut rows = Vec::new();
    let (mut number, mut sound) = (0u64, Vec::new());
    each_chunk(session, dataset, images, CHUNK, told, |images, numbers| {
        sound.extend_from_slice(numbers);
        let names = |row: usize| dataset.title(numbers[row]);
        let patches = patches(&maps_of(session, stages, images, &names)?)?;
        let all = (patches.height * patches.width) as usize;
        if all <= of_image {
            rows.push(patches.rows.shallow_clone());
            return Ok(());
        }
        let mut kept = room(of_image * patches.images as usize, "the places of patches")?;
        let mut places: Vec<i64> = room(all, "the places of patches")?;
        for image in 0..patches.images {
            places.clear();
            places.extend(0..all as i64);
            shuffle(&mut generator(seed, 1, number, Purpose::Split), &mut places);
            kept.extend(places[..of_image].iter().map(|place| image * all as i64 + place));
            number += 1;
        }
        rows.push(patches.rows.f_index_select(0, &Tensor::f_from_slice(&kept)?)?);
        Ok(())
    })?;
    if rows.is_empty() {
        return Err(nothing_learned(dataset, images));
    }
    Ok((Tensor::f_cat(&rows, 0)?.f_to_kind(Kind::Float)?, sound))
}
