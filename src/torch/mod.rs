//! The one border down to libtorch beyond tch: safe wrappers over `shim.cpp` for memory formats, autocast and the fused
//! SGD, over `cuda.cpp` for what CUDA devices are asked, over `fused.cpp` for networks as fused programs, over `dlpack.cpp`, over
//! `script.cpp` and `compile.cpp` for TorchScript, over `world.cpp` for several processes, and over `reserve.cpp` for memory that tensors
//! must not take. Nothing above this module calls C++.

pub mod compile;
mod cuda;
pub mod dlpack;
pub mod fused;
pub mod graph;
pub mod script;
pub mod statics;
pub mod world;

use std::ffi::{CStr, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use tch::kind::Element;
use tch::{Device, Kind, Tensor};
use torch_sys::C_tensor;

pub use self::cuda::{
    DeviceMemory, ExactFloat32, copy_to, device_memory, each_on_host, finish, has_bfloat16, synchronise,
};
use crate::sys::memory::filled;
use crate::{Error, ErrorKind, Result, shutdown};

/// The libtorch that this build's headers belong to.
pub const LIBTORCH_VERSION: &str = "2.11.0";

#[repr(C)]
#[derive(Clone, Copy)]
struct AutocastState {
    device: i32,
    dtype: i32,
    enabled: i32,
}

unsafe extern "C" {
    fn seed_shim_free(text: *mut c_char);
    fn seed_shim_call(call: unsafe extern "C-unwind" fn(*mut c_void), data: *mut c_void) -> *mut c_char;
    fn seed_shim_show_config(out: *mut *mut c_char) -> *mut c_char;
    fn seed_shim_keep_reserve(stops: extern "C" fn() -> bool) -> *mut c_char;
    fn seed_shim_channels_last(input: *const C_tensor, output: *mut *mut C_tensor) -> *mut c_char;
    fn seed_shim_autocast_enter(wanted: AutocastState, previous: *mut AutocastState) -> *mut c_char;
    fn seed_shim_autocast_leave(previous: AutocastState) -> *mut c_char;
    fn seed_shim_fused_sgd(
        parameters: *const *const C_tensor,
        momenta: *const *const C_tensor,
        count: usize,
        lr: f64,
        weight_decay: f64,
        momentum: f64,
        first_step: i32,
    ) -> *mut c_char;
    fn seed_shim_clip_gradients(
        parameters: *const *const C_tensor,
        count: usize,
        max_norm: f64,
        norm: *mut *mut C_tensor,
    ) -> *mut c_char;
    fn seed_shim_drop_gradients(parameters: *const *const C_tensor, count: usize) -> *mut c_char;
    fn seed_shim_shape_only(sizes: *const i64, rank: usize, dtype: i32, output: *mut *mut C_tensor) -> *mut c_char;
}

/// Takes over a text that the shim allocated.
///
/// # Safety
/// `text` comes from the shim and is not used again.
unsafe fn take(text: *mut c_char) -> String {
    // SAFETY: the shim returns NUL-terminated text, released once, here.
    unsafe {
        let copy = CStr::from_ptr(text).to_string_lossy().into_owned();
        seed_shim_free(text);
        copy
    }
}

fn check(message: *mut c_char) -> Result<()> {
    if message.is_null() {
        return Ok(());
    }
    // SAFETY: a non-NULL return of the shim is a message that we own.
    Err(Error::from(tch::TchError::Torch(unsafe { take(message) })))
}

/// Runs `call`, a function that may throw as C++ throws, and gives what it threw.
///
/// # Safety
/// `call` may be called with `data` and panics never.
pub unsafe fn thrown(call: unsafe extern "C-unwind" fn(*mut c_void), data: *mut c_void) -> Option<String> {
    // SAFETY: by contract.
    let message = unsafe { seed_shim_call(call, data) };
    // SAFETY: a non-NULL return of the shim is a message that we own.
    (!message.is_null()).then(|| unsafe { take(message) })
}

/// What `body` gives, with the panics of tch's own `unwrap`s turned into the errors that they are.
///
/// An operation of tch with a number among its arguments panics when libtorch refuses, its `f_` form too: the number becomes
/// a `Scalar`, which is dropped before the error is looked at, and whose drop takes the error and unwraps it (tch 0.24,
/// `wrappers/scalar.rs`). Unwinding leaves things as an early return does, so what `body` works on needs no other care, but
/// locks and handles must be outside of `body`, or they are poisoned. Other panics pass.
pub fn caught<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map_or("", String::as_str);
        match text.strip_prefix("called `Result::unwrap()` on an `Err` value: Torch(\"") {
            // What follows is escaped: a line of the message ends at a backslash.
            Some(message) => {
                let line = message.split(['\\', '"']).next().unwrap_or("unknown");
                Err(Error::from(tch::TchError::Torch(line.to_owned())))
            }
            None => resume_unwind(panic),
        }
    })
}

/// The version of the libtorch that this process has loaded, such as "2.11.0".
pub fn runtime_version() -> Result<String> {
    let mut text = std::ptr::null_mut();
    // SAFETY: `text` is a valid place for one pointer, set when no error is returned.
    check(unsafe { seed_shim_show_config(&mut text) })?;
    // SAFETY: set by the shim, ours to release.
    let config = unsafe { take(text) };
    let version = config.split("TORCH_VERSION=").nth(1).and_then(|rest| rest.split([',', ' ', '\n']).next());
    version.map(str::to_owned).ok_or_else(|| {
        Error::new(
            ErrorKind::Torch,
            "libtorch does not say its version: is this really libtorch 2.x? check SEED_LIBTORCH",
        )
    })
}

/// From now on tensors in main memory leave some of it to libtorch itself (`reserve.cpp` tells why); a tensor that would not
/// is an error of kind `OutOfMemory`. Each tensor is a mark of [`shutdown`] from then on. Call it once a process.
pub fn keep_reserve() -> Result<()> {
    extern "C" fn stops() -> bool {
        shutdown::stops()
    }
    // SAFETY: the function never unwinds; libtorch allows another allocator at any time, since each tensor knows who releases it.
    check(unsafe { seed_shim_keep_reserve(stops) })
}

/// `tensor` (N,C,H,W) with channels-last strides: a copy, or a second reference where it lies so already.
pub fn channels_last(tensor: &Tensor) -> Result<Tensor> {
    let mut output = std::ptr::null_mut();
    // SAFETY: `tensor` lives through the call; the shim allocates the tensor that `from_ptr` takes over.
    check(unsafe { seed_shim_channels_last(tensor.as_ptr(), &mut output) })?;
    Ok(unsafe { Tensor::from_ptr(output) })
}

/// The numbers of `tensor`, row after row, on the host; `what` they are stands in the error where memory cannot be had.
///
/// # Errors
/// `OutOfMemory`, or `Torch` from libtorch.
pub fn numbers<T: Element + Default + Clone>(tensor: &Tensor, what: &str) -> Result<Vec<T>> {
    let flat = copy_to(tensor, Device::Cpu)?.f_to_kind(T::KIND)?.f_contiguous()?;
    let mut numbers = filled(T::default(), flat.numel(), what)?;
    let count = numbers.len();
    flat.f_copy_data(&mut numbers, count)?;
    Ok(numbers)
}

/// A tensor that has a shape but no numbers, on torch's device "meta": what is computed from it has shapes only too. Do not
/// ask such a tensor for its device, which tch has no name for.
pub fn shape_only(shape: &[i64], kind: Kind) -> Result<Tensor> {
    let dtype = match kind {
        Kind::Float => 6, // c10::ScalarType::Float
        Kind::Int64 => 4,
        other => return Err(Error::invalid(format!("a tensor of shape only is float32 or int64, not {other:?}"))),
    };
    let mut output = std::ptr::null_mut();
    // SAFETY: `rank` sizes are read; the shim allocates the tensor that `from_ptr` takes over.
    check(unsafe { seed_shim_shape_only(shape.as_ptr(), shape.len(), dtype, &mut output) })?;
    Ok(unsafe { Tensor::from_ptr(output) })
}

/// Autocast on this thread while it lives: matrix products and convolutions run in `dtype`, reductions in float32.
pub struct Autocast {
    previous: AutocastState,
    // The state belongs to the thread that set it, so the guard must not travel.
    _not_send: std::marker::PhantomData<*const ()>,
}

impl Autocast {
    /// Autocast to `kind` (bfloat16 or half) for `device`; float32 switches an outer autocast off.
    pub fn enter(device: Device, kind: Kind) -> Result<Self> {
        let device = match device {
            Device::Cuda(_) => 1, // c10::DeviceType::CUDA
            _ => 0,
        };
        let (dtype, enabled) = match kind {
            Kind::Half => (5, 1),
            Kind::BFloat16 => (15, 1), // c10::ScalarType::BFloat16
            _ => (15, 0),
        };
        let mut previous = AutocastState { device, dtype: 0, enabled: 0 };
        // SAFETY: plain values in, one struct out.
        check(unsafe { seed_shim_autocast_enter(AutocastState { device, dtype, enabled }, &mut previous) })?;
        Ok(Self { previous, _not_send: std::marker::PhantomData })
    }
}

impl Drop for Autocast {
    fn drop(&mut self) {
        // SAFETY: plain values in. An error cannot be passed on from here, and the shim has put back what it could.
        if let Err(error) = check(unsafe { seed_shim_autocast_leave(self.previous) }) {
            log::error!("cannot leave autocast: {error}");
        }
    }
}

/// One SGD step over all `parameters` in place, with their gradients, which are dropped afterwards:
/// v ← momentum·v + g + weight_decay·p (first step: v ← g + weight_decay·p), p ← p − lr·v, as torch.optim.SGD.
pub fn fused_sgd(parameters: &[Tensor], momenta: &[Tensor], hyper: SgdStep) -> Result<()> {
    if parameters.len() != momenta.len() {
        return Err(Error::invalid(format!("{} parameters but {} momenta", parameters.len(), momenta.len())));
    }
    let values: Vec<_> = parameters.iter().map(Tensor::as_ptr).collect();
    let buffers: Vec<_> = momenta.iter().map(Tensor::as_ptr).collect();
    // SAFETY: both lists hold `len` live tensors; the shim changes the values they refer to, which tch allows too.
    check(unsafe {
        seed_shim_fused_sgd(
            values.as_ptr(),
            buffers.as_ptr(),
            values.len(),
            hyper.learning_rate,
            hyper.weight_decay,
            hyper.momentum,
            i32::from(hyper.first),
        )
    })
}

/// The numbers of one SGD step.
#[derive(Debug, Clone, Copy)]
pub struct SgdStep {
    /// Learning rate of this step.
    pub learning_rate: f64,
    /// L2 penalty, added to the gradient.
    pub weight_decay: f64,
    /// Share of the velocity that is kept.
    pub momentum: f64,
    /// No velocity exists yet.
    pub first: bool,
}

/// Scales the gradients of all `parameters` in place so that their common L2 norm is at most `max_norm`, as
/// torch.nn.utils.clip_grad_norm_ does. Gives the norm before, 0-dim, unread: reading it waits for the device.
pub fn clip_gradients(parameters: &[Tensor], max_norm: f64) -> Result<Tensor> {
    let values: Vec<_> = parameters.iter().map(Tensor::as_ptr).collect();
    let mut norm = std::ptr::null_mut();
    // SAFETY: the list holds `len` live tensors; the shim allocates the tensor that `from_ptr` takes over.
    check(unsafe { seed_shim_clip_gradients(values.as_ptr(), values.len(), max_norm, &mut norm) })?;
    Ok(unsafe { Tensor::from_ptr(norm) })
}

/// Drops the gradients of all `parameters`.
pub fn drop_gradients(parameters: &[Tensor]) -> Result<()> {
    let values: Vec<_> = parameters.iter().map(Tensor::as_ptr).collect();
    // SAFETY: the list holds `len` live tensors.
    check(unsafe { seed_shim_drop_gradients(values.as_ptr(), values.len()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runtime_is_the_libtorch_of_the_headers() {
        assert!(runtime_version().unwrap().starts_with(LIBTORCH_VERSION));
    }

    #[test]
    fn a_refused_operation_with_a_number_is_an_error() {
        let words = Tensor::from_slice(&[1i64, 2]);
        // A fractional power of whole numbers cannot be written back into them.
        let error = caught(|| Ok(words.shallow_clone().f_pow_(0.5)?)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Torch);
        assert!(error.message().contains("can't be cast"), "{error}");
        let other = catch_unwind(|| caught::<()>(|| panic!("on purpose")));
        assert!(other.is_err());
    }

    #[test]
    fn autocast_is_put_back() {
        let (a, b) =
            (Tensor::ones([4, 4], (Kind::Float, Device::Cpu)), Tensor::ones([4, 4], (Kind::Float, Device::Cpu)));
        {
            let _autocast = Autocast::enter(Device::Cpu, Kind::BFloat16).unwrap();
            assert_eq!(a.matmul(&b).kind(), Kind::BFloat16);
            let _off = Autocast::enter(Device::Cpu, Kind::Float).unwrap();
            assert_eq!(a.matmul(&b).kind(), Kind::Float);
        }
        assert_eq!(a.matmul(&b).kind(), Kind::Float);
    }

    #[test]
    fn a_cpp_exception_becomes_an_error() {
        let flat = Tensor::ones([4], (Kind::Float, Device::Cpu));
        assert_eq!(channels_last(&flat).unwrap_err().kind(), ErrorKind::Torch);
    }
}
