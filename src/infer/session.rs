//! Sessions: frames of any size and format in, one row for each out.
//!
//! ```text
//! frame → shorter side to size·256/224, centre crop → (v/255 − mean)/std → (B, 3, H, W) → backbone → features (B, d)
//!                                                                 → head → divided by its length → embedding (B, C)
//! ```
//!
//! A session is a copy: training that goes on does not change it. All of its functions take `&self` and may be called from
//! several threads at once.
//!
//! ```
//! use seed::data::{FrameView, PixelFormat, ViewConfig};
//! use seed::infer::{Session, SessionOptions};
//! use seed::model::{Architecture, Head, Network};
//! let head = Head::Projection { hidden: 0, dim: 16 };
//! let network = Network::new(Architecture::MobileNetV3Small, head, 7, tch::Device::Cpu)?;
//! let view = ViewConfig { width: 32, height: 32, ..ViewConfig::default() };
//! let session = Session::new(&network, &view, SessionOptions::default())?;
//! let pixels = vec![128; 80 * 60];
//! let row = session.embed(&[FrameView::new(&pixels, 80, 60, 80, PixelFormat::Mono8)?])?;
//! assert_eq!(row.len(), 16);
//! assert!((row.iter().map(|value| value * value).sum::<f32>() - 1.0).abs() < 1e-5);
//! # Ok::<(), seed::Error>(())
//! ```

use std::path::Path;
use std::sync::Arc;

use tch::{Device, Kind, Tensor};

use super::snapshot::{Frozen, Snapshot};
use crate::data::render::render_centred;
use crate::data::{Dataset, FrameView, Loader, Scratch, ViewConfig};
use crate::error::{Error, ErrorKind, Result};
use crate::model::student_file::load_student;
use crate::model::{Architecture, Head, Network, Teacher};

/// Frames that go through the network at once in [`Session::embed`]; more make it no faster and cost memory.
const CHUNK: usize = 32;

/// What a session gives for a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// The backbone's features before the head, not normalised: what kNN and classifiers use.
    Features,
    /// The projection divided by its length (without a head: the features divided by theirs): what was distilled.
    Embedding,
}

impl Output {
    /// "features" or "embedding".
    ///
    /// # Errors
    /// `InvalidArgument` for another name.
    pub fn parse(name: &str) -> Result<Self> {
        match name {
            "features" => Ok(Self::Features),
            "embedding" => Ok(Self::Embedding),
            _ => Err(Error::invalid(format!("output is {name:?}, expected \"embedding\" or \"features\""))),
        }
    }
}

/// Where and how a session computes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SessionOptions {
    /// Where the session's copy of the weights lies.
    pub device: Device,
    /// Float32, or bfloat16 for products and convolutions. What comes out is float32 either way.
    pub precision: Kind,
    /// What comes out.
    pub output: Output,
}

impl Default for SessionOptions {
    /// Embeddings in float32 on the CPU.
    fn default() -> Self {
        Self { device: Device::Cpu, precision: Kind::Float, output: Output::Embedding }
    }
}

/// An immutable network ready for frames.
pub struct Session {
    snapshot: Snapshot,
    view: ViewConfig,
    precision: Kind,
    output: Output,
}

impl Session {
    /// A session of a copy of `network` as it is now. Of `view`, the size, mean and deviation are used.
    ///
    /// # Errors
    /// `InvalidArgument` for the embedding of a classifier or a precision other than the two, `Config` for a view out of
    /// bounds; `Device`, `OutOfMemory` or `Torch` from libtorch.
    pub fn new(network: &Network, view: &ViewConfig, options: SessionOptions) -> Result<Self> {
        check_precision(options.precision)?;
        let frozen = Frozen::new(network, options.device, options.precision)?;
        Self::of(Snapshot::Copy(frozen), view, options)
    }

    /// A session of a teacher, shared rather than copied; it stays on its own device, whatever the options say.
    ///
    /// # Errors
    /// As [`Session::new`].
    pub fn of_teacher(teacher: Arc<Teacher>, view: &ViewConfig, options: SessionOptions) -> Result<Self> {
        check_precision(options.precision)?;
        Self::of(Snapshot::Teacher(teacher), view, options)
    }

    /// A session of a student's file ([`crate::model::student_file`]), whose header says how images are made.
    ///
    /// # Errors
    /// Those of [`load_student`] and [`Session::new`].
    pub fn open(path: &Path, options: SessionOptions) -> Result<Self> {
        let (network, header) = load_student(path)?;
        Self::new(&network, &header.view(), options).map_err(|error| error.context(path.display()))
    }

    fn of(snapshot: Snapshot, view: &ViewConfig, options: SessionOptions) -> Result<Self> {
        view.check()?;
        if options.output == Output::Embedding && matches!(snapshot.head(), Head::Classifier { .. }) {
            return Err(Error::invalid("a network with a classifier has no embedding; ask for its features"));
        }
        Ok(Self { snapshot, view: view.clone(), precision: options.precision, output: options.output })
    }

    /// Numbers in a row: the width of the features or of the embedding.
    pub fn dim(&self) -> usize {
        let dim = match self.output {
            Output::Features => self.snapshot.feature_dim(),
            Output::Embedding => self.snapshot.embedding_dim(),
        };
        // Widths are positive and below 2^20.
        dim as usize
    }

    /// What comes out.
    pub fn output(&self) -> Output {
        self.output
    }

    /// How images are made.
    pub fn view(&self) -> &ViewConfig {
        &self.view
    }

    /// The backbone.
    pub fn architecture(&self) -> Architecture {
        self.snapshot.architecture()
    }

    /// Number of parameters' elements, head included.
    pub fn parameter_count(&self) -> i64 {
        self.snapshot.parameter_count()
    }

    /// One row for each frame, in order: (frames, [`dim`](Session::dim)).
    ///
    /// # Errors
    /// `InvalidArgument` for a frame that is not sound (names its place), `OutOfMemory` or `Torch` from libtorch.
    pub fn embed(&self, frames: &[FrameView<'_>]) -> Result<Vec<f32>> {
        let mut rows = reserve(frames.len(), self.dim())?;
        let mut scratch = Scratch::default();
        let mut pixels = vec![0f32; self.view.view_len() * frames.len().min(CHUNK)];
        for (chunk, frames) in frames.chunks(CHUNK).enumerate() {
            let views = pixels.chunks_exact_mut(self.view.view_len());
            for (place, (frame, view)) in frames.iter().zip(views).enumerate() {
                let name = |error: Error| error.context(format!("frame {}", chunk * CHUNK + place));
                let frame = frame.to_frame().map_err(name)?;
                render_centred(&frame, &self.view, view, &mut scratch).map_err(name)?;
            }
            self.forward(&pixels[..frames.len() * self.view.view_len()], &mut rows)?;
        }
        Ok(rows)
    }

    /// As [`embed`](Session::embed), into the caller's memory, which is untouched on an error.
    ///
    /// # Errors
    /// Those of `embed`, and `InvalidArgument` where `out` is not frames · dim long.
    pub fn embed_into(&self, frames: &[FrameView<'_>], out: &mut [f32]) -> Result<()> {
        if frames.len().checked_mul(self.dim()) != Some(out.len()) {
            return Err(Error::invalid(format!(
                "the output holds {} numbers, expected {} for {} frames",
                out.len(),
                frames.len().saturating_mul(self.dim()),
                frames.len()
            )));
        }
        out.copy_from_slice(&self.embed(frames)?);
        Ok(())
    }

    /// One row for each image of the data set, in its order: (images, [`dim`](Session::dim)). A broken image has a row of zeros
    /// and stands in [`Dataset::skipped`]. `batch` frames at a time are loaded by `workers` threads (0 = one per core).
    /// `progress` is told how many of how many are done, on this thread, and stops it by returning false.
    ///
    /// # Errors
    /// `Cancelled` where `progress` stops it; those of [`Loader::centred`]; `OutOfMemory` or `Torch` from libtorch.
    pub fn embed_dataset(
        &self,
        dataset: &Arc<Dataset>,
        batch: usize,
        workers: usize,
        progress: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<Vec<f32>> {
        let (total, dim) = (dataset.len(), self.dim());
        let mut rows = reserve(total, dim)?;
        let mut loader = Loader::centred(Arc::clone(dataset), self.view.clone(), batch, workers)?;
        while let Some(batch) = loader.next() {
            let batch = batch?;
            self.forward(&batch.pixels, &mut rows)?;
            for (place, view) in batch.pixels.chunks_exact(self.view.view_len()).enumerate() {
                let index = batch.indices[place];
                // The loader gives zeros for a broken image. So may a sound black one under a mean of zero: ask.
                if view.iter().all(|&value| value == 0.0) && dataset.load(index).is_err() {
                    rows[index * dim..][..dim].fill(0.0);
                }
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

    /// Appends the rows of whole views, (B, H, W, 3).
    fn forward(&self, pixels: &[f32], rows: &mut Vec<f32>) -> Result<()> {
        let (height, width) = (i64::from(self.view.height), i64::from(self.view.width));
        // The permuted view of NHWC memory is a channels-last NCHW tensor.
        let images = Tensor::f_from_slice(pixels)?.f_view([-1, height, width, 3])?.f_permute([0, 3, 1, 2])?;
        let images = images.f_to_device(self.snapshot.device())?;
        let output = self.snapshot.run(&images, self.precision, self.output == Output::Embedding)?; // (B, dim)
        let output = output.f_to_device(Device::Cpu)?.f_contiguous()?;
        let (begin, elements) = (rows.len(), output.numel());
        rows.resize(begin + elements, 0.0);
        output.f_copy_data(&mut rows[begin..], elements)?;
        Ok(())
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Session({}, {:?}, {} wide)", self.architecture(), self.output, self.dim())
    }
}

fn check_precision(precision: Kind) -> Result<()> {
    if !matches!(precision, Kind::Float | Kind::BFloat16) {
        return Err(Error::invalid(format!("precision is {precision:?}, expected float32 or bfloat16")));
    }
    Ok(())
}

/// An empty vector with room for all rows, or an error where an ordinary allocation would end the process.
fn reserve(rows: usize, dim: usize) -> Result<Vec<f32>> {
    let mut values = Vec::new();
    let room = rows.checked_mul(dim).ok_or(()).and_then(|numbers| values.try_reserve_exact(numbers).map_err(drop));
    room.map_err(|()| Error::new(ErrorKind::OutOfMemory, format!("cannot allocate {rows} rows of {dim} numbers")))?;
    Ok(values)
}
