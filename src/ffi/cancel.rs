//! `seed_cancel_token`: ends or pauses a long call from any thread.

use std::ffi::c_void;

use super::border::catch;
use super::error::seed_error;
use super::handle::{Guarded, free, handle, with};
use super::pointers::put_new;
use crate::Result;
use crate::train::CancelToken;

/// Ends or pauses long calls at their next step. One token may serve several calls.
pub struct seed_cancel_token(Guarded<CancelToken>);
handle!(seed_cancel_token, CancelToken);

/// Receives how many images of how many are done, on the thread that called; a return other than 0 cancels.
pub type seed_count_callback =
    Option<unsafe extern "C-unwind" fn(done: usize, total: usize, user_data: *mut c_void) -> i32>;

/// The token of a call; NULL is one that never asks for anything.
pub(super) fn token(token: *const seed_cancel_token) -> Result<CancelToken> {
    if token.is_null() { Ok(CancelToken::new()) } else { with(token, |token| Ok(token.clone())) }
}

/// Makes a token that asks for nothing. The caller frees it with seed_cancel_token_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_cancel_token_new(out: *mut *mut seed_cancel_token) -> *mut seed_error {
    // SAFETY: passed on from the C caller, as in every function of this file.
    catch(|| unsafe { put_new(out, || Ok(CancelToken::new())) })
}

/// Asks the calls that hold the token to end, paused ones too. From any thread, at any time before the token is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_cancel_token_trigger(token: *const seed_cancel_token) -> *mut seed_error {
    catch(|| {
        with(token, |token| {
            token.trigger();
            Ok(())
        })
    })
}

/// Takes seed_cancel_token_trigger back, so that the token can be used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_cancel_token_reset(token: *const seed_cancel_token) -> *mut seed_error {
    catch(|| {
        with(token, |token| {
            token.reset();
            Ok(())
        })
    })
}

/// Asks the calls that hold the token to wait at their next step, idle, until seed_cancel_token_resume or
/// seed_cancel_token_trigger. A call that begins later waits too. From any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_cancel_token_pause(token: *const seed_cancel_token) -> *mut seed_error {
    catch(|| {
        with(token, |token| {
            token.pause();
            Ok(())
        })
    })
}

/// Lets paused calls go on. From any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_cancel_token_resume(token: *const seed_cancel_token) -> *mut seed_error {
    catch(|| {
        with(token, |token| {
            token.resume();
            Ok(())
        })
    })
}

/// Releases a token. NULL is fine. A call that was given the token keeps what it needs of it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_cancel_token_free(token: *mut seed_cancel_token) {
    free(token)
}
