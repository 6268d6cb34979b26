//! Using a network: frames in; features, embeddings or verdicts out.

pub mod classifier;
mod gather;
mod plan;
mod session;
mod tensor;

pub use classifier::{Classifier, ClassifierHeader, Verdicts};
pub use plan::BEARABLE;
pub use session::{Output, Session, SessionOptions};
