//! `seed_weights_describe`: what a file of weights is, before anything is made of it.

use std::ffi::c_char;
use std::path::Path;

use super::border::catch;
use super::error::seed_error;
use super::pointers::{check_out, fill_text, text};
use crate::model::describe;

/// Says what a file of weights holds, as JSON, by the rule of seed_config_get_string: "format" ("safetensors", "torch_zip" or
/// "torch_legacy"), "metadata" (the texts in the file) and "states", one for each state dict, with the keys it lies "under", the
/// number of "tensors" and "elements", the element "types", the "first_names", and "networks": each architecture whose weights
/// all are there, by names and shapes, with "architecture" (for seed_teacher_load and seed_student_new), "layout" (whose names
/// they are), "prefix" (what stands before each name) and "head" ("kind" and widths). Where there is none, "nearest" is the
/// architecture that has the largest share of its tensors there. The file is read as data, and its tensors' bytes are not read.
/// May be called from several threads at once.
///
/// Errors: SEED_ERROR_IO, SEED_ERROR_FORMAT for a damaged or hostile file, SEED_ERROR_BUFFER_TOO_SMALL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_weights_describe(
    path: *const c_char,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    // SAFETY: passed on from the C caller.
    catch(|| unsafe {
        let path = Path::new(text("path", path)?);
        check_out("length", length)?;
        fill_text(&describe(path)?.to_string(), buffer, capacity, length)
    })
}
