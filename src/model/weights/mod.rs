//! Named tensors in files: safetensors, and torch's `.pt`/`.pth` in the zip and the legacy format.
//!
//! A file is data. The pickles of torch checkpoints are read by a small machine ([`pickle`]) that knows how to rebuild
//! tensors and nothing else; what it does not know stays inert, and what would run code is refused by name.
//!
//! Nested dictionaries become dotted names: `{"state_dict": {"conv1.weight": …}}` gives `state_dict.conv1.weight`.

mod flatten;
mod pickle;
mod safetensors_file;
mod storage;
mod torch_legacy;
mod torch_zip;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use tch::{Device, Kind, Tensor};

pub use safetensors_file::write_safetensors;

use crate::error::{Error, ErrorKind, Result};

/// Element type of a tensor in a file.
#[allow(missing_docs)] // The variants' names say all.
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

/// Every element type with libtorch's.
const KINDS: [(HostType, Kind); 10] = [
    (HostType::F32, Kind::Float),
    (HostType::F64, Kind::Double),
    (HostType::F16, Kind::Half),
    (HostType::BF16, Kind::BFloat16),
    (HostType::I64, Kind::Int64),
    (HostType::I32, Kind::Int),
    (HostType::I16, Kind::Int16),
    (HostType::I8, Kind::Int8),
    (HostType::U8, Kind::Uint8),
    (HostType::Bool, Kind::Bool),
];

impl HostType {
    /// Bytes an element.
    pub fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::BF16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    fn kind(self) -> Kind {
        // The table lists every variant; float32 stands only for the compiler.
        KINDS.iter().find(|(own, _)| *own == self).map_or(Kind::Float, |(_, kind)| *kind)
    }
}

/// A tensor in host memory.
#[derive(Debug, Clone, PartialEq)]
pub struct HostTensor {
    /// Element type.
    pub dtype: HostType,
    /// Sides; none for a single number.
    pub shape: Vec<usize>,
    /// Elements in row-major order, little endian.
    pub bytes: Vec<u8>,
}

impl HostTensor {
    /// A copy on the CPU with the same element type.
    ///
    /// Errors: `Format` when shape and bytes do not fit.
    pub fn to_tensor(&self) -> Result<Tensor> {
        let needed = self.shape.iter().try_fold(self.dtype.size(), |bytes, &side| bytes.checked_mul(side));
        if needed != Some(self.bytes.len()) {
            return Err(Error::new(
                ErrorKind::Format,
                format!("a tensor of {:?} {:?} cannot have {} bytes", self.dtype, self.shape, self.bytes.len()),
            ));
        }
        let side = |&side: &usize| {
            i64::try_from(side).map_err(|_| Error::new(ErrorKind::Format, format!("a side of {side} is too long")))
        };
        let shape = self.shape.iter().map(side).collect::<Result<Vec<_>>>()?;
        Ok(Tensor::f_from_data_size(&self.bytes, &shape, self.dtype.kind())?)
    }

    /// A copy of `tensor`, from any device and with any strides.
    pub fn from_tensor(tensor: &Tensor) -> Result<Self> {
        let _no_grad = tch::no_grad_guard();
        let kind = tensor.f_kind()?;
        let dtype = KINDS.iter().find(|(_, theirs)| *theirs == kind).map(|(own, _)| *own);
        let dtype = dtype
            .ok_or_else(|| Error::new(ErrorKind::Unsupported, format!("a tensor of {kind:?} cannot be stored")))?;
        let tensor = tensor.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?;
        let shape = tensor.size().iter().map(|&side| usize::try_from(side).unwrap_or(0)).collect::<Vec<_>>();
        let numbers = shape.iter().product::<usize>();
        let mut bytes = vec![0; numbers * dtype.size()];
        if numbers > 0 {
            tensor.f_copy_data_u8(&mut bytes, numbers)?;
        }
        Ok(Self { dtype, shape, bytes })
    }
}

/// What a file of weights holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StateDict {
    /// By name.
    pub tensors: BTreeMap<String, HostTensor>,
    /// The texts beside them; a torch checkpoint has none.
    pub metadata: BTreeMap<String, String>,
}

/// Reads a file of weights in any of the formats; the first bytes tell which.
///
/// Errors: `Io` when it cannot be read; `Format` naming the file and the reason when it is damaged, hostile or unknown.
pub fn read(path: &Path) -> Result<StateDict> {
    let mut head = [0u8; 9];
    let length = {
        let mut file = File::open(path).map_err(|error| Error::io("open", path, &error))?;
        let is_file = file.metadata().map_err(|error| Error::io("read", path, &error))?.is_file();
        if !is_file {
            return Err(Error::format(path, "not a file; expected safetensors or a torch checkpoint"));
        }
        read_up_to(&mut file, &mut head).map_err(|error| Error::io("read", path, &error))?
    };
    match &head[..length] {
        [b'P', b'K', 3, 4, ..] => torch_zip::read(path),
        // Protocol 2 and later of pickle open with 0x80 and the protocol's number.
        [0x80, 2..=5, ..] => torch_legacy::read(path),
        [.., b'{'] if length == 9 => safetensors_file::read(path),
        _ => Err(Error::format(path, "neither safetensors nor a torch checkpoint (.pt, .pth)")),
    }
}

/// Fills `buffer` as far as the file goes.
fn read_up_to(file: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..])? {
            0 => break,
            count => length += count,
        }
    }
    Ok(length)
}
