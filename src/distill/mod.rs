//! SEED itself: the teacher's queue, the loss over it and those it is compared with, one step of distillation, and the bank
//! that spares the teacher, or embeddings that were made elsewhere.

pub mod bank;
pub mod batch;
pub mod contrast;
pub mod device_views;
pub mod image_targets;
pub mod loss;
pub mod mixup;
pub mod momentum;
mod npy;
pub mod patches;
pub mod queue;
pub mod standardise;
pub mod step;
pub mod strategy;
pub mod targets;
mod unread;
pub mod views;

pub use bank::Bank;
pub use batch::{StepBatch, StepSettings};
pub use image_targets::{ImageEmbeddings, ImageTargets};
pub use loss::{Temperatures, seed_loss};
pub use queue::Queue;
pub use strategy::Strategy;
pub use targets::{Asking, Targets};
pub use unread::UnreadTargets;
