//! `seed_teacher`: the frozen network that is learned from.

use std::ffi::c_char;
use std::path::Path;
use std::sync::Arc;

use super::border::catch;
use super::config::seed_config;
use super::error::seed_error;
use super::handle::{Guarded, free, handle, with};
use super::pointers::{check_out, put, put_new, text};
use crate::device;
use crate::model::{Architecture, Teacher};

/// A frozen network in eval mode. Trainers and sessions hold what they use. All functions but seed_teacher_free may be
/// called from several threads at once.
pub struct seed_teacher(pub(super) Guarded<Arc<Teacher>>);
handle!(seed_teacher, Arc<Teacher>);

/// Reads a teacher's weights from a safetensors file or a torch checkpoint (.pt, .pth, .pth.tar; zip or legacy format),
/// which is read as data: nothing in it is executed. Without a projection head in the file the embedding is the backbone's
/// features. `architecture` as for seed_student_new; "device" comes from `config`. The caller frees it.
///
/// Errors: SEED_ERROR_IO, SEED_ERROR_FORMAT for a damaged or hostile file, SEED_ERROR_MISMATCH listing missing, unexpected
/// and misshapen keys.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_teacher_load(
    path: *const c_char,
    architecture: *const c_char,
    config: *const seed_config,
    out: *mut *mut seed_teacher,
) -> *mut seed_error {
    // SAFETY: passed on from the C caller, as in every function of this file.
    catch(|| unsafe {
        let path = Path::new(text("path", path)?);
        let architecture = Architecture::parse(text("architecture", architecture)?)?;
        put_new(out, || {
            let device = with(config, |config| device::parse(&config.device))?;
            Ok(Arc::new(Teacher::from_file(architecture, path, device)?.into_channels_last()?))
        })
    })
}

/// The width of the teacher's embedding; set "embedding_dim" to it before making the student.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_teacher_dim(teacher: *const seed_teacher, out: *mut i64) -> *mut seed_error {
    catch(|| unsafe {
        check_out("out", out)?;
        put(out, with(teacher, |teacher| Ok(teacher.embedding_dim()))?);
        Ok(())
    })
}

/// The number of parameters.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_teacher_parameter_count(teacher: *const seed_teacher, out: *mut i64) -> *mut seed_error {
    catch(|| unsafe {
        check_out("out", out)?;
        put(out, with(teacher, |teacher| teacher.parameter_count())?);
        Ok(())
    })
}

/// Releases a teacher. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_teacher_free(teacher: *mut seed_teacher) {
    unsafe { free(teacher) }
}
