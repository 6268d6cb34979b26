//! Sessions and anomaly detectors.

#[path = "../common/alone.rs"]
mod alone;
#[path = "../common/golden.rs"]
mod golden;
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

mod anomaly;
mod anomaly_resume;
mod anomaly_stfpm;
mod depth;
mod embedded;
mod engines;
mod ignored;
mod not_finite;
mod roi;
mod segment;
mod session;
mod tile_maps;
mod tiles;
