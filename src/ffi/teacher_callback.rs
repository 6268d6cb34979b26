//! An engine of the application as a teacher: what crosses the border with each batch.

use std::ffi::{CStr, c_char, c_void};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tch::{Device, Tensor};

use super::border::catch;
use super::callback::guarded;
use super::config::seed_config;
use super::error::seed_error;
use super::handle::with;
use super::image::SEED_DEVICE_CPU;
use super::pointers::{put_new, text};
use super::session::DLManagedTensorVersioned;
use super::teacher::{Source, seed_teacher};
use crate::model::{Application, ApplicationOptions, BatchFormat, Teacher};
use crate::torch::dlpack;
use crate::{Error, ErrorKind, Result, device, shutdown};

/// Batches are (B, 3, H, W) floats, normalised by "mean" and "std".
pub const SEED_BATCH_FLOAT_NCHW: i32 = 1;
/// Batches are (B, H, W, 3) bytes: red, green and blue levels, exactly those that were normalised.
pub const SEED_BATCH_UINT8_NHWC: i32 = 2;

/// Batches are on the CUDA device of the run, and embeddings are expected there.
pub const SEED_DEVICE_CUDA: i32 = 1;

/// Longest reason that a callback can give, in bytes, the NUL included.
const MESSAGE: usize = 512;

/// A batch for a teacher's callback. Everything in it is valid during the call only.
#[repr(C)]
pub struct seed_teacher_batch {
    /// sizeof(seed_teacher_batch) of the library.
    pub struct_size: usize,
    /// The first number of B images, which lie one after another without gaps; to be read only.
    pub images: *const c_void,
    /// B, at most "batch_size" of the run divided by "accumulation_steps"; a last batch may be smaller.
    pub count: usize,
    /// H.
    pub height: u32,
    /// W.
    pub width: u32,
    /// SEED_BATCH_*.
    pub format: i32,
    /// SEED_DEVICE_*: where `images` and `embeddings` are.
    pub device: i32,
    /// Number of the CUDA device; 0 on the CPU.
    pub device_index: i32,
    /// D.
    pub dim: usize,
    /// Where B·D floats are expected, row after row; they are divided by their rows' lengths afterwards.
    pub embeddings: *mut f32,
    /// The same images as a DLPack tensor. Whoever takes it over writes NULL here, calls its deleter later, and must not
    /// write to it; else the library releases it after the call.
    pub tensor: *mut DLManagedTensorVersioned,
    /// Where a reason may be written, ending in NUL, before returning something else than 0.
    pub message: *mut c_char,
    /// Bytes of `message`, the NUL included.
    pub message_capacity: usize,
}

/// Fills `embeddings` of a batch and returns 0; another number fails the call that asked for them.
pub type seed_teacher_callback =
    Option<unsafe extern "C-unwind" fn(batch: *mut seed_teacher_batch, user_data: *mut c_void) -> i32>;

/// Is told that `user_data` is not needed any more.
pub type seed_release_callback = Option<unsafe extern "C-unwind" fn(user_data: *mut c_void)>;

/// Makes a teacher of an engine of the application: `callback` is given each batch of views and fills their embeddings of
/// `dim` numbers. Such a teacher serves trainers, seed_bank_fill and sessions ("output" "embedding") as any other; with an
/// engine that is slow, fill a bank once.
///
/// `identity` is a text that changes when the embeddings do, such as the engine's file and its hash: a bank of another
/// identity is stale, and a checkpoint is not resumed. `format` is SEED_BATCH_* and says how images are shown. `device` is
/// SEED_DEVICE_CPU, whatever the run's device is, or SEED_DEVICE_CUDA where "device" of `config` is a CUDA device. "mean" and
/// "std" of `config` must be the run's. The caller frees the teacher.
///
/// The callback fires on the thread that computes: the one that called seed_trainer_run, seed_trainer_step,
/// seed_bank_fill or a function of a session; a thread of the library with "nice" from 1 on. Where several calls use
/// one teacher at the same time, it fires on several threads at once. An exception that it throws is an error of the
/// call, SEED_ERROR_CANCELLED; it must not longjmp. It may call the library, but the trainer and bank it is called for
/// answer SEED_ERROR_BUSY. On a CUDA device the images are there when it fires, and the embeddings must be there when
/// it returns (synchronise your stream).
///
/// `user_data` is passed to the callback. `release`, which may be NULL, is called with it once, when the teacher is freed and
/// nothing that was made of it is left, on the thread that lets the last of them go; not where this function fails.
///
/// A return other than 0 fails the call that needed the embeddings with SEED_ERROR_CANCELLED, "the teacher's callback
/// returned N" and the callback's own reason; finished steps and rows of a bank stay, and another call goes on after them. A
/// row of zeros, or with NaN or infinity, is SEED_ERROR_MISMATCH.
///
/// Errors: SEED_ERROR_INVALID_ARGUMENT for a callback that is NULL, `dim` outside 1 to 65536, an empty `identity` or one of
/// more than 1024 bytes, or an unknown `format` or `device`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_teacher_from_callback(
    callback: seed_teacher_callback,
    user_data: *mut c_void,
    release: seed_release_callback,
    dim: i64,
    identity: *const c_char,
    format: i32,
    device: i32,
    config: *const seed_config,
    out: *mut *mut seed_teacher,
) -> *mut seed_error {
    // SAFETY: passed on from the C caller.
    catch(|| unsafe {
        let call = callback.ok_or_else(|| Error::invalid("the callback is NULL, expected a function"))?;
        let identity = text("identity", identity)?.to_owned();
        let layout = match format {
            SEED_BATCH_FLOAT_NCHW => BatchFormat::FloatNchw,
            SEED_BATCH_UINT8_NHWC => BatchFormat::BytesNhwc,
            other => return Err(Error::invalid(format!("format is {other}, expected SEED_BATCH_* (1 or 2)"))),
        };
        let engine = Arc::new(Engine { call, user_data, release, format, owns: AtomicBool::new(false) });
        put_new(out, || {
            let config = with(config, |config| Ok(config.clone()))?;
            config.validate()?;
            let run = device::parse(&config.device)?;
            let at = match (device, run) {
                (SEED_DEVICE_CPU, _) => Device::Cpu,
                (SEED_DEVICE_CUDA, Device::Cuda(_)) => run,
                (SEED_DEVICE_CUDA, _) => {
                    return Err(Error::invalid(format!(
                        "device is SEED_DEVICE_CUDA, but the configuration's \"device\" is {run:?}; take SEED_DEVICE_CPU"
                    )));
                }
                (other, _) => {
                    return Err(Error::invalid(format!("device is {other}, expected SEED_DEVICE_* (0 or 1)")));
                }
            };
            let (mean, std) = (config.view.input.mean, config.view.input.std);
            let options = ApplicationOptions { dim, identity, format: layout, at, device: run, mean, std };
            let engine = Arc::clone(&engine);
            let embed = move |images: &Tensor, embeddings: &Tensor| engine.embed(images, embeddings);
            Ok(Source::Live(Arc::new(Teacher::from_embedder(Application::new(Box::new(embed), options)?))))
        })?;
        // Where the function fails, the user data stays the caller's.
        engine.owns.store(true, Ordering::Release);
        Ok(())
    })
}

/// The application's side of a teacher.
struct Engine {
    call: unsafe extern "C-unwind" fn(batch: *mut seed_teacher_batch, user_data: *mut c_void) -> i32,
    user_data: *mut c_void,
    release: seed_release_callback,
    format: i32,
    /// Whether the teacher was made, so that `release` is owed.
    owns: AtomicBool,
}

// SAFETY: the pointer is only handed back to the application, whose callback fires on several threads by its documentation.
unsafe impl Send for Engine {}
unsafe impl Sync for Engine {}

impl Engine {
    /// Lets the application fill `embeddings` (B, D) from `images`, both contiguous.
    fn embed(&self, images: &Tensor, embeddings: &Tensor) -> Result<()> {
        let (size, out) = (images.size(), embeddings.size());
        let [height, width] = match self.format {
            SEED_BATCH_UINT8_NHWC => [size[1], size[2]],
            _ => [size[2], size[3]],
        };
        let (place, index) = match images.device() {
            Device::Cuda(index) => (SEED_DEVICE_CUDA, index as i32),
            _ => (SEED_DEVICE_CPU, 0),
        };
        let tensor = dlpack::export(images)?.cast();
        let mut reason = [0 as c_char; MESSAGE];
        let mut batch = seed_teacher_batch {
            struct_size: size_of::<seed_teacher_batch>(),
            images: images.data_ptr().cast_const(),
            count: size[0] as usize,
            height: height as u32,
            width: width as u32,
            format: self.format,
            device: place,
            device_index: index,
            dim: out[1] as usize,
            embeddings: embeddings.data_ptr().cast(),
            tensor,
            message: reason.as_mut_ptr(),
            message_capacity: MESSAGE,
        };
        // SAFETY: the tensors live through the call; the application keeps to what seed_teacher_from_callback says.
        let (place, user_data) = (&raw mut batch, self.user_data);
        let code = guarded(|| unsafe { (self.call)(place, user_data) });
        if batch.tensor == tensor
            && let Some(managed) = NonNull::new(tensor.cast())
        {
            // SAFETY: exported above and not taken over; what is imported is released when it is dropped.
            drop(unsafe { dlpack::import(managed) });
        }
        shutdown::pass();
        let code = code?;
        if code == 0 {
            return Ok(());
        }
        reason[MESSAGE - 1] = 0;
        // SAFETY: it ends in NUL, by the line above.
        let reason = unsafe { CStr::from_ptr(reason.as_ptr()) }.to_string_lossy();
        let colon = if reason.is_empty() { "" } else { ": " };
        Err(Error::new(ErrorKind::Cancelled, format!("the teacher's callback returned {code}{colon}{reason}")))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let (Some(release), true) = (self.release, self.owns.load(Ordering::Acquire)) {
            // SAFETY: by the documentation of seed_teacher_from_callback, once.
            if let Err(error) = guarded(|| unsafe { release(self.user_data) }) {
                ::log::error!("releasing a teacher's user data: {error}");
            }
        }
    }
}
