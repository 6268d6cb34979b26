//! `bench views`: from a file to an augmented view, on one core, without a loader around it.

use std::path::PathBuf;

use super::options::{Options, shared};
use super::run::title;
use super::sides::{Programs, Python, in_turn, values};
use super::table::{Spread, Table};
use crate::Outcome;

/// Options beside the common ones. `--data` replaces the usual folders.
pub const OPTIONS: &[&str] = &["--data", "--size", "--views"];

/// (folder of real images, sides of the views)
const FOLDERS: [(&str, &[&str]); 2] = [("magnetic-tile/images", &["224", "96"]), ("cifar10/train", &["224", "64"])];

/// Both sides over the folders.
pub fn run(options: &Options) -> Outcome<Table> {
    let (rounds, views) = (options.rounds(5)?, options.or("--views", "1000"));
    let programs = Programs::build(&["views"])?;
    let python = Python::find(options)?;
    let folders: Vec<(PathBuf, &[&str])> = match options.text("--data") {
        Some(folder) => vec![(PathBuf::from(folder), &["224"])],
        None => FOLDERS.map(|(name, sizes)| (shared().join("data").join(name), sizes)).to_vec(),
    };
    let mut table = Table::new(
        format!(
            "Augmented views/s of one core, from file to normalised float32, nothing kept: median (lowest–highest) of \
             {rounds} rounds of {views} views"
        ),
        ["images", "torchvision + PIL", "libseed", "ratio"],
    );
    for (folder, sizes) in folders {
        let folder = folder.canonicalize().map_err(|error| format!("no images in {}: {error}", folder.display()))?;
        let data = folder.to_str().ok_or("the path of the images is not UTF-8")?;
        let sizes = options.text("--size").map_or(sizes.to_vec(), |size| vec![size]);
        for size in sizes {
            let common = ["--data", data, "--size", size, "--views", views];
            let mut sides = [python.script("views_torchvision.py", &common), programs.command("views", &common)];
            let found = in_turn(rounds, &mut sides)?;
            let (theirs, ours) = (values(&found[0], "views_per_s"), values(&found[1], "views_per_s"));
            table.row(vec![
                format!("{} {size}²", title(&folder)),
                Spread::of(theirs.clone()).show(),
                Spread::of(ours.clone()).show(),
                Spread::of_ratios(&ours, &theirs).show(),
            ]);
        }
    }
    Ok(table)
}
