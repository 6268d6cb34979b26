//! How much of what a night takes.

use crate::gate::GateConfig;
use crate::{Error, Result};

/// Held-out frames without which students cannot be compared: one more than the neighbours of a small sample.
pub(super) const FEWEST: usize = 12;

/// Shares and limits of a night.
#[derive(Debug, Clone, PartialEq)]
pub struct NightOptions {
    /// New frames without which there is nothing to do, at least 1.
    pub min_new_frames: u64,
    /// Share of all frames that is held out of training, by the frame's number, and of each class's labelled frames that is
    /// the reference.
    pub held_out: f64,
    /// Most held-out frames that the students are compared on, the newest.
    pub max_compared: u64,
    /// Share of older frames among those that are distilled on, so that nothing is forgotten.
    pub replay: f64,
    /// Labelled frames that a class needs to be learned, at least 2.
    pub min_labels: u64,
    /// Images of the queue of the KL, the teacher's embeddings of frames that were distilled on.
    pub queue: u64,
    /// The gate. The temperatures are those of the distillation, whatever stands here; `fidelity.k` is lowered where there are few
    /// frames.
    pub gate: GateConfig,
}

impl Default for NightOptions {
    fn default() -> Self {
        Self {
            min_new_frames: 64,
            held_out: 0.2,
            max_compared: 500,
            replay: 0.5,
            min_labels: 5,
            queue: 512,
            gate: GateConfig { min_reference: 100, ..GateConfig::default() },
        }
    }
}

impl NightOptions {
    /// Refuses what no night can be made of.
    pub(super) fn check(&self) -> Result<()> {
        for (name, share, low, high) in [("held_out", self.held_out, 0.01, 0.9), ("replay", self.replay, 0.0, 0.95)] {
            if !(low..=high).contains(&share) {
                return Err(Error::invalid(format!("{name} is {share}, expected {low} to {high}")));
            }
        }
        for (name, count, low) in [
            ("min_new_frames", self.min_new_frames, 1),
            ("max_compared", self.max_compared, FEWEST as u64),
            ("min_labels", self.min_labels, 2),
            ("queue", self.queue, 1),
        ] {
            if !(low..=1 << 40).contains(&count) {
                return Err(Error::invalid(format!("{name} is {count}, expected {low} to 2^40")));
            }
        }
        Ok(())
    }
}
