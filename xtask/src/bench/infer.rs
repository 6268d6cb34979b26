//! `bench infer`: a session beside ONNX Runtime and frozen TorchScript.

use super::options::Options;
use super::sides::{Figures, Programs, Python, in_turn, values};
use super::table::{Spread, Table};
use crate::Outcome;

/// Options beside the common ones. `--network` replaces the usual two.
pub const OPTIONS: &[&str] = &["--network", "--size", "--batch", "--repeats", "--threads"];

/// (engine, its name for the script or "" for libseed, precision). Others are compared with the first, which is what a user
/// gets, and with libseed in their own precision. The last three are libseed with the setting "engine".
const ENGINES: [(&str, &str, &str); 9] = [
    ("libseed auto", "", "auto"),
    ("libseed fp32", "", "fp32"),
    ("ONNX Runtime fp32", "onnxruntime", "fp32"),
    ("TorchScript fp32 NHWC", "torchscript", "fp32"),
    ("libseed bf16", "", "bf16"),
    ("TorchScript bf16 NHWC", "torchscript", "bf16"),
    ("libseed embedded fp32", "", "fp32"),
    ("libseed onnxruntime fp32", "", "fp32"),
    ("libseed engine auto", "", "auto"),
];

/// All engines over the networks.
pub fn run(options: &Options) -> Outcome<Table> {
    let rounds = options.rounds(3)?;
    let (size, batch) = (options.or("--size", "224"), options.or("--batch", "32"));
    let (repeats, threads) = (options.or("--repeats", "100"), options.or("--threads", "2"));
    let programs = Programs::build(&["infer"])?;
    let python = Python::find(options)?;
    let onnxruntime = python.onnxruntime()?;
    let networks = options.text("--network").map_or(vec!["resnet18", "mobilenet_v3_large"], |network| vec![network]);
    let mut table = Table::new(
        format!(
            "Inference on {} at {size}², {threads} threads: median (lowest–highest) of {rounds} rounds of {repeats} calls. \
             Whole: bytes of a frame → resized, cropped, normalised (PIL on the Python sides) → features. Network: \
             a tensor → features. Ratios: how much faster libseed's network is, batch 1 / batch {batch}",
            options.device()
        ),
        [
            "network".to_owned(),
            "engine".to_owned(),
            "whole p50 ms".to_owned(),
            "whole p99 ms".to_owned(),
            "network p50 ms".to_owned(),
            format!("whole images/s, {batch}"),
            format!("network images/s, {batch}"),
            "libseed auto over it".to_owned(),
            "libseed in its precision over it".to_owned(),
        ],
    );
    for network in networks {
        let common = ["--network", network, "--size", size, "--batch", batch, "--repeats", repeats];
        let common = [&common[..], &["--threads", threads, "--device", options.device()]].concat();
        let mut sides: Vec<_> = ENGINES
            .iter()
            .map(|(name, engine, precision)| match *engine {
                "" => {
                    let own = match *name {
                        "libseed embedded fp32" => "embedded",
                        "libseed onnxruntime fp32" => "onnxruntime",
                        "libseed engine auto" => "auto",
                        _ => "libtorch",
                    };
                    let arguments = ["--precision", precision, "--engine", own];
                    let mut command = programs.command("infer", &[&common[..], &arguments].concat());
                    command.env("SEED_ONNXRUNTIME", &onnxruntime);
                    command
                }
                _ => python.script(
                    "infer_engines.py",
                    &[&common[..], &["--precision", precision, "--engine", engine]].concat(),
                ),
            })
            .collect();
        let found = in_turn(rounds, &mut sides)?;
        for ((name, engine, precision), theirs) in ENGINES.iter().zip(&found) {
            let same = ENGINES.iter().position(|(_, engine, own)| engine.is_empty() && own == precision);
            let ratios = match (*engine, same) {
                ("", _) | (_, None) => ["".to_owned(), "".to_owned()],
                (_, Some(same)) => [ratios(&found[0], theirs), ratios(&found[same], theirs)],
            };
            let cell = |name: &str| Spread::of(values(theirs, name)).show();
            let cells = ["p50_ms", "p99_ms", "network_p50_ms", "images_per_s", "network_images_per_s"].map(cell);
            let row = [network.to_owned(), (*name).to_owned()].into_iter().chain(cells).chain(ratios);
            table.row(row.collect());
        }
    }
    Ok(table)
}

/// Medians of the rounds' ratios of the network alone, for one frame and for the batch.
fn ratios(ours: &[Figures], theirs: &[Figures]) -> String {
    let of = |name: &str, over: &[Figures], under: &[Figures]| {
        Spread::of_ratios(&values(over, name), &values(under, name)).median
    };
    let (one, many) = (of("network_p50_ms", theirs, ours), of("network_images_per_s", ours, theirs));
    format!("{one:.2} / {many:.2}")
}
