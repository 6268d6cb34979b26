//! Threads that fill batches ahead of their consumer, in order and in bounded memory.
//!
//! Work is handed out image by image, in order, so all workers fill the same batch: the first one is there as soon as
//! possible, and memory is [`AHEAD`] batches whatever the number of workers. A worker draws into its own small buffer
//! and copies it into its slot of the batch; the copy is a few per cent of a view's cost and keeps half-drawn views
//! out.

use std::collections::VecDeque;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::lock;
use super::order::{Order, Permuted, Share, Slot};
use super::render::Scratch;
use crate::error::{Error, ErrorKind, Result};
use crate::shutdown;
use crate::sys::memory::{filled, reserve, spare};

/// Batches that are being filled or wait for the consumer. Two would do were every view equally dear; a third evens
/// out slow files.
const AHEAD: usize = 3;

/// What is to be made.
pub(super) struct Plan {
    pub steps: Range<u64>,
    /// Images of a batch, or of the share of it that is made.
    pub batch: usize,
    pub share: Share,
    /// Numbers of each view of an image.
    pub view_lens: Vec<usize>,
    pub order: Order,
}

/// What a worker is asked to draw.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub slot: Slot,
    /// How many passes over all images come before: the epoch, whatever view it shows.
    pub pass: u64,
}

/// A finished batch.
pub(super) struct Filled<T, M> {
    pub step: u64,
    /// For each view of an image the whole batch's.
    pub pixels: Vec<Vec<T>>,
    /// What `draw` gave for each image.
    pub drawn: Vec<M>,
    pub slots: Vec<Slot>,
}

/// Views of numbers T, of images about each of which M is known.
pub(super) struct Prefetch<T, M> {
    shared: Arc<Shared<T, M>>,
    workers: Vec<JoinHandle<()>>,
}

struct Shared<T, M> {
    plan: Plan,
    state: Mutex<State<T, M>>,
    /// There may be work to hand out.
    room: Condvar,
    /// A batch may be finished.
    ready: Condvar,
}

struct State<T, M> {
    /// In order of their steps, which follow one another.
    pending: VecDeque<Pending<T, M>>,
    next_step: u64,
    spare: Vec<Vec<Vec<T>>>,
    /// The permutation of the epoch that is being handed out.
    order: Option<Permuted>,
    stopped: bool,
}

struct Pending<T, M> {
    step: u64,
    slots: Vec<Slot>,
    handed_out: usize,
    finished: usize,
    error: Option<Error>,
    /// Whether nothing comes after the error.
    last: bool,
    canvas: Arc<Mutex<Canvas<T, M>>>,
}

struct Canvas<T, M> {
    pixels: Vec<Vec<T>>,
    /// `None` until the image's views are drawn.
    drawn: Vec<Option<M>>,
}

struct Job<T, M> {
    step: u64,
    place: usize,
    asked: Asked,
    canvas: Arc<Mutex<Canvas<T, M>>>,
}

enum Outcome {
    Drawn,
    /// The data set has nothing to give: every later batch would fail too.
    Failed(Error),
    Panicked(Error),
}

impl<T: Copy + Default + Send + 'static, M: Send + 'static> Prefetch<T, M> {
    /// Starts `workers` threads (0 = one per core) that call `draw` for every image, with a buffer for each of its views; it says what
    /// it drew.
    pub fn start<D>(plan: Plan, workers: usize, draw: D) -> Result<Self>
    where
        D: Fn(Asked, &mut [Vec<T>], &mut Scratch) -> Result<M> + Send + Sync + 'static,
    {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let workers = if workers == 0 { cores() } else { workers }.min(plan.batch.saturating_mul(AHEAD));
        let state = State {
            pending: VecDeque::new(),
            next_step: plan.steps.start,
            spare: Vec::new(),
            order: None,
            stopped: false,
        };
        let shared = Arc::new(Shared { plan, state: Mutex::new(state), room: Condvar::new(), ready: Condvar::new() });
        let draw = Arc::new(draw);
        let mut prefetch = Self { shared, workers: Vec::new() };
        for number in 0..workers {
            let (shared, draw) = (Arc::clone(&prefetch.shared), Arc::clone(&draw));
            // Here, where an error can still be told.
            let views: Result<Vec<_>> =
                shared.plan.view_lens.iter().map(|&len| filled(T::default(), len, "a view")).collect();
            let views = views?;
            let worker = std::thread::Builder::new()
                .name(format!("seed-loader-{number}"))
                .spawn(move || shared.work(views, &*draw))
                .map_err(|error| Error::new(ErrorKind::Io, format!("cannot start loader thread {number}: {error}")))?;
            prefetch.workers.push(worker);
        }
        Ok(prefetch)
    }

    /// The next batch, as soon as it is finished; `None` after the last one or after an error that ends the stream.
    pub fn next(&mut self) -> Option<Result<Filled<T, M>>> {
        let mut state = lock(&self.shared.state);
        let pending = loop {
            match state.pending.front() {
                Some(front) if front.finished == front.slots.len() => break state.pending.pop_front()?,
                None if state.stopped || state.next_step >= self.shared.plan.steps.end => return None,
                _ => state = shutdown::aside(|| self.shared.ready.wait(state)).unwrap_or_else(PoisonError::into_inner),
            }
        };
        if pending.last {
            state.stopped = true;
            state.pending.clear();
        }
        drop(state);
        self.shared.room.notify_all();
        let empty = Canvas { pixels: Vec::new(), drawn: Vec::new() };
        let Canvas { pixels, drawn } = std::mem::replace(&mut *lock(&pending.canvas), empty);
        if let Some(error) = pending.error {
            self.recycle(pixels);
            return Some(Err(error));
        }
        // Without an error every view was drawn.
        let drawn = drawn.into_iter().flatten().collect();
        Some(Ok(Filled { step: pending.step, pixels, drawn, slots: pending.slots }))
    }

    /// Keeps a batch's buffers for one to come.
    pub fn recycle(&self, pixels: Vec<Vec<T>>) {
        let mut state = lock(&self.shared.state);
        if state.spare.len() < AHEAD {
            state.spare.push(pixels);
        }
    }
}

impl<T, M> Drop for Prefetch<T, M> {
    fn drop(&mut self) {
        lock(&self.shared.state).stopped = true;
        self.shared.room.notify_all();
        for worker in self.workers.drain(..) {
            // A panic inside a view was caught and reported; there is nothing to add here.
            let _ = shutdown::aside(|| worker.join());
        }
    }
}

impl<T: Copy + Default, M> Shared<T, M> {
    fn work(&self, mut views: Vec<Vec<T>>, draw: &impl Fn(Asked, &mut [Vec<T>], &mut Scratch) -> Result<M>) {
        let mut scratch = Scratch::new();
        while let Some(job) = self.take() {
            // After a panic the scratch is replaced, and the views are not copied: nothing half-done is seen again.
            let outcome = match catch_unwind(AssertUnwindSafe(|| draw(job.asked, &mut views, &mut scratch))) {
                Ok(Ok(drawn)) => {
                    let mut canvas = lock(&job.canvas);
                    // All vectors were made for all slots of the batch, and `place` is one of them.
                    for (pixels, view) in canvas.pixels.iter_mut().zip(&views) {
                        pixels[job.place * view.len()..][..view.len()].copy_from_slice(view);
                    }
                    canvas.drawn[job.place] = Some(drawn);
                    Outcome::Drawn
                }
                Ok(Err(error)) => Outcome::Failed(error),
                Err(panic) => {
                    scratch = Scratch::new();
                    Outcome::Panicked(Error::new(
                        ErrorKind::Internal,
                        format!("loader panicked at image {}: {}", job.asked.slot.index, panic_message(&*panic)),
                    ))
                }
            };
            self.finish(job.step, outcome);
        }
    }

    /// The next image to draw; waits while [`AHEAD`] batches are in the works. `None` when there is no more.
    fn take(&self) -> Option<Job<T, M>> {
        let mut state = lock(&self.state);
        loop {
            if state.stopped {
                return None;
            }
            if let Some(pending) = state.pending.back_mut()
                && let Some(&slot) = pending.slots.get(pending.handed_out)
            {
                let place = pending.handed_out;
                pending.handed_out += 1;
                // Samples were counted when the batch was begun, so this does not overflow.
                let sample = self.plan.share.first(pending.step, self.plan.batch) + place as u64;
                let asked = Asked { slot, pass: sample / self.plan.order.len().max(1) as u64 };
                return Some(Job { step: pending.step, place, asked, canvas: Arc::clone(&pending.canvas) });
            }
            if state.next_step >= self.plan.steps.end {
                return None;
            }
            if state.pending.len() < AHEAD {
                self.begin(&mut state);
                self.room.notify_all();
                self.ready.notify_all();
            } else {
                state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Appends the next batch, empty.
    fn begin(&self, state: &mut State<T, M>) {
        let step = state.next_step;
        state.next_step += 1;
        let order = match self.plan.order {
            Order::Epochs { len, .. } => len.saturating_mul(size_of::<usize>()),
            Order::Once { .. } => 0,
        };
        let mut slots = Vec::new();
        let enough = spare(order, "the order of an epoch").and_then(|()| {
            let first = self.plan.share.first(step, self.plan.batch);
            slots = self.plan.order.slots(first..first + self.plan.batch as u64, &mut state.order);
            let drawn = slots.iter().map(|_| None).collect();
            let mut canvas = Canvas { pixels: state.spare.pop().unwrap_or_default(), drawn };
            canvas.pixels.resize_with(self.plan.view_lens.len(), Vec::new);
            for (pixels, len) in canvas.pixels.iter_mut().zip(&self.plan.view_lens) {
                let needed = slots.len() * len;
                reserve(pixels, needed.saturating_sub(pixels.len()), "a batch")?;
                pixels.resize(needed, T::default());
            }
            Ok(canvas)
        });
        let (canvas, error) = match enough {
            Ok(canvas) => (canvas, None),
            Err(error) => {
                slots.clear();
                (Canvas { pixels: Vec::new(), drawn: Vec::new() }, Some(error))
            }
        };
        let (last, canvas) = (error.is_some(), Arc::new(Mutex::new(canvas)));
        state.pending.push_back(Pending { step, slots, handed_out: 0, finished: 0, error, last, canvas });
    }

    fn finish(&self, step: u64, outcome: Outcome) {
        let mut state = lock(&self.state);
        // Absent where the stream ended with an error meanwhile.
        let Some(pending) = state.pending.iter_mut().find(|pending| pending.step == step) else { return };
        pending.finished += 1;
        match outcome {
            Outcome::Drawn => {}
            Outcome::Failed(error) => {
                pending.error = Some(error);
                pending.last = true;
            }
            Outcome::Panicked(error) => _ = pending.error.get_or_insert(error),
        }
        if pending.finished == pending.slots.len() {
            self.ready.notify_all();
        }
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    let literal = panic.downcast_ref::<&str>().copied();
    literal.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(steps: Range<u64>, batch: usize, len: usize) -> Plan {
        Plan {
            steps,
            batch,
            share: Share::ALL,
            view_lens: vec![2],
            order: Order::Epochs { seed: 1, len, views: 0, kept: None },
        }
    }

    #[test]
    fn a_panic_costs_its_batch_and_nothing_else() {
        for workers in [1, 4] {
            let draw = |Asked { slot, pass }: Asked, view: &mut [Vec<f32>], _: &mut Scratch| {
                assert_eq!(pass, slot.view, "every epoch shows a view of its own");
                assert!(!(slot.view == 1 && slot.index == 3), "picture {} bites", slot.index);
                view[0].fill(slot.index as f32);
                Ok(slot.index)
            };
            let mut prefetch = Prefetch::start(plan(0..4, 5, 5), workers, draw).unwrap();
            let results: Vec<_> = std::iter::from_fn(|| prefetch.next()).collect();
            assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true, true]);
            let error = results[1].as_ref().err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Internal);
            assert!(error.message().contains("picture 3 bites"), "{error}");
        }
    }

    #[test]
    fn an_error_ends_the_stream() {
        let draw = |Asked { slot, .. }: Asked, _: &mut [Vec<f32>], _: &mut Scratch| {
            if slot.view == 1 { Err(Error::invalid("no more")) } else { Ok(slot.index) }
        };
        let mut prefetch = Prefetch::<f32, _>::start(plan(0..u64::MAX / 8, 3, 3), 3, draw).unwrap();
        assert!(prefetch.next().unwrap().is_ok());
        assert!(prefetch.next().unwrap().is_err());
        assert!(prefetch.next().is_none() && prefetch.next().is_none());
    }

    #[test]
    fn no_more_than_the_window_is_drawn_ahead() {
        let drawn = Arc::new(Mutex::new(0));
        let count = Arc::clone(&drawn);
        let draw = move |Asked { slot, .. }: Asked, _: &mut [Vec<f32>], _: &mut Scratch| {
            *lock(&count) += 1;
            Ok(slot.index)
        };
        let prefetch = Prefetch::start(plan(0..1000, 4, 9), 2, draw).unwrap();
        let began = std::time::Instant::now();
        while *lock(&drawn) < AHEAD * 4 && began.elapsed().as_secs() < 60 {
            std::thread::yield_now();
        }
        // Time for a worker that does not stop at the window to show it.
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert_eq!(*lock(&drawn), AHEAD * 4);
        drop(prefetch);
    }

    #[test]
    fn a_batch_too_large_for_memory_is_an_error() {
        let order = Order::Epochs { seed: 1, len: 1, views: 0, kept: None };
        let huge = Plan { steps: 0..2, batch: 1 << 20, share: Share::ALL, view_lens: vec![1 << 40], order };
        // The worker's own view must fit; only the canvas is tried here.
        let shared: Shared<f32, usize> = Shared {
            plan: huge,
            state: Mutex::new(State {
                pending: VecDeque::new(),
                next_step: 0,
                spare: Vec::new(),
                order: None,
                stopped: false,
            }),
            room: Condvar::new(),
            ready: Condvar::new(),
        };
        shared.begin(&mut lock(&shared.state));
        let mut prefetch = Prefetch { shared: Arc::new(shared), workers: Vec::new() };
        assert_eq!(prefetch.next().unwrap().err().unwrap().kind(), ErrorKind::OutOfMemory);
        assert!(prefetch.next().is_none());
    }
}
