//! `seed_event_file`: scalars for TensorBoard.

use std::ffi::c_char;
use std::path::Path;

use super::border::catch;
use super::error::seed_error;
use super::handle::{Guarded, free, handle, with_mut};
use super::pointers::{put_new, text};
use crate::events::EventFile;

/// A file of scalars that TensorBoard reads, for what the application measures: agreement, drift. Distillation and full
/// fine-tuning write their own where "tensorboard_folder" is set. Used by one thread at a time.
pub struct seed_event_file(Guarded<EventFile>);
handle!(seed_event_file, EventFile);

/// Begins a new event file in `folder`, which is made where it is absent and may hold earlier ones. `first_step` is the first step
/// that will be written: TensorBoard then drops what earlier files of the folder say about it and later steps, so a run that goes on
/// from a checkpoint shows no step twice. The caller frees it with seed_event_file_free.
///
/// Errors: SEED_ERROR_IO.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_event_file_new(
    folder: *const c_char,
    first_step: u64,
    out: *mut *mut seed_event_file,
) -> *mut seed_error {
    // SAFETY: passed on from the C caller, as in every function of this file.
    catch(|| unsafe { put_new(out, || EventFile::create(Path::new(text("folder", folder)?), first_step)) })
}

/// Writes a value (kept as float) of `tag` at `step`, with the time of now. A tag "a/b" is shown in group a. It is in the file when the
/// call returns, whatever becomes of the process.
///
/// Errors: SEED_ERROR_IO; SEED_ERROR_INVALID_ARGUMENT for an empty tag or a step above 2^63 - 1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_event_file_add_scalar(
    event_file: *mut seed_event_file,
    tag: *const c_char,
    step: u64,
    value: f64,
) -> *mut seed_error {
    catch(|| unsafe {
        let tag = text("tag", tag)?;
        with_mut(event_file, |events| events.scalars(step, &[(tag, value)]))
    })
}

/// Closes an event file. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_event_file_free(event_file: *mut seed_event_file) {
    free(event_file)
}
