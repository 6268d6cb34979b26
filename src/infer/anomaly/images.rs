//! From frames of a data set to images and feature maps, a batch at a time.

use std::sync::Arc;

use rayon::prelude::*;
use tch::Tensor;

use super::parts::{Part, Parts};
use crate::data::render::render_frame;
use crate::data::{Dataset, Frame, Input, Scratch, Tile};
use crate::error::{Error, ErrorKind, Result};
use crate::finite::Names;
use crate::infer::feature_maps::images_of;
use crate::infer::session::Session;
use crate::model::Stage;
use crate::sys::memory::filled;
use crate::torch;

/// Images that go through at once.
pub(crate) const CHUNK: usize = 16;

/// Frames that are read at once where they are seen in tiles, since they are large.
const LARGE: usize = 2;

/// Frames as images (B, C, H, W) of the session's view, on the CPU.
pub(crate) fn images_of_frames(session: &Session, frames: &[&Frame]) -> Result<Tensor> {
    let rows: Vec<(&Frame, &Input)> = frames.iter().map(|frame| (*frame, &session.input)).collect();
    images_of_parts(session, &rows)
}

/// Frames, or parts of them, as images (B, C, H, W) of the session's view, on the CPU; each has its own input, which has the session's sides.
pub(crate) fn images_of_parts(session: &Session, rows: &[(&Frame, &Input)]) -> Result<Tensor> {
    let length = session.input.view_len();
    let mut views = filled(0f32, rows.len() * length, "views of frames")?;
    views
        .par_chunks_exact_mut(length)
        .zip(rows)
        .try_for_each_init(Scratch::new, |scratch, (view, (frame, input))| render_frame(frame, input, view, scratch))?;
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

/// Image `number` by the session's range, with the mean colour where it is ignored and `painted` asks for that; none where it is broken.
fn sound_frame(session: &Session, dataset: &Dataset, number: usize, painted: bool) -> Result<Option<Arc<Frame>>> {
    let frame = match dataset.load_by(number, &session.input.range) {
        Ok(frame) => frame,
        Err(error) if error.kind() == ErrorKind::OutOfMemory => return Err(error),
        // It stands in the data set's list of broken images.
        Err(_) => return Ok(None),
    };
    session.input.roi.within(frame.width(), frame.height())?;
    let ignored = if painted { dataset.ignored_of(number)? } else { None };
    match ignored {
        Some(ignored) => Ok(Some(Arc::new(ignored.painted(&frame, &session.input)?))),
        None => Ok(Some(frame)),
    }
}

/// Those of the images `chunk` that are sound, with their numbers.
fn sound_frames(
    session: &Session,
    dataset: &Dataset,
    chunk: &[usize],
    painted: bool,
) -> Result<Vec<(usize, Arc<Frame>)>> {
    let loaded: Vec<Result<Option<Arc<Frame>>>> =
        chunk.par_iter().map(|&number| sound_frame(session, dataset, number, painted)).collect();
    let mut frames = Vec::with_capacity(loaded.len());
    for (&number, frame) in chunk.iter().zip(loaded) {
        if let Some(frame) = frame.map_err(|error| error.context(dataset.title(number)))? {
            frames.push((number, frame));
        }
    }
    Ok(frames)
}

/// Those of the images `chunk` that are sound, whole, as (B, C, H, W) with their numbers; none where none is. Where they are `painted`, what
/// the data set ignores of them shows the mean colour.
pub(crate) fn sound_images(
    session: &Session,
    dataset: &Dataset,
    chunk: &[usize],
    painted: bool,
) -> Result<Option<(Tensor, Vec<usize>)>> {
    let found = sound_frames(session, dataset, chunk, painted)?;
    if found.is_empty() {
        return Ok(None);
    }
    let frames: Vec<&Frame> = found.iter().map(|(_, frame)| &**frame).collect();
    Ok(Some((images_of_frames(session, &frames)?, found.iter().map(|(number, _)| *number).collect())))
}

/// As [`sound_images`], painted, with one tile of each: the one that `choose` gives, below the number of an image's tiles. A thread has one
/// frame in memory at a time.
pub(crate) fn sound_tiles(
    session: &Session,
    tile: &Tile,
    dataset: &Dataset,
    chunk: &[usize],
    choose: impl Fn(usize, usize) -> usize + Sync,
) -> Result<Option<(Tensor, Vec<usize>)>> {
    let length = session.input.view_len();
    let draw = |scratch: &mut Scratch, number: usize| -> Result<Option<Vec<f32>>> {
        let Some(frame) = sound_frame(session, dataset, number, true)? else { return Ok(None) };
        let parts = Parts::new(number, &frame, &session.input, tile, dataset.ignored_of(number)?)?;
        // What is ignored throughout is not among them.
        let parts: Vec<Part> = parts.collect();
        if parts.is_empty() {
            return Ok(None);
        }
        let part = &parts[choose(number, parts.len()).min(parts.len() - 1)];
        let mut view = filled(0f32, length, "a view of a tile")?;
        render_frame(&frame, &part.input, &mut view, scratch)?;
        Ok(Some(view))
    };
    let drawn: Vec<Result<Option<Vec<f32>>>> =
        chunk.par_iter().map_init(Scratch::new, |scratch, &number| draw(scratch, number)).collect();
    let (mut views, mut numbers) = (Vec::new(), Vec::with_capacity(chunk.len()));
    for (&number, view) in chunk.iter().zip(drawn) {
        if let Some(view) = view.map_err(|error| error.context(dataset.title(number)))? {
            views.extend_from_slice(&view);
            numbers.push(number);
        }
    }
    if numbers.is_empty() {
        return Ok(None);
    }
    Ok(Some((images_of(&views, &session.input)?, numbers)))
}

/// Rows that wait until there are enough of them.
pub(crate) struct Batch<'a> {
    session: &'a Session,
    /// How many go through at once.
    most: usize,
    rows: Vec<(Arc<Frame>, Part)>,
}

impl<'a> Batch<'a> {
    /// None yet; `most` go through at once.
    pub fn new(session: &'a Session, most: usize) -> Batch<'a> {
        Batch { session, most, rows: Vec::with_capacity(most) }
    }

    /// Adds the parts of a frame; gives each full batch to `take`, as images (B, C, H, W) and what they show.
    pub fn add(
        &mut self,
        frame: &Arc<Frame>,
        parts: Parts,
        mut take: impl FnMut(&Tensor, &[Part]) -> Result<()>,
    ) -> Result<()> {
        for part in parts {
            self.rows.push((Arc::clone(frame), part));
            if self.rows.len() == self.most {
                self.finish(&mut take)?;
            }
        }
        Ok(())
    }

    /// Gives what waits to `take`.
    pub fn finish(&mut self, mut take: impl FnMut(&Tensor, &[Part]) -> Result<()>) -> Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let rows: Vec<(&Frame, &Input)> = self.rows.iter().map(|(frame, part)| (&**frame, &part.input)).collect();
        let images = images_of_parts(self.session, &rows)?;
        let parts: Vec<Part> = self.rows.drain(..).map(|(_, part)| part).collect();
        take(&images, &parts)
    }
}

/// Gives the sound ones of `images`, painted where they are ignored, to `take` as (B, C, H, W) with what they show, [`CHUNK`] at a time. Where
/// there is a `tile`, batches go across frames, and [`LARGE`] frames at most are read at once.
pub(crate) fn each_chunk(
    session: &Session,
    tile: &Tile,
    dataset: &Dataset,
    images: &[usize],
    told: &mut dyn FnMut(usize) -> bool,
    take: impl FnMut(&Tensor, &[Part]) -> Result<()>,
) -> Result<()> {
    each_part((session, tile, true, CHUNK), dataset, images, told, take)
}

/// As [`each_chunk`], `most` at a time, with what the data set ignores left out where `painted` says so, else as if nothing were ignored.
pub(crate) fn each_part(
    (session, tile, painted, most): (&Session, &Tile, bool, usize),
    dataset: &Dataset,
    images: &[usize],
    told: &mut dyn FnMut(usize) -> bool,
    mut take: impl FnMut(&Tensor, &[Part]) -> Result<()>,
) -> Result<()> {
    let mut batch = Batch::new(session, most);
    let mut rest = images;
    let count = if tile.is_none() { most } else { LARGE };
    while !rest.is_empty() {
        let (chunk, others) = rest.split_at(count.min(rest.len()));
        rest = others;
        for (number, frame) in sound_frames(session, dataset, chunk, painted)? {
            let ignored = if painted { dataset.ignored_of(number) } else { Ok(None) };
            let parts = ignored
                .and_then(|ignored| Parts::new(number, &frame, &session.input, tile, ignored))
                .map_err(|error| error.context(dataset.title(number)))?;
            batch.add(&frame, parts, |images, parts| {
                take(images, parts)?;
                // A large frame may take minutes.
                if tile.is_none() || told(0) { Ok(()) } else { Err(stopped()) }
            })?;
        }
        if tile.is_none() {
            batch.finish(&mut take)?;
        }
        if !told(chunk.len()) {
            return Err(stopped());
        }
    }
    batch.finish(take)
}
