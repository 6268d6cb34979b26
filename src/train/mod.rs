//! Long runs: the loop ([`run`]), the methods that go through it, progress and its cancelling.

pub mod anomaly;
mod average;
mod background;
pub mod bank;
pub mod board;
pub mod cancel;
mod checks;
mod collapse;
mod depth;
pub mod distill;
pub mod finetune;
mod looking;
mod losses;
pub mod pace;
pub mod patches;
pub mod probe;
pub mod progress;
mod record;
mod resume;
pub mod run;
pub mod segment;
pub mod shared;
mod standardise;
mod step;
mod strategies;
mod views;
mod world;

pub use background::in_background;
pub use bank::{BankProgress, fill_bank};
pub use cancel::CancelToken;
pub use distill::Distillation;
pub use finetune::{FinetuneProgress, finetune};
pub use progress::{Control, Progress};
pub use run::Outcome;
