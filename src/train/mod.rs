//! Long runs: the loop of distillation, its progress and its cancelling.

pub mod cancel;
pub mod distill;
pub mod progress;

pub use cancel::CancelToken;
pub use distill::{Distillation, Outcome};
pub use progress::{Control, Progress};
