//! The settings of tiles, under keys that begin with "tile.". Their fields are those of [`Tile`](crate::data::Tile).

use super::Slot;
use crate::data::frame::MAX_SIDE;
use crate::data::tiles::MAX_OVERLAP;

pub(super) const KEYS: &[(&str, Slot)] = &[
    ("tile.size", Slot::Side(|c| &mut c.tile.size, 0, MAX_SIDE)),
    ("tile.overlap", Slot::Float(|c| &mut c.tile.overlap, 0.0, MAX_OVERLAP)),
];
