//! (being written)
pub mod weights;
