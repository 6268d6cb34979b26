//! `seed_cancel_token`: ends a long call from any thread.

use super::border::catch;
use super::error::seed_error;
use super::handle::{Guarded, free, handle, with};
use super::pointers::put_new;
use crate::train::CancelToken;

/// A flag that ends long calls at their next step. One token may serve several calls.
pub struct seed_cancel_token(Guarded<CancelToken>);
handle!(seed_cancel_token, CancelToken);

/// Makes a token whose flag is down. The caller frees it with seed_cancel_token_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_cancel_token_new(out: *mut *mut seed_cancel_token) -> *mut seed_error {
    // SAFETY: passed on from the C caller, as in every function of this file.
    catch(|| unsafe { put_new(out, || Ok(CancelToken::new())) })
}

/// Raises the flag. From any thread, at any time before the token is freed; never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_cancel_token_trigger(token: *const seed_cancel_token) -> *mut seed_error {
    catch(|| unsafe {
        with(token, |token| {
            token.trigger();
            Ok(())
        })
    })
}

/// Lowers the flag, so that the token can be used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_cancel_token_reset(token: *const seed_cancel_token) -> *mut seed_error {
    catch(|| unsafe {
        with(token, |token| {
            token.reset();
            Ok(())
        })
    })
}

/// Releases a token. NULL is fine. A call that was given the token keeps what it needs of it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_cancel_token_free(token: *mut seed_cancel_token) {
    unsafe { free(token) }
}
