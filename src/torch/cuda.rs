//! Copies from and to CUDA devices that wait as little as they can, the memory of a device, and what it computes in.

use std::ffi::{c_char, c_void};
use std::marker::PhantomData;
use std::ptr::null_mut;

use tch::{Device, Tensor};
use torch_sys::C_tensor;

use super::check;
use crate::sys::memory::room;
use crate::{Error, Result};

unsafe extern "C" {
    fn seed_shim_copy_pinned(input: *const C_tensor, device: i32, output: *mut *mut C_tensor) -> *mut c_char;
    fn seed_shim_copy_to_host(inputs: *const *const C_tensor, count: usize, outputs: *mut *mut C_tensor)
    -> *mut c_char;
    fn seed_shim_finish(device: i32) -> *mut c_char;
    fn seed_shim_synchronise(device: i32) -> *mut c_char;
    fn seed_shim_device_memory(device: i32, free: *mut u64, total: *mut u64, taken: *mut u64) -> *mut c_char;
    fn seed_shim_has_bfloat16(device: i32, has: *mut i32) -> *mut c_char;
    fn seed_shim_exact_enter(guard: *mut *mut c_void) -> *mut c_char;
    fn seed_shim_exact_leave(guard: *mut c_void);
}

/// Bytes that are copied to the host through page-locked memory at once. libtorch keeps such memory for later, so it must not be much.
const STAGED: usize = 32 << 20;

/// `tensor` on `device`, outside autograd where it moves between CPU and GPU. To a GPU it goes through page-locked memory and nothing
/// waits for it; from a GPU it comes into page-locked memory, and the host waits once, for what is queued on the GPU's current stream.
///
/// # Errors
/// `OutOfMemory` or `Torch` from libtorch.
pub fn copy_to(tensor: &Tensor, device: Device) -> Result<Tensor> {
    match (tensor.device(), device) {
        (Device::Cpu, Device::Cuda(index)) => {
            let mut output = null_mut();
            // SAFETY: `tensor` lives through the call; the shim allocates the tensor that `from_ptr` takes over.
            check(unsafe { seed_shim_copy_pinned(tensor.as_ptr(), cuda_index(index)?, &mut output) })?;
            Ok(unsafe { Tensor::from_ptr(output) })
        }
        (Device::Cuda(_), Device::Cpu) if bytes(tensor)? <= STAGED => {
            let mut output = null_mut();
            // SAFETY: as above; one tensor in, one out.
            check(unsafe { seed_shim_copy_to_host([tensor.as_ptr()].as_ptr(), 1, &mut output) })?;
            Ok(unsafe { Tensor::from_ptr(output) })
        }
        _ => Ok(tensor.f_to_device(device)?),
    }
}

/// Gives each of `tensors`, with its number, to `take` on the host. Those of a GPU come many at a time, and the host waits once for each
/// such group.
///
/// # Errors
/// `OutOfMemory` or `Torch` from libtorch; those of `take`.
pub fn each_on_host(tensors: &[Tensor], mut take: impl FnMut(usize, Tensor) -> Result<()>) -> Result<()> {
    let mut start = 0;
    while start < tensors.len() {
        let (first, mut end, mut sum) = (tensors[start].device(), start, 0);
        while end < tensors.len() && first != Device::Cpu && tensors[end].device() == first {
            sum += bytes(&tensors[end])?;
            if sum > STAGED {
                break;
            }
            end += 1;
        }
        if end <= start + 1 {
            take(start, copy_to(&tensors[start], Device::Cpu)?)?;
            start += 1;
            continue;
        }
        let inputs: Vec<*const C_tensor> = tensors[start..end].iter().map(|tensor| tensor.as_ptr()).collect();
        let mut outputs: Vec<*mut C_tensor> = room(inputs.len(), "a table of tensors")?;
        outputs.resize(inputs.len(), null_mut());
        // SAFETY: as many places as tensors, all of which live through the call; they are filled unless an error is returned.
        check(unsafe { seed_shim_copy_to_host(inputs.as_ptr(), inputs.len(), outputs.as_mut_ptr()) })?;
        // SAFETY: the shim allocated each of them; all are taken over before anything can fail.
        let copies: Vec<Tensor> = outputs.into_iter().map(|output| unsafe { Tensor::from_ptr(output) }).collect();
        for (number, copy) in copies.into_iter().enumerate() {
            take(start + number, copy)?;
        }
        start = end;
    }
    Ok(())
}

fn bytes(tensor: &Tensor) -> Result<usize> {
    Ok(tensor.numel().saturating_mul(tensor.f_kind()?.elt_size_in_bytes()))
}

/// Waits until CUDA device `index` has done what was queued so far on this thread's current stream. What others queued on streams of their
/// own goes on: a camera's pipeline beside a run is not waited for.
///
/// # Errors
/// `Torch` where the device has failed.
pub fn finish(index: usize) -> Result<()> {
    // SAFETY: a plain number.
    check(unsafe { seed_shim_finish(cuda_index(index)?) })
}

/// Waits until CUDA device `index` has done all that was asked of it, by anybody; for measuring.
pub fn synchronise(index: usize) -> Result<()> {
    // SAFETY: a plain number.
    check(unsafe { seed_shim_synchronise(cuda_index(index)?) })
}

/// Memory of a CUDA device, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct DeviceMemory {
    /// Free for any process.
    pub free: u64,
    /// All of it.
    pub total: u64,
    /// Taken by tensors of this process.
    pub taken: u64,
}

/// How the memory of CUDA device `index` is used.
pub fn device_memory(index: usize) -> Result<DeviceMemory> {
    let mut memory = DeviceMemory::default();
    // SAFETY: three valid places for numbers.
    check(unsafe {
        seed_shim_device_memory(cuda_index(index)?, &mut memory.free, &mut memory.total, &mut memory.taken)
    })?;
    Ok(memory)
}

/// Whether CUDA device `index` computes in bfloat16: compute capability 8.0 (Ampere) and above.
pub fn has_bfloat16(index: usize) -> Result<bool> {
    let mut has = 0;
    // SAFETY: a valid place for a number.
    check(unsafe { seed_shim_has_bfloat16(cuda_index(index)?, &mut has) })?;
    Ok(has != 0)
}

/// While it lives, products of float32 that this thread asks of a GPU are exact to float32, whatever the process allows elsewhere:
/// TensorFloat-32 has 10 bits of mantissa, and similarities divided by a temperature of 1e-4 need all 23.
pub struct ExactFloat32 {
    guard: *mut c_void,
    // The setting is the thread's, so the guard must not travel.
    _not_send: PhantomData<*const ()>,
}

impl ExactFloat32 {
    /// From here on.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn enter() -> Result<Self> {
        let mut guard = null_mut();
        // SAFETY: a place for one pointer, set unless an error is returned.
        check(unsafe { seed_shim_exact_enter(&mut guard) })?;
        Ok(Self { guard, _not_send: PhantomData })
    }
}

impl Drop for ExactFloat32 {
    fn drop(&mut self) {
        // SAFETY: made by `enter`, on this thread, and left once.
        unsafe { seed_shim_exact_leave(self.guard) };
    }
}

pub(super) fn cuda_index(index: usize) -> Result<i32> {
    i32::try_from(index).map_err(|_| Error::invalid(format!("cuda:{index} does not exist")))
}
