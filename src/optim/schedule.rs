//! Cosine decay with linear warm-up, and the two falls of the linear protocol.
//!
//! Step n of N, W of them warm-up: lr(n) = base·(n+1)/W for n < W, then base·½(1 + cos(π·(n−W)/(N−W))).
//! (Loshchilov & Hutter, "SGDR", ICLR 2017, without restarts; SEED: base = .03·B/256 over 200 epochs.)
//!
//! ```
//! # use seed::optim::Cosine;
//! let schedule = Cosine { base: 0.03, warmup: 0, total: 100 };
//! assert_eq!(schedule.learning_rate(0), 0.03);
//! assert!(schedule.learning_rate(99) < 1e-4);
//! ```

/// A learning rate as a function of the step, so that a resumed run needs no state of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cosine {
    /// The highest learning rate.
    pub base: f64,
    /// Steps of linear rise, W.
    pub warmup: u64,
    /// Steps of the whole run, N.
    pub total: u64,
}

impl Cosine {
    /// The learning rate of step `step`, counted from 0; 0 after the last step.
    pub fn learning_rate(&self, step: u64) -> f64 {
        if step < self.warmup {
            return self.base * (step + 1) as f64 / self.warmup as f64;
        }
        let span = self.total.saturating_sub(self.warmup).max(1);
        let done = ((step - self.warmup) as f64 / span as f64).min(1.0);
        self.base * 0.5 * (1.0 + (std::f64::consts::PI * done).cos())
    }
}

/// A learning rate that falls to a tenth after three fifths of a run and again after four fifths: the linear protocol's, whose 100
/// epochs have it after 60 and 80 (He et al., "Momentum contrast", CVPR 2020, §4.1).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tenths {
    /// The highest learning rate.
    pub base: f64,
    /// Steps of the whole run.
    pub total: u64,
}

impl Tenths {
    /// The learning rate of step `step`, counted from 0.
    pub fn learning_rate(&self, step: u64) -> f64 {
        let fifths = u128::from(step) * 5;
        let after = |count: u128| fifths >= u128::from(self.total) * count;
        match (after(3), after(4)) {
            (_, true) => self.base * 0.01,
            (true, _) => self.base * 0.1,
            _ => self.base,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_then_falls() {
        let schedule = Cosine { base: 1.0, warmup: 4, total: 104 };
        let rates: Vec<f64> = (0..=104).map(|step| schedule.learning_rate(step)).collect();
        assert_eq!(&rates[..5], &[0.25, 0.5, 0.75, 1.0, 1.0]);
        assert!((rates[54] - 0.5).abs() < 1e-12, "half way down at half time");
        assert!(rates[4..].windows(2).all(|pair| pair[1] < pair[0]));
        assert_eq!(rates[104], 0.0);
    }

    #[test]
    fn tenths_fall_after_the_epochs_60_and_80_of_100() {
        // Seven steps an epoch.
        let schedule = Tenths { base: 30.0, total: 700 };
        let epoch = |epoch: u64| (schedule.learning_rate(7 * epoch), schedule.learning_rate(7 * epoch + 6));
        assert_eq!([epoch(0), epoch(59)], [(30.0, 30.0); 2]);
        assert_eq!([epoch(60), epoch(79)], [(3.0, 3.0); 2]);
        assert!([epoch(80), epoch(99)].iter().all(|&(a, b)| (a - 0.3).abs() < 1e-12 && a == b));
        assert!(Tenths { base: 1.0, total: u64::MAX }.learning_rate(u64::MAX - 1) < 0.011);
    }

    #[test]
    fn a_warmup_longer_than_the_run_is_harmless() {
        let schedule = Cosine { base: 1.0, warmup: 10, total: 5 };
        assert!((0..20).all(|step| schedule.learning_rate(step).is_finite()));
    }
}
