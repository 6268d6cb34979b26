//! What is said about a student: neighbours, maps, protocols, trust, regions, the report.

#[path = "../common/golden.rs"]
mod golden;
#[path = "../common/one_thread.rs"]
mod one_thread;
#[path = "../common/shared.rs"]
mod shared;

mod knn;
mod map;
mod protocol;
mod regions;
mod report;
mod trust;
