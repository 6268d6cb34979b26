//! Calibration: probabilities that mean what they say.
//!
//! ```text
//! p = softmax(z/T)      T = argmin over T > 0 of mean_i logsumexp_c(z_ic/T) − Σ_c q_ic·z_ic/T
//! q = (n + 1)/(n + 2) for the true class, the rest of 1 spread over the others, n images
//! ECE = Σ_bins (images in the bin / all) · |share of hits − mean confidence|
//! ```
//!
//! One number T, fitted on images that were not trained on (Guo et al., "On calibration of modern neural networks", ICML
//! 2017). The targets q are Platt's ("Probabilistic outputs for support vector machines", 1999): with one-hot ones, a few
//! images that are all right would make T vanish and every answer certain. The loss is convex in β = 1/T, so its derivative
//! mean_i Σ_c (p_ic − q_ic)·z_ic grows with β and is bisected.
//!
//! ```
//! use seed::eval::calibration::{fit_temperature, probabilities};
//! // Right three times of four, whatever the logits claim: 5/6 of .75 and 1/6 of .25.
//! let logits = [9.0, 0.0, 9.0, 0.0, 9.0, 0.0, 9.0, 0.0];
//! let temperature = fit_temperature(&logits, 2, &[0, 0, 0, 1])?;
//! assert!((probabilities(&logits, 2, temperature)[0] - 2.0 / 3.0).abs() < 1e-4);
//! # Ok::<(), seed::Error>(())
//! ```

use crate::error::{Error, Result};

/// The smallest temperature that is fitted.
pub const COLDEST: f64 = 1e-3;
/// The largest temperature that is fitted; logits that mislead would take infinity.
pub const HOTTEST: f64 = 1e3;

/// Bins of equal width that [`calibration_error`] sorts confidences into (Guo et al.: 15).
const BINS: usize = 15;

/// softmax(z/T) of each row of `logits` (N, classes): (N, classes).
pub fn probabilities(logits: &[f32], classes: usize, temperature: f64) -> Vec<f32> {
    let mut result = Vec::with_capacity(logits.len());
    for row in logits.chunks_exact(classes.max(1)) {
        let exponents = exponents(row, 1.0 / temperature);
        let sum: f64 = exponents.iter().sum();
        result.extend(exponents.iter().map(|exponent| (exponent / sum) as f32));
    }
    result
}

/// exp(β·z − max): between 0 and 1, one of them 1.
fn exponents(row: &[f32], beta: f64) -> Vec<f64> {
    let highest = row.iter().map(|&z| f64::from(z) * beta).fold(f64::NEG_INFINITY, f64::max);
    row.iter().map(|&z| (f64::from(z) * beta - highest).exp()).collect()
}

/// The mean negative logarithm of the true class's probability, in nats; `truth` has a class below `classes` for each
/// row of `logits` (N, classes).
///
/// # Errors
/// `InvalidArgument` where they do not fit together.
pub fn negative_log_likelihood(logits: &[f32], classes: usize, truth: &[usize], temperature: f64) -> Result<f64> {
    check(logits, classes, truth)?;
    let beta = 1.0 / temperature;
    let mut sum = 0.0;
    for (row, &truth) in logits.chunks_exact(classes).zip(truth) {
        let highest = row.iter().map(|&z| f64::from(z) * beta).fold(f64::NEG_INFINITY, f64::max);
        sum += highest + exponents(row, beta).iter().sum::<f64>().ln() - f64::from(row[truth]) * beta;
    }
    Ok(sum / truth.len() as f64)
}

/// T by which softmax(z/T) is nearest to the targets q of `truth`, between [`COLDEST`] and [`HOTTEST`].
///
/// # Errors
/// `InvalidArgument` where logits and truth do not fit together.
pub fn fit_temperature(logits: &[f32], classes: usize, truth: &[usize]) -> Result<f64> {
    check(logits, classes, truth)?;
    let doubt = 1.0 / (truth.len() as f64 + 2.0); // 1 − q of the true class
    let of_others = doubt / (classes as f64 - 1.0).max(1.0);
    let slope = |beta: f64| -> f64 {
        let of_row = |(row, &truth): (&[f32], &usize)| {
            let exponents = exponents(row, beta);
            let mean: f64 = exponents.iter().zip(row).map(|(e, &z)| e * f64::from(z)).sum::<f64>();
            let wanted = f64::from(row[truth]);
            let others: f64 = row.iter().map(|&z| f64::from(z)).sum::<f64>() - wanted;
            mean / exponents.iter().sum::<f64>() - (1.0 - doubt) * wanted - of_others * others
        };
        logits.chunks_exact(classes).zip(truth).map(of_row).sum()
    };
    let (mut low, mut high) = ((1.0 / HOTTEST).ln(), (1.0 / COLDEST).ln());
    if slope(low.exp()) >= 0.0 {
        return Ok(HOTTEST);
    }
    if slope(high.exp()) <= 0.0 {
        return Ok(COLDEST);
    }
    // 60 halvings of an interval of 14 in the logarithm leave less than a double resolves.
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if slope(middle.exp()) < 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok((-0.5 * (low + high)).exp())
}

/// The expected calibration error in 15 bins: how far confidences lie from the share of hits, 0 to 1. `confidence` is the
/// highest probability of each image, `correct` whether its class was right.
pub fn calibration_error(confidence: &[f64], correct: &[bool]) -> f64 {
    let mut bins = [(0.0f64, 0u64, 0u64); BINS];
    for (&confidence, &correct) in confidence.iter().zip(correct) {
        let bin = &mut bins[((confidence * BINS as f64).ceil() as usize).clamp(1, BINS) - 1];
        *bin = (bin.0 + confidence, bin.1 + u64::from(correct), bin.2 + 1);
    }
    let gap = |&(confidence, hits, _): &(f64, u64, u64)| (confidence - hits as f64).abs();
    bins.iter().map(gap).sum::<f64>() / confidence.len().max(1) as f64
}

fn check(logits: &[f32], classes: usize, truth: &[usize]) -> Result<()> {
    if classes == 0 || truth.is_empty() || truth.len().checked_mul(classes) != Some(logits.len()) {
        return Err(Error::invalid(format!(
            "{} logits for {} images of {classes} classes, expected at least one image",
            logits.len(),
            truth.len()
        )));
    }
    if let Some(class) = truth.iter().find(|&&class| class >= classes) {
        return Err(Error::invalid(format!("class {class} is out of bounds, there are {classes} classes")));
    }
    if logits.iter().any(|z| !z.is_finite()) {
        return Err(Error::invalid("logits are not all finite numbers"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_images_that_are_all_right_do_not_make_certain() {
        let logits = [5.0, 0.0, 0.0, 5.0];
        let temperature = fit_temperature(&logits, 2, &[0, 1]).unwrap();
        assert!((probabilities(&logits, 2, temperature)[0] - 0.75).abs() < 1e-5, "(2 + 1)/(2 + 2)");
        assert_eq!(fit_temperature(&logits, 2, &[1, 0]).unwrap(), HOTTEST, "misleading logits are worth nothing");
    }

    #[test]
    fn huge_logits_do_not_overflow() {
        let logits = [3e30, -3e30, 0.0, 1e30];
        assert!(probabilities(&logits, 2, 1.0).iter().all(|p| p.is_finite()));
        assert!(negative_log_likelihood(&logits, 2, &[1, 0], 1.0).unwrap().is_finite());
    }

    #[test]
    fn misfits_are_refused() {
        assert!(fit_temperature(&[1.0, 2.0], 2, &[2]).is_err());
        assert!(fit_temperature(&[1.0], 2, &[0]).is_err());
        assert!(fit_temperature(&[], 2, &[]).is_err());
        assert!(fit_temperature(&[f32::NAN, 0.0], 2, &[0]).is_err());
    }

    #[test]
    fn the_error_is_the_gap_between_confidence_and_hits() {
        let error = calibration_error(&[0.9, 0.9, 0.9, 0.9, 0.6, 0.6], &[true, true, true, false, true, true]);
        assert!((error - (4.0 * 0.15 + 2.0 * 0.4) / 6.0).abs() < 1e-12, "{error}");
    }
}
