//! What fine-tuning tells while it works.

use serde::Serialize;

/// What is being done. The values are those of the C ABI and never renumbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[repr(i32)]
pub enum Stage {
    /// The backbone embeds the labelled images; counted in images.
    Embedding = 0,
    /// The linear classifier is fitted; counted in values of the penalty.
    Linear = 1,
    /// All layers learn; counted in steps.
    Full = 2,
    /// A linear classifier learns by SGD on frozen features; counted in steps.
    Sgd = 3,
    /// What has learned is tested; counted in images.
    Test = 4,
}

/// One report.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct FinetuneProgress {
    /// What is being done.
    pub stage: Stage,
    /// How much of it is done.
    pub done: u64,
    /// How much there is to do at most.
    pub total: u64,
    /// Passes over the images so far (full, SGD).
    pub epoch: u64,
    /// Mean loss since the report before (full, SGD); NaN where there is none.
    pub loss: f64,
    /// Calibrated loss on the held-out images, the last that was measured; NaN where there is none.
    pub held_out_loss: f64,
    /// Share of the held-out images that got their class then; NaN where there is none.
    pub held_out_accuracy: f64,
    /// Estimated time to the end of this stage at its rate so far, in seconds.
    pub eta_seconds: f64,
    /// Time since the call began, in seconds.
    pub elapsed_seconds: f64,
}
