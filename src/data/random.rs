//! Counter-based randomness: ChaCha8 keyed by (seed, epoch, index, purpose), so that any draw can be replayed anywhere.
//!
//! No generator is ever shared or carried along. Who needs random numbers names what they are for and gets a fresh
//! stream, which depends on nothing but the four words: not on threads, not on what was drawn before.
//!
//! ```
//! use rand_core::RngCore;
//! use seed::data::random::{Purpose, generator};
//! let draw = |index| generator(7, 0, index, Purpose::View).next_u64();
//! assert_eq!(draw(3), draw(3));
//! assert_ne!(draw(3), draw(4));
//! ```

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

/// What the numbers are for. The values are part of the key and are never renumbered: old runs must stay replayable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u64)]
pub enum Purpose {
    /// The permutation of an epoch (index 0).
    Order = 1,
    /// The augmentation of one image in one epoch.
    View = 2,
    /// Initial weights (index = number of the tensor).
    Initialise = 3,
    /// The first contents of the queue.
    Queue = 4,
    /// Dropout and stochastic depth.
    Noise = 5,
    /// Splits of a data set into parts.
    Split = 6,
    /// The priority of a frame in a store's reservoir (index = number of the frame among all that were seen).
    Reservoir = 7,
    /// Resampling for a confidence interval or a permutation test (index = number of the sample).
    Resample = 8,
    /// Whether a frame of a store is held out of all training (epoch 0), or learned once more (epoch = number of the night); index
    /// = number of the frame.
    HeldOut = 9,
    /// Which frames a run is probed on (index 0), fill its queue before the first step (index 1), and tell how its targets are standardised
    /// (index 2); which fit a head before the run (index 3).
    Probe = 10,
    /// What a strategy of distillation draws: its first prototypes (index 0), its linear layer (index 1), the start of k-means (index 2).
    Method = 11,
    /// The views of an image in a batch beside its first: epoch = 64 · number of the view + 1, 2, …
    Beside = 12,
    /// The order in which a momentum encoder sees a batch (seed = the step's noise).
    Shuffle = 13,
    /// The first weights of a linear probe by SGD.
    LinearProbe = 14,
    /// Which cells of a frame a segmenter learns from (index = number of the frame).
    Cells = 15,
    /// Which images of a step are mixed, and how much of each is seen (epoch = number of the step).
    Mixup = 16,
    /// Which tile of an image a pass of STFPM shows (epoch = number of the pass, from 1; index = number of the image).
    Tile = 17,
}

/// The stream of (seed, epoch, index, purpose): ChaCha8 whose 256-bit key is the four words, little endian.
pub fn generator(seed: u64, epoch: u64, index: u64, purpose: Purpose) -> ChaCha8Rng {
    let mut key = [0u8; 32];
    for (bytes, word) in key.chunks_exact_mut(8).zip([seed, epoch, index, purpose as u64]) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

/// A number in [0, 1) with 53 random bits; takes one `u64` from the stream.
pub fn unit(rng: &mut impl RngCore) -> f64 {
    (rng.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}

/// A number in [low, high), or `low` where both are equal; takes one `u64` from the stream.
pub fn between(rng: &mut impl RngCore, low: f64, high: f64) -> f64 {
    // Rounding may reach `high`, which the callers' ranges allow.
    low + (high - low) * unit(rng)
}

/// An unbiased whole number in 0..bound, or 0 where `bound` is 0. Draws again for the few values that would make it
/// uneven (Lemire 2019, "Fast random integer generation in an interval").
pub fn below(rng: &mut impl RngCore, bound: u64) -> u64 {
    if bound == 0 {
        return 0;
    }
    let uneven = bound.wrapping_neg() % bound;
    loop {
        let product = u128::from(rng.next_u64()) * u128::from(bound);
        if product as u64 >= uneven {
            return (product >> 64) as u64;
        }
    }
}

/// Fisher–Yates: every order of `items` is equally likely.
pub fn shuffle<T>(rng: &mut impl RngCore, items: &mut [T]) {
    for last in (1..items.len()).rev() {
        let chosen = below(rng, last as u64 + 1) as usize;
        items.swap(last, chosen);
    }
}

/// The order in which epoch `epoch` visits `len` images.
pub fn permutation(seed: u64, epoch: u64, len: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..len).collect();
    shuffle(&mut generator(seed, epoch, 0, Purpose::Order), &mut order);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_the_key_counts() {
        let first = |s, e, i, p| generator(s, e, i, p).next_u64();
        let base = first(1, 2, 3, Purpose::View);
        assert_eq!(base, first(1, 2, 3, Purpose::View));
        assert_ne!(base, first(2, 2, 3, Purpose::View));
        assert_ne!(base, first(1, 3, 3, Purpose::View));
        assert_ne!(base, first(1, 2, 4, Purpose::View));
        assert_ne!(base, first(1, 2, 3, Purpose::Order));
        // Words are not merely mixed together: swapping two gives another stream.
        assert_ne!(base, first(2, 1, 3, Purpose::View));
    }

    #[test]
    fn the_stream_never_changes_between_releases() {
        // From another implementation of ChaCha8: key 1, 2, 3, 2 as little-endian u64, counter and nonce 0.
        assert_eq!(generator(1, 2, 3, Purpose::View).next_u64(), 10524200955395800979);
    }

    #[test]
    fn below_is_even_and_in_range() {
        let mut rng = generator(0, 0, 0, Purpose::Split);
        let mut counts = [0u32; 7];
        for _ in 0..70_000 {
            counts[below(&mut rng, 7) as usize] += 1;
        }
        // 10,000 ± 5 standard deviations of 93.
        assert!(counts.iter().all(|&c| (9_535..=10_465).contains(&c)), "{counts:?}");
        assert_eq!(below(&mut rng, 1), 0);
        assert_eq!(below(&mut rng, 0), 0);
        assert!(below(&mut rng, u64::MAX) < u64::MAX);
    }

    #[test]
    fn unit_stays_in_its_interval() {
        let mut rng = generator(0, 0, 1, Purpose::Split);
        let draws: Vec<f64> = (0..20_000).map(|_| unit(&mut rng)).collect();
        assert!(draws.iter().all(|&u| (0.0..1.0).contains(&u)));
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        assert!((mean - 0.5).abs() < 0.011, "{mean}");
        assert_eq!(between(&mut rng, 0.25, 0.25), 0.25);
    }

    #[test]
    fn a_permutation_visits_everything_once_and_differs_by_epoch() {
        let mut order = permutation(5, 0, 100);
        assert_ne!(order, permutation(5, 1, 100));
        assert_eq!(order, permutation(5, 0, 100));
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
        assert!(permutation(5, 0, 0).is_empty());
    }
}
