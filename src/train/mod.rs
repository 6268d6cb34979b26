//! Long runs: the loop of distillation, fine-tuning, the filling of banks, progress and its cancelling.

mod background;
pub mod bank;
mod board;
pub mod cancel;
mod checks;
mod collapse;
pub mod distill;
pub mod finetune;
mod looking;
mod losses;
pub mod probe;
pub mod progress;
mod record;
mod resume;
mod shared;

pub use background::in_background;
pub use bank::{BankProgress, fill_bank};
pub use cancel::CancelToken;
pub use distill::{Distillation, Outcome};
pub use finetune::{FinetuneProgress, finetune};
pub use progress::{Control, Progress};
