//! A tensor in host memory, independent of libtorch: element type, shape and contiguous little-endian bytes.
//!
//! `bytes.len() = Π shape · dtype.size()`; element (i₀, …, iₙ) lies at row-major index ((i₀·s₁ + i₁)·s₂ + …).
//!
//! ```
//! use seed::model::weights::{HostTensor, HostType};
//! let ones = HostTensor::new(HostType::F32, vec![2, 3], 1f32.to_le_bytes().repeat(6))?;
//! assert_eq!(ones.to_tensor()?.size(), [2, 3]);
//! # Ok::<(), seed::Error>(())
//! ```

use std::collections::BTreeMap;

use tch::{Device, Kind, Tensor};

use crate::error::{Error, ErrorKind, Result};
use crate::sys::memory::filled;

/// Element types that weights come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HostType {
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary64.
    F64,
    /// IEEE 754 binary16.
    F16,
    /// The upper half of a binary32.
    BF16,
    /// Signed, 64 bits.
    I64,
    /// Signed, 32 bits.
    I32,
    /// Signed, 16 bits.
    I16,
    /// Signed, 8 bits.
    I8,
    /// Unsigned, 8 bits.
    U8,
    /// One byte, 0 or 1.
    Bool,
}

impl HostType {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::BF16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// torch's name of it, as "float32".
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F64 => "float64",
            Self::F16 => "float16",
            Self::BF16 => "bfloat16",
            Self::I64 => "int64",
            Self::I32 => "int32",
            Self::I16 => "int16",
            Self::I8 => "int8",
            Self::U8 => "uint8",
            Self::Bool => "bool",
        }
    }

    /// libtorch's kind of it.
    pub fn kind(self) -> Kind {
        match self {
            Self::F32 => Kind::Float,
            Self::F64 => Kind::Double,
            Self::F16 => Kind::Half,
            Self::BF16 => Kind::BFloat16,
            Self::I64 => Kind::Int64,
            Self::I32 => Kind::Int,
            Self::I16 => Kind::Int16,
            Self::I8 => Kind::Int8,
            Self::U8 => Kind::Uint8,
            Self::Bool => Kind::Bool,
        }
    }

    /// The type of a libtorch kind, where weights come in it.
    pub fn from_kind(kind: Kind) -> Option<Self> {
        let all = [
            Self::F32,
            Self::F64,
            Self::F16,
            Self::BF16,
            Self::I64,
            Self::I32,
            Self::I16,
            Self::I8,
            Self::U8,
            Self::Bool,
        ];
        all.into_iter().find(|candidate| candidate.kind() == kind)
    }
}

/// One tensor: row-major, contiguous, little endian.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostTensor {
    /// Element type.
    pub dtype: HostType,
    /// Length of each dimension; empty for a scalar.
    pub shape: Vec<usize>,
    /// `Π shape · dtype.size()` bytes.
    pub bytes: Vec<u8>,
}

/// Refuses tensors that are about to be written and hold NaN or infinity: who read them would get nothing but NaN.
///
/// # Errors
/// `Mismatch` naming the tensor.
pub fn check_finite<'a>(tensors: impl IntoIterator<Item = (&'a String, &'a HostTensor)>) -> Result<()> {
    for (name, tensor) in tensors {
        if !tensor.is_finite()? {
            return Err(Error::mismatch(format!(
                "nothing is written: {name} holds numbers that are not finite (NaN or infinity), so the network has diverged"
            )));
        }
    }
    Ok(())
}

impl HostTensor {
    /// Checks that the bytes are as many as the shape needs.
    ///
    /// # Errors
    /// `InvalidArgument` where they are not, or the shape overflows.
    pub fn new(dtype: HostType, shape: Vec<usize>, bytes: Vec<u8>) -> Result<Self> {
        let tensor = Self { dtype, shape, bytes };
        tensor.check()?;
        Ok(tensor)
    }

    /// Whether no number of it is NaN or infinite.
    ///
    /// # Errors
    /// Those of [`to_tensor`](HostTensor::to_tensor).
    pub fn is_finite(&self) -> Result<bool> {
        let _guard = tch::no_grad_guard();
        Ok(self.to_tensor()?.f_isfinite()?.f_all()?.f_int64_value(&[])? != 0)
    }

    /// Copies a tensor of any device and layout to contiguous host memory.
    ///
    /// # Errors
    /// `Unsupported` for element types outside [`HostType`] (complex, quantised); `Torch` and `OutOfMemory` from libtorch.
    pub fn from_tensor(tensor: &Tensor) -> Result<Self> {
        let kind = tensor.f_kind()?;
        let dtype = HostType::from_kind(kind).ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, format!("weights of element type {kind:?} are not kept"))
        })?;
        let here = tensor.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?;
        // `size` panics for an undefined tensor alone, which the calls before would have refused.
        let shape = here.size().into_iter().map(|length| length as usize).collect::<Vec<_>>();
        let count = shape.iter().product::<usize>();
        let mut bytes = filled(0, count * dtype.size(), "a tensor of weights")?;
        if count > 0 {
            here.f_copy_data_u8(&mut bytes, count)?;
        }
        Ok(Self { dtype, shape, bytes })
    }

    /// A tensor on the CPU with the same element type and shape. The bytes are copied.
    ///
    /// # Errors
    /// `InvalidArgument` where bytes and shape disagree; `Torch` and `OutOfMemory` from libtorch.
    pub fn to_tensor(&self) -> Result<Tensor> {
        self.check()?;
        let shape = self.shape.iter().map(|&length| length as i64).collect::<Vec<_>>();
        Ok(Tensor::f_from_data_size(&self.bytes, &shape, self.dtype.kind())?)
    }

    /// Number of elements, `Π shape`; `None` where that overflows.
    pub fn count(&self) -> Option<usize> {
        self.shape.iter().try_fold(1usize, |product, &length| product.checked_mul(length))
    }

    /// Refuses bytes that contradict shape and type.
    pub(crate) fn check(&self) -> Result<()> {
        let needed = self.count().and_then(|count| count.checked_mul(self.dtype.size()));
        let fits_i64 = self.shape.iter().all(|&length| i64::try_from(length).is_ok());
        if !fits_i64 || needed != Some(self.bytes.len()) {
            return Err(Error::invalid(format!(
                "a tensor of shape {:?} and type {:?} cannot consist of {} bytes",
                self.shape,
                self.dtype,
                self.bytes.len()
            )));
        }
        Ok(())
    }
}

/// Named tensors of a network and the few texts that stood beside them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateDict {
    /// By name, as PyTorch's `state_dict()` has them.
    pub tensors: BTreeMap<String, HostTensor>,
    /// A safetensors file's `__metadata__`, or a checkpoint's scalars (`epoch`, `arch`, …) as text.
    pub metadata: BTreeMap<String, String>,
}
