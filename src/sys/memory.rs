//! Vectors and texts whose size comes from outside or from a network's: an error where an ordinary allocation would end the process.
//!
//! Rust ends a process that gets no memory for a `Vec`. That is right for some hundred bytes, but a station must outlive a
//! batch that was chosen too large, so what can be large is reserved here first. And what is large leaves the last
//! [`MARGIN`] bytes to what is small: an error's message, a name, a decoder's tables, which nobody reserves.
//!
//! ```text
//! room, filled, copied, collected  one vector, kept
//! reserve, push, gathered          one that grows
//! spare                            looks whether so much could be had now, for code of others that reserves nothing, and for
//!                                  many small things one after the other
//! Written                          bytes as they are written: texts, files in memory
//! ```
//!
//! ```
//! use seed::sys::memory::{filled, room};
//! let mut rows = room::<f32>(3, "three numbers")?;
//! rows.extend([1.0, 2.0, 3.0]); // no further allocation
//! assert_eq!(filled(0u8, 4, "four bytes")?, [0; 4]);
//! let error = room::<u64>(usize::MAX / 8, "a slip").unwrap_err();
//! assert_eq!(error.kind(), seed::ErrorKind::OutOfMemory);
//! # Ok::<(), seed::Error>(())
//! ```

use std::hint::black_box;

use crate::error::{Error, ErrorKind, Result};

/// What a large reservation leaves. All that is allocated between two of them without being reserved must fit.
pub const MARGIN: usize = 1 << 20;

/// Reservations below this may take from the margin: that is what it is for.
const LARGE: usize = 64 << 10;

/// How many small things, a name with its path say, are made between two looks at the margin.
pub const STRIDE: usize = 128;

/// An empty vector with room for `count` elements.
///
/// # Errors
/// `OutOfMemory`, naming `what` was to be kept and its bytes.
pub fn room<T>(count: usize, what: &str) -> Result<Vec<T>> {
    let mut elements = Vec::new();
    reserve(&mut elements, count, what)?;
    Ok(elements)
}

/// Makes room for `more` elements behind those that are there, and no more than that.
///
/// # Errors
/// As [`room`].
pub fn reserve<T>(elements: &mut Vec<T>, more: usize, what: &str) -> Result<()> {
    let before = elements.capacity();
    let fits = elements.try_reserve_exact(more).is_ok();
    settle(elements, before, fits, more, what)
}

/// What an iterator gives that knows how much it is.
///
/// # Errors
/// As [`room`].
pub fn collected<T>(values: impl ExactSizeIterator<Item = T>, what: &str) -> Result<Vec<T>> {
    let mut elements = room(values.len(), what)?;
    elements.extend(values);
    Ok(elements)
}

/// A copy of a slice.
///
/// # Errors
/// As [`room`].
pub fn copied<T: Copy>(values: &[T], what: &str) -> Result<Vec<T>> {
    let mut elements = room(values.len(), what)?;
    elements.extend_from_slice(values);
    Ok(elements)
}

/// What an iterator gives of which nobody knows how much it is.
///
/// # Errors
/// As [`room`].
pub fn gathered<T>(values: impl Iterator<Item = T>, what: &str) -> Result<Vec<T>> {
    let mut elements = Vec::new();
    for value in values {
        push(&mut elements, value, what)?;
    }
    Ok(elements)
}

/// Adds an element where nobody knows yet how many there will be.
///
/// # Errors
/// As [`room`]; nothing is added then.
pub fn push<T>(elements: &mut Vec<T>, element: T, what: &str) -> Result<()> {
    if elements.len() == elements.capacity() {
        grow(elements, 1, what)?;
    }
    elements.push(element);
    Ok(())
}

/// Makes room for `more` elements and, so that many small additions cost little, for as many as there are.
fn grow<T>(elements: &mut Vec<T>, more: usize, what: &str) -> Result<()> {
    let before = elements.capacity();
    let fits = elements.try_reserve(more).is_ok();
    settle(elements, before, fits, more, what)
}

/// The error of a reservation that was refused, or that left no margin.
fn settle<T>(elements: &Vec<T>, before: usize, fits: bool, more: usize, what: &str) -> Result<()> {
    let bytes = |count: usize| count.saturating_mul(size_of::<T>());
    let grown = elements.capacity() > before;
    if fits && (!grown || bytes(elements.capacity()) < LARGE || can_be_had(MARGIN)) {
        return Ok(());
    }
    Err(refused(bytes(elements.len().saturating_add(more)), what))
}

fn refused(bytes: usize, what: &str) -> Error {
    Error::new(ErrorKind::OutOfMemory, format!("cannot allocate {bytes} bytes for {what}"))
}

/// `count` times `value`.
///
/// # Errors
/// As [`room`].
pub fn filled<T: Clone>(value: T, count: usize, what: &str) -> Result<Vec<T>> {
    let mut elements = room(count, what)?;
    elements.resize(count, value);
    Ok(elements)
}

/// Looks whether `bytes` could be had now and the margin would still be there; nothing is kept. Before a call of others' code that
/// reserves nothing, and with 0 bytes before each [`STRIDE`] of small things. Another thread may take what was seen.
///
/// # Errors
/// As [`room`].
pub fn spare(bytes: usize, what: &str) -> Result<()> {
    if can_be_had(bytes.saturating_add(MARGIN)) { Ok(()) } else { Err(refused(bytes.max(MARGIN), what)) }
}

fn can_be_had(bytes: usize) -> bool {
    let mut probe: Vec<u8> = Vec::new();
    let there = probe.try_reserve_exact(bytes).is_ok();
    // Else the compiler may see that nobody needs the memory, and never ask for it.
    black_box(&mut probe);
    there
}

/// Bytes in memory to which anything can be written: what `Vec`'s own `Write` cannot allocate ends the process, here it is an
/// error of kind `OutOfMemory`, which [`Error::io`] passes on as such.
///
/// ```
/// use std::io::Write;
/// let mut text = seed::sys::memory::Written::default();
/// write!(text, "{} images", 7).unwrap();
/// assert_eq!(text.into_bytes(), b"7 images");
/// ```
#[derive(Debug, Default)]
pub struct Written(Vec<u8>);

impl Written {
    /// What was written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl std::io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.capacity() - self.0.len() < bytes.len() {
            grow(&mut self.0, bytes.len(), "a text").map_err(|_| std::io::ErrorKind::OutOfMemory)?;
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
