//! Prototypes as SwAV has them (Caron et al., "Unsupervised learning of visual features by contrasting cluster assignments", NeurIPS 2020,
//! §3 and appendix A): unit vectors that are trained with the student, which rows are assigned to them, and the loss of predicting that.
//!
//! ```text
//! q = Sinkhorn(x·cᵀ/ε)        c (P,C) unit rows; x (B+n,C) unit rows; each prototype gets an equal share of them
//! p = softmax(s·cᵀ/τ)         (B,P)
//! L = −mean_i w_i · Σ_p q_ip · log p_ip                w_i a weight, 1 in most cases
//! ∂L/∂z = w·(p − q)/(τ·B)     z = s·cᵀ (B,P); ∂L/∂s = ∂L/∂z · c, ∂L/∂c = (∂L/∂z)ᵀ · s; q is a constant
//! ```

use std::collections::BTreeMap;

use rand_distr::{Distribution, StandardNormal};
use tch::{Device, Kind, Tensor};

use super::{Learned, part, part_of, stored};
use crate::data::random::{Purpose, generator};
use crate::distill::loss::{BLOCK, check_pair};
use crate::model::unit_rows;
use crate::model::weights::StateDict;
use crate::sys::memory::room;
use crate::{Error, Result, torch};

/// ε, the smoothness of the assignment, and how often rows and columns are scaled in turn (SwAV, appendix A).
const EPSILON: f64 = 0.05;
const ITERATIONS: usize = 3;
/// The part of a checkpoint, and its tensor.
const PART: &str = "prototypes";
const WEIGHT: &str = "weight";

/// c (P,C), float32, a leaf of autograd.
#[derive(Debug)]
pub struct Prototypes(Tensor);

impl Prototypes {
    /// `count` prototypes of `width` numbers on `device`: unit noise drawn from `seed`.
    ///
    /// # Errors
    /// `InvalidArgument` without a prototype; `OutOfMemory` or `Torch` from libtorch.
    pub fn new(count: i64, width: i64, seed: u64, device: Device) -> Result<Self> {
        let _no_grad = tch::no_grad_guard();
        let numbers = count.checked_mul(width).filter(|&numbers| count > 0 && numbers > 0);
        let numbers = numbers.and_then(|numbers| usize::try_from(numbers).ok());
        let numbers = numbers.ok_or_else(|| {
            Error::invalid(format!("{count} prototypes of {width} numbers, expected at least 1 of 1"))
        })?;
        let mut generator = generator(seed, 0, 0, Purpose::Method);
        let mut noise: Vec<f32> = room(numbers, "the prototypes")?;
        noise.extend((0..numbers).map(|_| -> f32 { StandardNormal.sample(&mut generator) }));
        let rows = unit_rows(&Tensor::f_from_slice(&noise)?.f_reshape([count, width])?)?;
        Ok(Self(rows.f_to_device(device)?.f_requires_grad_(true)?))
    }

    /// c, within autograd.
    pub fn rows(&self) -> &Tensor {
        &self.0
    }

    /// P.
    pub fn count(&self) -> i64 {
        self.0.size()[0]
    }

    /// A handle to c by its name, for the optimiser.
    pub fn parameters(&self) -> Vec<(String, Tensor)> {
        vec![(format!("{PART}.{WEIGHT}"), self.0.shallow_clone())]
    }

    /// Brings the rows back to length 1, after an update.
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn normalise(&self) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        self.0.shallow_clone().f_copy_(&unit_rows(&self.0)?)?;
        Ok(())
    }

    /// The part of a checkpoint.
    ///
    /// # Errors
    /// `OutOfMemory` or `Torch` from libtorch.
    pub fn parts(&self) -> Result<BTreeMap<String, StateDict>> {
        Ok(BTreeMap::from([(PART.to_owned(), part(&[(WEIGHT, &self.0.f_detach()?)])?)]))
    }

    /// Puts back what [`parts`](Prototypes::parts) gave; nothing is changed on error.
    ///
    /// # Errors
    /// `Mismatch` where the part is missing or does not fit.
    pub fn restore(&self, parts: &BTreeMap<String, StateDict>) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        let found = stored(part_of(parts, PART)?, WEIGHT, &self.0)?;
        self.0.shallow_clone().f_copy_(&found)?;
        Ok(())
    }
}

/// q (B,P) of unit rows `own` (B,C) among `others` (n,C), n may be 0, and the unit rows `prototypes` (P,C): rows and columns of
/// e^{x·cᵀ/ε}, x being all B + n rows, are scaled in turn [`ITERATIONS`] times so that each prototype gets an equal share of the rows and
/// each row is one in all; the rows last.
///
/// # Errors
/// `OutOfMemory` or `Torch` from libtorch.
pub fn assignment(own: &Tensor, others: &Tensor, prototypes: &Tensor) -> Result<Tensor> {
    scaled(own, others, prototypes, ITERATIONS)
}

fn scaled(own: &Tensor, others: &Tensor, prototypes: &Tensor, iterations: usize) -> Result<Tensor> {
    let _no_grad = tch::no_grad_guard();
    let _exact = torch::ExactFloat32::enter()?;
    let (batch, more, count) = (own.size()[0], others.size()[0], prototypes.size()[0]);
    let columns = prototypes.f_tr()?; // (C,P)
    let mut power = Tensor::f_empty([batch + more, count], (own.kind(), own.device()))?; // e^{x·cᵀ/ε} in the end
    power.f_narrow(0, 0, batch)?.f_copy_(&own.f_matmul(&columns)?)?;
    for start in (0..more).step_by(BLOCK as usize) {
        let length = BLOCK.min(more - start);
        let block = others.f_narrow(0, start, length)?.f_matmul(&columns)?;
        power.f_narrow(0, batch + start, length)?.f_copy_(&block)?;
    }
    // A common factor is scaled away: with the largest power 1 nothing overflows, and the smallest is above e^{-2/ε}.
    let largest = power.f_max()?;
    let _same = power.f_sub_(&largest)?.f_div_scalar_(EPSILON)?.f_exp_()?;
    let mut of_rows = Tensor::f_ones([batch + more], (own.kind(), own.device()))?;
    let mut of_prototypes = Tensor::f_ones([count], (own.kind(), own.device()))?;
    for _ in 0..iterations {
        of_prototypes = power.f_tr()?.f_mv(&of_rows)?.f_mul_scalar(count as f64)?.f_reciprocal()?;
        of_rows = power.f_mv(&of_prototypes)?.f_mul_scalar((batch + more) as f64)?.f_reciprocal()?;
    }
    let shares = power.f_narrow(0, 0, batch)?.f_mul(&of_prototypes)?;
    Ok(shares.f_div(&shares.f_sum_dim_intlist([1i64].as_slice(), true, None)?)?)
}

/// Loss and gradients for unit rows `student` (B,C) and `prototypes` (P,C), within autograd or not, and `assigned` (B,P), whose rows are
/// assignments, each times a weight; all float32 or all float64 on one device.
///
/// # Errors
/// `InvalidArgument` for other shapes or formats; `OutOfMemory` or `Torch` from libtorch.
pub fn clustering_loss(student: &Tensor, assigned: &Tensor, prototypes: &Tensor, temperature: f64) -> Result<Learned> {
    let _no_grad = tch::no_grad_guard();
    let (s, c) = (student.f_detach()?, prototypes.f_detach()?);
    let fits = s.size().len() == 2 && c.size().len() == 2 && s.size()[1] == c.size()[1];
    if !fits {
        return Err(Error::invalid(format!(
            "the loss takes student (B,C) and prototypes (P,C); found {:?} and {:?}",
            s.size(),
            c.size()
        )));
    }
    let logits = s.f_matmul(&c.f_tr()?)?.f_div_scalar(temperature)?; // (B,P)
    let (rows, _) = check_pair(&logits, assigned)?;
    let log_p = logits.f_log_softmax(1, None::<Kind>)?;
    let value = assigned.f_mul(&log_p)?.f_sum(None)?.f_div_scalar(-(rows as f64))?;
    let weights = assigned.f_sum_dim_intlist([1i64].as_slice(), true, None)?; // (B,1)
    let of_logits = log_p.f_exp()?.f_mul(&weights)?.f_sub(assigned)?.f_div_scalar(temperature * rows as f64)?; // ∂L/∂(s·cᵀ)
    let gradients = vec![
        (student.shallow_clone(), of_logits.f_matmul(&c)?),
        (prototypes.shallow_clone(), of_logits.f_tr()?.f_matmul(&s)?),
    ];
    Ok(Learned { value, gradients })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::distill::loss::tests::random;

    const TEMPERATURE: f64 = 0.1;

    /// `distributed_sinkhorn` of SwAV's published code, word for word, for one process: Q starts transposed, (P,N).
    pub fn published(scores: &Tensor, iterations: usize) -> Tensor {
        let mut q = (scores / EPSILON).exp().tr();
        let (prototypes, samples) = (q.size()[0] as f64, q.size()[1] as f64);
        q = &q / q.sum(None);
        for _ in 0..iterations {
            q = &q / q.sum_dim_intlist([1i64].as_slice(), true, None) / prototypes;
            q = &q / q.sum_dim_intlist([0i64].as_slice(), true, None) / samples;
        }
        (q * samples).tr()
    }

    pub fn unit(rows: i64, seed: u64) -> Tensor {
        unit_rows(&random(rows, seed)).unwrap()
    }

    pub fn apart(a: &Tensor, b: &Tensor) -> f64 {
        (a.to_kind(Kind::Double) - b.to_kind(Kind::Double)).abs().max().double_value(&[])
    }

    #[test]
    fn the_assignment_is_that_of_the_published_code() {
        // The second is longer than a block, the third is a batch alone, the fourth has one image and more prototypes than rows.
        for (batch, more, count) in [(6, 30, 5), (4, BLOCK + 7, 12), (8, 0, 3), (1, 2, 40), (1, 0, 7)] {
            let (teacher, others, prototypes) = (unit(batch, 1), random(more, 2), unit(count, 3));
            let others = if more > 0 { unit_rows(&others).unwrap() } else { others };
            let scores = Tensor::cat(&[&teacher, &others], 0).matmul(&prototypes.tr());
            let wanted = published(&scores, ITERATIONS).narrow(0, 0, batch);
            for (kind, tolerance) in [(Kind::Double, 1e-12), (Kind::Float, 2e-5)] {
                let of = |tensor: &Tensor| tensor.to_kind(kind);
                let found = assignment(&of(&teacher), &of(&others), &of(&prototypes)).unwrap();
                assert!(
                    apart(&found, &wanted) < tolerance,
                    "{batch} {more} {count} {kind:?}: {}",
                    apart(&found, &wanted)
                );
            }
        }
    }

    #[test]
    fn rows_are_one_and_prototypes_share_them_equally() {
        let (teacher, prototypes) = (unit(64, 1), unit(8, 2));
        let none = random(0, 3);
        let q = assignment(&teacher, &none, &prototypes).unwrap();
        let rows = q.sum_dim_intlist([1i64].as_slice(), false, None);
        assert!(apart(&rows, &rows.ones_like()) < 1e-12);
        // In the limit both hold at once: 64 rows among 8 prototypes.
        let q = scaled(&teacher, &none, &prototypes, 500).unwrap();
        let columns = q.sum_dim_intlist([0i64].as_slice(), false, None);
        assert!(apart(&columns, &(columns.ones_like() * 8.0)) < 1e-6, "{columns}");
        // Equal images belong to all prototypes alike, however near one of them is.
        let equal = teacher.narrow(0, 0, 1).expand([16, 16], false).contiguous();
        let q = assignment(&equal, &none, &prototypes).unwrap();
        assert!(apart(&q, &(q.ones_like() / 8.0)) < 1e-12);
    }

    #[test]
    fn it_is_that_of_autograd_in_float64() {
        let q = assignment(&unit(6, 1), &unit(20, 2), &unit(9, 3)).unwrap();
        let (raw, c) = (random(6, 4).set_requires_grad(true), unit(9, 3).set_requires_grad(true));
        let log_p = (unit_rows(&raw).unwrap().matmul(&c.tr()) / TEMPERATURE).log_softmax(1, None::<Kind>);
        let wanted = -(&q * log_p).sum_dim_intlist([1i64].as_slice(), false, None).mean(None);
        wanted.backward();
        for (kind, tolerance) in [(Kind::Double, 1e-12), (Kind::Float, 1e-5)] {
            let leaf = |tensor: &Tensor| tensor.detach().to_kind(kind).copy().set_requires_grad(true);
            let (own, own_c) = (leaf(&raw), leaf(&c));
            let s = unit_rows(&own).unwrap();
            let found = clustering_loss(&s, &q.to_kind(kind), &own_c, TEMPERATURE).unwrap();
            found.backward().unwrap();
            assert!(apart(&found.value, &wanted) < tolerance, "{kind:?}");
            assert!(
                apart(&own.grad(), &raw.grad()) < tolerance && apart(&own_c.grad(), &c.grad()) < tolerance,
                "{kind:?}"
            );
            assert!(raw.grad().abs().max().double_value(&[]) > 1e-3);
        }
    }

    #[test]
    fn one_prototype_teaches_nothing_and_a_guess_costs_the_logarithm() {
        let one = unit(1, 1);
        let q = assignment(&unit(5, 2), &unit(3, 3), &one).unwrap();
        let found = clustering_loss(&unit(5, 4), &q, &one, TEMPERATURE).unwrap();
        assert!(found.value.double_value(&[]).abs() < 1e-12);
        assert!(found.gradients.iter().all(|(_, g)| g.abs().max().double_value(&[]) < 1e-12));
        // Where all prototypes are one point, p is a guess, whatever q is.
        let same = one.expand([7, 16], false).contiguous();
        let q = Tensor::eye(7, (Kind::Double, Device::Cpu)).narrow(0, 0, 5);
        let found = clustering_loss(&unit(5, 4), &q, &same, TEMPERATURE).unwrap();
        assert!((found.value.double_value(&[]) - 7f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn the_state_comes_back_and_what_does_not_fit_changes_nothing() {
        let (first, second) =
            (Prototypes::new(4, 16, 1, Device::Cpu).unwrap(), Prototypes::new(4, 16, 2, Device::Cpu).unwrap());
        let before = second.0.detach().copy();
        assert!(apart(&before, &first.0) > 0.1);
        let other = Prototypes::new(5, 16, 1, Device::Cpu).unwrap().parts().unwrap();
        let broken = Prototypes(before.copy() * f64::NAN).parts().unwrap();
        for parts in [other, broken, BTreeMap::new()] {
            assert_eq!(second.restore(&parts).unwrap_err().kind(), crate::ErrorKind::Mismatch);
            assert!(apart(&before, &second.0) == 0.0);
        }
        second.restore(&first.parts().unwrap()).unwrap();
        assert!(apart(&first.0, &second.0) == 0.0);
        assert!(Prototypes::new(0, 16, 1, Device::Cpu).is_err());
    }
}
