//! Cells: what a linear segmentation head learns from. A cell is a place of the feature maps, with its features and the classes of the
//! frame's pixels that it stands for.
//!
//! ```text
//! mask → each pixel's middle → its place in the view → its cell      q (K): the cell's share of each class, w: its share of known pixels
//! ```
//!
//! Pixels that the view does not show belong to no cell, and pixels of [`IGNORED`] count as unknown. A cell without a known pixel is not
//! learned from. Where frames are cut into tiles, a cell is learned in the tile whose middle is nearest to it.

use std::sync::Arc;

use tch::{Device, Kind, Tensor};

use crate::data::random::{Purpose, generator, shuffle};
use crate::data::{Dataset, Frame, FrameView, Input, PixelFormat, Range, Tile};
use crate::error::{Error, ErrorKind, Result};
use crate::eval::overlap::IGNORED;
use crate::infer::Session;
use crate::infer::anomaly::images::{each_part, maps_of};
use crate::infer::anomaly::parts::{Part, share_of};
use crate::infer::anomaly::patches::patches;
use crate::model::Stage;
use crate::sys::memory::{filled, reserve};

/// Frames, or tiles of them, that go through the backbone at once.
const CHUNK: usize = 8;

/// Some cells.
#[derive(Default)]
pub struct Cells {
    /// x (N·D), row by row.
    pub features: Vec<f32>,
    /// q (N·K), row by row.
    pub shares: Vec<f32>,
    /// w (N).
    pub weights: Vec<f32>,
    /// Masks that they are of.
    pub masks: usize,
}

impl Cells {
    /// N.
    pub fn len(&self) -> usize {
        self.weights.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.weights.is_empty()
    }

    /// Features (N, D) and classes' shares (N, K) in float64, and the weights.
    ///
    /// # Errors
    /// `OutOfMemory` or `Torch` from libtorch.
    pub fn tensors(&self) -> Result<(Tensor, Tensor, Vec<f64>)> {
        let rows = self.len() as i64;
        let matrix = |values: &[f32]| -> Result<Tensor> {
            Ok(Tensor::f_from_slice(values)?.f_view([rows, -1])?.f_to_kind(Kind::Double)?)
        };
        let weights = self.weights.iter().map(|&weight| f64::from(weight)).collect();
        Ok((matrix(&self.features)?, matrix(&self.shares)?, weights))
    }

    /// Appends `other`.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn append(&mut self, other: &Cells) -> Result<()> {
        for (own, other) in [
            (&mut self.features, &other.features),
            (&mut self.shares, &other.shares),
            (&mut self.weights, &other.weights),
        ] {
            reserve(own, other.len(), "cells of masks")?;
            own.extend_from_slice(other);
        }
        self.masks += other.masks;
        Ok(())
    }

    /// Weight of all cells in each of `classes` classes.
    pub fn of_classes(&self, classes: usize) -> Vec<f64> {
        let mut sums = vec![0.0; classes];
        for (shares, &weight) in self.shares.chunks_exact(classes.max(1)).zip(&self.weights) {
            sums.iter_mut().zip(shares).for_each(|(sum, &share)| *sum += f64::from(share) * f64::from(weight));
        }
        sums
    }
}

/// Frames with masks, some of which may have none.
#[derive(Clone, Copy)]
pub struct Masked<'a> {
    /// All frames.
    pub dataset: &'a Dataset,
    /// A mask for each frame, in its own pixels: bytes, a class each or [`IGNORED`].
    pub masks: &'a [Option<FrameView<'a>>],
}

impl Masked<'_> {
    /// A frame; none where it is broken.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn frame(&self, number: usize, range: &Range) -> Result<Option<Arc<Frame>>> {
        match self.dataset.load_by(number, range) {
            Ok(frame) => Ok(Some(frame)),
            Err(error) if error.kind() == ErrorKind::OutOfMemory => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// Whether the mask of a frame has its size.
    ///
    /// # Errors
    /// `InvalidArgument` where it has another one.
    pub fn check_size(&self, number: usize, frame: &Frame) -> Result<()> {
        match &self.masks[number] {
            Some(mask) if (mask.width, mask.height) != (frame.width(), frame.height()) => Err(Error::invalid(format!(
                "the mask of {} is {} × {}, the frame is {} × {} pixels",
                self.dataset.title(number),
                mask.width,
                mask.height,
                frame.width(),
                frame.height()
            ))),
            _ => Ok(()),
        }
    }

    /// Checks all masks; gives the numbers of the frames that have one.
    ///
    /// # Errors
    /// `InvalidArgument` where there is not a place for each frame, a mask is none of bytes or holds an unknown class, or there is none.
    pub fn check(&self, classes: usize) -> Result<Vec<usize>> {
        if self.masks.len() != self.dataset.len() {
            return Err(Error::invalid(format!(
                "{} masks for {} images, expected a place for each",
                self.masks.len(),
                self.dataset.len()
            )));
        }
        let mut found = Vec::new();
        for (number, mask) in self.masks.iter().enumerate() {
            let Some(mask) = mask else { continue };
            if mask.format != PixelFormat::Mono8 {
                return Err(Error::invalid(format!("mask {number} has the format {:?}, expected MONO8", mask.format)));
            }
            let wild = (0..mask.height)
                .flat_map(|y| row(mask, y))
                .find(|&&class| class != IGNORED && usize::from(class) >= classes);
            if let Some(class) = wild {
                return Err(Error::invalid(format!(
                    "mask {number} holds the class {class}, expected 0 to {} or {IGNORED}",
                    classes - 1
                )));
            }
            found.push(number);
        }
        if found.is_empty() {
            return Err(Error::invalid("no image has a mask"));
        }
        Ok(found)
    }

    /// The class that a mask is counted as: the one with the most pixels but for class 0, which it is where nothing is marked.
    pub fn main_class(&self, number: usize, classes: usize) -> i32 {
        let mut counts = vec![0u64; classes];
        if let Some(mask) = self.masks.get(number).and_then(Option::as_ref) {
            for &class in (0..mask.height).flat_map(|y| row(mask, y)) {
                if let Some(count) = counts.get_mut(usize::from(class)) {
                    *count += 1;
                }
            }
        }
        let most = counts.iter().enumerate().skip(1).max_by_key(|&(class, &count)| (count, std::cmp::Reverse(class)));
        match most {
            // Classes are below 255.
            Some((class, &count)) if count > 0 => class as i32,
            _ => 0,
        }
    }

    /// The pixels of a mask, row after row.
    pub fn pixels(&self, number: usize) -> Vec<u8> {
        let mask = self.masks.get(number).and_then(Option::as_ref);
        mask.map_or_else(Vec::new, |mask| (0..mask.height).flat_map(|y| row(mask, y)).copied().collect())
    }
}

/// Row `y` of a mask.
fn row<'a>(mask: &FrameView<'a>, y: u32) -> &'a [u8] {
    &mask.bytes[y as usize * mask.stride..][..mask.width as usize]
}

/// Where cells come from, and how many.
pub struct Source<'a> {
    /// Of the backbone.
    pub session: &'a Session,
    /// The maps.
    pub stages: &'a [Stage],
    /// How frames are cut.
    pub tile: &'a Tile,
    /// K.
    pub classes: usize,
    /// Cells of a frame at most.
    pub of_frame: usize,
    /// Decides which cells are taken of more.
    pub seed: u64,
}

impl Source<'_> {
    /// The cells of the frames `chosen`; frames that are broken give none. `told` is asked after each few frames whether to go on.
    ///
    /// # Errors
    /// `InvalidArgument` where a mask has not its frame's size; what `told` says; `Mismatch` where the network gives NaN; `OutOfMemory` or
    /// `Torch` from libtorch.
    pub fn cells(
        &self,
        masked: Masked<'_>,
        chosen: &[usize],
        told: &mut dyn FnMut(usize) -> Result<()>,
    ) -> Result<Cells> {
        let _no_grad = tch::no_grad_guard();
        let mut cells = Cells::default();
        // The frame whose mask was compared with it, and its tiles that have labels.
        let (mut checked, mut labelled) = (None, Vec::new());
        let mut refused = Ok(());
        let mut going_on = |count: usize| {
            refused = told(count);
            refused.is_ok()
        };
        let how = (self.session, self.tile, false, CHUNK);
        let outcome = each_part(how, masked.dataset, chosen, &mut going_on, |images, parts| {
            let names = |row: usize| masked.dataset.title(parts[row].frame);
            let found = patches(&maps_of(self.session, self.stages, images, &names)?)?;
            let rows = found.rows.f_to_device(Device::Cpu)?;
            for (place, part) in parts.iter().enumerate() {
                if checked != Some(part.frame) {
                    let Some(frame) = masked.frame(part.frame, &part.input.range)? else { continue };
                    masked.check_size(part.frame, &frame)?;
                    checked = Some(part.frame);
                    cells.masks += usize::from(masked.masks[part.frame].is_some());
                    labelled = match &masked.masks[part.frame] {
                        Some(mask) => labelled_tiles(mask, part),
                        None => Vec::new(),
                    };
                }
                let Ok(number) = labelled.binary_search(&part.number().0) else { continue };
                let most = share_of(self.of_frame, (number, labelled.len()), self.seed, part.frame);
                let of_part = found.height * found.width;
                let own = rows.f_narrow(0, place as i64 * of_part, of_part)?;
                self.add(&mut cells, masked, part, most, &own, (found.height, found.width))?;
            }
            Ok(())
        });
        refused?;
        outcome.map(|()| cells)
    }

    /// Adds at most `most` cells of a part of a frame, by its patches (h·w, D); those of a tile that lie in its own part of the frame.
    fn add(
        &self,
        cells: &mut Cells,
        masked: Masked<'_>,
        part: &Part,
        most: usize,
        rows: &Tensor,
        (height, width): (i64, i64),
    ) -> Result<()> {
        let Some(mask) = &masked.masks[part.frame] else { return Ok(()) };
        let (shares, weights) = shares(mask, &part.input, (height as usize, width as usize), self.classes)?;
        let dim = rows.size()[1] as usize;
        let features: Vec<f32> = crate::torch::numbers(rows, "cells of masks")?;
        let is_own = part.own(height, width)?;
        let counts = |cell: &usize| weights[*cell] > 0.0 && is_own.as_ref().is_none_or(|own| own[*cell]);
        let mut taken: Vec<usize> = (0..weights.len()).filter(counts).collect();
        if taken.len() > most {
            let mut random = generator(self.seed, part.number().0 as u64, part.frame as u64, Purpose::Cells);
            shuffle(&mut random, &mut taken);
            taken.truncate(most);
            taken.sort_unstable();
        }
        reserve(&mut cells.features, taken.len() * dim, "cells of masks")?;
        for cell in taken {
            cells.features.extend_from_slice(&features[cell * dim..][..dim]);
            cells.shares.extend_from_slice(&shares[cell * self.classes..][..self.classes]);
            cells.weights.push(weights[cell]);
        }
        Ok(())
    }
}

/// The numbers, in their order, of those tiles of a frame whose own pixels have a label; 0 for a frame that is seen whole.
fn labelled_tiles(mask: &FrameView<'_>, part: &Part) -> Vec<usize> {
    let Some((grid, _)) = &part.tile else { return vec![0] };
    let is_known = |number: &usize| {
        let (column, row_of_tiles) = grid.place(*number);
        let (across, down) = (grid.columns.own(column), grid.rows.own(row_of_tiles));
        let (left, top) = (grid.columns.first, grid.rows.first);
        let columns = (left + across.start) as usize..(left + across.end) as usize;
        (top + down.start..top + down.end).any(|y| row(mask, y)[columns.clone()].iter().any(|&class| class != IGNORED))
    };
    (0..grid.count()).filter(is_known).collect()
}

/// q (h·w·K) and w (h·w) of a mask whose frame is seen as `input` says, on a grid of h × w cells.
fn shares(
    mask: &FrameView<'_>,
    input: &Input,
    (height, width): (usize, usize),
    classes: usize,
) -> Result<(Vec<f32>, Vec<f32>)> {
    let placement = input.placement(mask.width, mask.height)?;
    let mut shares = filled(0f32, height * width * classes, "cells of masks")?;
    let mut pixels = filled(0f32, height * width, "cells of masks")?;
    // The cell of a coordinate of the view; none outside of what is seen there.
    let [target_x, target_y] = [0, 1].map(|axis| (placement.target[axis], placement.target[axis + 2]));
    let cell = |at: f64, (start, length): (u32, u32), side: u32, cells: usize| {
        let seen = at >= f64::from(start) && at < f64::from(start + length);
        seen.then(|| ((at * cells as f64 / f64::from(side)) as usize).min(cells - 1))
    };
    // A tile shows a part of the mask.
    let part = input.roi.within(mask.width, mask.height)?;
    let seen = part.left..part.left + part.width;
    let columns: Vec<Option<usize>> = seen
        .clone()
        .map(|x| cell(placement.to_view([f64::from(x) + 0.5, 0.0])[0], target_x, input.width, width))
        .collect();
    for y in part.top..part.top + part.height {
        let Some(down) = cell(placement.to_view([0.0, f64::from(y) + 0.5])[1], target_y, input.height, height) else {
            continue;
        };
        for (&class, column) in row(mask, y)[seen.start as usize..].iter().zip(&columns) {
            let Some(across) = column else { continue };
            let place = down * width + across;
            pixels[place] += 1.0;
            if class != IGNORED {
                shares[place * classes + usize::from(class)] += 1.0;
            }
        }
    }
    let mut weights = filled(0f32, height * width, "cells of masks")?;
    for ((shares, &all), weight) in shares.chunks_exact_mut(classes).zip(&pixels).zip(&mut weights) {
        let known: f32 = shares.iter().sum();
        if known > 0.0 {
            *weight = known / all;
            shares.iter_mut().for_each(|share| *share /= known);
        }
    }
    Ok((shares, weights))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Resize;

    #[test]
    fn shares_are_the_means_of_a_masks_blocks() {
        // 8 × 4 pixels on a grid of 2 × 2: blocks of 4 × 2. numpy: mask.reshape(2, 2, 2, 4) == class, mean over axes 1 and 3.
        let mask = [
            0u8, 0, 1, 1, 2, 2, 2, 2, 0, 0, 1, 1, 2, 2, 255, 255, 0, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 1, 255, 255,
            255, 255,
        ];
        let whole = Input { width: 64, height: 64, ..Input::default() };
        let mask = FrameView::new(&mask, 8, 4, 8, PixelFormat::Mono8).unwrap();
        let (found, weights) = shares(&mask, &whole, (2, 2), 3).unwrap();
        assert_eq!(found, [0.5, 0.5, 0.0, 0.0, 0.0, 1.0, 0.875, 0.125, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(weights, [1.0, 0.75, 1.0, 0.0]);
        // Letterbox: the frame lies in the middle half of the rows; the grid's rows 0 and 3 show none of it.
        let letterbox = Input { resize: Resize::Letterbox, ..whole };
        let (_, weights) = shares(&mask, &letterbox, (4, 2), 3).unwrap();
        assert_eq!(weights, [0.0, 0.0, 1.0, 0.75, 1.0, 0.0, 0.0, 0.0]);
        // A grid finer than the frame: most cells have no pixel of their own.
        let (_, weights) = shares(&mask, &whole, (16, 16), 3).unwrap();
        assert_eq!(weights.iter().filter(|&&weight| weight > 0.0).count(), 32 - 10);
    }
}
