//! From files and pushed frames to batches of augmented views, without libtorch.
//!
//! ```text
//! folder | list | store | pushed frames → Dataset → Frame (H,W,C) u8 → view (S,S,3) f32 → Batch (B,S,S,3) f32
//!                  decode, jpeg, scale    augment, geometry, render     loader, batch
//! ```
//!
//! What has more than 8 bits a sample, pushed or in a file, keeps them in a [`RawFrame`] until a [`Range`] makes a [`Frame`] of it.
//!
//! A large JPEG's frame may come smaller than it is stored ([`scale`]). Where the device finishes the views, the batch
//! holds their crops as bytes instead ([`Crops`]).
//!
//! Every random draw is a function of (seed, epoch, index, purpose), see [`random`], so a view is the same on any
//! number of workers, on any machine, and can be made again later.

use std::sync::{Mutex, MutexGuard, PoisonError};

pub mod augment;
pub mod batch;
mod blur;
mod bmp;
mod broken;
mod cache;
mod colour;
pub mod dataset;
pub mod decode;
mod decoded;
mod demosaic;
pub mod encode;
mod exif;
pub mod files;
mod folder;
pub mod frame;
pub mod geometry;
pub mod ignored;
mod ignoring;
pub mod input;
mod jpeg;
pub mod labels;
mod levels;
mod load;
pub mod loader;
mod name;
mod order;
mod outline;
mod percentiles;
pub mod pixel_format;
mod png;
mod pnm;
mod prefetch;
pub mod random;
pub mod range;
mod ranged;
pub mod raw;
mod reading;
pub mod render;
pub mod roi;
pub mod scale;
mod source;
mod stored;
mod tiff;
pub mod tile_maps;
pub mod tile_rows;
pub mod tiles;
mod webp;

pub use augment::{ViewConfig, ViewDevice, ViewParams};
pub use batch::{Batch, Crops, Views};
pub use dataset::{Dataset, Skipped};
pub use encode::Encoding;
pub(crate) use encode::encode_jpeg;
pub use files::{Exif, FileOptions, MAX_PAGES};
pub use frame::{Frame, FrameView};
pub use geometry::{Placement, Resize};
pub use ignored::Ignored;
pub use input::Input;
pub use loader::{Loader, Sampling, Share, Slot};
pub use pixel_format::PixelFormat;
pub use range::{Range, RangeKind};
pub use raw::RawFrame;
pub use render::Scratch;
pub use roi::Roi;
pub use scale::ScaledFrame;
pub(crate) use source::absolute;
pub use source::{EncodedImage, EncodedImages};
pub use tiles::{Grid, Tile};

/// Locks even after a panic elsewhere: what the locks of this module guard is whole after every single statement.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
