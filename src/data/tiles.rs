//! [`Tile`] and [`Grid`]: a frame that is larger than the network's input, seen in tiles that overlap.
//!
//! Along a side of L pixels, with tiles of t pixels of which the share o overlaps the next:
//!
//! ```text
//! starts:   0, s, 2s, … and L − t, with s = t − round(o·t): the last tile is moved inwards, no pixel is left out
//! weights:  w_i(x) = h(x − start_i) / Σ_j h(x − start_j)    h(u) = sin²(π·(u + ½)/t), Hann's window; Σ_i w_i(x) = 1
//! own:      a pixel belongs to the tile whose middle is nearest: it lies farther from that tile's edges than from any other's
//! ```
//!
//! Tiles of both sides make the grid, and a pixel's weight in a tile is the product of both sides' weights, so these sum to 1, too. A map
//! that is the weighted sum of tiles' maps has no seam: a tile's weight is next to 0 at its edges, but for those that are edges of
//! all that is seen.
//!
//! ```
//! use seed::data::{Input, Tile};
//! let input = Input { width: 224, height: 224, ..Input::default() };
//! let grid = Tile { size: 400, overlap: 0.25 }.grid(&input, 1000, 600)?;
//! assert_eq!((grid.columns.count(), grid.rows.count()), (3, 2));
//! assert_eq!((0..3).map(|i| grid.columns.start(i)).collect::<Vec<_>>(), [0, 300, 600]);
//! assert_eq!((0..2).map(|i| grid.rows.start(i)).collect::<Vec<_>>(), [0, 200]); // 300 would end beyond the frame
//! # Ok::<(), seed::Error>(())
//! ```

use std::f64::consts::PI;
use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::frame::MAX_SIDE;
use super::geometry::Resize;
use super::input::Input;
use super::roi::Roi;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::memory::{collected, filled};

/// The smallest side of a tile, in pixels.
pub const MIN_SIDE: u32 = 8;

/// Tiles of a frame at most: a line scan of 16,384 × 8,192 has 10,658 of 224 pixels that overlap by half.
const MOST: usize = 1 << 16;

/// The largest share of a tile that overlaps the next: each place lies in four tiles then.
pub const MAX_OVERLAP: f64 = 0.5;

/// How a frame is cut into tiles; of size 0: not at all.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tile {
    /// Shorter side of a tile in pixels of the frame; the other one is as much longer as that of the network's input is. 0: frames are
    /// seen whole, as `resize` says.
    pub size: u32,
    /// Share of a tile that the next one shows as well, along each side.
    pub overlap: f64,
}

impl Default for Tile {
    fn default() -> Self {
        Self { size: 0, overlap: 0.25 }
    }
}

impl Tile {
    /// Whether frames are seen whole.
    pub fn is_none(&self) -> bool {
        self.size == 0
    }

    /// # Errors
    /// `Config` for a side or an overlap that no tile has.
    pub fn check(&self) -> Result<()> {
        let Self { size, overlap } = *self;
        let wrong = |message: String| Err(Error::new(ErrorKind::Config, message));
        if size != 0 && !(MIN_SIDE..=MAX_SIDE).contains(&size) {
            return wrong(format!("tile.size is {size}, expected {MIN_SIDE} to {MAX_SIDE}, or 0 for whole frames"));
        }
        // NaN is in no range.
        if !(0.0..=MAX_OVERLAP).contains(&overlap) {
            return wrong(format!("tile.overlap is {overlap}, expected 0 to {MAX_OVERLAP}"));
        }
        Ok(())
    }

    /// The input of a network that sees tiles: a tile is seen whole, and by its sides its aspect ratio is the input's.
    pub fn seen(&self, input: &Input) -> Input {
        match self.is_none() {
            true => *input,
            false => Input { resize: Resize::Whole, ..*input },
        }
    }

    /// Width and height of a tile for images of `input`, in pixels of the frame.
    pub fn sides(&self, input: &Input) -> (u32, u32) {
        let shorter = u64::from(input.width.min(input.height)).max(1);
        let side = |side: u32| {
            let scaled = (u64::from(side) * u64::from(self.size) + shorter / 2) / shorter;
            u32::try_from(scaled).unwrap_or(u32::MAX)
        };
        (side(input.width), side(input.height))
    }

    /// The tiles of a frame of `width` × `height` pixels, or of its region of interest ([`Input::roi`]).
    ///
    /// # Errors
    /// `InvalidArgument` where a tile is larger than that, there would be more than 65,536 of them, or the region is not inside of the frame; those of [`check`](Tile::check).
    pub fn grid(&self, input: &Input, width: u32, height: u32) -> Result<Grid> {
        self.check()?;
        let part = input.roi.within(width, height)?;
        let (across, down) = self.sides(input);
        if self.is_none() || across > part.width || down > part.height {
            let of = if input.roi.is_none() { "frame" } else { "region of interest" };
            return Err(Error::invalid(format!(
                "a tile of {across}×{down} pixels (tile.size {}) is larger than the {of} of {}×{}: set a smaller tile.size, or 0 for whole \
                 frames",
                self.size, part.width, part.height
            )));
        }
        let columns = Axis::new(part.left, part.width, across, self.overlap);
        let rows = Axis::new(part.top, part.height, down, self.overlap);
        let grid = Grid { columns, rows };
        match grid.count() {
            count if count > MOST => Err(Error::invalid(format!(
                "{self}, make {count} tiles of a frame of {}×{}, and at most {MOST} are taken: set a larger tile.size",
                part.width, part.height
            ))),
            _ => Ok(grid),
        }
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_none() {
            true => write!(f, "whole frames"),
            false => write!(f, "tiles of {} pixels, overlap {}", self.size, self.overlap),
        }
    }
}

/// The tiles along one side of what is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    /// First pixel of what is seen, in the frame.
    pub first: u32,
    /// L, its pixels.
    pub length: u32,
    /// t, pixels of a tile; at most L.
    pub tile: u32,
    /// s, from a tile's first pixel to the next tile's; 1 to t.
    pub step: u32,
}

impl Axis {
    fn new(first: u32, length: u32, tile: u32, overlap: f64) -> Self {
        let shared = (overlap * f64::from(tile)).round() as u32;
        Self { first, length, tile, step: tile.saturating_sub(shared).max(1) }
    }

    /// Tiles, at least one.
    pub fn count(&self) -> usize {
        (self.length - self.tile).div_ceil(self.step) as usize + 1
    }

    /// First pixel of tile `i`, counted from the first that is seen.
    pub fn start(&self, i: usize) -> u32 {
        // As many tiles as there are begin within a side, which is far below 2^32.
        (i as u32 * self.step).min(self.length - self.tile)
    }

    /// The pixels that belong to tile `i`, counted from the first that is seen. Each pixel belongs to one tile.
    pub fn own(&self, i: usize) -> Range<u32> {
        let between = |i: usize| (self.start(i) + self.start(i + 1) + self.tile) / 2;
        let begin = if i == 0 { 0 } else { between(i - 1) };
        let end = if i + 1 == self.count() { self.length } else { between(i) };
        begin..end
    }

    /// Of `cells` equal cells of tile `i` those that show a pixel which belongs to it.
    pub fn own_cells(&self, i: usize, cells: usize) -> Range<usize> {
        let (own, start) = (self.own(i), self.start(i));
        let (cells, tile) = (cells as u64, u64::from(self.tile));
        let [begin, end] = [own.start, own.end].map(|at| u64::from(at - start) * cells);
        (begin / tile) as usize..end.div_ceil(tile) as usize
    }

    /// w_i of each pixel of tile `i`, t numbers.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn weights(&self, i: usize) -> Result<Vec<f32>> {
        let start = self.start(i);
        // Tiles that reach into this one: at most so many on each side, and one more for the last, which is moved.
        let beside = self.tile.div_ceil(self.step) as usize;
        let others = i.saturating_sub(beside)..(i + beside + 1).min(self.count());
        let window = |at: u32| (PI * (f64::from(at) + 0.5) / f64::from(self.tile)).sin().powi(2);
        let weight = |at: u32| {
            let at = start + at;
            let inside = |j: usize| at.checked_sub(self.start(j)).filter(|&at| at < self.tile);
            let sum: f64 = others.clone().filter_map(inside).map(window).sum();
            (window(at - start) / sum) as f32
        };
        collected((0..self.tile).map(weight), "the weights of a tile")
    }
}

/// The tiles of a frame, row after row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// From left to right.
    pub columns: Axis,
    /// From top to bottom.
    pub rows: Axis,
}

impl Grid {
    /// Tiles, at least one.
    pub fn count(&self) -> usize {
        self.columns.count() * self.rows.count()
    }

    /// Column and row of tile `i`.
    pub fn place(&self, i: usize) -> (usize, usize) {
        (i % self.columns.count(), i / self.columns.count())
    }

    /// The pixels of the frame that tile `i` shows.
    pub fn roi(&self, i: usize) -> Roi {
        let ((column, row), Self { columns, rows }) = (self.place(i), self);
        Roi {
            x: columns.first + columns.start(column),
            y: rows.first + rows.start(row),
            width: columns.tile,
            height: rows.tile,
        }
    }

    /// How tile `i` becomes the network's input, where `input` says how frames do.
    pub fn input(&self, i: usize, input: &Input) -> Input {
        Input { roi: self.roi(i), resize: Resize::Whole, ..*input }
    }

    /// Which of the `height` × `width` equal cells of tile `i` show a pixel that belongs to it, row after row.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn own_cells(&self, i: usize, height: usize, width: usize) -> Result<Vec<bool>> {
        let (column, row) = self.place(i);
        let (across, down) = (self.columns.own_cells(column, width), self.rows.own_cells(row, height));
        let mut own = filled(false, height * width, "cells of a tile")?;
        for cells in own.chunks_exact_mut(width).take(down.end).skip(down.start) {
            cells[across.clone()].fill(true);
        }
        Ok(own)
    }

    /// Adds the numbers of tile `i`, (t, t) row after row, to `map`, that of a whole frame `width` pixels wide, each times its weight. When all
    /// tiles were added, `map` is the stitched map where the frame is seen.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn blend(&self, i: usize, numbers: &[f32], map: &mut [f32], width: u32) -> Result<()> {
        let (column, row) = self.place(i);
        let (across, down) = (self.columns.weights(column)?, self.rows.weights(row)?);
        let Roi { x, y, .. } = self.roi(i);
        let rows = map.chunks_exact_mut(width as usize).skip(y as usize);
        for ((to, from), &down) in rows.zip(numbers.chunks_exact(across.len())).zip(&down) {
            for ((to, &from), &across) in to[x as usize..].iter_mut().zip(from).zip(&across) {
                *to += from * (across * down);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rand_core::RngCore;

    use super::*;
    use crate::data::random::{Purpose, generator};

    /// Grids of all kinds: tiles as large as the frame, one pixel smaller, without overlap, with half of it.
    fn grids() -> Vec<(Grid, u32, u32)> {
        let mut random = generator(5, 0, 0, Purpose::Split);
        let mut below = |bound: u32| random.next_u32() % bound;
        let mut found = Vec::new();
        while found.len() < 60 {
            let input = Input { width: 32 + 8 * below(3), height: 32, ..Input::default() };
            let tile = Tile {
                size: 8 + below(60),
                overlap: [0.0, 0.25, 0.5, f64::from(below(50)) / 100.0][below(4) as usize],
            };
            let (across, down) = tile.sides(&input);
            let (width, height) =
                (across + [0, 1, below(300)][below(3) as usize], down + [0, 1, below(200)][below(3) as usize]);
            let roi = match below(2) {
                0 => Roi::NONE,
                _ => Roi { x: below(9), y: below(9), width, height },
            };
            let (frame_w, frame_h) = (width + roi.x + 3 * u32::from(!roi.is_none()), height + roi.y);
            found.push((tile.grid(&Input { roi, ..input }, frame_w, frame_h).unwrap(), frame_w, frame_h));
        }
        found
    }

    #[test]
    fn tiles_cover_all_and_belong_to_nobody_else() {
        for (grid, width, height) in grids() {
            for (axis, side) in [(grid.columns, width), (grid.rows, height)] {
                assert!(axis.first + axis.length <= side, "{axis:?} {side}");
                let count = axis.count();
                assert_eq!((axis.start(0), axis.start(count - 1)), (0, axis.length - axis.tile), "{axis:?}");
                for i in 1..count {
                    let away = axis.start(i) - axis.start(i - 1);
                    assert!((1..=axis.step).contains(&away), "{axis:?}: tile {i}");
                    assert_eq!(axis.own(i).start, axis.own(i - 1).end, "{axis:?}");
                }
                assert_eq!((axis.own(0).start, axis.own(count - 1).end), (0, axis.length));
                for i in 0..count {
                    let (own, start) = (axis.own(i), axis.start(i));
                    assert!(
                        !own.is_empty() && own.start >= start && own.end <= start + axis.tile,
                        "{axis:?}: tile {i}"
                    );
                    // Nearest by the distance of a pixel's middle to a tile's, in halves of a pixel.
                    for at in own {
                        let away = |j: usize| (2 * at + 1).abs_diff(2 * axis.start(j) + axis.tile);
                        assert!((0..count).all(|j| away(i) <= away(j) + 2), "{axis:?}: pixel {at}");
                    }
                }
            }
        }
    }

    #[test]
    fn weights_sum_to_one() {
        for (grid, width, height) in grids() {
            let mut map = vec![0f32; (width * height) as usize];
            let tile = vec![3.0; (grid.columns.tile * grid.rows.tile) as usize];
            for i in 0..grid.count() {
                grid.blend(i, &tile, &mut map, width).unwrap();
            }
            let Grid { columns, rows } = grid;
            for (at, &found) in map.iter().enumerate() {
                let (x, y) = (at as u32 % width, at as u32 / width);
                let seen = (columns.first..columns.first + columns.length).contains(&x)
                    && (rows.first..rows.first + rows.length).contains(&y);
                let expected = if seen { 3.0 } else { 0.0 };
                assert!((found - expected).abs() < 1e-5, "{grid:?} ({x}, {y}): {found}");
            }
        }
    }

    /// Where tiles overlap by a quarter, a weight changes from pixel to pixel by little: nothing begins or ends at once.
    #[test]
    fn weights_have_no_step() {
        let axis = Axis::new(0, 1000, 200, 0.25);
        for i in 0..axis.count() {
            let weights = axis.weights(i).unwrap();
            let steps = weights.windows(2).map(|two| (two[1] - two[0]).abs());
            // From 0 to 1 within 50 pixels, no step larger than thrice the mean one.
            assert!(steps.fold(0.0, f32::max) < 3.0 / 50.0, "{weights:?}");
            assert!(i == 0 || weights[0] < 1e-3, "{weights:?}");
            assert!(i + 1 == axis.count() || weights[199] < 1e-3, "{weights:?}");
        }
    }

    #[test]
    fn every_pixel_lies_in_a_cell_of_its_own_tile() {
        for (grid, width, height) in grids() {
            for cells in [1, 3, 7, 64] {
                let mut seen = vec![false; (width * height) as usize];
                for i in 0..grid.count() {
                    let own = grid.own_cells(i, cells, cells).unwrap();
                    assert!(own.contains(&true));
                    let roi = grid.roi(i);
                    for (x, y) in (0..roi.width).flat_map(|x| (0..roi.height).map(move |y| (x, y))) {
                        let cell = |at: u32, side: u32| (at as usize * cells) / side as usize;
                        if own[cell(y, roi.height) * cells + cell(x, roi.width)] {
                            seen[((roi.y + y) * width + roi.x + x) as usize] = true;
                        }
                    }
                }
                let (columns, rows) = (grid.columns, grid.rows);
                let count = seen.iter().filter(|&&seen| seen).count();
                assert_eq!(
                    count,
                    (columns.length * rows.length) as usize,
                    "{grid:?} of {width}×{height}, {cells} cells"
                );
            }
        }
    }

    #[test]
    fn tiles_that_do_not_fit_are_refused() {
        let input = Input::default();
        let tile = Tile { size: 300, ..Tile::default() };
        let error = tile.grid(&input, 299, 800).unwrap_err();
        assert!(error.message().contains("300×300") && error.message().contains("frame of 299×800"), "{error}");
        let roi = Roi { x: 10, y: 10, width: 400, height: 200 };
        let error = tile.grid(&Input { roi, ..input }, 1000, 1000).unwrap_err();
        assert!(error.message().contains("region of interest of 400×200"), "{error}");
        assert!(tile.grid(&Input { roi, ..input }, 300, 1000).unwrap_err().message().contains("not inside of a frame"));
        assert!(Tile::default().grid(&input, 1000, 1000).is_err());
        for (size, overlap) in [(7, 0.25), (MAX_SIDE + 1, 0.25), (64, 0.51), (64, -0.1), (64, f64::NAN), (0, f64::NAN)]
        {
            assert_eq!(Tile { size, overlap }.check().unwrap_err().kind(), ErrorKind::Config);
        }
        // A line scan.
        let tile = Tile { size: 224, overlap: 0.25 };
        assert_eq!(tile.grid(&input, 16_384, 8_192).unwrap().count(), 98 * 49);
    }
}
