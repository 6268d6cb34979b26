//! What an opaque handle holds: a tag of its type, a lock that never waits, and the value.
//!
//! Functions whose C signature says `const` take [`with`], and any number of threads may be inside; the others take
//! [`with_mut`]. Whoever comes at the wrong time gets `Busy` instead of waiting, so a callback that reaches for its own
//! caller's handle cannot deadlock. A panic inside poisons the handle: every later call says so, and freeing still works.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{RwLock, TryLockError};

use super::border::catch_void;
use crate::torch::caught;
use crate::{Error, ErrorKind, Result};

/// The inside of a handle. The layout is C's so that the tag comes first whatever T is: a handle of another type is
/// told by its tag before anything else of it is touched.
#[repr(C)]
pub struct Guarded<T> {
    tag: AtomicU64,
    poisoned: AtomicBool,
    value: RwLock<T>,
}

impl<T> Guarded<T> {
    fn new(tag: u64, value: T) -> Self {
        Self { tag: AtomicU64::new(tag), poisoned: AtomicBool::new(false), value: RwLock::new(value) }
    }
}

/// A C type whose objects are handles.
pub trait Handle: Sized {
    /// The C type's name, for messages.
    const NAME: &'static str;
    /// What the handle holds.
    type Value;
    /// Wraps the inside.
    fn wrap(inner: Guarded<Self::Value>) -> Self;
    /// The inside.
    fn inner(&self) -> &Guarded<Self::Value>;
}

/// Declares that `$type(Guarded<$value>)` is a handle.
macro_rules! handle {
    ($type:ident, $value:ty) => {
        impl $crate::ffi::handle::Handle for $type {
            const NAME: &'static str = stringify!($type);
            type Value = $value;
            fn wrap(inner: $crate::ffi::handle::Guarded<$value>) -> Self {
                Self(inner)
            }
            fn inner(&self) -> &$crate::ffi::handle::Guarded<$value> {
                &self.0
            }
        }
    };
}
pub(super) use handle;

/// FNV-1a of the type's name: tells handles of different types apart, and freed ones from live ones, as far as memory
/// that is no longer ours can be read at all.
const fn tag_of(name: &str) -> u64 {
    let (bytes, mut hash, mut i) = (name.as_bytes(), 0xcbf2_9ce4_8422_2325u64, 0);
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        i += 1;
    }
    hash
}

/// A new handle that the caller of the C function owns.
pub(super) fn create<H: Handle>(value: H::Value) -> *mut H {
    Box::into_raw(Box::new(H::wrap(Guarded::new(tag_of(H::NAME), value))))
}

/// Releases a handle; NULL is fine.
///
/// # Safety
/// `handle` is NULL or comes from [`create`], is not used by anyone, and is not used again.
pub(super) unsafe fn free<H: Handle>(handle: *mut H) {
    if handle.is_null() {
        return;
    }
    // SAFETY: by contract.
    let tag = unsafe { &(*handle).inner().tag };
    // Nothing is written where the tag is another: that memory is not ours, or not any more.
    if tag.compare_exchange(tag_of(H::NAME), 0, Ordering::AcqRel, Ordering::Acquire).is_err() {
        ::log::error!("{}_free was given something else, or the same handle twice; it is left alone", H::NAME);
        return;
    }
    // SAFETY: by contract, the Box of `create`.
    catch_void(|| drop(unsafe { Box::from_raw(handle) }));
}

/// # Safety
/// `handle` is NULL or points to memory that can be read for as long as the call lasts.
unsafe fn inside<'a, H: Handle + 'a>(handle: *const H) -> Result<&'a Guarded<H::Value>> {
    if handle.is_null() || !handle.is_aligned() {
        return Err(Error::invalid(format!("the {} is NULL or no pointer to one", H::NAME)));
    }
    // SAFETY: by contract.
    let inner = unsafe { &*handle }.inner();
    if inner.tag.load(Ordering::Acquire) != tag_of(H::NAME) {
        return Err(Error::invalid(format!("the handle is no {} (another type, or freed already)", H::NAME)));
    }
    if inner.poisoned.load(Ordering::Acquire) {
        return Err(poisoned::<H>());
    }
    Ok(inner)
}

fn poisoned<H: Handle>() -> Error {
    let name = H::NAME;
    Error::new(
        ErrorKind::Poisoned,
        format!("an earlier internal error left this {name} in an unknown state; free it and make a new one"),
    )
}

/// Poisons when a panic passes.
struct PoisonOnPanic<'a>(&'a AtomicBool);

impl Drop for PoisonOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Release);
        }
    }
}

fn refused<H: Handle, G>(error: TryLockError<G>) -> Error {
    match error {
        TryLockError::Poisoned(_) => poisoned::<H>(),
        TryLockError::WouldBlock => Error::new(
            ErrorKind::Busy,
            format!(
                "this {} is in use by another thread or by the caller of this callback; try again after that",
                H::NAME
            ),
        ),
    }
}

/// Runs `body` on the value together with other readers.
///
/// # Safety
/// As [`inside`].
pub(super) unsafe fn with<H: Handle, R>(handle: *const H, body: impl FnOnce(&H::Value) -> Result<R>) -> Result<R> {
    // SAFETY: by contract.
    let inner = unsafe { inside(handle) }?;
    let value = inner.value.try_read().map_err(refused::<H, _>)?;
    let _poison = PoisonOnPanic(&inner.poisoned);
    caught(|| body(&value))
}

/// Runs `body` on the value alone.
///
/// # Safety
/// As [`inside`].
pub(super) unsafe fn with_mut<H: Handle, R>(
    handle: *mut H,
    body: impl FnOnce(&mut H::Value) -> Result<R>,
) -> Result<R> {
    // SAFETY: by contract.
    let inner = unsafe { inside(handle.cast_const()) }?;
    let mut value = inner.value.try_write().map_err(refused::<H, _>)?;
    let _poison = PoisonOnPanic(&inner.poisoned);
    caught(|| body(&mut value))
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    struct number(Guarded<i32>);
    handle!(number, i32);
    struct text(Guarded<String>);
    handle!(text, String);

    #[test]
    fn readers_share_and_writers_do_not() {
        let handle = create::<number>(1);
        // SAFETY: a live handle of this test.
        unsafe {
            with(handle, |_| {
                assert_eq!(with(handle, |value| Ok(*value))?, 1);
                let busy = with_mut(handle, |_| Ok(())).unwrap_err();
                assert_eq!(busy.kind(), ErrorKind::Busy);
                Ok(())
            })
            .unwrap();
            with_mut(handle, |_| {
                assert_eq!(with(handle, |_| Ok(())).unwrap_err().kind(), ErrorKind::Busy);
                Ok(())
            })
            .unwrap();
            free(handle);
        }
    }

    #[test]
    fn a_panic_poisons() {
        for exclusive in [false, true] {
            let handle = create::<number>(1);
            // SAFETY: a live handle of this test.
            unsafe {
                let panicked = catch_unwind(AssertUnwindSafe(|| {
                    if exclusive {
                        with_mut(handle, |_| panic!("on purpose"))
                    } else {
                        with(handle, |_| panic!("on purpose"))
                    }
                }));
                let panicked: std::thread::Result<Result<()>> = panicked;
                assert!(panicked.is_err());
                assert_eq!(with(handle, |_| Ok(())).unwrap_err().kind(), ErrorKind::Poisoned);
                assert_eq!(with_mut(handle, |_| Ok(())).unwrap_err().kind(), ErrorKind::Poisoned);
                free(handle);
            }
        }
    }

    #[test]
    fn another_type_and_null_are_refused() {
        let handle = create::<number>(1);
        // SAFETY: the tag is read before anything else of the wrong type; NULL is never read.
        unsafe {
            assert_eq!(with(handle.cast::<text>(), |_| Ok(())).unwrap_err().kind(), ErrorKind::InvalidArgument);
            free(handle.cast::<text>());
            assert_eq!(
                with::<number, ()>(std::ptr::null(), |_| Ok(())).unwrap_err().kind(),
                ErrorKind::InvalidArgument
            );
            free::<number>(std::ptr::null_mut());
            drop(Box::from_raw(handle));
        }
    }
}
