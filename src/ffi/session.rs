//! `seed_session`: images to vectors.

use std::ffi::{c_char, c_void};
use std::path::Path;
use std::sync::Arc;

use super::border::catch;
use super::cancel::seed_cancel_token;
use super::config::seed_config;
use super::dataset::seed_dataset;
use super::error::seed_error;
use super::handle::{Guarded, free, handle, with};
use super::image::{Images, seed_image};
use super::pointers::{answer_size, check_out, fill_text, product, put, put_new, text};
use super::student::seed_student;
use super::teacher::seed_teacher;
use crate::config::Config;
use crate::data::Dataset;
use crate::infer::{Output, Session, SessionOptions};
use crate::train::CancelToken;
use crate::train::distill::lock;
use crate::{Result, device};

/// A snapshot of a network that turns images into vectors. It never changes; all functions but seed_session_free may be
/// called from several threads at once.
pub struct seed_session(Guarded<SessionInner>);
handle!(seed_session, SessionInner);

/// A session with the number of threads that prepare its images.
pub struct SessionInner {
    session: Session,
    workers: usize,
}

/// Images that go through the network at once.
const CHUNK: usize = 32;

/// Receives how many images of how many are done, on the thread that called; a return other than 0 cancels.
pub type seed_count_callback = Option<unsafe extern "C" fn(done: usize, total: usize, user_data: *mut c_void) -> i32>;

fn make(config: &Config, build: impl FnOnce(SessionOptions) -> Result<Session>) -> Result<SessionInner> {
    let device = device::parse(&config.device)?;
    let precision = match config.precision.as_str() {
        "auto" => None,
        chosen => Some(device::precision(chosen, device)?),
    };
    let options = SessionOptions { device, precision, output: Output::parse(&config.output)? };
    Ok(SessionInner { session: build(options)?, workers: usize::try_from(config.workers).unwrap_or(0) })
}

/// Opens a student file. Input size, mean and std are the file's; "device", "precision", "output" and "workers" come from
/// `config`. "precision" "auto" is bfloat16 where the device computes in it and vectors keep a cosine of .999 to float32 on
/// calibration images. Opening tries out the fastest way to compute, some tens of forward passes. The caller frees the
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

/// Makes a session of a student's weights as they are now; the student may go on learning. Input size, mean and std are the
/// student's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_session_from_student(
    student: *const seed_student,
    config: *const seed_config,
    out: *mut *mut seed_session,
) -> *mut seed_error {
    catch(|| unsafe {
        put_new(out, || {
            let (network, view) = with(student, |student| Ok((Arc::clone(&student.network), student.header.view())))?;
            with(config, |config| make(config, |options| Session::new(&*lock(&network)?, &view, options)))
        })
    })
}

/// Makes a session of a teacher. Image size, mean and std come from `config`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_session_from_teacher(
    teacher: *const seed_teacher,
    config: *const seed_config,
    out: *mut *mut seed_session,
) -> *mut seed_error {
    catch(|| unsafe {
        put_new(out, || {
            let teacher = with(teacher, |teacher| Ok(Arc::clone(teacher)))?;
            with(config, |config| {
                config.validate()?;
                make(config, |options| Session::of_teacher(&teacher, &config.view, options))
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
        let text = with(session, |session| Ok(session.session.describe()))?;
        fill_text(&text, buffer, capacity, length)
    })
}

/// D, the number of floats that one image gives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_session_dim(session: *const seed_session, out: *mut i64) -> *mut seed_error {
    catch(|| unsafe {
        check_out("out", out)?;
        let dim = with(session, |session| Ok(session.session.dim()))?;
        put(out, i64::try_from(dim).unwrap_or(i64::MAX));
        Ok(())
    })
}

/// The number of parameters, head included.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_session_parameter_count(session: *const seed_session, out: *mut i64) -> *mut seed_error {
    catch(|| unsafe {
        check_out("out", out)?;
        put(out, with(session, |session| Ok(session.session.parameter_count()))?);
        Ok(())
    })
}

/// Vectors of `count` images of any sizes: count·D floats, image after image, into `buffer`. NULL asks for the size; too
/// small a buffer is left alone; `*length` receives the number of floats needed.
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
            let needed = product("the result", count, inner.session.dim())?;
            if !answer_size(needed, buffer, capacity, length)? {
                return Ok(());
            }
            let images = Images::new(images, count)?;
            // `answer_size` checked place and capacity of the buffer.
            let out = std::slice::from_raw_parts_mut(buffer, needed);
            inner.session.embed_each(count, |i| images.view(i), out)?;
            Ok(())
        })
    })
}

/// Vectors of all images of a data set, in order, by the rule of seed_session_embed. A broken image gives zeros and is
/// counted as skipped. `callback`, `user_data` and `cancel` may be NULL.
///
/// Errors: SEED_ERROR_CANCELLED when the callback or the token ended it; `buffer` is left alone then.
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
        let cancel = if cancel.is_null() { CancelToken::new() } else { with(cancel, |token| Ok(token.clone()))? };
        let dataset: Arc<Dataset> = with(dataset, |dataset| Ok(Arc::clone(dataset)))?;
        with(session, |inner| {
            let needed = product("the result", dataset.len(), inner.session.dim())?;
            if !answer_size(needed, buffer, capacity, length)? {
                return Ok(());
            }
            let result = inner.session.embed_dataset(&dataset, CHUNK, inner.workers, &mut |done, total| {
                !cancel.is_triggered() && callback.is_none_or(|call| call(done, total, user_data) == 0)
            })?;
            // Frames that were pushed meanwhile are not part of it.
            std::ptr::copy_nonoverlapping(result.as_ptr(), buffer, needed.min(result.len()));
            Ok(())
        })
    })
}

/// Releases a session. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_session_free(session: *mut seed_session) {
    unsafe { free(session) }
}
