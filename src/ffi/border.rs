//! Where panics stop. Nothing unwinds into C, and nothing is printed on the way.

use std::any::{Any, type_name};
use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::error::{raise, seed_error};
use super::init;
use crate::shutdown::{self, ProcessEnds};
use crate::torch::caught;
use crate::{Error, ErrorKind, Result};

thread_local! {
    /// How many calls of the library this thread is in; a panic there is ours to report.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Lowers the count even when a panic passes.
struct Inside;

impl Inside {
    fn enter() -> Self {
        DEPTH.with(|depth| depth.set(depth.get() + 1));
        Self
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        DEPTH.with(|depth| depth.set(depth.get().saturating_sub(1)));
    }
}

/// Runs `body` and gives NULL or the error that it returned or panicked with; seed_init must have succeeded before.
pub(super) fn catch<F: FnOnce() -> Result<()>>(body: F) -> *mut seed_error {
    caught_as(type_name::<F>(), || {
        init::check()?;
        body()
    })
}

/// [`catch`] for the few functions that work before seed_init.
pub(super) fn catch_always<F: FnOnce() -> Result<()>>(body: F) -> *mut seed_error {
    caught_as(type_name::<F>(), body)
}

/// `name` is the body's, which tells the functions apart.
fn caught_as(name: &'static str, body: impl FnOnce() -> Result<()>) -> *mut seed_error {
    let result = catch_unwind(AssertUnwindSafe(|| {
        let _inside = Inside::enter();
        let _running = shutdown::enter(name);
        caught(body)
    }));
    match result {
        Ok(Ok(())) => std::ptr::null_mut(),
        // Whatever a call that was ended for it gives as the reason.
        Ok(Err(_)) if shutdown::is_ending_elsewhere() => raise(&Error::new(ErrorKind::Cancelled, ProcessEnds::MESSAGE)),
        Ok(Err(error)) => raise(&error),
        Err(panic) if panic.is::<ProcessEnds>() => raise(&Error::new(ErrorKind::Cancelled, ProcessEnds::MESSAGE)),
        Err(panic) => raise(&Error::new(ErrorKind::Internal, format!("internal error: {}", panic_text(&*panic)))),
    }
}

/// Runs `body`, which returns nothing; a panic in it, in a destructor say, is logged and goes no further.
pub(super) fn catch_void<F: FnOnce()>(body: F) {
    let inside = Inside::enter();
    let ended = catch_unwind(AssertUnwindSafe(|| {
        // Where the process ends first, nothing is destroyed any more.
        let body = ManuallyDrop::new(body);
        let _running = shutdown::enter(type_name::<F>());
        ManuallyDrop::into_inner(body)();
    }));
    match ended {
        Err(panic) if !panic.is::<ProcessEnds>() => ::log::error!("internal error: {}", panic_text(&*panic)),
        _ => {}
    }
    drop(inside);
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic without a message")
}

/// Puts a hook before the process's panic hook: a panic inside a call of the library goes to the log instead of standard
/// error, every other panic to the hook that was there.
pub(super) fn silence_own_panics() {
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        // Threads of our own, the loader's and the run's, are named so.
        let own = std::thread::current().name().is_some_and(|name| name.starts_with("seed-"));
        if own || DEPTH.with(Cell::get) > 0 {
            ::log::error!("{info}");
        } else {
            previous(info);
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::super::error::{SEED_ERROR_INTERNAL, seed_error_code, seed_error_free, seed_error_message};
    use super::*;

    #[test]
    fn a_panic_becomes_an_internal_error() {
        let error = catch_always(|| panic!("number {}", 7));
        // SAFETY: an error of this library, freed once.
        unsafe {
            assert_eq!(seed_error_code(error), SEED_ERROR_INTERNAL);
            let message = std::ffi::CStr::from_ptr(seed_error_message(error)).to_str().unwrap();
            assert_eq!(message, "internal error: number 7");
            seed_error_free(error);
        }
        assert_eq!(DEPTH.with(Cell::get), 0);
    }
}
