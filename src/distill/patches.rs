//! Patch similarity: how alike the patches of a view are to each other, as the teacher has it. A term beside any strategy's loss, since the
//! embedding of the whole view says nothing of where something is.
//!
//! For the N patches of an image, as unit rows u of the student and v of the teacher:
//!
//! ```text
//! p_S[i,j] = softmax over j ≠ i of u_i·u_j/τ      p_T[i,j] = softmax over j ≠ i of v_i·v_j/τ      (N, N)
//! L        = mean over images and i of Σ_j p_T[i,j]·log(p_T[i,j]/p_S[i,j])
//! ∂L/∂u    = (G + Gᵀ)·u,  G = (p_S − p_T)/(τ·B·N)
//! ```
//!
//! (LightlyTrain's distillation, version 3; τ .07.) Only similarities within a network are compared, so the two need not have the same
//! width. The student's map is brought to the teacher's grid first.

use tch::{Kind, Tensor};

use super::loss::Loss;
use crate::model::PatchMap;
use crate::{Error, Result};

/// Similarities that are held at once, so that memory does not grow with the batch (64 MiB in float32).
const BLOCK: i64 = 1 << 24;

/// A patch shorter than this is not brought to length 1, so that its gradient stays bounded.
const SHORTEST: f64 = 1e-4;

/// What a batch's views learn of the teacher's feature map.
#[derive(Clone, Copy)]
pub struct PatchTerm<'a> {
    /// The teacher's map (B,C,h,w), float32.
    pub teacher: &'a Tensor,
    /// Which map of the student learns it.
    pub map: &'a PatchMap,
    /// Weight of the term beside the strategy's loss.
    pub weight: f64,
    /// τ.
    pub temperature: f64,
}

/// The patches of a `map` (B,C,h',w') on a grid of `size`, (B,N,C), of length 1, row after row; within autograd.
///
/// # Errors
/// `OutOfMemory` or `Torch` from libtorch.
pub fn unit_patches(map: &Tensor, size: [i64; 2]) -> Result<Tensor> {
    let map = match map.f_kind()? {
        Kind::Half | Kind::BFloat16 => map.f_to_kind(Kind::Float)?,
        _ => map.shallow_clone(),
    };
    let map = match map.size()[2..] == size {
        true => map,
        false => map.f_upsample_bilinear2d(size, false, None::<f64>, None::<f64>)?,
    };
    let patches = map.f_flatten(2, -1)?.f_transpose(1, 2)?; // (B,N,C)
    let length = patches.f_norm_scalaropt_dim(2, [2i64].as_slice(), true)?.f_clamp_min(SHORTEST)?;
    Ok(patches.f_div(&length)?)
}

/// Loss and gradient for the unit patches `student` (B,N,C) and `teacher` (B,N,C'), both float32 or both float64 on one device. Nothing is
/// recorded for autograd.
///
/// # Errors
/// `InvalidArgument` for other shapes or formats, and where an image has one patch only; `OutOfMemory` or `Torch` from libtorch.
pub fn patch_loss(student: &Tensor, teacher: &Tensor, temperature: f64) -> Result<Loss> {
    let _no_grad = tch::no_grad_guard();
    let (images, patches, _) = student.size3()?;
    let (of_images, of_patches, _) = teacher.size3()?;
    if (images, patches) != (of_images, of_patches) || patches < 2 || student.f_kind()? != teacher.f_kind()? {
        return Err(Error::invalid(format!(
            "patches of student and teacher must be (B,N,·) alike and two at least, found {:?} {:?} and {:?} {:?}",
            student.f_kind()?,
            student.size(),
            teacher.f_kind()?,
            teacher.size()
        )));
    }
    let student = student.f_detach()?;
    let own = Tensor::f_eye(patches, (Kind::Bool, student.device()))?;
    let scale = temperature * (images * patches) as f64;
    let length = (BLOCK / (patches * patches)).clamp(1, images);
    let (mut values, mut gradients) = (Vec::new(), Vec::new());
    for start in (0..images).step_by(length as usize) {
        let piece = |of: &Tensor| of.f_narrow(0, start, length.min(images - start));
        let log_softmax = |rows: &Tensor| -> Result<Tensor> {
            let similarities = rows.f_matmul(&rows.f_transpose(1, 2)?)?.f_div_scalar(temperature)?; // (b,N,N)
            Ok(similarities.f_masked_fill(&own, f64::NEG_INFINITY)?.f_log_softmax(-1, None::<Kind>)?)
        };
        let rows = piece(&student)?;
        let (of_student, of_teacher) = (log_softmax(&rows)?, log_softmax(&piece(teacher)?)?);
        let taught = of_teacher.f_exp()?;
        let apart = of_teacher.f_sub(&of_student)?.f_masked_fill(&own, 0.0)?;
        values.push(taught.f_mul(&apart)?.f_sum(None)?);
        let change = of_student.f_exp()?.f_sub(&taught)?.f_div_scalar(scale)?;
        gradients.push(change.f_add(&change.f_transpose(1, 2)?)?.f_matmul(&rows)?);
    }
    let value = Tensor::f_stack(&values, 0)?.f_sum(None)?.f_div_scalar((images * patches) as f64)?;
    Ok(Loss { value, gradient: Tensor::f_cat(&gradients, 0)? })
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    fn map(size: [i64; 4], seed: i64) -> Tensor {
        tch::manual_seed(seed);
        Tensor::randn(size, (Kind::Double, Device::Cpu))
    }

    #[test]
    fn value_and_gradient_are_those_of_autograd() {
        // Another width and another grid than the teacher's.
        let (raw, teacher) = (map([3, 5, 2, 4], 1), map([3, 7, 3, 3], 2));
        let naive = raw.detach().set_requires_grad(true);
        let taught = unit_patches(&teacher, [3, 3]).unwrap();
        let own = unit_patches(&naive, [3, 3]).unwrap();
        let mut wanted = Tensor::zeros([], (Kind::Double, Device::Cpu));
        for image in 0..3 {
            for i in 0..9 {
                let others: Vec<i64> = (0..9).filter(|&j| j != i).collect();
                let others = Tensor::from_slice(&others);
                let of = |rows: &Tensor| {
                    let rows = rows.get(image);
                    (rows.index_select(0, &others).matmul(&rows.get(i)) / 0.07).log_softmax(0, Kind::Double)
                };
                let (log_t, log_s) = (of(&taught), of(&own));
                wanted += (log_t.exp() * (&log_t - &log_s)).sum(Kind::Double) / 27.0;
            }
        }
        wanted.backward();
        let closed = raw.detach().set_requires_grad(true);
        let unit = unit_patches(&closed, [3, 3]).unwrap();
        let found = patch_loss(&unit, &taught, 0.07).unwrap();
        found.backward(&unit).unwrap();
        assert!((found.value.double_value(&[]) - wanted.double_value(&[])).abs() < 1e-12);
        assert!((closed.grad() - naive.grad()).abs().max().double_value(&[]) < 1e-12);
        assert!(naive.grad().abs().max().double_value(&[]) > 1e-3);
    }

    #[test]
    fn a_student_that_agrees_has_nothing_to_learn_and_no_image_changes_anothers_share() {
        let teacher = unit_patches(&map([4, 6, 2, 3], 3), [2, 3]).unwrap();
        let same = patch_loss(&teacher, &teacher, 0.07).unwrap();
        assert!(same.value.double_value(&[]).abs() < 1e-12 && same.gradient.abs().max().double_value(&[]) < 1e-12);
        // Turned in space, the similarities are the same.
        let turned = patch_loss(&teacher.flip([2]), &teacher, 0.07).unwrap();
        assert!(turned.value.double_value(&[]).abs() < 1e-12);
        let student = unit_patches(&map([4, 6, 2, 3], 4), [2, 3]).unwrap();
        let (all, first) = (
            patch_loss(&student, &teacher, 0.1).unwrap(),
            patch_loss(&student.narrow(0, 0, 1), &teacher.narrow(0, 0, 1), 0.1).unwrap(),
        );
        assert!((all.gradient.get(0) * 4.0 - first.gradient.get(0)).abs().max().double_value(&[]) < 1e-12);
    }

    #[test]
    fn a_patch_of_zeros_gives_finite_numbers_and_one_patch_is_refused() {
        let zeros = map([1, 4, 2, 2], 5);
        let _same = zeros.narrow(2, 0, 1).narrow(3, 0, 1).f_zero_().unwrap();
        let learned = zeros.detach().set_requires_grad(true);
        let unit = unit_patches(&learned, [2, 2]).unwrap();
        let loss = patch_loss(&unit, &unit_patches(&map([1, 4, 2, 2], 6), [2, 2]).unwrap(), 0.07).unwrap();
        loss.backward(&unit).unwrap();
        assert!(bool::try_from(learned.grad().isfinite().all()).unwrap());
        let one = unit_patches(&map([2, 3, 1, 1], 7), [1, 1]).unwrap();
        assert!(patch_loss(&one, &one, 0.07).unwrap_err().to_string().contains("two at least"));
    }
}
