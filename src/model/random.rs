//! Stopgap with the contract of `data::random`, which replaces this file at the merge: counter-based randomness, ChaCha8
//! keyed by four words, so that any draw can be replayed anywhere.

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

/// What a stream of random numbers is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Purpose {
    /// Initial parameters.
    Initialise = 3,
    /// Dropout and stochastic depth.
    Noise = 5,
}

/// The stream of the four words, which stand little endian in the cipher's 32-byte key.
pub(crate) fn generator(seed: u64, epoch: u64, index: u64, purpose: Purpose) -> ChaCha8Rng {
    let mut key = [0u8; 32];
    for (place, word) in key.chunks_exact_mut(8).zip([seed, epoch, index, purpose as u64]) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}
