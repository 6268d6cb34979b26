//! `bench store`: frames of one megapixel into a frame store; benches/store.rs pushes them.

use std::path::PathBuf;

use super::options::{Options, shared};
use super::sides::{Programs, in_turn, values};
use super::table::{Spread, Table};
use crate::Outcome;

/// Options beside the common ones; all but the first go to the program as they are.
pub const OPTIONS: &[&str] = &["--data", "--frames", "--rate", "--keep", "--dim", "--max_frames", "--folder"];

/// Grey and colour, PNG and JPEG.
pub fn run(options: &Options) -> Outcome<Table> {
    let rounds = options.rounds(3)?;
    let programs = Programs::build(&["store"])?;
    let data = options.text("--data").map_or_else(|| shared().join("data/magnetic-tile/images"), PathBuf::from);
    let data = data.to_str().ok_or("the path of the images is not UTF-8")?;
    let given: Vec<&str> =
        OPTIONS[1..].iter().filter_map(|name| options.text(name).map(|value| [*name, value])).flatten().collect();
    let mut table = Table::new(
        format!(
            "A store of 1024×1024 frames: median (lowest–highest) of {rounds} rounds; delays of a push in ms at {} frames/s",
            options.or("--rate", "30")
        ),
        ["frames", "stored/s", "CPU ms a frame", "KiB a frame", "push p50", "push p99", "push max", "plain copy p50"],
    );
    for (colour, encoding) in [("grey", "png"), ("rgb", "png"), ("grey", "jpeg"), ("rgb", "jpeg")] {
        let words = [&given[..], &["--data", data, "--colour", colour, "--encoding", encoding]].concat();
        let found = in_turn(rounds, &mut [programs.command("store", &words)])?;
        let cell = |name: &str| Spread::of(values(&found[0], name)).show();
        table.row(vec![
            format!("{colour}, {encoding}"),
            cell("frames_per_s"),
            cell("cpu_ms_per_frame"),
            cell("kib_per_frame"),
            cell("push_p50_ms"),
            cell("push_p99_ms"),
            cell("push_max_ms"),
            cell("copy_p50_ms"),
        ]);
    }
    Ok(table)
}
