//! A teacher from a TorchScript file: any PyTorch network, with nothing of Python.

use std::path::Path;

use tch::{Device, Kind, Tensor};

use super::embedder::{Embedder, MAX_DIM};
use crate::error::{Error, Result};
use crate::sys::{files, hash};
use crate::torch::script::Script;

/// Larger files are not read: no teacher has as many weights.
const MAX_BYTES: u64 = 64 << 30;

/// A TorchScript module that gives (B, D), or (B, D, 1, 1), for (B, 3, H, W).
pub struct TorchScript {
    script: Script,
    output: String,
    dim: i64,
    identity: String,
    number_format: String,
}

impl TorchScript {
    /// The module in the file `path`, on `device`; `output` is as [`Script::forward`] has it. Images of `height` × `width` are
    /// tried, which tells D. **The file is a program: loading it runs what its author wrote.**
    ///
    /// # Errors
    /// `Io`; `Format` where the file is no TorchScript module; `Mismatch` where the module refuses such images or gives another
    /// shape.
    pub fn load(path: &Path, output: &str, (height, width): (i64, i64), device: Device) -> Result<Self> {
        // What is hashed is what is loaded, even while somebody else writes the file.
        let bytes = files::read(path, MAX_BYTES)?;
        if !bytes.starts_with(b"PK\x03\x04") {
            return Err(Error::format(
                path,
                "no TorchScript file: it is no zip archive; write one with torch.jit.save",
            ));
        }
        let script = Script::load(&bytes, device).map_err(|error| {
            let hint = "is it a file of torch.jit.save? weights alone are loaded by their architecture's name";
            Error::new(error.kind(), format!("{}: {}; {hint}", path.display(), error.message()))
        })?;
        let hash = hash::of(&bytes);
        let identity = format!("torchscript {hash}{}{output}", if output.is_empty() { "" } else { " output " });
        let number_format = script.type_name()?.to_lowercase();
        let mut teacher = Self { script, output: output.to_owned(), dim: 0, identity, number_format };
        // Two images, so that a module that joins the rows of a batch is told.
        let trial = Tensor::f_zeros([2, 3, height, width], (Kind::Float, device))?;
        let rows = teacher.rows(&trial).map_err(|error| error.context(path.display()))?;
        teacher.dim = rows.size()[1];
        Ok(teacher)
    }

    /// (B, 3, H, W) → (B, D).
    fn rows(&self, images: &Tensor) -> Result<Tensor> {
        let batch = images.size()[0];
        let found = self.script.forward(images, &self.output)?;
        match found.size()[..] {
            [rows, dim] if rows == batch && (1..=MAX_DIM).contains(&dim) => Ok(found),
            [rows, dim, 1, 1] if rows == batch && (1..=MAX_DIM).contains(&dim) => Ok(found.f_flatten(1, 3)?),
            _ => Err(Error::mismatch(format!(
                "the module gives {:?} for images {:?}, expected [{batch}, D] or [{batch}, D, 1, 1] with D up to {MAX_DIM}; \
                 wrap it in one that pools to a row an image",
                found.size(),
                images.size()
            ))),
        }
    }
}

impl Embedder for TorchScript {
    fn embed(&self, images: &Tensor) -> Result<Tensor> {
        let rows = self.rows(images)?;
        if rows.size()[1] == self.dim {
            return Ok(rows);
        }
        Err(Error::mismatch(format!("the module gives {} numbers an image, it gave {}", rows.size()[1], self.dim)))
    }

    fn dim(&self) -> i64 {
        self.dim
    }

    fn device(&self) -> Device {
        self.script.device()
    }

    fn name(&self) -> &'static str {
        "torchscript"
    }

    fn identity(&self) -> &str {
        &self.identity
    }

    fn number_format(&self) -> &str {
        &self.number_format
    }

    fn parameter_count(&self) -> Option<i64> {
        Some(self.script.parameter_count())
    }
}
