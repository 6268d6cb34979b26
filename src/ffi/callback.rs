//! Calls of the application's functions. What one of them throws, as C++ throws, goes no further than here.

use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::MaybeUninit;

use crate::{Error, ErrorKind, Result};

unsafe extern "C" {
    fn seed_callback_run(
        call: unsafe extern "C-unwind" fn(*mut c_void),
        data: *mut c_void,
        reason: *mut c_char,
        capacity: usize,
    ) -> c_int;
}

/// Longest text of an exception that is kept, in bytes, the NUL included.
const REASON: usize = 512;

/// What `call`, which calls a function of the application and does nothing else, gives; an error of the kind `Cancelled` where
/// the function threw. Values of `call` that have a destructor must not exist while the function runs.
pub(super) fn guarded<R>(call: impl Fn() -> R) -> Result<R> {
    struct Call<F, R> {
        function: F,
        result: MaybeUninit<R>,
    }
    unsafe extern "C-unwind" fn run<F: Fn() -> R, R>(data: *mut c_void) {
        // SAFETY: the `Call` below, which nobody else uses meanwhile.
        let call = unsafe { &mut *data.cast::<Call<F, R>>() };
        call.result.write((call.function)());
    }
    fn runner<F: Fn() -> R, R>(_: &Call<F, R>) -> unsafe extern "C-unwind" fn(*mut c_void) {
        run::<F, R>
    }
    let mut call = Call { function: call, result: MaybeUninit::uninit() };
    let mut reason = [0 as c_char; REASON];
    let run = runner(&call);
    // SAFETY: `call` and `reason` live through the call; an exception passes `run`, whose ABI allows it.
    let threw = unsafe { seed_callback_run(run, (&raw mut call).cast(), reason.as_mut_ptr(), REASON) } != 0;
    if threw {
        // SAFETY: the reason ends in NUL.
        let reason = unsafe { CStr::from_ptr(reason.as_ptr()) }.to_string_lossy();
        let text =
            format!("the callback threw an exception ({reason}); the call ended there. Return other than 0 instead");
        return Err(Error::new(ErrorKind::Cancelled, text));
    }
    // SAFETY: it did not throw, so `run` wrote the result.
    Ok(unsafe { call.result.assume_init() })
}

/// Whether the application's callback asked one call to stop, and how.
#[derive(Default)]
pub(super) struct Asked(RefCell<Option<Error>>);

impl Asked {
    /// Asks by `call`: a number other than 0 is to stop, and so is an exception.
    pub(super) fn stops(&self, call: impl Fn() -> i32) -> bool {
        match guarded(call) {
            Ok(answer) => answer != 0,
            Err(error) => {
                self.0.replace(Some(error));
                true
            }
        }
    }

    /// The result of the call; the exception's error instead, where there was one.
    pub(super) fn result<R>(&self, result: Result<R>) -> Result<R> {
        match self.0.take() {
            Some(error) => Err(error),
            None => result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_throw_goes_through() {
        assert_eq!(guarded(|| 7).unwrap(), 7);
        let asked = Asked::default();
        assert!(!asked.stops(|| 0) && asked.stops(|| -1));
        assert_eq!(asked.result(Ok(3)).unwrap(), 3);
    }
}
