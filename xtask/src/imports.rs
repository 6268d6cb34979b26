//! The direction of imports: a lower module never names a higher one.

use std::path::Path;

/// The modules that each module may name as `crate::…`, lowest first. A module may always name itself; ffi names all, and
/// nothing names ffi.
const ALLOWED: [(&str, &[&str]); 28] = [
    ("error", &[]),
    ("choice", &["error"]),
    ("sys", &["error"]),
    ("finite", &["error"]),
    ("shutdown", &[]),
    ("warnings", &[]),
    ("events", &["error", "sys"]),
    ("torch", &["error", "shutdown", "sys"]),
    ("world", &["error", "shutdown", "sys", "torch"]),
    ("device", &["error", "sys", "torch", "config"]),
    ("machine", &["error", "sys", "torch", "device"]),
    ("data", &["error", "choice", "shutdown", "warnings", "sys"]),
    ("store", &["error", "shutdown", "sys", "data"]),
    ("config", &["error", "choice", "sys", "data"]),
    ("model", &["error", "finite", "warnings", "sys", "torch", "device", "data"]),
    ("engine", &["error", "sys"]),
    ("onnx", &["error", "sys", "torch", "data", "model"]),
    ("optim", &["error", "sys", "torch"]),
    ("distill", &["error", "sys", "finite", "warnings", "torch", "data", "model", "optim"]),
    ("checkpoint", &["error", "sys", "model"]),
    ("eval", &["error", "warnings", "sys", "data"]),
    ("report", &["error", "sys", "data", "eval"]),
    (
        "infer",
        &[
            "error", "finite", "shutdown", "warnings", "sys", "torch", "device", "data", "config", "model", "engine",
            "onnx", "eval",
        ],
    ),
    (
        "train",
        &[
            "error",
            "finite",
            "shutdown",
            "warnings",
            "world",
            "sys",
            "torch",
            "device",
            "data",
            "config",
            "model",
            "optim",
            "distill",
            "checkpoint",
            "eval",
            "infer",
            "events",
        ],
    ),
    (
        "recipe",
        &[
            "error", "warnings", "sys", "torch", "device", "data", "config", "model", "optim", "distill", "eval",
            "report", "train",
        ],
    ),
    ("gate", &["error", "warnings", "sys", "data", "eval", "infer"]),
    (
        "night",
        &[
            "error", "warnings", "sys", "torch", "device", "data", "store", "config", "model", "eval", "report",
            "infer", "train", "gate",
        ],
    ),
    ("export", &["error", "finite", "warnings", "sys", "torch", "device", "data", "config", "model", "onnx", "infer"]),
];

/// Every import of `source` that goes up, as "file:line: sentence". `file` is relative to src.
pub fn violations(file: &Path, source: &str) -> Vec<String> {
    let module = file.components().next().map_or(String::new(), |part| part.as_os_str().to_string_lossy().into_owned());
    let module = module.trim_end_matches(".rs");
    if module == "ffi" || module == "lib" {
        return Vec::new();
    }
    let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == module) else {
        return vec![format!("{}:1: the module {module} has no place in xtask/src/imports.rs", file.display())];
    };
    let mut found = Vec::new();
    for (named, line) in named_modules(source) {
        let known = named == "ffi" || ALLOWED.iter().any(|(name, _)| *name == named);
        if known && named != module && !allowed.contains(&named.as_str()) {
            found.push(format!("{}:{line}: {module} names {named}, which lies above it or beside it", file.display()));
        }
    }
    found
}

/// What follows each `crate::` in code, with its line; of a group `{a, b::c}` every first word.
fn named_modules(source: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    let code: String = source.lines().map(|line| line.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n");
    for (place, _) in code.match_indices("crate::") {
        // `$crate::` and the end of another word are not ours.
        let before = code[..place].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let line = code[..place].matches('\n').count() + 1;
        let rest = &code[place + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => found.push((first_word(rest), line)),
            Some(group) => {
                let mut depth = 0usize;
                let mut start = true;
                for (i, c) in group.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => start = true,
                        c if start && depth == 0 && c.is_alphabetic() => {
                            found.push((first_word(&group[i..]), line));
                            start = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    found
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_that_go_up_are_found() {
        let source =
            "use crate::error::Error;\nuse crate::{model::{self, Network}, data};\nfn f() { crate::ffi::x() }\n";
        let found = violations(Path::new("eval/knn.rs"), source);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("eval/knn.rs:2: eval names model"));
        assert!(found[1].contains(":3: eval names ffi"));
    }

    #[test]
    fn comments_and_types_at_the_root_are_not_modules() {
        assert!(violations(Path::new("data/frame.rs"), "// crate::ffi\nuse crate::{Error, Result};").is_empty());
        assert!(violations(Path::new("ffi/error.rs"), "use crate::train::X;").is_empty());
        assert_eq!(violations(Path::new("utils.rs"), "").len(), 1);
    }
}
