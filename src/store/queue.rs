//! The bounded queue between those who push and the one who writes.
//!
//! ```text
//! push: reserve (lock) → copy the pixels (no lock) → enqueue (lock)        write: take (lock) → encode, store → done (lock)
//! ```
//!
//! Frames and bytes count from their reservation until they are stored, so no more memory than the bounds is ever held. A
//! place is had at once, within a given time, or not at all. Copies go into memory that earlier frames have left.

use std::collections::VecDeque;
use std::sync::mpsc::SyncSender;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::record::Entry;
use crate::data::RawFrame;
use crate::error::{Error, ErrorKind, Result};
use crate::shutdown;

/// What was pushed.
#[derive(Debug, Clone)]
pub(super) enum Pixels {
    /// To be encoded.
    Raw(RawFrame),
    /// A file already; kept as it is.
    File(Vec<u8>),
}

/// A frame on its way to the writer.
#[derive(Debug)]
pub(super) struct Pushed {
    /// Given by [`Queue::enqueue`].
    pub id: i64,
    pub pixels: Pixels,
    pub entry: Entry,
    /// Its draw for the reservoir.
    pub priority: i64,
    /// Bytes reserved for it.
    pub reserved: usize,
}

/// Where the writer says how a command went.
pub(super) type Reply = SyncSender<Result<()>>;

/// What the writer is to do, in the order of the calls.
pub(super) enum Job {
    Store(Box<Pushed>),
    Label {
        id: i64,
        label: Option<(i64, String)>,
        reply: Reply,
    },
    /// No reply: it was answered already, and is done again for frames that waited then.
    Remove {
        ids: Vec<i64>,
        reply: Option<Reply>,
    },
    Flush {
        reply: Reply,
    },
}

/// Room for one frame: give it to [`Queue::enqueue`] or [`Queue::release`].
pub(super) struct Place {
    /// Memory to copy into.
    pub buffer: Vec<u8>,
    bytes: usize,
}

pub(super) struct Queue {
    state: Mutex<State>,
    /// There is room for a frame, or the queue is closed.
    room: Condvar,
    /// There is a job, or the queue is closed.
    work: Condvar,
    max_frames: usize,
    max_bytes: usize,
}

struct State {
    jobs: VecDeque<Job>,
    frames: usize,
    bytes: usize,
    next_id: i64,
    closed: bool,
    /// Memory of stored frames, at most `max_frames` and together at most `max_bytes` with what waits.
    spare: Vec<Vec<u8>>,
}

impl Queue {
    /// An empty queue whose first frame has number `next_id`.
    pub fn new(max_frames: usize, max_bytes: usize, next_id: i64) -> Self {
        let state = State { jobs: VecDeque::new(), frames: 0, bytes: 0, next_id, closed: false, spare: Vec::new() };
        Self { state: Mutex::new(state), room: Condvar::new(), work: Condvar::new(), max_frames, max_bytes }
    }

    /// Every statement under the lock leaves the state whole, and none of them panics.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Room for a frame of `bytes`, within `wait`; none where there is none until then.
    ///
    /// # Errors
    /// `InvalidArgument` where the frame alone is larger than the queue, `Internal` where the writer is gone.
    pub fn reserve(&self, bytes: usize, wait: Duration) -> Result<Option<Place>> {
        if bytes > self.max_bytes {
            return Err(Error::invalid(format!(
                "the frame has {bytes} bytes, expected at most queue_bytes, {}",
                self.max_bytes
            )));
        }
        let full = |state: &State| state.frames >= self.max_frames || state.bytes + bytes > self.max_bytes;
        let mut state = self.lock();
        // The clock is asked only by those who must wait.
        if full(&state) && !state.closed {
            if wait.is_zero() {
                return Ok(None);
            }
            let end = Instant::now().checked_add(wait);
            while full(&state) && !state.closed {
                let left = end.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()));
                if left.is_zero() {
                    return Ok(None);
                }
                // An hour at a time: the longest durations are more than the system's clock can count.
                let left = left.min(Duration::from_secs(3600));
                state =
                    shutdown::aside(|| self.room.wait_timeout(state, left)).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
        if state.closed {
            return Err(writer_is_gone());
        }
        state.frames += 1;
        state.bytes += bytes;
        // The one that came last is the likeliest to be in the cache, and as large as frames are now.
        Ok(Some(Place { buffer: state.spare.pop().unwrap_or_default(), bytes }))
    }

    /// Puts a copied frame into its place, and gives it its number.
    pub fn enqueue(&self, place: Place, pixels: Pixels, entry: Entry, priority: i64) -> i64 {
        let mut pushed = Box::new(Pushed { id: 0, pixels, entry, priority, reserved: place.bytes });
        let mut state = self.lock();
        let id = state.next_id;
        state.next_id += 1;
        pushed.id = id;
        state.jobs.push_back(Job::Store(pushed));
        drop(state);
        self.work.notify_one();
        id
    }

    /// Gives a place back that was not used.
    pub fn release(&self, place: Place) {
        self.done(place.bytes, 1, std::iter::once(place.buffer));
    }

    /// Adds a command behind what waits.
    ///
    /// # Errors
    /// `Internal` where the writer is gone.
    pub fn command(&self, job: Job) -> Result<()> {
        let mut state = self.lock();
        if state.closed {
            return Err(writer_is_gone());
        }
        state.jobs.push_back(job);
        drop(state);
        self.work.notify_one();
        Ok(())
    }

    /// The next jobs: up to `most` frames, or one command. None when the queue is closed and empty; nothing when `patience`
    /// ends first.
    pub fn take(&self, most: usize, patience: Duration) -> Option<Vec<Job>> {
        let mut state = self.lock();
        let end = Instant::now() + patience;
        while state.jobs.is_empty() {
            if state.closed {
                return None;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Some(Vec::new());
            }
            state = self.work.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let mut jobs = Vec::new();
        while jobs.len() < most && matches!(state.jobs.front(), Some(Job::Store(_))) {
            jobs.extend(state.jobs.pop_front());
        }
        if jobs.is_empty() {
            jobs.extend(state.jobs.pop_front());
        }
        Some(jobs)
    }

    /// Frames of together `bytes` are stored or given up; their memory serves the next.
    pub fn done(&self, bytes: usize, frames: usize, memory: impl Iterator<Item = Vec<u8>>) {
        let mut state = self.lock();
        state.frames -= frames;
        state.bytes -= bytes;
        for buffer in memory {
            let held: usize = state.spare.iter().map(Vec::capacity).sum();
            if buffer.capacity() > 0
                && state.spare.len() + state.frames < self.max_frames
                && held + buffer.capacity() + state.bytes <= self.max_bytes
            {
                state.spare.push(buffer);
            }
        }
        drop(state);
        self.room.notify_all();
    }

    /// The removals that wait for an answer: they make room, so they do not wait behind frames that have none. Each stays where it
    /// was as well, for frames that were pushed before it and are not stored yet.
    pub fn removals(&self) -> Vec<(Vec<i64>, Reply)> {
        let mut found = Vec::new();
        for job in &mut self.lock().jobs {
            if let Job::Remove { ids, reply } = job
                && let Some(reply) = reply.take()
            {
                found.push((ids.clone(), reply));
            }
        }
        found
    }

    /// Answers every waiting command with the error: they are not kept waiting for a disk that is full.
    pub fn refuse_commands(&self, error: &Error) {
        let mut state = self.lock();
        for job in std::mem::take(&mut state.jobs) {
            match job {
                Job::Store(_) | Job::Remove { reply: None, .. } => state.jobs.push_back(job),
                Job::Label { reply, .. } | Job::Remove { reply: Some(reply), .. } | Job::Flush { reply } => {
                    // Who asked may have gone.
                    let _ = reply.send(Err(Error::new(error.kind(), error.message())));
                }
            }
        }
    }

    /// Waits until a command comes, the queue is closed or `patience` ends; whether it is closed. More frames do not end it.
    pub fn rest(&self, patience: Duration) -> bool {
        let end = Instant::now() + patience;
        let mut state = self.lock();
        let nobody_waits = |job: &Job| matches!(job, Job::Store(_) | Job::Remove { reply: None, .. });
        while !state.closed && state.jobs.iter().all(nobody_waits) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.work.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.closed
    }

    /// As [`close`](Queue::close), and nothing that waits will ever be done: who waits for an answer learns it.
    pub fn abandon(&self) {
        self.lock().jobs.clear();
        self.close();
    }

    /// Ends it: what waits is still taken, nothing is waited for.
    pub fn close(&self) {
        self.lock().closed = true;
        self.work.notify_all();
        self.room.notify_all();
    }

    /// Frames and bytes that wait, and the number of the next frame.
    pub fn depth(&self) -> (usize, usize, i64) {
        let state = self.lock();
        (state.frames, state.bytes, state.next_id)
    }
}

/// The error of a writer that is gone.
pub(super) fn writer_is_gone() -> Error {
    let reason = "the store is closed, or its writer has ended by an internal error; open the store again";
    Error::new(ErrorKind::Internal, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{FrameView, PixelFormat};

    fn push(queue: &Queue, wait: Duration) -> Option<i64> {
        let place = queue.reserve(4, wait).unwrap()?;
        let view = FrameView::new(&[1, 2, 3, 4], 2, 2, 2, PixelFormat::Mono8).unwrap();
        Some(queue.enqueue(place, Pixels::Raw(RawFrame::copy_of(&view, Vec::new()).unwrap()), Entry::default(), 0))
    }

    #[test]
    fn the_bounds_hold_until_frames_are_stored() {
        let queue = Queue::new(2, 100, 7);
        assert_eq!((push(&queue, Duration::ZERO), push(&queue, Duration::ZERO)), (Some(7), Some(8)));
        assert_eq!(push(&queue, Duration::ZERO), None);
        let taken = queue.take(10, Duration::ZERO).unwrap();
        assert_eq!(taken.len(), 2);
        // Taken is not stored.
        assert_eq!(push(&queue, Duration::from_millis(20)), None);
        queue.done(4, 1, std::iter::once(Vec::with_capacity(4)));
        assert_eq!(queue.depth(), (1, 4, 9));
        assert_eq!(push(&queue, Duration::ZERO), Some(9));
        let small = Queue::new(9, 7, 1);
        assert!(push(&small, Duration::ZERO).is_some());
        assert!(push(&small, Duration::ZERO).is_none());
        assert!(small.reserve(8, Duration::ZERO).is_err());
    }

    #[test]
    fn a_push_waits_for_room_and_no_longer_than_it_was_told() {
        let queue = Queue::new(1, 100, 1);
        push(&queue, Duration::ZERO);
        let began = Instant::now();
        assert_eq!(push(&queue, Duration::from_millis(50)), None);
        assert!(began.elapsed() >= Duration::from_millis(50));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(20));
                queue.done(4, 1, std::iter::empty());
            });
            assert_eq!(push(&queue, Duration::MAX), Some(2));
        });
    }

    #[test]
    fn commands_keep_their_place_and_a_closed_queue_is_emptied() {
        let queue = Queue::new(8, 100, 1);
        let (reply, answer) = std::sync::mpsc::sync_channel(1);
        push(&queue, Duration::ZERO);
        queue.command(Job::Flush { reply }).unwrap();
        push(&queue, Duration::ZERO);
        queue.close();
        let kinds: Vec<_> = std::iter::from_fn(|| queue.take(8, Duration::ZERO))
            .map(|jobs| jobs.iter().map(|job| matches!(job, Job::Store(_))).collect::<Vec<_>>())
            .collect();
        assert_eq!(kinds, [vec![true], vec![false], vec![true]]);
        assert!(answer.try_recv().is_err());
    }
}
