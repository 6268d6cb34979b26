//! A station: its store of frames and its nights, whole, interrupted, killed and on a full disk.

#[path = "../common/alone.rs"]
mod alone;
#[path = "../common/one_thread.rs"]
mod one_thread;
#[path = "../common/skipped.rs"]
mod skipped;
#[path = "../common/small_disk.rs"]
mod small_disk;

mod night;
mod night_crash;
mod night_report;
mod plant;
mod store;
mod store_crash;
