//! SEED itself: the teacher's queue, the loss over it, and one step of distillation.

pub mod device_views;
pub mod loss;
pub mod queue;
pub mod step;

pub use loss::{Temperatures, seed_loss};
pub use queue::Queue;
