//! Reading an encoded image at the scale that a view needs, by one of two decoders.

use std::path::Path;
use std::sync::Arc;

use super::decode::decode_bytes;
use super::jpeg;
use super::scale::{Reading, ScaledFrame};
use crate::error::{Error, ErrorKind, Result};

/// What the beginning of an image's file says.
#[derive(Clone, Copy)]
pub(super) enum Stored {
    /// A JPEG that can be decoded smaller.
    Scalable(jpeg::Header),
    /// Anything else, which is read at its full size.
    Whole,
}

/// Reads the encoded image at the scale that `reading` gives for it; the scale that was asked for stands in the answer's reading.
/// What libjpeg-turbo refuses is decoded whole by the other decoder, and the other way round: an image is broken where
/// both refuse it, whichever scale was asked for first.
pub(super) fn read_scaled(
    path: &Path,
    bytes: &[u8],
    reading: impl Fn(Stored) -> Reading,
) -> Result<(Stored, Reading, ScaledFrame)> {
    let stored = jpeg::header(bytes)?.map_or(Stored::Whole, Stored::Scalable);
    let reading = reading(stored);
    if let Stored::Scalable(header) = stored
        && reading.scale > 1
        && let Some(frame) = jpeg::decode(bytes, header, reading.scale)?
    {
        let (width, height) = (header.width, header.height);
        let frame = ScaledFrame { frame: Arc::new(frame), width, height, scale: reading.scale };
        return Ok((stored, reading, frame));
    }
    let frame = match (decode_bytes(&path.to_string_lossy(), bytes), stored) {
        (Ok(frame), _) => frame,
        // The other decoder's pixels differ by a level here and there: who lacks memory tries again, and gets the same ones.
        (Err(error), _) if error.kind() == ErrorKind::OutOfMemory => return Err(error),
        (Err(error), Stored::Scalable(header)) if reading.scale == 1 => jpeg::decode(bytes, header, 1)?.ok_or(error)?,
        (Err(error), _) => return Err(error),
    };
    if let Stored::Scalable(header) = stored
        && (frame.width(), frame.height()) != (header.width, header.height)
    {
        let reason = format!("decodes to {frame:?}, but its header says {}×{}", header.width, header.height);
        return Err(Error::format(path, reason));
    }
    Ok((stored, reading, ScaledFrame::whole(Arc::new(frame))))
}
