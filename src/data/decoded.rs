//! An image as the decoders give it.

use super::frame::Frame;
use super::raw::RawFrame;
use crate::error::Result;
use crate::sys::memory::room;

/// The most bytes that a decoded image may take, in the depth it is stored with.
pub const MAX_BYTES: u64 = 1 << 30;

/// The orientation of pixels that lie as they are to be shown.
pub(super) const UPRIGHT: u8 = 1;

/// An image and what its file keeps it as.
pub struct Decoded {
    /// The pixels, in the file's depth.
    pub frame: RawFrame,
    /// "jpeg", "png", "bmp", "tiff", "webp" or "pnm".
    pub encoding: &'static str,
    /// 1 where the file keeps grey, else 3.
    pub channels: u8,
    /// 8, or 9 to 16 where the file keeps more bits a sample.
    pub bits: u8,
    /// How the file says that its pixels are to be turned, 1 to 8; see [`FileOptions::exif`](super::files::FileOptions).
    pub orientation: u8,
    /// Whether the file has more pages behind the one that was read.
    pub has_more_pages: bool,
}

impl Decoded {
    /// An image that lies upright in a file of one page.
    pub(super) fn new(frame: RawFrame, encoding: &'static str, channels: u8, bits: u8) -> Self {
        Self { frame, encoding, channels, bits, orientation: UPRIGHT, has_more_pages: false }
    }
}

/// The frame, with one channel where every pixel is grey.
pub(super) fn grey_if_all_are(width: u32, height: u32, channels: u8, pixels: Vec<u8>) -> Result<Frame> {
    if channels == 3 && pixels.chunks_exact(3).all(|rgb| rgb[0] == rgb[1] && rgb[1] == rgb[2]) {
        return Frame::new(width, height, 1, pick(&pixels, 3, 1, |[grey]: [u8; 1]| grey)?);
    }
    Frame::new(width, height, channels, pixels)
}

/// The frame of samples of two bytes, in the machine's order, with one channel where every pixel is grey.
pub(super) fn deep_grey_if_all_are(
    width: u32,
    height: u32,
    channels: u8,
    bits: u8,
    samples: Vec<u8>,
) -> Result<RawFrame> {
    if channels == 3 && samples.as_chunks::<6>().0.iter().all(|rgb| rgb[..2] == rgb[2..4] && rgb[2..4] == rgb[4..]) {
        return Ok(RawFrame::of_words(width, height, 1, bits, pick_words(&samples, 3, 1)?));
    }
    Ok(RawFrame::of_words(width, height, channels, bits, samples))
}

/// The first `to` of every `from` samples of `SIZE` bytes, each turned into a byte.
pub(super) fn pick<const SIZE: usize>(
    samples: &[u8],
    from: usize,
    to: usize,
    byte: impl Fn([u8; SIZE]) -> u8,
) -> Result<Vec<u8>> {
    let mut picked = room(samples.len() / SIZE / from * to, "a frame")?;
    for pixel in samples.as_chunks::<SIZE>().0.chunks_exact(from) {
        picked.extend(pixel[..to].iter().map(|&sample| byte(sample)));
    }
    Ok(picked)
}

/// The first `to` of every `from` samples of two bytes.
pub(super) fn pick_words(samples: &[u8], from: usize, to: usize) -> Result<Vec<u8>> {
    let mut picked = room(samples.len() / from * to, "a frame")?;
    samples.chunks_exact(2 * from).for_each(|pixel| picked.extend_from_slice(&pixel[..2 * to]));
    Ok(picked)
}
