//! Rows of a whole data set, and what is said of frames.

use std::sync::Arc;

use super::Session;
use super::session::reserve;
use crate::data::frame::CLAMPED;
use crate::data::{Dataset, FrameView, Loader, Resize};
use crate::error::{Error, ErrorKind, Result};

/// Share of a frame below which it counts as cut.
const SEEN: f64 = 0.95;
/// What a caller is told of frames that are cut.
const CUT: &str = "more than 5 % of a frame lies outside of what the session sees (resize is \"centre\"): what is near a border changes nothing";

impl Session {
    /// Keeps a warning of what is done to a frame that its owner may not expect.
    pub(super) fn note_frame(&self, frame: &FrameView<'_>) {
        if frame.is_clamped() {
            self.warnings.add(CLAMPED);
        }
        let [_, _, width, height] =
            self.view.resize.placement((frame.width, frame.height), (self.view.width, self.view.height)).source;
        if width * height < SEEN * f64::from(frame.width) * f64::from(frame.height) {
            self.warnings.add(CUT);
        }
    }

    /// One row for each image of the data set, in its order: (images, [`dim`](Session::dim)). A broken image has a row of zeros
    /// and stands in [`Dataset::skipped`]. `batch` frames at a time are loaded by `workers` threads (0 = one per core).
    /// `progress` is told how many of how many are done, on this thread, and stops it by returning false.
    ///
    /// # Errors
    /// `Cancelled` where `progress` stops it; `Mismatch` naming the image for which the network gives NaN or infinity; those of
    /// [`Loader::frames`]; `OutOfMemory` or `Torch` from libtorch.
    pub fn embed_dataset(
        &self,
        dataset: &Arc<Dataset>,
        batch: usize,
        workers: usize,
        progress: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<Vec<f32>> {
        let (total, dim) = (dataset.len(), self.dim());
        let mut rows = reserve(total, dim)?;
        // What level 0 of each channel is normalised to.
        let (mean, std) = self.view.normal();
        let black: Vec<f32> = mean.iter().zip(&std).map(|(mean, std)| -(*mean as f32) / *std as f32).collect();
        if self.view.resize == Resize::Centre {
            // Of every frame.
            self.warnings.add(CUT);
        }
        let mut loader = Loader::frames(Arc::clone(dataset), self.view.clone(), batch, workers)?;
        while let Some(batch) = loader.next() {
            let mut batch = batch?;
            let begin = rows.len();
            rows.resize(begin + batch.indices.len() * dim, 0.0);
            let mut broken = Vec::new();
            for (view, &index) in batch.pixels.chunks_exact_mut(self.view.view_len()).zip(&batch.indices) {
                // The loader gives zeros for a broken image. So may a sound black one under a mean of zero: ask.
                if view.iter().all(|&value| value == 0.0) && dataset.load(index).is_err() {
                    // Black, since zeros are no levels of a pixel where the mean is not zero.
                    view.iter_mut().zip(black.iter().cycle()).for_each(|(value, black)| *value = *black);
                    broken.push(index);
                }
            }
            let names = |row: usize| dataset.title(batch.indices[row]);
            self.forward(&batch.pixels, &mut rows[begin..], &names)?;
            self.check_rows(&rows[begin..], &names)?;
            for index in broken {
                rows[index * dim..][..dim].fill(0.0);
            }
            loader.recycle(batch);
            let done = rows.len() / dim;
            if !progress(done, total) {
                let message = format!("embedding was stopped after {done} of {total} images");
                return Err(Error::new(ErrorKind::Cancelled, message));
            }
        }
        Ok(rows)
    }
}
