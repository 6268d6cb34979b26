//! Online clustering as SwAV does it (Caron et al., "Unsupervised learning of visual features by contrasting cluster assignments",
//! NeurIPS 2020, §3 and appendix A), over a frozen teacher: the student is to find which prototypes the teacher's embedding belongs to.
//!
//! ```text
//! q = Sinkhorn(t·cᵀ/ε)        c (P,C) unit rows, trained with the student; over batch and queue, each prototype gets an equal share
//! p = softmax(s·cᵀ/τ)         (B,P)
//! L = −mean_i Σ_p q_ip · log p_ip
//! ∂L/∂z = (p − q)/(τ·B)       z = s·cᵀ (B,P); ∂L/∂s = ∂L/∂z · c, ∂L/∂c = (∂L/∂z)ᵀ · s; q is a constant
//! ```
//!
//! After each update the prototypes are brought back to length 1. Of the queue only rows that came from a teacher take part: its first
//! noise would take prototypes away from images. Memory is O((B+K)·P).

use std::collections::BTreeMap;

use rand_distr::{Distribution, StandardNormal};
use tch::{Device, Kind, Tensor};

use super::{Learned, Piece, Strategy, part, part_of, stored};
use crate::data::random::{Purpose, generator};
use crate::distill::loss::{BLOCK, check_pair};
use crate::distill::queue::Queue;
use crate::distill::step::{StepBatch, StepSettings};
use crate::model::weights::StateDict;
use crate::model::{Network, unit_rows};
use crate::sys::memory::room;
use crate::{Error, Result};

/// ε, the smoothness of the assignment, and how often rows and columns are scaled in turn (SwAV, appendix A).
const EPSILON: f64 = 0.05;
const ITERATIONS: usize = 3;
/// τ (SwAV, appendix A).
const TEMPERATURE: f64 = 0.1;
/// The part of a checkpoint, and its tensor.
const PART: &str = "prototypes";
const WEIGHT: &str = "weight";

/// Prototypes, and the loss over them.
#[derive(Debug)]
pub struct OnlineClustering {
    /// c (P,C), float32, a leaf of autograd.
    prototypes: Tensor,
}

impl OnlineClustering {
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
        Ok(Self { prototypes: rows.f_to_device(device)?.f_requires_grad_(true)? })
    }
}

impl Strategy for OnlineClustering {
    /// q (B,P).
    fn goal(&self, batch: &StepBatch<'_>, queue: &Queue, _settings: &StepSettings) -> Result<Vec<Tensor>> {
        let known = queue.rows().f_narrow(0, 0, queue.len())?;
        Ok(vec![assignment(batch.taught()?, &known, &self.prototypes.f_detach()?, ITERATIONS)?])
    }

    fn loss(&self, piece: &Piece<'_>) -> Result<Learned> {
        clustering_loss(piece.embedding, piece.target()?, &self.prototypes, TEMPERATURE)
    }

    fn parameters(&self) -> Vec<(String, Tensor)> {
        vec![(format!("{PART}.{WEIGHT}"), self.prototypes.shallow_clone())]
    }

    fn updated(&mut self, _student: &Network, _goal: &[Tensor]) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        let unit = unit_rows(&self.prototypes)?;
        self.prototypes.shallow_clone().f_copy_(&unit)?;
        Ok(())
    }

    fn parts(&self) -> Result<BTreeMap<String, StateDict>> {
        Ok(BTreeMap::from([(PART.to_owned(), part(&[(WEIGHT, &self.prototypes.f_detach()?)])?)]))
    }

    fn restore(&mut self, parts: &BTreeMap<String, StateDict>) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        let found = stored(part_of(parts, PART)?, WEIGHT, &self.prototypes)?;
        self.prototypes.shallow_clone().f_copy_(&found)?;
        Ok(())
    }
}

/// q (B,P) of unit rows `teacher` (B,C) among `others` (n,C), n may be 0, and the unit rows `prototypes` (P,C): rows and columns of
/// e^{x·cᵀ/ε}, x being all B + n rows, are scaled in turn `iterations` times so that each prototype gets an equal share of the rows and
/// each row is one in all; the rows last.
///
/// # Errors
/// `OutOfMemory` or `Torch` from libtorch.
pub fn assignment(teacher: &Tensor, others: &Tensor, prototypes: &Tensor, iterations: usize) -> Result<Tensor> {
    let _no_grad = tch::no_grad_guard();
    let (batch, more, count) = (teacher.size()[0], others.size()[0], prototypes.size()[0]);
    let columns = prototypes.f_tr()?; // (C,P)
    let mut power = Tensor::f_empty([batch + more, count], (teacher.kind(), teacher.device()))?; // e^{x·cᵀ/ε} in the end
    power.f_narrow(0, 0, batch)?.f_copy_(&teacher.f_matmul(&columns)?)?;
    for start in (0..more).step_by(BLOCK as usize) {
        let length = BLOCK.min(more - start);
        let block = others.f_narrow(0, start, length)?.f_matmul(&columns)?;
        power.f_narrow(0, batch + start, length)?.f_copy_(&block)?;
    }
    // A common factor is scaled away: with the largest power 1 nothing overflows, and the smallest is above e^{-2/ε}.
    let largest = power.f_max()?;
    let _same = power.f_sub_(&largest)?.f_div_scalar_(EPSILON)?.f_exp_()?;
    let mut of_rows = Tensor::f_ones([batch + more], (teacher.kind(), teacher.device()))?;
    let mut of_prototypes = Tensor::f_ones([count], (teacher.kind(), teacher.device()))?;
    for _ in 0..iterations {
        of_prototypes = power.f_tr()?.f_mv(&of_rows)?.f_mul_scalar(count as f64)?.f_reciprocal()?;
        of_rows = power.f_mv(&of_prototypes)?.f_mul_scalar((batch + more) as f64)?.f_reciprocal()?;
    }
    let own = power.f_narrow(0, 0, batch)?.f_mul(&of_prototypes)?;
    Ok(own.f_div(&own.f_sum_dim_intlist([1i64].as_slice(), true, None)?)?)
}

/// Loss and gradients for unit rows `student` (B,C) and `prototypes` (P,C), within autograd or not, and `assigned` (B,P), whose rows add up
/// to 1; all float32 or all float64 on one device.
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
    let of_logits = log_p.f_exp()?.f_sub(assigned)?.f_div_scalar(temperature * rows as f64)?; // ∂L/∂(s·cᵀ)
    let gradients = vec![
        (student.shallow_clone(), of_logits.f_matmul(&c)?),
        (prototypes.shallow_clone(), of_logits.f_tr()?.f_matmul(&s)?),
    ];
    Ok(Learned { value, gradients })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distill::loss::tests::random;
    use crate::distill::strategy::tests::SETTINGS;

    /// `distributed_sinkhorn` of SwAV's published code, word for word, for one process: Q starts transposed, (P,N).
    fn published(scores: &Tensor, iterations: usize) -> Tensor {
        let mut q = (scores / EPSILON).exp().tr();
        let (prototypes, samples) = (q.size()[0] as f64, q.size()[1] as f64);
        q = &q / q.sum(None);
        for _ in 0..iterations {
            q = &q / q.sum_dim_intlist([1i64].as_slice(), true, None) / prototypes;
            q = &q / q.sum_dim_intlist([0i64].as_slice(), true, None) / samples;
        }
        (q * samples).tr()
    }

    fn unit(rows: i64, seed: u64) -> Tensor {
        unit_rows(&random(rows, seed)).unwrap()
    }

    fn apart(a: &Tensor, b: &Tensor) -> f64 {
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
                let found = assignment(&of(&teacher), &of(&others), &of(&prototypes), ITERATIONS).unwrap();
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
        let q = assignment(&teacher, &none, &prototypes, ITERATIONS).unwrap();
        let rows = q.sum_dim_intlist([1i64].as_slice(), false, None);
        assert!(apart(&rows, &rows.ones_like()) < 1e-12);
        // In the limit both hold at once: 64 rows among 8 prototypes.
        let q = assignment(&teacher, &none, &prototypes, 500).unwrap();
        let columns = q.sum_dim_intlist([0i64].as_slice(), false, None);
        assert!(apart(&columns, &(columns.ones_like() * 8.0)) < 1e-6, "{columns}");
        // Equal images belong to all prototypes alike, however near one of them is.
        let equal = teacher.narrow(0, 0, 1).expand([16, 16], false).contiguous();
        let q = assignment(&equal, &none, &prototypes, ITERATIONS).unwrap();
        assert!(apart(&q, &(q.ones_like() / 8.0)) < 1e-12);
    }

    #[test]
    fn it_is_that_of_autograd_in_float64() {
        let q = assignment(&unit(6, 1), &unit(20, 2), &unit(9, 3), ITERATIONS).unwrap();
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
        let q = assignment(&unit(5, 2), &unit(3, 3), &one, ITERATIONS).unwrap();
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
    fn the_queues_first_noise_takes_no_part() {
        let clusters = OnlineClustering::new(4, 16, 1, Device::Cpu).unwrap();
        let target = unit(6, 2).to_kind(Kind::Float);
        let batch = StepBatch { views: &target, target: Some(&target), images: None, second: None };
        let goal = |queue: &Queue| clusters.goal(&batch, queue, &SETTINGS).unwrap().remove(0);
        let (mut short, mut long) =
            (Queue::new(3, 16, 3, Device::Cpu).unwrap(), Queue::new(30, 16, 4, Device::Cpu).unwrap());
        assert!(apart(&goal(&short), &goal(&long)) == 0.0);
        let rows = unit(3, 5).to_kind(Kind::Float);
        let before = goal(&short);
        short.push(&rows).unwrap();
        long.push(&rows).unwrap();
        assert!(apart(&goal(&short), &goal(&long)) == 0.0 && apart(&goal(&short), &before) > 1e-4);
    }

    #[test]
    fn the_state_comes_back_and_what_does_not_fit_changes_nothing() {
        let (first, mut second) = (
            OnlineClustering::new(4, 16, 1, Device::Cpu).unwrap(),
            OnlineClustering::new(4, 16, 2, Device::Cpu).unwrap(),
        );
        let before = second.prototypes.detach().copy();
        assert!(apart(&before, &first.prototypes) > 0.1);
        let other = OnlineClustering::new(5, 16, 1, Device::Cpu).unwrap().parts().unwrap();
        let broken = OnlineClustering { prototypes: before.copy() * f64::NAN }.parts().unwrap();
        for parts in [other, broken, BTreeMap::new()] {
            assert_eq!(second.restore(&parts).unwrap_err().kind(), crate::ErrorKind::Mismatch);
            assert!(apart(&before, &second.prototypes) == 0.0);
        }
        second.restore(&first.parts().unwrap()).unwrap();
        assert!(apart(&first.prototypes, &second.prototypes) == 0.0);
        assert!(OnlineClustering::new(0, 16, 1, Device::Cpu).is_err());
    }
}
