//! `seed_teacher`: what is learned from.

use std::ffi::c_char;
use std::path::Path;
use std::sync::Arc;

use super::border::catch;
use super::config::seed_config;
use super::error::seed_error;
use super::handle::{Guarded, free, handle, warnings, with};
use super::pointers::{check_out, fill_text, put, put_new, text};
use crate::device;
use crate::model::{Architecture, Teacher, TorchScript};

/// What is learned from: a frozen network, a TorchScript file, or an engine of the application
/// (seed_teacher_from_callback). Trainers and sessions hold what they use. All functions may be called from several threads
/// at once.
pub struct seed_teacher(pub(super) Guarded<Arc<Teacher>>);
handle!(seed_teacher, Arc<Teacher>, |teacher| teacher.warnings());

/// Reads a teacher's weights from a safetensors file or a torch checkpoint (.pt, .pth, .pth.tar; zip or legacy format),
/// which is read as data: nothing in it is executed. Without a projection head in the file the embedding is the backbone's
/// features. A Vision Transformer keeps the file's grid of positions, which must be square. `architecture` as for
/// seed_student_new; "device" comes from `config`. The caller frees it.
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

/// Makes a teacher of a TorchScript file, written by torch.jit.save: any PyTorch network that takes float images
/// (B, 3, H, W), normalised by "mean" and "std" of the run, and gives floating-point rows (B, D), or (B, D, 1, 1). Where it
/// gives a tuple, a list or a dict, `output` says which tensor to take, by its key, field or number from 0; NULL takes the
/// first. It is put into eval mode, frozen, moved to the "device" of `config` and tried on images of "image_width" and
/// "image_height", which tells D. It computes in the type of its weights, whatever "precision" says. The caller frees it.
///
/// A TorchScript file is a program, unlike a file of weights: what it contains is run in this process, with all rights of
/// this process. Load only what you would also run.
///
/// Errors: SEED_ERROR_IO, SEED_ERROR_FORMAT when the file is no TorchScript module, SEED_ERROR_MISMATCH when it refuses such
/// images or gives something else, with what it gave.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_teacher_load_torchscript(
    path: *const c_char,
    output: *const c_char,
    config: *const seed_config,
    out: *mut *mut seed_teacher,
) -> *mut seed_error {
    catch(|| unsafe {
        let path = Path::new(text("path", path)?);
        let output = if output.is_null() { "" } else { text("output", output)? };
        put_new(out, || {
            let config = with(config, |config| Ok(config.clone()))?;
            config.validate()?;
            let device = device::parse(&config.device)?;
            let size = (i64::from(config.view.height), i64::from(config.view.width));
            Ok(Arc::new(Teacher::from_embedder(TorchScript::load(path, output, size, device)?)))
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
///
/// Errors: SEED_ERROR_UNSUPPORTED for an engine of the application, which libseed cannot look into.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_teacher_parameter_count(teacher: *const seed_teacher, out: *mut i64) -> *mut seed_error {
    catch(|| unsafe {
        check_out("out", out)?;
        put(out, with(teacher, |teacher| teacher.parameter_count())?);
        Ok(())
    })
}

/// What you should know about the teacher although nothing failed, such as tensors of its file that were not understood: one warning a line,
/// each once, by the rule of seed_config_get_string; empty where there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_teacher_warnings(
    teacher: *const seed_teacher,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe { fill_text(&warnings(teacher)?, buffer, capacity, length) })
}

/// Releases a teacher. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_teacher_free(teacher: *mut seed_teacher) {
    free(teacher)
}
