//! What an exported network is compared on: pictures, and what the student itself makes of them.

use tch::{Device, Kind, Tensor};

use super::outputs::{modules, names};
use super::{ExportInput, Options, Outputs, has_unit_rows};
use crate::error::{Error, ErrorKind, Result};
use crate::infer::calibration_images;
use crate::model::student_file::StudentHeader;
use crate::model::{Mode, Network, unit_rows};

/// Smallest cosine between an exported network's rows and the student's. Float32 differs by 1e-6.
const ALIKE: f64 = 0.9999;

/// Pictures in the form that the exported network takes, and the student's outputs of them in its order.
pub(super) struct Comparison {
    pub input: Tensor,
    expected: Vec<(&'static str, Tensor)>,
}

impl Comparison {
    /// `count` pictures of the student's size; `network` lies on the CPU.
    pub fn new(network: &Network, header: &StudentHeader, options: &Options, count: i64) -> Result<Comparison> {
        // About ±2, brought to levels 0 to 255.
        let pictures = calibration_images(
            count,
            i64::from(header.input.channels),
            i64::from(header.input.height),
            i64::from(header.input.width),
        )?;
        let levels = pictures.f_mul_scalar(50.0)?.f_add_scalar(128.0)?.f_round()?.f_clamp(0.0, 255.0)?;
        let unit = levels.f_div_scalar(255.0)?; // (B, C, H, W)
        let per_channel = |values: &[f64]| -> Result<Tensor> {
            Ok(Tensor::f_from_slice(values)?.f_to_kind(Kind::Float)?.f_view([1, -1, 1, 1])?)
        };
        let (mean, std) = header.input.normal();
        let normalised = unit.f_sub(&per_channel(&mean)?)?.f_div(&per_channel(&std)?)?;
        let names = names(network.head(), options.outputs);
        let expected = if options.outputs == Outputs::Stages {
            let modules = modules(network.architecture())?;
            let modules: Vec<&str> = modules.iter().map(String::as_str).collect();
            names.into_iter().zip(network.maps(&normalised, &modules, Mode::Eval)?).collect()
        } else {
            let features = network.features(&normalised, Mode::Eval)?;
            let output = network.head_forward(features.shallow_clone(), Mode::Eval)?;
            let output = if has_unit_rows(network.head()) { unit_rows(&output)? } else { output };
            let expected = names.into_iter().map(|name| match name {
                "features" => (name, features.shallow_clone()),
                _ => (name, output.shallow_clone()),
            });
            expected.collect()
        };
        let input = match options.input {
            ExportInput::Normalised => normalised,
            ExportInput::Unit => unit,
            ExportInput::Bytes => levels.f_permute([0, 2, 3, 1])?.f_to_kind(Kind::Uint8)?.f_contiguous()?,
        };
        Ok(Comparison { input, expected })
    }

    /// Refuses a student that gives NaN or infinite numbers.
    pub fn check_finite(&self) -> Result<()> {
        for (name, rows) in &self.expected {
            if rows.f_isfinite()?.f_all()?.f_int64_value(&[])? == 0 {
                return Err(Error::invalid(format!("the student's {name} are not finite: it has diverged")));
            }
        }
        Ok(())
    }

    /// Refuses outputs that are not the student's.
    pub fn check(&self, found: &[Tensor]) -> Result<()> {
        let wrong = |reason: String| {
            Error::new(
                ErrorKind::Internal,
                format!("the exported network does not compute what the student does: {reason}"),
            )
        };
        if found.len() != self.expected.len() {
            return Err(wrong(format!("{} outputs, expected {}", found.len(), self.expected.len())));
        }
        for ((name, expected), found) in self.expected.iter().zip(found) {
            if found.size() != expected.size() || found.f_kind()? != Kind::Float || found.device() != Device::Cpu {
                return Err(wrong(format!(
                    "{name} is {:?} {:?}, expected Float {:?}",
                    found.f_kind()?,
                    found.size(),
                    expected.size()
                )));
            }
            let (found, expected) = (found.f_flatten(1, -1)?, expected.f_flatten(1, -1)?);
            let cosine = Tensor::f_cosine_similarity(&found, &expected, 1, 1e-12)?.f_min()?.f_double_value(&[])?;
            // Cosine says nothing of lengths.
            let scale = expected.f_abs()?.f_max()?.f_double_value(&[])?.max(1e-12);
            let error = found.f_sub(&expected)?.f_abs()?.f_max()?.f_double_value(&[])? / scale;
            let all_zero = scale <= 1e-12 && found.f_abs()?.f_max()?.f_double_value(&[])? <= 1e-12;
            // Written so that NaN fails.
            if !(all_zero || cosine >= ALIKE && error <= 1e-2) {
                return Err(wrong(format!(
                    "cosine of {name} is {cosine}, at least {ALIKE} is expected; the largest difference is {error} of the largest \
                     number"
                )));
            }
        }
        Ok(())
    }
}
