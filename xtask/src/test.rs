//! `cargo xtask test`: set-up, every check, every test.

use crate::{Outcome, abi, bindings, call, cargo, setup, tidy};

/// Runs all of it; the first failure ends it.
pub fn run() -> Outcome {
    setup::run()?;
    tidy::run()?;
    abi::test()?;
    call(cargo().args(["test", "--workspace"]))?;
    bindings::test()?;
    println!("all checks and tests passed");
    Ok(())
}
