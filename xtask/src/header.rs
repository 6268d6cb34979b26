//! `cargo xtask header`: include/seed.h from src/ffi by cbindgen, and include/seed.sym, the list of exported functions.

use std::fs;
use std::path::PathBuf;

use crate::{Outcome, root};

/// The files of src/ffi in the order in which the header tells of them.
const FILES: [&str; 42] = [
    "init",
    "error",
    "log",
    "device",
    "config",
    "cancel",
    "image",
    "dataset",
    "labels",
    "memory_file",
    "weights",
    "teacher",
    "teacher_callback",
    "student",
    "queue",
    "embeddings",
    "trainer",
    "world",
    "plan",
    "distil",
    "bank",
    "session",
    "feature_map",
    "classifier",
    "finetune",
    "anomaly",
    "segmenter",
    "model",
    "export",
    "store",
    "stored",
    "eval",
    "probe",
    "protocol",
    "linear_sgd",
    "drift",
    "gate",
    "report",
    "report_images",
    "report_time",
    "event_file",
    "night",
];

/// Writes both files, or compares them with what would be written.
pub fn run(check: bool) -> Outcome {
    let header = generate()?;
    let symbols = exported(&header)?;
    for (name, content) in [("include/seed.h", header), ("include/seed.sym", symbols)] {
        let path = root().join(name);
        if !check {
            fs::write(&path, content).map_err(|error| format!("cannot write {name}: {error}"))?;
            continue;
        }
        let found = fs::read_to_string(&path).map_err(|error| format!("cannot read {name}: {error}"))?;
        if let Some((number, (is, should))) =
            found.lines().zip(content.lines()).enumerate().find(|(_, (is, should))| is != should)
        {
            return Err(format!(
                "{name}:{}: is\n  {is}\nbut src/ffi says\n  {should}\nrun `cargo xtask header`",
                number + 1
            ));
        }
        if found != content {
            return Err(format!("{name} is shorter or longer than src/ffi says; run `cargo xtask header`"));
        }
    }
    Ok(())
}

fn generate() -> Outcome<String> {
    let root = root();
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml"))?;
    let mut builder = cbindgen::Builder::new().with_config(config);
    for name in FILES {
        builder = builder.with_src(root.join(format!("src/ffi/{name}.rs")));
    }
    let mut bytes = Vec::new();
    builder.generate().map_err(|error| format!("cbindgen: {error}"))?.write(&mut bytes);
    let header = String::from_utf8(bytes).map_err(|error| format!("the header is not UTF-8: {error}"))?;
    // An error that is dropped is an error that is lost: the compiler shall say so.
    Ok(header.replace("\nseed_error *seed_", "\nSEED_MUST_USE seed_error *seed_"))
}

/// Refuses a file of src/ffi that exports functions but is not in [`FILES`].
fn every_file_is_named() -> Outcome {
    let folder = root().join("src/ffi");
    let unreadable = |error: std::io::Error| format!("cannot read src/ffi: {error}");
    for entry in fs::read_dir(&folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let source = fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        if source.contains("no_mangle") && !FILES.contains(&stem.as_str()) {
            return Err(format!("src/ffi/{stem}.rs exports functions but stands not in FILES of xtask/src/header.rs"));
        }
    }
    Ok(())
}

/// The names of all functions, sorted, a line each; every `no_mangle` function of src/ffi must be among them.
fn exported(header: &str) -> Outcome<String> {
    every_file_is_named()?;
    let mut names: Vec<String> = Vec::new();
    for name in FILES {
        let path: PathBuf = root().join(format!("src/ffi/{name}.rs"));
        let source = fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        for part in source.split("extern \"C\" fn ").skip(1) {
            let function: String = part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if !function.starts_with("seed_") {
                continue;
            }
            if !header.contains(&format!("{function}(")) {
                return Err(format!("{function} is exported, but not in the header"));
            }
            names.push(function);
        }
    }
    names.sort();
    Ok(names.join("\n") + "\n")
}
