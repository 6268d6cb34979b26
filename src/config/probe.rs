//! The settings of a run's probe, under keys that begin with "probe.": the frames that tell whether the student learns.

use serde::{Deserialize, Serialize};

use super::Slot;

/// How a run looks at its student.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProbeConfig {
    /// Frames that the student is compared with its teacher on. 0: the run is not probed. From ten times as many images on, they
    /// are held out of the training; below that they are learned from too, since no label is involved.
    pub images: u64,
    /// Share of the run between two looks; there is one at the start and one at the end in any case.
    pub every: f64,
    /// 1: at the end the student is the best one of all looks, by its agreement with the teacher. 0: the last one.
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
