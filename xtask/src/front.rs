//! The front of the installed library (src/front): forward.c out of seed.h, and its compilation.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::prototypes::{Prototype, functions, header};
use crate::{Outcome, call};

/// The hand-written part.
const SOURCES: [&str; 2] = ["src/front/core.c", "src/front/libtorch.c"];

/// What the front must know of its companions.
pub struct Front<'a> {
    /// The file that programs link, such as `libseed.so.0.1`.
    pub soname: &'a str,
    /// The Rust library's file beside it, such as `libseed_core.so.0.1`.
    pub core: &'a str,
    /// libseed's version.
    pub version: &'a str,
    /// libtorch's version.
    pub libtorch: &'a str,
}

impl Front<'_> {
    /// Compiles the front to `folder`/soname. `scratch` keeps what is generated.
    pub fn compile(&self, scratch: &Path, folder: &Path) -> Outcome {
        let functions = functions(&header()?)?;
        let write = |name: &str, text: String| {
            let path = scratch.join(name);
            fs::write(&path, text).map_err(|error| format!("cannot write {}: {error}", path.display())).map(|()| path)
        };
        fs::create_dir_all(scratch).map_err(|error| format!("cannot create {}: {error}", scratch.display()))?;
        let forward = write("forward.c", forward(&functions)?)?;
        let exports = write("exports.map", exports(&functions))?;
        let mut command = Command::new(std::env::var("CC").unwrap_or_else(|_| "cc".to_owned()));
        command.args(["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-pthread", "-s"]);
        command.args(["-Iinclude", "-Isrc/front"]);
        for (name, value) in
            [("FRONT_CORE", self.core), ("FRONT_VERSION", self.version), ("FRONT_LIBTORCH", self.libtorch)]
        {
            command.arg(format!("-D{name}=\"{value}\""));
        }
        command.args(SOURCES).arg(forward).arg("-o").arg(folder.join(self.soname));
        command.arg(format!("-Wl,-soname,{}", self.soname));
        command.arg(format!("-Wl,--version-script={}", exports.display()));
        // The core's threads go on after a dlclose, so the front stays too.
        command.args([
            "-Wl,--no-undefined",
            "-Wl,-z,relro",
            "-Wl,-z,now",
            "-Wl,-z,nodelete",
            "-Wl,--as-needed",
            "-ldl",
        ]);
        call(&mut command)
    }
}

/// A function for each of the header's: it passes the call on, or answers what the header promises without a core.
fn forward(functions: &[Prototype]) -> Outcome<String> {
    let mut pointers = String::new();
    let mut slots = String::new();
    let mut bodies = String::new();
    for function in functions {
        let name = &function.name;
        let call = format!("core.{name}({})", function.arguments());
        pointers += &format!("  {};\n", function.declaration(&format!("(*{name})")));
        slots += &format!("  {{\"{name}\", &core.{name}}},\n");
        // Errors and handles that exist are the core's once it is loaded, and only then.
        let body = match (function.returns.as_str(), name.as_str()) {
            ("seed_error *", _) => format!("return front_ready() ? {call} : front_refusal();"),
            ("void", _) => format!("if (front_loaded()) {call};"),
            (_, "seed_error_code") => format!("return front_loaded() ? {call} : front_error_code(error);"),
            (_, "seed_error_message") => format!("return front_loaded() ? {call} : front_error_message(error);"),
            (_, "seed_version") => "return FRONT_VERSION;".to_owned(),
            (_, "seed_libtorch_version") => format!("return front_ready() ? {call} : NULL;"),
            (returns, _) => {
                return Err(format!(
                    "{name} returns {returns}: say in xtask/src/front.rs what it answers without libtorch"
                ));
            }
        };
        bodies += &format!("\n{} {{\n  {body}\n}}\n", function.declaration(name));
    }
    Ok(format!(
        "/* Generated from include/seed.h by xtask/src/front.rs. */\n#include \"front.h\"\n\n\
         static struct {{\n{pointers}}} core;\n\n\
         const struct front_slot front_slots[] = {{\n{slots}}};\n\
         const size_t front_slot_count = sizeof front_slots / sizeof *front_slots;\n\n\
         const char *front_core_version(void) {{\n  return core.seed_version();\n}}\n{bodies}"
    ))
}

/// The linker's list of what is exported: the header's functions and nothing else.
fn exports(functions: &[Prototype]) -> String {
    let names: String = functions.iter().map(|function| format!("    {};\n", function.name)).collect();
    format!("{{\n  global:\n{names}  local:\n    *;\n}};\n")
}

#[cfg(test)]
mod tests;
