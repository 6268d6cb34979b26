//! SEED itself: the teacher's queue, the loss over it, one step of distillation, and the bank
//! that spares the teacher.

pub mod bank;
pub mod device_views;
pub mod loss;
pub mod queue;
pub mod step;
pub mod targets;

pub use bank::Bank;
pub use loss::{Temperatures, seed_loss};
pub use queue::Queue;
pub use targets::Targets;
