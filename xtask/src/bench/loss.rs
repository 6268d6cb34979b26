//! `bench loss`: time and memory of loss and gradient as the queue grows, against the naive form under autograd.

use super::options::{Options, oracle};
use super::sides::{Programs, Python, in_turn, values};
use super::table::{Spread, Table};
use crate::Outcome;

/// Options beside the common ones. `--queue` and `--batch` replace the usual sizes.
pub const OPTIONS: &[&str] = &["--queue", "--batch", "--dim", "--repeats"];

/// (K, B)
const SIZES: [(&str, &str); 5] =
    [("4096", "32"), ("65536", "32"), ("65536", "256"), ("262144", "32"), ("1048576", "32")];

/// Both sides over the sizes, each size in a process of its own.
pub fn run(options: &Options) -> Outcome<Table> {
    let (rounds, repeats, dim) = (options.rounds(5)?, options.or("--repeats", "10"), options.or("--dim", "128"));
    if options.device() != "cpu" {
        return Err("this bench looks at the host's memory; it runs on the cpu".to_owned());
    }
    let oracle = oracle()?;
    let oracle = oracle.to_str().ok_or("the path of the PyTorch reference is not UTF-8")?;
    let programs = Programs::build(&["loss"])?;
    let python = Python::find(options)?;
    let sizes = match (options.text("--queue"), options.text("--batch")) {
        (None, None) => SIZES.to_vec(),
        (queue, batch) => vec![(queue.unwrap_or("65536"), batch.unwrap_or("32"))],
    };
    let mut table = Table::new(
        format!(
            "Loss and its gradient, C {dim}, float32: ms, and MiB beyond the inputs at the peak (the queue itself apart), \
             median (lowest–highest) of {rounds} rounds of {repeats} calls. PyTorch: the naive form under autograd"
        ),
        ["K", "B", "queue MiB", "PyTorch ms", "libseed ms", "ratio", "PyTorch MiB", "libseed MiB"],
    );
    for (queue, batch) in sizes {
        let common = ["--queue", queue, "--batch", batch, "--dim", dim, "--repeats", repeats];
        let found = in_turn(
            rounds,
            &mut [
                python.script("loss_naive.py", &[&common[..], &["--oracle", oracle]].concat()),
                programs.command("loss", &common),
            ],
        )?;
        let figure = |side: usize, name: &str| values(&found[side], name);
        table.row(vec![
            queue.to_owned(),
            batch.to_owned(),
            Spread::of(figure(1, "queue_mib")).show(),
            Spread::of(figure(0, "ms")).show(),
            Spread::of(figure(1, "ms")).show(),
            Spread::of_ratios(&figure(0, "ms"), &figure(1, "ms")).show(),
            Spread::of(figure(0, "peak_mib")).show(),
            Spread::of(figure(1, "peak_mib")).show(),
        ]);
    }
    Ok(table)
}
