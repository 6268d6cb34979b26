//! From frames of a data set to images and feature maps, a chunk at a time.

use std::sync::Arc;

use rayon::prelude::*;
use tch::Tensor;

use crate::data::render::render_frame;
use crate::data::{Dataset, Frame, Ignored, Scratch};
use crate::error::{Error, ErrorKind, Result};
use crate::finite::Names;
use crate::infer::feature_maps::images_of;
use crate::infer::session::Session;
use crate::model::Stage;
use crate::sys::memory::filled;
use crate::torch;

/// Images that go through at once.
pub(crate) const CHUNK: usize = 16;

/// What is ignored of the image at a place of a batch.
pub(crate) type IgnoredAt<'a> = &'a dyn Fn(usize) -> Result<Option<Arc<Ignored>>>;

/// Frames as images (B, C, H, W) of the session's view, on the CPU.
pub(crate) fn images_of_frames(session: &Session, frames: &[&Frame]) -> Result<Tensor> {
    let length = session.input.view_len();
    let mut views = filled(0f32, frames.len() * length, "views of frames")?;
    views
        .par_chunks_exact_mut(length)
        .zip(frames)
        .try_for_each_init(Scratch::new, |scratch, (view, frame)| render_frame(frame, &session.input, view, scratch))?;
    images_of(&views, &session.input)
}

/// Feature maps of images (B, C, H, W), on the CPU, all of them numbers; errors call image i by the name that `names` gives.
pub(crate) fn maps_of(session: &Session, stages: &[Stage], images: &Tensor, names: Names) -> Result<Vec<Tensor>> {
    let maps = session.sound_maps(images, stages, names)?;
    let mut on_host = Vec::with_capacity(maps.len());
    torch::each_on_host(&maps, |_, map| {
        on_host.push(map);
        Ok(())
    })?;
    Ok(on_host)
}

pub(crate) fn stopped() -> Error {
    Error::new(ErrorKind::Cancelled, "learning the good parts was stopped")
}

/// Those of the images `chunk` that are sound, as (B, C, H, W) with their numbers; none where none is. Where they are `painted`, what the
/// data set ignores of them shows the mean colour.
pub(crate) fn sound_images(
    session: &Session,
    dataset: &Dataset,
    chunk: &[usize],
    painted: bool,
) -> Result<Option<(Tensor, Vec<usize>)>> {
    let loaded: Vec<Result<Arc<Frame>>> =
        chunk.par_iter().map(|&image| dataset.load_by(image, &session.input.range)).collect();
    let (mut frames, mut numbers) = (Vec::with_capacity(loaded.len()), Vec::with_capacity(loaded.len()));
    for (&number, frame) in chunk.iter().zip(loaded) {
        match frame {
            Ok(frame) => {
                let held = session.input.roi.within(frame.width(), frame.height());
                held.map_err(|error| error.context(dataset.title(number)))?;
                let ignored = if painted { dataset.ignored_of(number)? } else { None };
                frames.push(match ignored {
                    Some(ignored) => Arc::new(
                        ignored
                            .painted(&frame, &session.input)
                            .map_err(|error| error.context(dataset.title(number)))?,
                    ),
                    None => frame,
                });
                numbers.push(number);
            }
            Err(error) if error.kind() == ErrorKind::OutOfMemory => return Err(error),
            // It stands in the data set's list of broken images.
            Err(_) => {}
        }
    }
    if frames.is_empty() {
        return Ok(None);
    }
    let frames: Vec<&Frame> = frames.iter().map(|frame| &**frame).collect();
    Ok(Some((images_of_frames(session, &frames)?, numbers)))
}

/// Gives the sound ones of `images`, painted where they are ignored, to `take` as (B, C, H, W) with their numbers, [`CHUNK`] at a time.
pub(crate) fn each_chunk(
    session: &Session,
    dataset: &Dataset,
    images: &[usize],
    told: &mut dyn FnMut(usize) -> bool,
    mut take: impl FnMut(&Tensor, &[usize]) -> Result<()>,
) -> Result<()> {
    for chunk in images.chunks(CHUNK) {
        if let Some((images, numbers)) = sound_images(session, dataset, chunk, true)? {
            take(&images, &numbers)?;
        }
        if !told(chunk.len()) {
            return Err(stopped());
        }
    }
    Ok(())
}
