//! What a checkpoint holds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::weights::StateDict;

/// The format's name and version; a reader refuses others.
pub const FORMAT: &str = "libseed.checkpoint.1";

/// The file that is written last and read first.
pub const MANIFEST: &str = "manifest.json";

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
}

impl Contents {
    /// The tensor files by name.
    pub fn files(&self) -> [(&'static str, &StateDict); 3] {
        [
            ("student.safetensors", &self.student),
            ("optimiser.safetensors", &self.optimiser),
            ("queue.safetensors", &self.queue),
        ]
    }
}
