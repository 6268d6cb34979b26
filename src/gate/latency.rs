//! Whether a new student is slower than the old one, measured on a machine that does other things as well.
//!
//! ```text
//! pair i      old and new embed frame i three times each, in turn; a coin says who begins; t = the fastest of three
//! r_i         t_new/t_old                    a look: n pairs, each session's times under the same load
//! interval    [r_(k), r_(n+1−k)], k the largest with P(Bin(n, ½) < k) ≤ 2.5 %: of the median, whatever the distribution
//! holds       the median of a look ≤ factor
//! slower      the interval of two looks lies above factor
//! unclear     neither, after five looks
//! ```
//!
//! The interval is that of the sign test (Conover, "Practical Nonparametric Statistics", 1999, section 3.2). For a student against
//! itself the coin makes both orders of a pair equally likely, so r_i is above 1 as often as below, whatever the load does and however
//! its noise is correlated: for a refusal three quarters of the pairs must lie above the factor, twice. A mean or a median of each
//! session by itself has no such guard: what the machine does meanwhile hits them differently.

use rand_core::RngCore;

use super::{Criterion, GateConfig};
use crate::data::random::{Purpose, generator};
use crate::error::Result;
use crate::eval::bootstrap::Interval;

/// Embeddings of one frame by each session; the fastest counts, since a load can only add time.
const REPEATS: usize = 3;
/// Pairs of a look at least: with fewer than six there is no interval.
const FEWEST_PAIRS: usize = 8;
/// Looks after which it stays unclear.
const MOST_LOOKS: u64 = 5;
/// Looks that must show the new student to be slower before it is refused.
const LOOKS_TO_REFUSE: u64 = 2;

/// Who is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Old,
    New,
}

/// Times both sessions; `time` embeds frame number i by one of them and gives the milliseconds. Gives the criterion, and whether it
/// stayed unclear: it does not hold then, but nothing was shown either.
pub(super) fn compare(
    config: &GateConfig,
    time: &mut dyn FnMut(Side, usize) -> Result<f64>,
) -> Result<(Criterion, bool)> {
    let (factor, count) = (config.latency_factor, config.latency_frames.max(FEWEST_PAIRS));
    let mut shown_slower = 0;
    let mut number = 0;
    loop {
        let pairs = look(config.fidelity.seed, number, count, time)?;
        let mut ratios: Vec<f64> = pairs.iter().map(|[old, new]| new / old.max(f64::MIN_POSITIVE)).collect();
        let ratio = median_interval(&mut ratios);
        number += 1;
        shown_slower += u64::from(ratio.low > factor);
        let holds = ratio.value <= factor;
        let unclear = !holds && shown_slower < LOOKS_TO_REFUSE;
        if unclear && number < MOST_LOOKS {
            log::debug!("look {number} at the latency: new/old is {ratio:?}, the limit {factor}; looking again");
            continue;
        }
        let [old, new] = [0, 1].map(|side| {
            let mut times: Vec<f64> = pairs.iter().map(|pair| pair[side]).collect();
            median_interval(&mut times).value
        });
        let above = |ratio: f64| (ratio - 1.0) * old;
        let difference = Interval { value: above(ratio.value), low: above(ratio.low), high: above(ratio.high) };
        return Ok((Criterion { old, new, difference, limit: above(factor), holds }, unclear));
    }
}

/// The fastest times of both sessions, old then new, of `count` frames.
fn look(
    seed: u64,
    number: u64,
    count: usize,
    time: &mut dyn FnMut(Side, usize) -> Result<f64>,
) -> Result<Vec<[f64; 2]>> {
    // Epoch 0 of this purpose is that of the intervals.
    let mut coin = generator(seed, 1 + number, 0, Purpose::Resample);
    let mut pairs = Vec::with_capacity(count.min(1 << 16));
    for frame in 0..count {
        let mut fastest = [f64::INFINITY; 2];
        let order = match coin.next_u64() >> 63 {
            0 => [Side::Old, Side::New],
            _ => [Side::New, Side::Old],
        };
        for side in std::iter::repeat_n(order, REPEATS).flatten() {
            let place = &mut fastest[side as usize];
            *place = place.min(time(side, frame)?);
        }
        pairs.push(fastest);
    }
    Ok(pairs)
}

/// The median of `values`, at least six, with an interval that holds that of their distribution with at least 95 %; sorts them.
fn median_interval(values: &mut [f64]) -> Interval {
    values.sort_unstable_by(f64::total_cmp);
    let (n, k) = (values.len(), order_of(values.len()).max(1));
    let middle = |from: usize| values.get(from).copied().unwrap_or(f64::NAN);
    let value = 0.5 * (middle((n.max(1) - 1) / 2) + middle(n / 2));
    Interval { value, low: middle(k - 1), high: middle(n - k.min(n)) }
}

/// The largest k with P(Bin(n, ½) < k) ≤ 2.5 %; 0 where there is none.
fn order_of(n: usize) -> usize {
    let mut log_term = -(n as f64) * std::f64::consts::LN_2; // of P(Bin(n, ½) = 0)
    let (mut below, mut k) = (0.0, 0);
    while k < n {
        below += log_term.exp();
        if below > 0.025 {
            break;
        }
        log_term += ((n - k) as f64).ln() - ((k + 1) as f64).ln();
        k += 1;
    }
    k
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::random::unit;

    #[test]
    fn the_interval_is_that_of_the_binomial_distribution() {
        // max{k: scipy.stats.binom.cdf(k - 1, n, .5) <= .025}
        for (n, k) in SCIPY_ORDERS {
            assert_eq!(order_of(n), k, "{n}");
        }
        let mut values: Vec<f64> = (1..=24).rev().map(f64::from).collect();
        assert_eq!(median_interval(&mut values), Interval { value: 12.5, low: 7.0, high: 18.0 });
    }

    const SCIPY_ORDERS: [(usize, usize); 8] =
        [(5, 0), (6, 1), (8, 1), (9, 2), (24, 7), (50, 18), (200, 86), (5000, 2431)];

    /// A machine on which a frame takes `cost` ms undisturbed. While it is busy, most of the time by `share`, each frame is held up by
    /// whole time slices of others, and the load comes and goes in stretches.
    struct Machine {
        rng: rand_chacha::ChaCha8Rng,
        share: f64,
        busy: bool,
    }

    impl Machine {
        fn new(number: u64, share: f64) -> Self {
            Self { rng: generator(number, 0, 0, Purpose::Noise), share, busy: false }
        }

        fn time(&mut self, cost: f64) -> f64 {
            if unit(&mut self.rng) < 0.1 {
                self.busy = unit(&mut self.rng) < self.share;
            }
            let mut took = cost * (1.0 + 0.02 * unit(&mut self.rng));
            while self.busy && unit(&mut self.rng) < 0.6 {
                took += 4.0 * unit(&mut self.rng);
            }
            took
        }
    }

    /// How many of 2,000 comparisons hold, are refused, and stay unclear.
    fn outcomes(share: f64, old: f64, new: f64) -> [usize; 3] {
        let mut found = [0; 3];
        for number in 0..2000 {
            let mut machine = Machine::new(number, share);
            let mut config = GateConfig::default();
            config.fidelity.seed = number;
            let (criterion, unclear) =
                compare(&config, &mut |side, _| Ok(machine.time([old, new][side as usize]))).unwrap();
            assert!(!(criterion.holds && unclear) && criterion.difference.low <= criterion.difference.high);
            found[if criterion.holds { 0 } else { 1 + usize::from(unclear) }] += 1;
        }
        found
    }

    #[test]
    fn a_student_against_itself_is_never_refused_whatever_the_load() {
        for share in [0.0, 0.3, 0.7, 0.95, 1.0] {
            assert_eq!(outcomes(share, 3.0, 3.0), [2000, 0, 0], "{share}");
        }
    }

    #[test]
    fn one_that_takes_twice_as_long_is_refused_under_load_too() {
        for share in [0.0, 0.3, 0.7, 0.95] {
            let [holds, refused, unclear] = outcomes(share, 3.0, 6.0);
            assert!(holds == 0 && refused >= 1990, "{share}: {holds} hold, {refused} refused, {unclear} unclear");
        }
        // One that is faster, or slower by less than the limit, holds.
        assert_eq!(outcomes(0.7, 6.0, 3.0)[0], 2000);
        assert_eq!(outcomes(0.0, 3.0, 3.2)[0], 2000);
        assert_eq!(outcomes(0.0, 3.0, 3.5)[1], 2000);
    }

    #[test]
    fn the_same_session_drawn_twice_with_wild_noise_is_hardly_ever_refused() {
        // Each time is another power of ten: no statistic of the times themselves means anything, only the coin does.
        let mut found = [0; 3];
        for number in 0..5000 {
            let mut rng = generator(number, 0, 0, Purpose::Noise);
            let mut config = GateConfig::default();
            config.fidelity.seed = number;
            let (criterion, unclear) =
                compare(&config, &mut |_, _| Ok(10f64.powf(20.0 * unit(&mut rng) - 10.0))).unwrap();
            found[if criterion.holds { 0 } else { 1 + usize::from(unclear) }] += 1;
        }
        // Two looks of 1.1 % each, and a look that holds ends it: 5e-4 at most.
        assert!(found[1] <= 8, "{found:?}");
    }

    #[test]
    fn an_error_ends_it() {
        let mut calls = 0;
        let found = compare(&GateConfig::default(), &mut |_, _| {
            calls += 1;
            if calls < 10 { Ok(1.0) } else { Err(crate::Error::invalid("enough")) }
        });
        assert!(found.is_err() && calls == 10);
    }
}
