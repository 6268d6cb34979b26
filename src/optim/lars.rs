//! LARS: each tensor's gradient is brought to the scale of the tensor itself, before momentum (You et al., "Large batch training of
//! convolutional networks", 2017, eq. 6 and algorithm 1).
//!
//! ```text
//! g ← η·‖p‖ / (‖g‖ + λ·‖p‖) · (g + λ·p)        η = 0.001; 1 in place of the factor where ‖p‖ or ‖g‖ is 0
//! ```
//!
//! Biases and the weights of norms are neither scaled nor decayed, as in SimCLR (Chen et al., 2020, appendix B.1): they are told by having
//! one dimension. What follows is SGD with momentum and without weight decay.

use tch::{Kind, Tensor};

use crate::Result;

/// η.
const TRUST: f64 = 1e-3;

/// Rewrites the gradients of `parameters` in place. Nothing waits for the device.
///
/// # Errors
/// Those of libtorch.
pub(super) fn adapt(parameters: &[Tensor], weight_decay: f64) -> Result<()> {
    let _no_grad = tch::no_grad_guard();
    for parameter in parameters.iter().filter(|parameter| parameter.dim() > 1) {
        let mut gradient = parameter.f_grad()?;
        if !gradient.defined() {
            continue;
        }
        let of = |tensor: &Tensor| tensor.f_norm_scalaropt_dtype(2, Kind::Float);
        let (weight, slope) = (of(parameter)?, of(&gradient)?);
        let below = slope.f_add(&weight.f_mul_scalar(weight_decay)?)?;
        let factor = weight.f_mul_scalar(TRUST)?.f_div(&below)?;
        let both = weight.f_mul(&slope)?.f_gt(0.0)?;
        let factor = factor.f_where_self(&both, &factor.f_ones_like()?)?;
        let _ = gradient.f_add_(&parameter.f_mul_scalar(weight_decay)?)?.f_mul_(&factor)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use crate::optim::Sgd;

    #[test]
    fn it_follows_the_paper_and_leaves_biases_and_norms_alone() {
        let weight = Tensor::from_slice(&[0.3f32, -0.4, 1.2, 0.1]).view([2, 2]).set_requires_grad(true);
        let bias = Tensor::from_slice(&[1.0f32, -2.0]).set_requires_grad(true);
        let list = vec![("w".to_owned(), weight.shallow_clone()), ("b".to_owned(), bias.shallow_clone())];
        let mut lars = Sgd::lars(list, 0.9, 0.05).unwrap();
        // The same in float64, word for word.
        let (mut w, mut v) = ([0.3f64, -0.4, 1.2, 0.1], [0.0f64; 4]);
        let (mut b, mut u) = ([1.0f64, -2.0], [0.0f64; 2]);
        let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
        for step in 0..5 {
            // L = Σ w⁴ / 4 + Σ b² / 2
            let loss = weight.pow_tensor_scalar(4).sum(Kind::Float) / 4 + bias.square().sum(Kind::Float) / 2;
            loss.backward();
            lars.step(2.0).unwrap();
            let g: Vec<f64> = w.iter().map(|x| x * x * x).collect();
            let factor = 1e-3 * norm(&w) / (norm(&g) + 0.05 * norm(&w));
            for i in 0..4 {
                let scaled = factor * (g[i] + 0.05 * w[i]);
                v[i] = if step == 0 { scaled } else { 0.9 * v[i] + scaled };
            }
            for i in 0..2 {
                u[i] = if step == 0 { b[i] } else { 0.9 * u[i] + b[i] };
            }
            (0..4).for_each(|i| w[i] -= 2.0 * v[i]);
            (0..2).for_each(|i| b[i] -= 2.0 * u[i]);
        }
        let found = Vec::<f32>::try_from(weight.detach().view([-1])).unwrap();
        assert!(found.iter().zip(w).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-5), "{found:?} {w:?}");
        let found = Vec::<f32>::try_from(bias.detach()).unwrap();
        assert!(
            found.iter().zip(b).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-3 * b.abs().max(1.0)),
            "{found:?} {b:?}"
        );
    }

    #[test]
    fn zeros_divide_nothing() {
        let weight = Tensor::zeros([2, 2], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let mut lars = Sgd::lars(vec![("w".to_owned(), weight.shallow_clone())], 0.9, 0.0).unwrap();
        (&weight * 3.0).sum(Kind::Float).backward();
        lars.step(0.1).unwrap();
        // A weight of zeros has no scale: the gradient is taken as it is.
        assert!((weight.double_value(&[0, 0]) + 0.3).abs() < 1e-6);
        (&weight * 0.0).sum(Kind::Float).backward();
        lars.step(0.1).unwrap();
        assert!(weight.isfinite().all().int64_value(&[]) == 1);
    }
}
