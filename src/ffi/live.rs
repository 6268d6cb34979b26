//! Which handles are alive: a table of their addresses. Nothing behind a pointer of C is read before it was found here, so one
//! that was freed, one of another type and any number are told without touching what they point to.
//!
//! The table's lock is held for a look or a change and never while anything else runs. Nobody sleeps in it: whoever finds it
//! held tries again (the waiting of std's locks has no ThreadSanitizer in it, and tests/safety/boundary looks at this one).

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasherDefault;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{RwLock, TryLockError};
use std::time::Duration;

/// How many more handles are freed before the address of a freed one may become another's. Until then it is told.
const KEPT: usize = 1024;

/// How often a look tries for the lock: at 50 µs a try about a second, and at worst a signal handler's call on a thread that
/// holds the lock itself.
const TRIES: u32 = 20_000;

/// A handle's memory: one pointer.
pub(super) type Cell = Box<usize>;

/// Set in a process that was forked off ([`super::fork`]): the handles are its parent's, and another thread of that one may have held
/// the lock.
pub(super) static FORKED: AtomicBool = AtomicBool::new(false);

pub(super) fn forked() -> bool {
    FORKED.load(Ordering::Acquire)
}

struct Live {
    /// The type's tag by the address's complement: a leak checker that scans memory for addresses must not take this table for
    /// a program that still knows its handle.
    tags: HashMap<usize, u64, BuildHasherDefault<DefaultHasher>>,
    /// Memory of freed handles, the oldest first; full from the first handle on, so that it never grows.
    freed: VecDeque<Cell>,
}

static LIVE: RwLock<Live> =
    RwLock::new(Live { tags: HashMap::with_hasher(BuildHasherDefault::new()), freed: VecDeque::new() });

/// How many threads want to change the table; those that look let them go first, or they might never find nobody looking.
static CHANGING: AtomicUsize = AtomicUsize::new(0);

/// What `attempt` gives as soon as it is not refused; `None` after [`TRIES`].
fn patiently<G>(mut attempt: impl FnMut() -> Result<G, TryLockError<G>>) -> Option<G> {
    for number in 0..TRIES {
        match attempt() {
            Ok(guard) => return Some(guard),
            // A table is never left half changed: what can panic, taking memory, comes before the change.
            Err(TryLockError::Poisoned(error)) => return Some(error.into_inner()),
            // The thread that holds it may wait for this one's core.
            Err(TryLockError::WouldBlock) if number < 64 => std::thread::yield_now(),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_micros(50)),
        }
    }
    None
}

fn change<R>(change: impl FnOnce(&mut Live) -> R) -> R {
    CHANGING.fetch_add(1, Ordering::Relaxed);
    let mut live = loop {
        if let Some(live) = patiently(|| LIVE.try_write()) {
            break live;
        }
    };
    CHANGING.fetch_sub(1, Ordering::Relaxed);
    change(&mut live)
}

/// Makes the handle at `address` known as one of the type with `tag`; false where the table cannot grow, and in a forked process.
pub(super) fn add(address: usize, tag: u64) -> bool {
    if forked() {
        return false;
    }
    change(|live| {
        if live.tags.try_reserve(1).is_err() {
            return false;
        }
        while live.freed.len() < KEPT {
            live.freed.push_back(Cell::new(0));
        }
        live.tags.insert(!address, tag);
        true
    })
}

/// Forgets the handle at `address`, if it is known as one of the type with `tag`. `take` gives what it held and its memory, which
/// is kept until [`KEPT`] others were removed.
pub(super) fn remove<R>(address: usize, tag: u64, take: impl FnOnce() -> (R, Cell)) -> Option<R> {
    change(|live| {
        if live.tags.get(&!address) != Some(&tag) {
            return None;
        }
        live.tags.remove(&!address);
        let (held, memory) = take();
        live.freed.pop_front();
        live.freed.push_back(memory);
        Some(held)
    })
}

/// What a look found.
pub(super) enum Found<R> {
    /// A handle of the type; nobody could remove it while this was made.
    Alive(R),
    /// None, or one of another type.
    Nothing,
    /// The table was held all the time.
    Held,
}

/// Runs `body` while the handle at `address`, if it is one of the type with `tag`, cannot be removed.
pub(super) fn look<R>(address: usize, tag: u64, body: impl FnOnce() -> R) -> Found<R> {
    if forked() {
        return Found::Nothing;
    }
    let live = patiently(|| match CHANGING.load(Ordering::Relaxed) {
        0 => LIVE.try_read(),
        _ => Err(TryLockError::WouldBlock),
    });
    match live {
        None => Found::Held,
        Some(live) if live.tags.get(&!address) == Some(&tag) => Found::Alive(body()),
        Some(_) => Found::Nothing,
    }
}
