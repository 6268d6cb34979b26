//! `bench bank`: a run with the teacher online against one with its stored embeddings; benches/bank.rs makes both.

use super::options::Options;
use super::sides::{Programs, in_turn, values};
use super::table::{Spread, Table};
use crate::{Outcome, root};

/// Options beside the common ones; they go to the program as they are.
pub const OPTIONS: &[&str] =
    &["--data", "--images", "--size", "--teacher", "--student", "--epochs", "--batch", "--queue", "--workers"];

/// Every figure that the program prints, one a row.
pub fn run(options: &Options) -> Outcome<Table> {
    let rounds = options.rounds(3)?;
    if !root().join("benches/bank.rs").exists() {
        return Err("benches/bank.rs is not there yet".to_owned());
    }
    let programs = Programs::build(&["bank"])?;
    let given: Vec<&str> =
        OPTIONS.iter().filter_map(|name| options.text(name).map(|value| [*name, value])).flatten().collect();
    let words = [&given[..], &["--device", options.device()]].concat();
    let found = in_turn(rounds, &mut [programs.command("bank", &words)])?;
    let mut table = Table::new(
        format!("Teacher online against a bank of its embeddings: median (lowest–highest) of {rounds} rounds"),
        ["figure", "value"],
    );
    for name in found[0][0].keys() {
        table.row(vec![name.clone(), Spread::of(values(&found[0], name)).show()]);
    }
    Ok(table)
}
