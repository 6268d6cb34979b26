//! Rows of a whole data set, and what is said of frames.

use std::collections::BTreeSet;
use std::sync::Arc;

use tch::Tensor;

use super::Session;
use super::feature_maps::images_of;
use super::session::reserve;
use crate::data::frame::{CLAMPED, CLAMPED_BY_FULL};
use crate::data::{Dataset, Frame, FrameView, Loader, Resize};
use crate::error::{Error, ErrorKind, Result};

/// Share of a frame below which it counts as cut.
const SEEN: f64 = 0.95;
/// What a caller is told of frames that are cut.
const CUT: &str = "more than 5 % of a frame lies outside of what the session sees (resize is \"centre\"): what is near a border changes nothing";

/// What a caller is told where a data set has another range than the session.
const OTHER_RANGE: &str = "the data set has a range of its own, which is another than the session's: its frames are seen by its own, frames \
                           that are given to the session itself by the session's";

/// What a session gives of a data set.
pub struct DatasetRows {
    /// One row for each image, in the data set's order: (images, [`dim`](Session::dim)); zeros for a broken image.
    pub values: Vec<f32>,
    /// Numbers of the images that could not be used; the data set says why in [`Dataset::skipped`].
    pub broken: BTreeSet<usize>,
}

/// What a session gives of a few images of a data set.
pub struct Chunk<'a> {
    /// Numbers of the images.
    pub indices: &'a [usize],
    /// One row for each of them, zeros for a broken image.
    pub values: &'a [f32],
    /// Which of these places hold a broken image.
    pub broken: &'a [usize],
}

impl Session {
    /// Keeps a warning where a data set's own range is another than the session's.
    fn note_range(&self, dataset: &Dataset) {
        if dataset.range().is_some_and(|range| range != self.input.range) {
            self.warnings.add(OTHER_RANGE);
        }
    }

    /// The frame of 8 bits that the session sees.
    ///
    /// # Errors
    /// Those of [`FrameView::to_frame_by`].
    pub(crate) fn levels_of(&self, frame: &FrameView<'_>) -> Result<Frame> {
        frame.to_frame_by(&self.input.range, Vec::new(), &mut Vec::new())
    }

    /// Keeps a warning of what is done to a frame that its owner may not expect.
    pub(super) fn note_frame(&self, frame: &FrameView<'_>) {
        if frame.is_clamped() {
            self.warnings.add(CLAMPED);
        }
        if frame.is_clamped_by(&self.input.range) {
            self.warnings.add(CLAMPED_BY_FULL);
        }
        let (Ok(placement), Ok(part)) =
            (self.input.placement(frame.width, frame.height), self.input.roi.within(frame.width, frame.height))
        else {
            // It is refused when it is drawn.
            return;
        };
        let [_, _, width, height] = placement.source;
        if width * height < SEEN * f64::from(part.width) * f64::from(part.height) {
            self.warnings.add(CUT);
        }
    }

    /// The rows of [`embed_marked`](Session::embed_marked).
    ///
    /// # Errors
    /// Those of [`embed_marked`](Session::embed_marked).
    pub fn embed_dataset(
        &self,
        dataset: &Arc<Dataset>,
        batch: usize,
        workers: usize,
        progress: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<Vec<f32>> {
        Ok(self.embed_marked(dataset, batch, workers, progress)?.values)
    }

    /// One row for each image of the data set, and which images are broken. `batch` frames at a time are loaded by `workers`
    /// threads (0 = one per core). `progress` is told how many of how many are done, on this thread, and stops it by returning
    /// false.
    ///
    /// # Errors
    /// `Cancelled` where `progress` stops it; `Mismatch` naming the image for which the network gives NaN or infinity;
    /// [`Dataset::nothing_to_read`] where every image is broken; those of
    /// [`Loader::frames`]; `OutOfMemory` or `Torch` from libtorch.
    pub fn embed_marked(
        &self,
        dataset: &Arc<Dataset>,
        batch: usize,
        workers: usize,
        progress: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<DatasetRows> {
        let (total, dim) = (dataset.len(), self.dim());
        let mut values = reserve(total, dim)?;
        let mut broken = BTreeSet::new();
        self.embed_chunks(dataset, batch, workers, &mut |chunk| {
            values.extend_from_slice(chunk.values);
            broken.extend(chunk.broken.iter().map(|&place| chunk.indices[place]));
            Ok(progress(values.len() / dim, total))
        })?;
        Ok(DatasetRows { values, broken })
    }

    /// As [`embed_marked`](Session::embed_marked), but `take` is given the rows of one batch after the other, and nothing is kept: memory
    /// is that of a batch, however many images there are. `take` stops it by false.
    ///
    /// # Errors
    /// Those of [`embed_marked`](Session::embed_marked) and of `take`.
    pub fn embed_chunks(
        &self,
        dataset: &Arc<Dataset>,
        batch: usize,
        workers: usize,
        take: &mut dyn FnMut(&Chunk<'_>) -> Result<bool>,
    ) -> Result<()> {
        let (total, dim) = (dataset.len(), self.dim());
        // What level 0 of each channel is normalised to.
        let (mean, std) = self.input.normal();
        let black: Vec<f32> = mean.iter().zip(&std).map(|(mean, std)| -(*mean as f32) / *std as f32).collect();
        self.note_range(dataset);
        if self.input.resize == Resize::Centre {
            // Of every frame.
            self.warnings.add(CUT);
        }
        let (mut done, mut sound, mut rows) = (0, 0, Vec::new());
        let mut loader = Loader::frames(Arc::clone(dataset), self.input, batch, workers)?;
        while let Some(batch) = loader.next() {
            let mut batch = batch?;
            let images = batch.indices.len();
            if rows.len() < images * dim {
                rows = reserve(images, dim)?;
            }
            rows.resize(images * dim, 0.0);
            for &place in &batch.broken {
                // Black, since zeros are no levels of a pixel where the mean is not zero.
                let view = &mut batch.views[0].pixels[place * self.input.view_len()..][..self.input.view_len()];
                view.iter_mut().zip(black.iter().cycle()).for_each(|(value, black)| *value = *black);
            }
            let names = |row: usize| dataset.title(batch.indices[row]);
            self.forward(&batch.views[0].pixels, &mut rows, &names)?;
            self.check_rows(&rows, &names)?;
            batch.broken.iter().for_each(|&place| rows[place * dim..][..dim].fill(0.0));
            (done, sound) = (done + images, sound + images - batch.broken.len());
            let go_on = take(&Chunk { indices: &batch.indices, values: &rows, broken: &batch.broken })?;
            loader.recycle(batch);
            if !go_on {
                let message = format!("embedding was stopped after {done} of {total} images");
                return Err(Error::new(ErrorKind::Cancelled, message));
            }
        }
        // The loader keeps the length that it began with.
        if sound == 0 {
            return Err(dataset.nothing_to_read());
        }
        Ok(())
    }

    /// Rows (B, dim) of whole views (B, H, W, C), float32, on the session's device, whatever they hold: looking at them would wait for
    /// a GPU.
    ///
    /// # Errors
    /// `InvalidArgument` for no view; `OutOfMemory` or `Torch` from libtorch.
    pub(crate) fn rows_unread(&self, pixels: &[f32]) -> Result<Tensor> {
        self.plan.run(&images_of(pixels, &self.input)?, self.dim(), &|row| format!("view {row}"))
    }
}
