//! What a checkpoint holds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::model::weights::StateDict;

/// The format's name and version; a reader refuses others.
pub const FORMAT: &str = "libseed.checkpoint.1";

/// The method whose checkpoints do not name it.
pub const SEED: &str = "seed";

/// The file that is written last and read first.
pub const MANIFEST: &str = "manifest.json";
/// What follows a part's name in its file's.
pub const ENDING: &str = ".safetensors";
/// The most parts of a checkpoint, and the longest name of one.
pub const MOST: usize = 64;

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
    /// The method of training; checkpoints of earlier versions are all of SEED and do not say so.
    #[serde(default = "seed")]
    pub method: String,
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

fn seed() -> String {
    SEED.to_owned()
}

/// A checkpoint in memory: the manifest, and tensors in parts by name, each a file. Which parts there are is the method's matter.
#[derive(Debug)]
pub struct Contents {
    /// What is no tensor.
    pub manifest: Manifest,
    /// Names are words of small letters, digits and underscores.
    pub parts: BTreeMap<String, StateDict>,
}

impl Contents {
    /// The part `name`.
    ///
    /// # Errors
    /// `Mismatch` where there is none.
    pub fn part(&self, name: &str) -> Result<&StateDict> {
        self.parts.get(name).ok_or_else(|| Error::mismatch(format!("the checkpoint has no part \"{name}\"")))
    }
}

/// The name of the part that lies in `file`; none where no part has such a file.
pub fn part_of(file: &str) -> Option<&str> {
    let name = file.strip_suffix(ENDING)?;
    let sound = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    ((1..=MOST).contains(&name.len()) && name.bytes().all(sound)).then_some(name)
}
