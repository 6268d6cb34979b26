//! How long calls leave the machine to others: "nice" and "duty_cycle".
//!
//! On the application's threads nothing is niced: [`paced`] takes the work to a thread of its own.

use std::time::Instant;

use tch::Device;

use super::background::in_background;
use super::cancel::CancelToken;
use super::progress::Control;
use crate::config::Rate;
use crate::{Result, torch};

/// What interrupts and slows down the work of a call.
pub struct Pace<'a> {
    cancel: &'a CancelToken,
    duty_cycle: f64,
    device: Device,
}

impl<'a> Pace<'a> {
    /// Work on `device`.
    pub fn new(rate: impl Into<Rate>, device: Device, cancel: &'a CancelToken) -> Self {
        Self { cancel, duty_cycle: rate.into().duty_cycle, device }
    }

    /// Work whose observer rests already.
    pub fn without_rests(cancel: &'a CancelToken) -> Self {
        Self { cancel, duty_cycle: 1.0, device: Device::Cpu }
    }

    /// Who ends and pauses it.
    pub fn cancel(&self) -> &'a CancelToken {
        self.cancel
    }

    /// Leaves the device to others after work begun at `start`; a cancel ends the rest.
    ///
    /// # Errors
    /// `Torch` where the device has failed.
    pub fn rest(&self, start: Instant) -> Result<()> {
        if self.duty_cycle >= 1.0 {
            return Ok(());
        }
        if let Device::Cuda(index) = self.device {
            // What is queued on a GPU is not done yet.
            torch::finish(index)?;
        }
        self.cancel.rest(start.elapsed().mul_f64((1.0 - self.duty_cycle) / self.duty_cycle));
        Ok(())
    }
}

/// Runs `work` at the nice value of `rate`. What it reports is handed to `observe` on this thread.
///
/// # Errors
/// Those of `work`; `Io` where no thread can be started.
pub fn paced<P: Send, R: Send>(
    rate: impl Into<Rate>,
    work: impl FnOnce(&mut dyn FnMut(P) -> Control) -> Result<R> + Send,
    mut observe: impl FnMut(P) -> Control,
) -> Result<R> {
    match rate.into().nice {
        0 => work(&mut observe),
        nice => in_background(nice, work, observe),
    }
}

/// As [`paced`], for work that tells how many of how many images are done and is stopped by false: it rests each time.
///
/// # Errors
/// As [`paced`].
pub fn counted<R: Send>(
    rate: impl Into<Rate>,
    device: Device,
    cancel: &CancelToken,
    work: impl FnOnce(&mut dyn FnMut(usize, usize) -> bool) -> Result<R> + Send,
    progress: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<R> {
    let rate = rate.into();
    let work = |report: &mut dyn FnMut((usize, usize)) -> Control| {
        let pace = Pace::new(rate, device, cancel);
        let mut since = Instant::now();
        work(&mut |done, total| {
            // What fails here fails again in the next operation, which tells it.
            let _ = pace.rest(since);
            let go_on = report((done, total)) == Control::Continue;
            since = Instant::now();
            go_on
        })
    };
    paced(rate, work, |(done, total)| if progress(done, total) { Control::Continue } else { Control::Stop })
}
