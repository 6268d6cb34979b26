//! [`RawFrame`]: an owned copy of a frame in the depth it came with.
//!
//! ```text
//! FrameView | file → RawFrame: (H, W, C) u8 | u16 of 9 to 16 bits | f32 (grey) → by a Range → Frame: (H, W, C) u8
//! ```
//!
//! Packed samples are unpacked and mosaics demosaiced as they are copied, so there are five formats only.
//!
//! ```
//! use seed::data::{FrameView, PixelFormat, Range, RawFrame};
//! // Two samples of 12 bits, 0xABC and 0x123, as GenICam packs them.
//! let view = FrameView::new(&[0xBC, 0x3A, 0x12], 2, 1, 3, PixelFormat::Mono12p)?;
//! let raw = RawFrame::copy_of(&view, Vec::new())?;
//! assert_eq!((raw.format(), raw.bits(), raw.sample(0), raw.sample(1)), (PixelFormat::Mono16, 12, 2748.0, 291.0));
//! assert_eq!(raw.to_frame(&Range::FULL)?.pixels(), [0xAB, 0x12]);
//! # Ok::<(), seed::Error>(())
//! ```

use super::demosaic::demosaic;
use super::frame::{Frame, FrameView};
use super::pixel_format::{Packing, PixelFormat, Samples};
use crate::error::{Error, Result};
use crate::sys::memory::reserve;

/// An owned copy of a frame without padding, with as many bits a sample as it came with.
#[derive(Clone, PartialEq, Eq)]
pub struct RawFrame {
    width: u32,
    height: u32,
    /// `Mono8`, `Mono16`, `Rgb8`, `Rgb16` or `MonoF32`.
    format: PixelFormat,
    /// Significant bits of a sample: 8, 9 to 16 or 32.
    bits: u8,
    bytes: Vec<u8>,
}

impl RawFrame {
    /// A copy of `view` in the memory of `buffer`, which grows where it must. Alpha is dropped, and planar floats become 8 bits.
    ///
    /// # Errors
    /// As [`FrameView::to_frame`].
    pub fn copy_of(view: &FrameView<'_>, buffer: Vec<u8>) -> Result<Self> {
        view.check()?;
        let (width, height) = (view.width, view.height);
        let format = view.format.kept_as();
        if format.bits() == 8 {
            return Ok(Self { width, height, format, bits: 8, bytes: view.bytes_in(buffer)? });
        }
        let mut bytes = buffer;
        bytes.clear();
        let sides = (width as usize, height as usize);
        reserve(&mut bytes, sides.1 * format.row_bytes(width) as usize, "a frame")?;
        match (view.format.samples(), view.format.red()) {
            (Samples::Packed(packing), _) => {
                (0..sides.1).for_each(|y| unpack(view.row(y), sides.0, packing, &mut bytes))
            }
            (Samples::Floats, _) => {
                check_floats(view)?;
                (0..sides.1).for_each(|y| bytes.extend_from_slice(view.row(y)));
            }
            (_, red) => {
                check_words(view)?;
                match red {
                    Some(red) => {
                        let row = |y: usize| view.row(y).as_chunks::<2>().0;
                        let number = |sample| u16::from_ne_bytes(sample).into();
                        demosaic(sides, red, row, number, |number| (number as u16).to_ne_bytes(), &mut bytes)?;
                    }
                    None => (0..sides.1).for_each(|y| bytes.extend_from_slice(view.row(y))),
                }
            }
        }
        Ok(Self { width, height, format, bits: view.bits, bytes })
    }

    /// Samples of two bytes in the machine's order, (H, W, C), none larger than `bits` bits allow; C is 1 or 3, `bits` 9 to 16.
    pub(super) fn of_words(width: u32, height: u32, channels: u8, bits: u8, bytes: Vec<u8>) -> Self {
        let format = if channels == 1 { PixelFormat::Mono16 } else { PixelFormat::Rgb16 };
        debug_assert_eq!(bytes.len() as u64, format.row_bytes(width) * u64::from(height));
        debug_assert!((9..=16).contains(&bits));
        Self { width, height, format, bits, bytes }
    }

    /// Samples as they lie in a frame of these parts.
    pub(super) fn of_parts(width: u32, height: u32, format: PixelFormat, bits: u8, bytes: Vec<u8>) -> Self {
        debug_assert_eq!(bytes.len() as u64, format.row_bytes(width) * u64::from(height));
        Self { width, height, format, bits, bytes }
    }

    /// Pixels in a row.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// `Mono8`, `Mono16`, `Rgb8`, `Rgb16` or `MonoF32`.
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// Significant bits of a sample: 8, 9 to 16, or 32 of floats. No sample is larger than they allow.
    pub fn bits(&self) -> u8 {
        self.bits
    }

    /// 1 (grey) or 3 (red, green, blue).
    pub fn channels(&self) -> u8 {
        self.format.channels()
    }

    /// The samples, row after row, in native byte order.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The memory, given up.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Sample `i` of height · width · channels, in the frame's own units.
    ///
    /// # Panics
    /// Where there is no such sample.
    pub fn sample(&self, i: usize) -> f64 {
        match self.bits {
            8 => self.bytes[i].into(),
            32 => f32::from_ne_bytes(self.bytes.as_chunks().0[i]).into(),
            _ => u16::from_ne_bytes(self.bytes.as_chunks().0[i]).into(),
        }
    }

    /// A view of the pixels.
    pub fn view(&self) -> FrameView<'_> {
        let stride = self.format.row_bytes(self.width) as usize;
        let Self { width, height, format, bits, ref bytes } = *self;
        FrameView { bytes, width, height, stride, format, bits }
    }
}

impl From<Frame> for RawFrame {
    fn from(frame: Frame) -> Self {
        let (width, height) = (frame.width(), frame.height());
        let format = if frame.channels() == 1 { PixelFormat::Mono8 } else { PixelFormat::Rgb8 };
        Self { width, height, format, bits: 8, bytes: frame.into_pixels() }
    }
}

impl std::fmt::Debug for RawFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RawFrame({}×{} {:?}, {} bits)", self.width, self.height, self.format, self.bits)
    }
}

/// Appends the samples of a packed row, two bytes each.
fn unpack(row: &[u8], width: usize, packing: Packing, bytes: &mut Vec<u8>) {
    let word = |at: usize| u32::from(row[at]) | u32::from(row[at + 1]) << 8;
    let sample = |x: usize| match packing {
        // Eight bits and more never lie in one byte alone, and never in three: they begin at even bits.
        Packing::LowFirst(bits) => {
            let first = x * bits as usize;
            word(first / 8) >> (first % 8) & ((1 << bits) - 1)
        }
        Packing::GigE => {
            let at = x / 2 * 3;
            match x % 2 {
                0 => u32::from(row[at]) << 4 | u32::from(row[at + 1]) & 15,
                _ => u32::from(row[at + 2]) << 4 | u32::from(row[at + 1]) >> 4,
            }
        }
    };
    (0..width).for_each(|x| bytes.extend((sample(x) as u16).to_ne_bytes()));
}

/// Refuses a sample that has more bits than the format, as one that lies in the upper bits of its word has.
fn check_words(view: &FrameView<'_>) -> Result<()> {
    if view.bits == 16 {
        return Ok(());
    }
    let most = (1u16 << view.bits) - 1;
    let channels = if view.format == PixelFormat::Rgb16 { 3 } else { 1 };
    for y in 0..view.height as usize {
        let samples = || view.row(y).as_chunks().0.iter().map(|&sample| u16::from_ne_bytes(sample));
        if samples().fold(0, |all, sample| all | sample) <= most {
            continue;
        }
        let Some((i, sample)) = samples().enumerate().find(|&(_, sample)| sample > most) else { continue };
        return Err(Error::invalid(format!(
            "pixel ({}, {y}) is {sample}, expected 0 to {most} for {:?}; samples in the upper bits of 16 are Mono16",
            i / channels,
            view.format
        )));
    }
    Ok(())
}

fn check_floats(view: &FrameView<'_>) -> Result<()> {
    for y in 0..view.height as usize {
        let mut samples = view.row(y).as_chunks().0.iter().map(|&sample| f32::from_ne_bytes(sample));
        if let Some(x) = samples.position(|sample| !sample.is_finite()) {
            let sample = f32::from_ne_bytes(view.row(y).as_chunks().0[x]);
            return Err(Error::invalid(format!("pixel ({x}, {y}) is {sample}, expected a finite number")));
        }
    }
    Ok(())
}
