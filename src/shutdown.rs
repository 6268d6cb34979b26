//! Calls that are under way while the process ends.
//!
//! `exit` (also behind a return from main, and in the runtimes of C# and Python) destroys libtorch's static objects while other
//! threads go on computing with them. So before the first of them goes, this module closes the door and waits until no thread
//! is where libtorch is used:
//!
//! - a call that begins, or that comes by one of its marks ([`pass`]), is held: it does not return into a program whose own
//!   objects are being destroyed, where an error would be thrown, printed or answered by another `exit`;
//! - a thread that waits or is in a function of the application ([`aside`]) uses nothing of libtorch, and is held when it comes back;
//! - where the thread that ends the process has slept for [`HELD`], it waits for a held call, such as a destructor that joins its
//!   thread; then that call ends by an error;
//! - a thread that has reached no mark within [`PATIENCE`] would crash; then the process ends at once, by its own exit code.
//!
//! Exit handlers run in the reverse order of their registration, and the application registers some when it likes: one that joins a thread
//! would wait for ever for a call that does not know that the process ends. (What libtorch registers while it is used never runs:
//! `torch/statics.rs`.) So there is a handler for each function that was called, registered after its first call, and one more is moved to
//! the end of the list every [`INTERVAL`] while the library is used (`exit::stay_first`). Another one is registered when the library is
//! loaded, just after libtorch's own first ones: it is the last moment, and the only one that knows the exit code.

use std::cell::Cell;
use std::marker::PhantomData;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// How long the end of the process waits for threads to come by a mark.
const PATIENCE: Duration = Duration::from_millis(800);

/// How long the thread that ends the process must sleep until held calls end by an error.
const HELD: Duration = Duration::from_millis(400);

/// How often a held thread looks whether that one sleeps.
const LOOK: Duration = Duration::from_millis(50);

/// How long what others register may stand behind the first handler, in nanoseconds. A move costs six microseconds, for which that handler
/// is on no list.
const INTERVAL: u64 = 100_000_000;

/// The process runs.
const ALIVE: u8 = 0;
/// Its exit handlers run.
const ENDING: u8 = 1;
/// libtorch's static objects are gone.
const OVER: u8 = 2;

static STATE: AtomicU8 = AtomicU8::new(ALIVE);

/// When [`STATE`] left [`ALIVE`], by [`now`].
static BEGAN: AtomicU64 = AtomicU64::new(0);

/// Threads that may be using libtorch.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// The thread that ends the process, by the kernel's number, while it runs handlers of others; 0 while it waits in one of ours.
static ENDING_THREAD: AtomicI32 = AtomicI32::new(0);

/// Whether a held call was waited for: then so are others, and they end at once when that thread sleeps again.
static WAITED_FOR: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Whether this thread is counted in [`RUNNING`].
    static COUNTED: Cell<bool> = const { Cell::new(false) };
    /// Whether this thread ends the process.
    static ENDS: Cell<bool> = const { Cell::new(false) };
    /// Whether this thread was held and is waited for: what it calls on its way out is refused at once.
    static RELEASED: Cell<bool> = const { Cell::new(false) };
}

/// What a held call unwinds with when it is to end.
pub struct ProcessEnds;

impl ProcessEnds {
    /// What the caller is told.
    pub const MESSAGE: &str = "the process is ending; stop the threads that use libseed before it does";
}

/// This thread may use libtorch while this lives.
pub struct Inside {
    is_new: bool,
    _count: Count,
}

impl Drop for Inside {
    fn drop(&mut self) {
        if STATE.load(Ordering::Relaxed) == ALIVE {
            exit::stay_first(self.is_new);
        }
    }
}

/// Enters the library, or holds the thread where the process ends. `what` is any text that stands for the function, by its address.
pub fn enter(what: &'static str) -> Inside {
    let inside = Inside { is_new: is_new(what.as_ptr().addr()), _count: count(true) };
    pass();
    inside
}

/// Whether a function is called for the first time.
fn is_new(function: usize) -> bool {
    /// More than there are functions; those that find no place count as known.
    static KNOWN: [AtomicUsize; 1024] = [const { AtomicUsize::new(0) }; 1024];
    let first = (function >> 3).wrapping_mul(0x9e37_79b9) >> 8;
    for place in first..first + 16 {
        let place = &KNOWN[place % KNOWN.len()];
        let found = place.load(Ordering::Relaxed);
        if found == function {
            return false;
        }
        if found == 0 && place.compare_exchange(0, function, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            return true;
        }
    }
    false
}

/// Runs `body`, which waits or belongs to the application: nothing of libtorch is used meanwhile. [`pass`] should follow, as soon as no
/// lock is held.
pub fn aside<R>(body: impl FnOnce() -> R) -> R {
    let _aside = count(false);
    body()
}

/// A mark: holds this thread where the process ends. Call it with no lock held that others wait for.
pub fn pass() {
    // A second panic would end the process by a signal.
    if stops() && !std::thread::panicking() {
        resume_unwind(Box::new(ProcessEnds));
    }
}

/// [`pass`] for code that must not unwind: whether the call is to end now.
pub fn stops() -> bool {
    if STATE.load(Ordering::SeqCst) == ALIVE {
        if COUNTED.get() {
            exit::stay_first(false);
        }
        return false;
    }
    held()
}

/// Whether another thread ends the process.
pub fn is_ending_elsewhere() -> bool {
    STATE.load(Ordering::SeqCst) != ALIVE && !ENDS.get()
}

/// Makes sure that the end of the process is noticed. Any number of times.
pub fn watch() {
    exit::at_load();
    exit::stay_first(true);
}

/// In a child that was forked off: the other threads are its parent's.
pub fn forked() {
    RUNNING.store(usize::from(COUNTED.get()), Ordering::SeqCst);
}

/// Puts the count back.
struct Count {
    before: bool,
    // The count is of the thread that set it.
    _not_send: PhantomData<*const ()>,
}

fn set(counted: bool) -> bool {
    let before = COUNTED.replace(counted);
    match (before, counted) {
        (false, true) => _ = RUNNING.fetch_add(1, Ordering::SeqCst),
        (true, false) => _ = RUNNING.fetch_sub(1, Ordering::SeqCst),
        _ => {}
    }
    before
}

fn count(counted: bool) -> Count {
    Count { before: set(counted), _not_send: PhantomData }
}

impl Drop for Count {
    fn drop(&mut self) {
        set(self.before);
    }
}

/// Holds a thread of the library's; whether its call is to end then.
#[cold]
fn held() -> bool {
    if ENDS.get() {
        // Exit handlers may use the library as long as it is there.
        return STATE.load(Ordering::SeqCst) == OVER;
    }
    if !COUNTED.get() {
        return false;
    }
    if RELEASED.get() {
        return true;
    }
    aside(|| {
        let mut asleep = Duration::ZERO;
        while asleep < if WAITED_FOR.load(Ordering::Relaxed) { LOOK } else { HELD } {
            std::thread::sleep(LOOK);
            asleep = if exit::sleeps(ENDING_THREAD.load(Ordering::SeqCst)) { asleep + LOOK } else { Duration::ZERO };
        }
    });
    WAITED_FOR.store(true, Ordering::Relaxed);
    RELEASED.set(true);
    true
}

/// The process ends on this thread; whether no other one uses libtorch any more.
fn end() -> bool {
    ENDS.set(true);
    ENDING_THREAD.store(0, Ordering::SeqCst);
    if STATE.load(Ordering::SeqCst) == ALIVE {
        BEGAN.store(now(), Ordering::SeqCst);
        STATE.store(ENDING, Ordering::SeqCst);
    }
    // A handler may run inside of a call, on the thread that called exit in a callback.
    let own = usize::from(COUNTED.get());
    let until = BEGAN.load(Ordering::SeqCst).saturating_add(PATIENCE.as_nanos() as u64);
    let mut stopped = true;
    while stopped && RUNNING.load(Ordering::SeqCst) > own {
        std::thread::sleep(Duration::from_micros(100));
        stopped = now() < until;
    }
    ENDING_THREAD.store(exit::this_thread(), Ordering::SeqCst);
    stopped
}

/// Nanoseconds of a clock that never goes back.
fn now() -> u64 {
    exit::time(libc::CLOCK_MONOTONIC)
}

/// The handlers, by glibc's means, which libtorch for Linux needs anyway.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod exit {
    use std::cell::Cell;
    use std::ffi::{c_int, c_void};
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    use super::INTERVAL;

    /// Stands for a library of its own whose exit handlers are taken off the list and put at its end.
    static LIBRARY: u8 = 0;

    /// The same for handlers that stay where they are.
    static STAYS: u8 = 1;

    thread_local! {
        /// This thread takes the handler off the list, which calls it.
        static MOVING: Cell<bool> = const { Cell::new(false) };
    }

    unsafe extern "C" {
        fn on_exit(handler: unsafe extern "C" fn(c_int, *mut c_void), data: *mut c_void) -> c_int;
        // The Itanium C++ ABI, 3.3.5.
        fn __cxa_atexit(handler: unsafe extern "C" fn(*mut c_void), data: *mut c_void, library: *mut c_void) -> c_int;
        fn __cxa_finalize(library: *mut c_void);
    }

    /// Registers the last handler when the library is loaded, behind libtorch, which was loaded before.
    #[used]
    #[unsafe(link_section = ".init_array")]
    static AT_LOAD: extern "C" fn() = at_load;

    pub(super) extern "C" fn at_load() {
        static DONE: AtomicBool = AtomicBool::new(false);
        if !DONE.swap(true, Ordering::SeqCst) {
            // SAFETY: the library is never unloaded. Without memory for the entry, the process ends as it would without it.
            unsafe { on_exit(last, std::ptr::null_mut()) };
        }
    }

    /// Registers the first handler once more where `new` is true, which is as often as there are functions; else puts one that is there at
    /// the end of the list again, where that is due.
    pub(super) fn stay_first(new: bool) {
        static MOVED: AtomicU64 = AtomicU64::new(0);
        if new {
            let stays = (&raw const STAYS).cast_mut().cast();
            // SAFETY: the library is never unloaded. Where there is no memory, the last handler does it all.
            unsafe { __cxa_atexit(first, std::ptr::null_mut(), stays) };
            return;
        }
        // The coarse clock costs a third and is exact to some milliseconds.
        let (time, moved) = (time(libc::CLOCK_MONOTONIC_COARSE), MOVED.load(Ordering::Relaxed));
        let due = time.saturating_sub(moved) >= INTERVAL;
        if !due || MOVED.compare_exchange(moved, time, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return;
        }
        let library = (&raw const LIBRARY).cast_mut().cast();
        MOVING.set(true);
        // SAFETY: the address is this module's own, so its handler alone is taken off, and does nothing now. An entry at the
        // end of the list is used again, so the list grows no more than others make it.
        unsafe { __cxa_finalize(library) };
        MOVING.set(false);
        // SAFETY: as above.
        unsafe { __cxa_atexit(first, std::ptr::null_mut(), library) };
    }

    unsafe extern "C" fn first(_: *mut c_void) {
        if !MOVING.get() {
            super::end();
        }
    }

    unsafe extern "C" fn last(status: c_int, _: *mut c_void) {
        if !super::end() {
            // SAFETY: what a thread is using would be destroyed now. Streams are all that is left to do for the program.
            unsafe {
                libc::fflush(std::ptr::null_mut());
                libc::_exit(status);
            }
        }
        super::STATE.store(super::OVER, Ordering::SeqCst);
    }

    pub(super) fn time(clock: libc::clockid_t) -> u64 {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: a valid place; Linux has both clocks.
        unsafe { libc::clock_gettime(clock, &mut time) };
        time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
    }

    pub(super) fn this_thread() -> i32 {
        // SAFETY: asks for a number.
        unsafe { libc::gettid() }
    }

    /// Whether the thread waits for something; one that only waits for a core does not, and one that is not known (0) neither.
    pub(super) fn sleeps(thread: i32) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat"));
        // The state follows the name, which may hold anything, in brackets.
        stat.is_ok_and(|stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('S')))
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
mod exit {
    pub(super) extern "C" fn at_load() {}
    pub(super) fn stay_first(_: bool) {}
    pub(super) fn time(clock: libc::clockid_t) -> u64 {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: a valid place.
        unsafe { libc::clock_gettime(clock, &mut time) };
        time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
    }
    pub(super) fn this_thread() -> i32 {
        0
    }
    pub(super) fn sleeps(_: i32) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_new_once() {
        let (one, other) = ("one", "other");
        assert!(is_new(one.as_ptr().addr()) && is_new(other.as_ptr().addr()));
        assert!(!is_new(one.as_ptr().addr()) && !is_new(other.as_ptr().addr()));
    }

    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[test]
    fn a_thread_that_waits_is_told_from_one_that_runs() {
        assert!(!exit::sleeps(exit::this_thread()) && !exit::sleeps(0));
        let (tell, told) = std::sync::mpsc::channel();
        let (end, ends) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            tell.send(exit::this_thread()).unwrap();
            _ = ends.recv();
        });
        let number = told.recv().unwrap();
        while !exit::sleeps(number) {
            std::thread::yield_now();
        }
        drop(end);
        thread.join().unwrap();
    }

    #[test]
    fn a_thread_is_counted_once_and_not_while_it_waits() {
        let counted = || COUNTED.get();
        assert!(!counted());
        {
            let _call = enter("a test");
            assert!(counted());
            aside(|| {
                assert!(!counted());
                let _nested = enter("a test");
                assert!(counted());
            });
            assert!(counted());
            let _again = enter("a test");
            drop(_again);
            assert!(counted());
        }
        assert!(!counted());
        let panicked = std::panic::catch_unwind(|| {
            let _call = enter("a test");
            aside(|| std::panic::resume_unwind(Box::new(())))
        });
        assert!(panicked.is_err() && !counted());
    }
}
