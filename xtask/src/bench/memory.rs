//! `bench memory`: the most memory that a run holds, as the queue and the folder grow.

use std::path::PathBuf;

use super::links;
use super::options::{Options, shared};
use super::sides::{Programs, in_turn, values};
use super::table::{Spread, Table};
use crate::Outcome;

/// Options beside the common ones; `--images` and `--queue` take several numbers with commas between.
pub const OPTIONS: &[&str] =
    &["--data", "--images", "--queue", "--size", "--teacher", "--student", "--batch", "--cache_mib"];

/// One epoch for every K and number of images, each in a process of its own.
pub fn run(options: &Options) -> Outcome<Table> {
    let rounds = options.rounds(1)?;
    let (teacher, student) = (options.or("--teacher", "resnet18"), options.or("--student", "mobilenet_v3_small"));
    let (size, batch) = (options.or("--size", "64"), options.or("--batch", "32"));
    let cache = options.or("--cache_mib", "1024");
    let source = options.text("--data").map_or_else(|| shared().join("data/magnetic-tile/images"), PathBuf::from);
    let programs = Programs::build(&["run"])?;
    let mut folders = Vec::new();
    for count in options.or("--images", "100,1000,10000").split(',') {
        let number = count.parse().map_err(|_| format!("--images has {count}, expected numbers"))?;
        folders.push((count, links::folder(&source, number)?));
    }
    let heads = folders.iter().map(|(count, _)| format!("{count} images"));
    let mut table = Table::new(
        format!(
            "Peak of resident memory of a whole run on {}, MiB: one epoch, {teacher} → {student}, {size}², batch {batch}, \
             decoded frames kept up to {cache} MiB, median of {rounds} rounds",
            options.device()
        ),
        ["K".to_owned(), "queue MiB".to_owned()].into_iter().chain(heads),
    );
    for queue in options.or("--queue", "4096,65536,1048576").split(',') {
        let rows: f64 = queue.parse().map_err(|_| format!("--queue has {queue}, expected numbers"))?;
        // The embedding of the bench program is 128 wide, in float32.
        let mut cells = vec![queue.to_owned(), format!("{:.0}", rows * 128.0 * 4.0 / f64::from(1 << 20))];
        for (_, folder) in &folders {
            let data = folder.to_str().ok_or("the path of the images is not UTF-8")?;
            let words = ["--data", data, "--teacher", teacher, "--student", student, "--size", size, "--batch", batch];
            let more = ["--queue", queue, "--cache_mib", cache, "--device", options.device(), "--no_knn"];
            let found = in_turn(rounds, &mut [programs.command("run", &[&words[..], &more[..]].concat())])?;
            cells.push(Spread::of(values(&found[0], "peak_mib")).show());
        }
        table.row(cells);
    }
    Ok(table)
}
