//! `bench step`: the distillation step alone, on images in memory.

use super::options::Options;
use super::sides::{Programs, Python, in_turn, values};
use super::table::{Spread, Table};
use crate::Outcome;

/// Options beside the common ones. Teacher, student and size together replace the usual pairs.
pub const OPTIONS: &[&str] = &["--steps", "--batch", "--queue", "--teacher", "--student", "--size"];

/// (teacher, student, side of the images)
const PAIRS: [(&str, &str, &str); 4] = [
    ("resnet50", "resnet18", "224"),
    ("resnet50", "mobilenet_v3_large", "224"),
    ("resnet50", "efficientnet_b0", "224"),
    ("resnet50", "mobilenet_v3_large", "96"),
];

/// (name, libseed's precision, PyTorch's options): how both sides are set.
pub const SETTINGS: [(&str, &str, &[&str]); 3] = [
    ("as it comes", "auto", &[]),
    ("both fp32, NHWC", "fp32", &["--channels_last"]),
    ("both bf16, NHWC (tuned)", "bf16", &["--channels_last", "--amp", "bfloat16"]),
];

/// Both sides over all pairs and settings.
pub fn run(options: &Options) -> Outcome<Table> {
    let (rounds, steps, batch) = (options.rounds(3)?, options.or("--steps", "5"), options.or("--batch", "32"));
    let queue = options.or("--queue", "65536");
    let programs = Programs::build(&["step"])?;
    let python = Python::find(options)?;
    let own = [options.text("--teacher"), options.text("--student"), options.text("--size")];
    let pairs = match own {
        [None, None, None] => PAIRS.to_vec(),
        [teacher, student, size] => {
            vec![(teacher.unwrap_or("resnet50"), student.unwrap_or("resnet18"), size.unwrap_or("224"))]
        }
    };
    let mut table = Table::new(
        format!(
            "Images/s of a distillation step on {}: batch {batch}, K {queue}, median (lowest–highest) of {rounds} rounds \
             of {steps} steps",
            options.device()
        ),
        ["pair", "settings", "PyTorch", "libseed", "ratio"],
    );
    for (teacher, student, size) in pairs {
        for (settings, precision, torch_options) in SETTINGS {
            let common = ["--teacher", teacher, "--student", student, "--size", size, "--steps", steps];
            let common = [&common[..], &["--batch", batch, "--queue", queue, "--device", options.device()]].concat();
            let found = in_turn(
                rounds,
                &mut [
                    python.oracle(&[&["step"], &common[..], torch_options].concat())?,
                    programs.command("step", &[&common[..], &["--precision", precision]].concat()),
                ],
            )?;
            let (theirs, ours) = (values(&found[0], "images_per_s"), values(&found[1], "images_per_s"));
            table.row(vec![
                format!("{teacher} → {student} {size}²"),
                settings.to_owned(),
                Spread::of(theirs.clone()).show(),
                Spread::of(ours.clone()).show(),
                Spread::of_ratios(&ours, &theirs).show(),
            ]);
        }
    }
    Ok(table)
}
