//! Regression of the teacher's embedding: no queue, no temperature.
//!
//! ```text
//! L = mean_i ‖s_i − t_i‖² = mean_i (2 − 2·s_i·t_i)        ∂L/∂s_i = 2·(s_i − t_i)/B
//! ```
//!
//! The gradient is that of the first form; for unit rows that come of a normalisation both give the same further back, since what is
//! along s does not come through it.

use tch::Tensor;

use super::{Learned, Piece, Strategy};
use crate::Result;
use crate::distill::loss::{Loss, check_pair};

/// Each embedding as the teacher has it ([`l2_loss`]).
#[derive(Debug, Clone, Copy)]
pub struct L2;

impl Strategy for L2 {
    fn loss(&self, piece: &Piece<'_>) -> Result<Learned> {
        Ok(Learned::of(l2_loss(piece.embedding, piece.target()?)?, piece.embedding))
    }
}

/// Loss and gradient for unit rows `student` (B,C) and `teacher` (B,C), both float32 or both float64 on one device.
///
/// # Errors
/// `InvalidArgument` for other shapes or formats; `OutOfMemory` or `Torch` from libtorch.
pub fn l2_loss(student: &Tensor, teacher: &Tensor) -> Result<Loss> {
    let _no_grad = tch::no_grad_guard();
    let (rows, _) = check_pair(student, teacher)?;
    let apart = student.f_detach()?.f_sub(teacher)?;
    let value = apart.f_mul(&apart)?.f_sum(None)?.f_div_scalar(rows as f64)?;
    Ok(Loss { value, gradient: apart.f_mul_scalar(2.0 / rows as f64)? })
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;
    use crate::distill::loss::tests::random;
    use crate::model::unit_rows;

    #[test]
    fn it_is_that_of_autograd_and_nothing_where_both_agree() {
        let (raw, teacher) = (random(5, 1), unit_rows(&random(5, 2)).unwrap());
        let naive = raw.detach().set_requires_grad(true);
        let unit = unit_rows(&naive).unwrap();
        let product = (&unit * &teacher).sum_dim_intlist([1i64].as_slice(), false, None);
        let wanted = (product * -2.0 + 2.0).mean(None);
        wanted.backward();
        let own = raw.detach().set_requires_grad(true);
        let unit = unit_rows(&own).unwrap();
        let found = l2_loss(&unit, &teacher).unwrap();
        found.backward(&unit).unwrap();
        assert!((found.value.double_value(&[]) - wanted.double_value(&[])).abs() < 1e-12);
        assert!((own.grad() - naive.grad()).abs().max().double_value(&[]) < 1e-12);

        let same = l2_loss(&teacher, &teacher).unwrap();
        assert_eq!((same.value.double_value(&[]), same.gradient.abs().max().double_value(&[])), (0.0, 0.0));
        assert!(l2_loss(&teacher, &random(4, 2)).is_err());
        assert!(l2_loss(&teacher, &teacher.to_kind(Kind::Float)).is_err());
    }
}
