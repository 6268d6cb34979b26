//! The optimisers and the schedule of the learning rate.

mod lars;
pub mod lbfgs;
pub mod schedule;
pub mod sgd;

pub use schedule::{Cosine, Tenths};
pub use sgd::Sgd;
