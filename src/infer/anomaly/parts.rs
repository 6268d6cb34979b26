//! What the rows of a batch show: whole frames, or their tiles.
//!
//! ```text
//! frame → its region of interest → tiles ([`Grid`]) → each an image of the network → patches, distances, map
//! frame's score: of the patches of all tiles that lie in their own tile's part of the frame
//! frame's map:   Σ_i w_i · map of tile i, brought to the tile's pixels
//! ```

use std::sync::Arc;

use crate::data::random::{Purpose, below, generator};
use crate::data::{Frame, Grid, Ignored, Input, Tile};
use crate::error::Result;

/// What a row of a batch shows.
#[derive(Clone)]
pub(crate) struct Part {
    /// Number of the frame, among those of a call or a data set.
    pub frame: usize,
    /// How the frame becomes the row.
    pub input: Input,
    /// The tile that it shows, by its number; none where it shows the frame as a whole.
    pub tile: Option<(Grid, usize)>,
    /// What counts for nothing in the frame.
    pub ignored: Option<Arc<Ignored>>,
}

impl Part {
    /// A frame as a whole.
    pub fn whole(frame: usize, input: &Input, ignored: Option<Arc<Ignored>>) -> Part {
        Part { frame, input: *input, tile: None, ignored }
    }

    /// Which part of its frame it is, and of how many.
    pub fn number(&self) -> (usize, usize) {
        self.tile.as_ref().map_or((0, 1), |(grid, number)| (*number, grid.count()))
    }

    /// How many of `all` patches of its frame this part may give; see [`share_of`].
    pub fn share(&self, all: usize, seed: u64) -> usize {
        share_of(all, self.number(), seed, self.frame)
    }

    /// Which of `height` × `width` equal cells of the row show a pixel that is not ignored; none where nothing is.
    ///
    /// # Errors
    /// Those of [`Ignored::counted`].
    pub fn counted(&self, height: i64, width: i64) -> Result<Option<Vec<bool>>> {
        self.ignored.as_ref().map(|ignored| ignored.counted(&self.input, height as usize, width as usize)).transpose()
    }

    /// Which of `height` × `width` equal cells of the row lie in the tile's own part of the frame; none where all do.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn own(&self, height: i64, width: i64) -> Result<Option<Vec<bool>>> {
        match &self.tile {
            Some((grid, number)) if grid.count() > 1 => {
                grid.own_cells(*number, height as usize, width as usize).map(Some)
            }
            _ => Ok(None),
        }
    }
}

/// How many of `all` things of the frame number `frame` part `number` of `count` may give: shares differ by one at most and sum to `all`. Where
/// there are fewer things than parts, `seed` and `frame` decide which parts give one, so that no place is left out in every frame.
pub(crate) fn share_of(all: usize, (number, count): (usize, usize), seed: u64, frame: usize) -> usize {
    if count <= 1 {
        return all;
    }
    let first = below(&mut generator(seed, 2, frame as u64, Purpose::Split), count as u64);
    let until = |number: usize| ((number as u128 * all as u128 + u128::from(first)) / count as u128) as usize;
    until(number + 1) - until(number)
}

/// The parts of one frame, one after the other.
pub(crate) struct Parts {
    frame: usize,
    input: Input,
    grid: Option<Grid>,
    ignored: Option<Arc<Ignored>>,
    next: usize,
}

impl Parts {
    /// Of frame number `frame` with these pixels, as `input` has it where there is no `tile`. Tiles of which every pixel is ignored are
    /// left out.
    ///
    /// # Errors
    /// `InvalidArgument` where tiles, region of interest or what is ignored do not fit the frame, or nothing of it is left.
    pub fn new(
        frame: usize,
        pixels: &Frame,
        input: &Input,
        tile: &Tile,
        ignored: Option<Arc<Ignored>>,
    ) -> Result<Parts> {
        let (width, height) = (pixels.width(), pixels.height());
        input.roi.within(width, height)?;
        let grid = match tile.is_none() {
            true => None,
            false => Some(tile.grid(input, width, height)?),
        };
        if let (Some(ignored), Some(_)) = (&ignored, &grid) {
            ignored.check_size(width, height)?;
            // An error where nothing is left.
            ignored.counted(input, 1, 1)?;
        }
        Ok(Parts { frame, input: *input, grid, ignored, next: 0 })
    }

    /// The tiles, where there are any.
    pub fn grid(&self) -> Option<Grid> {
        self.grid
    }

    /// How many there are, with those that are left out.
    pub fn total(&self) -> usize {
        self.grid.as_ref().map_or(1, Grid::count)
    }

    /// Part `number`.
    fn part(&self, number: usize) -> Part {
        let input = self.grid.as_ref().map_or(self.input, |grid| grid.input(number, &self.input));
        let tile = self.grid.map(|grid| (grid, number));
        Part { frame: self.frame, input, tile, ignored: self.ignored.clone() }
    }
}

impl Iterator for Parts {
    type Item = Part;

    fn next(&mut self) -> Option<Part> {
        while self.next < self.total() {
            let part = self.part(self.next);
            self.next += 1;
            let covered = match (&part.tile, &part.ignored) {
                (Some(_), Some(ignored)) => ignored.covers(&part.input.roi),
                _ => false,
            };
            if !covered {
                return Some(part);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_share_what_a_frame_may_give() {
        let input = Input { width: 32, height: 32, ..Input::default() };
        let frame = Frame::new(200, 170, 1, vec![0; 200 * 170]).unwrap();
        for (size, count) in [(0, 1), (170, 2), (32, 56)] {
            let parts = || Parts::new(3, &frame, &input, &Tile { size, overlap: 0.25 }, None).unwrap();
            assert_eq!((parts().total(), parts().filter(|part| part.frame == 3).count()), (count, count));
            for all in [0, 7, 1000, usize::MAX] {
                let shares: Vec<usize> = parts().map(|part| part.share(all, 5)).collect();
                assert_eq!(shares.iter().sum::<usize>(), all);
                assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1, "{shares:?}");
            }
        }
    }

    #[test]
    fn no_place_is_left_out_in_every_frame() {
        // 98 × 49 tiles, of which each frame may take 49: once they were those of the last column.
        let (count, all) = (98 * 49, 49);
        let mut given = vec![0usize; count];
        for frame in 0..2000 {
            given.iter_mut().enumerate().for_each(|(number, given)| *given += share_of(all, (number, count), 5, frame));
        }
        assert_eq!(given.iter().sum::<usize>(), 2000 * all);
        let (fewest, most) = (given.iter().min().unwrap(), given.iter().max().unwrap());
        assert!(*fewest > 2 && *most < 60, "{fewest} to {most}");
        assert_eq!(share_of(7, (0, 1), 5, 3), 7);
    }

    #[test]
    fn what_is_ignored_throughout_is_no_part() {
        let input = Input { width: 32, height: 32, ..Input::default() };
        let frame = Frame::new(96, 32, 1, vec![0; 96 * 32]).unwrap();
        let tile = Tile { size: 32, overlap: 0.0 };
        let left = |to: f64| Ignored::polygon(96, 32, &[[0.0, 0.0], [to, 0.0], [to, 32.0], [0.0, 32.0]]).unwrap();
        let numbers = |ignored: Ignored| -> Vec<usize> {
            Parts::new(0, &frame, &input, &tile, Some(Arc::new(ignored))).unwrap().map(|part| part.number().0).collect()
        };
        assert_eq!(
            (numbers(left(31.0)), numbers(left(32.0)), numbers(left(95.0))),
            (vec![0, 1, 2], vec![1, 2], vec![2])
        );
        let roi = crate::data::Roi { x: 0, y: 0, width: 64, height: 32 };
        let nothing = Parts::new(0, &frame, &Input { roi, ..input }, &tile, Some(Arc::new(left(64.0))));
        assert!(nothing.err().unwrap().message().contains("nothing is left to judge"));
    }
}
