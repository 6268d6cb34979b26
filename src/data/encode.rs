//! Frames → PNG or JPEG files in memory.
//!
//! ```text
//! RawFrame: (H, W, C) u8 | u16 | f32 → PNG, every bit of whole numbers kept | JPEG, the upper 8 bits
//! ```
//!
//! ```
//! use seed::data::{Encoding, FrameView, PixelFormat, RawFrame, decode::decode_bytes};
//! let view = FrameView::new(&[0, 85, 170, 255], 2, 2, 2, PixelFormat::Mono8)?;
//! let png = RawFrame::copy_of(&view, Vec::new())?.encode(Encoding::Png)?;
//! assert_eq!(decode_bytes("four", &png)?.pixels(), [0, 85, 170, 255]);
//! # Ok::<(), seed::Error>(())
//! ```

use super::range::Range;
use super::raw::RawFrame;
use super::{jpeg, png};
use crate::error::{Error, Result};

/// How a frame is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Lossless but for floats. Samples of 9 to 15 bits lie in the upper bits of 16, and an `sBIT` chunk says how many they are.
    Png,
    /// Baseline JPEG of 8 bits; colour is subsampled 4:2:0.
    Jpeg {
        /// 1 to 100, libjpeg's scale.
        quality: u8,
    },
}

impl RawFrame {
    /// The file's bytes. Floats become 8 bits by the full range, 0 to 1.
    ///
    /// # Errors
    /// `InvalidArgument` for a quality out of 1..=100, `OutOfMemory`.
    pub fn encode(&self, encoding: Encoding) -> Result<Vec<u8>> {
        let reduced;
        let frame = match (encoding, self.bits()) {
            (Encoding::Png, 0..=16) | (_, 8) => self,
            _ => {
                reduced = RawFrame::from(self.to_frame(&Range::FULL)?);
                &reduced
            }
        };
        let (width, height) = (frame.width(), frame.height());
        match encoding {
            Encoding::Png => png::encode(frame.bytes(), width, height, frame.format(), frame.bits()),
            Encoding::Jpeg { quality: quality @ 1..=100 } => {
                jpeg::encode(frame.bytes(), width, height, frame.channels(), quality)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::decode::decode_bytes;
    use crate::data::{FrameView, PixelFormat};

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
