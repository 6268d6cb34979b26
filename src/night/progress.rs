//! What a night tells while it works.

use serde::{Deserialize, Serialize};

/// What is being done, in this order. The values are those of the C ABI and never renumbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(i32)]
pub enum NightStage {
    /// The student learns; counted in steps.
    Distil = 1,
    /// A classifier is made; counted as fine-tuning counts.
    Finetune = 2,
    /// Both students and the teacher embed frames, and the gate judges; counted in images.
    Evaluate = 3,
    /// Files and session are exchanged.
    Swap = 4,
    /// The report and the line of the history are written.
    Report = 5,
}

impl NightStage {
    /// What comes after it; after the last, the last.
    pub(super) fn next(self) -> Self {
        match self {
            Self::Distil => Self::Finetune,
            Self::Finetune => Self::Evaluate,
            Self::Evaluate => Self::Swap,
            Self::Swap | Self::Report => Self::Report,
        }
    }
}

/// One report. At the beginning of each stage there is one with done and total 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct NightProgress {
    /// Number of the night, from 1 on.
    pub night: u64,
    /// What is being done.
    pub stage: NightStage,
    /// How much of it is done.
    pub done: u64,
    /// How much there is to do at most.
    pub total: u64,
    /// Mean loss since the report before, of the stages that learn; NaN where there is none.
    pub loss: f64,
    /// Images a second; 0 where nothing was measured.
    pub images_per_second: f64,
    /// Estimated time to the end of this stage at its rate so far, in seconds.
    pub eta_seconds: f64,
    /// Time since the call began, in seconds.
    pub elapsed_seconds: f64,
}
