//! Engines beside libtorch that have a network of ours: what a plan asks them.

use crate::engine::Engine;
use crate::error::Result;
use crate::model::Stage;

/// A network in an engine that computes from the host's memory to the host's memory.
pub(super) trait HostNetwork: Engine {
    /// The feature maps that can be asked for.
    fn stages(&self) -> &[Stage];

    /// C, h and w of an image's map at a stage.
    ///
    /// # Errors
    /// `Internal` where there is no such stage.
    fn map_sides(&self, stage: usize) -> Result<[i64; 3]>;

    /// Images that go through at once.
    fn piece(&self) -> usize;
}
