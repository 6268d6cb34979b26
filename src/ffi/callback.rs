//! Calls of the application's functions. What one of them throws, as C++ throws, goes no further than here.

use std::cell::RefCell;
use std::ffi::c_void;
use std::mem::MaybeUninit;

use super::cancel::seed_count_callback;
use crate::train::{CancelToken, Control};
use crate::{Error, ErrorKind, Result, shutdown, torch};

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
    let run = runner(&call);
    // SAFETY: `call` lives through the call; an exception passes `run`, whose ABI allows it.
    let thrown = shutdown::aside(|| unsafe { torch::thrown(run, (&raw mut call).cast()) });
    if let Some(reason) = thrown {
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
    fn stops(&self, call: impl Fn() -> i32) -> bool {
        let answer = guarded(call);
        shutdown::pass();
        match answer {
            Ok(answer) => answer != 0,
            Err(error) => {
                self.0.replace(Some(error));
                true
            }
        }
    }

    /// [`Self::stops`] as a run asks it; no callback goes on.
    pub(super) fn control(&self, call: Option<impl Fn() -> i32>) -> Control {
        if call.is_some_and(|call| self.stops(call)) { Control::Stop } else { Control::Continue }
    }

    /// A callback that counts, which may be NULL, and a token as the question whether to go on.
    ///
    /// # Safety
    /// The callback may be called with `user_data` as long as the result is used.
    pub(super) unsafe fn going_on(
        &self,
        callback: seed_count_callback,
        user_data: *mut c_void,
        cancel: CancelToken,
    ) -> impl FnMut(usize, usize) -> bool {
        move |done, total| {
            // SAFETY: by contract.
            !cancel.wait().1 && callback.is_none_or(|call| !self.stops(|| unsafe { call(done, total, user_data) }))
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
