//! L-BFGS for smooth convex functions of up to some million numbers (Liu & Nocedal, 1989; Nocedal & Wright, "Numerical
//! optimization", 2006, alg. 7.4 and 7.5).
//!
//! d = −H·∇f with H from the last [`PAIRS`] pairs s = xₙ₊₁ − xₙ, y = ∇fₙ₊₁ − ∇fₙ; then the step 1, ½, ¼, … that first
//! satisfies Armijo's f(x + αd) ≤ f(x) + 10⁻⁴·α·∇f·d. Convexity keeps s·y above 0, so no curvature is searched for.
//!
//! ```
//! use seed::optim::lbfgs::{Limits, minimise};
//! // (x − 3)² + 10·(y + 1)²
//! let found = minimise(vec![0.0, 0.0], Limits::default(), |p| {
//!     let (x, y) = (p[0] - 3.0, p[1] + 1.0);
//!     Ok(Some((x * x + 10.0 * y * y, vec![2.0 * x, 20.0 * y])))
//! })?;
//! assert!((found.point[0] - 3.0).abs() < 1e-6 && (found.point[1] + 1.0).abs() < 1e-6);
//! # Ok::<(), seed::Error>(())
//! ```

use std::collections::VecDeque;

use crate::sys::memory::collected;
use crate::{Error, ErrorKind, Result};

/// Pairs that the curvature is estimated from.
const PAIRS: usize = 10;

/// Halvings after which a step is given up: the gradient is lost in rounding by then.
const HALVINGS: usize = 40;

/// When it is enough.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most iterations.
    pub iterations: usize,
    /// Largest element of the gradient, in magnitude, that counts as zero.
    pub gradient: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { iterations: 500, gradient: 1e-7 }
    }
}

/// Where the search ended.
#[derive(Debug, Clone)]
pub struct Minimum {
    /// The best point.
    pub point: Vec<f64>,
    /// f there.
    pub value: f64,
    /// Iterations made.
    pub iterations: usize,
    /// Whether it was asked to stop before it was done.
    pub stopped: bool,
}

/// Minimises `f`, which gives value and gradient, or None to stop the search at the best point so far.
///
/// # Errors
/// Those of `f`; `InvalidArgument` where f is not finite at the start; `Cancelled` where it stops there.
pub fn minimise(
    start: Vec<f64>,
    limits: Limits,
    mut f: impl FnMut(&[f64]) -> Result<Option<(f64, Vec<f64>)>>,
) -> Result<Minimum> {
    let mut point = start;
    let Some((mut value, mut gradient)) = f(&point)? else {
        return Err(Error::new(ErrorKind::Cancelled, "the fit was stopped before its first step"));
    };
    if !value.is_finite() {
        return Err(Error::invalid(format!("the function is {value} at the start")));
    }
    let mut pairs: VecDeque<(Vec<f64>, Vec<f64>, f64)> = VecDeque::new(); // s, y, 1/(s·y)
    for iteration in 0..limits.iterations {
        if gradient.iter().all(|g| g.abs() <= limits.gradient) {
            return Ok(Minimum { point, value, iterations: iteration, stopped: false });
        }
        let direction = direction(&gradient, &pairs)?;
        let slope = dot(&gradient, &direction);
        // Without curvature yet, a step of length 1 at most.
        let mut step = if pairs.is_empty() { 1.0 / dot(&gradient, &gradient).sqrt().max(1.0) } else { 1.0 };
        let mut next = None;
        for _ in 0..HALVINGS {
            let candidate = vector(point.iter().zip(&direction).map(|(x, d)| x + step * d))?;
            let Some((new_value, new_gradient)) = f(&candidate)? else {
                return Ok(Minimum { point, value, iterations: iteration, stopped: true });
            };
            if new_value <= value + 1e-4 * step * slope {
                next = Some((candidate, new_value, new_gradient));
                break;
            }
            step *= 0.5;
        }
        let Some((new_point, new_value, new_gradient)) = next else {
            return Ok(Minimum { point, value, iterations: iteration, stopped: false });
        };
        let s = vector(new_point.iter().zip(&point).map(|(a, b)| a - b))?;
        let y = vector(new_gradient.iter().zip(&gradient).map(|(a, b)| a - b))?;
        let curvature = dot(&s, &y);
        if curvature > f64::EPSILON * dot(&y, &y) {
            if pairs.len() == PAIRS {
                pairs.pop_front();
            }
            pairs.push_back((s, y, 1.0 / curvature));
        }
        (point, value, gradient) = (new_point, new_value, new_gradient);
    }
    Ok(Minimum { point, value, iterations: limits.iterations, stopped: false })
}

/// −H·gradient by the two loops over the pairs.
fn direction(gradient: &[f64], pairs: &VecDeque<(Vec<f64>, Vec<f64>, f64)>) -> Result<Vec<f64>> {
    let mut q = vector(gradient.iter().map(|g| -g))?;
    let mut shares = Vec::with_capacity(pairs.len());
    for (s, y, rho) in pairs.iter().rev() {
        let share = rho * dot(s, &q);
        q.iter_mut().zip(y).for_each(|(q, y)| *q -= share * y);
        shares.push(share);
    }
    if let Some((_, y, rho)) = pairs.back() {
        // H₀ = (s·y / y·y)·I.
        let scale = 1.0 / (rho * dot(y, y));
        q.iter_mut().for_each(|q| *q *= scale);
    }
    for ((s, y, rho), share) in pairs.iter().zip(shares.iter().rev()) {
        let change = share - rho * dot(y, &q);
        q.iter_mut().zip(s).for_each(|(q, s)| *q += change * s);
    }
    Ok(q)
}

fn vector(numbers: impl ExactSizeIterator<Item = f64>) -> Result<Vec<f64>> {
    collected(numbers, "a search direction")
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// log(Σ exp) of 50 affine functions plus a small square: convex, not quadratic, badly scaled.
    fn awkward(p: &[f64]) -> (f64, Vec<f64>) {
        let row = |i: usize, j: usize| ((i * 7 + j * 13) as f64).sin() * 10f64.powi(j as i32 % 3);
        let z: Vec<f64> =
            (0..50).map(|i| p.iter().enumerate().map(|(j, x)| row(i, j) * x).sum::<f64>() + i as f64 * 0.1).collect();
        let top = z.iter().copied().fold(f64::MIN, f64::max);
        let weights: Vec<f64> = z.iter().map(|z| (z - top).exp()).collect();
        let sum: f64 = weights.iter().sum();
        let gradient = (0..p.len())
            .map(|j| weights.iter().enumerate().map(|(i, w)| w / sum * row(i, j)).sum::<f64>() + 1e-3 * p[j]);
        (top + sum.ln() + 0.5e-3 * dot(p, p), gradient.collect())
    }

    #[test]
    fn the_gradient_vanishes_at_the_minimum() {
        let found = minimise(vec![1.0; 9], Limits::default(), |p| Ok(Some(awkward(p)))).unwrap();
        assert!(found.iterations < 400 && !found.stopped, "{found:?}");
        assert!(awkward(&found.point).1.iter().all(|g| g.abs() < 1e-6), "{:?}", awkward(&found.point).1);
    }

    #[test]
    fn a_stop_keeps_the_best_point() {
        let mut calls = 0;
        let found = minimise(vec![1.0; 9], Limits::default(), |p| {
            calls += 1;
            Ok((calls < 6).then(|| awkward(p)))
        });
        let found = found.unwrap();
        assert!(found.stopped && found.value < awkward(&[1.0; 9]).0);
        let error = minimise(vec![0.0], Limits::default(), |_| Ok(None)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
    }
}
