//! The C ABI from C: programs of tests/capi and examples, compiled as C99 and as C++17 with every warning an error, run
//! against the library of this build, and under valgrind. A sweep passes NULL to every exported function.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::programs::{self, expect_success, library_folder, quiet, root};

fn compile(source: &Path, cpp: bool, folder: &Path) -> PathBuf {
    programs::compile(source, &[if cpp { "-std=c++17" } else { "-std=c99" }], folder)
}

/// Runs it with so many threads of libtorch.
fn run(program: &Path, argument: &Path, threads: &str) {
    let mut command = quiet(program);
    // Threads that wait for each other asleep: these programs run side by side.
    command.arg(argument).env("OMP_NUM_THREADS", threads).env("OMP_WAIT_POLICY", "passive");
    expect_success(&format!("{} with {threads} threads", program.display()), &command.output().unwrap());
}

/// With libtorch's threads as most programs have them in C++, with one in C.
fn threads(cpp: bool) -> &'static str {
    if cpp { "2" } else { "1" }
}

fn holds_in_c99_and_cpp17(source: &str) {
    for cpp in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let program = compile(&root().join("tests/capi").join(source), cpp, folder.path());
        run(&program, folder.path(), threads(cpp));
    }
}

#[test]
fn basics_hold_in_c99_and_cpp17() {
    holds_in_c99_and_cpp17("basics.c");
}

#[test]
fn deep_frames_hold_in_c99_and_cpp17() {
    holds_in_c99_and_cpp17("depth.c");
}

#[test]
fn a_station_s_needs_hold_in_c99_and_cpp17() {
    holds_in_c99_and_cpp17("station.c");
}

#[test]
fn files_in_memory_hold_in_c99_and_cpp17() {
    holds_in_c99_and_cpp17("memory_files.c");
}

#[test]
fn a_night_holds_in_c99_and_cpp17() {
    holds_in_c99_and_cpp17("night.c");
}

#[test]
fn one_call_distils_in_c99_and_cpp17() {
    holds_in_c99_and_cpp17("distil.c");
}

#[test]
fn weights_of_others_hold_in_c99_and_cpp17() {
    use seed::model::{Architecture, Head, Network, weights};
    // MoCo's query encoder and its queue, and something else.
    let network = Network::new(Architecture::MobileNetV3Small, Head::None, 5, tch::Device::Cpu).unwrap();
    let mut tensors = network.to_state().unwrap();
    tensors.iter_mut().for_each(|(name, _)| name.insert_str(0, "module.encoder_q."));
    let one = tensors[0].1.clone();
    tensors.extend([("module.queue".to_owned(), one.clone()), ("stranger.weight".to_owned(), one)]);
    for cpp in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        weights::write_safetensors(&folder.path().join("stranger.safetensors"), &tensors, &Default::default()).unwrap();
        run(&compile(&root().join("tests/capi/weights.c"), cpp, folder.path()), folder.path(), threads(cpp));
    }
}

#[test]
fn teachers_of_other_kinds_hold_in_c99_and_cpp17() {
    for cpp in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        for name in ["tensor.pt", "dict.pt", "half.npy", "single.npy", "named.safetensors"] {
            fs::copy(root().join("tests/golden/teachers").join(name), folder.path().join(name)).unwrap();
        }
        run(&compile(&root().join("tests/capi/teachers.c"), cpp, folder.path()), folder.path(), threads(cpp));
    }
}

#[test]
fn students_are_described_and_exported_in_c99_and_cpp17() {
    holds_in_c99_and_cpp17("export.c");
}

#[test]
fn networks_go_by_their_names_in_c99_and_cpp17() {
    holds_in_c99_and_cpp17("networks.c");
}

#[test]
fn structs_lie_as_old_programs_know_them() {
    // No struct and no field may be forgotten.
    let header = fs::read_to_string(root().join("include/seed.h")).unwrap();
    let checked = fs::read_to_string(root().join("tests/capi/layout.c")).unwrap();
    let (mut structs, mut fields) = (0, 0);
    for part in header.split("typedef struct {").skip(1) {
        let (body, rest) = part.split_once("\n} ").expect("cbindgen ends a struct so");
        let name = rest.split_once(';').unwrap().0;
        assert!(checked.contains(&format!("SIZE({name}, ")), "tests/capi/layout.c lacks the size of {name}");
        structs += 1;
        // A line of a comment may end as a field does, but is indented by three.
        let indented_by_two = |line: &str| line.as_bytes().get(2).is_some_and(u8::is_ascii_alphabetic);
        for line in body.lines().filter(|line| line.ends_with(';') && indented_by_two(line)) {
            let field = line.trim_end_matches(';').rsplit([' ', '*']).next().unwrap();
            let field = field.split_once('[').map_or(field, |(name, _)| name);
            assert!(checked.contains(&format!("FIELD({name}, {field}, ")), "tests/capi/layout.c lacks {name}.{field}");
            fields += 1;
        }
    }
    assert!(structs >= 21 && fields >= 150, "the header has shrunk to {structs} structs and {fields} fields");
    holds_in_c99_and_cpp17("layout.c");
}

#[test]
fn the_examples_compile_and_the_small_one_runs() {
    let folder = tempfile::tempdir().unwrap();
    let embed = compile(&root().join("examples/c/embed.c"), false, folder.path());
    let output = quiet(&embed).output().unwrap();
    expect_success("embed", &output);
    assert!(String::from_utf8_lossy(&output.stdout).contains("2 images, 1024 numbers each"), "{output:?}");
    let missing = quiet(&embed).arg("/no/such/student").output().unwrap();
    assert!(!missing.status.success());
    assert!(String::from_utf8_lossy(&missing.stderr).contains("/no/such/student"), "{missing:?}");
    compile(&root().join("examples/cpp/distill.cpp"), true, folder.path());
}

/// Every function of the header with every argument NULL or zero: an error, or nothing, but no crash.
#[test]
fn null_goes_through_every_function() {
    let header = fs::read_to_string(root().join("include/seed.h")).unwrap();
    let symbols = fs::read_to_string(root().join("include/seed.sym")).unwrap();
    // These answer something to NULL by their documentation.
    let harmless =
        ["seed_error_code", "seed_error_message", "seed_version", "seed_libtorch_version", "seed_log_set_callback"];
    let mut calls = String::new();
    let mut count = 0;
    for name in symbols.lines().filter(|name| !name.is_empty()) {
        count += 1;
        let start = header.find(&format!("{name}(")).unwrap_or_else(|| panic!("{name} is not in seed.h"));
        let line = header[..start].rfind('\n').unwrap() + 1;
        let returned = header[line..start].trim();
        let arguments = &header[start + name.len() + 1..];
        let arguments = &arguments[..arguments.find(");").unwrap()];
        let parameters = if arguments.trim() == "void" { 0 } else { arguments.split(',').count() };
        let zeros = vec!["0"; parameters].join(", ");
        let call = format!("{name}({zeros})");
        if returned.starts_with("void") {
            calls += &format!("  {call};\n");
        } else if returned.starts_with("SEED_MUST_USE") && !harmless.contains(&name) {
            calls += &format!("  check(\"{name}\", {call});\n");
        } else if returned.starts_with("SEED_MUST_USE") {
            calls += &format!("  seed_error_free({call});\n");
        } else {
            assert!(harmless.contains(&name), "{name} returns {returned}: say what it answers to NULL");
            calls += &format!("  (void){call};\n");
        }
    }
    assert!(count > 60, "the header has shrunk to {count} functions");
    let source = format!(
        "#include \"seed.h\"\n#include <stdio.h>\nstatic int failures = 0;\n\
         static void check(const char *name, seed_error *error) {{\n  if (error == NULL) {{ fprintf(stderr, \"%s took \
         NULL\\n\", name); ++failures; }}\n  seed_error_free(error);\n}}\nint main(void) {{\n  \
         seed_error_free(seed_init(SEED_ABI_VERSION));\n{calls}  return failures != 0;\n}}\n"
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sweep.c");
    fs::write(&file, source).unwrap();
    run(&compile(&file, false, folder.path()), folder.path(), "1");
}

#[test]
fn the_exported_symbols_are_those_of_the_list() {
    let listed = fs::read_to_string(root().join("include/seed.sym")).unwrap();
    let output = Command::new("nm").args(["-D", "--defined-only"]).arg(library_folder().join("libseed.so")).output();
    let output = output.expect("nm, of the compiler's binutils, lists symbols");
    let text = String::from_utf8_lossy(&output.stdout);
    let mut exported: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split_whitespace().nth(2))
        .filter(|name| name.starts_with("seed_"))
        .collect();
    exported.retain(|name| !name.starts_with("seed_shim_"));
    exported.sort_unstable();
    assert_eq!(exported, listed.lines().collect::<Vec<_>>());
}
