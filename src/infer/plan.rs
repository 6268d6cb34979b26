//! How a session computes: number format and piece size, chosen once when the session is made.
//!
//! - Format "auto" is bfloat16 where the device computes in it and the network bears it: on calibration images the rows
//!   must keep a cosine of [`BEARABLE`] to those in float32. Else it is float32.
//! - The piece, the number of images that go through the CPU at once, is the fastest of [`PIECES`], by the clock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tch::{Device, Kind, Tensor};

use super::Output;
use crate::config::Precision;
use crate::data::random::{Purpose, generator};
use crate::error::{Error, ErrorKind, Result};
use crate::finite::Names;
use crate::model::{Embedder, Fused, Stage, embed_with};
use crate::{device, torch};

/// Smallest cosine between rows in bfloat16 and float32 for which "auto" takes bfloat16.
pub const BEARABLE: f64 = 0.999;

/// Images at once that are tried on a CPU. The first is not the fastest for any network here, and the last never fits a
/// cache, but machines differ.
const PIECES: [i64; 3] = [4, 8, 16];

/// Images that the formats are compared on.
const CALIBRATION: i64 = 8;

/// Passes that the clock takes the best of.
const LAPS: usize = 2;

/// What a session computes by.
pub(super) enum Plan {
    /// Programs of a network of ours.
    Programs {
        /// Packed for one image.
        single: Box<Fused>,
        /// Packed for a piece of several; the CPU only.
        several: Option<Fused>,
        /// Number format of products and convolutions.
        kind: Kind,
    },
    /// A teacher that is none, whose embeddings alone are known.
    Embedder(Arc<dyn Embedder>),
}

impl Plan {
    /// The plan for images of height × width; `build` makes a program in a format for a piece. `kind` None is "auto".
    ///
    /// # Errors
    /// Those of `build` and of the calibration passes.
    pub fn choose(
        build: impl Fn(Kind, i64) -> Result<Fused>,
        kind: Option<Kind>,
        output: Output,
        (height, width): (i64, i64),
    ) -> Result<Plan> {
        let kind = match kind {
            Some(kind @ (Kind::Float | Kind::BFloat16)) => kind,
            Some(other) => {
                return Err(Error::invalid(format!("precision is {other:?}, expected float32 or bfloat16")));
            }
            None => bearable(&build, output, height, width)?,
        };
        let single = build(kind, 1)?;
        if single.device() != Device::Cpu {
            return Ok(Plan::Programs { single: Box::new(single), several: None, kind });
        }
        let images = calibration_images(PIECES[PIECES.len() - 1], single.channels(), height, width)?;
        let mut best: Option<(Duration, Fused)> = None;
        for piece in PIECES {
            let program = build(kind, piece)?;
            let time = clock(&program, &images.f_narrow(0, 0, piece)?, output)? / piece as u32;
            if best.as_ref().is_none_or(|(fastest, _)| time < *fastest) {
                best = Some((time, program));
            }
        }
        // The passes above warmed libtorch up for pieces; this one does for single images.
        clock(&single, &images.f_narrow(0, 0, 1)?, output)?;
        Ok(Plan::Programs { single: Box::new(single), several: best.map(|(_, program)| program), kind })
    }

    /// images (B, C, H, W) on the CPU or the plan's device → rows (B, d), float32. Errors of an embedder call image i by the name
    /// that `names` gives; rows of programs are not looked at here.
    pub fn run(&self, images: &Tensor, output: Output, names: Names) -> Result<Tensor> {
        let images = torch::copy_to(images, self.device())?;
        match self {
            Plan::Programs { several: Some(several), .. } if images.size()[0] > 1 => rows(several, &images, output),
            Plan::Programs { single, .. } => rows(single, &images, output),
            Plan::Embedder(embedder) => embed_with(&**embedder, &images, names),
        }
    }

    /// images (B, C, H, W) on the CPU or the plan's device → maps (B, C, h, w) of the stages, float32.
    ///
    /// # Errors
    /// `Unsupported` for a teacher that is no network of ours.
    pub fn maps(&self, images: &Tensor, stages: &[Stage]) -> Result<Vec<Tensor>> {
        let images = torch::copy_to(images, self.device())?;
        match self {
            Plan::Programs { several: Some(several), .. } if images.size()[0] > 1 => several.maps(&images, stages),
            Plan::Programs { single, .. } => single.maps(&images, stages),
            Plan::Embedder(_) => {
                let reason = "a teacher that is no network of libseed has no feature maps to give";
                Err(Error::new(ErrorKind::Unsupported, reason))
            }
        }
    }

    /// The feature maps that can be asked for; all programs of a plan number them alike.
    pub fn stages(&self) -> &[Stage] {
        match self {
            Plan::Programs { single, .. } => single.stages(),
            Plan::Embedder(_) => &[],
        }
    }

    /// Number format of products and convolutions, where it is known.
    pub fn kind(&self) -> Option<Kind> {
        match self {
            Plan::Programs { kind, .. } => Some(*kind),
            Plan::Embedder(_) => None,
        }
    }

    /// Images that go through at once; 0: as many as come.
    pub fn piece(&self) -> i64 {
        match self {
            Plan::Programs { several: Some(several), .. } => several.piece(),
            _ => 0,
        }
    }

    /// Where it computes.
    pub fn device(&self) -> Device {
        match self {
            Plan::Programs { single, .. } => single.device(),
            Plan::Embedder(embedder) => embedder.device(),
        }
    }
}

fn rows(program: &Fused, images: &Tensor, output: Output) -> Result<Tensor> {
    match output {
        Output::Features => program.features(images),
        Output::Embedding => crate::model::unit_rows(&program.forward(images)?),
        Output::Logits => program.forward(images),
    }
}

/// bfloat16 where device and network bear it.
fn bearable(build: &impl Fn(Kind, i64) -> Result<Fused>, output: Output, height: i64, width: i64) -> Result<Kind> {
    let exact = build(Kind::Float, CALIBRATION)?;
    if device::precision(Precision::Auto, exact.device()) == Kind::Float {
        return Ok(Kind::Float);
    }
    let rough = build(Kind::BFloat16, CALIBRATION)?;
    let images = calibration_images(CALIBRATION, exact.channels(), height, width)?.f_to_device(exact.device())?;
    let (a, b) = (rows(&exact, &images, output)?, rows(&rough, &images, output)?);
    let cosine = Tensor::f_cosine_similarity(&a, &b, 1, 1e-12)?.f_min()?.f_double_value(&[])?;
    let kind = if cosine >= BEARABLE { Kind::BFloat16 } else { Kind::Float };
    log::info!(
        "the session computes in {kind:?}: cosine of bfloat16 to float32 is {cosine:.5}, {BEARABLE} is asked for"
    );
    Ok(kind)
}

fn clock(program: &Fused, images: &Tensor, output: Output) -> Result<Duration> {
    let _warm = rows(program, images, output)?;
    let mut best = Duration::MAX;
    for _ in 0..LAPS {
        let start = Instant::now();
        let _rows = rows(program, images, output)?;
        best = best.min(start.elapsed());
    }
    Ok(best)
}

/// Pictures with the spectrum of photographs (amplitude falls with frequency), normalised, always the same:
/// (count, channels, height, width), channels-last; the first `channels` of three.
pub(crate) fn calibration_images(count: i64, channels: i64, height: i64, width: i64) -> Result<Tensor> {
    let (images, rows, columns) = (count.max(0) as usize, height.max(0) as usize, width.max(0) as usize);
    let mut values: Vec<f32> = Vec::new();
    values
        .try_reserve_exact(images.saturating_mul(rows).saturating_mul(columns).saturating_mul(3))
        .map_err(|_| Error::new(ErrorKind::OutOfMemory, "cannot allocate the calibration images"))?;
    for image in 0..images {
        let mut random = generator(0, 0, image as u64, Purpose::Initialise);
        let mut unit = || rand_core::RngCore::next_u32(&mut random) as f32 / u32::MAX as f32;
        // Six waves, each of another length and direction; amplitude 1/frequency.
        let waves: Vec<[f32; 6]> = (0..6)
            .map(|octave| {
                let frequency = 2f32.powi(octave);
                let angle = unit() * std::f32::consts::TAU;
                let turns = frequency * std::f32::consts::TAU / columns.max(rows) as f32;
                let colour = [unit(), unit(), unit()].map(|share| (0.5 + share) / frequency.sqrt());
                [
                    angle.cos() * turns,
                    angle.sin() * turns,
                    unit() * std::f32::consts::TAU,
                    colour[0],
                    colour[1],
                    colour[2],
                ]
            })
            .collect();
        for y in 0..rows {
            for x in 0..columns {
                let mut pixel = [0f32; 3];
                for [across, down, phase, red, green, blue] in &waves {
                    let level = (x as f32 * across + y as f32 * down + phase).sin();
                    pixel = [pixel[0] + level * red, pixel[1] + level * green, pixel[2] + level * blue];
                }
                let grain = unit() - 0.5;
                values.extend(pixel.map(|level| level * 0.8 + grain));
            }
        }
    }
    Ok(Tensor::f_from_slice(&values)?
        .f_view([count, height, width, 3])?
        .f_narrow(3, 0, channels)?
        .f_permute([0, 3, 1, 2])?)
}
