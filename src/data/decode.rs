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

use image::{DynamicImage, ImageFormat, ImageReader, Limits};

use super::frame::{Frame, MAX_SIDE, reserve};
use crate::error::{Error, ErrorKind, Result};

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
    let mut bytes = reserve(length as usize)?;
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
    let damaged = |error: image::ImageError| Error::new(ErrorKind::Format, reason(&error));
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| Error::new(ErrorKind::Format, error.to_string()))?;
    match reader.format() {
        Some(ImageFormat::Jpeg) if !jpeg_reaches_its_end(bytes) => {
            // The decoder would fill what is missing with grey.
            return Err(Error::new(ErrorKind::Format, "truncated JPEG: the end marker is missing"));
        }
        Some(ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::Bmp | ImageFormat::Tiff) => {}
        _ => return Err(Error::new(ErrorKind::Format, "content is not JPEG, PNG, BMP or TIFF")),
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_BYTES);
    reader.limits(limits);
    frame_of(reader.decode().map_err(damaged)?)
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

/// Reduces any pixel type to 8 bits and 1 or 3 channels.
fn frame_of(decoded: DynamicImage) -> Result<Frame> {
    let (width, height) = (decoded.width(), decoded.height());
    let high = |sample: u16| (sample >> 8) as u8;
    let level = |sample: f32| (sample.clamp(0.0, 1.0) * 255.0 + 0.5) as u8;
    let (channels, pixels) = match decoded {
        DynamicImage::ImageLuma8(image) => (1, image.into_raw()),
        DynamicImage::ImageRgb8(image) => (3, image.into_raw()),
        DynamicImage::ImageLumaA8(image) => (1, pick::<_, 2, 1>(image.as_raw(), |v| v)?),
        DynamicImage::ImageRgba8(image) => (3, pick::<_, 4, 3>(image.as_raw(), |v| v)?),
        DynamicImage::ImageLuma16(image) => (1, pick::<_, 1, 1>(image.as_raw(), high)?),
        DynamicImage::ImageLumaA16(image) => (1, pick::<_, 2, 1>(image.as_raw(), high)?),
        DynamicImage::ImageRgb16(image) => (3, pick::<_, 3, 3>(image.as_raw(), high)?),
        DynamicImage::ImageRgba16(image) => (3, pick::<_, 4, 3>(image.as_raw(), high)?),
        DynamicImage::ImageRgb32F(image) => (3, pick::<_, 3, 3>(image.as_raw(), level)?),
        DynamicImage::ImageRgba32F(image) => (3, pick::<_, 4, 3>(image.as_raw(), level)?),
        other => return Err(Error::new(ErrorKind::Format, format!("pixel type {:?} is not read", other.color()))),
    };
    grey_if_all_are(width, height, channels, pixels)
}

/// The frame, with one channel where every pixel is grey.
pub(super) fn grey_if_all_are(width: u32, height: u32, channels: u8, pixels: Vec<u8>) -> Result<Frame> {
    if channels == 3 && pixels.chunks_exact(3).all(|rgb| rgb[0] == rgb[1] && rgb[1] == rgb[2]) {
        return Frame::new(width, height, 1, pick::<_, 3, 1>(&pixels, |v| v)?);
    }
    Frame::new(width, height, channels, pixels)
}

/// The first `TO` of every `FROM` samples, each turned into a byte.
fn pick<T: Copy, const FROM: usize, const TO: usize>(samples: &[T], byte: impl Fn(T) -> u8) -> Result<Vec<u8>> {
    let mut picked = reserve(samples.len() / FROM * TO)?;
    picked.extend(samples.chunks_exact(FROM).flat_map(|pixel| &pixel[..TO]).map(|sample| byte(*sample)));
    Ok(picked)
}

/// Walks the segments of a JPEG (ITU-T T.81, annex B) to its end-of-image marker. Searching for the marker's two bytes
/// alone would find that of an embedded thumbnail.
fn jpeg_reaches_its_end(bytes: &[u8]) -> bool {
    let mut at = 2;
    while let Some(skipped) = bytes.get(at..).and_then(|rest| rest.iter().position(|&byte| byte == 0xFF)) {
        at += skipped + 1;
        match bytes.get(at) {
            Some(0xD9) => return true,
            // Fill bytes, stuffed zeros of entropy-coded data, and markers without a length.
            Some(0xFF) => {}
            Some(0x00 | 0x01 | 0xD0..=0xD8) => at += 1,
            Some(_) => match bytes.get(at + 1..at + 3) {
                Some(length) => at += 1 + usize::from(u16::from_be_bytes([length[0], length[1]])).max(2),
                None => return false,
            },
            None => return false,
        }
    }
    false
}
