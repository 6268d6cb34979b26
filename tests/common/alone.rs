//! One test of this program in a process of its own: to be killed, or because the process itself is measured.

use std::process::Command;

/// The command that runs the test `name` of the module `module`, which is the caller's `module_path!()`, and no other.
pub fn command(module: &str, name: &str) -> Command {
    let (_program, module) = module.split_once("::").expect("a test of a program of several modules");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("{module}::{name}"), "--include-ignored", "--nocapture"]);
    command
}
