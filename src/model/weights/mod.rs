//! Stub of the weight reader: only the types that `model` needs to compile. The reader replaces this file at the merge.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::{Error, ErrorKind, Result};

/// Element type of a tensor in a file.
#[allow(missing_docs)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostType {
    F32,
    F64,
    F16,
    BF16,
    I64,
    I32,
    I16,
    I8,
    U8,
    Bool,
}

/// A tensor in host memory, contiguous and little endian.
#[allow(missing_docs)]
#[derive(Debug, Clone, PartialEq)]
pub struct HostTensor {
    pub dtype: HostType,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

impl HostTensor {
    /// The tensor on the CPU with the same element type.
    pub fn to_tensor(&self) -> Result<tch::Tensor> {
        let kind = match self.dtype {
            HostType::F32 => tch::Kind::Float,
            HostType::F64 => tch::Kind::Double,
            HostType::F16 => tch::Kind::Half,
            HostType::BF16 => tch::Kind::BFloat16,
            HostType::I64 => tch::Kind::Int64,
            HostType::I32 => tch::Kind::Int,
            HostType::I16 => tch::Kind::Int16,
            HostType::I8 => tch::Kind::Int8,
            HostType::U8 => tch::Kind::Uint8,
            HostType::Bool => tch::Kind::Bool,
        };
        let size: Vec<i64> = self.shape.iter().map(|&side| side as i64).collect();
        if self.shape.iter().product::<usize>() * kind.elt_size_in_bytes() != self.bytes.len() {
            return Err(Error::new(ErrorKind::Format, "tensor bytes do not fit its shape"));
        }
        Ok(tch::Tensor::f_from_data_size(&self.bytes, &size, kind)?)
    }
}

/// Named tensors of a file and its metadata.
#[allow(missing_docs)]
#[derive(Debug, Clone, Default)]
pub struct StateDict {
    pub tensors: BTreeMap<String, HostTensor>,
    pub metadata: BTreeMap<String, String>,
}

/// Reads a file of weights.
pub fn read(path: &Path) -> Result<StateDict> {
    Err(Error::new(ErrorKind::Unsupported, format!("{}: the weight reader is not in this build", path.display())))
}
