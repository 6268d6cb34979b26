//! Tensors shared with other libraries through DLPack (<https://dmlc.github.io/dlpack>), version 1, without a copy.

use std::ffi::{c_char, c_void};
use std::ptr::NonNull;

use tch::{Device, Tensor};
use torch_sys::C_tensor;

use super::check;
use crate::{Error, ErrorKind, Result};

unsafe extern "C" {
    fn seed_shim_from_dlpack(managed: *mut c_void, output: *mut *mut C_tensor) -> *mut c_char;
    fn seed_shim_to_dlpack(input: *const C_tensor, managed: *mut *mut c_void) -> *mut c_char;
}

/// The tensor behind a `DLManagedTensorVersioned`, whose deleter is called when the tensor goes.
///
/// # Errors
/// `InvalidArgument` where it is of another major version, not on CPU or CUDA, or its type or shape cannot be; the deleter
/// has been called then.
///
/// # Safety
/// `managed` points to a live `DLManagedTensorVersioned` whose data can be read as its shape, strides and type say.
pub unsafe fn import(managed: NonNull<c_void>) -> Result<Tensor> {
    let mut output = std::ptr::null_mut();
    // SAFETY: by contract; the shim allocates the tensor that `from_ptr` takes over.
    check(unsafe { seed_shim_from_dlpack(managed.as_ptr(), &mut output) }).map_err(|error| match error.kind() {
        ErrorKind::Torch => Error::invalid(error.message().to_owned()),
        _ => error,
    })?;
    Ok(unsafe { Tensor::from_ptr(output) })
}

/// A foreign tensor that work is asked of. Whatever comes of the work, its owner gets the memory back only when no kernel reads it.
pub struct Lent {
    tensor: Tensor,
    unread: bool,
}

impl Lent {
    /// As [`import`].
    ///
    /// # Errors
    /// Those of [`import`].
    ///
    /// # Safety
    /// As [`import`].
    pub unsafe fn import(managed: NonNull<c_void>) -> Result<Self> {
        // SAFETY: by contract.
        Ok(Self { tensor: unsafe { import(managed) }?, unread: false })
    }

    /// What was lent.
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// Says that whatever was asked of the tensor is done.
    pub fn done(&mut self) {
        self.unread = true;
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (false, Device::Cuda(index)) = (self.unread, self.tensor.device()) {
            // A device that has failed reads nothing any more.
            let _ = super::finish(index);
        }
    }
}

/// `tensor` as a new `DLManagedTensorVersioned`, which holds its memory until the deleter is called.
///
/// # Errors
/// `Torch` for a tensor that DLPack cannot describe.
pub fn export(tensor: &Tensor) -> Result<*mut c_void> {
    let mut managed = std::ptr::null_mut();
    // SAFETY: `tensor` lives through the call, and `managed` is a place for one pointer.
    check(unsafe { seed_shim_to_dlpack(tensor.as_ptr(), &mut managed) })?;
    Ok(managed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn out_and_in_again_is_the_same_memory() {
        let tensor = Tensor::from_slice(&[1f32, 2.0, 3.0, 4.0, 5.0, 6.0]).view([2, 3]).transpose(0, 1);
        let managed = NonNull::new(export(&tensor).unwrap()).unwrap();
        // SAFETY: just exported.
        let back = unsafe { import(managed) }.unwrap();
        assert_eq!((back.size(), back.stride(), back.data_ptr()), (vec![3, 2], vec![1, 3], tensor.data_ptr()));
        drop(tensor);
        assert_eq!(back.double_value(&[2, 1]), 6.0);
    }

    #[test]
    fn another_version_is_refused() {
        let managed = NonNull::new(export(&Tensor::from_slice(&[1f32])).unwrap()).unwrap();
        // SAFETY: the struct begins with its major version, a u32; the import takes it over.
        let error = unsafe {
            let version = managed.cast::<u32>();
            version.write(version.read() + 1);
            import(managed).unwrap_err()
        };
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.message().contains("version"), "{error}");
    }
}
