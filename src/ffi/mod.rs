//! The one border up to the application: thin functions, one file per C type, over the Rust core.
//!
//! Every fallible function runs its body inside [`border::catch`], reads its arguments through [`pointers`] and reaches
//! its object through [`handle`]. So NULL, wrong sizes, bad UTF-8, a handle in use, and a panic below all become a
//! `seed_error`, and no function does more than translate.

// The names are C's, and what the caller must keep to stands in C's words, for the header.
#![allow(non_camel_case_types, clippy::missing_safety_doc)]

pub mod anomaly;
pub mod bank;
pub mod border;
pub mod callback;
pub mod cancel;
pub mod classifier;
pub mod config;
pub mod dataset;
pub mod device;
pub mod distil;
pub mod drift;
pub mod embeddings;
pub mod error;
pub mod eval;
pub mod event_file;
pub mod export;
pub mod feature_map;
pub mod finetune;
pub mod fork;
pub mod gate;
pub mod handle;
pub mod image;
pub mod init;
pub mod labels;
pub mod linear_sgd;
pub mod live;
pub mod log;
pub mod memory_file;
pub mod model;
pub mod night;
pub mod plan;
pub mod pointers;
pub mod probe;
pub mod protocol;
pub mod queue;
pub mod report;
pub mod report_images;
pub mod report_time;
pub mod segmenter;
pub mod session;
pub mod store;
pub mod stored;
pub mod student;
pub mod teacher;
pub mod teacher_callback;
pub mod trainer;
pub mod weights;
pub mod world;
