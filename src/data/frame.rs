//! Frames: [`FrameView`] borrows what a camera or application holds, [`Frame`] owns (H, W, C) bytes, C = 1 or 3.
//!
//! A view says where pixel (x, y) lies: `bytes[y·stride + x·bpp ..]`, with `bpp` bytes a pixel; for the planar format
//! `bytes[(p·height + y)·stride + 4·x ..]` for plane p. Everything is checked against the length of the buffer, with
//! checked arithmetic, before a pixel is read.
//!
//! ```
//! use seed::data::{FrameView, PixelFormat};
//! // Two rows of two grey pixels, each row padded to four bytes.
//! let buffer = [1, 2, 0, 0, 3, 4, 0, 0];
//! let frame = FrameView::new(&buffer, 2, 2, 4, PixelFormat::Mono8)?.to_frame()?;
//! assert_eq!(frame.pixels(), [1, 2, 3, 4]);
//! # Ok::<(), seed::Error>(())
//! ```

use crate::error::{Error, Result};
use crate::sys::memory::reserve;

/// The longest side of an image that is accepted, in pixels.
pub const MAX_SIDE: u32 = 32_768;

/// How the bytes of a [`FrameView`] are to be read. The values are those of the C ABI and never renumbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum PixelFormat {
    /// One byte a pixel.
    Mono8 = 1,
    /// Two bytes a pixel, native byte order, full range 0..=65535; reduced to 8 bits by `>> 8`.
    Mono16 = 2,
    /// Red, green, blue.
    Rgb8 = 3,
    /// Blue, green, red.
    Bgr8 = 4,
    /// Red, green, blue, alpha; alpha is dropped.
    Rgba8 = 5,
    /// Blue, green, red, alpha; alpha is dropped.
    Bgra8 = 6,
    /// Three planes, red, green and blue, of native `f32` in [0, 1]. Values outside are clamped ([`FrameView::is_clamped`] tells);
    /// NaN is refused.
    PlanarF32 = 7,
}

impl PixelFormat {
    const ALL: [PixelFormat; 7] =
        [Self::Mono8, Self::Mono16, Self::Rgb8, Self::Bgr8, Self::Rgba8, Self::Bgra8, Self::PlanarF32];

    /// The format with the C ABI's number `code`.
    pub fn from_code(code: i32) -> Result<Self> {
        Self::ALL.into_iter().find(|format| *format as i32 == code).ok_or_else(|| {
            Error::invalid(format!("unknown pixel format {code}, expected 1 (mono8) to 7 (planar float)"))
        })
    }

    /// Bytes from one pixel of a row to the next.
    pub fn bytes_per_pixel(self) -> usize {
        match self {
            Self::Mono8 => 1,
            Self::Mono16 => 2,
            Self::Rgb8 | Self::Bgr8 => 3,
            Self::Rgba8 | Self::Bgra8 | Self::PlanarF32 => 4,
        }
    }

    /// Bytes a pixel takes in a [`RawFrame`](super::RawFrame).
    pub(crate) fn copied_bytes(self) -> usize {
        match self {
            Self::Mono8 => 1,
            Self::Mono16 => 2,
            _ => 3,
        }
    }

    /// Planes that follow one another in the buffer.
    fn planes(self) -> usize {
        if self == Self::PlanarF32 { 3 } else { 1 }
    }
}

/// A borrowed image in any [`PixelFormat`].
#[derive(Debug, Clone, Copy)]
pub struct FrameView<'a> {
    /// The buffer; its last row need not be padded to the stride.
    pub bytes: &'a [u8],
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Bytes from one row to the next, at least `width · bytes_per_pixel`.
    pub stride: usize,
    /// How to read the bytes.
    pub format: PixelFormat,
}

impl<'a> FrameView<'a> {
    /// A view whose every pixel lies inside `bytes`.
    ///
    /// # Errors
    /// `InvalidArgument` where a side is 0 or above [`MAX_SIDE`], the stride is shorter than a row or the buffer is
    /// too short; says what was expected and what was found.
    pub fn new(bytes: &'a [u8], width: u32, height: u32, stride: usize, format: PixelFormat) -> Result<Self> {
        let view = Self { bytes, width, height, stride, format };
        view.check()?;
        Ok(view)
    }

    fn check(&self) -> Result<()> {
        let Self { bytes, width, height, stride, format } = *self;
        check_sides(width, height)?;
        let row = width as usize * format.bytes_per_pixel();
        if stride < row {
            return Err(Error::invalid(format!(
                "frame stride is {stride} bytes, expected at least {row} ({width} pixels of {} bytes, {format:?})",
                format.bytes_per_pixel()
            )));
        }
        let rows = height as usize * format.planes();
        let needed = stride.checked_mul(rows - 1).and_then(|before| before.checked_add(row));
        match needed {
            Some(needed) if needed <= bytes.len() => Ok(()),
            Some(needed) => Err(Error::invalid(format!(
                "frame buffer holds {} bytes, expected at least {needed} for {width}×{height} \
                 {format:?} with a stride of {stride}",
                bytes.len()
            ))),
            None => Err(Error::invalid(format!("frame stride {stride} times {rows} rows exceeds the address space"))),
        }
    }

    /// Whether planar floats lie outside [0, 1] by more than half a level, so that a copy clamps them: an image in 0 to 255 becomes
    /// white. Interpolation that swings a little over is no fault. Frames of bytes never do.
    pub fn is_clamped(&self) -> bool {
        let outside = |bytes: &[u8]| !(-HALF_LEVEL..=1.0 + HALF_LEVEL).contains(&float_of(bytes));
        self.format == PixelFormat::PlanarF32 && self.check().is_ok() && self.float_rows().flatten().any(outside)
    }

    /// The rows of all planes, each as its numbers' bytes; `check` has passed.
    fn float_rows(&self) -> impl Iterator<Item = std::slice::ChunksExact<'a, u8>> {
        let (bytes, stride, row) = (self.bytes, self.stride, self.width as usize * 4);
        (0..self.height as usize * 3).map(move |y| bytes[y * stride..][..row].chunks_exact(4))
    }

    /// A copy as interleaved 8-bit rows without padding: 1 channel for the mono formats, else red, green, blue.
    ///
    /// # Errors
    /// As [`FrameView::new`] (the fields are public, so they are checked again), `InvalidArgument` for a planar float that is NaN, and
    /// `OutOfMemory`.
    pub fn to_frame(&self) -> Result<Frame> {
        self.to_frame_in(Vec::new())
    }

    /// As [`to_frame`](FrameView::to_frame), in the memory of `buffer`, which grows where it must.
    ///
    /// # Errors
    /// As `to_frame`.
    pub fn to_frame_in(&self, buffer: Vec<u8>) -> Result<Frame> {
        self.check()?;
        if self.format == PixelFormat::PlanarF32
            && let Some((y, x)) = self
                .float_rows()
                .enumerate()
                .find_map(|(y, mut row)| Some((y, row.position(|bytes| float_of(bytes).is_nan())?)))
        {
            let (plane, y) = (["red", "green", "blue"][y / self.height as usize], y % self.height as usize);
            return Err(Error::invalid(format!("the {plane} of pixel ({x}, {y}) is NaN, expected a number in [0, 1]")));
        }
        let channels = if matches!(self.format, PixelFormat::Mono8 | PixelFormat::Mono16) { 1 } else { 3 };
        let (width, height) = (self.width as usize, self.height as usize);
        let mut pixels = buffer;
        pixels.clear();
        reserve(&mut pixels, width * height * channels, "a frame")?;
        let row_bytes = width * self.format.bytes_per_pixel();
        // check() proved that rows 0..height·planes lie inside the buffer.
        let row = |y: usize| &self.bytes[y * self.stride..][..row_bytes];
        for y in 0..height {
            match self.format {
                PixelFormat::Mono8 | PixelFormat::Rgb8 => pixels.extend_from_slice(row(y)),
                PixelFormat::Mono16 => pixels
                    .extend(row(y).chunks_exact(2).map(|pixel| (u16::from_ne_bytes([pixel[0], pixel[1]]) >> 8) as u8)),
                PixelFormat::Bgr8 => {
                    pixels.extend(row(y).chunks_exact(3).flat_map(|pixel| [pixel[2], pixel[1], pixel[0]]));
                }
                PixelFormat::Rgba8 => {
                    pixels.extend(row(y).chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]));
                }
                PixelFormat::Bgra8 => {
                    pixels.extend(row(y).chunks_exact(4).flat_map(|pixel| [pixel[2], pixel[1], pixel[0]]));
                }
                PixelFormat::PlanarF32 => {
                    let [red, green, blue] = [row(y), row(height + y), row(2 * height + y)].map(|r| r.chunks_exact(4));
                    pixels.extend(red.zip(green).zip(blue).flat_map(|((r, g), b)| [r, g, b].map(byte_of_f32)));
                }
            }
        }
        Frame::new(self.width, self.height, channels as u8, pixels)
    }
}

/// What a caller is told of frames that are clamped.
pub const CLAMPED: &str = "planar floats outside [0, 1] were clamped to it, so such pixels are black or white; divide levels of 0 to 255 by 255";

/// Half of a level of 255.
const HALF_LEVEL: f32 = 0.5 / 255.0;

fn float_of(bytes: &[u8]) -> f32 {
    f32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// The nearest of 256 levels for four bytes that hold a native `f32` in [0, 1].
fn byte_of_f32(bytes: &[u8]) -> u8 {
    (float_of(bytes).clamp(0.0, 1.0) * 255.0 + 0.5) as u8
}

/// An owned image: (H, W, C) bytes without padding, C = 1 (grey) or 3 (red, green, blue).
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    width: u32,
    height: u32,
    channels: u8,
    pixels: Vec<u8>,
}

impl Frame {
    /// Takes `width · height · channels` bytes.
    ///
    /// # Errors
    /// `InvalidArgument` where sides, channels or the number of bytes do not fit.
    pub fn new(width: u32, height: u32, channels: u8, pixels: Vec<u8>) -> Result<Self> {
        check_sides(width, height)?;
        if channels != 1 && channels != 3 {
            return Err(Error::invalid(format!("frame has {channels} channels, expected 1 or 3")));
        }
        let expected = width as usize * height as usize * channels as usize;
        if pixels.len() != expected {
            return Err(Error::invalid(format!(
                "frame holds {} bytes, expected {expected} for {width}×{height}×{channels}",
                pixels.len()
            )));
        }
        Ok(Self { width, height, channels, pixels })
    }

    /// Pixels in a row.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// 1 (grey) or 3 (red, green, blue).
    pub fn channels(&self) -> u8 {
        self.channels
    }

    /// (H, W, C) bytes.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The bytes, given up.
    pub fn into_pixels(self) -> Vec<u8> {
        self.pixels
    }
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Frame({}×{}×{})", self.width, self.height, self.channels)
    }
}

fn check_sides(width: u32, height: u32) -> Result<()> {
    if width == 0 || height == 0 || width > MAX_SIDE || height > MAX_SIDE {
        return Err(Error::invalid(format!("frame is {width}×{height} pixels, expected 1 to {MAX_SIDE} a side")));
    }
    Ok(())
}
