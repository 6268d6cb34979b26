//! What a long run tells while it works: how far, how fast, how much longer, how well.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::probe::Looks;

/// One report of a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Progress {
    /// Steps made since the very first start, resumed runs included.
    pub step: u64,
    /// Steps of the whole run.
    pub total_steps: u64,
    /// Epoch of the next sample, from 0.
    pub epoch: u64,
    /// Mean loss of the steps since the report before; NaN in the first report, which comes before the first step.
    pub loss: f64,
    /// Learning rate of the last step: `learning_rate`·B/256 at its highest.
    pub learning_rate: f64,
    /// Images a second since the report before.
    pub images_per_second: f64,
    /// Estimated time to the last step at the rate of this call so far, in seconds.
    pub eta_seconds: f64,
    /// Time since the call began, in seconds, pauses left out.
    pub elapsed_seconds: f64,
    /// Share of the time since the report before in which the step waited for images, 0 to 1.
    pub waiting_share: f64,
    /// Images that could not be read so far.
    pub skipped_images: u64,
    /// What the run's probe has found so far, if it is probed.
    pub looks: Option<Looks>,
}

/// An observer's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Go on.
    Continue,
    /// End after this step, as cancelled.
    Stop,
}

/// Counts steps and time between reports.
#[derive(Debug)]
pub struct Meter {
    start: Instant,
    last: Instant,
    first_step: u64,
    last_step: u64,
    waited: Duration,
}

/// What [`Meter::lap`] measured.
#[derive(Debug, Clone, Copy)]
pub struct Lap {
    /// Images a second in this lap.
    pub images_per_second: f64,
    /// Seconds to the end at the mean rate since the start.
    pub eta_seconds: f64,
    /// Seconds since the start.
    pub elapsed_seconds: f64,
    /// Share of the lap that was spent waiting.
    pub waiting_share: f64,
}

impl Meter {
    /// Starts at `step`.
    pub fn start(step: u64) -> Self {
        let now = Instant::now();
        Self { start: now, last: now, first_step: step, last_step: step, waited: Duration::ZERO }
    }

    /// Takes out of the clock a time in which the run was paused.
    pub fn leave_out(&mut self, paused: Duration) {
        (self.start, self.last) = (self.start + paused, self.last + paused);
    }

    /// Ends a lap at `step` of `total`, with `batch` images a step; `waited` is the whole waiting time so far.
    pub fn lap(&mut self, step: u64, total: u64, batch: usize, waited: Duration) -> Lap {
        let now = Instant::now();
        let lap = (now - self.last).as_secs_f64().max(1e-9);
        let elapsed = (now - self.start).as_secs_f64();
        let images = step.saturating_sub(self.last_step) as f64 * batch as f64;
        let done = step.saturating_sub(self.first_step).max(1) as f64;
        let result = Lap {
            images_per_second: images / lap,
            eta_seconds: elapsed / done * total.saturating_sub(step) as f64,
            elapsed_seconds: elapsed,
            waiting_share: (waited.saturating_sub(self.waited).as_secs_f64() / lap).clamp(0.0, 1.0),
        };
        (self.last, self.last_step, self.waited) = (now, step, waited);
        result
    }
}
