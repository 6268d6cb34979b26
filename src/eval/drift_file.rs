//! A drift reference on disk: safetensors with one tensor, `reference` (n, C) float32, and `format` in its metadata.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::Embeddings;
use super::drift::{DriftReference, MAX_REFERENCE};
use super::report::html::write_whole;
use crate::error::{Error, Result};

/// What `format` says.
const FORMAT: &str = "libseed.drift.1";

/// The largest file that is read: [`MAX_REFERENCE`] rows of 65,536 numbers, and a header.
const MAX_BYTES: u64 = MAX_REFERENCE as u64 * 65_536 * 4 + (1 << 20);

impl DriftReference {
    /// Writes it to `path`, atomically.
    ///
    /// # Errors
    /// `Io`.
    pub fn save(&self, path: &Path) -> Result<()> {
        let bytes: Vec<u8> = self.rows().iter().flat_map(|value| value.to_le_bytes()).collect();
        let damaged = |error: safetensors::SafeTensorError| Error::format(path, error);
        let view = TensorView::new(Dtype::F32, vec![self.len(), self.dim()], &bytes).map_err(damaged)?;
        let metadata = HashMap::from([("format".to_owned(), FORMAT.to_owned())]);
        let file = safetensors::serialize([("reference", view)], Some(metadata)).map_err(damaged)?;
        write_whole(path, &file)
    }

    /// Reads what [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// `Io`; `Format` where it is no such file (names the reason).
    pub fn load(path: &Path) -> Result<Self> {
        let failed = |error: std::io::Error| Error::io("read", path, &error);
        let damaged = |error: safetensors::SafeTensorError| Error::format(path, error);
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(failed)?;
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(Error::format(path, format!("the file has more than {MAX_BYTES} bytes")));
        }
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(damaged)?;
        let format = header.metadata().as_ref().and_then(|metadata| metadata.get("format").cloned());
        if format.as_deref() != Some(FORMAT) {
            return Err(Error::format(path, format!("format is {format:?}, expected {FORMAT:?}")));
        }
        let tensors = SafeTensors::deserialize(&bytes).map_err(damaged)?;
        let reference = tensors.tensor("reference").map_err(damaged)?;
        let &[rows, dim] = reference.shape() else {
            return Err(Error::format(
                path,
                format!("reference has shape {:?}, expected rows of numbers", reference.shape()),
            ));
        };
        if reference.dtype() != Dtype::F32 || rows > MAX_REFERENCE {
            let found = reference.dtype();
            let reason = format!("reference is {rows} rows of {found:?}, expected at most {MAX_REFERENCE} of F32");
            return Err(Error::format(path, reason));
        }
        let values: Vec<f32> = reference
            .data()
            .chunks_exact(4)
            .map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]))
            .collect();
        let unsound = |error: Error| Error::format(path, error.message());
        Self::new(&Embeddings::new(&values, dim).map_err(unsound)?).map_err(unsound)
    }
}
