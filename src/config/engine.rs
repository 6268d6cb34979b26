//! The settings of engines, under keys that begin with "engine".

use serde::{Deserialize, Serialize};

use super::{EngineName, Slot};

/// What sessions, classifiers and detectors run their networks by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EngineConfig {
    /// What runs a session's network: "libtorch"; "embedded", libseed's own engine; "onnxruntime", an ONNX Runtime installed on this machine; or
    /// "auto", the fastest of these as measured, among those that are there and give libtorch's float32 rows to a cosine of .9999. "auto" is not
    /// the default, so that numbers do not depend on the machine.
    pub name: EngineName,
    /// ONNX Runtime's libonnxruntime.so, or the folder that contains it; empty: the one named by the environment variable SEED_ONNXRUNTIME,
    /// else one beside libseed, else the loader's.
    pub library: String,
    /// Execution providers for ONNX Runtime, the most wanted first, separated by commas: "cpu", "cuda", "tensorrt", "openvino", "directml";
    /// empty: "cpu". The library must have been built with them.
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
