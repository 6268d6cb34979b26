//! What a teacher must do that is no network of ours: (B, 3, H, W) → (B, D).

use tch::{Device, Kind, Tensor};

use crate::error::Result;
use crate::finite::{self, Names};

/// Something outside the library that turns images into embeddings. Its embeddings must not change while it lives, and
/// several threads may ask it at once.
pub trait Embedder: Send + Sync {
    /// `images` (B, 3, H, W), float32, normalised, on [`device`](Embedder::device) → (B, [`dim`](Embedder::dim)), float32, of any
    /// length, on the same device, outside autograd.
    ///
    /// # Errors
    /// Its own.
    fn embed(&self, images: &Tensor) -> Result<Tensor>;

    /// D.
    fn dim(&self) -> i64;

    /// Where images are taken and embeddings given.
    fn device(&self) -> Device;

    /// What kind of teacher it is, for a person: one word.
    fn name(&self) -> &'static str;

    /// A text that is the same as long as the embeddings of the same images are.
    fn identity(&self) -> &str;

    /// The number format that it computes in, for a bank's header.
    fn number_format(&self) -> &str;

    /// Elements of its parameters, where it knows.
    fn parameter_count(&self) -> Option<i64>;
}

/// The widest embedding that is taken.
pub const MAX_DIM: i64 = 65_536;

/// Unit rows (B, D) on a GPU with each row of zeros at −∞, which no length gives, so that a run's loss tells it without a wait in each step
/// ([`UnreadTargets`](crate::distill::UnreadTargets)); rows on the CPU, where [`check_rows`] looks at them, as they are.
pub(super) fn mark_zeros(rows: Tensor) -> Result<Tensor> {
    if rows.device() == Device::Cpu {
        return Ok(rows);
    }
    let squares = rows.f_square()?.f_sum_dim_intlist([1i64].as_slice(), true, Kind::Double)?; // (B,1)
    Ok(rows.f_masked_fill(&squares.f_le(f64::from(f32::MIN_POSITIVE))?, f64::NEG_INFINITY)?)
}

/// Refuses rows (B, D) that no student can learn from: rows that hold infinity or no number, or are all zeros. Rows on a GPU
/// are not looked at, since that would wait for it; [`mark_zeros`] says how they are told.
///
/// # Errors
/// `Mismatch` naming the first such image.
pub(super) fn check_rows(rows: &Tensor, who: &str, names: Names) -> Result<()> {
    if rows.device() != Device::Cpu {
        return Ok(());
    }
    // An infinity, or a number that is none, stands in the sum of its row's squares too.
    let squares = rows.f_square()?.f_sum_dim_intlist([1i64].as_slice(), false, Kind::Double)?; // (B)
    let squares = Vec::<f64>::try_from(&squares)?;
    let Some(row) = squares.iter().position(|square| !square.is_finite() || *square <= f64::from(f32::MIN_POSITIVE))
    else {
        return Ok(());
    };
    let what = if squares[row].is_finite() { "zeros only" } else { finite::NONE };
    Err(finite::gave(who, what, &names(row)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_without_a_direction_are_refused() {
        let rows = |last: f32| Tensor::from_slice(&[1e-3f32, 0.0, 0.5, last]).view([2, 2]);
        let names = |row| format!("image {row}");
        check_rows(&rows(0.0), "teacher", &names).unwrap();
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let error = check_rows(&rows(bad), "teacher", &names).unwrap_err();
            assert!(error.message().contains("NaN for image 1;"), "{error}");
        }
        let error =
            check_rows(&Tensor::from_slice(&[0f32, 0.0, 1.0, 0.0]).view([2, 2]), "teacher", &names).unwrap_err();
        assert!(error.message().contains("zeros only for image 0"), "{error}");
    }
}
