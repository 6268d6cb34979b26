//! The settings of engines, under keys that begin with "engine".

use serde::{Deserialize, Serialize};

use super::{EngineName, Slot};

/// What sessions, classifiers and detectors run their networks by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EngineConfig {
    /// What runs a session's network: "libtorch"; "onnxruntime", an ONNX Runtime that is on this machine; or "auto", the faster of the two
    /// by the clock, where ONNX Runtime is found and gives libtorch's float32 rows to a cosine of .9999. Not "auto" by default, so that
    /// numbers do not depend on what a machine has.
    pub name: EngineName,
    /// ONNX Runtime's libonnxruntime.so or the folder that it is in; empty: the one that the environment's SEED_ONNXRUNTIME names, else one
    /// beside libseed, else the loader's.
    pub library: String,
    /// Execution providers that ONNX Runtime is to compute by, the most wanted first, with commas between them: "cpu", "cuda", "tensorrt",
    /// "openvino", "directml"; empty: "cpu". The library must have been built with them.
    pub providers: String,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self { name: EngineName::Libtorch, library: String::new(), providers: String::new() }
    }
}

pub(super) const KEYS: &[(&str, Slot)] = &[
    ("engine", Slot::Word(|c| &mut c.engine.name)),
    ("engine.library", Slot::Text(|c| &mut c.engine.library)),
    ("engine.providers", Slot::Text(|c| &mut c.engine.providers)),
];
