//! Reading what C passes: texts, arrays and places for results, each checked before it is touched.

use std::ffi::{CStr, c_char};

use super::handle::{Handle, create};
use crate::sys::memory::room;
use crate::{Error, ErrorKind, Result};

/// The text at `pointer`, which must be UTF-8.
///
/// # Safety
/// `pointer` is NULL or points to a NUL-terminated text that outlives `'a`.
pub(super) unsafe fn text<'a>(name: &str, pointer: *const c_char) -> Result<&'a str> {
    if pointer.is_null() {
        return Err(Error::invalid(format!("{name} is NULL, expected a text")));
    }
    // SAFETY: by contract.
    let text = unsafe { CStr::from_ptr(pointer) };
    text.to_str()
        .map_err(|error| Error::invalid(format!("{name} is not UTF-8: bad byte at position {}", error.valid_up_to())))
}

/// The array of `count` elements at `pointer`; NULL is fine for none.
///
/// # Safety
/// `pointer` is NULL or points to `count` elements that outlive `'a` and are not written to meanwhile.
pub(super) unsafe fn array<'a, T>(name: &str, pointer: *const T, count: usize) -> Result<&'a [T]> {
    if count == 0 {
        return Ok(&[]);
    }
    check_array(name, pointer, count)?;
    // SAFETY: by contract; NULL, alignment and length were checked.
    Ok(unsafe { std::slice::from_raw_parts(pointer, count) })
}

/// The class numbers at `pointer`, -1 for none; more than a table of classes can number is no class.
///
/// # Safety
/// As [`array`].
pub(super) unsafe fn labels(name: &str, pointer: *const i64, count: usize) -> Result<Vec<i32>> {
    // SAFETY: by contract.
    let given = unsafe { array(name, pointer, count) }?;
    let mut labels = room(count, "labels")?;
    for (i, &label) in given.iter().enumerate() {
        let reason = || Error::invalid(format!("{name}[{i}] is {label}, expected a class from 0, or -1 for none"));
        labels.push(i32::try_from(label).ok().filter(|&label| label >= -1).ok_or_else(reason)?);
    }
    Ok(labels)
}

fn check_array<T>(name: &str, pointer: *const T, count: usize) -> Result<()> {
    if pointer.is_null() {
        return Err(Error::invalid(format!("{name} is NULL, expected {count} elements")));
    }
    if !pointer.is_aligned() {
        return Err(Error::invalid(format!("{name} is not aligned to {} bytes", align_of::<T>())));
    }
    // A slice longer than isize::MAX bytes cannot exist; such a count is a slip, often a negative number cast.
    if count.checked_mul(size_of::<T>()).is_none_or(|bytes| bytes > isize::MAX as usize) {
        return Err(Error::invalid(format!("{name} is said to hold {count} elements, more than memory can")));
    }
    Ok(())
}

/// a·b, for sizes that the caller gave.
pub(super) fn product(name: &str, a: usize, b: usize) -> Result<usize> {
    a.checked_mul(b).ok_or_else(|| Error::invalid(format!("{name}: {a} times {b} is too large")))
}

/// Checks the place for a result before the work begins, so that no result is lost.
pub(super) fn check_out<T>(name: &str, pointer: *mut T) -> Result<()> {
    if pointer.is_null() || !pointer.is_aligned() {
        return Err(Error::invalid(format!("{name} is NULL or not aligned, expected a place for the result")));
    }
    Ok(())
}

/// [`check_out`] for a place that may be NULL when the result is not wanted.
pub(super) fn check_optional<T>(name: &str, pointer: *mut T) -> Result<()> {
    if pointer.is_null() { Ok(()) } else { check_out(name, pointer) }
}

/// Writes a result.
///
/// # Safety
/// `pointer` passed [`check_out`] and may be written to.
pub(super) unsafe fn put<T>(pointer: *mut T, value: T) {
    // SAFETY: by contract.
    unsafe { pointer.write(value) };
}

/// Makes a handle of what `body` gives and writes it to `out`, which is left alone on an error.
///
/// # Safety
/// `out` is NULL or may be written to.
pub(super) unsafe fn put_new<H: Handle>(out: *mut *mut H, body: impl FnOnce() -> Result<H::Value>) -> Result<()> {
    check_out("out", out)?;
    let handle = create::<H>(body()?)?;
    // SAFETY: checked above.
    unsafe { put(out, handle) };
    Ok(())
}

/// The rule for results of varying size: `buffer` NULL asks for the size; one that is too small is left alone and the
/// size is written; else the content is copied. `length` always receives the number of elements needed.
///
/// # Safety
/// `buffer` is NULL or holds `capacity` elements; `length` is NULL or may be written to.
pub(super) unsafe fn fill<T: Copy>(content: &[T], buffer: *mut T, capacity: usize, length: *mut usize) -> Result<()> {
    // SAFETY: by contract.
    if unsafe { answer_size(content.len(), buffer, capacity, length) }? {
        // SAFETY: the buffer holds at least `capacity` ≥ content.len() elements and cannot overlap our own memory.
        unsafe { std::ptr::copy_nonoverlapping(content.as_ptr(), buffer, content.len()) };
    }
    Ok(())
}

/// The first half of [`fill`], for results that are costly to make: true when `needed` elements fit and are to follow.
///
/// # Safety
/// As [`fill`].
pub(super) unsafe fn answer_size<T>(
    needed: usize,
    buffer: *mut T,
    capacity: usize,
    length: *mut usize,
) -> Result<bool> {
    check_out("length", length)?;
    // SAFETY: checked above.
    unsafe { put(length, needed) };
    if buffer.is_null() {
        return Ok(false);
    }
    if capacity < needed {
        return Err(Error::new(
            ErrorKind::BufferTooSmall,
            format!("the buffer holds {capacity} elements, but {needed} are needed"),
        ));
    }
    check_array("buffer", buffer.cast_const(), capacity)?;
    Ok(true)
}

/// Refuses a struct whose size is not this version's.
pub(super) fn check_size<T>(name: &str, found: usize) -> Result<()> {
    if found != size_of::<T>() {
        let expected = size_of::<T>();
        return Err(Error::invalid(format!(
            "{name}.struct_size is {found}, expected {expected}; set it to sizeof({name})"
        )));
    }
    Ok(())
}

/// [`fill`] with a text and its terminating NUL.
///
/// # Safety
/// As [`fill`].
pub(super) unsafe fn fill_text(content: &str, buffer: *mut c_char, capacity: usize, length: *mut usize) -> Result<()> {
    let place = buffer.cast::<u8>();
    // SAFETY: by contract; c_char and u8 have one size.
    if unsafe { answer_size(content.len() + 1, place, capacity, length) }? {
        for (i, byte) in content.bytes().map(|byte| if byte == 0 { b'?' } else { byte }).chain([0]).enumerate() {
            // SAFETY: the buffer holds at least content.len() + 1 bytes.
            unsafe { place.add(i).write(byte) };
        }
    }
    Ok(())
}
