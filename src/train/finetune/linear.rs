//! Logistic regression on features that are there: the linear classifier, W (K, d) and b (K).
//!
//! ```text
//! L(W, b) = Σ_i w_i·CE(q_i, softmax(W·x_i + b)) / Σ_i w_i + ½·λ·‖W‖² / Σ_i w_i
//! ```
//!
//! with q_i the one-hot class, smoothed: (1 − ε)·onehot + ε/K, w_i the weight of the image's class, and no penalty on b. It
//! is scikit-learn's `LogisticRegression(C = 1/λ)`, convex, in float64 by L-BFGS (`tests/train/finetune_linear.rs` compares both).
//! For images the features are first brought to mean 0 and deviation 1 over the images learned from, so that one λ fits all
//! networks; [`Linear::unscaled`] takes that back, and the classifier is one linear layer.

use tch::{Kind, Tensor};

use crate::optim::lbfgs::{Limits, minimise};
use crate::sys::memory::{collected, filled};
use crate::{Result, torch};

/// Images to learn from.
pub struct Problem {
    /// x, (N, d), float64.
    features: Tensor,
    /// q, (N, K), float64.
    targets: Tensor,
    /// w_i/Σw, (N, 1), float64.
    weights: Tensor,
    /// Σw.
    total: f64,
}

/// A linear layer in float64.
#[derive(Debug)]
pub struct Linear {
    /// W, (K, d).
    pub weight: Tensor,
    /// b, (K).
    pub bias: Tensor,
}

/// Mean and deviation of each feature.
pub struct Scale {
    mean: Tensor,
    deviation: Tensor,
}

impl Scale {
    /// Of the rows of `features` (N, d), float64. A feature that hardly varies keeps its scale: it would only be noise.
    pub fn of(features: &Tensor) -> Result<Self> {
        let mean = features.f_mean_dim([0i64].as_slice(), false, Kind::Double)?;
        let centred = features.f_sub(&mean)?;
        let variance = centred.f_mul(&centred)?.f_mean_dim([0i64].as_slice(), false, Kind::Double)?;
        let deviation = variance.f_sqrt()?;
        let varies = deviation.f_gt(1e-8)?.f_to_kind(Kind::Double)?;
        let deviation = deviation.f_mul(&varies)?.f_add(&varies.f_neg()?.f_add_scalar(1.0)?)?;
        Ok(Self { mean, deviation })
    }

    /// (x − mean)/deviation.
    pub fn apply(&self, features: &Tensor) -> Result<Tensor> {
        Ok(features.f_sub(&self.mean)?.f_div(&self.deviation)?)
    }
}

/// q (N, K), float64, of classes below `classes`, smoothed by `smoothing`.
pub fn smoothed_targets(truth: &[usize], classes: usize, smoothing: f64) -> Result<Tensor> {
    let even = smoothing / classes.max(1) as f64;
    let mut targets = filled(even, truth.len().saturating_mul(classes), "the targets of a classifier")?;
    for (row, &class) in targets.chunks_exact_mut(classes.max(1)).zip(truth) {
        row[class] += 1.0 - smoothing;
    }
    Ok(Tensor::f_from_slice(&targets)?.f_view([truth.len() as i64, classes as i64])?)
}

/// A weight for each class: 1, or N/(classes that occur · images of the class), as scikit-learn's "balanced".
pub fn class_weights(truth: &[usize], classes: usize, balanced: bool) -> Vec<f64> {
    if !balanced {
        return vec![1.0; classes];
    }
    let mut counts = vec![0usize; classes];
    truth.iter().for_each(|&class| counts[class] += 1);
    let present = counts.iter().filter(|&&count| count > 0).count() as f64;
    counts.iter().map(|&count| if count == 0 { 0.0 } else { truth.len() as f64 / (present * count as f64) }).collect()
}

impl Problem {
    /// `features` (N, d), the class of each row, a weight for each class, and the smoothing ε.
    ///
    /// # Errors
    /// `OutOfMemory` or `Torch` from libtorch.
    pub fn new(features: &Tensor, truth: &[usize], weights: &[f64], smoothing: f64) -> Result<Self> {
        let of_image: Vec<f64> = collected(truth.iter().map(|&class| weights[class]), "the weights of images")?;
        let total = of_image.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        Ok(Self {
            features: features.f_to_kind(Kind::Double)?.f_contiguous()?,
            targets: smoothed_targets(truth, weights.len(), smoothing)?,
            weights: Tensor::f_from_slice(&of_image)?.f_div_scalar(total)?.f_view([-1, 1])?,
            total,
        })
    }

    /// As [`new`](Problem::new), of rows that are shared among classes: `shares` (N, K), float64, each row of sum 1, a weight for each row and
    /// one for each class. A row weighs w_i·Σ_c a_c·q_ic, and its target is a_c·q_ic divided by that sum.
    ///
    /// # Errors
    /// `OutOfMemory` or `Torch` from libtorch.
    pub fn of_shares(features: &Tensor, shares: &Tensor, weights: &[f64], of_classes: &[f64]) -> Result<Self> {
        let weighted = shares.f_mul(&Tensor::f_from_slice(of_classes)?)?; // (N, K)
        let sums = weighted.f_sum_dim_intlist([1i64].as_slice(), true, Kind::Double)?.f_clamp_min(f64::MIN_POSITIVE)?;
        let of_rows = Tensor::f_from_slice(weights)?.f_view([-1, 1])?.f_mul(&sums)?; // (N, 1)
        let total = of_rows.f_sum(Kind::Double)?.f_double_value(&[])?.max(f64::MIN_POSITIVE);
        Ok(Self {
            features: features.f_to_kind(Kind::Double)?.f_contiguous()?,
            targets: weighted.f_div(&sums)?,
            weights: of_rows.f_div_scalar(total)?,
            total,
        })
    }

    /// L of a layer without a penalty.
    ///
    /// # Errors
    /// `OutOfMemory` or `Torch` from libtorch.
    pub fn loss_of(&self, layer: &Linear) -> Result<f64> {
        let _no_grad = tch::no_grad_guard();
        let logs = layer.logits(&self.features)?.f_log_softmax(1, Kind::Double)?;
        Ok(-self.targets.f_mul(&logs)?.f_mul(&self.weights)?.f_sum(Kind::Double)?.f_double_value(&[])?)
    }

    /// The layer that minimises L for λ = `penalty`, from `start` (zeros where there is none), and whether `stop` ended the
    /// search early.
    ///
    /// # Errors
    /// `Cancelled` where `stop` says so before the first step; `OutOfMemory` or `Torch` from libtorch.
    pub fn solve(
        &self,
        penalty: f64,
        start: Option<&Linear>,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<(Linear, bool)> {
        let _no_grad = tch::no_grad_guard();
        let (dim, classes) = (self.features.size()[1], self.targets.size()[1]);
        let begin = match start {
            Some(start) => numbers(&Tensor::f_cat(&[start.weight.f_flatten(0, -1)?, start.bias.shallow_clone()], 0)?)?,
            None => filled(0.0, ((dim + 1) * classes) as usize, "numbers of a classifier")?,
        };
        let found = minimise(begin, Limits::default(), |point| {
            if stop() {
                return Ok(None);
            }
            self.loss(point, penalty / self.total).map(Some)
        })?;
        Ok((layer(&found.point, classes, dim)?, found.stopped))
    }

    /// L and its gradient at W and b, one after the other.
    fn loss(&self, point: &[f64], penalty: f64) -> Result<(f64, Vec<f64>)> {
        let (dim, classes) = (self.features.size()[1], self.targets.size()[1]);
        let Linear { weight, bias } = layer(point, classes, dim)?;
        let logits = self.features.f_matmul(&weight.f_tr()?)?.f_add(&bias)?; // (N, K)
        let logs = logits.f_log_softmax(1, Kind::Double)?;
        let loss = self.targets.f_mul(&logs)?.f_mul(&self.weights)?.f_sum(Kind::Double)?.f_neg()?;
        let square = weight.f_mul(&weight)?.f_sum(Kind::Double)?.f_double_value(&[])?;
        let errors = logs.f_exp()?.f_sub(&self.targets)?.f_mul(&self.weights)?; // ∂L/∂z, (N, K)
        let of_weight = errors.f_tr()?.f_matmul(&self.features)?.f_add(&weight.f_mul_scalar(penalty)?)?;
        let of_bias = errors.f_sum_dim_intlist([0i64].as_slice(), false, Kind::Double)?;
        let gradient = Tensor::f_cat(&[of_weight.f_flatten(0, -1)?, of_bias], 0)?;
        Ok((loss.f_double_value(&[])? + 0.5 * penalty * square, numbers(&gradient)?))
    }
}

impl Linear {
    /// Logits (N, K), float64, of features (N, d).
    pub fn logits(&self, features: &Tensor) -> Result<Tensor> {
        Ok(features.f_to_kind(Kind::Double)?.f_matmul(&self.weight.f_tr()?)?.f_add(&self.bias)?)
    }

    /// The layer on features as they are that equals this one on scaled features: W/σ and b − W·μ/σ.
    pub fn unscaled(&self, scale: &Scale) -> Result<Linear> {
        let weight = self.weight.f_div(&scale.deviation)?;
        let bias = self.bias.f_sub(&weight.f_mv(&scale.mean)?)?;
        Ok(Linear { weight, bias })
    }

    /// The inverse of [`unscaled`](Linear::unscaled).
    pub fn scaled(&self, scale: &Scale) -> Result<Linear> {
        let bias = self.bias.f_add(&self.weight.f_mv(&scale.mean)?)?;
        Ok(Linear { weight: self.weight.f_mul(&scale.deviation)?, bias })
    }
}

fn layer(point: &[f64], classes: i64, dim: i64) -> Result<Linear> {
    let all = Tensor::f_from_slice(point)?;
    let weight = all.f_narrow(0, 0, classes * dim)?.f_view([classes, dim])?;
    Ok(Linear { weight, bias: all.f_narrow(0, classes * dim, classes)? })
}

/// The elements of a tensor, row by row.
pub(super) fn numbers(tensor: &Tensor) -> Result<Vec<f64>> {
    torch::numbers(tensor, "numbers of a classifier")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaling_can_be_taken_back() {
        let features = Tensor::from_slice(&[1.0f64, 5.0, 7.0, 2.0, 5.0, -3.0, 4.0, 5.0, 0.5]).view([3, 3]);
        let scale = Scale::of(&features).unwrap();
        let scaled = scale.apply(&features).unwrap();
        assert_eq!(scaled.double_value(&[0, 1]), 0.0, "a constant feature becomes 0, not infinite");
        let layer = Linear {
            weight: Tensor::from_slice(&[1.0f64, 2.0, 3.0, -1.0, 0.0, 2.0]).view([2, 3]),
            bias: Tensor::from_slice(&[0.5f64, -0.5]),
        };
        let (there, back) = (layer.unscaled(&scale).unwrap(), layer.unscaled(&scale).unwrap().scaled(&scale).unwrap());
        let apart = (layer.logits(&scaled).unwrap() - there.logits(&features).unwrap()).abs().max().double_value(&[]);
        assert!(apart < 1e-12, "{apart}");
        assert!((back.weight - layer.weight).abs().max().double_value(&[]) < 1e-12);
        assert!((back.bias - layer.bias).abs().max().double_value(&[]) < 1e-12);
    }

    #[test]
    fn balanced_weights_sum_to_the_images() {
        let weights = class_weights(&[0, 0, 0, 2], 3, true);
        assert_eq!(weights, [4.0 / 6.0, 0.0, 2.0]);
        assert_eq!(class_weights(&[0, 0, 0, 2], 3, false), [1.0; 3]);
    }

    #[test]
    fn the_gradient_is_that_of_autograd() {
        let features = Tensor::from_slice(&[0.3f64, -1.0, 2.0, 0.7, 0.1, 0.9, -0.4, 1.3]).view([4, 2]);
        let problem = Problem::new(&features, &[0, 2, 1, 2], &[1.0, 2.0, 0.5], 0.1).unwrap();
        let point = [0.1, -0.2, 0.4, 0.3, -0.5, 0.2, 0.05, -0.1, 0.2];
        let (value, gradient) = problem.loss(&point, 0.3).unwrap();
        let all = Tensor::from_slice(&point).set_requires_grad(true);
        let (weight, bias) = (all.narrow(0, 0, 6).view([3, 2]), all.narrow(0, 6, 3));
        let logits = features.matmul(&weight.tr()) + &bias;
        // torch's own cross-entropy with soft targets, a row at a time.
        let rows: Vec<Tensor> = (0..4)
            .map(|i| {
                let target = problem.targets.narrow(0, i, 1);
                logits.narrow(0, i, 1).cross_entropy_loss::<Tensor>(&target, None, tch::Reduction::Sum, -100, 0.0)
            })
            .collect();
        let loss = (Tensor::stack(&rows, 0) * problem.weights.view([-1])).sum(Kind::Double)
            + (&weight * &weight).sum(Kind::Double) * 0.15;
        loss.backward();
        assert!((loss.double_value(&[]) - value).abs() < 1e-12);
        let apart = (all.grad() - Tensor::from_slice(&gradient)).abs().max().double_value(&[]);
        assert!(apart < 1e-12, "{apart}");
    }
}
