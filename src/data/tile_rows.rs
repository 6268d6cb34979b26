//! Numbers of tiles, blended one row of tiles after the other, so that several maps of a large frame need not be in memory at once.
//!
//! ```text
//! tiles of row r → K maps of t rows each → the first start_{r+1} − start_r of them are whole, the others go on with row r + 1
//! ```

use std::ops::Range;

use super::tiles::Grid;
use crate::error::Result;
use crate::sys::memory::filled;

/// The rows of pixels that a row of tiles shows, of several maps.
pub struct TileRows {
    grid: Grid,
    /// Pixels in a row of the frame.
    frame_width: usize,
    /// (K, t, W), W the width of what is seen.
    sums: Vec<f32>,
}

/// Rows of pixels that no other tile reaches.
pub struct Band<'a> {
    /// Of each map (height, width).
    pub maps: Vec<&'a [f32]>,
    /// Rows.
    pub height: usize,
    /// Pixels of a row: of what is seen of the frame.
    pub width: usize,
    /// Number of the first pixel in the frame's.
    first: usize,
    frame_width: usize,
}

impl Band<'_> {
    /// The numbers of the pixels of row `y` among the frame's.
    pub fn place(&self, y: usize) -> Range<usize> {
        let begin = self.first + y * self.frame_width;
        begin..begin + self.width
    }
}

impl TileRows {
    /// For `maps` maps of a frame `frame_width` pixels wide.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn new(grid: Grid, frame_width: u32, maps: usize) -> Result<TileRows> {
        let length = maps * grid.rows.tile as usize * grid.columns.length as usize;
        let sums = filled(0f32, length, "the maps of a row of tiles")?;
        Ok(TileRows { grid, frame_width: frame_width as usize, sums })
    }

    /// Adds the numbers (t, t') of tile `i` to map `map`, each times its weight. Tiles come in their order.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn add(&mut self, i: usize, map: usize, numbers: &[f32]) -> Result<()> {
        let (column, row) = self.grid.place(i);
        let (across, down) = (self.grid.columns.weights(column)?, self.grid.rows.weights(row)?);
        let (left, width) = (self.grid.columns.start(column) as usize, self.grid.columns.length as usize);
        let own = self.sums.chunks_exact_mut(width * down.len()).nth(map).unwrap_or_default();
        for ((to, from), &down) in own.chunks_exact_mut(width).zip(numbers.chunks_exact(across.len())).zip(&down) {
            for ((to, &from), &across) in to[left..].iter_mut().zip(from).zip(&across) {
                *to += from * (across * down);
            }
        }
        Ok(())
    }

    /// Gives what is whole to `take` when tile `i`, the last of its row, was added, and goes on to the next row.
    ///
    /// # Errors
    /// Those of `take`.
    pub fn finish(&mut self, i: usize, take: impl FnOnce(&Band<'_>) -> Result<()>) -> Result<()> {
        let Grid { columns, rows } = self.grid;
        let (_, row) = self.grid.place(i);
        let (width, tile) = (columns.length as usize, rows.tile as usize);
        let height = match row + 1 == rows.count() {
            true => tile,
            false => (rows.start(row + 1) - rows.start(row)) as usize,
        };
        let first = (rows.first + rows.start(row)) as usize * self.frame_width + columns.first as usize;
        let maps = self.sums.chunks_exact(width * tile).map(|map| &map[..height * width]).collect();
        take(&Band { maps, height, width, first, frame_width: self.frame_width })?;
        for map in self.sums.chunks_exact_mut(width * tile) {
            map.copy_within(height * width.., 0);
            map[(tile - height) * width..].fill(0.0);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Input, Roi, Tile};

    #[test]
    fn bands_make_up_what_a_whole_map_is() {
        let roi = Roi { x: 7, y: 5, width: 150, height: 131 };
        for (overlap, roi) in [(0.0, Roi::NONE), (0.25, roi), (0.5, Roi::NONE)] {
            let (width, height) = (161u32, 140u32);
            let input = Input { width: 48, height: 32, roi, ..Input::default() };
            let grid = Tile { size: 40, overlap }.grid(&input, width, height).unwrap();
            let numbers = |i: usize, map: usize| -> Vec<f32> {
                (0..grid.columns.tile * grid.rows.tile)
                    .map(|at| ((at as usize * 7 + i * 13 + map) as f32).sin())
                    .collect()
            };
            let mut rows = TileRows::new(grid, width, 2).unwrap();
            let mut found = vec![vec![0f32; (width * height) as usize]; 2];
            let mut expected = found.clone();
            for i in 0..grid.count() {
                for (map, expected) in expected.iter_mut().enumerate() {
                    rows.add(i, map, &numbers(i, map)).unwrap();
                    grid.blend(i, &numbers(i, map), expected, width).unwrap();
                }
                if (i + 1) % grid.columns.count() == 0 {
                    rows.finish(i, |band| {
                        for (map, from) in band.maps.iter().enumerate() {
                            for y in 0..band.height {
                                found[map][band.place(y)].copy_from_slice(&from[y * band.width..][..band.width]);
                            }
                        }
                        Ok(())
                    })
                    .unwrap();
                }
            }
            assert!(found == expected, "overlap {overlap}");
        }
    }
}
