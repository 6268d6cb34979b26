//! JPEG, PNG, BMP and TIFF files → [`Frame`] of (H, W, C) bytes, through the crate `image`.
//!
//! The kind of file is told by its content, never by its name. 16 bits become 8 by `>> 8` and float samples are taken
//! as [0, 1]; alpha is dropped and EXIF orientation ignored, as torchvision's `ImageFolder` does. An image whose every
//! pixel is grey comes out with C = 1, whatever it is stored as: its views are the same and cost less.
//!
//! This is the reading of whole files; JPEG that a view needs smaller goes through [`super::scale`].
//!
//! A file is hostile until decoded: sides above [`MAX_SIDE`], images above [`MAX_BYTES`] and files above
//! [`MAX_FILE_BYTES`] are refused before anything of that size is allocated, and a decoder's panic is an error.

use std::io::{Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use image::{ColorType, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::frame::{Frame, MAX_SIDE};
use super::outline::{HEADERS, Outline, of_jpeg, of_png};
use crate::error::{Error, ErrorKind, Result};
use crate::memory::{filled, room, spare};

/// The most bytes that a decoded image may take, in the depth it is stored with.
pub const MAX_BYTES: u64 = 1 << 30;

/// The longest file that is read.
pub const MAX_FILE_BYTES: u64 = 1 << 30;

/// Extensions, in lower case, of the files that a folder is searched for.
pub const EXTENSIONS: [&str; 8] = ["jpg", "jpeg", "jpe", "jfif", "png", "bmp", "tif", "tiff"];

/// The image in the file at `path`.
///
/// # Errors
/// `Io` where the file cannot be read, `Format` where it is not a sound image; both name the file and the reason.
pub fn decode_file(path: &Path) -> Result<Frame> {
    decode_bytes(&path.to_string_lossy(), &read_file(path)?)
}

/// The bytes of the file at `path`, at most [`MAX_FILE_BYTES`].
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>> {
    let failed = |error: std::io::Error| Error::io("read", path, &error);
    let file = open_regular(path)?;
    let length = file.metadata().map_err(failed)?.len();
    if length > MAX_FILE_BYTES {
        return Err(Error::format(path, format!("file has {length} bytes, expected at most {MAX_FILE_BYTES}")));
    }
    let mut bytes = room(length as usize, "an image file")?;
    // Where the file grows meanwhile, the rest is not wanted.
    file.take(length).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// Opens a file, but neither a folder nor a pipe or device, whose opening or reading might wait for ever.
fn open_regular(path: &Path) -> Result<std::fs::File> {
    let failed = |error: std::io::Error| Error::io("read", path, &error);
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(Error::format(path, "not a regular file"));
    }
    std::fs::File::open(path).map_err(failed)
}

/// The image in `bytes`; `name` stands in error messages.
///
/// # Errors
/// `Format` where the bytes are not a sound image, `OutOfMemory` where it does not fit.
pub fn decode_bytes(name: &str, bytes: &[u8]) -> Result<Frame> {
    // The decoders hold no state outside this call, so nothing half-done is seen after a panic.
    catch_unwind(AssertUnwindSafe(|| decode(bytes)))
        .unwrap_or_else(|_| Err(Error::new(ErrorKind::Format, "the decoder failed on damaged content")))
        .map_err(|error| error.context(name))
}

fn decode(bytes: &[u8]) -> Result<Frame> {
    if bytes.is_empty() {
        return Err(Error::new(ErrorKind::Format, "the file is empty"));
    }
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| Error::new(ErrorKind::Format, error.to_string()))?;
    let format = reader.format();
    let outline = match format {
        // The decoder would fill what is missing with grey.
        Some(ImageFormat::Jpeg) => {
            of_jpeg(bytes).ok_or_else(|| Error::new(ErrorKind::Format, "truncated JPEG: the end marker is missing"))?
        }
        Some(ImageFormat::Png) => of_png(bytes),
        Some(ImageFormat::Bmp | ImageFormat::Tiff) => Outline::default(),
        _ => return Err(Error::new(ErrorKind::Format, "content is not JPEG, PNG, BMP or TIFF")),
    };
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    // Of a PNG that is the bound for what stands beside its pixels: a profile of a few bytes may unpack to any length.
    let header = HEADERS + 3 * outline.beside;
    limits.max_alloc = Some(if format == Some(ImageFormat::Png) { header } else { MAX_BYTES });
    reader.limits(limits.clone());
    // The decoder of JPEG takes a copy of the file.
    let copy = if format == Some(ImageFormat::Jpeg) { bytes.len() } else { 0 };
    spare(header as usize + copy, "the header of an image")?;
    let mut decoder = reader.into_decoder().map_err(|error| refused(&error))?;
    let (length, colour, (width, height)) = (decoder.total_bytes(), decoder.color_type(), decoder.dimensions());
    limits.max_alloc = Some(MAX_BYTES);
    limits.reserve(length).and_then(|()| decoder.set_limits(limits)).map_err(|error| refused(&error))?;
    // At most MAX_BYTES since the limits were looked at.
    let mut samples = filled(0u8, length as usize, "a frame")?;
    spare(beside(format, length, width, outline) as usize, "decoding an image")?;
    decoder.read_image(&mut samples).map_err(|error| refused(&error))?;
    frame_of(width, height, colour, samples)
}

/// The most bytes that a decoder takes beside the pixels, for an image of `length` bytes in rows of `width` pixels, as
/// tests/short_memory.rs holds it to: rows, tables, what the file says, and for TIFF the whole image once more.
fn beside(format: Option<ImageFormat>, length: u64, width: u32, outline: Outline) -> u64 {
    let whole = match format {
        // CMYK has four samples where the frame has three.
        Some(ImageFormat::Tiff) => length + length.div_ceil(3),
        _ => outline.coefficients,
    };
    whole + outline.beside + ROWS * u64::from(width)
}

/// Bytes for each pixel of a row: a decoder of JPEG keeps three rows of blocks for each component, of coefficients and of samples.
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
        _ => error.to_string(),
    }
}

/// Reduces any pixel type to 8 bits and 1 or 3 channels. Samples of more than a byte are in the machine's order.
fn frame_of(width: u32, height: u32, colour: ColorType, samples: Vec<u8>) -> Result<Frame> {
    let same = |[sample]: [u8; 1]| sample;
    let high = |sample: [u8; 2]| (u16::from_ne_bytes(sample) >> 8) as u8;
    let level = |sample: [u8; 4]| (f32::from_ne_bytes(sample).clamp(0.0, 1.0) * 255.0 + 0.5) as u8;
    let (channels, pixels) = match colour {
        ColorType::L8 => (1, samples),
        ColorType::Rgb8 => (3, samples),
        ColorType::La8 => (1, pick(&samples, 2, 1, same)?),
        ColorType::Rgba8 => (3, pick(&samples, 4, 3, same)?),
        ColorType::L16 => (1, pick(&samples, 1, 1, high)?),
        ColorType::La16 => (1, pick(&samples, 2, 1, high)?),
        ColorType::Rgb16 => (3, pick(&samples, 3, 3, high)?),
        ColorType::Rgba16 => (3, pick(&samples, 4, 3, high)?),
        ColorType::Rgb32F => (3, pick(&samples, 3, 3, level)?),
        ColorType::Rgba32F => (3, pick(&samples, 4, 3, level)?),
        other => return Err(Error::new(ErrorKind::Format, format!("pixel type {other:?} is not read"))),
    };
    grey_if_all_are(width, height, channels, pixels)
}

/// The frame, with one channel where every pixel is grey.
pub(super) fn grey_if_all_are(width: u32, height: u32, channels: u8, pixels: Vec<u8>) -> Result<Frame> {
    if channels == 3 && pixels.chunks_exact(3).all(|rgb| rgb[0] == rgb[1] && rgb[1] == rgb[2]) {
        return Frame::new(width, height, 1, pick(&pixels, 3, 1, |[grey]: [u8; 1]| grey)?);
    }
    Frame::new(width, height, channels, pixels)
}

/// The first `to` of every `from` samples of `SIZE` bytes, each turned into a byte.
fn pick<const SIZE: usize>(samples: &[u8], from: usize, to: usize, byte: impl Fn([u8; SIZE]) -> u8) -> Result<Vec<u8>> {
    let mut picked = room(samples.len() / SIZE / from * to, "a frame")?;
    for pixel in samples.as_chunks::<SIZE>().0.chunks_exact(from) {
        picked.extend(pixel[..to].iter().map(|&sample| byte(sample)));
    }
    Ok(picked)
}
