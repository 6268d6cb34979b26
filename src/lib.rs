//! SEED, self-supervised distillation, behind a stable C ABI.

#[cfg(panic = "abort")]
compile_error!("libseed catches panics at its C border: build it with panic = \"unwind\"");

pub mod checkpoint;
pub mod choice;
pub mod config;
pub mod data;
pub mod device;
pub mod distill;
pub mod engine;
pub mod error;
pub mod eval;
pub mod events;
pub mod export;
pub mod ffi;
pub mod finite;
pub mod gate;
pub mod infer;
pub mod machine;
pub mod model;
pub mod night;
mod onnx;
pub mod optim;
pub mod recipe;
pub mod report;
mod shutdown;
pub mod store;
pub mod sys;
pub mod torch;
pub mod train;
pub mod warnings;
pub mod world;

pub use error::{Error, ErrorKind, Result};
