//! Engines: what runs a network that is ready, from numbers in memory to numbers in memory, without libtorch's tensors in between.
//!
//! ```text
//! views (B, H, W, C), normalised → engine → rows (B, d), or feature maps (B, C, h, w)
//! ```
//!
//! libtorch's own programs are one engine (`infer/programs.rs`), [`embedded`] and [`onnxruntime`] are others. Nothing here names libtorch.

pub mod embedded;
pub mod onnxruntime;

use crate::error::Result;

/// A network that is ready to run. Several threads may call it at once.
pub trait Engine: Send + Sync {
    /// What it is, for a person: "onnxruntime 1.32.0, cpu".
    fn describe(&self) -> String;

    /// Rows (B, d) of `views` (B, H, W, C), float32; B is what the slices' lengths say.
    ///
    /// # Errors
    /// Whatever keeps the engine from computing; the rows' contents are not defined then.
    fn rows(&self, views: &[f32], rows: &mut [f32]) -> Result<()>;

    /// Feature maps (B, C, h, w), float32, of `views` (B, H, W, C): one for each of `stages`, which are numbers in the order in which the
    /// network has them. Each of `maps` is as long as its map.
    ///
    /// # Errors
    /// As [`rows`](Engine::rows).
    fn maps(&self, views: &[f32], stages: &[usize], maps: &mut [Vec<f32>]) -> Result<()>;
}
