//! Vectors whose size comes from outside or from a network's: an error where an ordinary allocation would end the process.
//!
//! Rust ends a process that gets no memory for a `Vec`. That is right for some hundred bytes, but a station must outlive a
//! batch that was chosen too large, so what can be large is reserved here first.
//!
//! ```
//! use seed::memory::{filled, room};
//! let mut rows = room::<f32>(3, "three numbers")?;
//! rows.extend([1.0, 2.0, 3.0]); // no further allocation
//! assert_eq!(filled(0u8, 4, "four bytes")?, [0; 4]);
//! let error = room::<u64>(usize::MAX / 8, "a slip").unwrap_err();
//! assert_eq!(error.kind(), seed::ErrorKind::OutOfMemory);
//! # Ok::<(), seed::Error>(())
//! ```

use crate::error::{Error, ErrorKind, Result};

/// An empty vector with room for `count` elements.
///
/// # Errors
/// `OutOfMemory`, naming `what` was to be kept and its bytes.
pub fn room<T>(count: usize, what: &str) -> Result<Vec<T>> {
    let mut elements = Vec::new();
    elements.try_reserve_exact(count).map_err(|_| {
        let bytes = count.saturating_mul(size_of::<T>());
        Error::new(ErrorKind::OutOfMemory, format!("cannot allocate {bytes} bytes for {what}"))
    })?;
    Ok(elements)
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

/// Adds an element where nobody knows yet how many there will be.
///
/// # Errors
/// As [`room`]; nothing is added then.
pub fn push<T>(elements: &mut Vec<T>, element: T, what: &str) -> Result<()> {
    elements.try_reserve(1).map_err(|_| {
        let bytes = (elements.len() + 1).saturating_mul(size_of::<T>());
        Error::new(ErrorKind::OutOfMemory, format!("cannot allocate {bytes} bytes for {what}"))
    })?;
    elements.push(element);
    Ok(())
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
