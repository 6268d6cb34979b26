//! A drift reference on disk: safetensors with one tensor, `reference` (n, C) float32, and in its metadata `format` and, where they
//! are known, `width`, `height`, `channels` and `resize`: how the frames became the network's input.

use std::path::Path;
use std::sync::PoisonError;

use safetensors::{Dtype, SafeTensors};
use serde_json::json;

use super::Embeddings;
use super::drift::{DriftReference, MAX_REFERENCE};
use super::drift_input::DriftInput;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::disk::write_whole;
use crate::sys::files;
use crate::sys::memory::{collected, room};

/// What `format` says.
const FORMAT: &str = "libseed.drift.1";

/// The largest file that is read: [`MAX_REFERENCE`] rows of 65,536 numbers, and a header.
const MAX_BYTES: u64 = MAX_REFERENCE as u64 * 65_536 * 4 + (1 << 20);

/// The longest header that is read; ours has some hundred bytes.
const MAX_HEADER: u64 = 16 << 10;

impl DriftReference {
    /// Writes it to `path`, atomically.
    ///
    /// # Errors
    /// `Io`.
    pub fn save(&self, path: &Path) -> Result<()> {
        let (rows, dim, length) = (self.len(), self.dim(), self.rows().len() * 4);
        let input = self.input().map_or_else(String::new, |DriftInput { width, height, channels, resize, range, roi }| {
            let resize = resize.word();
            let range = match range.is_full() {
                true => String::new(),
                // A text whose JSON stands in a JSON text.
                false => format!(",\"range\":{}", json!(json!(range).to_string())),
            };
            let roi = match roi.is_none() {
                true => String::new(),
                false => format!(",\"roi\":{}", json!(json!(roi).to_string())),
            };
            format!(
                ",\"width\":\"{width}\",\"height\":\"{height}\",\"channels\":\"{channels}\",\"resize\":\"{resize}\"{range}{roi}"
            )
        });
        let mut header = format!(
            "{{\"__metadata__\":{{\"format\":\"{FORMAT}\"{input}}},\
             \"reference\":{{\"dtype\":\"F32\",\"shape\":[{rows},{dim}],\"data_offsets\":[0,{length}]}}}}"
        );
        // Spaces up to a multiple of 8 align the numbers.
        header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
        let mut file = room(8 + header.len() + length, "a drift reference")?;
        file.extend((header.len() as u64).to_le_bytes());
        file.extend(header.bytes());
        file.extend(self.rows().iter().flat_map(|value| value.to_le_bytes()));
        write_whole(path, &file)
    }

    /// Reads what [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// `Io`; `Format` where it is no such file (names the reason).
    pub fn load(path: &Path) -> Result<Self> {
        let damaged = |error: safetensors::SafeTensorError| Error::format(path, error);
        let bytes = files::read(path, MAX_BYTES)?;
        let header = bytes.first_chunk().map_or(0, |&first| u64::from_le_bytes(first));
        if header > MAX_HEADER {
            return Err(Error::format(path, format!("the header has {header} bytes, expected at most {MAX_HEADER}")));
        }
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(damaged)?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let format = metadata.get("format").cloned();
        if format.as_deref() != Some(FORMAT) {
            return Err(Error::format(path, format!("format is {format:?}, expected {FORMAT:?}")));
        }
        let input = DriftInput::read(path, &metadata)?;
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
        let numbers = reference.data().chunks_exact(4);
        let values = collected(
            numbers.map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])),
            "a drift reference",
        )?;
        // Numbers that make no reference are the file's fault; memory and libtorch are not.
        let unsound = |error: Error| match error.kind() {
            ErrorKind::InvalidArgument => Error::format(path, error.message()),
            _ => error,
        };
        let found = Self::new(&Embeddings::new(&values, dim).map_err(unsound)?).map_err(unsound)?;
        *found.input.lock().unwrap_or_else(PoisonError::into_inner) = input;
        Ok(found)
    }
}
