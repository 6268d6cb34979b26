//! The settings of a run's probe, under keys that begin with "probe.": the frames that tell whether the student learns.

use serde::{Deserialize, Serialize};

use super::Slot;

/// How a run looks at its student.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProbeConfig {
    /// Frames on which the student is compared with its teacher. 0: no probe. A data set with at least ten times as many images holds them
    /// out of training; a smaller one trains on them too, since no label is involved.
    pub images: u64,
    /// Share of the run between two comparisons; there is always one at the start and one at the end.
    pub every: f64,
    /// 1: the run ends with the student that agreed best with its teacher in any comparison. 0: it ends with the last one.
    pub keep_best: u64,
}

impl Default for ProbeConfig {
    fn default() -> Self {
        Self { images: 256, every: 0.05, keep_best: 1 }
    }
}

pub(super) const KEYS: &[(&str, Slot)] = &[
    ("probe.images", Slot::Int(|c| &mut c.probe.images, 0, 65_536)),
    ("probe.every", Slot::Float(|c| &mut c.probe.every, 0.001, 1.0)),
    ("probe.keep_best", Slot::Int(|c| &mut c.probe.keep_best, 0, 1)),
];
