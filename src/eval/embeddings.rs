//! A borrowed table of embeddings, (N, D) row-major float32, checked once.

use crate::error::{Error, Result};
use crate::sys::memory::room;

/// The shortest length a row is divided by, as torch's `F.normalize`: a row of zeros stays zeros.
const SHORTEST: f64 = 1e-12;

/// N rows of D finite numbers in host memory.
#[derive(Clone, Copy, Debug)]
pub struct Embeddings<'a> {
    values: &'a [f32],
    dim: usize,
}

impl<'a> Embeddings<'a> {
    /// `values` as rows of `dim` numbers.
    ///
    /// # Errors
    /// `InvalidArgument` where there is no row, `values` is not a multiple of `dim` long, there are more rows than a `u32`
    /// can number, or a value is NaN or infinite (names its row).
    pub fn new(values: &'a [f32], dim: usize) -> Result<Self> {
        if dim == 0 || values.is_empty() || !values.len().is_multiple_of(dim) {
            return Err(Error::invalid(format!(
                "embeddings hold {} numbers, expected a positive multiple of their width {dim}",
                values.len()
            )));
        }
        if u32::try_from(values.len() / dim).is_err() {
            return Err(Error::invalid(format!("{} embeddings are more than {}", values.len() / dim, u32::MAX)));
        }
        if let Some(place) = values.iter().position(|value| !value.is_finite()) {
            return Err(Error::invalid(format!(
                "embedding {} holds {} at position {}, expected finite numbers",
                place / dim,
                values[place],
                place % dim
            )));
        }
        Ok(Self { values, dim })
    }

    /// Number of rows, at least 1.
    pub fn len(&self) -> usize {
        self.values.len() / self.dim
    }

    /// Always false; there to go with [`len`](Self::len).
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Numbers in a row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Row `i`, if there is one.
    pub fn row(&self, i: usize) -> Option<&'a [f32]> {
        self.values.chunks_exact(self.dim).nth(i)
    }

    /// All rows in order.
    pub fn rows(&self) -> impl Iterator<Item = &'a [f32]> {
        self.values.chunks_exact(self.dim)
    }

    /// A copy whose rows have length 1, (N, D). Lengths are summed in float64, so that no finite row overflows.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn unit_rows(&self) -> Result<Vec<f32>> {
        let mut unit = room(self.values.len(), "normalised embeddings")?;
        for row in self.rows() {
            let length = row.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt().max(SHORTEST);
            unit.extend(row.iter().map(|&value| (f64::from(value) / length) as f32));
        }
        Ok(unit)
    }

    /// A copy of the given rows in the given order, (numbers.len(), D).
    ///
    /// # Errors
    /// `InvalidArgument` where a row does not exist, `OutOfMemory`.
    pub fn select(&self, numbers: &[usize]) -> Result<Vec<f32>> {
        let mut chosen = room(numbers.len().saturating_mul(self.dim), "a part of the embeddings")?;
        for &number in numbers {
            let row = self.row(number).ok_or_else(|| {
                Error::invalid(format!("there is no embedding {number}, there are {} (numbered from 0)", self.len()))
            })?;
            chosen.extend_from_slice(row);
        }
        Ok(chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_row_is_named() {
        let values = [0.0, 1.0, 2.0, f32::NAN];
        let error = Embeddings::new(&values, 2).unwrap_err();
        assert_eq!(error.message(), "embedding 1 holds NaN at position 1, expected finite numbers");
        assert!(
            Embeddings::new(&[1.0, f32::NEG_INFINITY], 1).unwrap_err().message().contains("embedding 1 holds -inf")
        );
    }

    #[test]
    fn sizes_must_fit() {
        for (values, dim) in [(&[][..], 2), (&[1.0][..], 0), (&[1.0, 2.0, 3.0][..], 2)] {
            assert!(Embeddings::new(values, dim).is_err());
        }
    }

    #[test]
    fn rows_get_length_one_even_when_tiny_huge_or_zero() {
        let values = [3e30f32, 4e30, 3e-10, 4e-10, 0.0, 0.0];
        let unit = Embeddings::new(&values, 2).unwrap().unit_rows().unwrap();
        for (value, expected) in unit.iter().zip([0.6f32, 0.8, 0.6, 0.8, 0.0, 0.0]) {
            assert!((value - expected).abs() < 1e-7, "{unit:?}");
        }
    }
}
