//! Reading an encoded image at the scale that a view needs.

use std::path::Path;
use std::sync::Arc;

use super::decode::{decode_described, guarded};
use super::jpeg;
use super::range::Range;
use super::raw::RawFrame;
use super::scale::{Reading, ScaledFrame};
use crate::error::Result;

/// What the beginning of an image's file says.
#[derive(Clone, Copy)]
pub(super) enum Stored {
    /// A JPEG, which can be decoded smaller.
    Scalable(jpeg::Header),
    /// Anything else, which is read at its full size.
    Whole,
}

/// Reads the encoded image at the scale that `reading` gives for it, its samples made levels by `range`; the scale that was asked for stands in the answer's reading.
/// One decoder reads a JPEG at every scale, so whether an image is broken does not depend on the scale.
pub(super) fn read_scaled(
    path: &Path,
    bytes: &[u8],
    range: &Range,
    reading: impl Fn(Stored) -> Reading,
) -> Result<(Stored, Reading, ScaledFrame)> {
    let name = path.to_string_lossy();
    if !jpeg::is_jpeg(bytes) {
        let reading = reading(Stored::Whole);
        let frame = decode_described(&name, bytes)?.frame.into_frame(range)?;
        return Ok((Stored::Whole, reading, ScaledFrame::whole(Arc::new(frame))));
    }
    let header = guarded(&name, || jpeg::header(bytes))?;
    let reading = reading(Stored::Scalable(header));
    let frame = guarded(&name, || jpeg::decode(bytes, header, reading.scale))?;
    let frame = if range.is_full() { frame } else { RawFrame::from(frame).into_frame(range)? };
    let (width, height) = (header.width, header.height);
    let frame = ScaledFrame { frame: Arc::new(frame), width, height, scale: reading.scale };
    Ok((Stored::Scalable(header), reading, frame))
}
