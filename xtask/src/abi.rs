//! `cargo xtask abi`: the ABI of include/seed.h against its baseline, include/seed.abi.
//!
//! abidiff compares what debug information says of a library. Rust's says little of C's types, so a library is compiled
//! from the header alone, in a tenth of a second: each function with an empty body, and the numbers of the header as an
//! enumeration, since macros leave no debug information. That `src/ffi` is what the header says is `cargo xtask header`'s.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::prototypes::{constants, functions, header};
use crate::{Outcome, root};

const BASELINE: &str = "include/seed.abi";

/// How a header differs from the baseline.
#[derive(Debug, PartialEq, Eq)]
pub enum Difference {
    None,
    /// Only functions, codes and the like were added, or names changed: compiled programs go on.
    Compatible,
    /// Something that compiled programs rely on is not as it was.
    Changed,
}

/// Compares, or with `accept` writes the baseline anew. Both say what is different.
pub fn run(accept: bool) -> Outcome {
    if !installed() {
        return Err("abidw and abidiff do not run; install them (Debian: apt-get install abigail-tools)".to_owned());
    }
    let baseline = root().join(BASELINE);
    let fresh = dump(&header()?, &root().join("target/abi"))?;
    if accept && !baseline.exists() {
        fs::copy(&fresh, &baseline).map_err(|error| format!("cannot write {BASELINE}: {error}"))?;
        println!("{BASELINE} is written for the first time");
        return Ok(());
    }
    let (difference, report) = compare(&baseline, &fresh)?;
    match (&difference, accept) {
        (Difference::None, _) => println!("abi: include/seed.h is as {BASELINE} says"),
        (_, true) => {
            fs::copy(&fresh, &baseline).map_err(|error| format!("cannot write {BASELINE}: {error}"))?;
            println!("{report}{BASELINE} is written anew; {}", advice(&difference));
        }
        (_, false) => {
            return Err(format!(
                "{report}include/seed.h is not as {BASELINE} says; {}; then `cargo xtask abi --accept`",
                advice(&difference)
            ));
        }
    }
    Ok(())
}

/// The part of `cargo xtask test`: may be left out where abidiff is not installed, but not in CI.
pub fn test() -> Outcome {
    if !installed() && std::env::var_os("CI").is_none() {
        println!("SKIPPED: the ABI's baseline; abidiff (Debian: abigail-tools) is not installed");
        return Ok(());
    }
    run(false)
}

fn advice(difference: &Difference) -> &'static str {
    match difference {
        Difference::None | Difference::Compatible => {
            "programs that are compiled go on working: say in CHANGELOG.md what was added"
        }
        Difference::Changed => {
            "programs that are compiled may break: raise SEED_ABI_VERSION and the minor version, unless this ABI was never \
             released or docs/abi.md allows the change, and say so in CHANGELOG.md"
        }
    }
}

fn installed() -> bool {
    ["abidw", "abidiff"]
        .iter()
        .all(|tool| Command::new(tool).arg("--version").output().is_ok_and(|output| output.status.success()))
}

/// Compiles a library out of `header` in `folder` and writes its ABI to a file there.
fn dump(header: &str, folder: &Path) -> Outcome<PathBuf> {
    let io = |what: &str, error: std::io::Error| format!("cannot {what} in {}: {error}", folder.display());
    fs::create_dir_all(folder).map_err(|error| io("create a folder", error))?;
    fs::write(folder.join("seed.h"), header).map_err(|error| io("write seed.h", error))?;
    fs::write(folder.join("stub.c"), stub(header)?).map_err(|error| io("write stub.c", error))?;
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let mut command = Command::new(compiler);
    command.args(["-std=c99", "-g", "-gdwarf-4", "-O0", "-w", "-fPIC", "-shared", "-I."]);
    run_quietly(command.args(["stub.c", "-o", "stub.so", "-Wl,-soname,libseed.so"]), folder)?;
    let mut command = Command::new("abidw");
    command.args(["--no-corpus-path", "--no-comp-dir-path", "--no-show-locs", "--no-elf-needed"]);
    run_quietly(command.args(["--out-file", "fresh.abi", "stub.so"]), folder)?;
    Ok(folder.join("fresh.abi"))
}

fn stub(header: &str) -> Outcome<String> {
    let values: String = constants(header).iter().map(|name| format!("  value_of_{name} = {name},\n")).collect();
    let mut text =
        format!("#include \"seed.h\"\n\nenum seed_constants {{\n{values}}};\nenum seed_constants seed_constants;\n");
    for function in functions(header)? {
        let body = if function.returns == "void" { "{}" } else { "{ return 0; }" };
        text += &format!("{} {body}\n", function.declaration(&function.name));
    }
    Ok(text)
}

/// What differs between two dumps, and abidiff's words about it.
fn compare(old: &Path, new: &Path) -> Outcome<(Difference, String)> {
    let run = |option: &str| {
        let output = Command::new("abidiff").arg(option).arg(old).arg(new).output();
        let output = output.map_err(|error| format!("cannot run abidiff: {error}"))?;
        // Bits: 1 abidiff failed, 2 wrong usage, 4 a change, 8 a change that breaks for certain.
        let bits = output.status.code().unwrap_or(1);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if bits & 3 != 0 {
            return Err(format!(
                "abidiff failed ({}): {text}{}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            ));
        }
        Ok((bits != 0, text))
    };
    let (any, report) = run("--harmless")?;
    let (changed, _) = run("--no-added-syms")?;
    let difference = match (any, changed) {
        (_, true) => Difference::Changed,
        (true, false) => Difference::Compatible,
        (false, false) => Difference::None,
    };
    Ok((difference, report))
}

fn run_quietly(command: &mut Command, folder: &Path) -> Outcome {
    let output = command.current_dir(folder).output().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{command:?} failed: {text}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The difference that a replacement in the header makes.
    fn difference(old: &Path, folder: &Path, from: &str, to: &str) -> Difference {
        let header = header().unwrap();
        assert!(header.contains(from), "the header has no {from}");
        compare(old, &dump(&header.replacen(from, to, 1), folder).unwrap()).unwrap().0
    }

    #[test]
    fn every_kind_of_change_is_told() {
        if !installed() {
            assert!(std::env::var_os("CI").is_none(), "abidiff must be there in CI");
            eprintln!("SKIPPED: abidiff is not installed");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let old = dump(&header().unwrap(), &folder.path().join("old")).unwrap();
        let new = folder.path().join("new");
        let text = fs::read_to_string(&old).unwrap();
        assert!(!text.contains(&*root().to_string_lossy()) && !text.contains(&*folder.path().to_string_lossy()));
        for (from, to) in [
            ("uint32_t width;", "uint64_t width;"),
            ("int32_t device;\n} seed_image;", "int32_t device;\n  int32_t more;\n} seed_image;"),
            // Only callbacks see these two.
            ("double waiting_share;", "int64_t waiting_share;"),
            ("(*seed_count_callback)(size_t done,", "(*seed_count_callback)(uint32_t done,"),
            ("#define SEED_ERROR_IO 3", "#define SEED_ERROR_IO 33"),
            ("int64_t value);", "int32_t value);"),
            ("int32_t seed_error_code(", "int64_t seed_error_code("),
            ("SEED_MUST_USE seed_error *seed_queue_dim(const seed_queue *queue, size_t *out);", ""),
        ] {
            assert_eq!(difference(&old, &new, from, to), Difference::Changed, "{from} -> {to}");
        }
        for (from, to) in [
            ("#define SEED_OK 0", "#define SEED_OK 0\n#define SEED_ERROR_LATER 99"),
            (
                "void seed_queue_free(seed_queue *queue);",
                "void seed_queue_free(seed_queue *queue);\nvoid seed_later(void);",
            ),
            ("seed_queue_length(const seed_queue *", "seed_queue_length(seed_queue *"),
            ("double learning_rate;", "double rate_of_learning;"),
        ] {
            assert_eq!(difference(&old, &new, from, to), Difference::Compatible, "{from} -> {to}");
        }
        assert_eq!(difference(&old, &new, "The library's version", "Its version"), Difference::None);
    }
}
