//! Exact percentiles of the samples of frames, in bounded memory whatever their number.
//!
//! Every sample has a key of 32 bits that is in the order of the numbers. A first look counts the upper halves of the keys, which are the
//! samples themselves of up to 16 bits; for floats a second one counts the lower halves of those two upper halves that matter.

use super::raw::RawFrame;
use crate::error::{Error, Result};
use crate::sys::memory::filled;

/// Values of half a key.
const HALVES: usize = 1 << 16;

/// The two percentiles, 0 to 100, of all samples of the frames that `each` shows, once or, where they are floats, twice; none where it
/// shows none. The p-th percentile is the smallest sample that at least p % of all do not exceed.
///
/// # Errors
/// `InvalidArgument` where frames have different bits, `OutOfMemory`, and what `each` ends with.
pub(super) fn percentiles(
    [low, high]: [f64; 2],
    mut each: impl FnMut(&mut dyn FnMut(&RawFrame) -> Result<()>) -> Result<()>,
) -> Result<Option<(f64, f64)>> {
    let mut upper = Counts::new()?;
    let mut bits = None;
    each(&mut |frame| {
        let first = *bits.get_or_insert(frame.bits());
        if frame.bits() != first {
            return Err(Error::invalid(format!(
                "one frame has {first} bits a sample, another {}: percentiles over both mean nothing; give the range as \
                 \"fixed\", or frames of one depth",
                frame.bits()
            )));
        }
        keys(frame, |key| upper.add(key >> 16));
        Ok(())
    })?;
    let Some(bits) = bits else { return Ok(None) };
    let found = [low, high].map(|percentile| upper.at(upper.rank(percentile)));
    if bits <= 16 {
        return Ok(Some((f64::from(found[0].0), f64::from(found[1].0))));
    }
    let mut lower = [Counts::new()?, Counts::new()?];
    each(&mut |frame| {
        keys(frame, |key| {
            for (counts, (half, _)) in lower.iter_mut().zip(found) {
                if key >> 16 == half {
                    counts.add(key & 0xFFFF);
                }
            }
        });
        Ok(())
    })?;
    let [low, high] = [0, 1].map(|i| {
        let (half, behind) = found[i];
        number(half << 16 | lower[i].at(behind).0)
    });
    Ok(Some((low, high)))
}

/// How often each half of a key was seen.
struct Counts {
    counts: Vec<u64>,
    total: u64,
}

impl Counts {
    fn new() -> Result<Self> {
        Ok(Self { counts: filled(0u64, HALVES, "a histogram")?, total: 0 })
    }

    fn add(&mut self, half: u32) {
        self.counts[half as usize] += 1;
        self.total += 1;
    }

    /// The rank of a percentile, from 0.
    fn rank(&self, percentile: f64) -> u64 {
        let rank = (percentile / 100.0 * self.total as f64).ceil() as u64;
        rank.clamp(1, self.total.max(1)) - 1
    }

    /// The half at `rank`, and the rank among those of the same half.
    fn at(&self, rank: u64) -> (u32, u64) {
        let mut before = 0;
        for (half, &count) in self.counts.iter().enumerate() {
            if rank < before + count {
                return (half as u32, rank - before);
            }
            before += count;
        }
        // A frame that went between two looks: the largest that is left.
        (self.counts.iter().rposition(|&count| count > 0).unwrap_or(0) as u32, 0)
    }
}

/// Shows the key of each sample.
fn keys(frame: &RawFrame, mut look: impl FnMut(u32)) {
    match frame.bits() {
        8 => frame.bytes().iter().for_each(|&sample| look(u32::from(sample) << 16)),
        32 => frame.bytes().as_chunks().0.iter().for_each(|&sample| look(key(f32::from_ne_bytes(sample)))),
        _ => frame.bytes().as_chunks().0.iter().for_each(|&sample| look(u32::from(u16::from_ne_bytes(sample)) << 16)),
    }
}

/// A number in the order of finite floats: negative ones are turned round and put below the others.
fn key(float: f32) -> u32 {
    let bits = float.to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

/// The float with this key.
fn number(key: u32) -> f64 {
    f64::from(f32::from_bits(if key >> 31 == 1 { key & !(1 << 31) } else { !key }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{FrameView, PixelFormat};

    fn floats(samples: &[f32]) -> RawFrame {
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_ne_bytes()).collect();
        let view = FrameView::new(&bytes, samples.len() as u32, 1, bytes.len(), PixelFormat::MonoF32).unwrap();
        RawFrame::copy_of(&view, Vec::new()).unwrap()
    }

    #[test]
    fn percentiles_of_floats_are_those_of_the_sorted_samples() {
        let samples: Vec<f32> = (0..5000u32)
            .map(|i| f32::from_bits(i.wrapping_mul(2_654_435_761)))
            .map(|sample| if sample.is_finite() { sample } else { 0.5 })
            .collect();
        let mut sorted = samples.clone();
        sorted.sort_by(f32::total_cmp);
        let frames = [floats(&samples[..1234]), floats(&samples[1234..])];
        for percentile in [0.0, 0.02, 1.0, 37.5, 50.0, 99.9, 100.0] {
            let rank = ((percentile / 100.0 * 5000.0_f64).ceil() as usize).max(1) - 1;
            let found =
                percentiles([percentile, 100.0], |look| frames.iter().try_for_each(&mut *look)).unwrap().unwrap();
            assert_eq!(found, (f64::from(sorted[rank]), f64::from(sorted[4999])), "{percentile}");
        }
        assert_eq!(percentiles([1.0, 99.0], |_| Ok(())).unwrap(), None);
    }

    #[test]
    fn frames_of_two_depths_have_no_percentiles() {
        let byte = RawFrame::copy_of(&FrameView::new(&[7], 1, 1, 1, PixelFormat::Mono8).unwrap(), Vec::new()).unwrap();
        let frames = [byte, floats(&[1.0])];
        let refused = percentiles([0.0, 100.0], |look| frames.iter().try_for_each(&mut *look)).unwrap_err();
        assert!(refused.message().contains("8 bits a sample, another 32"), "{refused}");
    }
}
