//! SEED, self-supervised distillation, behind a stable C ABI.

#[cfg(panic = "abort")]
compile_error!("libseed catches panics at its C border: build it with panic = \"unwind\"");

pub mod checkpoint;
pub mod config;
pub mod data;
pub mod device;
mod disk;
pub mod distill;
pub mod error;
pub mod eval;
pub mod events;
pub mod export;
pub mod ffi;
mod file_lock;
pub mod gate;
mod hash;
pub mod infer;
pub mod machine;
pub mod memory;
pub mod model;
pub mod night;
pub mod optim;
pub mod store;
pub mod torch;
pub mod train;
pub mod warnings;

pub use error::{Error, ErrorKind, Result};
#[cfg(test)]
extern crate self as seed;
#[cfg(test)]
#[allow(dead_code)]
#[path = "../tests/station/plant.rs"]
mod plant;
#[cfg(test)]
#[path = "../tests/station/night.rs"]
mod zz_night;
#[cfg(test)]
#[path = "../tests/station/night_report.rs"]
mod zz_report;
#[cfg(test)]
#[path = "../tests/train/finetune.rs"]
mod zz_finetune;
#[cfg(test)]
#[path = "../tests/eval/trust.rs"]
mod zz_trust;
#[cfg(test)]
#[path = "../tests/eval/protocol.rs"]
mod zz_protocol;
#[cfg(test)]
#[path = "../tests/common/one_thread.rs"]
mod one_thread;
