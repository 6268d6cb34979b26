//! What "auto" goes by: each engine embeds the same made pictures, and the clock decides among those that agree.
//!
//! An engine is out where the cosine of one of its rows to libtorch's in float32 is below [`ALIKE`]. The fastest is the one whose time of one
//! image alone times its time of one in a batch of [`PIECE`] is the least; of two that are alike, libtorch, then the one that came first.

use std::fmt::Write;
use std::time::{Duration, Instant};

use tch::{Device, Kind, Tensor};

use super::Output;
use super::host::HostNetwork;
use super::programs::{CALIBRATION, Programs, calibration_images};
use crate::data::Input;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::eval::agreement::cosine;
use crate::model::Network;
use crate::sys::memory::filled;
use crate::torch;

/// Smallest cosine between an engine's rows and libtorch's in float32 for which "auto" takes the engine.
pub const ALIKE: f64 = 0.9999;

/// Passes that the clock takes the best of.
const LAPS: usize = 5;

/// Pictures of a batch.
const PIECE: usize = 16;

/// Times of one image alone, and of one in a batch.
type Times = [Duration; 2];

/// The pictures, and who was the fastest so far.
pub(super) struct Contest {
    views: Vec<f32>,
    view_len: usize,
    dim: usize,
    /// libtorch's of the first [`CALIBRATION`] pictures, in float32.
    rows: Vec<f32>,
    best: (Option<Box<dyn HostNetwork>>, Times),
    /// What was found, for a person.
    figures: String,
}

impl Contest {
    /// With libtorch's `programs`, in their own number format, as the first.
    ///
    /// # Errors
    /// Those of libtorch, and `OutOfMemory`.
    pub fn new(programs: &Programs, network: &Network, input: &Input, dim: i64, output: Output) -> Result<Contest> {
        let channels = i64::from(input.channels);
        let images = calibration_images(PIECE as i64, channels, i64::from(input.height), i64::from(input.width))?;
        let (views, _) = views_of(&images)?;
        let (view_len, dim) = (input.view_len(), usize::try_from(dim).unwrap_or(0));
        let count = CALIBRATION as usize;
        let mut rows = filled(0f32, count * dim, "rows")?;
        Programs::exact(network, input, output)?.rows(&views[..count * view_len], &mut rows)?;
        let mut contest =
            Contest { views, view_len, dim, rows, best: (None, [Duration::MAX; 2]), figures: String::new() };
        contest.best.1 = contest.clock(programs)?;
        contest.figures = format!("libtorch takes {}", shown(contest.best.1));
        Ok(contest)
    }

    /// Takes `other` for the fastest where it agrees and is.
    ///
    /// # Errors
    /// Those of the engine, and `OutOfMemory`; it is out then.
    pub fn enter(&mut self, other: Box<dyn HostNetwork>) -> Result<()> {
        let mut rows = filled(0f32, self.rows.len(), "rows")?;
        other.rows(&self.views[..CALIBRATION as usize * self.view_len], &mut rows)?;
        let alike = least_cosine(&self.rows, &rows, self.dim);
        let times = self.clock(&*other)?;
        // Writing to a text cannot fail.
        let _written = write!(
            self.figures,
            "; {} takes {}, and the smallest cosine of their rows is {alike:.6}",
            other.describe(),
            shown(times)
        );
        if takes(alike, times, self.best.1) {
            self.best = (Some(other), times);
        }
        Ok(())
    }

    /// Notes that there is no engine of this name.
    pub fn absent(&mut self, name: &str, error: &Error) {
        let _written = write!(self.figures, "; there is no {name}: {error}");
    }

    /// The fastest, None for libtorch, and what was found.
    pub fn result(self) -> (Option<Box<dyn HostNetwork>>, String) {
        (self.best.0, self.figures)
    }

    fn clock(&self, engine: &dyn Engine) -> Result<Times> {
        let mut rows = filled(0f32, PIECE * self.dim, "rows")?;
        let mut times = [Duration::MAX; 2];
        for (time, count) in times.iter_mut().zip([1, PIECE]) {
            for lap in 0..=LAPS {
                let start = Instant::now();
                engine.rows(&self.views[..count * self.view_len], &mut rows[..count * self.dim])?;
                // The first pass warms up.
                if lap > 0 {
                    *time = (*time).min(start.elapsed() / count as u32);
                }
            }
        }
        Ok(times)
    }
}

fn shown([alone, among]: Times) -> String {
    format!("{:.2} ms an image alone and {:.2} in a batch", alone.as_secs_f64() * 1e3, among.as_secs_f64() * 1e3)
}

/// Whether an engine whose rows are that alike and that takes `times` is taken in place of one that takes `best`.
fn takes(alike: f64, times: Times, best: Times) -> bool {
    let cost = |[alone, among]: Times| alone.as_secs_f64() * among.as_secs_f64();
    // Written so that NaN refuses.
    alike >= ALIKE && cost(times) < cost(best)
}

/// Of rows that are `dim` wide. NaN stays NaN.
fn least_cosine(a: &[f32], b: &[f32], dim: usize) -> f64 {
    let pairs = a.chunks(dim).zip(b.chunks(dim));
    pairs
        .map(|(a, b)| cosine(a, b))
        .fold(1.0f64, |least, next| if least.is_nan() || next >= least { least } else { next })
}

/// Images (B, C, H, W) on the host as views (B, H, W, C), and B.
///
/// # Errors
/// `Unsupported` for images on a GPU.
pub(super) fn views_of(images: &Tensor) -> Result<(Vec<f32>, usize)> {
    if images.device() != Device::Cpu {
        let reason = format!(
            "the images are on {:?}, which the session's engine does not take from there: give images in the host's memory, or set \"engine\" to \
             \"libtorch\"",
            images.device()
        );
        return Err(Error::new(ErrorKind::Unsupported, reason));
    }
    let views = images.f_permute([0, 2, 3, 1])?.f_to_kind(Kind::Float)?.f_contiguous()?;
    let batch = usize::try_from(images.size()[0]).unwrap_or(0);
    Ok((torch::numbers(&views, "the images' numbers")?, batch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_taken_where_it_agrees_and_is_the_faster_one() {
        let takes = |alike: f64, best: [u64; 2], times: [u64; 2]| {
            takes(alike, times.map(Duration::from_micros), best.map(Duration::from_micros))
        };
        assert!(takes(1.0, [100, 50], [90, 50]) && takes(ALIKE, [100, 50], [40, 120]));
        assert!(
            !takes(1.0, [90, 50], [100, 50]) && !takes(1.0, [100, 50], [100, 50]) && !takes(1.0, [40, 50], [90, 50])
        );
        for alike in [0.99989, 0.0, -1.0, f64::NAN] {
            assert!(!takes(alike, [100, 100], [1, 1]), "{alike}");
        }
        assert!(least_cosine(&[1.0, 0.0, 1.0, 1.0], &[2.0, 0.0, 0.0, 3.0], 2) < 0.8);
        assert!(least_cosine(&[1.0, 0.0, 1.0, 1.0], &[f32::NAN, 0.0, 3.0, 3.0], 2).is_nan());
    }
}
