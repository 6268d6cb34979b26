//! `seed_student_export`: students for other programs, and the options of every export.

use std::ffi::c_char;
use std::path::Path;
use std::sync::Arc;

use super::border::catch;
use super::error::seed_error;
use super::handle::with;
use super::pointers::{check_out, check_size, text};
use super::student::seed_student;
use crate::export::{ExportInput, Format, Options, Outputs, export};
use crate::train::shared::with_lock;
use crate::{Error, ErrorKind, Result};

/// An ONNX model, operator set 17, with a free batch size.
pub const SEED_EXPORT_ONNX: i32 = 1;
/// A TorchScript module, for torch::jit::load and torch.jit.load.
pub const SEED_EXPORT_TORCHSCRIPT: i32 = 2;
/// safetensors with torchvision's names; a projection stands in place of the classifier's last linear layer.
pub const SEED_EXPORT_TORCHVISION: i32 = 3;
/// safetensors with torchvision's names, without the head.
pub const SEED_EXPORT_BACKBONE: i32 = 4;

/// The network takes float32 (B, 3, H, W), red, green, blue, normalised by the caller with the student's mean and std.
pub const SEED_EXPORT_INPUT_NORMALISED: i32 = 0;
/// The network takes float32 (B, 3, H, W) in [0, 1] and normalises.
pub const SEED_EXPORT_INPUT_UNIT: i32 = 1;
/// The network takes bytes (B, H, W, 3), red, green, blue, and does the rest.
pub const SEED_EXPORT_INPUT_BYTES: i32 = 2;

/// The network gives "embedding" (B, C), unit rows; with a classifier "logits".
pub const SEED_EXPORT_OUTPUT_EMBEDDING: i32 = 0;
/// The network gives "features" (B, D), not normalised.
pub const SEED_EXPORT_OUTPUT_FEATURES: i32 = 1;
/// Both, the embedding first.
pub const SEED_EXPORT_OUTPUT_BOTH: i32 = 2;
/// The feature maps "c2", "c3", "c4" and "c5" (B, C, H/stride, W/stride), rounded up, of strides 4, 8, 16 and 32, as the neck of a detector
/// takes them. Vision Transformers have none.
pub const SEED_EXPORT_OUTPUT_STAGES: i32 = 3;

/// How a student, a classifier or a detector is exported. Set all of it to 0 and struct_size to sizeof(seed_export_options) first.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct seed_export_options {
    /// sizeof(seed_export_options).
    pub struct_size: usize,
    /// SEED_EXPORT_ONNX, _TORCHSCRIPT, _TORCHVISION or _BACKBONE; of a classifier or a detector SEED_EXPORT_ONNX.
    pub format: i32,
    /// SEED_EXPORT_INPUT_*; a file of weights has no input.
    pub input: i32,
    /// SEED_EXPORT_OUTPUT_*; a file of weights has no outputs. Of a classifier or a detector 0, since it gives all it has.
    pub outputs: i32,
    /// 0.
    pub reserved: i32,
}

impl seed_export_options {
    /// Of what is written as ONNX only, with outputs of its own; `what` names it in a message.
    pub(super) fn onnx_input(&self, what: &str) -> Result<ExportInput> {
        let Options { format, input, outputs } = self.options()?;
        let unsupported = |reason: String| Err(Error::new(ErrorKind::Unsupported, reason));
        if format != Format::Onnx {
            return unsupported(format!(
                "{what} is exported as ONNX only: seed_export_options.format is {}, expected SEED_EXPORT_ONNX (1)",
                self.format
            ));
        }
        if outputs != Outputs::Embedding {
            return unsupported(format!(
                "{what} has outputs of its own: seed_export_options.outputs is {}, expected 0",
                self.outputs
            ));
        }
        Ok(input)
    }

    fn options(&self) -> Result<Options> {
        let refuse = |field: &str, found: i32, expected: &str| {
            Err(Error::invalid(format!("seed_export_options.{field} is {found}, expected {expected}")))
        };
        check_size::<Self>("seed_export_options", self.struct_size)?;
        if self.reserved != 0 {
            return refuse("reserved", self.reserved, "0");
        }
        let format = match self.format {
            SEED_EXPORT_ONNX => Format::Onnx,
            SEED_EXPORT_TORCHSCRIPT => Format::TorchScript,
            SEED_EXPORT_TORCHVISION => Format::Torchvision,
            SEED_EXPORT_BACKBONE => Format::Backbone,
            other => return refuse("format", other, "SEED_EXPORT_ONNX to SEED_EXPORT_BACKBONE (1 to 4)"),
        };
        let input = match self.input {
            SEED_EXPORT_INPUT_NORMALISED => ExportInput::Normalised,
            SEED_EXPORT_INPUT_UNIT => ExportInput::Unit,
            SEED_EXPORT_INPUT_BYTES => ExportInput::Bytes,
            other => return refuse("input", other, "SEED_EXPORT_INPUT_* (0 to 2)"),
        };
        let outputs = match self.outputs {
            SEED_EXPORT_OUTPUT_EMBEDDING => Outputs::Embedding,
            SEED_EXPORT_OUTPUT_FEATURES => Outputs::Features,
            SEED_EXPORT_OUTPUT_BOTH => Outputs::Both,
            SEED_EXPORT_OUTPUT_STAGES => Outputs::Stages,
            other => return refuse("outputs", other, "SEED_EXPORT_OUTPUT_* (0 to 3)"),
        };
        Ok(Options { format, input, outputs })
    }
}

/// Writes the student as it is now for other programs, to the student's image size and any batch size; a run may go on meanwhile.
/// The file carries the student's description and provenance, which seed_model_open reads. It is checked before it is in place:
/// weights and ONNX models are read back and compared, TorchScript modules are run against the student. On an error what stood
/// at `path` is as it was. docs/export.md has a use of each format.
///
/// Errors: SEED_ERROR_INVALID_ARGUMENT for options out of bounds and a student that has diverged; SEED_ERROR_UNSUPPORTED for
/// an operation that the format lacks here, naming it, for stages of a network without them, and an ONNX model of 2 GB and more;
/// SEED_ERROR_IO.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_student_export(
    student: *const seed_student,
    path: *const c_char,
    options: *const seed_export_options,
) -> *mut seed_error {
    // SAFETY: passed on from the C caller.
    catch(|| unsafe {
        let path = Path::new(text("path", path)?);
        check_out("options", options.cast_mut())?;
        let options = (*options).options()?;
        let (network, header) = with(student, |student| Ok((Arc::clone(&student.network), student.header()?)))?;
        // The lock is held for the copy alone.
        let mut network = with_lock(&network, |network| network.deep_copy())?;
        network.to_device(tch::Device::Cpu)?;
        export(path, &network, &header, &options)
    })
}
