//! The views of one step: [`Batch`], a number of views of each image, whole ones or, where the device finishes them, [`Crops`].

use std::sync::Arc;

use rand_chacha::ChaCha8Rng;

use super::augment::{ViewConfig, ViewParams};
use super::frame::Frame;
use super::order::Slot;
use super::random::{Purpose, generator};
use super::render::{Scratch, crop_scaled, render};
use super::scale::ScaledFrame;
use crate::error::Result;
use crate::sys::memory::filled;

/// Views of an image in a batch at most.
pub const MAX_VIEWS: usize = 64;

/// The images of one step, one or several views of each.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// One for each recipe, at least one; place i of all of them shows the same image.
    pub views: Vec<Views>,
    /// Which image each place shows, B numbers: the sound one where a broken one was replaced.
    pub indices: Vec<usize>,
    /// Places whose image could not be used, so that their pixels mean nothing; only where nothing takes its place
    /// ([`Loader::frames`](super::Loader::frames)).
    pub broken: Vec<usize>,
    /// Which view of which image was asked for at each place, B of them; none for the application's own frames.
    pub slots: Vec<Slot>,
    /// Number of the step.
    pub step: u64,
}

/// A view of each image of a batch, all by one recipe.
#[derive(Debug, Clone, PartialEq)]
pub struct Views {
    /// (B, H, W, C), normalised: the memory of a channels-last (B, C, H, W) tensor, C the view's channels. Empty where there
    /// are `crops`.
    pub pixels: Vec<f32>,
    /// What the device makes the views of, where [`ViewConfig::device`] says so.
    pub crops: Option<Crops>,
    /// W.
    pub width: u32,
    /// H.
    pub height: u32,
}

/// Cropped and resized frames, and what is still to be done to each.
#[derive(Debug, Clone, PartialEq)]
pub struct Crops {
    /// (B, H, W, C).
    pub levels: Vec<u8>,
    /// C: 1 where all B frames are grey, else 3.
    pub channels: usize,
    /// Of each view; the crop is done.
    pub params: Vec<ViewParams>,
}

/// What a worker says about the crop it has made.
#[derive(Clone, Copy)]
pub(super) struct Cropped {
    pub channels: usize,
    pub params: ViewParams,
}

impl Views {
    /// `levels` has room for the view's channels for each crop, of which a grey one may fill the first third.
    pub(super) fn of_crops(mut levels: Vec<u8>, drawn: &[Cropped], width: u32, height: u32) -> Self {
        let pixels = width as usize * height as usize;
        let grey = drawn.iter().all(|crop| crop.channels == 1);
        if levels.len() == drawn.len() * pixels {
            // The views are grey: there was room for one channel only.
        } else if grey {
            for place in 1..drawn.len() {
                levels.copy_within(place * pixels * 3..place * pixels * 3 + pixels, place * pixels);
            }
            levels.truncate(drawn.len() * pixels);
        } else {
            for (crop, levels) in drawn.iter().zip(levels.chunks_exact_mut(pixels * 3)) {
                // From the end, so that no level is overwritten before it is read.
                for i in (0..if crop.channels == 1 { pixels } else { 0 }).rev() {
                    let level = levels[i];
                    levels[3 * i..3 * i + 3].fill(level);
                }
            }
        }
        let params = drawn.iter().map(|crop| crop.params).collect();
        let crops = Crops { levels, channels: if grey { 1 } else { 3 }, params };
        Self { pixels: Vec::new(), crops: Some(crops), width, height }
    }

    /// The view that `params` names for each frame and its place.
    fn of_frames(
        frames: &[Frame],
        recipe: &ViewConfig,
        params: impl Fn(usize, &Frame) -> ViewParams,
        scratch: &mut Scratch,
    ) -> Result<Self> {
        let (width, height, view_len) = (recipe.input.width, recipe.input.height, recipe.input.view_len());
        if recipe.on_device() {
            let mut levels = filled(0u8, frames.len().saturating_mul(view_len), "a batch")?;
            let mut drawn = Vec::with_capacity(frames.len());
            for (place, (frame, out)) in frames.iter().zip(levels.chunks_exact_mut(view_len)).enumerate() {
                let params = params(place, frame);
                let whole = ScaledFrame::whole(Arc::new(frame.clone()));
                let channels = crop_scaled(&whole, params.crop, recipe, out, scratch)?;
                drawn.push(Cropped { channels, params });
            }
            return Ok(Self::of_crops(levels, &drawn, width, height));
        }
        let mut pixels = filled(0f32, frames.len().saturating_mul(view_len), "a batch")?;
        for (place, (frame, out)) in frames.iter().zip(pixels.chunks_exact_mut(view_len)).enumerate() {
            render(frame, &params(place, frame), recipe, out, scratch)?;
        }
        Ok(Self { pixels, crops: None, width, height })
    }
}

impl Batch {
    /// A view by each of `recipes` of each frame, of any sizes, with the randomness of (seed, step, place in the batch).
    ///
    /// # Errors
    /// `OutOfMemory`; no other of checked `recipes`.
    pub fn of_frames(frames: &[Frame], recipes: &[ViewConfig], seed: u64, step: u64) -> Result<Self> {
        let mut scratch = Scratch::new();
        let views: Result<_> = recipes
            .iter()
            .enumerate()
            .map(|(number, recipe)| {
                let params = |place: usize, frame: &Frame| {
                    let mut rng = of_view(seed, Slot { view: step, index: place }, number);
                    ViewParams::sample(recipe, frame.width(), frame.height(), &mut rng)
                };
                Views::of_frames(frames, recipe, params, &mut scratch)
            })
            .collect();
        let indices = (0..frames.len()).collect();
        Ok(Self { views: views?, indices, broken: Vec::new(), slots: Vec::new(), step })
    }
}

/// The randomness of the view of this number among those of an image in one batch.
pub(super) fn of_view(seed: u64, slot: Slot, number: usize) -> ChaCha8Rng {
    match number {
        0 => generator(seed, slot.view, slot.index as u64, Purpose::View),
        _ => {
            let epoch = slot.view.wrapping_mul(MAX_VIEWS as u64).wrapping_add(number as u64);
            generator(seed, epoch, slot.index as u64, Purpose::Beside)
        }
    }
}

impl Crops {
    /// Half kernels of each blurred view's blur along a side of `side` pixels, by [`ViewConfig::blur_reach`]: (place in the batch, weights of offsets
    /// 0, 1, …), as the workers' blur takes them.
    pub fn half_kernels(&self, side: u32, reach: f64) -> Vec<(usize, Vec<f32>)> {
        let kernel = |sigma: f64| super::blur::half_kernel(sigma, side, reach);
        let blurred = self.params.iter().enumerate();
        blurred.filter_map(|(place, params)| params.blur_sigma.map(|sigma| (place, kernel(sigma)))).collect()
    }
}
