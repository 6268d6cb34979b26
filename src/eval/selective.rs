//! The reject option: below a threshold of confidence the answer is "unsure".
//!
//! coverage(θ) = share of images with confidence ≥ θ, risk(θ) = share of errors among them (Geifman & El-Yaniv, "Selective
//! classification for deep neural networks", NeurIPS 2017). θ is chosen on images that were not trained on.
//!
//! ```
//! use seed::eval::selective::{of_risk, selected};
//! let (confidence, correct) = ([0.9, 0.8, 0.6, 0.5], [true, true, false, true]);
//! let threshold = of_risk(&confidence, &correct, 0.0);
//! let answered = selected(&confidence, &correct, threshold);
//! assert_eq!((answered.coverage, answered.risk), (0.5, 0.0));
//! ```

use serde::{Deserialize, Serialize};

/// What a threshold costs and brings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Selected {
    /// Share of images that are answered, 0 to 1.
    pub coverage: f64,
    /// Share of errors among them; 0 where none is answered.
    pub risk: f64,
    /// Upper end of the one-sided 95 % confidence interval of the risk (Clopper & Pearson, 1934); 1 where none is answered.
    /// For a threshold that was chosen on the same images it is a guide, not a guarantee.
    pub risk_bound: f64,
}

/// Coverage and risk of `threshold`.
pub fn selected(confidence: &[f64], correct: &[bool], threshold: f64) -> Selected {
    let answered: Vec<bool> =
        confidence.iter().zip(correct).filter(|&(&c, _)| c >= threshold).map(|(_, &hit)| hit).collect();
    let errors = answered.iter().filter(|&&hit| !hit).count();
    Selected {
        coverage: answered.len() as f64 / confidence.len().max(1) as f64,
        risk: errors as f64 / answered.len().max(1) as f64,
        risk_bound: clopper_pearson(errors, answered.len(), 0.05),
    }
}

/// The highest threshold that still answers at least the share `coverage` of the images.
pub fn of_coverage(confidence: &[f64], coverage: f64) -> f64 {
    let mut sorted = confidence.to_vec();
    sorted.sort_unstable_by(|a, b| b.total_cmp(a));
    let wanted = (coverage.clamp(0.0, 1.0) * sorted.len() as f64).ceil() as usize;
    match wanted {
        0 => sorted.first().map_or(0.0, |highest| highest.next_up()),
        wanted => sorted.get(wanted - 1).copied().unwrap_or(0.0),
    }
}

/// The threshold that answers the most images while at most the share `risk` of the answers is wrong. Where even the
/// surest answers are wrong too often, it lies just above all confidences: nothing is answered.
pub fn of_risk(confidence: &[f64], correct: &[bool], risk: f64) -> f64 {
    let mut order: Vec<usize> = (0..confidence.len().min(correct.len())).collect();
    order.sort_unstable_by(|&a, &b| confidence[b].total_cmp(&confidence[a]).then(a.cmp(&b)));
    let mut best = order.first().map_or(0.0, |&first| confidence[first].next_up());
    let mut errors = 0usize;
    for (place, &image) in order.iter().enumerate() {
        errors += usize::from(!correct[image]);
        // Equal confidences are answered together or not at all.
        let last = order.get(place + 1).is_none_or(|&next| confidence[next] < confidence[image]);
        if last && errors as f64 <= risk * (place + 1) as f64 {
            best = confidence[image];
        }
    }
    best
}

/// p for which `errors` or fewer of `count` have the probability `alpha`.
fn clopper_pearson(errors: usize, count: usize, alpha: f64) -> f64 {
    if errors >= count {
        return 1.0;
    }
    let at_most = |p: f64| -> f64 {
        // Terms of the binomial distribution in logarithms, each from the one before.
        let (log_p, log_q) = (p.ln(), (-p).ln_1p());
        let mut log_term = count as f64 * log_q;
        let mut sum = log_term.exp();
        for k in 0..errors {
            log_term += ((count - k) as f64).ln() - ((k + 1) as f64).ln() + log_p - log_q;
            sum += log_term.exp();
        }
        sum
    };
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if at_most(middle) > alpha {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coverage_is_reached_and_ties_go_together() {
        let confidence = [0.5, 0.9, 0.7, 0.7];
        assert_eq!(of_coverage(&confidence, 1.0), 0.5);
        assert_eq!(of_coverage(&confidence, 0.5), 0.7);
        assert!(of_coverage(&confidence, 0.0) > 0.9);
        let hits = [true, true, false, true];
        assert_eq!(selected(&confidence, &hits, 0.7).coverage, 0.75);
        assert!(of_risk(&confidence, &hits, 0.4) == 0.5);
        assert_eq!(of_risk(&confidence, &hits, 0.1), 0.9, "both at .7 or none");
        assert!(of_risk(&[0.9, 0.8], &[false, true], 0.1) > 0.9);
    }

    #[test]
    fn the_bound_is_the_beta_quantile() {
        // scipy.stats.beta.ppf(.95, errors + 1, count − errors)
        for (errors, count, expected) in
            [(0, 10, 0.2588655509), (1, 20, 0.2161061642), (5, 100, 0.1022533776), (30, 200, 0.1979106917)]
        {
            let found = clopper_pearson(errors, count, 0.05);
            assert!((found - expected).abs() < 1e-8, "{errors} of {count}: {found}, expected {expected}");
        }
        assert_eq!(clopper_pearson(0, 0, 0.05), 1.0);
    }
}
