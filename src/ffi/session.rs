//! `seed_session`: images to vectors.

use std::ffi::{c_char, c_void};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;

use super::border::catch;
use super::callback::Asked;
use super::cancel::{seed_cancel_token, seed_count_callback, token};
use super::config::seed_config;
use super::dataset::seed_dataset;
use super::error::seed_error;
use super::handle::{Guarded, free, handle, with};
use super::image::{Images, seed_image};
use super::pointers::{answer_size, check_out, fill_text, product, put, put_new, text};
use super::student::seed_student;
use super::teacher::{seed_teacher, seeing};
use crate::config::Config;
use crate::data::Dataset;
use crate::infer::{LiveSession, Session, SessionOptions};
use crate::train::pace::counted;
use crate::train::shared::with_lock;
use crate::{Error, Result, torch};

/// A snapshot of a network that turns images into vectors. It changes by seed_session_swap only; all functions may be
/// called from several threads at once.
pub struct seed_session(pub(super) Guarded<SessionInner>);
handle!(seed_session, SessionInner);

/// A session that can be exchanged, with the number of threads that prepare its images.
pub struct SessionInner {
    pub(super) live: Arc<LiveSession>,
    workers: usize,
}

impl SessionInner {
    /// What runs now. A call takes it once and keeps it to its end.
    pub(super) fn current(&self) -> Arc<Session> {
        self.live.current()
    }
}

/// Images that go through the network at once.
const CHUNK: usize = 32;

fn make(config: &Config, build: impl FnOnce(SessionOptions) -> Result<Session>) -> Result<SessionInner> {
    let live = Arc::new(LiveSession::new(build(SessionOptions::of(config, config.output.into())?)?));
    Ok(SessionInner { live, workers: usize::try_from(config.workers).unwrap_or(0) })
}

/// Opens a student file. Input size, resize, mean and std are the file's; "device", "precision", "output" and "workers" come from
/// `config`. So does the range where one of its keys ("range", "range.low", …) was set; else, and with
/// "dataset", it is the file's. "precision" "auto" is bfloat16 where the device computes in it and vectors keep a cosine of .999 to float32 on
/// calibration images; seed_session_embed says what that does to equal images. Opening tries out the fastest way to compute, some tens of forward passes. The caller frees the
/// session.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_session_open(
    path: *const c_char,
    config: *const seed_config,
    out: *mut *mut seed_session,
) -> *mut seed_error {
    // SAFETY: passed on from the C caller, as in every function of this file.
    catch(|| unsafe {
        let path = Path::new(text("path", path)?);
        put_new(out, || with(config, |config| make(config, |options| Session::open(path, options))))
    })
}

/// Makes a session of a student's weights as they are now; the student may go on learning. Input size, resize, mean and std are
/// the student's, and so is the range unless `config` sets one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_session_from_student(
    student: *const seed_student,
    config: *const seed_config,
    out: *mut *mut seed_session,
) -> *mut seed_error {
    catch(|| unsafe {
        put_new(out, || {
            let (network, header) = with(student, |student| Ok((Arc::clone(&student.network), student.header()?)))?;
            with(config, |config| {
                make(config, |options| {
                    let session = with_lock(&network, |network| Session::new(network, &header.input, options))?;
                    Ok(session.with_provenance(header.provenance.clone()))
                })
            })
        })
    })
}

/// Makes a session of a teacher. Image size, "resize", range, mean and std come from `config`.
///
/// Errors: SEED_ERROR_UNSUPPORTED for a stored teacher.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_session_from_teacher(
    teacher: *const seed_teacher,
    config: *const seed_config,
    out: *mut *mut seed_session,
) -> *mut seed_error {
    catch(|| unsafe {
        put_new(out, || {
            let teacher = seeing(teacher, "seed_session_from_teacher")?;
            with(config, |config| {
                config.validate()?;
                make(config, |options| Session::of_teacher(&teacher, &config.view.input, options))
            })
        })
    })
}

/// How the session computes, for a person: "cpu, bfloat16, 8 images at once". By the rule of
/// seed_config_get_string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_session_describe(
    session: *const seed_session,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        let text = with(session, |session| Ok(session.current().describe()))?;
        fill_text(&text, buffer, capacity, length)
    })
}

/// What runs the session's network, and why it was taken, for a person: "libtorch: the setting "engine" is "libtorch"", or
/// "embedded (AVX2): …", "onnxruntime 1.32.0 (cpu): …" with the figures that "auto" went by. By the rule of seed_config_get_string.
/// docs/engines.md says how an ONNX Runtime is found; where a named one could not be used and "engine" is "auto", seed_session_warnings says so too.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_session_engine(
    session: *const seed_session,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        let text = with(session, |session| Ok(session.current().engine()))?;
        fill_text(&text, buffer, capacity, length)
    })
}

/// D, the number of floats that one image gives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_session_dim(session: *const seed_session, out: *mut i64) -> *mut seed_error {
    catch(|| unsafe {
        check_out("out", out)?;
        let dim = with(session, |session| Ok(session.current().dim()))?;
        put(out, i64::try_from(dim).unwrap_or(i64::MAX));
        Ok(())
    })
}

/// The number of parameters, head included.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_session_parameter_count(session: *const seed_session, out: *mut i64) -> *mut seed_error {
    catch(|| unsafe {
        check_out("out", out)?;
        put(out, with(session, |session| session.current().parameter_count())?);
        Ok(())
    })
}

/// Vectors of `count` images of any sizes: count·D floats, image after image, into `buffer`. NULL asks for the size; too
/// small a buffer is left alone; `*length` receives the number of floats needed.
///
/// The same image gives the same vector up to rounding: how many images a call has and how many threads compute changes the order of
/// sums, by some 1e-6 of a unit vector in float32 and up to 1e-3 in bfloat16. Where equal images must give equal numbers, set
/// "precision" to "fp32" and pass one image at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_session_embed(
    session: *const seed_session,
    images: *const seed_image,
    count: usize,
    buffer: *mut f32,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        with(session, |inner| {
            let session = inner.current();
            let needed = product("the result", count, session.dim())?;
            if !answer_size(needed, buffer, capacity, length)? {
                return Ok(());
            }
            let images = Images::new(images, count)?;
            // `answer_size` checked place and capacity of the buffer.
            let out = std::slice::from_raw_parts_mut(buffer, needed);
            session.embed_each(count, |i| images.view(i), out)?;
            Ok(())
        })
    })
}

/// What the network sees of `count` images of any sizes, before normalisation: count·height·width·channels bytes, (image, row,
/// column, channel) with red, green, blue, into `buffer`, by the rule of seed_session_embed. An exported student with
/// SEED_EXPORT_INPUT_BYTES gives for these bytes what the session gives for the images; for its other inputs see docs/export.md.
/// seed_model_get_info knows the sizes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_session_preprocess(
    session: *const seed_session,
    images: *const seed_image,
    count: usize,
    buffer: *mut u8,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        with(session, |inner| {
            let session = inner.current();
            let needed = product("the result", count, session.input().view_len())?;
            if !answer_size(needed, buffer, capacity, length)? {
                return Ok(());
            }
            let images = Images::new(images, count)?;
            // `answer_size` checked place and capacity of the buffer.
            session.preprocess(count, |i| images.view(i), std::slice::from_raw_parts_mut(buffer, needed))
        })
    })
}

/// A DLManagedTensorVersioned of dlpack.h, version 1 (<https://dmlc.github.io/dlpack>).
#[repr(C)]
pub struct DLManagedTensorVersioned {
    _opaque: [u8; 0],
}

/// Vectors of a batch of images in a DLPack tensor, which may be on a GPU: bytes (B, H, W, C) with C 1 or 3 (red, green, blue)
/// of any size, which are levels already (no range is applied), and are resized and normalised as other images are; or float32, float16 or bfloat16 (B, 3, height,
/// width) of the session's size, normalised already. `*out` receives a tensor (B, D) of float32 on the session's device,
/// complete when the call returns; release it by its deleter.
///
/// `images` is taken over whatever comes of the call: its deleter is called, on an error too. What writes a GPU's images
/// must be done, or queued on the default stream, before the call.
///
/// Errors: SEED_ERROR_INVALID_ARGUMENT for another version, device, type or shape.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_session_embed_dlpack(
    session: *const seed_session,
    images: *mut DLManagedTensorVersioned,
    out: *mut *mut DLManagedTensorVersioned,
) -> *mut seed_error {
    catch(|| unsafe {
        let images = NonNull::new(images.cast::<c_void>())
            .ok_or_else(|| Error::invalid("images is NULL, expected a DLManagedTensorVersioned"))?;
        let mut images = torch::dlpack::Lent::import(images)?; // first: from here on the deleter is certain to be called
        check_out("out", out)?;
        let session = with(session, |inner| Ok(inner.current()))?;
        let rows = session.embed_tensor(images.tensor())?;
        if let tch::Device::Cuda(index) = rows.device() {
            torch::finish(index)?;
            if images.tensor().device() == rows.device() {
                images.done();
            }
        }
        put(out, torch::dlpack::export(&rows)?.cast());
        Ok(())
    })
}

/// Exchanges what two sessions run, between two calls: a running station takes a newly distilled student, and `other` then
/// holds the old one. The same call again goes back. Calls under way finish with what they began with; nothing waits.
/// `workers` stays with each session.
///
/// Errors: SEED_ERROR_MISMATCH when their vectors differ in length or kind, since what they are compared with would no
/// longer fit; both are left as they were.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_session_swap(
    session: *const seed_session,
    other: *const seed_session,
) -> *mut seed_error {
    catch(|| with(session, |a| with(other, |b| a.live.exchange(&b.live))))
}

/// Vectors of all images of a data set, in order, by the rule of seed_session_embed. A broken image gives zeros and is
/// counted as skipped: seed_dataset_skipped_count says how many there are, seed_dataset_broken which. `callback`, `user_data` and
/// `cancel` may be NULL.
///
/// Errors: SEED_ERROR_CANCELLED when the callback or the token ended it; where every image is broken, SEED_ERROR_IO when some cannot
/// be read (a folder that is away: try again) and SEED_ERROR_FORMAT when all are damaged, with the first reasons. `buffer` is left
/// alone then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_session_embed_dataset(
    session: *const seed_session,
    dataset: *const seed_dataset,
    callback: seed_count_callback,
    user_data: *mut c_void,
    cancel: *const seed_cancel_token,
    buffer: *mut f32,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        let cancel = token(cancel)?;
        let dataset: Arc<Dataset> = with(dataset, |dataset| Ok(Arc::clone(dataset)))?;
        with(session, |inner| {
            let session = inner.current();
            let needed = product("the result", dataset.len(), session.dim())?;
            if !answer_size(needed, buffer, capacity, length)? {
                return Ok(());
            }
            let asked = Asked::default();
            let mut progress = asked.going_on(callback, user_data, cancel.clone());
            let work = |told: &mut dyn FnMut(usize, usize) -> bool| {
                session.embed_dataset(&dataset, CHUNK, inner.workers, told)
            };
            let result = asked.result(counted(session.rate(), session.device(), &cancel, work, &mut progress))?;
            // Frames that were pushed meanwhile are not part of it.
            std::ptr::copy_nonoverlapping(result.as_ptr(), buffer, needed.min(result.len()));
            Ok(())
        })
    })
}

/// What you should know about the session although nothing failed, such as frames of which much is cut away: one warning a line, each once,
/// by the rule of seed_config_get_string; empty where there is none. After seed_session_swap these are the warnings of what runs now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_session_warnings(
    session: *const seed_session,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        fill_text(&with(session, |session| Ok(session.current().warnings().text()))?, buffer, capacity, length)
    })
}

/// Releases a session. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_session_free(session: *mut seed_session) {
    free(session)
}
