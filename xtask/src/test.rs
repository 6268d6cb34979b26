//! `cargo xtask test [AREA [FILTER]]`: set-up, every check, every test; or the tests of one area.
//!
//! An area is a test program: a folder of tests/ with a main.rs, or a file of tests/. Beside them stand the library's unit tests,
//! the examples in its documentation, this program's own tests, and the bindings that other languages' tools test.

use std::fs;
use std::process::Command;
use std::time::Instant;

use crate::{Outcome, abi, bindings, call, cargo, demo, root, setup, tidy};

/// Areas that are no test program of tests/, and what cargo calls them.
const OTHERS: [(&str, &[&str]); 3] = [
    ("lib", &["--package", "libseed", "--lib"]),
    ("doc", &["--package", "libseed", "--doc"]),
    ("xtask", &["--package", "xtask"]),
];

/// Without words all of it: the first failure ends it. Otherwise an area, and what the names of its tests must contain.
pub fn run(words: &[String]) -> Outcome {
    let Some((area, filter)) = words.split_first() else { return everything() };
    let mut command = tests();
    if let Some((_, arguments)) = OTHERS.iter().find(|(name, _)| name == area) {
        command.args(*arguments);
    } else if programs()?.contains(area) {
        command.args(["--test", area]);
    } else if !bindings::AREAS.contains(&area.as_str()) {
        return Err(format!("there is no area {area}; there are {}", areas()?.join(", ")));
    } else {
        setup::run()?;
        return bindings::test(Some(area));
    }
    setup::run()?;
    call(command.arg("--").args(filter))
}

/// A check or a suite of tests.
type Part = fn() -> Outcome;

fn everything() -> Outcome {
    setup::run()?;
    // README.md's program is tried with it. Without a network that test is left out, loudly.
    if let Err(error) = demo::teacher() {
        println!("{error}");
    }
    let parts: [(&str, Part); 5] = [
        ("tidy", tidy::run),
        ("abi", abi::test),
        // Apart: together, crates that both use would have the features of both, and the library would be built once more for that.
        ("libseed", || call(tests().args(["--package", "libseed"]))),
        ("xtask", || call(tests().args(["--package", "xtask"]))),
        ("bindings", || bindings::test(None)),
    ];
    let mut seconds = Vec::new();
    for (name, part) in parts {
        let start = Instant::now();
        part()?;
        seconds.push(format!("{name} {} s", start.elapsed().as_secs()));
    }
    println!("all checks and tests passed: {}", seconds.join(", "));
    Ok(())
}

fn tests() -> Command {
    let mut command = cargo();
    one_thread(command.arg("test"));
    command
}

/// libtorch computes with one thread in what `command` runs, unless the caller says otherwise: two pools of OpenMP on two cores
/// stall each other. Programs that are to compute with more say so themselves.
pub fn one_thread(command: &mut Command) -> &mut Command {
    if std::env::var_os("OMP_NUM_THREADS").is_none() {
        command.env("OMP_NUM_THREADS", "1");
    }
    command
}

fn areas() -> Outcome<Vec<String>> {
    let others = OTHERS.iter().map(|(name, _)| *name).chain(bindings::AREAS);
    Ok(programs()?.into_iter().chain(others.map(str::to_owned)).collect())
}

/// The test programs of tests/, as cargo finds them.
fn programs() -> Outcome<Vec<String>> {
    let folder = root().join("tests");
    let entries = fs::read_dir(&folder).map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        if path.join("main.rs").is_file() || path.extension().is_some_and(|extension| extension == "rs") {
            found.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_area_is_told_with_those_that_there_are() {
        let told = run(&["trian".to_owned()]).unwrap_err();
        for name in ["trian", "capi", "train", "hostile", "lib", "go"] {
            assert!(told.contains(name), "{told}");
        }
        // Folders of data, sources and scripts are no areas.
        assert!(!told.contains("golden") && !told.contains("common"), "{told}");
    }
}
