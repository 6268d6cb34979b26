//! libseed on a GPU, on machines without one: a stand-in for libtorch_cuda.so (`stand_in/`) registers itself as the CUDA device, runs each
//! operation by the CPU's kernel, keeps the host away from "device" memory and counts what a GPU would have waited for. docs/gpu.md says
//! what that shows and what it cannot.
//!
//! A program of its own, since libtorch knows the stand-in as its GPU from the first question on and for as long as the process lives.

#[path = "../common/alone.rs"]
mod alone;
#[path = "../common/golden.rs"]
mod golden;
#[path = "../common/one_thread.rs"]
mod one_thread;
#[path = "../common/programs.rs"]
mod programs;

mod dlpack;
mod faults;
mod found;
mod judging;
mod methods;
mod night;
mod precision;
mod runs;
mod sessions;
mod stand_in;
mod teachers;
mod training;
mod waits;
mod waits_of_others;
