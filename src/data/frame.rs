//! Frames: [`FrameView`] borrows what a camera or application holds, [`Frame`] owns (H, W, C) bytes, C = 1 or 3.
//!
//! A view says where row y begins: `bytes[y·stride ..]`; plane p of the planar format has its own at `bytes[(p·height + y)·stride ..]`.
//! How pixels lie in a row is the [`PixelFormat`]'s matter. Everything is checked against the length of the buffer, with checked
//! arithmetic, before a pixel is read.
//!
//! A [`Frame`] has 8 bits a sample, which is what networks see. What has more keeps them in a [`RawFrame`](super::RawFrame) until a
//! [`Range`](super::Range) says which of its samples become which levels; the functions here take the full one.
//!
//! ```
//! use seed::data::{FrameView, PixelFormat};
//! // Two rows of two grey pixels, each row padded to four bytes.
//! let buffer = [1, 2, 0, 0, 3, 4, 0, 0];
//! let frame = FrameView::new(&buffer, 2, 2, 4, PixelFormat::Mono8)?.to_frame()?;
//! assert_eq!(frame.pixels(), [1, 2, 3, 4]);
//! # Ok::<(), seed::Error>(())
//! ```

use super::demosaic::demosaic;
use super::pixel_format::PixelFormat;
use crate::error::{Error, Result};
use crate::sys::memory::reserve;

/// The longest side of an image that is accepted, in pixels.
pub const MAX_SIDE: u32 = 32_768;

/// A borrowed image in any [`PixelFormat`].
#[derive(Debug, Clone, Copy)]
pub struct FrameView<'a> {
    /// The buffer; its last row need not be padded to the stride.
    pub bytes: &'a [u8],
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Bytes from one row to the next, at least [`PixelFormat::row_bytes`].
    pub stride: usize,
    /// How to read the bytes.
    pub format: PixelFormat,
    /// Significant bits of a sample, the format's or fewer in the formats of 16: no sample is larger than they allow.
    pub bits: u8,
}

impl<'a> FrameView<'a> {
    /// A view whose every pixel lies inside `bytes`, its samples of as many bits as the format has.
    ///
    /// # Errors
    /// `InvalidArgument` where a side is 0 or above [`MAX_SIDE`], the stride is shorter than a row or the buffer is
    /// too short; says what was expected and what was found.
    pub fn new(bytes: &'a [u8], width: u32, height: u32, stride: usize, format: PixelFormat) -> Result<Self> {
        let view = Self { bytes, width, height, stride, format, bits: format.bits() };
        view.check()?;
        Ok(view)
    }

    pub(super) fn check(&self) -> Result<()> {
        let Self { bytes, width, height, stride, format, bits } = *self;
        check_sides(width, height)?;
        let row = self.row_bytes();
        if stride < row {
            return Err(Error::invalid(format!(
                "frame stride is {stride} bytes, expected at least {row} ({width} pixels of {format:?})"
            )));
        }
        let fits = match format {
            PixelFormat::Mono16 | PixelFormat::Rgb16 => (9..=16).contains(&bits),
            _ => bits == format.bits(),
        };
        if !fits {
            return Err(Error::invalid(format!(
                "a frame in {format:?} has {bits} bits a sample, expected {}",
                format.bits()
            )));
        }
        let rows = height as usize * format.planes() as usize;
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
        self.format == PixelFormat::PlanarF32 && self.check().is_ok() && self.float_rows().flatten().any(is_outside)
    }

    /// The rows of all planes, each as its numbers' bytes; `check` has passed.
    pub(super) fn float_rows(&self) -> impl Iterator<Item = std::slice::ChunksExact<'a, u8>> {
        let (bytes, stride, row) = (self.bytes, self.stride, self.width as usize * 4);
        let rows = self.height as usize * self.format.planes() as usize;
        (0..rows).map(move |y| bytes[y * stride..][..row].chunks_exact(4))
    }

    /// Bytes of a row; `check_sides` has passed.
    pub(super) fn row_bytes(&self) -> usize {
        // At most MAX_SIDE · 6.
        self.format.row_bytes(self.width) as usize
    }

    /// Row `y`, of `height · planes`; `check` has passed.
    pub(super) fn row(&self, y: usize) -> &'a [u8] {
        &self.bytes[y * self.stride..][..self.row_bytes()]
    }

    /// The pixels of a format of 8 bits, or of planar floats.
    pub(super) fn bytes_in(&self, buffer: Vec<u8>) -> Result<Vec<u8>> {
        if self.format == PixelFormat::PlanarF32
            && let Some((y, x)) = self
                .float_rows()
                .enumerate()
                .find_map(|(y, mut row)| Some((y, row.position(|bytes| float_of(bytes).is_nan())?)))
        {
            let (plane, y) = (["red", "green", "blue"][y / self.height as usize], y % self.height as usize);
            return Err(Error::invalid(format!("the {plane} of pixel ({x}, {y}) is NaN, expected a number in [0, 1]")));
        }
        let (width, height) = (self.width as usize, self.height as usize);
        let mut pixels = buffer;
        pixels.clear();
        reserve(&mut pixels, width * height * usize::from(self.format.channels()), "a frame")?;
        if let Some(red) = self.format.red() {
            let row = |y: usize| self.row(y).as_chunks::<1>().0;
            demosaic((width, height), red, row, |[byte]| byte.into(), |number| [number as u8], &mut pixels)?;
            return Ok(pixels);
        }
        // check() proved that rows 0..height·planes lie inside the buffer.
        for y in 0..height {
            match self.format {
                PixelFormat::Bgr8 => {
                    pixels.extend(self.row(y).chunks_exact(3).flat_map(|pixel| [pixel[2], pixel[1], pixel[0]]));
                }
                PixelFormat::Rgba8 => {
                    pixels.extend(self.row(y).chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]));
                }
                PixelFormat::Bgra8 => {
                    pixels.extend(self.row(y).chunks_exact(4).flat_map(|pixel| [pixel[2], pixel[1], pixel[0]]));
                }
                PixelFormat::PlanarF32 => {
                    let planes = [y, height + y, 2 * height + y];
                    let [red, green, blue] = planes.map(|y| self.row(y).chunks_exact(4));
                    pixels.extend(red.zip(green).zip(blue).flat_map(|((r, g), b)| [r, g, b].map(byte_of_f32)));
                }
                _ => pixels.extend_from_slice(self.row(y)),
            }
        }
        Ok(pixels)
    }
}

/// What a caller is told of frames that are clamped.
pub const CLAMPED: &str = "planar floats outside [0, 1] were clamped to it, so such pixels are black or white; divide levels of 0 to 255 by 255";

/// What a caller is told of grey floats that the full range clamps.
pub const CLAMPED_BY_FULL: &str = "grey floats outside [0, 1] were clamped to it by the range \"full\", so such pixels are black or white; \
                                   set \"range\" to what the numbers are";

/// Half of a level of 255.
const HALF_LEVEL: f32 = 0.5 / 255.0;

/// Whether a float lies outside of [0, 1] by more than half a level.
pub(super) fn is_outside(bytes: &[u8]) -> bool {
    !(-HALF_LEVEL..=1.0 + HALF_LEVEL).contains(&float_of(bytes))
}

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
