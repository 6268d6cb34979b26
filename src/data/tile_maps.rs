//! Maps of tiles, stitched in their own resolution: a network's feature maps of tiles become one map of all that is seen.
//!
//! A tile of t pixels has a map of m cells of t/m pixels each, so L pixels have n = ⌈L·m/t⌉ of them. A tile begins between two cells in
//! general; its map is read there bilinearly, and weighted as its pixels are ([`Axis::weights`]):
//!
//! ```text
//! stitched(g) = Σ_i w_i(p)·map_i((p − start_i)·m/t)       p = (g + ½)·t/m, the middle of cell g in pixels
//! ```

use std::ops::Range;

use super::tiles::Axis;
use crate::error::Result;
use crate::sys::memory::filled;

/// What a tile's map adds to the stitched one, along one side.
#[derive(Clone, Debug, PartialEq)]
pub struct Share {
    /// The cells of the stitched map that it adds to.
    pub cells: Range<usize>,
    /// (cells, m), row after row: by which numbers of its own.
    pub matrix: Vec<f32>,
}

impl Axis {
    /// n: cells of all that is seen, where a tile has `cells`.
    pub fn cells(&self, cells: usize) -> usize {
        let all = u64::from(self.length) * cells as u64;
        all.div_ceil(u64::from(self.tile)) as usize
    }

    /// What the `cells` of tile `i` add.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn share(&self, i: usize, cells: usize) -> Result<Share> {
        let (start, side) = (self.start(i), f64::from(self.tile) / cells as f64);
        let middle = |cell: usize| (cell as f64 + 0.5) * side;
        // The pixel that a cell's middle lies in; the last cell may reach beyond what is seen.
        let pixel = |cell: usize| (middle(cell) as u32).min(self.length - 1);
        let all = self.cells(cells);
        let guess = (f64::from(start) / side) as usize;
        let begin = (guess.saturating_sub(1)..all).find(|&cell| pixel(cell) >= start).unwrap_or(all);
        let end = (begin..all).find(|&cell| pixel(cell) >= start + self.tile).unwrap_or(all);
        let weights = self.weights(i)?;
        let mut matrix = filled(0f32, (end - begin) * cells, "the cells of a tile")?;
        for (cell, row) in (begin..end).zip(matrix.chunks_exact_mut(cells)) {
            let at = ((middle(cell) - f64::from(start)) / side - 0.5).clamp(0.0, (cells - 1) as f64);
            // Where a tile begins with a cell, rounding must not mix its neighbour in.
            let at = if (at - at.round()).abs() < 1e-9 { at.round() } else { at };
            let (low, part) = (at as usize, at.fract() as f32);
            let weight = weights[(pixel(cell) - start) as usize];
            row[low] += weight * (1.0 - part);
            row[(low + 1).min(cells - 1)] += weight * part;
        }
        Ok(Share { cells: begin..end, matrix })
    }
}

#[cfg(test)]
mod tests {
    use crate::data::{Input, Tile};

    /// A map whose cells hold where their middles lie in the frame is stitched to one that does, too.
    #[test]
    fn a_ramp_stays_a_ramp() {
        for (side, size, overlap, cells) in
            [(1000, 200, 0.25, 25), (1003, 200, 0.5, 7), (640, 64, 0.0, 64), (300, 299, 0.3, 10), (96, 96, 0.5, 12)]
        {
            let input = Input { width: 64, height: 64, ..Input::default() };
            let axis = Tile { size, overlap }.grid(&input, side, side).unwrap().columns;
            let cell = f64::from(size) / cells as f64;
            let count = axis.cells(cells);
            assert_eq!(count, (f64::from(side) / cell - 1e-9).ceil() as usize);
            let (mut found, mut weights) = (vec![0f64; count], vec![0f64; count]);
            for i in 0..axis.count() {
                let share = axis.share(i, cells).unwrap();
                let middle = |own: usize| f64::from(axis.start(i)) + (own as f64 + 0.5) * cell;
                for (at, row) in share.cells.zip(share.matrix.chunks_exact(cells)) {
                    for (own, &weight) in row.iter().enumerate() {
                        found[at] += f64::from(weight) * middle(own);
                        weights[at] += f64::from(weight);
                    }
                }
            }
            for (at, (found, weight)) in found.iter().zip(&weights).enumerate() {
                assert!((weight - 1.0).abs() < 1e-5, "{side} {size} {overlap} {cells}: cell {at} weighs {weight}");
                // Beyond the middles of a tile's outermost cells nothing is known.
                let expected = ((at as f64 + 0.5) * cell).min(f64::from(side) - 0.5 * cell);
                assert!(
                    (found - expected).abs() < 0.5 * cell + 1e-3,
                    "{side} {size}: cell {at}: {found} for {expected}"
                );
            }
        }
    }

    #[test]
    fn one_tile_is_left_as_it_is() {
        let input = Input { width: 96, height: 64, ..Input::default() };
        let grid = Tile { size: 640, overlap: 0.5 }.grid(&input, 960, 640).unwrap();
        let share = grid.columns.share(0, 12).unwrap();
        let identity: Vec<f32> = (0..144).map(|at| f32::from(u8::from(at / 12 == at % 12))).collect();
        assert!(share.cells == (0..12) && share.matrix == identity, "{share:?}");
    }
}
