//! Batches of views, in order, from worker threads: each view of [`Batch`] is (B, H, W, 3) f32, or crops for the device.
//!
//! A run is an endless stream of samples, cut into batches wherever they end:
//!
//! ```text
//! sample n = step · B + b      epoch = n / len      image = permutation(seed, epoch)[n mod len]
//! view randomness = generator(seed, view, image, View)      view = epoch, or epoch mod V where V views are repeated
//! of a further view j of the image in one batch: generator(seed, 64 · view + j, image, Beside)
//! ```
//!
//! So batch `step` is the same whichever step the loader starts at and however many workers there are.
//!
//! ```
//! use seed::data::{Dataset, FrameView, Input, Loader, PixelFormat};
//! let dataset = std::sync::Arc::new(Dataset::in_memory());
//! dataset.push("grey", &FrameView::new(&[128; 64], 8, 8, 8, PixelFormat::Mono8)?)?;
//! let config = Input { width: 4, height: 4, ..Input::default() }.into();
//! let mut loader = Loader::views(dataset, config, 7, 2, 0..3, 1)?;
//! while let Some(batch) = loader.next() {
//!     let batch = batch?;
//!     assert_eq!(batch.views[0].pixels.len(), 2 * 4 * 4 * 3);
//!     loader.recycle(batch);
//! }
//! # Ok::<(), seed::Error>(())
//! ```

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::augment::{ViewConfig, ViewParams};
use super::batch::{Batch, Cropped, MAX_VIEWS, Views, of_view};
use super::dataset::Dataset;
use super::input::Input;
use super::lock;
use super::order::Order;
use super::prefetch::{Asked, Filled, Plan, Prefetch};
use super::render::{Scratch, crop_scaled, render_frame_scaled, render_scaled};
use super::scale::{Reading, ScaledFrame};
use crate::error::{Error, ErrorKind, Result};

pub use super::order::{Share, Slot};

/// An iterator over batches that worker threads prepare ahead. Dropping it stops and joins them.
///
/// An error of the data set ends the stream; a panic in a worker costs only the batch it happened in.
pub struct Loader {
    stream: Stream,
    /// Width and height of each view.
    sides: Vec<(u32, u32)>,
    waited: Duration,
}

/// Which views of which images the batches of a run hold.
#[derive(Debug, Clone)]
pub struct Sampling {
    /// One for each view of an image, up to [`MAX_VIEWS`]; all of them are made of one reading of its frame, whose samples become levels as
    /// the first one says unless the data set does. They are made by the workers or on the device as the first one says.
    pub recipes: Vec<ViewConfig>,
    /// Of the run.
    pub seed: u64,
    /// Epoch e shows view e mod this number, so that every image has as many in all; 0: a fresh view every epoch. The order of the
    /// images is the epoch's own either way.
    pub repeated: u64,
    /// Where it is given, these images alone are shown, unless as the next sound one behind a broken image. An epoch is as many
    /// samples as there are images.
    pub kept: Option<Arc<[usize]>>,
}

/// What the workers make.
enum Stream {
    /// Whole views.
    Views(Prefetch<f32, Shown>),
    /// Crops, whose views are made on a device.
    Crops(Prefetch<u8, (usize, Vec<Cropped>)>),
}

/// What a worker says about the views it has made.
struct Shown {
    /// The image.
    index: usize,
    /// Whether that could not be used.
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
        let sampling = Sampling { recipes: vec![config], seed, repeated: 0, kept: None };
        Self::sampled(dataset, sampling, batch, steps, workers)
    }

    /// As [`Loader::views`], of what `sampling` names.
    ///
    /// # Errors
    /// As [`Loader::views`]; `InvalidArgument` where `kept` is empty or names an image that is not there, or for no recipe or too many.
    pub fn sampled(
        dataset: Arc<Dataset>,
        sampling: Sampling,
        batch: usize,
        steps: Range<u64>,
        workers: usize,
    ) -> Result<Self> {
        Self::shared(dataset, sampling, batch, Share::ALL, steps, workers)
    }

    /// As [`Loader::sampled`], but only `share` of each batch: parts of `batch` images, which make up a batch of `share.of` times as many.
    ///
    /// # Errors
    /// As [`Loader::sampled`].
    pub fn shared(
        dataset: Arc<Dataset>,
        sampling: Sampling,
        batch: usize,
        share: Share,
        steps: Range<u64>,
        workers: usize,
    ) -> Result<Self> {
        let Sampling { recipes, seed, repeated, kept } = sampling;
        let images = check(&dataset, &recipes, batch)?;
        if let Some(kept) = &kept
            && (kept.is_empty() || kept.iter().any(|&image| image >= images))
        {
            return Err(Error::invalid(format!(
                "{} images were chosen of {images}, expected at least one and none beyond the last",
                kept.len()
            )));
        }
        let len = kept.as_ref().map_or(images, |kept| kept.len());
        let order = Order::Epochs { seed, len, views: repeated, kept };
        Self::augmented((dataset, images), recipes, seed, order, (batch, share), steps, workers)
    }

    /// The views that a [`Sampling`] with `views` repeated ones shows, each once: view 0 of every image in the data set's order, then
    /// view 1, to view `views` − 1. The last batch is short where `batch` does not divide their number.
    ///
    /// # Errors
    /// As [`Loader::views`].
    pub fn every_view(
        dataset: Arc<Dataset>,
        recipes: Vec<ViewConfig>,
        seed: u64,
        views: u64,
        batch: usize,
        steps: Range<u64>,
        workers: usize,
    ) -> Result<Self> {
        let len = check(&dataset, &recipes, batch)?;
        Self::augmented((dataset, len), recipes, seed, Order::Once { len, views }, (batch, Share::ALL), steps, workers)
    }

    /// The data set comes with the number of images that it had when the loader was asked for.
    fn augmented(
        (dataset, len): (Arc<Dataset>, usize),
        recipes: Vec<ViewConfig>,
        seed: u64,
        order: Order,
        (batch, share): (usize, Share),
        steps: Range<u64>,
        workers: usize,
    ) -> Result<Self> {
        if share.part >= share.of {
            return Err(Error::invalid(format!("part {} of {} of a batch, counted from 0", share.part, share.of)));
        }
        if steps.end.checked_mul(share.of).and_then(|parts| parts.checked_mul(batch as u64)).is_none() {
            return Err(Error::invalid(format!(
                "step {} of batches of {batch} exceeds 64-bit sample numbers",
                steps.end
            )));
        }
        let plan = Plan {
            steps,
            batch,
            share,
            view_lens: recipes.iter().map(|recipe| recipe.input.view_len()).collect(),
            order,
        };
        let sides = recipes.iter().map(|recipe| (recipe.input.width, recipe.input.height)).collect();
        let (on_device, cropping) = (recipes[0].on_device(), recipes.clone());
        let failed = Failed::default();
        let find = move |Asked { slot, pass }: Asked| -> Result<(usize, ScaledFrame, Vec<ViewParams>)> {
            // The same views however often they are drawn: first to choose the scale, then to cut them out.
            let params = |width: u32, height: u32| -> Vec<ViewParams> {
                let draw = |(number, recipe): (usize, &ViewConfig)| {
                    let mut rng = of_view(seed, slot, number);
                    ViewParams::sample(recipe, width, height, &mut rng)
                };
                recipes.iter().enumerate().map(draw).collect()
            };
            // As large as the view needs it that needs most.
            let choose = |width: u32, height: u32| {
                let readings = recipes.iter().zip(params(width, height));
                let readings = readings.map(|(recipe, params)| Reading::of_view(recipe, width, height, params.crop));
                readings.min_by_key(|reading| reading.scale).unwrap_or(Reading::WHOLE)
            };
            let (index, frame) =
                failed.next_sound((&dataset, &recipes[0].input.range), (slot.index, pass), len, choose)?;
            let held = recipes[0].input.roi.within(frame.width, frame.height);
            held.map_err(|error| error.context(dataset.title(index)))?;
            let params = params(frame.width, frame.height);
            Ok((index, frame, params))
        };
        let stream = if on_device {
            let draw = move |asked: Asked, levels: &mut [Vec<u8>], scratch: &mut Scratch| {
                let (index, frame, params) = find(asked)?;
                let mut drawn = Vec::with_capacity(params.len());
                for ((recipe, params), levels) in cropping.iter().zip(params).zip(levels) {
                    let channels = crop_scaled(&frame, params.crop, recipe, levels, scratch)?;
                    drawn.push(Cropped { channels, params });
                }
                Ok((index, drawn))
            };
            Stream::Crops(Prefetch::start(plan, workers, draw)?)
        } else {
            let draw = move |asked: Asked, views: &mut [Vec<f32>], scratch: &mut Scratch| {
                let (index, frame, params) = find(asked)?;
                for ((recipe, params), view) in cropping.iter().zip(&params).zip(views) {
                    render_scaled(&frame, params, recipe, view, scratch)?;
                }
                Ok(Shown { index, broken: false })
            };
            Stream::Views(Prefetch::start(plan, workers, draw)?)
        };
        Ok(Self { stream, sides, waited: Duration::ZERO })
    }

    /// Every image once as a session sees it, in the data set's order, for embedding and evaluation. The last batch is short
    /// where `batch` does not divide the number of images. The place of a broken image stands in [`Batch::broken`].
    ///
    /// # Errors
    /// As [`Loader::views`], but broken images are none.
    pub fn frames(dataset: Arc<Dataset>, input: Input, batch: usize, workers: usize) -> Result<Self> {
        let recipe = ViewConfig::from(input);
        let len = check(&dataset, std::slice::from_ref(&recipe), batch)?;
        let steps = 0..len.div_ceil(batch) as u64;
        let plan = Plan {
            steps,
            batch,
            share: Share::ALL,
            view_lens: vec![input.view_len()],
            order: Order::Once { len, views: 1 },
        };
        let sides = vec![(input.width, input.height)];
        let draw = move |Asked { slot, .. }: Asked, views: &mut [Vec<f32>], scratch: &mut Scratch| {
            let choose = |width: u32, height: u32| Reading::of_frame(&input, width, height);
            let view = &mut views[0];
            let broken = match dataset.load_scaled(slot.index, &input.range, choose) {
                Ok(frame) => {
                    let drawn = render_frame_scaled(&frame, &input, view, scratch);
                    drawn.map_err(|error| error.context(dataset.title(slot.index)))?;
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
        Ok(Self { stream, sides, waited: Duration::ZERO })
    }

    /// Takes a batch's buffers back, for one to come.
    pub fn recycle(&self, batch: Batch) {
        match &self.stream {
            Stream::Views(prefetch) => prefetch.recycle(batch.views.into_iter().map(|views| views.pixels).collect()),
            Stream::Crops(prefetch) => {
                prefetch.recycle(batch.views.into_iter().filter_map(|views| views.crops).map(|c| c.levels).collect());
            }
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
        let sides = &self.sides;
        let batch = match &mut self.stream {
            Stream::Views(prefetch) => prefetch.next().map(|filled| {
                filled.map(|Filled { step, pixels, drawn, slots }| {
                    let of = |(pixels, &(width, height)): (_, &_)| Views { pixels, crops: None, width, height };
                    Batch {
                        views: pixels.into_iter().zip(sides).map(of).collect(),
                        indices: drawn.iter().map(|shown| shown.index).collect(),
                        broken: (0..drawn.len()).filter(|&place| drawn[place].broken).collect(),
                        slots,
                        step,
                    }
                })
            }),
            Stream::Crops(prefetch) => prefetch.next().map(|filled| {
                filled.map(|Filled { step, pixels, drawn, slots }| {
                    let of = |number: usize| -> Vec<Cropped> { drawn.iter().map(|(_, crops)| crops[number]).collect() };
                    let views = pixels.into_iter().zip(sides).enumerate();
                    let views = views.map(|(number, (levels, &(width, height)))| {
                        Views::of_crops(levels, &of(number), width, height)
                    });
                    Batch {
                        views: views.collect(),
                        indices: drawn.iter().map(|&(index, _)| index).collect(),
                        broken: Vec::new(),
                        slots,
                        step,
                    }
                })
            }),
        };
        self.waited += began.elapsed();
        batch
    }
}

/// Checks what a loader is asked for; gives the number of images.
fn check(dataset: &Dataset, recipes: &[ViewConfig], batch: usize) -> Result<usize> {
    recipes.iter().try_for_each(ViewConfig::check)?;
    if recipes.is_empty() || recipes.len() > MAX_VIEWS {
        return Err(Error::invalid(format!(
            "a batch is to have {} views of each image, expected 1 to {MAX_VIEWS}",
            recipes.len()
        )));
    }
    if dataset.is_empty() {
        return Err(Error::invalid("the data set is empty, expected at least one image"));
    }
    let numbers = recipes.iter().fold(0usize, |sum, recipe| sum.saturating_add(recipe.input.view_len()));
    if batch == 0 || batch.checked_mul(numbers).is_none() {
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
        (dataset, range): (&Dataset, &super::Range),
        (start, pass): (usize, u64),
        len: usize,
        choose: impl Fn(u32, u32) -> Reading,
    ) -> Result<(usize, ScaledFrame)> {
        for index in (start..len).chain(0..start) {
            if lock(&self.0).get(&index) == Some(&pass) {
                continue;
            }
            match dataset.load_scaled(index, range, &choose) {
                Ok(frame) => return Ok((index, frame)),
                Err(error) if error.kind() == ErrorKind::OutOfMemory => return Err(error),
                Err(_) => _ = lock(&self.0).insert(index, pass),
            }
        }
        Err(dataset.nothing_to_read())
    }
}
