//! The ways in which cameras and applications lay pixels out in memory.
//!
//! | formats | a pixel |
//! |---|---|
//! | `Mono8`, `Mono10`, `Mono12`, `Mono14`, `Mono16` | grey in one byte, or in two of native byte order, the sample in the low bits |
//! | `Mono10p`, `Mono12p` | GenICam's PFNC: samples follow one another bit by bit, the lowest bit first |
//! | `Mono12Packed` | GigE Vision's: two pixels in three bytes, the upper 8 bits of each in the first and third, the lower 4 of both between |
//! | `BayerRg8` … `BayerBg12` | a colour mosaic, named by the first two pixels of the first row; 12 bits in two bytes as `Mono12` |
//! | `Rgb8`, `Bgr8`, `Rgba8`, `Bgra8`, `Rgb16` | three or four samples |
//! | `MonoF32`, `PlanarF32` | native `f32`, grey, or three planes |
//!
//! Each row of a packed format begins with a byte of its own: it has ceil(width · bits / 8) bytes.
//!
//! ```
//! use seed::data::PixelFormat;
//! assert_eq!((PixelFormat::Mono12p.row_bytes(3), PixelFormat::Rgb16.row_bytes(3)), (5, 18));
//! ```

use crate::error::{Error, Result};

/// How the bytes of a [`FrameView`](super::FrameView) are to be read. The values are those of the C ABI and never renumbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum PixelFormat {
    /// One byte a pixel.
    Mono8 = 1,
    /// Two bytes a pixel, native byte order, full range 0..=65535.
    Mono16 = 2,
    /// Red, green, blue.
    Rgb8 = 3,
    /// Blue, green, red.
    Bgr8 = 4,
    /// Red, green, blue, alpha; alpha is dropped.
    Rgba8 = 5,
    /// Blue, green, red, alpha; alpha is dropped.
    Bgra8 = 6,
    /// Three planes, red, green and blue, of native `f32` in [0, 1], which become 8 bits as they are copied. Values outside are
    /// clamped ([`FrameView::is_clamped`](super::FrameView::is_clamped) tells); NaN is refused.
    PlanarF32 = 7,
    /// Two bytes a pixel, native byte order, 0..=1023; larger values are refused.
    Mono10 = 8,
    /// Two bytes a pixel, native byte order, 0..=4095; larger values are refused.
    Mono12 = 9,
    /// Two bytes a pixel, native byte order, 0..=16383; larger values are refused.
    Mono14 = 10,
    /// Four pixels in five bytes: PFNC's `Mono10p`.
    Mono10p = 11,
    /// Two pixels in three bytes: PFNC's `Mono12p`.
    Mono12p = 12,
    /// Two pixels in three bytes: GigE Vision's `Mono12Packed`.
    Mono12Packed = 13,
    /// A mosaic of bytes whose first row is red, green, …
    BayerRg8 = 14,
    /// A mosaic of bytes whose first row is green, red, …
    BayerGr8 = 15,
    /// A mosaic of bytes whose first row is green, blue, …
    BayerGb8 = 16,
    /// A mosaic of bytes whose first row is blue, green, …
    BayerBg8 = 17,
    /// As `BayerRg8`, the samples as in `Mono12`.
    BayerRg12 = 18,
    /// As `BayerGr8`, the samples as in `Mono12`.
    BayerGr12 = 19,
    /// As `BayerGb8`, the samples as in `Mono12`.
    BayerGb12 = 20,
    /// As `BayerBg8`, the samples as in `Mono12`.
    BayerBg12 = 21,
    /// Red, green, blue of two bytes each, native byte order, full range 0..=65535.
    Rgb16 = 22,
    /// Native `f32`, any finite number; NaN and infinity are refused. The full range is [0, 1].
    MonoF32 = 23,
}

/// What the bytes of a format are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Samples {
    /// A byte each.
    Bytes,
    /// Two bytes each.
    Words,
    /// Bits without gaps; the places of two or four pixels repeat.
    Packed(Packing),
    /// Four bytes each.
    Floats,
}

/// How samples follow one another without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    /// The lowest bit first, so many bits each.
    LowFirst(u32),
    /// Of two samples of 12 bits: upper 8 of the first, lower 4 of both (the first's are the lower half), upper 8 of the second.
    GigE,
}

impl PixelFormat {
    /// All of them, by number from 1.
    pub const ALL: [PixelFormat; 23] = [
        Self::Mono8,
        Self::Mono16,
        Self::Rgb8,
        Self::Bgr8,
        Self::Rgba8,
        Self::Bgra8,
        Self::PlanarF32,
        Self::Mono10,
        Self::Mono12,
        Self::Mono14,
        Self::Mono10p,
        Self::Mono12p,
        Self::Mono12Packed,
        Self::BayerRg8,
        Self::BayerGr8,
        Self::BayerGb8,
        Self::BayerBg8,
        Self::BayerRg12,
        Self::BayerGr12,
        Self::BayerGb12,
        Self::BayerBg12,
        Self::Rgb16,
        Self::MonoF32,
    ];

    /// The format with the C ABI's number `code`.
    ///
    /// # Errors
    /// `InvalidArgument` for a number that no format has.
    pub fn from_code(code: i32) -> Result<Self> {
        Self::ALL.into_iter().find(|format| *format as i32 == code).ok_or_else(|| {
            let last = Self::ALL.len();
            Error::invalid(format!("unknown pixel format {code}, expected 1 (mono8) to {last} (float grey)"))
        })
    }

    /// Bytes of a row of `width` pixels, of one plane where the format has planes.
    pub fn row_bytes(self, width: u32) -> u64 {
        // At most 2^32 · 48.
        (u64::from(width) * self.pixel_bits()).div_ceil(8)
    }

    /// Bits from one pixel of a row to the next.
    fn pixel_bits(self) -> u64 {
        match self {
            Self::Mono8 | Self::BayerRg8 | Self::BayerGr8 | Self::BayerGb8 | Self::BayerBg8 => 8,
            Self::Mono10p => 10,
            Self::Mono12p | Self::Mono12Packed => 12,
            Self::Mono10 | Self::Mono12 | Self::Mono14 | Self::Mono16 => 16,
            Self::BayerRg12 | Self::BayerGr12 | Self::BayerGb12 | Self::BayerBg12 => 16,
            Self::Rgb8 | Self::Bgr8 => 24,
            Self::Rgba8 | Self::Bgra8 | Self::PlanarF32 | Self::MonoF32 => 32,
            Self::Rgb16 => 48,
        }
    }

    /// Planes that follow one another in the buffer.
    pub fn planes(self) -> u32 {
        if self == Self::PlanarF32 { 3 } else { 1 }
    }

    /// Significant bits of a sample; 32 of a float.
    pub fn bits(self) -> u8 {
        match self {
            Self::Mono10 | Self::Mono10p => 10,
            Self::Mono12 | Self::Mono12p | Self::Mono12Packed => 12,
            Self::BayerRg12 | Self::BayerGr12 | Self::BayerGb12 | Self::BayerBg12 => 12,
            Self::Mono14 => 14,
            Self::Mono16 | Self::Rgb16 => 16,
            Self::MonoF32 | Self::PlanarF32 => 32,
            _ => 8,
        }
    }

    /// What its bytes are.
    pub(super) fn samples(self) -> Samples {
        match self {
            Self::Mono10p => Samples::Packed(Packing::LowFirst(10)),
            Self::Mono12p => Samples::Packed(Packing::LowFirst(12)),
            Self::Mono12Packed => Samples::Packed(Packing::GigE),
            _ => match self.bits() {
                8 => Samples::Bytes,
                32 => Samples::Floats,
                _ => Samples::Words,
            },
        }
    }

    /// Where red lies in a mosaic, as the column and the row of the first red pixel.
    pub(super) fn red(self) -> Option<(usize, usize)> {
        match self {
            Self::BayerRg8 | Self::BayerRg12 => Some((0, 0)),
            Self::BayerGr8 | Self::BayerGr12 => Some((1, 0)),
            Self::BayerGb8 | Self::BayerGb12 => Some((0, 1)),
            Self::BayerBg8 | Self::BayerBg12 => Some((1, 1)),
            _ => None,
        }
    }

    /// As what a [`RawFrame`](super::RawFrame) keeps it: `Mono8`, `Mono16`, `Rgb8`, `Rgb16` or `MonoF32`.
    pub fn kept_as(self) -> PixelFormat {
        match self {
            Self::MonoF32 => Self::MonoF32,
            Self::PlanarF32 => Self::Rgb8,
            _ => match (self.red().is_some() || self.pixel_bits() >= 24, self.bits() > 8) {
                (false, false) => Self::Mono8,
                (false, true) => Self::Mono16,
                (true, false) => Self::Rgb8,
                (true, true) => Self::Rgb16,
            },
        }
    }

    /// Channels of the frame that comes of it: 1 or 3.
    pub fn channels(self) -> u8 {
        if matches!(self.kept_as(), Self::Rgb8 | Self::Rgb16) { 3 } else { 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_bytes_and_kinds() {
        for (place, format) in PixelFormat::ALL.into_iter().enumerate() {
            assert_eq!(format as usize, place + 1);
            assert_eq!(PixelFormat::from_code(format as i32).unwrap(), format);
            assert_eq!(format.kept_as().kept_as(), format.kept_as());
            assert_eq!(format.red().is_some(), format!("{format:?}").starts_with("Bayer"));
        }
        for code in [i32::MIN, -1, 0, 24, i32::MAX] {
            assert!(PixelFormat::from_code(code).unwrap_err().message().contains("expected 1 (mono8) to 23"));
        }
        let bytes = |format: PixelFormat| [1, 2, 3, 4, 5].map(|width| format.row_bytes(width));
        assert_eq!(bytes(PixelFormat::Mono10p), [2, 3, 4, 5, 7]);
        assert_eq!(bytes(PixelFormat::Mono12Packed), [2, 3, 5, 6, 8]);
        assert_eq!(PixelFormat::Rgb16.row_bytes(u32::MAX), 6 * u64::from(u32::MAX));
    }
}
