//! Reading an encoded image at the scale that a view needs.

use std::path::Path;
use std::sync::Arc;

use super::decode::{decode_by, guarded};
use super::decoded::{Decoded, UPRIGHT};
use super::exif::{self, is_turned_aside};
use super::files::{Exif, FileOptions};
use super::jpeg;
use super::range::Range;
use super::scale::{Reading, ScaledFrame};
use crate::error::Result;

/// What the beginning of an image's file says.
#[derive(Clone, Copy)]
pub(super) enum Stored {
    /// A JPEG, which can be decoded smaller: its header, and how it is to be turned.
    Scalable(jpeg::Header, u8),
    /// Anything else, which is read at its full size.
    Whole,
}

impl Stored {
    /// Width and height of the upright frame, of what can be decoded smaller.
    pub fn sides(self) -> Option<(u32, u32)> {
        match self {
            Self::Scalable(header, orientation) if is_turned_aside(orientation) => Some((header.height, header.width)),
            Self::Scalable(header, _) => Some((header.width, header.height)),
            Self::Whole => None,
        }
    }
}

/// What is to be said of a file that was read.
#[derive(Clone, Copy)]
pub(super) struct Told {
    /// Whether its frame was turned upright.
    pub turned: bool,
    /// Whether it has more pages behind the one that was read.
    pub has_more_pages: bool,
}

impl Told {
    pub fn of(decoded: &Decoded) -> Self {
        Self { turned: decoded.orientation != UPRIGHT, has_more_pages: decoded.has_more_pages }
    }
}

/// An image that was read: what its file is, how it was asked for, its frame, and what is to be said of it.
pub(super) type Read = (Stored, Reading, ScaledFrame, Told);

/// Reads the encoded image at the scale that `reading` gives for it, its samples made levels by `range`; the scale that was asked for stands in the answer's reading.
/// One decoder reads a JPEG at every scale, so whether an image is broken does not depend on the scale.
pub(super) fn read_scaled(
    path: &Path,
    bytes: &[u8],
    range: &Range,
    options: &FileOptions,
    reading: impl Fn(Stored) -> Reading,
) -> Result<Read> {
    let name = path.to_string_lossy();
    if !jpeg::is_jpeg(bytes) {
        let reading = reading(Stored::Whole);
        let decoded = decode_by(&name, bytes, options)?;
        let told = Told::of(&decoded);
        let frame = decoded.frame.into_frame(range)?;
        return Ok((Stored::Whole, reading, ScaledFrame::whole(Arc::new(frame)), told));
    }
    let header = guarded(&name, || jpeg::header(bytes))?;
    let orientation = if options.exif == Exif::Apply { exif::of_jpeg(bytes) } else { UPRIGHT };
    let stored = Stored::Scalable(header, orientation);
    let reading = reading(stored);
    let mut scale = reading.scale;
    if orientation != UPRIGHT {
        // The last pixel of a side that the scale does not divide stands for less than the others, and would come first.
        while !header.width.is_multiple_of(scale) || !header.height.is_multiple_of(scale) {
            scale /= 2;
        }
    }
    let frame = guarded(&name, || jpeg::decode(bytes, header, scale))?;
    let frame = exif::upright(frame.into(), orientation)?.into_frame(range)?;
    let (width, height) = stored.sides().unwrap_or((header.width, header.height));
    let frame = ScaledFrame { frame: Arc::new(frame), width, height, scale };
    Ok((stored, reading, frame, Told { turned: orientation != UPRIGHT, has_more_pages: false }))
}
