//! The loss of contrastive representation distillation (Tian et al., "Contrastive representation distillation", ICLR 2020, eq. 10 and 19)
//! with the queue as negatives: is a pair of embeddings of the same view?
//!
//! ```text
//! h(s,d) = e^{s·d/τ} / (e^{s·d/τ} + K/N)             N images of the data set, K rows of the queue, τ the student's temperature
//! L = mean_i [ −log h(s_i,t_i) − Σ_j log(1 − h(s_i,d_j)) ]
//!   = mean_i [ softplus(c − s_i·t_i/τ) + Σ_j softplus(s_i·d_j/τ − c) ],   c = log(K/N)
//! ∂L/∂s_i = ( −σ(c − s_i·t_i/τ)·t_i + Σ_j σ(s_i·d_j/τ − c)·d_j ) / (τ·B)
//! ```
//!
//! The queue is read in blocks, so memory is O(B·block).

use tch::Tensor;

use super::{Learned, Piece, Strategy};
use crate::distill::loss::{BLOCK, Loss, Temperatures, check};
use crate::{Error, Result};

/// The teacher's embedding of the same view among those of the queue ([`binary_contrastive_loss`]).
#[derive(Debug, Clone, Copy)]
pub struct BinaryContrastive {
    /// τ.
    pub temperature: f64,
    /// Images of the data set, N.
    pub images: u64,
}

impl Strategy for BinaryContrastive {
    fn loss(&self, piece: &Piece<'_>) -> Result<Learned> {
        let target = piece.target()?;
        let loss = binary_contrastive_loss(piece.embedding, target, piece.queue, self.temperature, self.images)?;
        Ok(Learned::of(loss, piece.embedding))
    }
}

/// Loss and gradient for unit rows `student` (B,C), `teacher` (B,C) and `queue` (K,C), all float32 or all float64 on one device, of a
/// data set of `images`.
///
/// # Errors
/// `InvalidArgument` for other shapes or formats, a temperature that is not above 0 or no image; `OutOfMemory` or `Torch` from libtorch.
pub fn binary_contrastive_loss(
    student: &Tensor,
    teacher: &Tensor,
    queue: &Tensor,
    temperature: f64,
    images: u64,
) -> Result<Loss> {
    let _no_grad = tch::no_grad_guard();
    let (rows, _) = check(student, teacher, queue, Temperatures { student: temperature, teacher: temperature })?;
    if images == 0 {
        return Err(Error::invalid("binary_contrastive weighs its negatives by the images of a data set, found none"));
    }
    let capacity = queue.size()[0];
    let offset = (capacity as f64 / images as f64).ln(); // c
    let scaled = student.f_detach()?.f_div_scalar(temperature)?;

    let own = scaled.f_mul(teacher)?.f_sum_dim_intlist([1i64].as_slice(), true, None)?.f_neg()?.f_add_scalar(offset)?; // (B,1)
    let mut value = own.f_softplus()?.f_sum(None)?;
    let mut gradient = own.f_sigmoid()?.f_neg()?.f_mul(teacher)?; // (B,C)
    for start in (0..capacity).step_by(BLOCK as usize) {
        let block = queue.f_narrow(0, start, BLOCK.min(capacity - start))?; // (b,C)
        let others = scaled.f_matmul(&block.f_tr()?)?.f_sub_scalar(offset)?; // (B,b)
        value = value.f_add(&others.f_softplus()?.f_sum(None)?)?;
        gradient = gradient.f_addmm(&others.f_sigmoid()?, &block)?;
    }
    Ok(Loss { value: value.f_div_scalar(rows as f64)?, gradient: gradient.f_div_scalar(temperature * rows as f64)? })
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;
    use crate::distill::loss::tests::random;
    use crate::model::unit_rows;

    /// The definition, word for word, for autograd.
    fn naive(student: &Tensor, teacher: &Tensor, queue: &Tensor, temperature: f64, images: f64) -> Tensor {
        let weight = queue.size()[0] as f64 / images;
        let h = |product: Tensor| {
            let power = (product / temperature).exp();
            &power / (&power + weight)
        };
        let own = h((student * teacher).sum_dim_intlist([1i64].as_slice(), false, None)).log();
        let others = (-h(student.matmul(&queue.tr())) + 1.0).log().sum_dim_intlist([1i64].as_slice(), false, None);
        -(own + others).mean(None)
    }

    #[test]
    fn it_is_that_of_autograd_in_float64() {
        let teacher = unit_rows(&random(6, 2)).unwrap();
        // The second queue is longer than a block.
        for (length, temperature, images) in [(7, 0.5, 100), (BLOCK + 5, 0.2, 1344), (64, 0.07, 20)] {
            let queue = unit_rows(&random(length, 3)).unwrap();
            let raw = random(6, 1).set_requires_grad(true);
            let wanted = naive(&unit_rows(&raw).unwrap(), &teacher, &queue, temperature, images as f64);
            wanted.backward();
            for (kind, tolerance) in [(Kind::Double, 1e-10), (Kind::Float, 1e-4)] {
                let own = raw.detach().to_kind(kind).set_requires_grad(true);
                let unit = unit_rows(&own).unwrap();
                let (teacher, queue) = (teacher.to_kind(kind), queue.to_kind(kind));
                let found = binary_contrastive_loss(&unit, &teacher, &queue, temperature, images).unwrap();
                found.backward(&unit).unwrap();
                let apart = (found.value.double_value(&[]) / wanted.double_value(&[]) - 1.0).abs();
                assert!(apart < tolerance, "value off by {apart} of 1, {kind:?}");
                let scale = raw.grad().abs().max().double_value(&[]);
                let apart = (own.grad().to_kind(Kind::Double) - raw.grad()).abs().max().double_value(&[]);
                assert!(apart < tolerance * scale, "gradient off by {apart} of {scale}, {kind:?}");
            }
        }
    }

    #[test]
    fn a_small_temperature_overflows_nothing() {
        let unit = Tensor::eye(4, (Kind::Float, Device::Cpu));
        let found = binary_contrastive_loss(&unit, &unit, &unit, 1e-4, 10).unwrap();
        // Each row finds itself in the queue, where it is a negative: softplus(1/τ − c) = 1e4 + log(10/4).
        assert!((found.value.double_value(&[]) - (1e4 + (2.5f64).ln()) - 3.0 * (2.5f64 + 1.0).ln()).abs() < 1.0);
        assert!(found.gradient.isfinite().all().int64_value(&[]) == 1);
        assert!(binary_contrastive_loss(&unit, &unit, &unit, 0.0, 10).is_err());
        assert!(binary_contrastive_loss(&unit, &unit, &unit, 0.1, 0).is_err());
    }
}
