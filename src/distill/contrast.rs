//! Losses that tell images apart without a teacher: InfoNCE against a queue of keys, and NT-Xent within a batch, with their exact gradients.
//!
//! ```text
//! InfoNCE (van den Oord et al., 2018; He et al., "MoCo", 2020, eq. 1), q and k of two views of image i, D the queue:
//!   L = mean_i [ logsumexp(q_i·k_i/τ, q_i·Dᵀ/τ) − q_i·k_i/τ ]
//!   ∂L/∂q_i = ( Σ_j p_ij·d_j − k_i ) / (τ·B)               p over the key and the queue
//!
//! NT-Xent (Chen et al., "SimCLR", 2020, eq. 1), rows i and i + B of z (2B,C) of two views of one image, i' the other of i:
//!   L = mean_i [ logsumexp_{j≠i}(z_i·z_j/τ) − z_i·z_i'/τ ]  over all 2B rows
//!   ∂L/∂z_i = ( Σ_j (p_ij + p_ji)·z_j − 2·z_i' ) / (τ·2B)
//! ```

use tch::{Kind, Tensor};

use super::loss::{Loss, Temperatures, attend, check};
use crate::{Error, Result};

/// InfoNCE for unit rows `query` (B,C), `key` (B,C) and `queue` (K,C), all float32 or all float64 on one device; memory is O(B·block).
///
/// # Errors
/// `InvalidArgument` for other shapes or formats or a temperature that is not above 0; `OutOfMemory` or `Torch` from libtorch.
pub fn info_nce_loss(query: &Tensor, key: &Tensor, queue: &Tensor, temperature: f64) -> Result<Loss> {
    let _no_grad = tch::no_grad_guard();
    let (rows, _) = check(query, key, queue, Temperatures { student: temperature, teacher: temperature })?;
    let scaled = query.f_detach()?.f_div_scalar(temperature)?;
    let (mean, log_sum) = attend(&scaled, key, queue)?;
    let own = scaled.f_mul(key)?.f_sum_dim_intlist([1i64].as_slice(), true, None)?;
    let value = log_sum.f_sub(&own)?.f_mean(None)?;
    Ok(Loss { value, gradient: mean.f_sub(key)?.f_div_scalar(temperature * rows as f64)? })
}

/// NT-Xent for unit rows `both` (2B,C), of which rows i and i + B belong to one image; float32 or float64.
///
/// # Errors
/// `InvalidArgument` for an odd number of rows, fewer than two images or a temperature that is not above 0; `OutOfMemory` or `Torch`
/// from libtorch.
pub fn nt_xent_loss(both: &Tensor, temperature: f64) -> Result<Loss> {
    let _no_grad = tch::no_grad_guard();
    let (rows, kind) = match (both.size().as_slice(), both.kind()) {
        (&[rows, _], kind @ (Kind::Float | Kind::Double)) => (rows, kind),
        (size, kind) => {
            return Err(Error::invalid(format!("the loss takes rows (2B,C) of floats, found {size:?} in {kind:?}")));
        }
    };
    if rows < 4 || rows % 2 != 0 {
        return Err(Error::invalid(format!(
            "two views of each of two images at least are compared, found {rows} rows"
        )));
    }
    if !(temperature.is_finite() && temperature > 0.0) {
        return Err(Error::invalid(format!("the temperature is {temperature}, expected a number above 0")));
    }
    let z = both.f_detach()?;
    let other = z.f_roll(rows / 2, 0)?; // the same image's other view
    let itself = Tensor::f_eye(rows, (Kind::Bool, z.device()))?;
    let logits = z.f_matmul(&z.f_tr()?)?.f_div_scalar(temperature)?.f_masked_fill(&itself, f64::NEG_INFINITY)?;
    let own = z.f_mul(&other)?.f_sum_dim_intlist([1i64].as_slice(), false, None)?.f_div_scalar(temperature)?;
    let value = logits.f_logsumexp([1i64].as_slice(), false)?.f_sub(&own)?.f_mean(None)?;
    let p = logits.f_softmax(1, kind)?;
    let pulled = p.f_add(&p.f_tr()?)?.f_matmul(&z)?;
    let gradient = pulled.f_sub(&other.f_mul_scalar(2.0)?)?.f_div_scalar(temperature * rows as f64)?;
    Ok(Loss { value, gradient })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distill::loss::seed_loss;
    use crate::distill::loss::tests::random;
    use crate::model::unit_rows;

    /// Value and gradient of `naive` by autograd with respect to `raw`, before its rows are made unit ones.
    fn reference(raw: &Tensor, naive: &dyn Fn(&Tensor) -> Tensor) -> (f64, Tensor) {
        let raw = raw.detach().set_requires_grad(true);
        let loss = naive(&unit_rows(&raw).unwrap());
        loss.backward();
        (loss.double_value(&[]), raw.grad())
    }

    fn compare(raw: &Tensor, naive: &dyn Fn(&Tensor) -> Tensor, own: &dyn Fn(&Tensor) -> Loss) {
        let (value, gradient) = reference(raw, naive);
        for (kind, tolerance) in [(Kind::Double, 1e-10), (Kind::Float, 5e-5)] {
            let raw = raw.detach().to_kind(kind).set_requires_grad(true);
            let unit = unit_rows(&raw).unwrap();
            let found = own(&unit);
            found.backward(&unit).unwrap();
            assert!((found.value.double_value(&[]) - value).abs() < tolerance * value.abs().max(1.0), "{kind:?}");
            let scale = gradient.abs().max().double_value(&[]);
            let apart = (raw.grad().to_kind(Kind::Double) - &gradient).abs().max().double_value(&[]);
            assert!(apart < tolerance * scale, "gradient off by {apart} of {scale}, {kind:?}");
        }
    }

    #[test]
    fn info_nce_is_that_of_autograd_in_float64() {
        for (images, length, temperature) in [(1, 1, 0.2), (6, 50, 0.07), (4, 4200, 0.2)] {
            let (key, queue) = (unit_rows(&random(images, 2)).unwrap(), unit_rows(&random(length, 3)).unwrap());
            // MoCo's own words: cross entropy of the logits with class 0 as the right one.
            let naive = |q: &Tensor| {
                let own = (q * &key).sum_dim_intlist([1i64].as_slice(), true, None);
                let logits = Tensor::cat(&[own, q.matmul(&queue.tr())], 1) / temperature;
                -logits.log_softmax(1, Kind::Double).select(1, 0).mean(None)
            };
            let own =
                |q: &Tensor| info_nce_loss(q, &key.to_kind(q.kind()), &queue.to_kind(q.kind()), temperature).unwrap();
            compare(&random(images, 1), &naive, &own);
        }
    }

    #[test]
    fn info_nce_is_seed_at_a_teachers_temperature_of_nothing() {
        let (query, key) = (unit_rows(&random(5, 1)).unwrap(), unit_rows(&random(5, 2)).unwrap());
        let queue = unit_rows(&random(64, 3)).unwrap();
        let found = info_nce_loss(&query, &key, &queue, 0.2).unwrap();
        let limit = seed_loss(&query, &key, &queue, Temperatures { student: 0.2, teacher: 1e-6 }).unwrap();
        assert!((found.value.double_value(&[]) - limit.value.double_value(&[])).abs() < 1e-9);
        assert!((found.gradient - limit.gradient).abs().max().double_value(&[]) < 1e-9);
    }

    #[test]
    fn nt_xent_is_that_of_autograd_in_float64() {
        for (images, temperature) in [(2, 0.1), (7, 0.5), (33, 0.07)] {
            // Word for word: for each row the others, of which its image's other view is the right one.
            let naive = |z: &Tensor| {
                let mut sum = Tensor::from(0.0);
                for i in 0..2 * images {
                    let others: Vec<i64> = (0..2 * images).filter(|&j| j != i).collect();
                    let logits = z.index_select(0, &Tensor::from_slice(&others)).matmul(&z.get(i)) / temperature;
                    let right = z.get(i).dot(&z.get((i + images) % (2 * images))) / temperature;
                    sum = sum + logits.logsumexp([0i64].as_slice(), false) - right;
                }
                sum / (2 * images) as f64
            };
            compare(&random(2 * images, 4), &naive, &|z| nt_xent_loss(z, temperature).unwrap());
        }
    }

    #[test]
    fn wrong_inputs_are_errors_and_equal_rows_none() {
        let rows = unit_rows(&random(6, 1)).unwrap();
        assert!(nt_xent_loss(&rows.narrow(0, 0, 5), 0.1).is_err());
        assert!(nt_xent_loss(&rows.narrow(0, 0, 2), 0.1).is_err());
        assert!(nt_xent_loss(&rows, 0.0).is_err() && nt_xent_loss(&rows, f64::NAN).is_err());
        assert!(nt_xent_loss(&rows.to_kind(Kind::Int64), 0.1).is_err());
        assert!(info_nce_loss(&rows, &rows.narrow(0, 0, 5), &rows, 0.2).is_err());
        assert!(info_nce_loss(&rows, &rows, &rows, -1.0).is_err());
        let equal = rows.narrow(0, 0, 1).expand([8, 16], false).contiguous();
        let found = nt_xent_loss(&equal, 0.1).unwrap();
        assert!((found.value.double_value(&[]) - 7.0f64.ln()).abs() < 1e-9, "a guess among seven");
        assert!(found.gradient.isfinite().all().int64_value(&[]) == 1);
    }
}
