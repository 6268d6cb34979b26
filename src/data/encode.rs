//! Frames → PNG or JPEG files in memory, and [`RawFrame`], a copy of a frame in the depth it came with.
//!
//! ```text
//! FrameView → RawFrame: (H, W) u8 | (H, W) u16 | (H, W, 3) u8 → PNG, every bit kept | JPEG, 8 bits
//! ```
//!
//! ```
//! use seed::data::{Encoding, FrameView, PixelFormat, RawFrame, decode::decode_bytes};
//! let view = FrameView::new(&[0, 85, 170, 255], 2, 2, 2, PixelFormat::Mono8)?;
//! let png = RawFrame::copy_of(&view, Vec::new())?.encode(Encoding::Png)?;
//! assert_eq!(decode_bytes("four", &png)?.pixels(), [0, 85, 170, 255]);
//! # Ok::<(), seed::Error>(())
//! ```

use super::frame::{FrameView, PixelFormat};
use super::{jpeg, png};
use crate::error::{Error, Result};
use crate::sys::memory::reserve;

/// How a frame is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Lossless, 16 bits of grey included.
    Png,
    /// Baseline JPEG of 8 bits; colour is subsampled 4:2:0.
    Jpeg {
        /// 1 to 100, libjpeg's scale.
        quality: u8,
    },
}

/// An owned copy of a frame without padding: grey of 8 or 16 bits, or red, green, blue of 8 bits.
#[derive(Clone, PartialEq, Eq)]
pub struct RawFrame {
    width: u32,
    height: u32,
    /// `Mono8`, `Mono16` or `Rgb8`.
    format: PixelFormat,
    bytes: Vec<u8>,
}

impl RawFrame {
    /// A copy of `view` in the memory of `buffer`, which grows where it must. Alpha is dropped, and planar float becomes 8 bits.
    ///
    /// # Errors
    /// As [`FrameView::to_frame`].
    pub fn copy_of(view: &FrameView<'_>, buffer: Vec<u8>) -> Result<Self> {
        let (width, height) = (view.width, view.height);
        if view.format == PixelFormat::Mono16 {
            // Two bytes of grey are copied as the bytes of an image twice as wide: no bit may be lost.
            let sides = FrameView::new(view.bytes, width, height, view.stride, view.format)?;
            let mut bytes = buffer;
            bytes.clear();
            let row = width as usize * 2;
            reserve(&mut bytes, row * height as usize, "a frame")?;
            for y in 0..height as usize {
                bytes.extend_from_slice(&sides.bytes[y * sides.stride..][..row]);
            }
            return Ok(Self { width, height, format: PixelFormat::Mono16, bytes });
        }
        let frame = view.to_frame_in(buffer)?;
        let format = if frame.channels() == 1 { PixelFormat::Mono8 } else { PixelFormat::Rgb8 };
        Ok(Self { width, height, format, bytes: frame.into_pixels() })
    }

    /// Pixels in a row.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// `Mono8`, `Mono16` or `Rgb8`.
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// The pixels, row after row.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The memory, given up.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// A view of the pixels.
    pub fn view(&self) -> FrameView<'_> {
        let stride = self.width as usize * self.format.bytes_per_pixel();
        let (bytes, width, height) = (self.bytes.as_slice(), self.width, self.height);
        FrameView { bytes, width, height, stride, format: self.format }
    }

    /// The file's bytes.
    ///
    /// # Errors
    /// `InvalidArgument` for a quality out of 1..=100, `OutOfMemory`.
    pub fn encode(&self, encoding: Encoding) -> Result<Vec<u8>> {
        match encoding {
            Encoding::Png => png::encode(&self.bytes, self.width, self.height, self.format),
            Encoding::Jpeg { quality: quality @ 1..=100 } => {
                let reduced;
                let (pixels, channels) = match self.format {
                    PixelFormat::Mono16 => {
                        reduced = self.view().to_frame()?.into_pixels();
                        (&reduced, 1)
                    }
                    PixelFormat::Mono8 => (&self.bytes, 1),
                    _ => (&self.bytes, 3),
                };
                jpeg::encode(pixels, self.width, self.height, channels, quality)
            }
            Encoding::Jpeg { quality } => Err(Error::invalid(format!("JPEG quality is {quality}, expected 1 to 100"))),
        }
    }
}

/// A baseline JPEG of (H, W, C) bytes, C = 1 or 3, at `quality` from 1 to 100.
///
/// # Errors
/// `OutOfMemory`.
pub(crate) fn encode_jpeg(pixels: &[u8], width: u32, height: u32, channels: u8, quality: u8) -> Result<Vec<u8>> {
    jpeg::encode(pixels, width, height, channels, quality)
}

impl std::fmt::Debug for RawFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RawFrame({}×{} {:?})", self.width, self.height, self.format)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::decode::decode_bytes;

    fn noise(length: usize) -> Vec<u8> {
        (0..length as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
    }

    #[test]
    fn png_keeps_every_bit() {
        let bytes = noise(7 * 5 * 6);
        for (format, pixel) in [(PixelFormat::Mono8, 1), (PixelFormat::Rgb8, 3), (PixelFormat::Bgra8, 4)] {
            let view = FrameView::new(&bytes, 7, 5, 7 * pixel + 2, format).unwrap();
            let file = RawFrame::copy_of(&view, Vec::new()).unwrap().encode(Encoding::Png).unwrap();
            assert_eq!(decode_bytes("it", &file).unwrap(), view.to_frame().unwrap(), "{format:?}");
        }
        let view = FrameView::new(&bytes, 7, 5, 16, PixelFormat::Mono16).unwrap();
        let raw = RawFrame::copy_of(&view, Vec::new()).unwrap();
        let file = raw.encode(Encoding::Png).unwrap();
        let read = image::load_from_memory(&file).unwrap().into_luma16();
        let expected: Vec<u16> = raw.bytes().chunks_exact(2).map(|b| u16::from_ne_bytes([b[0], b[1]])).collect();
        assert_eq!(read.into_raw(), expected);
        assert_eq!(decode_bytes("it", &file).unwrap(), view.to_frame().unwrap());
    }

    #[test]
    fn jpeg_is_close_and_small() {
        let smooth: Vec<u8> =
            (0..64 * 48 * 3).map(|i| (((i / 3) % 64) * 2 + ((i / 192) % 48) * 2 + i % 3) as u8).collect();
        for (format, pixel) in [(PixelFormat::Mono8, 1), (PixelFormat::Rgb8, 3), (PixelFormat::Mono16, 2)] {
            let view = FrameView::new(&smooth, 64, 48, 64 * pixel, format).unwrap();
            let raw = RawFrame::copy_of(&view, Vec::new()).unwrap();
            let file = raw.encode(Encoding::Jpeg { quality: 95 }).unwrap();
            let (read, meant) = (decode_bytes("it", &file).unwrap(), view.to_frame().unwrap());
            assert_eq!((read.width(), read.height()), (64, 48));
            if format == PixelFormat::Mono8 {
                let worst = read.pixels().iter().zip(meant.pixels()).map(|(a, b)| a.abs_diff(*b)).max();
                assert!(worst <= Some(6), "{worst:?}");
                assert!(file.len() < meant.pixels().len());
            }
            assert!(raw.encode(Encoding::Jpeg { quality: 0 }).is_err());
            assert!(raw.encode(Encoding::Jpeg { quality: 101 }).is_err());
        }
    }
}
