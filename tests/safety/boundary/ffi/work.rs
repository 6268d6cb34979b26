//! Eight threads over one handle that stays, and over one that any of them frees and replaces at any time.

use std::ffi::c_void;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use super::handle::{Guarded, create, free, handle, with, with_mut};
use crate::ErrorKind;

/// Two numbers that are equal whenever nobody is writing them.
pub struct pair(Guarded<(u64, u64)>);
handle!(pair, (u64, u64));

/// Two numbers that are equal as long as they live.
pub struct Mortal(u64, u64);
impl Drop for Mortal {
    fn drop(&mut self) {
        (self.0, self.1) = (std::hint::black_box(1), 2);
    }
}
pub struct passing(Guarded<Mortal>);
handle!(passing, Mortal);

const THREADS: usize = 8;
const ROUNDS: u64 = 5000;

/// What all threads see.
struct Shared {
    pair: *mut pair,
    passing: AtomicPtr<passing>,
    replaced: AtomicU64,
    gone: AtomicU64,
    next: AtomicU64,
    written: AtomicU64,
    busy: AtomicU64,
}

// std's own threads would be reported: what they do when they end is in code without a sanitizer.
unsafe extern "C" {
    fn pthread_create(
        thread: *mut usize,
        attributes: *const c_void,
        start: extern "C" fn(*mut c_void) -> *mut c_void,
        argument: *mut c_void,
    ) -> i32;
    fn pthread_join(thread: usize, value: *mut *mut c_void) -> i32;
}

pub fn run() {
    let mut shared = Shared {
        pair: create::<pair>((0, 0)).unwrap(),
        passing: AtomicPtr::new(create::<passing>(Mortal(0, 0)).unwrap()),
        replaced: AtomicU64::new(0),
        gone: AtomicU64::new(0),
        next: AtomicU64::new(0),
        written: AtomicU64::new(0),
        busy: AtomicU64::new(0),
    };
    let mut threads = [0; THREADS];
    for thread in &mut threads {
        // SAFETY: `shared` lives until all threads were joined.
        let result = unsafe { pthread_create(thread, std::ptr::null(), work, (&raw mut shared).cast()) };
        assert_eq!(result, 0);
    }
    for thread in threads {
        // SAFETY: started above and joined once.
        assert_eq!(unsafe { pthread_join(thread, std::ptr::null_mut()) }, 0);
    }
    let written = shared.written.load(Ordering::Relaxed);
    with(shared.pair, |value| {
        assert_eq!(*value, (written, written), "a write was lost");
        Ok(())
    })
    .unwrap();
    free(shared.pair);
    free(shared.passing.load(Ordering::Relaxed));
    let number = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let (busy, replaced, gone) = (number(&shared.busy), number(&shared.replaced), number(&shared.gone));
    println!("{written} writes, {busy} times busy, {replaced} times replaced, {gone} times gone");
    assert!(replaced > 0 && gone > 0);
}

extern "C" fn work(shared: *mut c_void) -> *mut c_void {
    // SAFETY: what `run` gave.
    let shared = unsafe { &*shared.cast::<Shared>() };
    let thread = shared.next.fetch_add(1, Ordering::Relaxed);
    for round in 0..ROUNDS {
        let writes = (thread + round).is_multiple_of(3);
        let result = if writes {
            with_mut(shared.pair, |value| {
                value.0 += 1;
                std::thread::yield_now(); // others come at the worst time
                value.1 += 1;
                Ok(())
            })
        } else {
            with(shared.pair, |value| {
                assert_eq!(value.0, value.1, "a reader beside a writer");
                Ok(())
            })
        };
        match result {
            Ok(()) if writes => _ = shared.written.fetch_add(1, Ordering::Relaxed),
            Ok(()) => {}
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Busy);
                shared.busy.fetch_add(1, Ordering::Relaxed);
            }
        }
        pass(shared, round);
        #[cfg(race)]
        race(thread + round);
    }
    std::ptr::null_mut()
}

/// Uses the handle that passes, with the others' frees in between, or replaces it.
fn pass(shared: &Shared, round: u64) {
    let handle = shared.passing.load(Ordering::Relaxed);
    if round.is_multiple_of(7) {
        let next = create::<passing>(Mortal(round, round)).unwrap();
        let last = shared.passing.swap(next, Ordering::Relaxed);
        std::thread::yield_now();
        free(last);
        free(last);
        shared.replaced.fetch_add(1, Ordering::Relaxed);
        return;
    }
    std::thread::yield_now(); // so that it may be gone by now
    let result = with(handle, |value| {
        let first = value.0;
        std::thread::yield_now();
        assert_eq!(first, value.1, "an object that is gone");
        Ok(())
    });
    if let Err(error) = result {
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        shared.gone.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(race)]
fn race(number: u64) {
    static mut PLAIN: u64 = 0;
    // SAFETY: none; this is the race that the sanitizer must find.
    unsafe { (&raw mut PLAIN).write((&raw const PLAIN).read() + number) };
}
