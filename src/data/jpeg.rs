//! JPEG by libjpeg-turbo (as mozjpeg-sys builds it): decoded whole or at 1/2, 1/4 or 1/8 of its sides in the DCT domain, and encoded.
//!
//! This is the one decoder of JPEG, for folders, bytes, stores and views at any scale, so an image is sound or broken everywhere
//! alike. Its values are those of PIL and `djpeg`: the accurate integer DCT, chroma interpolated, four inks as PIL converts them.
//! Every warning of libjpeg is an error, as in `djpeg -strict`, because a warning means that pixels were made up. Bytes behind the
//! end marker are not looked at.
//!
//! An 8×8 block of coefficients becomes 4×4, 2×2 or 1×1 pixels by a smaller inverse DCT, so what a small view throws
//! away is never computed. The pixels are the same with and without the assembly, which nasm adds at build time.

use std::ffi::{c_char, c_int, c_long, c_ulong};

// Its static library is what the shim calls.
use mozjpeg_sys as _;

use super::decoded::{MAX_BYTES, grey_if_all_are};
use super::frame::{Frame, MAX_SIDE};
use super::outline::coefficients_of_jpeg;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::memory::{copied, filled, spare};

/// Denominators above 1 that [`decode`] takes, the largest first.
pub(super) const SCALES: [u32; 3] = [8, 4, 2];

/// Bytes for each pixel of a row: libjpeg-turbo keeps up to three rows of blocks for each component, and rows to interpolate.
const ROWS: u64 = 128;

/// What libjpeg-turbo takes beside coefficients and rows: tables and pools.
const TABLES: u64 = 256 << 10;

unsafe extern "C" {
    fn seed_jpeg_message_length() -> usize;
    fn seed_jpeg_header(bytes: *const u8, length: usize, shape: *mut u32, message: *mut c_char) -> c_int;
    fn seed_jpeg_decode(
        bytes: *const u8,
        length: usize,
        scale: u32,
        colours: c_int,
        pixels: *mut u8,
        width: u32,
        height: u32,
        channels: u32,
        memory: c_long,
        message: *mut c_char,
    ) -> c_int;
    fn seed_jpeg_encode(
        pixels: *const u8,
        width: u32,
        height: u32,
        channels: u32,
        quality: c_int,
        bytes: *mut *mut u8,
        length: *mut c_ulong,
    ) -> c_int;
    fn seed_jpeg_release(bytes: *mut u8);
}

/// Width, height and components that the header of a JPEG names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub width: u32,
    pub height: u32,
    /// 1, 3 or 4.
    pub components: u8,
}

/// What the components mean. The values are those of src/data/jpeg.c.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(super) enum Colours {
    /// What the JFIF and Adobe markers say.
    AsMarked = 0,
    /// Samples as they are stored, for a container that says itself what they are.
    Raw = 1,
    /// Luma and chroma.
    YCbCr = 2,
}

/// Whether these are the first bytes of a JPEG.
pub(super) fn is_jpeg(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xFF, 0xD8, 0xFF])
}

/// What the header says.
///
/// # Errors
/// `Format` where there is none, where its sides are too large or where it has other than 1, 3 or 4 components; `OutOfMemory`: the
/// way a view is read must not depend on it.
pub(super) fn header(bytes: &[u8]) -> Result<Header> {
    let mut shape = [0u32; 3];
    let pointer = shape.as_mut_ptr();
    // SAFETY: the pointers are to `bytes.len()` readable bytes and three writable numbers; the shim keeps neither.
    answer(|message| unsafe { seed_jpeg_header(bytes.as_ptr(), bytes.len(), pointer, message) })?;
    let [width, height, components] = shape;
    let size = u64::from(width) * u64::from(height) * u64::from(components);
    if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) || size > MAX_BYTES {
        let reason = format!(
            "the JPEG has {width}×{height} pixels: at most {MAX_SIDE} pixels a side and {MAX_BYTES} bytes decoded are accepted"
        );
        return Err(Error::new(ErrorKind::Format, reason));
    }
    if !matches!(components, 1 | 3 | 4) {
        return Err(Error::new(ErrorKind::Format, format!("a JPEG of {components} components is not supported")));
    }
    Ok(Header { width, height, components: components as u8 })
}

/// Calls the shim with room for its message, and makes an error of what it refuses.
fn answer(call: impl FnOnce(*mut c_char) -> c_int) -> Result<()> {
    // SAFETY: the function takes nothing and gives a constant.
    let mut message = filled(0u8, unsafe { seed_jpeg_message_length() }, "a message")?;
    match call(message.as_mut_ptr().cast()) {
        1 => Ok(()),
        0 => Err(Error::new(ErrorKind::Format, reason(&message))),
        _ => Err(Error::new(ErrorKind::OutOfMemory, "no memory to decode a JPEG")),
    }
}

/// What a person reads for libjpeg's message.
fn reason(message: &[u8]) -> String {
    let text = String::from_utf8_lossy(message.split(|&byte| byte == 0).next().unwrap_or_default());
    if let Some(what) = text.strip_prefix("Corrupt JPEG data: ") {
        return format!("damaged JPEG: {what}");
    }
    if text == "Premature end of JPEG file" {
        return "truncated JPEG: the end marker is missing".to_owned();
    }
    format!("the JPEG cannot be decoded: {text}")
}

/// The frame at 1/`scale` of its sides, rounded up.
///
/// # Errors
/// `Format` where libjpeg-turbo finds the least fault, with its reason; `OutOfMemory` where the pixels, or what libjpeg-turbo needs to
/// make them, do not fit.
pub(super) fn decode(bytes: &[u8], header: Header, scale: u32) -> Result<Frame> {
    let channels = if header.components == 1 { 1 } else { 3 };
    let pixels = samples(bytes, header, scale, Colours::AsMarked, channels)?;
    grey_if_all_are(header.width.div_ceil(scale), header.height.div_ceil(scale), channels, pixels)
}

/// The (H, W, `channels`) bytes at 1/`scale` of the sides; as many channels as components where they are wanted raw.
///
/// # Errors
/// As [`decode`].
pub(super) fn samples(bytes: &[u8], header: Header, scale: u32, colours: Colours, channels: u8) -> Result<Vec<u8>> {
    debug_assert!(scale == 1 || SCALES.contains(&scale));
    let (width, height) = (header.width.div_ceil(scale), header.height.div_ceil(scale));
    let mut pixels = filled(0u8, width as usize * height as usize * usize::from(channels), "a frame")?;
    // libjpeg-turbo has an error for missing memory, but what it takes must leave the margin to others.
    let needed = coefficients_of_jpeg(bytes) + ROWS * u64::from(header.width) + TABLES;
    spare(needed as usize, "decoding a JPEG")?;
    // A progressive file is kept whole as 16-bit coefficients, two bytes for each sample; the rest is rows.
    let memory = c_long::try_from(3 * MAX_BYTES).unwrap_or(c_long::MAX);
    let (place, colours, channels) = (pixels.as_mut_ptr(), colours as c_int, u32::from(channels));
    // SAFETY: `bytes` is readable and `pixels` writable for their lengths. The shim writes `height` rows of
    // `width · channels` bytes, which is the length, and only after it has found the image to have these sides and channels.
    answer(|message| unsafe {
        seed_jpeg_decode(bytes.as_ptr(), bytes.len(), scale, colours, place, width, height, channels, memory, message)
    })?;
    Ok(pixels)
}

/// A baseline JPEG of (H, W, C) bytes, C = 1 or 3, at `quality` from 1 to 100.
///
/// # Errors
/// `OutOfMemory` where libjpeg-turbo finds no memory: it has no other fault to find in such an image.
pub(super) fn encode(pixels: &[u8], width: u32, height: u32, channels: u8, quality: u8) -> Result<Vec<u8>> {
    debug_assert_eq!(pixels.len(), width as usize * height as usize * usize::from(channels));
    let (mut bytes, mut length) = (std::ptr::null_mut(), 0);
    // SAFETY: `pixels` is readable for height · width · channels bytes, which all callers have checked.
    let encoded = unsafe {
        let (quality, channels) = (c_int::from(quality), u32::from(channels));
        seed_jpeg_encode(pixels.as_ptr(), width, height, channels, quality, &raw mut bytes, &raw mut length)
    };
    if encoded != 1 || bytes.is_null() {
        let message = format!("cannot encode {width}×{height}×{channels} as JPEG: no memory");
        return Err(Error::new(ErrorKind::OutOfMemory, message));
    }
    // SAFETY: the shim gives `length` bytes, which are its own until they are released.
    let copy = copied(unsafe { std::slice::from_raw_parts(bytes, length as usize) }, "a JPEG file");
    // SAFETY: they are released once, and not read again.
    unsafe { seed_jpeg_release(bytes) };
    copy
}
