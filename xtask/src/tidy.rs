//! `cargo xtask tidy`: the rules of the repository that a machine can check.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Outcome, call, cargo, circles, header, imports, root, settings};

/// More lines than this are more than one concept.
const LONGEST_FILE: usize = 420;
const LONGEST_LIB: usize = 80;
const NAMELESS: [&str; 5] = ["utils.rs", "util.rs", "common.rs", "manager.rs", "helper.rs"];

/// Checks everything and says all that is wrong.
pub fn run() -> Outcome {
    let src = root().join("src");
    let mut wrong = Vec::new();
    let mut sources = Vec::new();
    for file in rust_files(&src)? {
        let source = fs::read_to_string(&file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        let short = file.strip_prefix(&src).unwrap_or(&file);
        wrong.extend(imports::violations(short, &source));
        let limit = if short == Path::new("lib.rs") { LONGEST_LIB } else { LONGEST_FILE };
        let lines = source.lines().count();
        if lines > limit {
            wrong.push(format!("{}: {lines} lines, expected at most {limit}", short.display()));
        }
        if short.file_name().is_some_and(|name| NAMELESS.iter().any(|nameless| name == *nameless)) {
            wrong.push(format!("{}: name it by what it is about", short.display()));
        }
        sources.push((short.display().to_string(), source));
    }
    wrong.extend(circles::violations(&sources));
    if !wrong.is_empty() {
        return Err(wrong.join("\n"));
    }
    header::run(true)?;
    settings::run(true)?;
    call(cargo().args(["fmt", "--all", "--check"]))?;
    call(cargo().args(["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    println!("tidy: imports, circles, sizes, names, header, settings, fmt and clippy are in order");
    Ok(())
}

fn rust_files(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries = fs::read_dir(folder).map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
