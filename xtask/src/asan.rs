//! `cargo xtask asan`: the library's own code, Rust, C++ and C, under the address sanitizer, and the C programs that use it.
//!
//! The library is built once more, with rustc's sanitizer for Rust and the compiler's for the C++ of `src/torch`, torch-sys,
//! SQLite and libjpeg-turbo; libtorch is as it is. A shared library leaves the sanitizer's functions open, so the programs
//! bring rustc's runtime, whose interface is the compilers' too. That errors are found is shown by two programs which make some.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::{Outcome, call, cargo, libtorch, root};

const TARGET: &str = "x86_64-unknown-linux-gnu";
const CHECKED: &str = "-fsanitize=address -fno-omit-frame-pointer";
/// rustc hides sanitizers from a stable compiler; the standard library is used as it comes, without.
const CHECKED_RUST: &str = "-Zsanitizer=address -Cunsafe-allow-abi-mismatch=sanitizer -Cforce-frame-pointers=yes";
const OPTIONS: &str = "detect_stack_use_after_return=1:strict_string_checks=1:detect_invalid_pointer_pairs=2:\
                       check_initialization_order=1:abort_on_error=0:exitcode=99:detect_leaks=0";

/// What is run, one after another in one folder: the source, further arguments of the compiler, arguments of the program.
const PROGRAMS: [(&str, &[&str], &[&str]); 14] = [
    ("examples/c/embed.c", &[], &[]),
    ("examples/c/doctor.c", &["-ldl"], &[]),
    ("tests/capi/basics.c", &[], &["."]),
    ("tests/capi/station.c", &[], &["."]),
    ("tests/capi/memory_files.c", &[], &["."]),
    ("tests/capi/weights.c", &[], &["."]),
    ("tests/capi/teachers.c", &[], &["."]),
    ("tests/capi/export.c", &[], &["."]),
    ("tests/capi/networks.c", &[], &["."]),
    ("tests/capi/layout.c", &[], &["."]),
    ("tests/safety/threads.c", &[], &[".", "5"]),
    ("tests/safety/freed.c", &[], &["."]),
    ("tests/safety/misuse.c", &[], &["."]),
    // With the images and the teacher that the program before has left.
    (
        "examples/c/folder.c",
        &[],
        &["images", "teacher.safetensors", "mobilenet_v3_small", "folder.safetensors", "32", "4", "3"],
    ),
];

/// Writes behind what it has; found by the program's own code.
const BAD_PROGRAM: &str = "#include <stdlib.h>\nint main(int n, char **v) {\n  char *p = (char *)malloc((size_t)n);\n  \
                           (void)v;\n  p[n] = 1;\n  n = p[n];\n  free(p);\n  return n == 7;\n}\n";
/// Says that there is one number more than there is: the library's Rust code reads it.
const BAD_CALL: &str = "#include \"seed.h\"\n#include <stdlib.h>\nint main(void) {\n  static const uint8_t kinds[4] = {1, 0, 1, 0};\n  \
                        float *scores = (float *)calloc(3, sizeof *scores);\n  double value;\n  \
                        seed_error_free(seed_init(SEED_ABI_VERSION));\n  \
                        seed_error_free(seed_auroc(scores, kinds, 4, &value));\n  free(scores);\n  return 0;\n}\n";

/// Builds and runs all of it; the first error ends it.
pub fn run() -> Outcome {
    build()?;
    let folder = root().join("target/asan/programs");
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    for name in ["tensor.pt", "dict.pt", "half.npy", "single.npy", "named.safetensors"] {
        fs::copy(root().join("tests/golden/teachers").join(name), folder.join(name))
            .map_err(|error| format!("cannot copy {name}: {error}"))?;
    }
    must_be_found(&folder, "bad_program", BAD_PROGRAM, &["bad_program"])?;
    // With and without a symbolizer.
    must_be_found(&folder, "bad_call", BAD_CALL, &["src/eval/roc.rs", "libseed.so"])?;
    for (source, flags, words) in PROGRAMS {
        let program = compile(&root().join(source), flags, &folder)?;
        let output = start(&program, words, &folder)?;
        if !output.status.success() {
            return Err(format!("{source} failed ({}):\n{}", output.status, text(&output)));
        }
        println!("asan: {source}: nothing found");
    }
    println!("asan: nothing found in the library and {} programs", PROGRAMS.len());
    Ok(())
}

fn build() -> Outcome {
    let mut command = cargo();
    command.args(["build", "--lib", "--target", TARGET, "--target-dir", "target/asan"]);
    command.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", CHECKED_RUST);
    for variable in ["CFLAGS", "CXXFLAGS"] {
        command.env(format!("{variable}_{}", TARGET.replace('-', "_")), CHECKED);
    }
    call(&mut command)
}

/// The sanitizer's runtime, which rustc links into programs of Rust only.
fn runtime() -> Outcome<PathBuf> {
    let output = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .map_err(|error| format!("cannot run rustc: {error}"))?;
    let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    let entries = fs::read_dir(&folder).map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.to_string_lossy().ends_with("_rt.asan.a"))
        .ok_or_else(|| format!("there is no librustc-*_rt.asan.a in {}: this Rust has no sanitizers", folder.display()))
}

/// Compiles a program with the sanitizer, and links it with rustc's runtime, whose functions it lends to the library.
fn compile(source: &Path, flags: &[&str], folder: &Path) -> Outcome<PathBuf> {
    let program = folder.join(source.file_stem().unwrap_or_default());
    let object = program.with_extension("o");
    let compiler = || Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
    let mut command = compiler();
    command.args(["-std=c99", "-g", "-pthread", "-c"]).args(CHECKED.split(' ')).arg(source).arg("-o").arg(&object);
    for include in ["include", "tests/capi", "tests/safety"] {
        command.arg("-I").arg(root().join(include));
    }
    call(command.args(flags))?;
    let library = root().join("target/asan").join(TARGET).join("debug");
    let mut command = compiler();
    command.args(["-rdynamic", "-pthread"]).arg(&object).arg("-o").arg(&program);
    command.arg("-Wl,--whole-archive").arg(runtime()?).arg("-Wl,--no-whole-archive");
    command.arg("-L").arg(&library).args(["-lseed", "-lm", "-ldl", "-lrt"]);
    for place in [&library, &libtorch().join("lib")] {
        command.arg(format!("-Wl,-rpath,{0},-rpath-link,{0}", place.display()));
    }
    call(&mut command)?;
    Ok(program)
}

fn start(program: &Path, words: &[&str], folder: &Path) -> Outcome<Output> {
    let mut command = Command::new(program);
    command.args(words).current_dir(folder).env_remove("LD_LIBRARY_PATH");
    command.env("ASAN_OPTIONS", OPTIONS).env("OMP_NUM_THREADS", "1");
    command.output().map_err(|error| format!("cannot run {}: {error}", program.display()))
}

/// Runs a program that reads or writes behind a block of memory, and looks for the report, whose first frame is in one of `places`.
fn must_be_found(folder: &Path, name: &str, source: &str, places: &[&str]) -> Outcome {
    let file = folder.join(name).with_extension("c");
    fs::write(&file, source).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    let output = start(&compile(&file, &[], folder)?, &[], folder)?;
    let said = text(&output);
    let frame = said.lines().find(|line| line.trim_start().starts_with("#0 ")).unwrap_or_default();
    if output.status.success()
        || !said.contains("heap-buffer-overflow")
        || !places.iter().any(|place| frame.contains(place))
    {
        return Err(format!("the sanitizer does not find what {name} does ({}):\n{said}", output.status));
    }
    println!("asan: {name}: found, as it must be");
    Ok(())
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
