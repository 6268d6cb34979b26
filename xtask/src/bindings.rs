//! The tests of the bindings that other languages' tools run: each is a script that takes the folder of libseed.so.

use std::process::Command;

use crate::test::one_thread;
use crate::{Outcome, call, cargo, root};

/// (area, language, its script, what the script needs in the path)
const BINDINGS: [(&str, &str, &str, &[&str]); 2] = [
    ("go", "Go", "bindings/go/test.sh", &["go", "gcc", "pkg-config"]),
    ("csharp", "C#", "bindings/csharp/test.sh", &["mcs", "mono", "dotnet", "script"]),
];

/// What `cargo xtask test` calls them.
pub const AREAS: [&str; 2] = [BINDINGS[0].0, BINDINGS[1].0];

/// Runs each script, or that of one area. Where a tool is missing it says so and goes on; in CI that is an error.
pub fn test(area: Option<&str>) -> Outcome {
    // The library that the tests of Rust use. `cargo build` would make another: what is for tests alone has features of its own.
    call(cargo().args(["test", "--quiet", "--package", "libseed", "--test", "capi", "--no-run"]))?;
    for (_, language, script, tools) in BINDINGS.into_iter().filter(|(name, ..)| area.is_none_or(|area| area == *name))
    {
        let missing: Vec<&str> = tools.iter().copied().filter(|tool| !is_in_path(tool)).collect();
        if missing.is_empty() {
            println!("testing the {language} binding");
            call(one_thread(&mut Command::new(root().join(script))).arg(root().join("target/debug/deps")))?;
        } else if std::env::var_os("CI").is_some() {
            return Err(format!("the {language} binding cannot be tested without {}", missing.join(", ")));
        } else {
            println!("SKIPPED: the {language} binding's tests need {} in the path", missing.join(", "));
        }
    }
    Ok(())
}

fn is_in_path(program: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).any(|folder| folder.join(program).is_file())
}
