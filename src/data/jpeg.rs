//! JPEG decoded at 1/2, 1/4 or 1/8 of its sides in the DCT domain, and JPEG encoded, by libjpeg-turbo (as mozjpeg-sys builds it).
//!
//! An 8×8 block of coefficients becomes 4×4, 2×2 or 1×1 pixels by a smaller inverse DCT, so what a small view throws
//! away is never computed. Only flawless files of 1 or 3 components are decoded here: for all others, and on the
//! slightest warning of libjpeg, the answer is `None`, and [`super::decode`] reads the file whole.
//!
//! Whole frames are decoded here only where the other decoder refuses them: the crate `zune-jpeg` needed 15 ms for 5 megapixels in colour where
//! libjpeg-turbo needed 18 ms with its assembly (nasm at build time) and 43 ms without. At 1/2 it is 9 and 20 ms, at
//! 1/4 it is 8 and 15 ms. The pixels are the same with and without the assembly.

use std::ffi::{c_int, c_long, c_ulong};

// Its static library is what the shim calls.
use mozjpeg_sys as _;

use super::decode::{MAX_BYTES, grey_if_all_are};
use super::frame::{Frame, MAX_SIDE};
use crate::error::{Error, ErrorKind, Result};
use crate::memory::{copied, filled};

/// Denominators above 1 that [`decode`] takes, the largest first.
pub(super) const SCALES: [u32; 3] = [8, 4, 2];

unsafe extern "C" {
    fn seed_jpeg_header(bytes: *const u8, length: usize, shape: *mut u32) -> c_int;
    fn seed_jpeg_decode(
        bytes: *const u8,
        length: usize,
        scale: u32,
        pixels: *mut u8,
        width: u32,
        height: u32,
        channels: u32,
        memory: c_long,
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
    components: u32,
}

/// What the header says; `None` where the bytes are no JPEG that [`decode`] takes.
///
/// # Errors
/// `OutOfMemory`: the way a view is read must not depend on it.
pub(super) fn header(bytes: &[u8]) -> Result<Option<Header>> {
    if !bytes.starts_with(&[0xFF, 0xD8, 0xFF]) {
        return Ok(None);
    }
    let mut shape = [0u32; 3];
    // SAFETY: the pointers are to `bytes.len()` readable bytes and three writable numbers; the shim keeps neither.
    let sound = answer(unsafe { seed_jpeg_header(bytes.as_ptr(), bytes.len(), shape.as_mut_ptr()) })?;
    let [width, height, components] = shape;
    let within = (1..=MAX_SIDE).contains(&width)
        && (1..=MAX_SIDE).contains(&height)
        && u64::from(width) * u64::from(height) * u64::from(components) <= MAX_BYTES;
    Ok((sound && within && matches!(components, 1 | 3)).then_some(Header { width, height, components }))
}

/// Whether the shim found the file sound.
fn answer(code: c_int) -> Result<bool> {
    if code < 0 {
        return Err(Error::new(ErrorKind::OutOfMemory, "no memory to decode a JPEG"));
    }
    Ok(code == 1)
}

/// The frame at 1/`scale` of its sides, rounded up; `None` where libjpeg-turbo finds the least fault.
///
/// # Errors
/// `OutOfMemory` where the pixels, or what libjpeg-turbo needs to make them, do not fit.
pub(super) fn decode(bytes: &[u8], header: Header, scale: u32) -> Result<Option<Frame>> {
    debug_assert!(scale == 1 || SCALES.contains(&scale));
    let Header { components: channels, .. } = header;
    let (width, height) = (header.width.div_ceil(scale), header.height.div_ceil(scale));
    let length = width as usize * height as usize * channels as usize;
    let mut pixels = filled(0u8, length, "a frame")?;
    // A progressive file is kept whole as 16-bit coefficients, two bytes for each sample; the rest is rows.
    let memory = c_long::try_from(3 * MAX_BYTES).unwrap_or(c_long::MAX);
    // SAFETY: `bytes` is readable and `pixels` writable for their lengths. The shim writes `height` rows of
    // `width · channels` bytes, which is `length`, and only after it has found the image to have these sides.
    let sound = answer(unsafe {
        seed_jpeg_decode(bytes.as_ptr(), bytes.len(), scale, pixels.as_mut_ptr(), width, height, channels, memory)
    })?;
    // The components are 1 or 3 since `header`.
    if sound { grey_if_all_are(width, height, channels as u8, pixels).map(Some) } else { Ok(None) }
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
