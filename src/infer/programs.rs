//! libtorch as an engine: a network's fused programs. Number format and piece size are chosen once, when the session is made.
//!
//! - Format "auto" is bfloat16 where the device computes in it and the network bears it: on calibration images the rows
//!   must keep a cosine of [`BEARABLE`] to those in float32. Else it is float32.
//! - The piece, the number of images that go through the CPU at once, is the fastest of [`PIECES`], by the clock.

use std::time::{Duration, Instant};

use tch::{Device, Kind, Tensor};

use super::Output;
use crate::config::Precision;
use crate::data::Input;
use crate::data::random::{Purpose, generator};
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Fused, Network, Stage};
use crate::{device, torch};

/// Smallest cosine between rows in bfloat16 and float32 for which "auto" takes bfloat16.
pub const BEARABLE: f64 = 0.999;

/// Images at once that are tried on a CPU. The first is not the fastest for any network here, and the last never fits a
/// cache, but machines differ.
const PIECES: [i64; 3] = [4, 8, 16];

/// Images that formats and engines are compared on.
pub(super) const CALIBRATION: i64 = 8;

/// Passes that the clock takes the best of.
const LAPS: usize = 2;

/// Programs of a network of ours.
pub(super) struct Programs {
    /// Packed for one image.
    single: Fused,
    /// Packed for a piece of several; the CPU only.
    several: Option<Fused>,
    kind: Kind,
    output: Output,
    /// H, W.
    size: (i64, i64),
}

impl Programs {
    /// The programs of `network` for views that `input` describes. `kind` None is "auto".
    ///
    /// # Errors
    /// `InvalidArgument` for another format than the two; those of [`Fused::new`] and of the calibration passes.
    pub fn choose(network: &Network, input: &Input, kind: Option<Kind>, output: Output) -> Result<Programs> {
        let size @ (height, width) = (i64::from(input.height), i64::from(input.width));
        let build = |kind, piece| Fused::new(network, kind, piece, height, width);
        let kind = match kind {
            Some(kind @ (Kind::Float | Kind::BFloat16)) => kind,
            Some(other) => {
                return Err(Error::invalid(format!("precision is {other:?}, expected float32 or bfloat16")));
            }
            None => bearable(&build, output, size)?,
        };
        let single = build(kind, 1)?;
        if single.device() != Device::Cpu {
            return Ok(Programs { single, several: None, kind, output, size });
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
        Ok(Programs { single, several: best.map(|(_, program)| program), kind, output, size })
    }

    /// One program in float32, whose rows others are compared with.
    ///
    /// # Errors
    /// Those of [`Fused::new`].
    pub fn exact(network: &Network, input: &Input, output: Output) -> Result<Programs> {
        let size @ (height, width) = (i64::from(input.height), i64::from(input.width));
        let single = Fused::new(network, Kind::Float, CALIBRATION, height, width)?;
        Ok(Programs { single, several: None, kind: Kind::Float, output, size })
    }

    /// images (B, C, H, W) on the programs' device → rows (B, d), float32.
    pub fn run(&self, images: &Tensor) -> Result<Tensor> {
        rows(self.of(images), images, self.output)
    }

    /// images (B, C, H, W) on the programs' device → maps (B, C, h, w) of the stages, float32.
    pub fn stage_maps(&self, images: &Tensor, stages: &[Stage]) -> Result<Vec<Tensor>> {
        self.of(images).maps(images, stages)
    }

    fn of(&self, images: &Tensor) -> &Fused {
        self.several.as_ref().filter(|_| images.size()[0] > 1).unwrap_or(&self.single)
    }

    /// The feature maps that can be asked for; all programs number them alike.
    pub fn stages(&self) -> &[Stage] {
        self.single.stages()
    }

    /// Number format of products and convolutions.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Images that go through at once; 0: as many as come.
    pub fn piece(&self) -> i64 {
        self.several.as_ref().map_or(0, Fused::piece)
    }

    /// Where they compute.
    pub fn device(&self) -> Device {
        self.single.device()
    }

    /// Views (B, H, W, C) as images (B, C, H, W) on the programs' device, channels-last; on the CPU they are the views' own memory.
    ///
    /// # Safety
    /// The views outlive the images and are not written to meanwhile.
    unsafe fn images(&self, views: &[f32]) -> Result<Tensor> {
        let ((height, width), channels) = (self.size, self.single.channels());
        let batch = views.len() as i64 / (height * width * channels).max(1);
        // The permuted view of NHWC memory is a channels-last NCHW tensor.
        let size = [batch, channels, height, width];
        let strides = [height * width * channels, 1, width * channels, channels];
        // SAFETY: as above.
        let images = unsafe { Tensor::f_from_blob(views.as_ptr().cast(), &size, &strides, Kind::Float, Device::Cpu) }?;
        torch::copy_to(&images, self.device())
    }
}

impl Engine for Programs {
    fn describe(&self) -> String {
        "libtorch".to_owned()
    }

    fn rows(&self, views: &[f32], rows: &mut [f32]) -> Result<()> {
        // SAFETY: the views stand still until the end of this function, and nothing that is made of the images outlives it.
        let found = self.run(&unsafe { self.images(views) }?)?;
        let found = torch::copy_to(&found, Device::Cpu)?.f_contiguous()?;
        Ok(found.f_copy_data(rows, rows.len())?)
    }

    fn maps(&self, views: &[f32], stages: &[usize], maps: &mut [Vec<f32>]) -> Result<()> {
        let stage = |&number: &usize| {
            let stage = self.stages().get(number).cloned();
            stage.ok_or_else(|| Error::new(ErrorKind::Internal, format!("there is no stage {number}")))
        };
        let stages: Vec<Stage> = stages.iter().map(stage).collect::<Result<_>>()?;
        // SAFETY: as for rows.
        let found = self.stage_maps(&unsafe { self.images(views) }?, &stages)?;
        for (map, values) in found.iter().zip(maps) {
            let map = torch::copy_to(map, Device::Cpu)?.f_contiguous()?;
            let count = values.len();
            map.f_copy_data(values, count)?;
        }
        Ok(())
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
fn bearable(build: &impl Fn(Kind, i64) -> Result<Fused>, output: Output, (height, width): (i64, i64)) -> Result<Kind> {
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
///
/// # Errors
/// `OutOfMemory` or `Torch` from libtorch.
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
