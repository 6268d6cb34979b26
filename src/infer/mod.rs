//! Using a network: sessions.

pub mod session;

pub use session::{Output, Session};
