//! The optimiser and the schedule of its learning rate.

pub mod schedule;
pub mod sgd;

pub use schedule::Cosine;
pub use sgd::Sgd;
