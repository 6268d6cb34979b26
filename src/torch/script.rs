//! TorchScript modules (`torch.jit.save`) as frozen programs. A module is a program: loading and running it runs what its
//! author wrote, in this process.

use std::ffi::{CString, c_char};
use std::ptr::NonNull;

use tch::{Device, Tensor};
use torch_sys::C_tensor;

use super::cuda::cuda_index;
use super::{Autocast, check, take};
use crate::{Error, ErrorKind, Result};

/// The module as C++ has it.
#[repr(C)]
struct Shim {
    _private: [u8; 0],
}

unsafe extern "C" {
    fn seed_shim_script_load(
        bytes: *const u8,
        length: usize,
        device: i32,
        output: *mut *mut Shim,
        parameters: *mut i64,
        why_not_frozen: *mut *mut c_char,
    ) -> *mut c_char;
    fn seed_shim_script_forward(
        script: *mut Shim,
        images: *const C_tensor,
        name: *const c_char,
        output: *mut *mut C_tensor,
    ) -> *mut c_char;
    fn seed_shim_script_type(script: *const Shim, output: *mut *mut c_char) -> *mut c_char;
    fn seed_shim_script_free(script: *mut Shim);
}

/// A module in eval mode, frozen where libtorch can freeze it; may be shared between threads.
pub struct Script {
    module: NonNull<Shim>,
    device: Device,
    parameters: i64,
}

// SAFETY: libtorch runs one module from several threads at once (its executor locks what it caches); nothing here changes it.
unsafe impl Send for Script {}
unsafe impl Sync for Script {}

impl Script {
    /// The program in the bytes of a TorchScript file, moved to `device`.
    ///
    /// # Errors
    /// `Format` with the reason where the bytes are none, `OutOfMemory`.
    pub fn load(bytes: &[u8], device: Device) -> Result<Self> {
        let index = if let Device::Cuda(index) = device { cuda_index(index)? } else { -1 };
        let (mut module, mut parameters, mut reason) = (std::ptr::null_mut(), 0, std::ptr::null_mut());
        // SAFETY: the bytes live through the call and are copied; three valid places for the results.
        let message = unsafe {
            seed_shim_script_load(bytes.as_ptr(), bytes.len(), index, &mut module, &mut parameters, &mut reason)
        };
        check(message).map_err(|error| match error.kind() {
            ErrorKind::OutOfMemory => error,
            _ => Error::new(ErrorKind::Format, error.message().to_owned()),
        })?;
        if !reason.is_null() {
            // SAFETY: set by the shim, ours to release.
            let reason = unsafe { take(reason) };
            log::warn!("the TorchScript module runs unfrozen: {}", reason.lines().next().unwrap_or("unknown reason"));
        }
        let module = NonNull::new(module)
            .ok_or_else(|| Error::new(ErrorKind::Internal, "libtorch loaded a module and gave none"))?;
        Ok(Self { module, device, parameters })
    }

    /// The tensor that the module gives for `images` (B, 3, H, W): the one called `output` of a dict or a tuple (a number
    /// from 0 serves too), or the first one where `output` is empty. Of any shape, float32, outside autograd and autocast.
    ///
    /// # Errors
    /// `Mismatch` with the module's own words, or where it gives no such tensor; `OutOfMemory`.
    pub fn forward(&self, images: &Tensor, output: &str) -> Result<Tensor> {
        let name = CString::new(output).map_err(|_| Error::invalid("the output's name holds a NUL"))?;
        let _off = Autocast::enter(self.device, tch::Kind::Float)?;
        let mut tensor = std::ptr::null_mut();
        // SAFETY: module, images and name live through the call; the shim allocates the tensor that `from_ptr` takes over.
        let message =
            unsafe { seed_shim_script_forward(self.module.as_ptr(), images.as_ptr(), name.as_ptr(), &mut tensor) };
        if message.is_null() {
            // SAFETY: as above.
            return Ok(unsafe { Tensor::from_ptr(tensor) });
        }
        // SAFETY: a non-NULL return of the shim is a message that we own.
        let text = unsafe { take(message) };
        let error = Error::from(tch::TchError::Torch(text.clone()));
        if error.kind() == ErrorKind::OutOfMemory {
            return Err(error);
        }
        // The interpreter puts its traceback first and the reason last.
        let reason = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("unknown").trim();
        Err(Error::mismatch(reason.to_owned()))
    }

    /// Elements of all its parameters.
    pub fn parameter_count(&self) -> i64 {
        self.parameters
    }

    /// The type of its weights in libtorch's words: "Float", "Half".
    pub fn type_name(&self) -> Result<String> {
        let mut text = std::ptr::null_mut();
        // SAFETY: the module lives; `text` is a place for one pointer, ours to release.
        check(unsafe { seed_shim_script_type(self.module.as_ptr(), &mut text) })?;
        Ok(unsafe { take(text) })
    }

    /// Where it computes.
    pub fn device(&self) -> Device {
        self.device
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // SAFETY: made by the shim, released once.
        unsafe { seed_shim_script_free(self.module.as_ptr()) }
    }
}
