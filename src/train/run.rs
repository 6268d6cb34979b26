//! The loop: every method of training, and the filling of a bank, goes through it.
//!
//! ```text
//! cancel or pause? → a batch → step → pass over? → look → report → save → observer → rest → cancel or pause? → …
//! ```
//!
//! Where several processes make one run, they agree at "cancel or pause?": what one wants or fails by, all do ([`Method::boundary`]).
//!
//! What a method does in a step is its own matter; that it can be paused, cancelled and slowed down, tells how far it is, and is
//! saved in time is the loop's.

use std::time::{Duration, Instant};

use super::board::Board;
use super::cancel::CancelToken;
use super::pace::Pace;
use super::progress::{Control, Lap, Meter};
use crate::optim::Cosine;
use crate::{Error, Result};

/// Why a run returned without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The last step of the run was made.
    Finished,
    /// The given number of steps was made; more are left.
    Paused,
    /// The cancel token or the observer ended it, at a step's boundary.
    Cancelled,
}

/// One step, as the method is told it.
#[derive(Debug, Clone, Copy)]
pub struct At {
    /// Its number in the whole run, from 0.
    pub step: u64,
    /// Of the schedule.
    pub learning_rate: f64,
    /// Key of the step's dropout and stochastic depth.
    pub noise: u64,
}

impl At {
    /// Step `step` of the run with `seed`.
    pub fn new(step: u64, schedule: &Cosine, seed: u64) -> Self {
        let noise = seed ^ step.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self { step, learning_rate: schedule.learning_rate(step), noise }
    }
}

/// Whether a method wants to go on after a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As long as there are steps.
    GoOn,
    /// Nothing better will come: this pass is not saved, and the run is over.
    Enough,
}

/// What comes of a moment between two steps.
#[derive(Debug, Clone, Copy, Default)]
pub struct Boundary {
    /// How long the run was paused.
    pub paused: Duration,
    /// Whether it is to end, as cancelled.
    pub ended: bool,
}

/// The boundary of a run that one process makes alone: `own` says whether the observer has stopped it; it waits while it is paused.
///
/// # Errors
/// Where `own` is one.
pub fn alone(own: Result<Control>, over: bool, cancel: &CancelToken) -> Result<Boundary> {
    let stopped = own? == Control::Stop;
    if stopped || over {
        return Ok(Boundary { paused: Duration::ZERO, ended: stopped });
    }
    let (paused, ended) = cancel.wait();
    Ok(Boundary { paused, ended })
}

/// A way to train.
pub trait Method {
    /// What a step is made on.
    type Batch;
    /// What the observer is told.
    type Report;

    /// Forward, loss, backward, update. The loss stays unread, so that no step waits for the device.
    fn step(&mut self, batch: &Self::Batch, at: At) -> Result<()>;

    /// Between two steps, and after the last one, which is then `over`: `own` is what came of the step before. Where several processes
    /// make the run, all get the same answer.
    ///
    /// # Errors
    /// Where `own` is one, or another process's.
    fn boundary(&mut self, own: Result<Control>, over: bool, cancel: &CancelToken) -> Result<Boundary> {
        alone(own, over, cancel)
    }

    /// What an error of a step, or of the batch that it lacks, becomes: where several processes make the run, the others must know.
    fn failed(&mut self, error: Error) -> Error {
        error
    }

    /// Whether the run is over before its last step.
    fn is_over(&self) -> bool {
        false
    }

    /// After the last step of a pass over the images.
    fn epoch_end(&mut self) -> Result<Verdict> {
        Ok(Verdict::GoOn)
    }

    /// After every step.
    fn look(&mut self) -> Result<()> {
        Ok(())
    }

    /// A report; waits for the device.
    fn report(&mut self, lap: &Lap) -> Result<Self::Report>;

    /// The event file and what of a report stands in it.
    fn event(&mut self, _report: &Self::Report) -> Option<(&mut Board, Vec<(&'static str, f64)>)> {
        None
    }

    /// Writes what is needed to go on, where a place for it is configured.
    fn save(&mut self) -> Result<()>;

    /// As [`save`](Method::save), when the run is left before its end.
    fn leave(&mut self) -> Result<()> {
        self.save()
    }
}

/// Where batches come from.
pub trait Feed<B> {
    /// The next one; none at the end.
    fn next(&mut self) -> Option<Result<B>>;

    /// Gives the memory of one back.
    fn recycle(&mut self, _batch: B) {}

    /// How long [`next`](Feed::next) has waited so far.
    fn waited(&self) -> Duration {
        Duration::ZERO
    }
}

impl Feed<crate::data::Batch> for crate::data::Loader {
    fn next(&mut self) -> Option<Result<crate::data::Batch>> {
        Iterator::next(self)
    }

    fn recycle(&mut self, batch: crate::data::Batch) {
        crate::data::Loader::recycle(self, batch);
    }

    fn waited(&self) -> Duration {
        crate::data::Loader::waited(self)
    }
}

/// The steps of a call, and what happens after which.
#[derive(Debug, Clone, Copy)]
pub struct Course {
    /// The first step, from 0, and the one after the last of this call.
    pub first: u64,
    /// As above.
    pub end: u64,
    /// Steps of the whole run.
    pub total: u64,
    /// Steps of a pass over the images; 0 where passes do not matter.
    pub of_pass: u64,
    /// Images of a step.
    pub images: usize,
    /// Steps between reports; 0: one after each pass. The first and the last step of a call have one always.
    pub report_every: u64,
    /// Steps between saves; 0: one after each pass. The last step has none: the method ends the run itself.
    pub save_every: u64,
    /// The learning rate.
    pub schedule: Cosine,
    /// Of the run, for the noise.
    pub seed: u64,
}

impl Course {
    fn ends_pass(&self, done: u64) -> bool {
        self.of_pass > 0 && done.is_multiple_of(self.of_pass)
    }

    fn reports(&self, done: u64) -> bool {
        match self.report_every {
            0 => self.ends_pass(done),
            every => done.is_multiple_of(every) || done == self.end || done == self.first + 1,
        }
    }

    fn saves(&self, done: u64) -> bool {
        match self.save_every {
            0 => self.ends_pass(done),
            every => done.is_multiple_of(every) && done < self.total,
        }
    }
}

/// Trains until the end of `course`. Every finished step counts, whatever comes after it: after an error or a cancel the run can go on
/// with another call.
///
/// # Errors
/// Those of the method and of `feed`.
pub fn run<M: Method>(
    method: &mut M,
    feed: &mut impl Feed<M::Batch>,
    course: &Course,
    pace: &Pace<'_>,
    observe: &mut dyn FnMut(M::Report) -> Control,
) -> Result<Outcome> {
    let mut meter = Meter::start(course.first);
    let mut done = course.first;
    let mut own = Ok(Control::Continue);
    loop {
        let over = done >= course.end || method.is_over();
        let Boundary { paused, ended } = method.boundary(own, over, pace.cancel())?;
        meter.leave_out(paused);
        if ended {
            method.leave()?;
            return Ok(Outcome::Cancelled);
        }
        if over {
            break;
        }
        let Some(batch) = feed.next() else { break };
        let (batch, start) = (batch.map_err(|error| method.failed(error))?, Instant::now());
        method.step(&batch, At::new(done, &course.schedule, course.seed)).map_err(|error| method.failed(error))?;
        feed.recycle(batch);
        done += 1;
        if course.ends_pass(done) && method.epoch_end()? == Verdict::Enough {
            return Ok(Outcome::Finished);
        }
        own = (|| {
            method.look()?;
            let report = match course.reports(done) {
                true => {
                    let report = method.report(&meter.lap(done, course.total, course.images, feed.waited()))?;
                    if let Some((board, values)) = method.event(&report) {
                        board.show(done, &values);
                    }
                    Some(report)
                }
                false => None,
            };
            if course.saves(done) {
                method.save()?;
            }
            let control = report.map_or(Control::Continue, &mut *observe);
            if done < course.end && control == Control::Continue {
                pace.rest(start)?;
            }
            Ok(control)
        })();
    }
    Ok(if done < course.total && !method.is_over() { Outcome::Paused } else { Outcome::Finished })
}
