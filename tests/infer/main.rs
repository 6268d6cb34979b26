//! Sessions and anomaly detectors.

#[path = "../common/alone.rs"]
mod alone;
#[path = "../common/golden.rs"]
mod golden;
#[path = "../common/one_thread.rs"]
mod one_thread;
#[path = "../common/shared.rs"]
mod shared;

mod anomaly;
mod anomaly_resume;
mod anomaly_stfpm;
mod depth;
mod not_finite;
mod segment;
mod session;
