//! One batch out of the frames of several threads.
//!
//! While a batch runs, those who come meanwhile draw their views side by side into the next one; the first of them runs it
//! as soon as the one before is done. Nobody waits for a batch to fill, a lone caller never waits at all, and no view is
//! copied: each is drawn where the network reads it.

use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, ErrorKind, Result};
use crate::{shutdown, torch};

/// Views in one batch.
pub(super) const ROOM: usize = 16;

/// Batches that may be drawn, run or read at the same time.
const BATCHES: usize = 4;

/// The memory of one batch. `Gather::state` decides who may touch it:
/// - slots are handed out under the lock, each to one thread, which alone writes them until it has counted itself as drawn;
/// - when no more are handed out and all are drawn, the leader alone reads the views and writes the rows;
/// - when that is done, rows are only read, until the last reader has counted itself off.
#[derive(Default)]
struct Memory {
    views: UnsafeCell<Vec<f32>>,
    rows: UnsafeCell<Vec<f32>>,
}

// SAFETY: see above; every change of hands goes through the mutex, which orders the accesses.
unsafe impl Sync for Memory {}

#[derive(Default)]
struct Batch {
    handed_out: usize,
    drawn: usize,
    unread: usize,
    /// What running it gave.
    outcome: Option<std::result::Result<(), (ErrorKind, String)>>,
}

struct State {
    batches: [Batch; BATCHES],
    /// The batch that still takes views.
    open: Option<usize>,
    running: bool,
}

pub(super) struct Gather {
    view_len: usize,
    dim: usize,
    memory: [Memory; BATCHES],
    state: Mutex<State>,
    changed: Condvar,
}

impl Gather {
    /// For views of `view_len` numbers and rows of `dim`. Memory comes when it is needed.
    pub fn new(view_len: usize, dim: usize) -> Self {
        let state = State { batches: Default::default(), open: None, running: false };
        Self { view_len, dim, memory: Default::default(), state: Mutex::new(state), changed: Condvar::new() }
    }

    /// The rows of `count` views, 1 to [`ROOM`], into `out` (count · dim). `draw` fills views (count · view_len), on this thread;
    /// `run` turns views (n · view_len) into rows (n · dim), on the thread of whoever came first. `check` looks at this caller's rows
    /// before they are copied.
    ///
    /// # Errors
    /// Those of `draw` and `check` (this caller's alone) and of `run` (everyone's in the batch); `out` is untouched then.
    pub fn rows(
        &self,
        count: usize,
        draw: impl FnOnce(&mut [f32]) -> Result<()>,
        run: impl FnOnce(&[f32], &mut [f32]) -> Result<()>,
        check: impl FnOnce(&[f32]) -> Result<()>,
        out: &mut [f32],
    ) -> Result<()> {
        if count == 0 || count > ROOM || out.len() != count * self.dim {
            return Err(Error::new(ErrorKind::Internal, format!("a batch of {count} views was asked for")));
        }
        let (number, first) = self.enter(count)?;
        let memory = &self.memory[number];
        // SAFETY: slots first..first + count are ours until we count them as drawn; the vector does not move, since it was
        // grown before the first slot was handed out. Only raw pointers are formed to the whole.
        let views = unsafe {
            let start = (*memory.views.get()).as_mut_ptr().add(first * self.view_len);
            std::slice::from_raw_parts_mut(start, count * self.view_len)
        };
        let drawn = caught("drawing a view", || draw(views));
        let mut state = self.lock();
        state.batches[number].drawn += count;
        self.changed.notify_all();
        if first == 0 {
            while state.running {
                state = self.wait(state);
            }
            state.running = true;
            state.open = None;
            self.changed.notify_all();
            let total = state.batches[number].handed_out;
            while state.batches[number].drawn < total {
                state = self.wait(state);
            }
            drop(state);
            // SAFETY: all slots are drawn and none is handed out any more: the batch is the leader's alone.
            let (views, rows) = unsafe { (&*memory.views.get(), &mut *memory.rows.get()) };
            let outcome =
                caught("a forward pass", || run(&views[..total * self.view_len], &mut rows[..total * self.dim]));
            state = self.lock();
            state.running = false;
            state.batches[number].outcome = Some(outcome.map_err(|error| (error.kind(), error.message().to_owned())));
            self.changed.notify_all();
        }
        while state.batches[number].outcome.is_none() {
            state = self.wait(state);
        }
        let outcome = match &state.batches[number].outcome {
            Some(Err((kind, message))) => Err(Error::new(*kind, message.clone())),
            _ => Ok(()),
        };
        let mut result = drawn.and(outcome);
        if result.is_ok() {
            // SAFETY: the batch has run, so its rows are only read until `unread` is 0.
            let rows = unsafe { &*memory.rows.get() };
            let rows = &rows[first * self.dim..][..count * self.dim];
            result = caught("looking at the rows", || check(rows));
            if result.is_ok() {
                out.copy_from_slice(rows);
            }
        }
        state.batches[number].unread -= count;
        if state.batches[number].unread == 0 {
            state.batches[number] = Batch::default();
            self.changed.notify_all();
        }
        result
    }

    /// Takes `count` slots of the open batch, or opens one: the batch and the first slot.
    fn enter(&self, count: usize) -> Result<(usize, usize)> {
        let mut state = self.lock();
        let number = loop {
            match state.open {
                Some(open) if state.batches[open].handed_out + count <= ROOM => break open,
                Some(_) => {}
                None => {
                    if let Some(free) = state.batches.iter().position(|batch| batch.unread == 0) {
                        self.grow(free)?;
                        state.open = Some(free);
                        break free;
                    }
                }
            }
            state = self.wait(state);
        };
        let batch = &mut state.batches[number];
        let first = batch.handed_out;
        batch.handed_out += count;
        batch.unread += count;
        Ok((number, first))
    }

    /// Makes sure that a free batch has its memory; called under the lock.
    fn grow(&self, number: usize) -> Result<()> {
        let grow = |values: &UnsafeCell<Vec<f32>>, length: usize| {
            // SAFETY: a free batch is touched by nobody, and the lock keeps it free.
            let values = unsafe { &mut *values.get() };
            let missing = length.saturating_sub(values.len());
            values.try_reserve_exact(missing).map_err(|_| {
                Error::new(ErrorKind::OutOfMemory, format!("cannot allocate {} bytes for a batch", length * 4))
            })?;
            values.resize(length, 0.0);
            Ok(())
        };
        grow(&self.memory[number].views, ROOM * self.view_len)?;
        grow(&self.memory[number].rows, ROOM * self.dim)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that may panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        shutdown::aside(|| self.changed.wait(state)).unwrap_or_else(PoisonError::into_inner)
    }
}

/// A panic as an error: the others in the batch must not wait for ever.
fn caught(doing: &str, body: impl FnOnce() -> Result<()>) -> Result<()> {
    // What a panic leaves half-done is the batch's memory, which the next batch overwrites.
    catch_unwind(AssertUnwindSafe(|| torch::caught(body)))
        .unwrap_or_else(|_| Err(Error::new(ErrorKind::Internal, format!("a panic while {doing}"))))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn sound(_: &[f32]) -> Result<()> {
        Ok(())
    }

    /// Rows are the sums of their views.
    fn sums(views: &[f32], rows: &mut [f32]) -> Result<()> {
        views.chunks_exact(2).zip(rows).for_each(|(view, row)| *row = view.iter().sum());
        Ok(())
    }

    #[test]
    fn everyone_gets_their_own_rows() {
        let (gather, batches) = (Gather::new(2, 1), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for thread in 0..8usize {
                let (gather, batches) = (&gather, &batches);
                scope.spawn(move || {
                    for lap in 0..200usize {
                        let count = 1 + (thread + lap) % ROOM;
                        let value = |slot: usize| (thread * 1000 + lap * 3 + slot) as f32;
                        let mut out = vec![0.0; count];
                        let draw = |views: &mut [f32]| {
                            views.chunks_exact_mut(2).enumerate().for_each(|(slot, view)| view.fill(value(slot)));
                            Ok(())
                        };
                        let run = |views: &[f32], rows: &mut [f32]| {
                            batches.fetch_add(1, Ordering::Relaxed);
                            sums(views, rows)
                        };
                        gather.rows(count, draw, run, sound, &mut out).unwrap();
                        assert!(out.iter().enumerate().all(|(slot, &row)| row == 2.0 * value(slot)));
                    }
                });
            }
        });
        assert!(batches.into_inner() <= 1600);
    }

    #[test]
    fn those_who_come_while_a_batch_runs_share_the_next() {
        let gather = Gather::new(2, 1);
        let (entered, largest) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let run = |views: &[f32], rows: &mut [f32]| {
            largest.fetch_max(views.len() / 2, Ordering::SeqCst);
            // The first batch ends when the other five are drawn.
            while entered.load(Ordering::SeqCst) < 6 {
                std::thread::yield_now();
            }
            sums(views, rows)
        };
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    let draw = |views: &mut [f32]| {
                        views.fill(1.0);
                        entered.fetch_add(1, Ordering::SeqCst);
                        Ok(())
                    };
                    let mut out = [0.0];
                    gather.rows(1, draw, run, sound, &mut out).unwrap();
                    assert_eq!(out, [2.0]);
                });
            }
        });
        assert!(largest.load(Ordering::SeqCst) >= 2, "at least two of six came while a batch ran");
    }

    #[test]
    fn an_error_or_a_panic_hurts_only_those_it_belongs_to() {
        let gather = Gather::new(2, 1);
        let mut out = [7.0];
        let bad = gather.rows(1, |_| Err(Error::invalid("no view")), sums, sound, &mut out).unwrap_err();
        assert_eq!(bad.kind(), ErrorKind::InvalidArgument);
        let bad = gather.rows(1, |_| panic!("at the disco"), sums, sound, &mut out).unwrap_err();
        assert_eq!(bad.kind(), ErrorKind::Internal);
        let bad = gather.rows(1, |_| Ok(()), |_, _| panic!("again"), sound, &mut out).unwrap_err();
        assert_eq!((bad.kind(), out), (ErrorKind::Internal, [7.0]));
        let draw = |view: &mut [f32]| {
            view.fill(2.0);
            Ok(())
        };
        gather.rows(1, draw, sums, |_| Err(Error::invalid("no row")), &mut out).unwrap_err();
        assert_eq!(out, [7.0]);
        gather.rows(1, draw, sums, sound, &mut out).unwrap();
        assert_eq!(out, [4.0]);
        assert!(gather.rows(0, |_| Ok(()), sums, sound, &mut []).is_err());
    }
}
