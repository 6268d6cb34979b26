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

/// The lowest threshold from `threshold` on at which the answers are shown to be right more often than wrong: the upper end of the
/// one-sided 95 % interval of their risk is at most one half. None where there is no such threshold, as for fewer than five images.
pub fn shown_right(confidence: &[f64], correct: &[bool], threshold: f64) -> Option<f64> {
    let mut order: Vec<usize> =
        (0..confidence.len().min(correct.len())).filter(|&i| confidence[i] >= threshold).collect();
    order.sort_unstable_by(|&a, &b| confidence[b].total_cmp(&confidence[a]).then(a.cmp(&b)));
    let (mut best, mut errors) = (None, 0usize);
    for (place, &image) in order.iter().enumerate() {
        errors += usize::from(!correct[image]);
        let last = order.get(place + 1).is_none_or(|&next| confidence[next] < confidence[image]);
        if last && clopper_pearson(errors, place + 1, 0.05) <= 0.5 {
            best = Some(confidence[image]);
        }
    }
    // Where all are answered anyway, what was asked for stands.
    best.map(|found| if order.last().is_some_and(|&lowest| confidence[lowest] == found) { threshold } else { found })
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
    fn answers_are_sure_where_they_are_shown_to_be_right_more_often_than_wrong() {
        // scipy.stats.beta.ppf(.95, 1, 4) = .527, ppf(.95, 1, 5) = .451; ppf(.95, 11, 18) = .530, ppf(.95, 10, 18) = .509,
        // ppf(.95, 9, 18) = .487
        let confidence: Vec<f64> = (0..28).map(|i| 0.9 - 0.01 * f64::from(i)).collect();
        let with = |wrong: &[usize], count: usize| -> Option<f64> {
            let correct: Vec<bool> = (0..count).map(|i| !wrong.contains(&i)).collect();
            shown_right(&confidence[..count], &correct, 0.5)
        };
        assert_eq!((with(&[], 4), with(&[], 5)), (None, Some(0.5)));
        assert_eq!(
            with(&[20, 21, 22, 23, 24, 25, 26, 27], 28),
            Some(0.5),
            "8 of 28 wrong are shown to be below a half"
        );
        let ten: Vec<usize> = (18..28).collect();
        assert_eq!(with(&ten, 28), Some(confidence[25]), "10 of 28 and 9 of 27 are not, 8 of 26 are");
        assert_eq!(with(&(0..28).step_by(2).collect::<Vec<_>>(), 28), None, "every other one is wrong");
        assert_eq!(
            shown_right(&[0.9; 6], &[true, true, true, true, true, false], 0.95),
            None,
            "none is as sure as asked"
        );
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
