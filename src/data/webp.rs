//! WebP by the crate `image-webp`: lossy, lossless, with alpha (dropped), of an animation the first frame.
//!
//! ```text
//! "RIFF" · length u32 · "WEBP" · chunks: kind · length u32, little endian · content · 0 where the length is odd
//! ```
//!
//! Lossless files have PIL's values exactly. Those of lossy ones are libwebp's too, but for rounding where colours are interpolated;
//! tests/data/formats.rs says by how much. A file that is shorter than it says is refused here, since the crate would make up its pixels.

use std::io::Cursor;

use image_webp::{DecodingError, WebPDecoder};

use super::decoded::{Decoded, MAX_BYTES, UPRIGHT, grey_if_all_are, pick};
use super::exif::of_exif;
use super::frame::MAX_SIDE;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::memory::{filled, spare};

/// Bytes for each pixel that the decoder takes: a canvas of four, a frame of four, planes, and the codes of lossless files.
const PIXEL: u64 = 12;

/// Tables and what stands beside the pixels.
const TABLES: u64 = 4 << 20;

/// Whether these are the first bytes of a WebP.
pub(super) fn is_webp(bytes: &[u8]) -> bool {
    bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP")
}

/// The image of the file.
///
/// # Errors
/// `Format` where the file is damaged or too large, `OutOfMemory`.
pub(super) fn decode(bytes: &[u8]) -> Result<Decoded> {
    let orientation = checked_orientation(bytes)?;
    spare(TABLES as usize + bytes.len(), "the header of an image")?;
    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(|error| refused(&error))?;
    let (width, height) = decoder.dimensions();
    let channels = if decoder.has_alpha() { 4 } else { 3 };
    let size = u64::from(width) * u64::from(height) * channels;
    if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) || size > MAX_BYTES {
        let reason = format!(
            "the WebP has {width}×{height} pixels: at most {MAX_SIDE} pixels a side and {MAX_BYTES} bytes decoded are accepted"
        );
        return Err(Error::new(ErrorKind::Format, reason));
    }
    // At most MAX_BYTES.
    let mut samples = filled(0u8, size as usize, "a frame")?;
    let needed = PIXEL * u64::from(width) * u64::from(height) + TABLES;
    spare(needed as usize, "decoding an image")?;
    decoder.read_image(&mut samples).map_err(|error| refused(&error))?;
    let pixels = if channels == 4 { pick(&samples, 4, 3, |[sample]: [u8; 1]| sample)? } else { samples };
    let frame = grey_if_all_are(width, height, 3, pixels)?.into();
    Ok(Decoded { orientation, ..Decoded::new(frame, "webp", 3, 8) })
}

/// The orientation that the file names; it has all of its chunks.
fn checked_orientation(bytes: &[u8]) -> Result<u8> {
    let damaged = || Error::new(ErrorKind::Format, "damaged WebP: the file ends before its pixels do");
    let number = |bytes: &[u8]| Some(u32::from_le_bytes(*bytes.first_chunk()?) as usize);
    let length = bytes.get(4..).and_then(number).ok_or_else(damaged)?;
    // What stands behind the container is not looked at.
    let mut rest = bytes.get(12..length.checked_add(8).ok_or_else(damaged)?).ok_or_else(damaged)?;
    let mut orientation = UPRIGHT;
    while let Some((kind, behind)) = rest.split_first_chunk::<4>() {
        let content = number(behind).and_then(|length| behind[4..].get(..length)).ok_or_else(damaged)?;
        if kind == b"EXIF" && orientation == UPRIGHT {
            orientation = of_exif(content);
        }
        rest = behind[4..].get(content.len().next_multiple_of(2)..).unwrap_or_default();
    }
    Ok(orientation)
}

/// The crate's error as ours.
fn refused(error: &DecodingError) -> Error {
    Error::new(ErrorKind::Format, format!("damaged WebP: {error}"))
}
