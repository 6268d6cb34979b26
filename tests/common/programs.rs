//! Programs in C and C++ that tests compile against the library of this build and run.
#![allow(dead_code)] // each test takes what it needs

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// libseed.so lies beside the test's own executable.
pub fn library_folder() -> PathBuf {
    let executable = std::env::current_exe().unwrap();
    let deps = executable.parent().unwrap();
    for folder in [deps, deps.parent().unwrap()] {
        if folder.join("libseed.so").exists() {
            return folder.to_path_buf();
        }
    }
    panic!("libseed.so is not beside {}", executable.display());
}

/// The folder of libtorch_cpu.so.
pub fn libtorch_folder() -> PathBuf {
    std::env::var_os("LIBTORCH").map_or_else(|| root().join("third_party/libtorch"), PathBuf::from).join("lib")
}

/// Compiles `source` of C or C++ with every warning an error and links libseed; libraries among the `flags` come last.
pub fn compile(source: &Path, flags: &[&str], folder: &Path) -> PathBuf {
    let c = source.extension().is_some_and(|extension| extension == "c") && !flags.contains(&"-std=c++17");
    let program =
        folder.join(format!("{}-{}", source.file_stem().unwrap().to_string_lossy(), if c { "c" } else { "cpp" }));
    let (seed, torch) = (library_folder(), libtorch_folder());
    let mut command = compiler(if c { "c" } else { "c++" });
    command.args(["-g", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-pthread"]);
    for include in ["include", "bindings/cpp", "tests/capi"] {
        command.arg("-I").arg(root().join(include));
    }
    command.args(["-x", if c { "c" } else { "c++" }]).arg(source).args(["-x", "none", "-o"]).arg(&program);
    command.args(flags).arg("-L").arg(&seed).args(["-lseed", "-lm"]);
    for flag in ["-rpath", "-rpath-link"] {
        for place in [&seed, &torch] {
            command.arg(format!("-Wl,{flag},{}", place.display()));
        }
    }
    expect_success(&format!("compiling {}", source.display()), &command.output().unwrap());
    program
}

/// The compiler of "c" or "c++": $CC or $CXX where it is set.
pub fn compiler(language: &str) -> Command {
    let (variable, default) = if language == "c" { ("CC", "cc") } else { ("CXX", "c++") };
    Command::new(std::env::var(variable).unwrap_or_else(|_| default.to_owned()))
}

/// What it printed, if it succeeded.
pub fn expect_success(what: &str, output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what} failed ({}):\n{text}{errors}", output.status);
    text
}

/// A program without cargo's library path, which may lead to the library of an earlier build.
pub fn quiet(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_remove("LD_LIBRARY_PATH");
    command
}

/// SEED_PYTHON, or python3 with what .ci/run installs for it; without the test's own libtorch, which must not be taken for
/// Python's.
pub fn python() -> Command {
    let mut command = Command::new(std::env::var_os("SEED_PYTHON").unwrap_or_else(|| "python3".into()));
    command.env_remove("LD_LIBRARY_PATH");
    let tools = root().join("target/tools/onnx");
    if tools.exists() {
        command.env("PYTHONPATH", tools);
    }
    command
}
