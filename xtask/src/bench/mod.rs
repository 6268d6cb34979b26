//! `cargo xtask bench NAME`: libseed beside PyTorch, in turn, in one table.
//!
//! Each bench runs both sides as new processes, A B A B …, so that whatever else the machine does hits both. A cell is the
//! median of the rounds with the lowest and highest; a ratio is the median of the rounds' own ratios, above 1 where
//! libseed is better.

mod bank;
mod infer;
mod links;
mod loss;
mod memory;
mod methods;
mod options;
mod run;
pub mod sides;
mod step;
mod store;
mod table;
mod views;

use std::path::Path;

use crate::{Outcome, setup};
use options::Options;
use table::Table;

/// One of the benches.
struct Bench {
    name: &'static str,
    about: &'static str,
    /// Its options beside those of all.
    options: &'static [&'static str],
    run: fn(&Options) -> Outcome<Table>,
}

const BENCHES: [Bench; 9] = [
    Bench { name: "step", about: "images/s of a step on images in memory", options: step::OPTIONS, run: step::run },
    Bench {
        name: "run",
        about: "images/s of a run from JPEG files, and kNN after it",
        options: run::OPTIONS,
        run: run::run,
    },
    Bench { name: "views", about: "augmented views/s of one core", options: views::OPTIONS, run: views::run },
    Bench { name: "loss", about: "time and memory of the loss by K", options: loss::OPTIONS, run: loss::run },
    Bench { name: "infer", about: "latency and images/s of a session", options: infer::OPTIONS, run: infer::run },
    Bench { name: "memory", about: "peak memory of a run by K and images", options: memory::OPTIONS, run: memory::run },
    Bench {
        name: "methods",
        about: "time and memory of a short run by method",
        options: methods::OPTIONS,
        run: methods::run,
    },
    Bench {
        name: "bank",
        about: "the teacher online against its stored embeddings",
        options: bank::OPTIONS,
        run: bank::run,
    },
    Bench {
        name: "store",
        about: "frames/s into a frame store, and the delay of a push",
        options: store::OPTIONS,
        run: store::run,
    },
];

/// Runs `bench NAME [OPTIONS]`.
pub fn run(words: &[String]) -> Outcome {
    let name = words.first().map_or("", String::as_str);
    let Some(bench) = BENCHES.iter().find(|bench| bench.name == name) else { return Err(usage()) };
    let options = Options::parse(&words[1..], bench.options)?;
    setup::run()?;
    let table = (bench.run)(&options)?;
    println!("{}", table.plain());
    if let Some(path) = options.text("--markdown") {
        table.append_markdown(Path::new(path))?;
    }
    Ok(())
}

fn usage() -> String {
    let mut text = String::from("usage: cargo xtask bench NAME [OPTIONS]\n\n");
    for bench in &BENCHES {
        text += &format!("  {:<8} {}\n{:11}{}\n", bench.name, bench.about, "", bench.options.join(" "));
    }
    text += "\nof all:\n";
    for (option, about) in options::COMMON {
        text += &format!("  {option:<16} {about}\n");
    }
    text += "\nSEED_SHARED names the folder with oracle/seed_torch.py and data/; ../shared where it is not set.";
    text
}
