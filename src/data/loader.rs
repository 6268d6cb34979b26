//! Batches of views, in order, from worker threads: [`Batch`] is (B, H, W, 3) f32, or crops for the device.
//!
//! A run is an endless stream of samples, cut into batches wherever they end:
//!
//! ```text
//! sample n = step · B + b      epoch = n / len      image = permutation(seed, epoch)[n mod len]
//! view randomness = generator(seed, view, image, View)      view = epoch, or epoch mod V where V views are repeated
//! ```
//!
//! So batch `step` is the same whichever step the loader starts at and however many workers there are.
//!
//! ```
//! use seed::data::{Dataset, FrameView, Loader, PixelFormat, ViewConfig};
//! let dataset = std::sync::Arc::new(Dataset::in_memory());
//! dataset.push("grey", &FrameView::new(&[128; 64], 8, 8, 8, PixelFormat::Mono8)?)?;
//! let config = ViewConfig { width: 4, height: 4, ..ViewConfig::default() };
//! let mut loader = Loader::views(dataset, config, 7, 2, 0..3, 1)?;
//! while let Some(batch) = loader.next() {
//!     let batch = batch?;
//!     assert_eq!(batch.pixels.len(), 2 * 4 * 4 * 3);
//!     loader.recycle(batch);
//! }
//! # Ok::<(), seed::Error>(())
//! ```

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::augment::{ViewConfig, ViewParams};
use super::batch::{Batch, Cropped};
use super::dataset::Dataset;
use super::lock;
use super::order::Order;
use super::prefetch::{Asked, Filled, Plan, Prefetch};
use super::random::{Purpose, generator};
use super::render::{Scratch, crop_scaled, render_frame_scaled, render_scaled};
use super::scale::{Reading, ScaledFrame};
use crate::error::{Error, ErrorKind, Result};

pub use super::order::Slot;

/// An iterator over batches that worker threads prepare ahead. Dropping it stops and joins them.
///
/// An error of the data set ends the stream; a panic in a worker costs only the batch it happened in.
pub struct Loader {
    stream: Stream,
    width: u32,
    height: u32,
    waited: Duration,
}

/// What the workers make.
enum Stream {
    /// Whole views.
    Views(Prefetch<f32, Shown>),
    /// Crops, whose views are made on a device.
    Crops(Prefetch<u8, Cropped>),
}

/// What a worker says about the view it has made.
struct Shown {
    /// The image.
    index: usize,
    /// Whether that could not be used, so that the view is zeros.
    broken: bool,
}

impl Loader {
    /// Augmented views for the steps `steps` of a run, `batch` each, by `workers` threads (0 = one per core).
    ///
    /// A broken image is replaced by the next sound one in the data set's order, with the slot's randomness; in the next pass
    /// over the images it is asked for again. The number of images is fixed now; what is pushed later belongs to the next loader.
    ///
    /// # Errors
    /// `InvalidArgument` where the data set or batch is empty or the sample numbers exceed 64 bits, `Config` from
    /// [`ViewConfig::check`], `Io` where a thread cannot be started. While iterating:
    /// [`Dataset::nothing_to_read`] where no image at all can be used, `OutOfMemory`, `Internal` for a panic.
    pub fn views(
        dataset: Arc<Dataset>,
        config: ViewConfig,
        seed: u64,
        batch: usize,
        steps: Range<u64>,
        workers: usize,
    ) -> Result<Self> {
        Self::repeated_views(dataset, config, seed, 0, batch, steps, workers)
    }

    /// As [`Loader::views`], but epoch e shows view e mod `views`, so that every image has `views` views in all; 0: a fresh
    /// view every epoch. The order of the images is the epoch's own either way.
    ///
    /// # Errors
    /// As [`Loader::views`].
    pub fn repeated_views(
        dataset: Arc<Dataset>,
        config: ViewConfig,
        seed: u64,
        views: u64,
        batch: usize,
        steps: Range<u64>,
        workers: usize,
    ) -> Result<Self> {
        Self::of_images(dataset, config, seed, views, None, batch, steps, workers)
    }

    /// As [`Loader::repeated_views`], of the images `kept` alone, where it is given: the others are never shown, unless as the
    /// next sound one behind a broken image. An epoch is as many samples as there are images.
    ///
    /// # Errors
    /// As [`Loader::views`]; `InvalidArgument` where `kept` is empty or names an image that is not there.
    #[expect(clippy::too_many_arguments, reason = "each is one word of what a batch is a function of")]
    pub fn of_images(
        dataset: Arc<Dataset>,
        config: ViewConfig,
        seed: u64,
        views: u64,
        kept: Option<Arc<[usize]>>,
        batch: usize,
        steps: Range<u64>,
        workers: usize,
    ) -> Result<Self> {
        let images = check(&dataset, &config, batch)?;
        if let Some(kept) = &kept
            && (kept.is_empty() || kept.iter().any(|&image| image >= images))
        {
            return Err(Error::invalid(format!(
                "{} images were chosen of {images}, expected at least one and none beyond the last",
                kept.len()
            )));
        }
        let len = kept.as_ref().map_or(images, |kept| kept.len());
        let order = Order::Epochs { seed, len, views, kept };
        Self::augmented((dataset, images), config, seed, order, batch, steps, workers)
    }

    /// The views that [`Loader::repeated_views`] repeats, each once: view 0 of every image in the data set's order, then
    /// view 1, to view `views` − 1. The last batch is short where `batch` does not divide their number.
    ///
    /// # Errors
    /// As [`Loader::views`].
    pub fn every_view(
        dataset: Arc<Dataset>,
        config: ViewConfig,
        seed: u64,
        views: u64,
        batch: usize,
        steps: Range<u64>,
        workers: usize,
    ) -> Result<Self> {
        let len = check(&dataset, &config, batch)?;
        Self::augmented((dataset, len), config, seed, Order::Once { len, views }, batch, steps, workers)
    }

    /// The data set comes with the number of images that it had when the loader was asked for.
    fn augmented(
        (dataset, len): (Arc<Dataset>, usize),
        config: ViewConfig,
        seed: u64,
        order: Order,
        batch: usize,
        steps: Range<u64>,
        workers: usize,
    ) -> Result<Self> {
        if steps.end.checked_mul(batch as u64).is_none() {
            return Err(Error::invalid(format!(
                "step {} of batches of {batch} exceeds 64-bit sample numbers",
                steps.end
            )));
        }
        let plan = Plan { steps, batch, view_len: config.view_len(), order };
        let (width, height) = (config.width, config.height);
        let (on_device, cropping) = (config.on_device(), config.clone());
        let failed = Failed::default();
        let find = move |Asked { slot, pass }: Asked| -> Result<(usize, ScaledFrame, ViewParams)> {
            // The same view however often it is drawn: first to choose the scale, then to cut it out.
            let params = |width: u32, height: u32| {
                let mut rng = generator(seed, slot.view, slot.index as u64, Purpose::View);
                ViewParams::sample(&config, width, height, &mut rng)
            };
            let choose = |width: u32, height: u32| Reading::of_view(&config, width, height, params(width, height).crop);
            let (index, frame) = failed.next_sound(&dataset, (slot.index, pass), len, choose)?;
            let params = params(frame.width, frame.height);
            Ok((index, frame, params))
        };
        let stream = if on_device {
            let draw = move |asked: Asked, levels: &mut [u8], scratch: &mut Scratch| {
                let (index, frame, params) = find(asked)?;
                let channels = crop_scaled(&frame, params.crop, &cropping, levels, scratch)?;
                Ok(Cropped { index, channels, params })
            };
            Stream::Crops(Prefetch::start(plan, workers, draw)?)
        } else {
            let draw = move |asked: Asked, view: &mut [f32], scratch: &mut Scratch| {
                let (index, frame, params) = find(asked)?;
                render_scaled(&frame, &params, &cropping, view, scratch)?;
                Ok(Shown { index, broken: false })
            };
            Stream::Views(Prefetch::start(plan, workers, draw)?)
        };
        Ok(Self { stream, width, height, waited: Duration::ZERO })
    }

    /// Every image once as a session sees it, in the data set's order, for embedding and evaluation. The last batch is short
    /// where `batch` does not divide the number of images. A broken image gives zeros, and its place stands in
    /// [`Batch::broken`].
    ///
    /// # Errors
    /// As [`Loader::views`], but broken images are none.
    pub fn frames(dataset: Arc<Dataset>, config: ViewConfig, batch: usize, workers: usize) -> Result<Self> {
        let len = check(&dataset, &config, batch)?;
        let steps = 0..len.div_ceil(batch) as u64;
        let plan = Plan { steps, batch, view_len: config.view_len(), order: Order::Once { len, views: 1 } };
        let (width, height) = (config.width, config.height);
        let draw = move |Asked { slot, .. }: Asked, view: &mut [f32], scratch: &mut Scratch| {
            let choose = |width: u32, height: u32| Reading::of_frame(&config, width, height);
            let broken = match dataset.load_scaled(slot.index, choose) {
                Ok(frame) => {
                    render_frame_scaled(&frame, &config, view, scratch)?;
                    false
                }
                Err(error) if error.kind() == ErrorKind::OutOfMemory => return Err(error),
                Err(_) => {
                    view.fill(0.0);
                    true
                }
            };
            Ok(Shown { index: slot.index, broken })
        };
        let stream = Stream::Views(Prefetch::start(plan, workers, draw)?);
        Ok(Self { stream, width, height, waited: Duration::ZERO })
    }

    /// Takes a batch's buffer back, for one to come.
    pub fn recycle(&self, batch: Batch) {
        match (&self.stream, batch.crops) {
            (Stream::Views(prefetch), _) => prefetch.recycle(batch.pixels),
            (Stream::Crops(prefetch), Some(crops)) => prefetch.recycle(crops.levels),
            (Stream::Crops(_), None) => {}
        }
    }

    /// How long [`Iterator::next`] has waited for the workers so far. Much of a step's time means that loading is the
    /// bottleneck.
    pub fn waited(&self) -> Duration {
        self.waited
    }
}

impl Iterator for Loader {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        let began = Instant::now();
        let (width, height) = (self.width, self.height);
        let batch = match &mut self.stream {
            Stream::Views(prefetch) => prefetch.next().map(|filled| {
                filled.map(|Filled { step, pixels, drawn, slots }| Batch {
                    pixels,
                    crops: None,
                    indices: drawn.iter().map(|shown| shown.index).collect(),
                    broken: (0..drawn.len()).filter(|&place| drawn[place].broken).collect(),
                    slots,
                    width,
                    height,
                    step,
                })
            }),
            Stream::Crops(prefetch) => prefetch.next().map(|filled| {
                filled.map(|Filled { step, pixels, drawn, slots }| Batch {
                    slots,
                    ..Batch::of_crops(pixels, &drawn, width, height, step)
                })
            }),
        };
        self.waited += began.elapsed();
        batch
    }
}

fn check(dataset: &Dataset, config: &ViewConfig, batch: usize) -> Result<usize> {
    config.check()?;
    if dataset.is_empty() {
        return Err(Error::invalid("the data set is empty, expected at least one image"));
    }
    if batch == 0 || batch.checked_mul(config.view_len()).is_none() {
        return Err(Error::invalid(format!("the batch is {batch} images, expected 1 or more that fit in memory")));
    }
    Ok(dataset.len())
}

/// Which images could not be used in which pass. Within a pass they are not asked for again: were a folder of many images away,
/// each slot would ask for all of them.
#[derive(Default)]
struct Failed(Mutex<BTreeMap<usize, u64>>);

impl Failed {
    /// The first image that can be used in `pass`, from `start` on and around.
    fn next_sound(
        &self,
        dataset: &Dataset,
        (start, pass): (usize, u64),
        len: usize,
        choose: impl Fn(u32, u32) -> Reading,
    ) -> Result<(usize, ScaledFrame)> {
        for index in (start..len).chain(0..start) {
            if lock(&self.0).get(&index) == Some(&pass) {
                continue;
            }
            match dataset.load_scaled(index, &choose) {
                Ok(frame) => return Ok((index, frame)),
                Err(error) if error.kind() == ErrorKind::OutOfMemory => return Err(error),
                Err(_) => _ = lock(&self.0).insert(index, pass),
            }
        }
        Err(dataset.nothing_to_read())
    }
}
