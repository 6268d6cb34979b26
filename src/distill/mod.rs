//! SEED itself: the teacher's queue, the loss over it, one step of distillation, and the bank
//! that spares the teacher, or embeddings that were made elsewhere.

pub mod bank;
pub mod device_views;
pub mod image_targets;
pub mod loss;
mod npy;
pub mod queue;
pub mod step;
pub mod targets;
mod unread;
pub mod views;

pub use bank::Bank;
pub use image_targets::{ImageEmbeddings, ImageTargets};
pub use loss::{Temperatures, seed_loss};
pub use queue::Queue;
pub use targets::{Asking, Targets};
pub use unread::UnreadTargets;
