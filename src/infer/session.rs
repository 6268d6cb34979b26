//! A session: a snapshot of a network that turns images into vectors, from any number of threads.
//!
//!     frame (h,w,c) u8 → resize, centre crop, normalise (H,W,3) f32 → network in eval mode → (D) f32

use std::path::Path;
use std::sync::Arc;

use tch::{Device, Kind, Tensor};

use crate::data::{Dataset, FrameView, Loader, Scratch, ViewConfig, render};
use crate::model::student_file::load_student;
use crate::model::{Mode, Network};
use crate::torch::Autocast;
use crate::{Error, ErrorKind, Result};

/// What a session gives for an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Unit rows behind the head, as distilled.
    Embedding,
    /// The backbone's features before the head, not normalised.
    Features,
}

impl Output {
    /// From the configuration's "output".
    pub fn parse(name: &str) -> Result<Self> {
        match name {
            "embedding" => Ok(Self::Embedding),
            "features" => Ok(Self::Features),
            _ => Err(Error::invalid(format!("output is \"{name}\", expected \"embedding\" or \"features\""))),
        }
    }
}

/// Images that go through the network at once.
const CHUNK: usize = 32;

/// A network's weights as they were when the session was made. It never changes, so it may be shared between threads.
pub struct Session {
    network: Network,
    view: ViewConfig,
    output: Output,
    device: Device,
    precision: Kind,
}

// SAFETY: `Network` is not Sync because training writes its tensors in place. A session owns a copy that it never hands
// out and only ever uses for forward passes in eval mode outside autograd, which read the tensors; libtorch allows
// concurrent reads, and its reference counts are atomic.
unsafe impl Sync for Session {}

impl Session {
    /// A session on `network`, which it takes over; pass a deep copy of one that goes on learning. `view` gives the input's
    /// size and normalisation; `precision` float32 or bfloat16.
    pub fn new(
        mut network: Network,
        view: ViewConfig,
        output: Output,
        device: Device,
        precision: Kind,
    ) -> Result<Self> {
        view.check()?;
        network.freeze()?;
        network.to_device(device)?;
        network.to_channels_last()?;
        Ok(Self { network, view, output, device, precision })
    }

    /// A session on a student file, with the input that the file names.
    pub fn open(path: &Path, output: Output, device: Device, precision: Kind) -> Result<Self> {
        let (network, header) = load_student(path)?;
        Self::new(network, header.view(), output, device, precision)
    }

    /// D, the numbers an image.
    pub fn dim(&self) -> usize {
        let dim = match self.output {
            Output::Embedding => self.network.output_dim(),
            Output::Features => self.network.feature_dim(),
        };
        usize::try_from(dim).unwrap_or(0)
    }

    /// Parameters of the network, head included.
    pub fn parameter_count(&self) -> i64 {
        self.network.parameter_count()
    }

    /// Vectors of `frames`, of any sizes, into `out`: frames·D numbers, frame after frame.
    pub fn embed_into(&self, frames: &[FrameView<'_>], out: &mut [f32]) -> Result<()> {
        let dim = self.dim();
        if out.len() != frames.len() * dim {
            return Err(Error::invalid(format!(
                "{} numbers for {} images of {dim}, expected {}",
                out.len(),
                frames.len(),
                frames.len() * dim
            )));
        }
        let pixels_each = self.view.view_len();
        let mut pixels = vec![0f32; pixels_each * frames.len().min(CHUNK)];
        let mut scratch = Scratch::new();
        for (frames, out) in frames.chunks(CHUNK).zip(out.chunks_mut(CHUNK * dim)) {
            let used = &mut pixels[..pixels_each * frames.len()];
            for (view, pixels) in frames.iter().zip(used.chunks_exact_mut(pixels_each)) {
                render::render_centred(&view.to_frame()?, &self.view, pixels, &mut scratch)?;
            }
            self.forward(used, out)?;
        }
        Ok(())
    }

    /// Vectors of all images of `dataset`, in order: N·D numbers. A broken image gives zeros and is named in
    /// `Dataset::skipped`. `progress(done, total)` is called after every chunk; false ends it as cancelled.
    pub fn embed_dataset(
        &self,
        dataset: &Arc<Dataset>,
        workers: usize,
        mut progress: impl FnMut(usize, usize) -> bool,
    ) -> Result<Vec<f32>> {
        let (total, dim) = (dataset.len(), self.dim());
        let mut result = vec![0f32; total * dim];
        let mut done = 0;
        let mut loader = Loader::centred(Arc::clone(dataset), self.view.clone(), CHUNK, workers)?;
        while let Some(batch) = loader.next() {
            let batch = batch?;
            let count = batch.indices.len();
            // The data set may have grown since; the loader's length was fixed when it began.
            let Some(out) = result.get_mut(done * dim..(done + count) * dim) else { break };
            self.forward(&batch.pixels, out)?;
            loader.recycle(batch);
            done += count;
            if !progress(done, total) {
                return Err(Error::new(ErrorKind::Cancelled, format!("cancelled after {done} of {total} images")));
            }
        }
        Ok(result)
    }

    /// (n,H,W,3) pixels to (n,D) numbers.
    fn forward(&self, pixels: &[f32], out: &mut [f32]) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        let (height, width) = (i64::from(self.view.height), i64::from(self.view.width));
        let nhwc = Tensor::f_from_slice(pixels)?.f_view([-1, height, width, 3])?;
        let images = nhwc.f_to_device(self.device)?.f_permute([0, 3, 1, 2])?; // (n,3,H,W), channels-last
        let rows = {
            let _autocast = Autocast::enter(self.device, self.precision)?;
            match self.output {
                Output::Embedding => self.network.forward(&images, Mode::Eval)?,
                Output::Features => self.network.features(&images, Mode::Eval)?,
            }
        };
        let rows = rows.f_to_kind(Kind::Float)?;
        let rows = if self.output == Output::Embedding { crate::model::unit_rows(&rows)? } else { rows };
        let rows = rows.f_to_device(Device::Cpu)?.f_contiguous()?;
        let count = out.len();
        Ok(rows.f_copy_data(out, count)?)
    }
}
