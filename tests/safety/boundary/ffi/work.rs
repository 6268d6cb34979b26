//! Eight threads over one handle.

use std::ffi::c_void;
use std::sync::atomic::{AtomicU64, Ordering};

use super::handle::{Guarded, create, free, handle, with, with_mut};
use crate::ErrorKind;

/// Two numbers that are equal whenever nobody is writing them.
pub struct pair(Guarded<(u64, u64)>);
handle!(pair, (u64, u64));

const THREADS: usize = 8;
const ROUNDS: u64 = 5000;

/// What all threads see.
struct Shared {
    pair: *mut pair,
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
        pair: create::<pair>((0, 0)),
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
    // SAFETY: alive, and nobody else is left.
    unsafe {
        with(shared.pair, |value| {
            assert_eq!(*value, (written, written), "a write was lost");
            Ok(())
        })
        .unwrap();
        free(shared.pair);
    }
    println!("{written} writes, {} times busy", shared.busy.load(Ordering::Relaxed));
}

extern "C" fn work(shared: *mut c_void) -> *mut c_void {
    // SAFETY: what `run` gave.
    let shared = unsafe { &*shared.cast::<Shared>() };
    let thread = shared.next.fetch_add(1, Ordering::Relaxed);
    for round in 0..ROUNDS {
        let writes = (thread + round).is_multiple_of(3);
        // SAFETY: the handle lives until the threads have ended.
        let result = unsafe {
            if writes {
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
            }
        };
        match result {
            Ok(()) if writes => _ = shared.written.fetch_add(1, Ordering::Relaxed),
            Ok(()) => {}
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Busy);
                shared.busy.fetch_add(1, Ordering::Relaxed);
            }
        }
        #[cfg(race)]
        race(thread + round);
    }
    std::ptr::null_mut()
}

#[cfg(race)]
fn race(number: u64) {
    static mut PLAIN: u64 = 0;
    // SAFETY: none; this is the race that the sanitizer must find.
    unsafe { (&raw mut PLAIN).write((&raw const PLAIN).read() + number) };
}
