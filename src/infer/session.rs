//! Sessions: frames of any size and format in, one row for each out.
//!
//! ```text
//! frame → resized as `Input::resize` says → (v/255 − mean)/std → (B, 3, H, W) → backbone → features (B, d)
//!                                                                 → head → divided by its length → embedding (B, C)
//! ```
//!
//! A session is a copy: training that goes on does not change it. All of its functions take `&self` and may be called from
//! several threads at once; their frames then share forward passes.
//!
//! ```
//! use seed::data::{FrameView, PixelFormat, Input};
//! use seed::infer::{Session, SessionOptions};
//! use seed::model::{Architecture, Head, Network};
//! let head = Head::Projection { hidden: 0, dim: 16 };
//! let network = Network::new(Architecture::MobileNetV3Small, head, 7, tch::Device::Cpu)?;
//! let input = Input { width: 32, height: 32, ..Input::default() };
//! let session = Session::new(&network, &input, SessionOptions::default())?;
//! let pixels = vec![128; 80 * 60];
//! let row = session.embed(&[FrameView::new(&pixels, 80, 60, 80, PixelFormat::Mono8)?])?;
//! assert_eq!(row.len(), 16);
//! assert!((row.iter().map(|value| value * value).sum::<f32>() - 1.0).abs() < 1e-5);
//! # Ok::<(), seed::Error>(())
//! ```

use std::cell::RefCell;
use std::path::Path;

use rayon::prelude::*;
use serde_json::{Value, json};
use tch::{Device, Kind};

use super::feature_maps::images_of;
use super::gather::{Gather, ROOM};
use super::options::{Output, SessionOptions};
use super::plan::Plan;
use crate::config::Rate;
use crate::data::render::render_frame;
use crate::data::{FrameView, Input, Scratch, Tile};
use crate::error::{Error, ErrorKind, Result};
use crate::finite::{self, Names};
use crate::model::student_file::{Holds, load_student};
use crate::model::{Architecture, Description, Head, Network, Teacher};
use crate::sys::memory::room;
use crate::torch;
use crate::warnings::Warnings;

/// Frames of one call from which on several threads draw them: fewer are drawn sooner than threads wake up.
const DRAWN_BY_ONE: usize = 4;

thread_local! {
    /// What drawing a view needs, kept from call to call: beside the scratch, memory for levels and for samples of more than 8 bits.
    static SCRATCH: RefCell<(Scratch, Vec<u8>, Vec<u8>)> = RefCell::default();
}

/// An immutable network ready for frames.
pub struct Session {
    pub(super) plan: Plan,
    gather: Gather,
    pub(super) input: Input,
    /// How frames are cut for feature maps.
    pub(super) tile: Tile,
    pub(super) output: Output,
    rate: Rate,
    pub(super) dim: usize,
    description: Description,
    pub(super) warnings: Warnings,
}

impl Session {
    /// A session of a copy of `network` as it is now. Of `input`, the size, geometry, range, mean and deviation are used; the network
    /// says whether views are grey. Tries out which way
    /// of computing is the fastest, which takes some tens of forward passes.
    ///
    /// # Errors
    /// `InvalidArgument` for the embedding of a classifier or a precision other than the two, `Config` for a view out of
    /// bounds; `Device`, `OutOfMemory` or `Torch` from libtorch.
    pub fn new(network: &Network, input: &Input, options: SessionOptions) -> Result<Self> {
        let moved;
        let network = if network.device() == options.device {
            network
        } else {
            let mut copy = network.deep_copy()?;
            copy.to_device(options.device)?;
            moved = copy;
            &moved
        };
        let channels = if network.channels() == 1 { 1 } else { 3 };
        let input = &Input {
            channels,
            range: options.range.unwrap_or(input.range),
            roi: options.roi.unwrap_or(input.roi),
            ..*input
        };
        check(input, options.output, network.head())?;
        let dim = match options.output {
            Output::Features => network.feature_dim(),
            Output::Embedding | Output::Logits => network.output_dim(),
        };
        let plan = Plan::choose(network, input, dim, &options)?;
        let description = Description::new(network.architecture(), network.head(), input, json!({}))?;
        Ok(Self::of(plan, input, options, dim, description))
    }

    /// A session of a teacher. It stays on its own device, whatever the options say. One that is no network of ours gives
    /// embeddings only and computes in its own format; an application's callback is called on the thread that embeds.
    ///
    /// # Errors
    /// As [`Session::new`]; `Unsupported` for the features of a teacher that is no network of ours.
    pub fn of_teacher(teacher: &Teacher, input: &Input, options: SessionOptions) -> Result<Self> {
        let input = &Input {
            channels: 3,
            range: options.range.unwrap_or(input.range),
            roi: options.roi.unwrap_or(input.roi),
            ..*input
        };
        if let Some(embedder) = teacher.embedder() {
            if options.output != Output::Embedding {
                let reason =
                    "a teacher that is no network of libseed gives embeddings only: set \"output\" to \"embedding\"";
                return Err(Error::new(ErrorKind::Unsupported, reason));
            }
            let description = Description::of_teacher(teacher, input)?;
            input.range.check_measured()?;
            let plan = Plan::of_embedder(embedder, options.engine.name)?;
            return Ok(Self::of(plan, input, options, embedder.dim(), description));
        }
        check(input, options.output, teacher.head()?)?;
        let dim = match options.output {
            Output::Features => teacher.feature_dim()?,
            Output::Embedding | Output::Logits => teacher.embedding_dim(),
        };
        let plan = Plan::choose(teacher.network()?, input, dim, &options)?;
        Ok(Self::of(plan, input, options, dim, Description::of_teacher(teacher, input)?))
    }

    /// A session of a student's file ([`crate::model::student_file`]), whose header says how images are made.
    ///
    /// # Errors
    /// Those of [`load_student`] and [`Session::new`].
    pub fn open(path: &Path, options: SessionOptions) -> Result<Self> {
        let (network, header) = load_student(path)?;
        if options.output == Output::Embedding && matches!(header.head, Head::Classifier { .. }) {
            let reason = format!(
                "the file holds {}; as a session it gives \"output\" \"features\" only",
                Holds::Classifier.text()
            );
            return Err(Error::format(path, reason));
        }
        let session = Self::new(&network, &header.input, options).map_err(|error| error.context(path.display()))?;
        Ok(session.with_provenance(header.provenance))
    }

    /// The same session, which says that its network comes from there.
    #[must_use]
    pub fn with_provenance(mut self, provenance: Value) -> Self {
        self.description.provenance = provenance;
        self
    }

    fn of(plan: Plan, input: &Input, options: SessionOptions, dim: i64, description: Description) -> Self {
        // Widths are positive and below 2^20.
        let dim = dim as usize;
        let gather = Gather::new(input.view_len(), dim);
        let SessionOptions { output, rate, tile, .. } = options;
        let warnings = Warnings::default();
        if let Some(warning) = &plan.warning {
            warnings.add(warning.clone());
        }
        Self { plan, gather, input: *input, tile, output, rate, dim, description, warnings }
    }

    /// Numbers in a row: the width of the features or of the embedding.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// What calls over whole data sets leave to others.
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// What comes out.
    pub fn output(&self) -> Output {
        self.output
    }

    /// Float32 or bfloat16: what products and convolutions are computed in. A teacher that is no network of ours
    /// computes in its own format and gives float32.
    pub fn precision(&self) -> Kind {
        self.plan.kind().unwrap_or(Kind::Float)
    }

    /// Images that go through the network at once; all of a call's on a GPU.
    pub fn piece(&self) -> i64 {
        self.plan.piece()
    }

    /// Where it computes.
    pub fn device(&self) -> Device {
        self.plan.device()
    }

    /// How it computes, for a person: "cpu, bfloat16, 8 images at once".
    pub fn describe(&self) -> String {
        let precision = match (self.plan.embedder(), self.plan.kind()) {
            (Some(embedder), _) => embedder.name(),
            (_, Some(Kind::BFloat16)) => "bfloat16",
            _ => "float32",
        };
        if let Some(engine) = self.plan.other_engine() {
            return format!("{engine}, {precision}, {} images at once", self.plan.piece());
        }
        match (self.plan.device(), self.plan.piece()) {
            (Device::Cuda(index), _) => format!("cuda:{index}, {precision}"),
            (_, 0) => format!("cpu, {precision}"),
            (_, piece) => format!("cpu, {precision}, {piece} images at once"),
        }
    }

    /// What runs the network, and why it was taken, for a person: "libtorch: the setting \"engine\" is \"libtorch\"".
    pub fn engine(&self) -> String {
        self.plan.engine()
    }

    /// How images are made.
    pub fn input(&self) -> &Input {
        &self.input
    }

    /// The backbone, where it is one of ours.
    pub fn architecture(&self) -> Option<Architecture> {
        self.description.architecture
    }

    /// Number of parameters' elements, head included.
    ///
    /// # Errors
    /// `Unsupported` for a teacher that only the application knows.
    pub fn parameter_count(&self) -> Result<i64> {
        let reason = "only the application knows how many parameters its teacher has";
        self.description.parameters.ok_or_else(|| Error::new(ErrorKind::Unsupported, reason))
    }

    /// The network in figures.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// What a caller should know about the session although nothing failed.
    pub fn warnings(&self) -> &Warnings {
        &self.warnings
    }

    /// One row for each frame, in order: (frames, [`dim`](Session::dim)).
    ///
    /// # Errors
    /// `InvalidArgument` for a frame that is not sound (names its place), `Mismatch` where the network gives NaN or infinity (names the
    /// place as well), `OutOfMemory` or `Torch` from libtorch.
    pub fn embed(&self, frames: &[FrameView<'_>]) -> Result<Vec<f32>> {
        let mut rows = reserve(frames.len(), self.dim)?;
        rows.resize(frames.len() * self.dim, 0.0);
        self.embed_each(frames.len(), |i| Ok(frames[i]), &mut rows)?;
        Ok(rows)
    }

    /// As [`embed`](Session::embed), into the caller's memory, which is untouched on an error.
    ///
    /// # Errors
    /// Those of `embed`, and `InvalidArgument` where `out` is not frames · dim long.
    pub fn embed_into(&self, frames: &[FrameView<'_>], out: &mut [f32]) -> Result<()> {
        self.embed_each(frames.len(), |i| Ok(frames[i]), out)
    }

    /// As [`embed_into`](Session::embed_into) for `count` frames that `frame` gives by number. Up to 16 frames (in one call or in
    /// calls of several threads at once) go through together; once warm, no buffer is allocated.
    ///
    /// # Errors
    /// Those of `embed_into` and of `frame`, with the frame's place.
    pub fn embed_each<'a>(
        &self,
        count: usize,
        frame: impl Fn(usize) -> Result<FrameView<'a>> + Sync,
        out: &mut [f32],
    ) -> Result<()> {
        if count.checked_mul(self.dim) != Some(out.len()) {
            return Err(Error::invalid(format!(
                "the output holds {} numbers, expected {} for {count} frames",
                out.len(),
                count.saturating_mul(self.dim),
            )));
        }
        if count <= ROOM {
            return self.embed_batch(0, count, &frame, out);
        }
        // An error in the middle must leave the caller's memory alone.
        let mut rows = reserve(count, self.dim)?;
        rows.resize(out.len(), 0.0);
        for (number, rows) in rows.chunks_mut(ROOM * self.dim).enumerate() {
            self.embed_batch(number * ROOM, rows.len() / self.dim, &frame, rows)?;
        }
        out.copy_from_slice(&rows);
        Ok(())
    }

    fn embed_batch<'a>(
        &self,
        first: usize,
        count: usize,
        frame: &(impl Fn(usize) -> Result<FrameView<'a>> + Sync),
        out: &mut [f32],
    ) -> Result<()> {
        if count == 0 {
            return Ok(());
        }
        let draw_one = |number: usize, view: &mut [f32]| -> Result<()> {
            let drawn = frame(first + number).and_then(|frame| {
                self.note_frame(&frame);
                SCRATCH.with_borrow_mut(|(scratch, pixels, samples)| {
                    let frame = frame.to_frame_by(&self.input.range, std::mem::take(pixels), samples)?;
                    let result = render_frame(&frame, &self.input, view, scratch);
                    *pixels = frame.into_pixels();
                    result
                })
            });
            drawn.map_err(|error| error.context(format!("frame {}", first + number)))
        };
        let names = |row: usize| format!("frame {}", first + row);
        let length = self.input.view_len();
        let draw = |views: &mut [f32]| match count {
            0..DRAWN_BY_ONE => {
                views.chunks_exact_mut(length).enumerate().try_for_each(|(number, view)| draw_one(number, view))
            }
            _ => views.par_chunks_exact_mut(length).enumerate().try_for_each(|(number, view)| draw_one(number, view)),
        };
        if self.plan.embedder().is_some() {
            // No lock may be held while an application's callback runs: it may call the library.
            let mut views = reserve(count, length)?;
            views.resize(count * length, 0.0);
            draw(&mut views)?;
            let mut rows = reserve(count, self.dim)?;
            rows.resize(out.len(), 0.0);
            self.forward(&views, &mut rows, &names)?;
            out.copy_from_slice(&rows);
            return Ok(());
        }
        // Which frames share a batch is nobody's matter but the gather's, so rows are looked at by those who asked for them.
        let place = |row: usize| format!("image {row} of a batch");
        let run = |views: &[f32], rows: &mut [f32]| self.forward(views, rows, &place);
        self.gather.rows(count, draw, run, |rows| self.check_rows(rows, &names), out)
    }

    /// Refuses rows (B, dim) with NaN or infinity.
    pub(super) fn check_rows(&self, rows: &[f32], names: Names) -> Result<()> {
        finite::check_rows(rows, self.dim, || self.who(), names)
    }

    /// What messages call the network.
    pub(crate) fn who(&self) -> String {
        format!("network ({})", self.description.name)
    }

    /// Rows (B, dim) of whole views (B, H, W, C). Errors of an embedder call image i by the name that `names` gives; rows of programs are
    /// not looked at here.
    pub(super) fn forward(&self, pixels: &[f32], rows: &mut [f32], names: Names) -> Result<()> {
        if let Some(engine) = self.plan.host() {
            return engine.rows(pixels, rows);
        }
        let output = self.plan.run(&images_of(pixels, &self.input)?, self.dim, names)?;
        let output = torch::copy_to(&output, Device::Cpu)?.f_contiguous()?; // (B, dim)
        Ok(output.f_copy_data(rows, rows.len())?)
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Session({}, {:?}, {} wide, {})", self.description.name, self.output, self.dim, self.describe())
    }
}

/// Refuses what a session of such a network cannot be.
fn check(input: &Input, output: Output, head: Head) -> Result<()> {
    input.check()?;
    input.range.check_measured()?;
    if output == Output::Embedding && matches!(head, Head::Classifier { .. }) {
        return Err(Error::invalid("a network with a classifier has no embedding; ask for its features"));
    }
    if output == Output::Logits && !matches!(head, Head::Classifier { .. }) {
        return Err(Error::invalid(format!("logits need a network with a classifier, this one has {head:?}")));
    }
    Ok(())
}

/// An empty vector with room for all rows, or an error where an ordinary allocation would end the process.
pub(super) fn reserve(rows: usize, dim: usize) -> Result<Vec<f32>> {
    room(rows.saturating_mul(dim), "the rows of the images")
}
