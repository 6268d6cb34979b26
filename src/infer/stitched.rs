//! Feature maps of frames that are seen in tiles: those of the tiles, stitched to one map a frame.
//!
//! ```text
//! frame → tiles → maps (C, m, m') each → Σ_i A_i · map_i · B_iᵀ = (C, ⌈H·m/t⌉, ⌈W·m'/t'⌉)
//! ```
//!
//! A_i and B_i read a tile's map where the frame's cells lie and weight it ([`Share`](crate::data::tile_maps::Share)). Memory is that of the
//! result, of one frame with 8 bits a sample, and of a batch of tiles.

use std::sync::Arc;

use tch::{Kind, Tensor};

use super::Session;
use super::anomaly::images::{Batch, CHUNK};
use super::anomaly::parts::{Part, Parts};
use crate::data::tile_maps::Share;
use crate::data::{FrameView, Tile};
use crate::error::{Error, Result};
use crate::model::Stage;

impl Session {
    /// How frames are cut for feature maps.
    pub fn tile(&self) -> &Tile {
        &self.tile
    }

    /// Height and width of a feature map of a frame of `width` × `height` pixels: those of the network's input by the stage's stride, or of
    /// all tiles together.
    ///
    /// # Errors
    /// `InvalidArgument` where the frame holds no tile.
    pub fn map_size(&self, stage: &Stage, width: u32, height: u32) -> Result<(usize, usize)> {
        let stride = usize::try_from(stage.stride).unwrap_or(1).max(1);
        let (down, across) =
            ((self.input.height as usize).div_ceil(stride), (self.input.width as usize).div_ceil(stride));
        if self.tile.is_none() {
            return Ok((down, across));
        }
        let grid = self.tile.grid(&self.input, width, height)?;
        Ok((grid.rows.cells(down), grid.columns.cells(across)))
    }

    /// The stitched maps (B, C, h, w) of frames of one size.
    pub(super) fn stitched_maps(&self, frames: &[FrameView<'_>], stages: &[Stage]) -> Result<Vec<Tensor>> {
        let first = frames.first().ok_or_else(|| Error::invalid("there is no frame, expected at least one"))?;
        if let Some((number, frame)) =
            frames.iter().enumerate().find(|(_, frame)| (frame.width, frame.height) != (first.width, first.height))
        {
            return Err(Error::invalid(format!(
                "frame {number} is {}×{} pixels, the first {}×{}: maps of tiles are as large as their frames, so those of one call have one size",
                frame.width, frame.height, first.width, first.height
            )));
        }
        let _no_grad = tch::no_grad_guard();
        let mut maps: Vec<Tensor> = Vec::with_capacity(stages.len());
        let take = |images: &Tensor, parts: &[Part], maps: &mut Vec<Tensor>| -> Result<()> {
            let names = |row: usize| format!("frame {}", parts[row].frame);
            for (number, of_tiles) in self.sound_maps(images, stages, &names)?.iter().enumerate() {
                let (_, channels, height, width) = of_tiles.size4()?;
                for (row, part) in parts.iter().enumerate() {
                    let Some((grid, tile)) = &part.tile else { continue };
                    let (column, of_rows) = grid.place(*tile);
                    if maps.len() <= number {
                        let sides = [grid.rows.cells(height as usize), grid.columns.cells(width as usize)];
                        let size = [frames.len() as i64, channels, sides[0] as i64, sides[1] as i64];
                        maps.push(Tensor::f_zeros(size, (Kind::Float, of_tiles.device()))?);
                    }
                    let (down, across) =
                        (grid.rows.share(of_rows, height as usize)?, grid.columns.share(column, width as usize)?);
                    let matrix = |share: &Share, cells: i64| -> Result<Tensor> {
                        let matrix = Tensor::f_from_slice(&share.matrix)?.f_view([-1, cells])?;
                        Ok(matrix.f_to_device(of_tiles.device())?)
                    };
                    let map = of_tiles.f_select(0, row as i64)?.f_to_kind(Kind::Float)?; // (C, m, m')
                    let map = matrix(&down, height)?.f_matmul(&map.f_matmul(&matrix(&across, width)?.f_tr()?)?)?;
                    let place = maps[number].f_select(0, part.frame as i64)?;
                    let place = place.f_narrow(1, down.cells.start as i64, down.cells.len() as i64)?;
                    let mut place = place.f_narrow(2, across.cells.start as i64, across.cells.len() as i64)?;
                    let _same = place.f_add_(&map)?;
                }
            }
            Ok(())
        };
        let mut batch = Batch::new(self, CHUNK);
        for (number, frame) in frames.iter().enumerate() {
            self.note_frame(frame);
            let cut = self.levels_of(frame).and_then(|own| {
                let parts = Parts::new(number, &own, &self.tile.seen(&self.input), &self.tile, None)?;
                Ok((Arc::new(own), parts))
            });
            let (own, parts) = cut.map_err(|error| error.context(format!("frame {number}")))?;
            batch.add(&own, parts, |images, parts| take(images, parts, &mut maps))?;
        }
        batch.finish(|images, parts| take(images, parts, &mut maps))?;
        Ok(maps)
    }
}
