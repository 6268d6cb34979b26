//! Where numbers stop being numbers: NaN and infinity are looked for where they arise, and told with the network that gave them
//! and the image it gave them for.
//!
//! A row that holds NaN looks like any other to who copies it, and a file of such rows is of no use to anybody. So rows are looked
//! at on the host, where they are anyway; rows on a GPU only where their reader waits for them in any case.

use tch::Tensor;

use crate::error::{Error, Result};

/// Says which image row i of a batch is of, for messages: "image a/b.png", "frame 3".
pub type Names<'a> = &'a dyn Fn(usize) -> String;

/// What a message calls NaN and the infinities.
pub const NONE: &str = "infinity or NaN";

/// The first of the rows (·, `dim`) that holds NaN or infinity.
pub fn bad_row(rows: &[f32], dim: usize) -> Option<usize> {
    // A sum of x·0 is NaN where any x is none, and has no branch inside a row.
    rows.chunks_exact(dim.max(1)).position(|row| row.iter().map(|value| value * 0.0).sum::<f32>() != 0.0)
}

/// The first entry of `rows` (B, …) along its first side that holds NaN or infinity. Waits for the device.
///
/// # Errors
/// What libtorch reports.
pub fn bad_entry(rows: &Tensor) -> Result<Option<usize>> {
    let _no_grad = tch::no_grad_guard();
    let finite = rows.f_isfinite()?;
    if finite.f_all()?.f_int64_value(&[])? != 0 {
        return Ok(None);
    }
    let finite = Vec::<bool>::try_from(finite.f_flatten(1, -1)?.f_all_dim(1, false)?)?;
    Ok(finite.iter().position(|finite| !finite))
}

/// Refuses rows (·, `dim`) with NaN or infinity, which `who` gave.
///
/// # Errors
/// `Mismatch` naming who and the first such image.
pub fn check_rows(rows: &[f32], dim: usize, who: impl Fn() -> String, names: Names) -> Result<()> {
    match bad_row(rows, dim) {
        Some(row) => Err(gave(&who(), NONE, &names(row))),
        None => Ok(()),
    }
}

/// Refuses entries of `rows` (B, …) with NaN or infinity, which `who` gave. Waits for the device.
///
/// # Errors
/// As [`check_rows`].
pub fn check_entries(rows: &Tensor, who: impl Fn() -> String, names: Names) -> Result<()> {
    match bad_entry(rows)? {
        Some(row) => Err(gave(&who(), NONE, &names(row))),
        None => Ok(()),
    }
}

/// "the WHO gave WHAT for IMAGE", with what to look at.
pub fn gave(who: &str, what: &str, image: &str) -> Error {
    Error::mismatch(format!(
        "the {who} gave {what} for {image}; look at its weights, at \"mean\" and \"std\", and at \"precision\""
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bad_row_is_found_in_slices_and_tensors() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let rows = [1.0, f32::MAX, -f32::MAX, f32::MAX, f32::MIN_POSITIVE, 0.0, -0.0, bad, bad, 1.0];
            assert_eq!((bad_row(&rows, 2), bad_row(&rows[..6], 2), bad_row(&[], 2)), (Some(3), None, None));
            let tensor = Tensor::from_slice(&rows).view([5, 2, 1]);
            assert_eq!(bad_entry(&tensor).unwrap(), Some(3));
            assert_eq!(bad_entry(&tensor.narrow(0, 0, 3)).unwrap(), None);
        }
        let error = check_rows(&[0.0, f32::NAN], 1, || "teacher (x)".into(), &|i| format!("image {i}")).unwrap_err();
        assert!(error.message().starts_with("the teacher (x) gave infinity or NaN for image 1;"), "{error}");
    }
}
