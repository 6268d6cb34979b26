//! What an opaque handle stands for: an object with a lock that never waits, known by its address in [`live`] and held as long
//! as anybody uses it.
//!
//! Functions whose C signature says `const` take [`with`], and any number of threads may be inside; the others take
//! [`with_mut`]. Whoever comes at the wrong time gets `Busy` instead of waiting, so a callback that reaches for its own
//! caller's handle cannot deadlock. A panic inside poisons the handle: every later call says so, and freeing still works.
//! A handle that is freed while a call works with its object, from another thread or from the call's own callback, is gone
//! at once; the object goes when that call ends.

use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{RwLock, TryLockError};

use super::border::catch_void;
use super::live::{self, Found};
use crate::torch::caught;
use crate::warnings::Warnings;
use crate::{Error, ErrorKind, Result};

/// What a handle stands for. A handle's address is that of a pointer to it.
struct Object<T> {
    shares: AtomicUsize,
    poisoned: AtomicBool,
    /// Beside the lock, so that they can be read while a call works with the value.
    warnings: Warnings,
    value: RwLock<T>,
}

/// A share of an object; it goes with the last one. This is Arc, but for the fence in its drop, which ThreadSanitizer does not
/// know: tests/safety/boundary could not look at it.
struct Share<T>(NonNull<Object<T>>);

impl<T> Share<T> {
    /// The first share of a new object.
    fn new(value: T, warnings: Warnings) -> Self {
        let (shares, poisoned) = (AtomicUsize::new(1), AtomicBool::new(false));
        let object = Object { shares, poisoned, warnings, value: RwLock::new(value) };
        Self(NonNull::from(Box::leak(Box::new(object))))
    }

    /// One more share.
    ///
    /// # Safety
    /// `object` has a share, which does not go before this returns.
    unsafe fn one_more(object: NonNull<Object<T>>) -> Self {
        // SAFETY: by contract. A share is a call that runs, or the table's: there are never usize::MAX.
        unsafe { object.as_ref() }.shares.fetch_add(1, Ordering::Relaxed);
        Self(object)
    }
}

impl<T> Deref for Share<T> {
    type Target = Object<T>;
    fn deref(&self) -> &Object<T> {
        // SAFETY: the object lives as long as this share.
        unsafe { self.0.as_ref() }
    }
}

impl<T> Drop for Share<T> {
    fn drop(&mut self) {
        if self.shares.fetch_sub(1, Ordering::AcqRel) == 1 {
            // SAFETY: the Box of `new`, and this was the last share.
            drop(unsafe { Box::from_raw(self.0.as_ptr()) });
        }
    }
}

/// In the definition of a C type: its handles stand for a `T` behind a lock. No object of the C type itself exists.
pub struct Guarded<T>(PhantomData<T>);

/// A C type whose objects are handles.
pub trait Handle: Sized {
    /// The C type's name, for messages.
    const NAME: &'static str;
    /// What the handle stands for.
    type Value;
    /// The list to which `value` adds its warnings.
    fn warnings(value: &Self::Value) -> Warnings {
        let _ = value;
        Warnings::default()
    }
}

/// Declares that `$type(Guarded<$value>)` is a handle, and for [`warnings`] where a value keeps its warnings.
macro_rules! handle {
    ($type:ident, $value:ty $(, $warnings:expr)?) => {
        impl $crate::ffi::handle::Handle for $type {
            const NAME: &'static str = stringify!($type);
            type Value = $value;
            $(fn warnings(value: &Self::Value) -> $crate::warnings::Warnings {
                let of: fn(&$value) -> &$crate::warnings::Warnings = $warnings;
                of(value).clone()
            })?
        }
    };
}
pub(super) use handle;

/// FNV-1a of the type's name: tells handles of different types apart.
const fn tag_of(name: &str) -> u64 {
    let (bytes, mut hash, mut i) = (name.as_bytes(), 0xcbf2_9ce4_8422_2325u64, 0);
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        i += 1;
    }
    hash
}

/// A new handle that the caller of the C function owns.
pub(super) fn create<H: Handle>(value: H::Value) -> Result<*mut H> {
    let warnings = H::warnings(&value);
    let object = Share::new(value, warnings);
    let handle = Box::new(object.0);
    if !live::add((&raw const *handle).addr(), tag_of(H::NAME)) {
        return Err(Error::new(ErrorKind::OutOfMemory, "no memory for the table of handles; free some"));
    }
    std::mem::forget(object); // the table's share, which `free` takes
    Ok(Box::into_raw(handle).cast())
}

/// Releases a handle; NULL is fine, and what is no handle of this type is left alone.
pub(super) fn free<H: Handle>(handle: *mut H) {
    // What a forked process lets go is still its parent's.
    if handle.is_null() || live::forked() {
        return;
    }
    let object = live::remove(handle.addr(), tag_of(H::NAME), || {
        const { assert!(size_of::<NonNull<Object<H::Value>>>() == size_of::<usize>()) };
        // SAFETY: it is alive, so this is the Box of `create`, with the share that it forgot; nobody finds it any more. The Box is
        // one of a pointer, which is taken as a number.
        unsafe { (Share(*handle.cast::<NonNull<Object<H::Value>>>()), Box::from_raw(handle.cast::<usize>())) }
    });
    let Some(object) = object else {
        ::log::error!("{}_free was given something else, or the same handle twice; it is left alone", H::NAME);
        return;
    };
    catch_void(|| drop(object));
}

/// The object of a handle, for as long as the result is kept: whatever becomes of the handle meanwhile.
pub(super) fn hold<H: Handle>(handle: *const H) -> Result<Held<H>> {
    if handle.is_null() {
        return Err(Error::invalid(format!("the {} is NULL", H::NAME)));
    }
    let found = live::look(handle.addr(), tag_of(H::NAME), || {
        // SAFETY: alive while the look lasts, so this is the Box of `create`, and the table's share is still there.
        unsafe { Share::one_more(*handle.cast::<NonNull<Object<H::Value>>>()) }
    });
    match found {
        Found::Alive(object) => Ok(Held(object)),
        Found::Nothing => Err(Error::invalid(format!("the handle is no {} (another type, or freed already)", H::NAME))),
        Found::Held => Err(Error::new(
            ErrorKind::Busy,
            format!("the table of handles is held, so this {} cannot be looked up; try again", H::NAME),
        )),
    }
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

/// What [`hold`] gives.
pub(super) struct Held<H: Handle>(Share<H::Value>);

impl<H: Handle> Held<H> {
    fn sound(&self) -> Result<&Object<H::Value>> {
        if self.0.poisoned.load(Ordering::Acquire) { Err(poisoned::<H>()) } else { Ok(&self.0) }
    }

    /// Runs `body` on the value together with other readers.
    pub(super) fn with<R>(&self, body: impl FnOnce(&H::Value) -> Result<R>) -> Result<R> {
        let object = self.sound()?;
        let value = object.value.try_read().map_err(refused::<H, _>)?;
        let _poison = PoisonOnPanic(&object.poisoned);
        caught(|| body(&value))
    }

    /// Runs `body` on the value alone.
    fn with_mut<R>(&self, body: impl FnOnce(&mut H::Value) -> Result<R>) -> Result<R> {
        let object = self.sound()?;
        let mut value = object.value.try_write().map_err(refused::<H, _>)?;
        let _poison = PoisonOnPanic(&object.poisoned);
        caught(|| body(&mut value))
    }
}

/// The warnings of a handle's object, one a line. They can be read at any time: while another call works with the object, from
/// that call's own callback, and after a panic.
pub(super) fn warnings<H: Handle>(handle: *const H) -> Result<String> {
    Ok(hold(handle)?.0.warnings.text())
}

/// Runs `body` on the value together with other readers.
pub(super) fn with<H: Handle, R>(handle: *const H, body: impl FnOnce(&H::Value) -> Result<R>) -> Result<R> {
    hold(handle)?.with(body)
}

/// Runs `body` on the value alone.
pub(super) fn with_mut<H: Handle, R>(handle: *mut H, body: impl FnOnce(&mut H::Value) -> Result<R>) -> Result<R> {
    hold(handle.cast_const())?.with_mut(body)
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;

    use super::*;

    struct number(Guarded<i32>);
    handle!(number, i32);
    struct warned(Guarded<Warnings>);
    handle!(warned, Warnings, |value| value);
    struct text(Guarded<String>);
    handle!(text, String);
    struct dropped(Guarded<Dropped>);
    handle!(dropped, Dropped);

    /// Counts how many are gone.
    struct Dropped(Arc<AtomicUsize>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn kind<H: Handle>(handle: *mut H) -> Option<ErrorKind> {
        let (shared, alone) = (with(handle, |_| Ok(())), with_mut(handle, |_| Ok(())));
        assert_eq!(shared.as_ref().err().map(Error::kind), alone.err().map(|error| error.kind()));
        shared.err().map(|error| error.kind())
    }

    #[test]
    fn readers_share_and_writers_do_not() {
        let handle = create::<number>(1).unwrap();
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

    #[test]
    fn a_panic_poisons() {
        for exclusive in [false, true] {
            let handle = create::<number>(1).unwrap();
            let panicked: std::thread::Result<Result<()>> = catch_unwind(AssertUnwindSafe(|| {
                if exclusive {
                    with_mut(handle, |_| panic!("on purpose"))
                } else {
                    with(handle, |_| panic!("on purpose"))
                }
            }));
            assert!(panicked.is_err());
            assert_eq!(kind(handle), Some(ErrorKind::Poisoned));
            free(handle);
            assert_eq!(kind(handle), Some(ErrorKind::InvalidArgument));
        }
    }

    #[test]
    fn warnings_are_read_while_the_value_is_in_use() {
        let handle = create::<warned>(Warnings::default()).unwrap();
        with_mut(handle, |value| {
            value.add("a");
            value.add("b");
            assert_eq!(warnings(handle)?, "a\nb");
            Ok(())
        })
        .unwrap();
        assert!(warnings(create::<number>(1).unwrap()).unwrap().is_empty());
        free(handle);
        assert_eq!(warnings(handle).unwrap_err().kind(), ErrorKind::InvalidArgument);
    }

    #[test]
    fn what_is_no_handle_of_the_type_is_refused_and_left_alone() {
        let handle = create::<number>(1).unwrap();
        let mut own = [7usize; 4];
        for wrong in [
            std::ptr::null_mut(),
            handle.cast(),
            std::ptr::without_provenance_mut(1),
            std::ptr::without_provenance_mut(usize::MAX),
            (&raw mut own).cast::<text>(),
        ] {
            assert_eq!(kind::<text>(wrong), Some(ErrorKind::InvalidArgument), "{wrong:?}");
            free::<text>(wrong);
        }
        assert_eq!((own, kind(handle)), ([7; 4], None));
        free(handle);
    }

    #[test]
    fn a_freed_handle_is_told_while_others_come_and_go() {
        let gone = create::<number>(1).unwrap();
        free(gone);
        for _ in 0..1000 {
            let other = create::<number>(2).unwrap();
            assert_ne!(gone, other);
            free(other);
            free(gone);
            assert_eq!(kind(gone), Some(ErrorKind::InvalidArgument));
        }
    }

    #[test]
    fn an_object_lives_until_the_last_call_that_uses_it_ends() {
        let count = Arc::new(AtomicUsize::new(0));
        let dead = || count.load(Ordering::Relaxed);
        let handle = create::<dropped>(Dropped(Arc::clone(&count))).unwrap();
        with(handle, |_| {
            with(handle, |_| {
                free(handle);
                assert_eq!((dead(), kind(handle)), (0, Some(ErrorKind::InvalidArgument)));
                Ok(())
            })?;
            assert_eq!(dead(), 0);
            Ok(())
        })
        .unwrap();
        assert_eq!(dead(), 1);
        let handle = create::<dropped>(Dropped(Arc::clone(&count))).unwrap();
        with_mut(handle, |_| {
            free(handle);
            free(handle);
            assert_eq!(dead(), 1);
            Ok(())
        })
        .unwrap();
        assert_eq!(dead(), 2);
    }
}
