//! [`Ignored`]: pixels of frames of one size that count for nothing, such as a fixture or a date code; by a mask, or by polygons.
//!
//! ```
//! use seed::data::Ignored;
//! // A triangle: a pixel belongs to it where its middle does.
//! let triangle = Ignored::polygon(4, 4, &[[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])?;
//! let rows: Vec<String> = (0..4).map(|y| (0..4).map(|x| if triangle.has(x, y) { '#' } else { '.' }).collect()).collect();
//! assert_eq!(rows, ["###.", "##..", "#...", "...."]);
//! # Ok::<(), seed::Error>(())
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use super::frame::{Frame, FrameView, MAX_SIDE};
use super::input::Input;
use super::roi::Roi;
use crate::error::{Error, Result};
use crate::sys::memory::{collected, copied, filled};

/// The most corners of a polygon.
pub const MAX_CORNERS: usize = 4096;

/// Which pixels of a frame are ignored. At least one is, and at least one is not.
#[derive(Clone, PartialEq, Eq)]
pub struct Ignored {
    width: u32,
    height: u32,
    /// (H, W), 1 or 0.
    marks: Vec<u8>,
}

impl Ignored {
    /// The pixels of `marks` (H, W) that are not 0.
    ///
    /// # Errors
    /// `InvalidArgument` where sides and marks do not fit, no pixel is ignored or every one.
    pub fn new(width: u32, height: u32, mut marks: Vec<u8>) -> Result<Self> {
        let sides = 1..=MAX_SIDE;
        if !sides.contains(&width) || !sides.contains(&height) || marks.len() != width as usize * height as usize {
            return Err(Error::invalid(format!(
                "a mask of {width}×{height} has {} pixels, expected 1 to {MAX_SIDE} a side",
                marks.len()
            )));
        }
        marks.iter_mut().for_each(|mark| *mark = u8::from(*mark != 0));
        match marks.iter().filter(|&&mark| mark == 1).count() {
            0 => Err(Error::invalid(format!("no pixel of the mask of {width}×{height} is ignored"))),
            all if all == marks.len() => {
                Err(Error::invalid(format!("every pixel of the frame of {width}×{height} is ignored: nothing is left")))
            }
            _ => Ok(Self { width, height, marks }),
        }
    }

    /// The pixels of `mask` that are not black.
    ///
    /// # Errors
    /// Those of [`FrameView::to_frame`] and [`Ignored::new`]; `InvalidArgument` for samples of more than 8 bits.
    pub fn of_mask(mask: &FrameView<'_>) -> Result<Self> {
        if mask.format.bits() > 8 {
            return Err(Error::invalid(format!(
                "a mask has samples of 8 bits, found {}: what is dark in more bits would become black",
                mask.format.bits()
            )));
        }
        let frame = mask.to_frame()?;
        let channels = usize::from(frame.channels());
        let any = |pixel: &[u8]| u8::from(pixel.iter().any(|&level| level > 0));
        let marks = collected(frame.pixels().chunks_exact(channels).map(any), "a mask")?;
        Self::new(frame.width(), frame.height(), marks)
    }

    /// The pixels of a frame of these sides whose middles lie inside of a polygon by its `corners` [x, y], counted from the left upper
    /// corner of the first pixel; where it crosses itself, inside is what an odd number of its edges encloses.
    ///
    /// # Errors
    /// `InvalidArgument` for fewer than 3 corners, one that is no number, and where no pixel of the frame lies inside or each.
    pub fn polygon(width: u32, height: u32, corners: &[[f64; 2]]) -> Result<Self> {
        if !(3..=MAX_CORNERS).contains(&corners.len()) {
            return Err(Error::invalid(format!(
                "a polygon has {} corners, expected 3 to {MAX_CORNERS}",
                corners.len()
            )));
        }
        if let Some((number, [x, y])) = corners.iter().enumerate().find(|(_, at)| at.iter().any(|x| !x.is_finite())) {
            return Err(Error::invalid(format!("corner {number} of a polygon is ({x}, {y}), expected numbers")));
        }
        if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
            return Err(Error::invalid(format!("the frame is {width}×{height}, expected 1 to {MAX_SIDE} a side")));
        }
        let mut marks = filled(0u8, width as usize * height as usize, "a mask")?;
        let mut crossings = Vec::new();
        for (y, row) in marks.chunks_exact_mut(width as usize).enumerate() {
            let middle = y as f64 + 0.5;
            crossings.clear();
            for (number, &[x0, y0]) in corners.iter().enumerate() {
                let [x1, y1] = corners[(number + 1) % corners.len()];
                // An edge has its upper end and not its lower one, so that a corner counts once.
                if (y0 <= middle) != (y1 <= middle) {
                    crossings.push(x0 + (middle - y0) / (y1 - y0) * (x1 - x0));
                }
            }
            crossings.sort_unstable_by(f64::total_cmp);
            for span in crossings.as_chunks::<2>().0 {
                // The first pixel whose middle does not lie before x.
                let at = |x: f64| (x - 0.5).ceil().clamp(0.0, f64::from(width)) as usize;
                row[at(span[0])..at(span[1]).max(at(span[0]))].fill(1);
            }
        }
        if !marks.contains(&1) {
            return Err(Error::invalid(format!(
                "no pixel of the frame of {width}×{height} lies inside of the polygon"
            )));
        }
        Self::new(width, height, marks)
    }

    /// What either ignores.
    ///
    /// # Errors
    /// `InvalidArgument` where they are of different sizes or nothing is left.
    pub fn joined(&self, other: &Self) -> Result<Self> {
        self.check_size(other.width, other.height)?;
        let both = self.marks.iter().zip(&other.marks).map(|(a, b)| a | b);
        Self::new(self.width, self.height, collected(both, "a mask")?)
    }

    /// Width and height of the frames.
    pub fn sides(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// (H, W), 1 where a pixel is ignored, else 0.
    pub fn marks(&self) -> &[u8] {
        &self.marks
    }

    /// The marks, given up.
    pub fn into_marks(self) -> Vec<u8> {
        self.marks
    }

    /// Whether a pixel of the frame is ignored.
    pub fn has(&self, x: u32, y: u32) -> bool {
        self.marks[y as usize * self.width as usize + x as usize] == 1
    }

    /// Whether every pixel of a rectangle of the frame is ignored.
    pub fn covers(&self, part: &Roi) -> bool {
        let rows = self.marks.chunks_exact(self.width as usize).skip(part.y as usize).take(part.height as usize);
        let (begin, end) = (part.x as usize, (part.x + part.width) as usize);
        rows.map(|row| &row[begin.min(row.len())..end.min(row.len())]).all(|row| !row.contains(&0))
    }

    /// # Errors
    /// `InvalidArgument` where a frame of these sides is of another size.
    pub fn check_size(&self, width: u32, height: u32) -> Result<()> {
        if (width, height) == (self.width, self.height) {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "the mask of what is ignored is {}×{}, the frame is {width}×{height} pixels",
            self.width, self.height
        )))
    }

    /// A copy of the frame whose ignored pixels have the mean colour of `input`, so that what lies there changes nothing.
    ///
    /// # Errors
    /// That of [`check_size`](Ignored::check_size); `OutOfMemory`.
    pub fn painted(&self, frame: &Frame, input: &Input) -> Result<Frame> {
        self.check_size(frame.width(), frame.height())?;
        let pixels = copied(frame.pixels(), "a frame")?;
        self.paint(Frame::new(frame.width(), frame.height(), frame.channels(), pixels)?, input)
    }

    /// As [`painted`](Ignored::painted), in the frame's own memory.
    ///
    /// # Errors
    /// That of [`check_size`](Ignored::check_size).
    pub fn paint(&self, frame: Frame, input: &Input) -> Result<Frame> {
        self.check_size(frame.width(), frame.height())?;
        let level = |mean: f64| (mean * 255.0).round().clamp(0.0, 255.0) as u8;
        let (width, height, channels) = (frame.width(), frame.height(), frame.channels());
        let mut pixels = frame.into_pixels();
        let colour = match channels {
            1 => vec![level(input.grey_normal().0)],
            _ => input.mean.map(level).to_vec(),
        };
        for (pixel, _) in pixels.chunks_exact_mut(colour.len()).zip(&self.marks).filter(|(_, mark)| **mark == 1) {
            pixel.copy_from_slice(&colour);
        }
        Frame::new(width, height, channels, pixels)
    }

    /// Which of the `height` × `width` equal cells of the network's image count, row after row: those that show a pixel which is not ignored, and
    /// those that show no pixel of the frame.
    ///
    /// # Errors
    /// `InvalidArgument` where none counts: all that is seen of the frame is ignored; `OutOfMemory`.
    pub fn counted(&self, input: &Input, height: usize, width: usize) -> Result<Vec<bool>> {
        let placement = input.placement(self.width, self.height)?;
        let [left, top, across, down] = placement.source;
        // The pixels that a cell touches, of those that are seen.
        let spans = |cells: usize, side: u32, axis: usize, (from, length): (f64, f64), all: u32| {
            let at = |cell: usize| {
                let mut point = [0.0; 2];
                point[axis] = cell as f64 * f64::from(side) / cells as f64;
                placement.to_frame(point)[axis].clamp(from, from + length)
            };
            let span = move |cell: usize| {
                let (begin, end) = (at(cell), at(cell + 1));
                // Rounding must not touch a neighbour.
                let (first, last) =
                    ((begin + 1e-6).floor().max(0.0) as usize, (end - 1e-6).ceil().min(f64::from(all)) as usize);
                if end > begin { first..last } else { 0..0 }
            };
            collected((0..cells).map(span), "cells of a mask")
        };
        let columns = spans(width, input.width, 0, (left, across), self.width)?;
        let rows = spans(height, input.height, 1, (top, down), self.height)?;
        let mut counted = filled(false, height * width, "cells of a mask")?;
        let (mut seen, mut places) = (false, counted.iter_mut());
        for rows in &rows {
            for (columns, place) in columns.iter().zip(&mut places) {
                let of_row = |y: usize| &self.marks[y * self.width as usize..][columns.clone()];
                let is_free = rows.clone().any(|y| of_row(y).contains(&0));
                seen |= is_free;
                *place = is_free || rows.is_empty() || columns.is_empty();
            }
        }
        if seen {
            return Ok(counted);
        }
        Err(Error::invalid("all that is seen of the frame is ignored: nothing is left to judge"))
    }
}

impl std::fmt::Debug for Ignored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ignored({}×{})", self.width, self.height)
    }
}

/// What a data set ignores.
#[derive(Clone, Default)]
pub(super) struct IgnoredOf {
    /// In every frame.
    pub all: Option<Arc<Ignored>>,
    /// In single frames.
    pub one: BTreeMap<usize, Arc<Ignored>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Resize, Roi};

    #[test]
    fn polygons_that_are_none_are_refused() {
        let square = [[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 4.0]];
        let refused = |corners: &[[f64; 2]]| Ignored::polygon(4, 4, corners).unwrap_err().message().to_owned();
        assert!(refused(&square[..2]).contains("2 corners, expected 3"));
        assert!(refused(&[[0.0, 0.0], [f64::NAN, 1.0], [2.0, 2.0]]).contains("corner 1"));
        assert!(refused(&[[0.0, 0.0], [1.0, f64::INFINITY], [2.0, 2.0]]).contains("corner 1"));
        assert!(refused(&[[10.0, 10.0], [20.0, 10.0], [20.0, 20.0]]).contains("no pixel of the frame"));
        assert!(refused(&square).contains("nothing is left"));
        assert!(Ignored::polygon(0, 4, &square).is_err() && Ignored::polygon(4, MAX_SIDE + 1, &square).is_err());
        assert!(Ignored::new(2, 2, vec![0; 4]).is_err() && Ignored::new(2, 2, vec![1; 3]).is_err());
        // A pentagram's middle is enclosed twice.
        let star: Vec<[f64; 2]> = (0..5)
            .map(|i| (f64::from(i) * 0.8 * std::f64::consts::PI).sin_cos())
            .map(|(x, y)| [20.0 + 18.0 * x, 20.0 - 18.0 * y])
            .collect();
        let star = Ignored::polygon(40, 40, &star).unwrap();
        assert!(!star.has(20, 20) && star.has(20, 5) && !star.has(2, 2));
    }

    #[test]
    fn cells_count_where_a_pixel_does() {
        let mut marks = vec![0; 64];
        (0..8).for_each(|y| marks[y * 8..y * 8 + 5].fill(9));
        let ignored = Ignored::new(8, 8, marks).unwrap();
        let input = Input { width: 32, height: 32, ..Input::default() };
        assert_eq!(ignored.counted(&input, 1, 4).unwrap(), [false, false, true, true]);
        assert_eq!(ignored.counted(&input, 1, 8).unwrap(), [false, false, false, false, false, true, true, true]);
        let roi = |x, width| Input { roi: Roi { x, y: 0, width, height: 8 }, ..input };
        assert_eq!(ignored.counted(&roi(4, 4), 1, 4).unwrap(), [false, true, true, true]);
        assert!(ignored.counted(&roi(0, 4), 2, 2).unwrap_err().message().contains("nothing is left to judge"));
        // The padding of a letterbox shows no pixel.
        let tall = Ignored::new(4, 8, [vec![1; 16], vec![0; 16]].concat()).unwrap();
        let padded = Input { resize: Resize::Letterbox, ..input };
        let expected = [true, false, false, true, true, true, true, true];
        assert_eq!(tall.counted(&padded, 2, 4).unwrap(), expected);
    }

    #[test]
    fn what_is_ignored_is_painted() {
        let ignored = Ignored::polygon(3, 1, &[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]).unwrap();
        let input = Input { mean: [0.0, 0.5, 1.0], ..Input::default() };
        let grey = ignored.painted(&Frame::new(3, 1, 1, vec![1, 2, 3]).unwrap(), &input).unwrap();
        assert_eq!(grey.pixels(), [128, 2, 3]);
        let colour = ignored.painted(&Frame::new(3, 1, 3, (1..10).collect()).unwrap(), &input).unwrap();
        assert_eq!(colour.pixels(), [0, 128, 255, 4, 5, 6, 7, 8, 9]);
        let error = ignored.painted(&Frame::new(1, 3, 1, vec![1, 2, 3]).unwrap(), &input).unwrap_err();
        assert!(error.message().contains("is 3×1, the frame is 1×3"), "{error}");
    }
}
