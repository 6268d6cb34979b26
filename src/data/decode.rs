//! JPEG, PNG, BMP, TIFF, WebP and PNM files → [`RawFrame`] in the depth they are kept in, or [`Frame`] of (H, W, C) bytes.
//!
//! The kind of file is told by its content, never by its name. Each kind has one decoder: [`super::jpeg`],
//! [`super::tiff`], [`super::bmp`], [`super::webp`], [`super::pnm`], and for PNG the crate `image`. The values are PIL's (`Image.convert("RGB")`), and what cannot be read with these
//! values is refused with a reason that names the feature; tests/data/formats.rs holds a matrix of files to it. Grey of
//! 12 and 16 bits and colour of 16 stay as deep in a [`RawFrame`]; the functions that give a [`Frame`] take the upper 8 bits, as the full
//! range does. The `sBIT` chunk of a PNG is followed: where it says that 12 of 16 bits are real, samples are the upper 12. Samples of
//! float are refused. Alpha is dropped. Frames are turned
//! as the orientation in their file says, as PIL's `ImageOps.exif_transpose` does, and of several pages the first is read, unless
//! [`FileOptions`] say otherwise. An image whose every pixel is grey comes out with C = 1, whatever it is stored as: its views are the same and cost less.
//!
//! This is the reading of whole files; JPEG that a view needs smaller goes through [`super::scale`].
//!
//! A file is hostile until decoded: sides above [`MAX_SIDE`], images above [`MAX_BYTES`] and files above
//! [`MAX_FILE_BYTES`] are refused before anything of that size is allocated, and a decoder's panic is an error.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use image::codecs::png::PngDecoder;
use image::{ColorType, ImageDecoder, Limits};

pub use super::decoded::{Decoded, MAX_BYTES};
use super::decoded::{UPRIGHT, deep_grey_if_all_are, grey_if_all_are, pick, pick_words};
use super::exif;
use super::files::{Exif, FileOptions};
use super::frame::{Frame, MAX_SIDE};
use super::outline::{HEADERS, beside_of_png};
use super::range::Range;
use super::raw::RawFrame;
use super::{bmp, jpeg, png, pnm, tiff, webp};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::files;
use crate::sys::memory::{filled, spare};

/// The longest file that is read.
pub const MAX_FILE_BYTES: u64 = 1 << 30;

/// Extensions, in lower case, of the files that a folder is searched for.
pub const EXTENSIONS: [&str; 13] =
    ["jpg", "jpeg", "jpe", "jfif", "png", "bmp", "tif", "tiff", "webp", "pbm", "pgm", "ppm", "pnm"];

/// The image in the file at `path`.
///
/// # Errors
/// `Io` where the file cannot be read, `Format` where it is not a sound image; both name the file and the reason.
pub fn decode_file(path: &Path) -> Result<Frame> {
    decode_bytes(&path.to_string_lossy(), &read_file(path)?)
}

/// The bytes of the file at `path`, at most [`MAX_FILE_BYTES`].
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>> {
    files::read(path, MAX_FILE_BYTES)
}

/// The image in `bytes` with 8 bits a sample, by the full range; `name` stands in error messages.
///
/// # Errors
/// `Format` where the bytes are not a sound image, `OutOfMemory` where it does not fit.
pub fn decode_bytes(name: &str, bytes: &[u8]) -> Result<Frame> {
    decode_described(name, bytes)?.frame.into_frame(&Range::FULL)
}

/// As [`decode_bytes`], with what the file keeps.
///
/// # Errors
/// As [`decode_bytes`].
pub fn decode_described(name: &str, bytes: &[u8]) -> Result<Decoded> {
    decode_by(name, bytes, &FileOptions::default())
}

/// As [`decode_described`], turned and of the page as `options` say; page 0 is the first.
///
/// # Errors
/// As [`decode_bytes`].
pub fn decode_by(name: &str, bytes: &[u8], options: &FileOptions) -> Result<Decoded> {
    guarded(name, || {
        let decoded = decode(bytes, options.page.max(1))?;
        let orientation = if options.exif == Exif::Apply { decoded.orientation } else { UPRIGHT };
        Ok(Decoded { frame: exif::upright(decoded.frame, orientation)?, orientation, ..decoded })
    })
}

/// How many pages these bytes have, at most `most`; 1 of what is no TIFF.
pub(super) fn pages(bytes: &[u8], most: u64) -> u64 {
    if tiff::is_tiff(bytes) { tiff::pages(bytes, most) } else { 1 }
}

/// Bytes of a file's beginning that tell whether it may have several pages.
pub(super) const BEGINNING: usize = 4;

/// Whether a file that begins so may have several pages.
pub(super) fn may_have_pages(beginning: &[u8]) -> bool {
    tiff::is_tiff(beginning)
}

/// What `decode` gives; its panic is an error, and errors name the image.
pub(super) fn guarded<T>(name: &str, decode: impl FnOnce() -> Result<T>) -> Result<T> {
    // The decoders hold no state outside this call, so nothing half-done is seen after a panic.
    catch_unwind(AssertUnwindSafe(decode))
        .unwrap_or_else(|_| Err(Error::new(ErrorKind::Format, "the decoder failed on damaged content")))
        .map_err(|error| error.context(name))
}

fn decode(bytes: &[u8], page: u64) -> Result<Decoded> {
    if bytes.is_empty() {
        return Err(Error::new(ErrorKind::Format, "the file is empty"));
    }
    if jpeg::is_jpeg(bytes) {
        let header = jpeg::header(bytes)?;
        let channels = if header.components == 1 { 1 } else { 3 };
        let frame = jpeg::decode(bytes, header, 1)?.into();
        return Ok(Decoded { orientation: exif::of_jpeg(bytes), ..Decoded::new(frame, "jpeg", channels, 8) });
    }
    if tiff::is_tiff(bytes) {
        return tiff::decode(bytes, page);
    }
    if bmp::is_bmp(bytes) {
        return bmp::decode(bytes);
    }
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        return decode_png(bytes);
    }
    if webp::is_webp(bytes) {
        return webp::decode(bytes);
    }
    if pnm::is_pnm(bytes) {
        return pnm::decode(bytes);
    }
    Err(Error::new(ErrorKind::Format, "content is not JPEG, PNG, BMP, TIFF, WebP or PNM"))
}

fn decode_png(bytes: &[u8]) -> Result<Decoded> {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    // The bound for what stands beside the pixels: a profile of a few bytes may unpack to any length.
    let beside = beside_of_png(bytes);
    let header = HEADERS + 3 * beside;
    limits.max_alloc = Some(header);
    spare(header as usize, "the header of an image")?;
    let mut decoder = PngDecoder::with_limits(Cursor::new(bytes), limits.clone()).map_err(|error| refused(&error))?;
    let (length, colour, (width, height)) = (decoder.total_bytes(), decoder.color_type(), decoder.dimensions());
    limits.max_alloc = Some(MAX_BYTES);
    limits.check_dimensions(width, height).map_err(|error| refused(&error))?;
    limits.reserve(length).and_then(|()| decoder.set_limits(limits)).map_err(|error| refused(&error))?;
    // At most MAX_BYTES since the limits were looked at.
    let mut samples = filled(0u8, length as usize, "a frame")?;
    spare((beside + ROWS * u64::from(width)) as usize, "decoding an image")?;
    decoder.read_image(&mut samples).map_err(|error| refused(&error))?;
    let channels = if colour.has_color() { 3 } else { 1 };
    let real = png::significant_bits(bytes, channels.into());
    let frame = frame_of(width, height, colour, samples, real)?;
    let bits = frame.bits();
    Ok(Decoded { orientation: exif::of_png(bytes), ..Decoded::new(frame, "png", channels, bits) })
}

/// Bytes that the decoder of PNG takes for each pixel of a row, as tests/short_memory.rs holds it to.
const ROWS: u64 = 512;

/// The crate's error: no memory, or damage.
fn refused(error: &image::ImageError) -> Error {
    match error {
        image::ImageError::IoError(error) if error.kind() == std::io::ErrorKind::OutOfMemory => {
            Error::new(ErrorKind::OutOfMemory, "no memory to decode an image")
        }
        _ => Error::new(ErrorKind::Format, reason(error)),
    }
}

/// What a person reads for the crate's error; its limits do not say their numbers.
fn reason(error: &image::ImageError) -> String {
    match error {
        image::ImageError::Limits(_) => {
            format!("{error}: at most {MAX_SIDE} pixels a side and {MAX_BYTES} bytes decoded are accepted")
        }
        _ => format!("damaged PNG: {error}"),
    }
}

/// Reduces any pixel type to 1 or 3 channels, the `real` upper bits of samples of 16. Samples of more than a byte are in the machine's
/// order.
fn frame_of(width: u32, height: u32, colour: ColorType, samples: Vec<u8>, real: Option<u8>) -> Result<RawFrame> {
    let same = |[sample]: [u8; 1]| sample;
    let real = real.filter(|bits| (9..16).contains(bits)).unwrap_or(16);
    let deep = |channels: u8, samples| deep_frame(width, height, channels, real, samples);
    let (channels, pixels) = match colour {
        ColorType::L8 => (1, samples),
        ColorType::Rgb8 => (3, samples),
        ColorType::La8 => (1, pick(&samples, 2, 1, same)?),
        ColorType::Rgba8 => (3, pick(&samples, 4, 3, same)?),
        ColorType::L16 => return deep(1, samples),
        ColorType::La16 => return deep(1, pick_words(&samples, 2, 1)?),
        ColorType::Rgb16 => return deep(3, samples),
        ColorType::Rgba16 => return deep(3, pick_words(&samples, 4, 3)?),
        other => return Err(Error::new(ErrorKind::Format, format!("pixel type {other:?} is not read"))),
    };
    Ok(grey_if_all_are(width, height, channels, pixels)?.into())
}

/// The frame of samples of two bytes, of which the upper `bits` are real; with one channel where every pixel is grey.
fn deep_frame(width: u32, height: u32, channels: u8, bits: u8, mut samples: Vec<u8>) -> Result<RawFrame> {
    if bits < 16 {
        for sample in samples.as_chunks_mut::<2>().0 {
            *sample = (u16::from_ne_bytes(*sample) >> (16 - bits)).to_ne_bytes();
        }
    }
    deep_grey_if_all_are(width, height, channels, bits, samples)
}
