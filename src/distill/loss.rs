//! The SEED loss in constant memory, with its exact gradient.
//!
//! For unit rows s (student) and t (teacher), both (B,C), and the queue D (K,C), let D⁺ᵢ be D with tᵢ put in front:
//!
//! ```text
//! p_T = softmax([t·t, t·Dᵀ]/τ_T)     p_S = softmax([s·t, s·Dᵀ]/τ_S)     (B, K+1)
//! L   = −mean_i Σ_j p_T[i,j] · log p_S[i,j]
//!     =  mean_i logsumexp_j(s·d_j/τ_S) − s·(Σ_j p_T d_j)/τ_S
//! ∂L/∂s_i = (Σ_j p_S[i,j] d_j − Σ_j p_T[i,j] d_j) / (τ_S · B)
//! ```
//!
//! (Fang et al., "SEED", ICLR 2021, eq. 3–6.) Both sums are softmax attention with keys = values = D⁺, so one pass over
//! D in blocks with a running maximum, sum and weighted sum gives loss and gradient (on the CPU libtorch's flash attention
//! does this): memory is O(B·block), not O(B·K), and no autograd graph is built over the logits. The gradient enters the student's graph as a constant.
//!
//! ```
//! # use tch::{Device, Kind, Tensor};
//! # use seed::distill::{Temperatures, seed_loss};
//! let unit = |n: i64| Tensor::eye(n, (Kind::Float, Device::Cpu));
//! // Student = teacher, both at the same temperature: the gradient vanishes.
//! let (s, t, queue) = (unit(4), unit(4), unit(4));
//! let out = seed_loss(&s, &t, &queue, Temperatures { student: 0.2, teacher: 0.2 }).unwrap();
//! assert!(out.gradient.abs().max().double_value(&[]) < 1e-7);
//! ```

use tch::{Device, Kind, Tensor};

use crate::{Error, Result, torch};

/// Rows of the queue in one block: large enough for the matrix product, small enough for the cache (B = 256: 8 MiB).
pub(super) const BLOCK: i64 = 4096;

/// The softmax temperatures. `Default`: the paper's τ_S = 0.2 and τ_T = 0.01.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Temperatures {
    /// τ_S, divides the student's similarities.
    pub student: f64,
    /// τ_T, divides the teacher's similarities; towards 0 the loss becomes InfoNCE with t as the key.
    pub teacher: f64,
}

impl Default for Temperatures {
    fn default() -> Self {
        Self { student: 0.2, teacher: 0.01 }
    }
}

/// The value of a loss, and its gradient.
#[derive(Debug)]
pub struct Loss {
    /// L, 0-dim, on the device of the inputs; reading it waits for the device.
    pub value: Tensor,
    /// ∂L/∂s, (B,C).
    pub gradient: Tensor,
}

/// The loss and its gradient for unit rows `student` (B,C), `teacher` (B,C) and `queue` (K,C), all float32 or all
/// float64 on one device. Nothing is recorded for autograd; see [`Loss::backward`].
pub fn seed_loss(student: &Tensor, teacher: &Tensor, queue: &Tensor, temperatures: Temperatures) -> Result<Loss> {
    let _no_grad = tch::no_grad_guard();
    let _exact = torch::ExactFloat32::enter()?;
    let (rows, width) = check(student, teacher, queue, temperatures)?;
    let student = student.f_detach()?;

    // Queries of both networks in one matrix, so that each block of the queue is read once: (2B,C).
    let scaled_student = student.f_div_scalar(temperatures.student)?;
    let scaled_teacher = teacher.f_div_scalar(temperatures.teacher)?;
    let queries = Tensor::f_cat(&[&scaled_student, &scaled_teacher], 0)?;

    let keys = Tensor::f_cat(&[teacher, teacher], 0)?;
    let (mean, log_sum) = attend(&queries, &keys, queue)?;
    let (mean_student, mean_teacher) = (mean.f_narrow(0, 0, rows)?, mean.f_narrow(0, rows, rows)?);
    let log_sum = log_sum.f_narrow(0, 0, rows)?; // (B,1)
    let cross = scaled_student.f_mul(&mean_teacher)?.f_sum_dim_intlist([1i64].as_slice(), true, None)?;
    let value = log_sum.f_sub(&cross)?.f_mean(None)?;
    let gradient = mean_student.f_sub(&mean_teacher)?.f_div_scalar(temperatures.student * rows as f64)?;
    debug_assert_eq!(gradient.size(), [rows, width]);
    Ok(Loss { value, gradient })
}

/// Softmax attention of each of `queries` (n,C) over its own key, a row of `keys` (n,C), and all of `queue` (K,C), as keys
/// and values: Σ_j p_j d_j (n,C) and logsumexp_j(q·d_j) (n,1).
pub(super) fn attend(queries: &Tensor, keys: &Tensor, queue: &Tensor) -> Result<(Tensor, Tensor)> {
    let own = queries.f_mul(keys)?.f_sum_dim_intlist([1i64].as_slice(), true, None)?; // (n,1)
    if queries.device() != Device::Cpu || queries.kind() != Kind::Float {
        return attend_in_blocks(queries, own, keys, queue);
    }
    // libtorch's own kernel over the queue, two to four times as fast as the operations below (docs/performance.md).
    let (q, d) = (queries.f_unsqueeze(0)?.f_unsqueeze(0)?, queue.f_unsqueeze(0)?.f_unsqueeze(0)?);
    let (mean, log_sum) =
        Tensor::f_internal_scaled_dot_product_flash_attention_for_cpu::<Tensor>(&q, &d, &d, 0.0, false, None, 1.0)?;
    let (mean, log_sum) = (mean.f_reshape(queries.size())?, log_sum.f_reshape([-1, 1])?);
    // The own key joins: two softmaxes merge by their sums, of which only the ratio counts.
    let of_own = own.f_sub(&log_sum)?.f_sigmoid()?;
    let merged = mean.f_add(&keys.f_sub(&mean)?.f_mul(&of_own)?)?;
    Ok((merged, log_sum.f_logaddexp(&own)?))
}

/// [`attend`] by a running maximum, sum and weighted sum; for any device and format. `own` (n,1) is q·key.
fn attend_in_blocks(queries: &Tensor, own: Tensor, keys: &Tensor, queue: &Tensor) -> Result<(Tensor, Tensor)> {
    // The own key opens the running softmax: weight exp(0) = 1.
    let mut maximum = own;
    let mut total = maximum.f_ones_like()?;
    let mut weighted = keys.shallow_clone(); // Σ_j exp(z_j − max)·d_j, (n,C)
    let capacity = queue.size()[0];
    let mut start = 0;
    while start < capacity {
        let block = queue.f_narrow(0, start, BLOCK.min(capacity - start))?; // (b,C)
        let mut logits = queries.f_matmul(&block.f_tr()?)?; // (n,b)
        let new_maximum = maximum.f_maximum(&logits.f_amax([1i64].as_slice(), true)?)?;
        let keep = maximum.f_sub(&new_maximum)?.f_exp()?;
        let weights = logits.f_sub_(&new_maximum)?.f_exp_()?;
        total = total.f_mul(&keep)?.f_add(&weights.f_sum_dim_intlist([1i64].as_slice(), true, None)?)?;
        weighted = weighted.f_mul(&keep)?.f_addmm(&weights, &block)?;
        maximum = new_maximum;
        start += BLOCK;
    }
    Ok((weighted.f_div(&total)?, maximum.f_add(&total.f_log()?)?))
}

impl Loss {
    /// Backpropagates into the graph that made `student` (B,C), the tensor that [`seed_loss`] was given: the gradient of
    /// Σ s·g with g constant is ∂L/∂s.
    pub fn backward(&self, student: &Tensor) -> Result<()> {
        Ok(student.f_mul(&self.gradient)?.f_sum(None)?.f_backward()?)
    }
}

/// B and C of rows that fit each other.
pub(super) fn check_pair(student: &Tensor, teacher: &Tensor) -> Result<(i64, i64)> {
    let (s, t) = (student.size(), teacher.size());
    if s.len() != 2 || s != t || s[0] == 0 {
        return Err(Error::invalid(format!(
            "the loss takes student (B,C) and teacher (B,C) with B ≥ 1; found {s:?} and {t:?}"
        )));
    }
    if student.kind() != teacher.kind() {
        return Err(Error::invalid(format!(
            "the loss takes one number format; found student {:?} and teacher {:?}",
            student.kind(),
            teacher.kind(),
        )));
    }
    if !matches!(student.kind(), Kind::Float | Kind::Double) {
        // Half precision cannot hold logits divided by a small temperature (method: τ_T down to 1e-4).
        return Err(Error::invalid(format!("the loss is computed in float32 or float64, not in {:?}", student.kind())));
    }
    Ok((s[0], s[1]))
}

/// As [`check_pair`], with the queue that they are compared with.
pub(super) fn check(
    student: &Tensor,
    teacher: &Tensor,
    queue: &Tensor,
    temperatures: Temperatures,
) -> Result<(i64, i64)> {
    let (rows, width) = check_pair(student, teacher)?;
    let d = queue.size();
    if d.len() != 2 || d[1] != width || d[0] == 0 || queue.kind() != student.kind() {
        return Err(Error::invalid(format!(
            "the loss takes a queue (K,C) with K ≥ 1 beside rows (B,{width}) in {:?}; found {d:?} in {:?}",
            student.kind(),
            queue.kind()
        )));
    }
    for (name, value) in [("student", temperatures.student), ("teacher", temperatures.teacher)] {
        if !(value.is_finite() && value > 0.0) {
            return Err(Error::invalid(format!("the {name}'s temperature is {value}, expected a number above 0")));
        }
    }
    Ok((rows, width))
}

/// The naive form, (B,K+1) logits in memory, for tests and benches only.
#[doc(hidden)]
pub fn naive_loss(student: &Tensor, teacher: &Tensor, queue: &Tensor, temperatures: Temperatures) -> Result<Tensor> {
    let logits = |z: &Tensor, tau: f64| -> Result<Tensor> {
        let positive = z.f_mul(teacher)?.f_sum_dim_intlist([1i64].as_slice(), true, None)?;
        Ok(Tensor::f_cat(&[&positive, &z.f_matmul(&queue.f_tr()?)?], 1)?.f_div_scalar(tau)?)
    };
    let target = logits(teacher, temperatures.teacher)?.f_softmax(1, None)?.f_detach()?;
    let log_probability = logits(student, temperatures.student)?.f_log_softmax(1, None)?;
    let per_sample = target.f_mul(&log_probability)?.f_sum_dim_intlist([1i64].as_slice(), false, None)?;
    Ok(per_sample.f_mean(None)?.f_neg()?)
}

#[cfg(test)]
pub(super) mod tests {
    use tch::IndexOp;

    use super::*;
    use crate::model::unit_rows;

    /// (rows, 16) in float64.
    pub fn random(rows: i64, seed: u64) -> Tensor {
        use rand_distr::{Distribution, StandardNormal};
        let mut generator = <rand_chacha::ChaCha8Rng as rand_core::SeedableRng>::seed_from_u64(seed);
        let numbers: Vec<f64> = (0..rows * 16).map(|_| StandardNormal.sample(&mut generator)).collect();
        Tensor::from_slice(&numbers).reshape([rows, 16])
    }

    /// Value and gradient with respect to the raw student, by autograd through the naive form in float64.
    fn reference(raw: &Tensor, t: &Tensor, queue: &Tensor, tau: Temperatures) -> (f64, Tensor) {
        let raw = raw.detach().set_requires_grad(true);
        let loss = naive_loss(&unit_rows(&raw).unwrap(), t, queue, tau).unwrap();
        loss.backward();
        (loss.double_value(&[]), raw.grad())
    }

    fn compare(raw: &Tensor, t: &Tensor, queue: &Tensor, tau: Temperatures, kind: Kind, tolerance: f64) {
        let (value, gradient) = reference(raw, t, queue, tau);
        let raw = raw.to_kind(kind).set_requires_grad(true);
        let s = unit_rows(&raw).unwrap();
        let ours = seed_loss(&s, &t.to_kind(kind), &queue.to_kind(kind), tau).unwrap();
        ours.backward(&s).unwrap();
        let found = ours.value.double_value(&[]);
        assert!((found - value).abs() <= tolerance * value.abs().max(1.0), "value {found}, expected {value}, {tau:?}");
        let error = (raw.grad().to_kind(Kind::Double) - &gradient).abs().max().double_value(&[]);
        let scale = gradient.abs().max().double_value(&[]).max(1e-3);
        assert!(error <= tolerance * scale, "gradient off by {error} of {scale}, {tau:?}");
    }

    #[test]
    fn equals_autograd_in_float64() {
        for (b, k) in [(1, 1), (3, 7), (5, 4096), (4, 4097), (2, 9000)] {
            for (student, teacher) in [(0.2, 0.01), (0.2, 1e-4), (0.07, 0.2), (1.0, 1.0)] {
                let t = unit_rows(&random(b, 1)).unwrap();
                let queue = unit_rows(&random(k, 2)).unwrap();
                let tau = Temperatures { student, teacher };
                compare(&random(b, 3), &t, &queue, tau, Kind::Double, 1e-10);
                compare(&random(b, 3), &t, &queue, tau, Kind::Float, 2e-5);
            }
        }
    }

    #[test]
    fn both_ways_of_attending_agree() {
        for (n, k) in [(2, 1), (6, 5000), (64, 513)] {
            let queries = (unit_rows(&random(n, 1)).unwrap() / 0.01).to_kind(Kind::Float);
            let queue = unit_rows(&random(k, 2)).unwrap().to_kind(Kind::Float);
            let keys = unit_rows(&random(n, 3)).unwrap().to_kind(Kind::Float);
            let own = (&queries * &keys).sum_dim_intlist([1i64].as_slice(), true, None);
            let (mean, log_sum) = attend(&queries, &keys, &queue).unwrap();
            let (mean_blocks, log_sum_blocks) = attend_in_blocks(&queries, own, &keys, &queue).unwrap();
            assert!((mean - mean_blocks).abs().max().double_value(&[]) < 1e-4);
            assert!((log_sum - log_sum_blocks).abs().max().double_value(&[]) < 1e-4);
        }
    }

    #[test]
    fn a_queue_of_equal_rows_is_no_special_case() {
        let t = unit_rows(&random(4, 1)).unwrap();
        let queue = unit_rows(&random(1, 2)).unwrap().expand([5000, 16], false).contiguous();
        for teacher in [0.01, 1e-4] {
            compare(&random(4, 3), &t, &queue, Temperatures { student: 0.2, teacher }, Kind::Double, 1e-10);
            compare(&random(4, 3), &t, &queue, Temperatures { student: 0.2, teacher }, Kind::Float, 2e-5);
        }
        // The queue is the teacher's own row: every column ties.
        let one = t.i(0..1);
        let own = one.expand([300, 16], false).contiguous();
        compare(&random(1, 3), &one, &own, Temperatures { student: 0.2, teacher: 1e-4 }, Kind::Double, 1e-10);
    }

    #[test]
    fn a_small_teacher_temperature_is_infonce() {
        let (s, t) = (unit_rows(&random(6, 1)).unwrap(), unit_rows(&random(6, 2)).unwrap());
        let queue = unit_rows(&random(500, 3)).unwrap();
        let ours = seed_loss(&s, &t, &queue, Temperatures { student: 0.2, teacher: 1e-5 }).unwrap();
        let positive = (&s * &t).sum_dim_intlist([1i64].as_slice(), true, None);
        let logits = Tensor::cat(&[positive, s.matmul(&queue.tr())], 1) / 0.2;
        let labels = Tensor::zeros([6], (Kind::Int64, Device::Cpu));
        // tch computes this one in float32.
        let infonce = logits.cross_entropy_for_logits(&labels).double_value(&[]);
        assert!((ours.value.double_value(&[]) - infonce).abs() < 1e-5);
    }

    #[test]
    fn shapes_formats_and_temperatures_are_checked() {
        let a = Tensor::ones([2, 4], (Kind::Float, Device::Cpu));
        let wide = Tensor::ones([2, 5], (Kind::Float, Device::Cpu));
        let tau = Temperatures::default();
        assert!(seed_loss(&a, &wide, &a, tau).is_err());
        assert!(seed_loss(&a, &a, &wide, tau).is_err());
        assert!(seed_loss(&a, &a, &a.to_kind(Kind::Double), tau).is_err());
        let half = a.to_kind(Kind::BFloat16);
        assert!(seed_loss(&half, &half, &half, tau).is_err());
        assert!(seed_loss(&a, &a, &a, Temperatures { student: 0.0, teacher: 0.1 }).is_err());
        assert!(seed_loss(&a, &a, &a, Temperatures { student: 0.1, teacher: f64::NAN }).is_err());
    }
}
