//! `cargo xtask bundle`: the bench programs for a machine without Rust, in target/bundle and target/bundle.tar.gz.
//!
//! ```text
//! run.sh        finds a libtorch 2.11 and starts scripts/compare.py
//! bin/          the bench programs        lib/      libseed.so
//! scripts/      compare.py and the Python sides
//! ```
//!
//! libtorch is not in it. run.sh names its folder in the loader's path, which comes before the run path that the programs
//! have for development, so they need not lie where they were built.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::bench::sides::Programs;
use crate::{Outcome, call, root, setup};

const PROGRAMS: [&str; 5] = ["step", "run", "views", "loss", "infer"];

/// What is copied as it is: (place in the repository, place in the bundle).
const FILES: [(&str, &str); 7] = [
    ("benches/bundle/run.sh", "run.sh"),
    ("benches/bundle/compare.py", "scripts/compare.py"),
    ("benches/infer_engines.py", "scripts/infer_engines.py"),
    ("benches/views_torchvision.py", "scripts/views_torchvision.py"),
    ("benches/loss_naive.py", "scripts/loss_naive.py"),
    ("LICENSE-MIT", "LICENSE-MIT"),
    ("LICENSE-APACHE", "LICENSE-APACHE"),
];

/// Builds the programs and packs them.
pub fn run() -> Outcome {
    setup::run()?;
    let programs = Programs::build(&PROGRAMS)?;
    let bundle = root().join("target/bundle");
    if bundle.exists() {
        fs::remove_dir_all(&bundle).map_err(|error| format!("cannot remove {}: {error}", bundle.display()))?;
    }
    for folder in ["bin", "lib", "scripts"] {
        let folder = bundle.join(folder);
        fs::create_dir_all(&folder).map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
    }
    for (from, to) in FILES {
        copy(&root().join(from), &bundle.join(to))?;
    }
    for name in PROGRAMS {
        stripped(programs.path(name), &bundle.join("bin").join(name))?;
    }
    stripped(programs.library(), &bundle.join("lib/libseed.so"))?;
    call(Command::new("tar").args(["-C", "target", "-czf", "target/bundle.tar.gz", "bundle"]))?;
    let bytes = fs::metadata(root().join("target/bundle.tar.gz")).map_or(0, |file| file.len());
    println!("target/bundle.tar.gz: {} MB. There: tar xzf bundle.tar.gz && bundle/run.sh --help", bytes / 1_000_000);
    Ok(())
}

/// A copy without debug information, which is most of a program's size.
fn stripped(from: &Path, to: &Path) -> Outcome {
    copy(from, to)?;
    call(Command::new("strip").arg("--strip-debug").arg(to))
}

fn copy(from: &Path, to: &Path) -> Outcome {
    fs::copy(from, to).map(drop).map_err(|error| format!("cannot copy {} to {}: {error}", from.display(), to.display()))
}
