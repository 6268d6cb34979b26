//! The two sides: our bench programs and Python, run in turn, and the figures they print.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::options::{Options, oracle};
use crate::{Outcome, call, cargo, root};

/// The numbers that a side printed, by name.
pub type Figures = BTreeMap<String, f64>;

/// Our bench programs and the library that was built with them.
pub struct Programs {
    programs: BTreeMap<String, PathBuf>,
    library: PathBuf,
}

impl Programs {
    /// Builds the programs and asks cargo where they lie, so that they can be run without cargo in between.
    pub fn build(names: &[&str]) -> Outcome<Self> {
        eprintln!("building the bench programs (about 5 minutes on 2 cores the first time)");
        let mut command = cargo();
        command.args(["bench", "--no-run", "--message-format", "json-render-diagnostics"]);
        for name in names {
            command.args(["--bench", name]);
        }
        let output = command.current_dir(root()).stderr(Stdio::inherit()).output();
        let output = output.map_err(|error| format!("cannot run {command:?}: {error}"))?;
        let (mut programs, mut library) = (BTreeMap::new(), PathBuf::new());
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let message: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
            if let (Some(name), Some(path)) = (message["target"]["name"].as_str(), message["executable"].as_str()) {
                programs.insert(name.to_owned(), PathBuf::from(path));
            }
            let files = message["filenames"].as_array().into_iter().flatten().filter_map(|file| file.as_str());
            library = files.map(PathBuf::from).find(|file| file.ends_with("libseed.so")).unwrap_or(library);
        }
        match names.iter().find(|name| !programs.contains_key(**name)) {
            Some(name) => Err(format!("cargo built no bench program {name}")),
            None => Ok(Self { programs, library }),
        }
    }

    /// Where a program lies.
    pub fn path(&self, name: &str) -> &Path {
        // `build` has checked that every name is there.
        &self.programs[name]
    }

    /// Where libseed.so lies.
    pub fn library(&self) -> &Path {
        &self.library
    }

    /// A program with its arguments.
    pub fn command(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.path(name));
        command.args(arguments);
        command
    }
}

/// A Python with PyTorch.
pub struct Python(PathBuf);

impl Python {
    /// The one that `--python` or SEED_BENCH_PYTHON names, or a virtual environment of our own.
    pub fn find(options: &Options) -> Outcome<Self> {
        if let Some(path) = options.text("--python") {
            return Ok(Self(PathBuf::from(path)));
        }
        if let Some(path) = std::env::var_os("SEED_BENCH_PYTHON") {
            return Ok(Self(PathBuf::from(path)));
        }
        let folder = root().join("third_party/bench-venv");
        let python = folder.join("bin/python");
        let ready = || {
            let check = ["-c", "import torch, torchvision, onnx, onnxruntime"];
            Command::new(&python).args(check).output().is_ok_and(|output| output.status.success())
        };
        if !ready() {
            eprintln!("making a Python environment with PyTorch 2.11 for the comparison (4.7 GB)");
            let packages = ["torch==2.11.0", "torchvision==0.26.0", "onnx", "onnxruntime"];
            call(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
            call(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(packages))?;
        }
        Ok(Self(python))
    }

    /// The folder of ONNX Runtime's library in its package.
    pub fn onnxruntime(&self) -> Outcome<PathBuf> {
        let script = "import os, onnxruntime; print(os.path.join(os.path.dirname(onnxruntime.__file__), 'capi'))";
        let output = Command::new(&self.0).args(["-c", script]).output().map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(format!("no onnxruntime in {}", self.0.display()));
        }
        Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
    }

    /// A script of benches/ with its arguments.
    pub fn script(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.0);
        command.arg(root().join("benches").join(name)).args(arguments);
        command
    }

    /// The PyTorch reference with its arguments.
    pub fn oracle(&self, arguments: &[&str]) -> Outcome<Command> {
        let mut command = Command::new(&self.0);
        command.arg(oracle()?).args(arguments);
        Ok(command)
    }
}

/// Runs every side once a round, in the given order: figures by side and round.
pub fn in_turn(rounds: usize, sides: &mut [Command]) -> Outcome<Vec<Vec<Figures>>> {
    let mut found: Vec<Vec<Figures>> = sides.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (side, found) in sides.iter_mut().zip(&mut found) {
            found.push(figures(side)?);
        }
    }
    Ok(found)
}

/// One figure of every round; NaN where a round lacks it.
pub fn values(rounds: &[Figures], name: &str) -> Vec<f64> {
    rounds.iter().map(|figures| figures.get(name).copied().unwrap_or(f64::NAN)).collect()
}

/// Runs a side and reads what it printed.
fn figures(command: &mut Command) -> Outcome<Figures> {
    // cargo puts its own folders before the loader's path; neither side is to find libraries there.
    if let Some(paths) = std::env::var_os("LD_LIBRARY_PATH") {
        let target = root().join("target");
        let kept = std::env::split_paths(&paths).filter(|path| !path.starts_with(&target));
        command.env("LD_LIBRARY_PATH", std::env::join_paths(kept).unwrap_or_default());
    }
    let output = command.current_dir(root()).output().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    let figures = read(&String::from_utf8_lossy(&output.stdout));
    if output.status.success() && !figures.is_empty() {
        return Ok(figures);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?} gave no figures ({}):\n{}", output.status, said.trim_end()))
}

/// The numbers of all lines of JSON, and of the reference's `epoch N loss L R images/s`.
fn read(text: &str) -> Figures {
    let mut figures = Figures::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let ["epoch", _, "loss", _, rate, "images/s"] = words.as_slice() {
            figures.extend(rate.parse().map(|rate| ("images_per_s".to_owned(), rate)));
        }
        let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap_or_default();
        figures.extend(fields.into_iter().filter_map(|(name, value)| Some((name, value.as_f64()?))));
    }
    figures
}

#[cfg(test)]
mod tests {
    #[test]
    fn figures_are_read_from_both_kinds_of_lines() {
        let text =
            "epoch 0 loss 1.5 7.0 images/s\nepoch 1 loss 1.4 8.5 images/s\n{\"knn10\": 0.5, \"fn\": \"x\"}\nnoise";
        let figures = super::read(text);
        assert_eq!((figures["images_per_s"], figures["knn10"], figures.len()), (8.5, 0.5, 2));
    }
}
