//! `cargo xtask bench step`: the distillation step beside the PyTorch reference, in turn, in one run.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Outcome, call, cargo, root, setup};

/// (teacher, student, side of the images)
const PAIRS: [(&str, &str, &str); 2] = [("resnet50", "resnet18", "224"), ("resnet50", "mobilenet_v3_large", "96")];

/// Runs `bench step [--rounds N] [--steps N] [--python PATH]`.
pub fn run(options: &[String]) -> Outcome {
    if options.first().map(String::as_str) != Some("step") {
        return Err("usage: cargo xtask bench step [--rounds N] [--steps N] [--python PATH]".to_owned());
    }
    let value = |name: &str| options.iter().skip_while(|word| *word != name).nth(1).cloned();
    let number = |name: &str, default: usize| value(name).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (rounds, steps) = (number("--rounds", 3), number("--steps", 5).to_string());
    setup::run()?;
    let oracle = std::env::var_os("SEED_SHARED").map_or_else(|| root().join("../shared"), PathBuf::from);
    let oracle = oracle.join("oracle/seed_torch.py");
    if !oracle.exists() {
        return Err(format!("the PyTorch reference is not at {}; set SEED_SHARED", oracle.display()));
    }
    let python = python(value("--python"))?;
    call(cargo().args(["bench", "--no-run", "--bench", "step"]))?;

    println!("images/s of one step, batch 32, K 65536: median (min–max) of {rounds} runs of {steps} steps");
    println!("{:<38}{:<22}{:<22}{:<22}ratio", "pair", "settings", "PyTorch", "libseed");
    for (teacher, student, size) in PAIRS {
        for (settings, precision, torch_options) in [
            ("as it comes", "auto", &[][..]),
            ("both fp32", "fp32", &["--channels_last"][..]),
            ("both best (bf16 NHWC)", "bf16", &["--channels_last", "--amp", "bfloat16"][..]),
        ] {
            let (mut theirs, mut ours) = (Vec::new(), Vec::new());
            for _ in 0..rounds {
                let common = ["--teacher", teacher, "--student", student, "--size", size, "--steps", &steps];
                let mut reference = Command::new(&python);
                reference.arg(&oracle).arg("step").args(common).args(torch_options);
                theirs.push(images_per_second(&mut reference)?);
                let mut own = cargo();
                own.args(["bench", "--quiet", "--bench", "step", "--"]).args(common).args(["--precision", precision]);
                ours.push(images_per_second(&mut own)?);
            }
            let (theirs, ours) = (Spread::of(theirs), Spread::of(ours));
            let pair = format!("{teacher} → {student} {size}²");
            println!(
                "{pair:<38}{settings:<22}{:<22}{:<22}{:.2}",
                theirs.show(),
                ours.show(),
                ours.median / theirs.median
            );
        }
    }
    Ok(())
}

struct Spread {
    median: f64,
    low: f64,
    high: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |i: usize| values.get(i).copied().unwrap_or(f64::NAN);
        Self { median: at(values.len() / 2), low: at(0), high: at(values.len().saturating_sub(1)) }
    }

    fn show(&self) -> String {
        format!("{:.1} ({:.1}–{:.1})", self.median, self.low, self.high)
    }
}

/// Runs a side and reads `"images_per_s": NUMBER` from its output.
fn images_per_second(command: &mut Command) -> Outcome<f64> {
    let output = command.current_dir(root()).output().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let number = text.split("\"images_per_s\":").nth(1).and_then(|rest| {
        rest.trim_start().split(|c: char| c != '.' && !c.is_ascii_digit()).next().and_then(|number| number.parse().ok())
    });
    number.ok_or_else(|| format!("{command:?} gave no figure: {}", String::from_utf8_lossy(&output.stderr)))
}

/// A Python with PyTorch: the one given, or a virtual environment made here.
fn python(given: Option<String>) -> Outcome<PathBuf> {
    if let Some(path) = given.or_else(|| std::env::var("SEED_BENCH_PYTHON").ok()) {
        return Ok(PathBuf::from(path));
    }
    let folder = root().join("third_party/bench-venv");
    let python = folder.join("bin/python");
    let ready = |python: &Path| {
        Command::new(python)
            .args(["-c", "import torch, torchvision"])
            .output()
            .is_ok_and(|output| output.status.success())
    };
    if !ready(&python) {
        println!("making a Python environment with PyTorch 2.11 for the comparison (4.7 GB)");
        call(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        call(Command::new(&python).args(["-m", "pip", "install", "--quiet", "torch==2.11.0", "torchvision==0.26.0"]))?;
    }
    Ok(python)
}
