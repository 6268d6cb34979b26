//! `bench bank`: a run with the teacher online against one with its stored embeddings; benches/bank.rs makes both.

use std::path::PathBuf;

use super::links;
use super::options::{Options, shared};
use super::sides::{Programs, in_turn, values};
use super::table::{Spread, Table};
use crate::Outcome;

/// Options beside the common ones: those of the images, and then those that go to the program as they are.
pub const OPTIONS: &[&str] =
    &["--data", "--images", "--size", "--teacher", "--student", "--epochs", "--views", "--batch", "--queue"];

/// Every figure that the program prints, one a row.
pub fn run(options: &Options) -> Outcome<Table> {
    let rounds = options.rounds(3)?;
    let programs = Programs::build(&["bank"])?;
    let source = options.text("--data").map_or_else(|| shared().join("data/magnetic-tile/images"), PathBuf::from);
    let links = links::folder(&source, options.number("--images", 64)?)?;
    let data = links.to_str().ok_or("the path of the images is not UTF-8")?;
    let given: Vec<&str> =
        OPTIONS[2..].iter().filter_map(|name| options.text(name).map(|value| [*name, value])).flatten().collect();
    let student: &[&str] = if options.text("--student").is_none() { &["--student", "mobilenet_v3_large"] } else { &[] };
    let words = [&given[..], student, &["--data", data, "--device", options.device()]].concat();
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
