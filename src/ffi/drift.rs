//! `seed_drift`: whether frames are still those that a student was made for, from its embeddings alone.

use std::ffi::c_char;
use std::path::Path;

use super::border::catch;
use super::error::seed_error;
use super::eval::vectors;
use super::handle::{Guarded, free, handle, with};
use super::pointers::check_size;
use super::pointers::{check_out, put, put_new, text};
use super::session::seed_session;
use crate::eval::DriftReference;

/// A sample of a student's embeddings from good days, which batches of later days are compared with. All functions may be
/// called from several threads at once.
pub struct seed_drift(Guarded<DriftReference>);
handle!(seed_drift, DriftReference);

/// What a batch says. Set struct_size to sizeof(seed_drift_signal) first.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct seed_drift_signal {
    /// sizeof(seed_drift_signal).
    pub struct_size: usize,
    /// Energy distance of the batch from the reference; about 0 when nothing has changed.
    pub energy: f64,
    /// What one of a hundred batches of the reference's own rows exceeds.
    pub threshold: f64,
    /// Share of the reference's own batches that reach this energy, from 1/1000 on.
    pub p_value: f64,
    /// Mean of 1 − cosine to the nearest reference row.
    pub nearest: f64,
    /// The same of the reference's own rows.
    pub nearest_reference: f64,
    /// Share of the batch that is farther from the reference than 99 % of its own rows.
    pub outside: f64,
    /// 1 when the energy is above the threshold, else 0.
    pub raised: i32,
}

/// Makes a reference of `count` embeddings of `dim` floats, at least 20, better some hundreds; of more than 4096, as many at even
/// distances are used. The caller frees it with seed_drift_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_drift_new(
    embeddings: *const f32,
    count: usize,
    dim: usize,
    out: *mut *mut seed_drift,
) -> *mut seed_error {
    // SAFETY: passed on from the C caller, as in every function of this file.
    catch(|| unsafe { put_new(out, || DriftReference::new(&vectors("embeddings", embeddings, count, dim)?)) })
}

/// Reads a reference that seed_drift_save wrote. The caller frees it with seed_drift_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_drift_load(path: *const c_char, out: *mut *mut seed_drift) -> *mut seed_error {
    catch(|| unsafe { put_new(out, || DriftReference::load(Path::new(text("path", path)?))) })
}

/// Notes that the reference is of embeddings of `session`: how its frames become its input ("resize", width, height and channels), which
/// seed_drift_save keeps. A reference that knows it already is compared instead, so call it after seed_drift_new and after
/// seed_drift_load.
///
/// Errors: SEED_ERROR_MISMATCH where its frames were seen in another way; every batch would be far from it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_drift_set_session(
    drift: *const seed_drift,
    session: *const seed_session,
) -> *mut seed_error {
    catch(|| {
        let session = with(session, |session| Ok(session.current()))?;
        with(drift, |drift| drift.belong_to(session.input()))
    })
}

/// Writes the reference to a file (safetensors), atomically: keep it beside the student.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_drift_save(drift: *const seed_drift, path: *const c_char) -> *mut seed_error {
    catch(|| unsafe {
        let path = Path::new(text("path", path)?);
        with(drift, |drift| drift.save(path))
    })
}

/// What a batch of `count` of the same student's embeddings says, 2 to half of the reference's rows; `*signal` has its struct_size
/// set. The first batch of a size takes longest.
///
/// Errors: SEED_ERROR_MISMATCH for another width.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_drift_measure(
    drift: *const seed_drift,
    embeddings: *const f32,
    count: usize,
    dim: usize,
    signal: *mut seed_drift_signal,
) -> *mut seed_error {
    catch(|| unsafe {
        check_out("signal", signal)?;
        check_size::<seed_drift_signal>("seed_drift_signal", (*signal).struct_size)?;
        let batch = vectors("embeddings", embeddings, count, dim)?;
        let found = with(drift, |drift| drift.signal(&batch))?;
        put(
            signal,
            seed_drift_signal {
                struct_size: size_of::<seed_drift_signal>(),
                energy: found.energy,
                threshold: found.threshold,
                p_value: found.p_value,
                nearest: found.nearest,
                nearest_reference: found.nearest_reference,
                outside: found.outside,
                raised: i32::from(found.raised),
            },
        );
        Ok(())
    })
}

/// Releases a reference. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_drift_free(drift: *mut seed_drift) {
    free(drift)
}
