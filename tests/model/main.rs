//! Networks, their weights under every name that they are published with, and students for other programs.

#[path = "../common/golden.rs"]
mod golden;
#[path = "../common/hashed.rs"]
mod hashed;
#[path = "../common/one_thread.rs"]
mod one_thread;
#[path = "../common/pictures.rs"]
mod pictures;
#[path = "../common/programs.rs"]
mod programs;
#[path = "../common/shared.rs"]
mod shared;
#[path = "../common/skipped.rs"]
mod skipped;

mod export;
mod export_judges;
mod export_onnx;
mod export_stages;
mod fused;
mod layouts;
mod model_weights;
mod models;
mod seed_names;
mod vits;
mod weights;
