//! Runs: distillation by every kind of teacher, the bank, fine-tuning, event files, and that a run goes on where it was stopped.

#[path = "../common/alone.rs"]
mod alone;
#[path = "../common/golden.rs"]
mod golden;
#[path = "../common/one_thread.rs"]
mod one_thread;
#[path = "../common/programs.rs"]
mod programs;
#[path = "../common/skipped.rs"]
mod skipped;
#[path = "../common/small_disk.rs"]
mod small_disk;

mod average;
mod bank;
mod distillation;
mod events;
mod finetune;
mod finetune_linear;
mod grey;
mod head_dropout;
mod linear_sgd;
mod methods;
mod not_finite;
mod pacing;
mod patches;
mod pretraining;
mod recipe;
mod resume;
mod runs;
mod same_numbers;
mod sizes;
mod small_patches;
mod standardise;
mod teachers;
mod world;
