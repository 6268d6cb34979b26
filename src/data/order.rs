//! The order of images: which view of which one stands at each place of a stream of batches.

use std::ops::Range;
use std::sync::Arc;

use super::random::permutation;

/// Which view of which image stands at one place of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Number of the view: the second word of its randomness, generator(seed, view, index, View).
    pub view: u64,
    /// Number of the image that was asked for; a broken one is shown by another, with this slot's randomness.
    pub index: usize,
}

/// Which part of each batch is made, where several processes share a run: each makes as many images of it as the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Number of the part, from 0.
    pub part: u64,
    /// Number of parts, at least 1.
    pub of: u64,
}

impl Share {
    /// Whole batches.
    pub const ALL: Self = Self { part: 0, of: 1 };

    /// The number of the first sample of batch `step`, where the part has `batch` images.
    pub(super) fn first(self, step: u64, batch: usize) -> u64 {
        (step * self.of + self.part) * batch as u64
    }
}

/// An epoch and the permutation that it shows all images in.
pub(super) type Permuted = (u64, Vec<usize>);

/// Which image comes when.
pub(super) enum Order {
    /// Epoch after epoch, each in its own permutation. Epoch e shows view e, or view e mod `views` where that is above 0.
    /// With `kept` only these images come, `len` of them.
    Epochs { seed: u64, len: usize, views: u64, kept: Option<Arc<[usize]>> },
    /// Every image in order, under view 0, then under view 1, and so on for `views` times.
    Once { len: usize, views: u64 },
}

impl Order {
    /// Images of one pass.
    pub fn len(&self) -> usize {
        match self {
            Order::Epochs { len, .. } | Order::Once { len, .. } => *len,
        }
    }

    /// The views of the samples of these numbers, counted over all passes. `known` keeps the permutation of the last epoch seen.
    pub fn slots(&self, samples: Range<u64>, known: &mut Option<Permuted>) -> Vec<Slot> {
        match *self {
            Order::Once { len, views } => samples
                .take_while(|&n| n < (len as u64).saturating_mul(views))
                .map(|n| Slot { view: n / len as u64, index: (n % len as u64) as usize })
                .collect(),
            Order::Epochs { seed, len, views, ref kept } => samples
                .map(|n| {
                    let (epoch, place) = (n / len as u64, (n % len as u64) as usize);
                    if known.as_ref().is_none_or(|(last, _)| *last != epoch) {
                        *known = Some((epoch, permutation(seed, epoch, len)));
                    }
                    // Just set where it was not this epoch's, and `place` is below its length.
                    let view = if views == 0 { epoch } else { epoch % views };
                    let place = known.as_ref().map_or(0, |(_, images)| images[place]);
                    Slot { view, index: kept.as_ref().map_or(place, |kept| kept[place]) }
                })
                .collect(),
        }
    }
}
