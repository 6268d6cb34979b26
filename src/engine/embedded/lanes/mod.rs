//! Vectors of float32 as a trait, one type for each set of instructions, so that each kernel is written once.
//!
//! What `min`, `max` and the like do with NaN is part of the contract: a NaN that enters a network leaves it, and whoever reads the rows
//! refuses them.

#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(target_arch = "aarch64")]
pub use neon::Neon;
pub use portable::Portable;
#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2, Avx512};

/// As many float32 as one instruction works on.
///
/// # Safety
/// Every function may be called only on a CPU that has the type's instructions. Pointers are those of [`WIDTH`](Lanes::WIDTH) numbers, of
/// any alignment.
pub trait Lanes: Copy {
    /// Numbers in a vector.
    const WIDTH: usize;
    /// Whether there are 32 registers of them, not 16: then a kernel keeps more sums at once.
    const MANY: bool;

    /// The same number everywhere.
    unsafe fn splat(value: f32) -> Self;
    /// Reads a vector.
    unsafe fn load(from: *const f32) -> Self;
    /// Writes a vector.
    unsafe fn store(self, to: *mut f32);
    /// self + other
    unsafe fn add(self, other: Self) -> Self;
    /// self − other
    unsafe fn sub(self, other: Self) -> Self;
    /// self · other
    unsafe fn mul(self, other: Self) -> Self;
    /// self / other
    unsafe fn div(self, other: Self) -> Self;
    /// self · factor + term, rounded once where the CPU can
    unsafe fn mul_add(self, factor: Self, term: Self) -> Self;
    /// max(self, low), NaN where self is NaN; `low` is a number.
    unsafe fn at_least(self, low: Self) -> Self;
    /// min(self, high), NaN where self is NaN; `high` is a number.
    unsafe fn at_most(self, high: Self) -> Self;
    /// max(self, other), NaN where one of the two is.
    unsafe fn larger(self, other: Self) -> Self;
    /// The nearest whole number, of numbers whose size is below 2²².
    unsafe fn round(self) -> Self;
    /// 2^self, of whole numbers −126 to 127; anything where self is NaN.
    unsafe fn power_of_two(self) -> Self;
}
