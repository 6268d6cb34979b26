//! Numbers in memory that begin at the beginning of a line of the cache.

use crate::error::Result;
use crate::sys::memory::filled;

/// A line of the cache.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; 16]);

/// As many numbers as were asked for, up to whole lines.
pub struct Lines(Vec<Line>);

impl Lines {
    /// Zeros, at least `count`.
    ///
    /// # Errors
    /// `OutOfMemory`, naming `what`.
    pub fn zeros(count: usize, what: &str) -> Result<Lines> {
        Ok(Lines(filled(Line([0.0; 16]), count.div_ceil(16), what)?))
    }

    /// The numbers of `values`, and zeros up to `count`.
    ///
    /// # Errors
    /// As [`zeros`](Lines::zeros).
    pub fn of(values: &[f32], count: usize, what: &str) -> Result<Lines> {
        let mut lines = Lines::zeros(count.max(values.len()), what)?;
        lines.numbers_mut()[..values.len()].copy_from_slice(values);
        Ok(lines)
    }

    /// Rows of `width` numbers, each with zeros behind it up to `pitch`.
    ///
    /// # Errors
    /// As [`zeros`](Lines::zeros).
    pub fn rows(values: &[f32], width: usize, pitch: usize, what: &str) -> Result<Lines> {
        let mut lines = Lines::zeros(values.len() / width.max(1) * pitch, what)?;
        for (row, line) in values.chunks_exact(width.max(1)).zip(lines.numbers_mut().chunks_exact_mut(pitch)) {
            line[..width].copy_from_slice(row);
        }
        Ok(lines)
    }

    /// All of them.
    pub fn numbers(&self) -> &[f32] {
        // SAFETY: a line is sixteen numbers without a gap.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() * 16) }
    }

    /// All of them.
    pub fn numbers_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), self.0.len() * 16) }
    }
}
