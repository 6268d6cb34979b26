//! Using a network: frames in, features or embeddings out.

mod gather;
mod plan;
mod session;
mod tensor;

pub use plan::BEARABLE;
pub(crate) use plan::calibration_images;
pub use session::{Output, Session, SessionOptions};
