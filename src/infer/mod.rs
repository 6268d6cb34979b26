//! Using a network: frames in, features or embeddings out.

mod session;
mod snapshot;

pub use session::{Output, Session, SessionOptions};
