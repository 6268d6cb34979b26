//! The project's own commands: `cargo xtask NAME`. Needs Rust, a C++ compiler and Python 3 with pip; fetches the rest.

mod abi;
mod asan;
mod bench;
mod bindings;
mod bundle;
mod circles;
mod demo;
mod dist;
mod fetch;
mod front;
mod header;
mod imports;
mod licences;
mod links;
mod prototypes;
mod settings;
mod setup;
mod test;
mod tidy;

use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// What a command gives: an error is a sentence for a person.
type Outcome<T = ()> = Result<T, String>;

const USAGE: &str = "usage: cargo xtask COMMAND

  setup            fetch and unpack the CPU part of libtorch (once)
  demo [OPTIONS]   set up, then distil a student on real images; options go to examples/cpp/distill.cpp
  test [AREA [FILTER]]
                   set up, then run every check and test, or the tests of one area whose names contain FILTER
  tidy             import direction, file sizes, header drift, fmt, clippy
  settings [--check]  write docs/settings.md, or compare it with src/config
  header [--check] write include/seed.h and seed.sym, or compare them with src/ffi
  abi [--accept]   the ABI of include/seed.h against include/seed.abi; --accept takes over what changed
  asan             the library's own code and the C programs under the address sanitizer: minutes, and 2 GB in target/asan
  bench NAME       libseed beside PyTorch in one table: step, run, views, loss, infer, memory, bank
  bundle           the bench programs for a machine without Rust: target/bundle.tar.gz
  dist [--check] [--quick]
                   the installed library: target/dist/libseed-VERSION-x86_64-linux and its tar.gz; --check uses it from outside;
                   --quick packs the debug build, to try and not to hand on";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let rest = words.get(1..).unwrap_or(&[]);
    let result = match words.first().map(String::as_str) {
        Some("setup") => setup::run(),
        Some("demo") => demo::run(rest),
        Some("test") => test::run(rest),
        Some("tidy") => setup::run().and_then(|()| tidy::run()),
        Some("settings") => settings::run(rest.iter().any(|word| word == "--check")),
        Some("header") => header::run(rest.iter().any(|word| word == "--check")),
        Some("abi") => abi::run(rest.iter().any(|word| word == "--accept")),
        Some("asan") => setup::run().and_then(|()| asan::run()),
        Some("bench") => bench::run(rest),
        Some("bundle") => bundle::run(),
        Some("dist") => dist::run(rest),
        _ => Err(USAGE.to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}

/// The project's root folder.
fn root() -> PathBuf {
    // xtask lies directly below the root.
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().map(PathBuf::from).unwrap_or_default()
}

/// Where libtorch lies: the user's own, or the one that setup unpacks.
fn libtorch() -> PathBuf {
    std::env::var_os("LIBTORCH").map_or_else(|| root().join("third_party/libtorch"), PathBuf::from)
}

/// Runs a command and waits; its output goes where ours goes.
fn call(command: &mut Command) -> Outcome {
    let status = command.current_dir(root()).status().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} failed ({status})")) }
}

/// The cargo that runs us.
fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}
