//! From the samples of a frame to its 256 levels, by a [`Range`].
//!
//! ```text
//! FrameView of 8 bits → Frame             FrameView of more → RawFrame → by a Range → Frame
//! ```

use super::decoded::grey_if_all_are;
use super::frame::{Frame, FrameView, is_outside};
use super::pixel_format::PixelFormat;
use super::range::{Levels, Range, RangeKind};
use super::raw::RawFrame;
use crate::error::Result;
use crate::sys::memory::reserve;

impl RawFrame {
    /// The frame of 8 bits that `range` makes of it. A colour frame of more than 8 bits whose levels are all grey comes out with one
    /// channel: what a view makes of it is the same.
    ///
    /// # Errors
    /// `InvalidArgument` for a range out of bounds or one that is still to be measured over a data set, `OutOfMemory`.
    pub fn to_frame(&self, range: &Range) -> Result<Frame> {
        self.to_frame_in(range, Vec::new())
    }

    /// As [`to_frame`](RawFrame::to_frame), in the memory of `buffer`, which grows where it must.
    ///
    /// # Errors
    /// As `to_frame`.
    pub fn to_frame_in(&self, range: &Range, buffer: Vec<u8>) -> Result<Frame> {
        let levels = range.levels(self)?;
        let mut pixels = buffer;
        pixels.clear();
        let channels = self.channels();
        let count = self.width() as usize * self.height() as usize * usize::from(channels);
        reserve(&mut pixels, count, "a frame")?;
        let bytes = self.bytes();
        let words = || bytes.as_chunks().0.iter().map(|&sample| u16::from_ne_bytes(sample));
        match (&levels, self.bits()) {
            (Levels::Same, _) => pixels.extend_from_slice(bytes),
            (Levels::Shift(bits), _) => pixels.extend(words().map(|sample| (sample >> bits) as u8)),
            (Levels::Table(table), 8) => pixels.extend(bytes.iter().map(|&sample| table[usize::from(sample)])),
            (Levels::Table(table), _) => pixels.extend(words().map(|sample| table[usize::from(sample)])),
            (Levels::Numbers(mapping), 32) => {
                let floats = bytes.as_chunks().0.iter().map(|&sample| f32::from_ne_bytes(sample));
                pixels.extend(floats.map(|sample| mapping.level(sample.into())));
            }
            (Levels::Numbers(mapping), 8) => pixels.extend(bytes.iter().map(|&sample| mapping.level(sample.into()))),
            (Levels::Numbers(mapping), _) => pixels.extend(words().map(|sample| mapping.level(sample.into()))),
        }
        if self.format() == PixelFormat::Rgb16 {
            return grey_if_all_are(self.width(), self.height(), channels, pixels);
        }
        Frame::new(self.width(), self.height(), channels, pixels)
    }

    /// As [`to_frame`](RawFrame::to_frame), in its own memory where it has 8 bits.
    ///
    /// # Errors
    /// As `to_frame`.
    pub fn into_frame(self, range: &Range) -> Result<Frame> {
        if self.bits() > 8 {
            return self.to_frame(range);
        }
        let levels = range.levels(&self)?;
        let (width, height, channels) = (self.width(), self.height(), self.channels());
        let mut pixels = self.into_bytes();
        match levels {
            Levels::Table(table) => pixels.iter_mut().for_each(|sample| *sample = table[usize::from(*sample)]),
            Levels::Numbers(mapping) => {
                pixels.iter_mut().for_each(|sample| *sample = mapping.level((*sample).into()));
            }
            Levels::Same | Levels::Shift(_) => {}
        }
        Frame::new(width, height, channels, pixels)
    }
}

impl FrameView<'_> {
    /// Whether `range` is the full one and grey floats lie outside of what it is of them, [0, 1], by more than half a level.
    pub fn is_clamped_by(&self, range: &Range) -> bool {
        self.format == PixelFormat::MonoF32
            && range.kind == RangeKind::Full
            && self.check().is_ok()
            && self.float_rows().flatten().any(is_outside)
    }

    /// A copy as interleaved 8-bit rows without padding, 1 channel for grey, else red, green, blue, with the full range of the samples.
    ///
    /// # Errors
    /// As [`FrameView::new`] (the fields are public, so they are checked again), `InvalidArgument` for a float that is NaN, infinite grey, a
    /// sample with more bits than the format has and a mosaic narrower than two pixels, and `OutOfMemory`.
    pub fn to_frame(&self) -> Result<Frame> {
        self.to_frame_in(Vec::new())
    }

    /// As [`to_frame`](FrameView::to_frame), in the memory of `buffer`, which grows where it must.
    ///
    /// # Errors
    /// As `to_frame`.
    pub fn to_frame_in(&self, buffer: Vec<u8>) -> Result<Frame> {
        self.to_frame_by(&Range::FULL, buffer, &mut Vec::new())
    }

    /// As [`to_frame`](FrameView::to_frame), by another range. Frames that have more than 8 bits are copied to `spare` first; both memories
    /// grow where they must.
    ///
    /// # Errors
    /// As `to_frame`, and those of [`RawFrame::to_frame`].
    pub fn to_frame_by(&self, range: &Range, buffer: Vec<u8>, spare: &mut Vec<u8>) -> Result<Frame> {
        self.check()?;
        if self.format.kept_as().bits() > 8 {
            let raw = RawFrame::copy_of(self, std::mem::take(spare))?;
            let frame = raw.to_frame_in(range, buffer)?;
            *spare = raw.into_bytes();
            return Ok(frame);
        }
        let pixels = self.bytes_in(buffer)?;
        let frame = Frame::new(self.width, self.height, self.format.channels(), pixels)?;
        if range.is_full() { Ok(frame) } else { RawFrame::from(frame).into_frame(range) }
    }
}
