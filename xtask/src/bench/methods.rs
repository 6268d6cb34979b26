//! `bench methods`: what a short run by each method costs, in time and memory, beside SEED's.

use std::path::PathBuf;

use super::links;
use super::options::{Options, shared};
use super::run::title;
use super::sides::{Programs, in_turn, values};
use super::table::{Spread, Table};
use crate::Outcome;

/// Options beside the common ones; `--methods` takes several names with commas between.
pub const OPTIONS: &[&str] =
    &["--data", "--images", "--methods", "--size", "--teacher", "--student", "--batch", "--queue", "--steps"];

/// SEED first: the others are held against it.
const METHODS: &str = "seed,l2,k_means,online_clustering,binary_contrastive,seed_moco,moco_v2,simclr,swav";

/// A run of some steps by each method in turn, each in a process of its own. It has all that a run begins with: frames are decoded, the
/// queue is filled, k-means looks for its clusters.
pub fn run(options: &Options) -> Outcome<Table> {
    let rounds = options.rounds(3)?;
    let (teacher, student) = (options.or("--teacher", "mobilenet_v2"), options.or("--student", "resnet18_w0.5"));
    let (size, batch) = (options.or("--size", "96"), options.or("--batch", "32"));
    let (queue, steps) = (options.or("--queue", "1024"), options.or("--steps", "40"));
    let methods: Vec<&str> = options.or("--methods", METHODS).split(',').collect();
    let source = options.text("--data").map_or_else(|| shared().join("data/magnetic-tile/images"), PathBuf::from);
    let folder = links::folder(&source, options.number("--images", 512)?)?;
    let data = folder.to_str().ok_or("the path of the images is not UTF-8")?;
    let programs = Programs::build(&["run"])?;
    let common = ["--data", data, "--teacher", teacher, "--student", student, "--size", size, "--batch", batch];
    let more = ["--queue", queue, "--steps", steps, "--device", options.device(), "--no_knn", "--no_probe"];
    let mut sides: Vec<_> = methods
        .iter()
        .map(|method| programs.command("run", &[&common[..], &more[..], &["--method", method]].concat()))
        .collect();
    let found = in_turn(rounds, &mut sides)?;
    let mut table = Table::new(
        format!(
            "{steps} steps on {} of {}: {teacher} → {student}, {size}², batch {batch}, K {queue}, median (lowest–highest) of \
             {rounds} rounds; times are those of {} in the same round",
            options.device(),
            title(&source),
            methods[0],
        ),
        ["method", "images/s", "time", "peak MiB"],
    );
    let first = values(&found[0], "images_per_s");
    for (method, rounds) in methods.iter().zip(&found) {
        let rates = values(rounds, "images_per_s");
        table.row(vec![
            (*method).to_owned(),
            Spread::of(rates.clone()).show(),
            Spread::of_ratios(&first, &rates).show(),
            Spread::of(values(rounds, "peak_mib")).show(),
        ]);
    }
    Ok(table)
}
