//! The file around a graph.

use prost::Message;

use super::proto::{Entry, Graph, Model, OperatorSet};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::memory::room;

/// Version of the file format: ONNX 1.12, which reads it together with [`OPERATORS`].
const FORMAT_VERSION: i64 = 8;
/// Version of the operators, which ONNX Runtime reads since 1.12.
const OPERATORS: i64 = 17;

/// Bytes that a protobuf message must stay below.
pub const LARGEST: usize = i32::MAX as usize;

/// What is said of a file that would be larger.
pub fn too_large() -> Error {
    Error::new(
        ErrorKind::Unsupported,
        "the weights are 2 GB or more, which an ONNX file cannot hold; a student can be exported as TorchScript or safetensors",
    )
}

/// A file's contents: the graph with the versions that it is to be read by, and `texts` as its metadata.
pub fn model<'a>(graph: Graph, texts: impl IntoIterator<Item = (&'a String, &'a String)>) -> Model {
    Model {
        ir_version: FORMAT_VERSION,
        producer_name: "libseed".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        graph: Some(graph),
        opset_import: vec![OperatorSet { domain: Some(String::new()), version: OPERATORS }],
        metadata_props: texts
            .into_iter()
            .map(|(key, value)| Entry { key: key.clone(), value: value.clone() })
            .collect(),
    }
}

/// A file's bytes.
///
/// # Errors
/// `Unsupported` for 2 GB and more; `OutOfMemory`.
pub fn encoded(model: &Model) -> Result<Vec<u8>> {
    let length = model.encoded_len();
    if length > LARGEST {
        return Err(too_large());
    }
    let mut bytes = room(length, "an ONNX model")?;
    model.encode(&mut bytes).map_err(|error| Error::internal("an ONNX model", error))?;
    Ok(bytes)
}
