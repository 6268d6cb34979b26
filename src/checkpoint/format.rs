//! What a checkpoint holds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::weights::StateDict;

/// The format's name and version; a reader refuses others.
pub const FORMAT: &str = "libseed.checkpoint.1";

/// The file that is written last and read first.
pub const MANIFEST: &str = "manifest.json";
/// The student's weights.
pub const STUDENT: &str = "student.safetensors";
/// The optimiser's state.
pub const OPTIMISER: &str = "optimiser.safetensors";
/// The queue.
pub const QUEUE: &str = "queue.safetensors";
/// The weights of the best student so far; absent where there is none but the last.
pub const BEST: &str = "best.safetensors";

/// Size and hash of one file of the folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 in lower-case hex.
    pub sha256: String,
}

/// Everything of a run that is not a tensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: String,
    /// Version of the library that wrote it.
    pub library: String,
    /// Steps made; the next step has this number.
    pub step: u64,
    /// Steps that the optimiser made.
    pub optimiser_steps: u64,
    /// Student architecture by name.
    pub architecture: String,
    /// The run's configuration, as JSON.
    pub config: serde_json::Value,
    /// Identity of the data set (names and sizes), empty when the application steps with its own batches.
    pub dataset: String,
    /// Identity of the teacher's weights, and whether its targets came through a bank.
    pub teacher: String,
    /// Queue pointer and rows filled.
    pub queue: (i64, i64),
    /// The last loss that was reported, which goes into the student's provenance.
    #[serde(default)]
    pub loss: Option<f64>,
    /// What the run's probe has found so far; null without one.
    #[serde(default)]
    pub probe: serde_json::Value,
    /// The other files.
    #[serde(default)]
    pub files: BTreeMap<String, FileRecord>,
}

/// A checkpoint in memory: the manifest and the tensors of each file.
#[derive(Debug)]
pub struct Contents {
    /// What is no tensor.
    pub manifest: Manifest,
    /// Student weights, parameters and buffers.
    pub student: StateDict,
    /// SGD velocities by parameter name.
    pub optimiser: StateDict,
    /// The queue (`QueueSnapshot::to_state`).
    pub queue: StateDict,
    /// Weights of the best student so far, where another than the last one is.
    pub best: Option<StateDict>,
}

impl Contents {
    /// The tensor files by name.
    pub fn files(&self) -> impl Iterator<Item = (&'static str, &StateDict)> {
        let always = [(STUDENT, &self.student), (OPTIMISER, &self.optimiser), (QUEUE, &self.queue)];
        always.into_iter().chain(self.best.as_ref().map(|best| (BEST, best)))
    }
}
