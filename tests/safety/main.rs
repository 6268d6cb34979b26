//! What the library promises when things go wrong, shown by programs in C (tests/safety; docs/safety.md tells of each):
//! misuse, faults in every operation below, no memory, a full disk, kill -9, eight threads at once, a long time.
//!
//! The sweeps take a sample here. SEED_SWEEP in the environment makes them longer: a number of cases, "each" for a fault in every
//! class (docs/safety.md), "all". They are a program of their own, since a long sweep is run alone.

#[path = "../common/programs.rs"]
mod programs;
#[path = "../common/skipped.rs"]
mod skipped;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use programs::{compile, compiler, expect_success, libtorch_folder, quiet, root};
use skipped::skip;

/// As many programs at a time as there are cores: each computes with one thread.
static RUNNING: (Mutex<usize>, Condvar) = (Mutex::new(0), Condvar::new());

/// A program's place among those that run; given back when dropped.
struct Turn;

impl Turn {
    fn take() -> Self {
        let (running, changed) = &RUNNING;
        let cores = cores();
        let running = running.lock().unwrap_or_else(PoisonError::into_inner);
        *changed.wait_while(running, |running| *running >= cores).unwrap_or_else(PoisonError::into_inner) += 1;
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let (running, changed) = &RUNNING;
        *running.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        changed.notify_one();
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Cases of a sweep: `sample`, or what SEED_SWEEP says; "all" is 0 for the programs.
fn cases(sample: u32) -> String {
    match std::env::var("SEED_SWEEP") {
        Ok(wanted) if wanted == "all" => "0".to_owned(),
        Ok(wanted) => wanted,
        Err(_) => sample.to_string(),
    }
}

/// Like [`cases`], for programs that cannot do all there is: "all" is `most`.
fn repeats(sample: u32, most: u32) -> String {
    match cases(sample).as_str() {
        "0" => most.to_string(),
        "each" => sample.to_string(),
        number => number.to_owned(),
    }
}

fn program(name: &str, flags: &[&str], folder: &Path) -> PathBuf {
    let include = format!("-I{}", root().join("tests/safety").display());
    let flags: Vec<&str> = [&[include.as_str()], flags].concat();
    compile(&root().join("tests/safety").join(name), &flags, folder)
}

fn run(program: &Path, arguments: &[&str]) -> String {
    let _turn = Turn::take();
    let output = quiet(program).args(arguments).env("OMP_NUM_THREADS", "1").output().unwrap();
    let text = expect_success(&format!("{} {arguments:?}", program.display()), &output);
    println!("{text}");
    text
}

/// Compiles tests/safety/`name`.c as C99 and runs it with a fresh folder and `arguments`.
fn holds(name: &str, arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let program = program(&format!("{name}.c"), &["-std=c99"], folder.path());
    let place = folder.path().to_str().unwrap();
    run(&program, &[&[place], arguments].concat())
}

#[test]
fn every_misuse_gives_its_code() {
    holds("misuse", &[]);
}

#[test]
fn what_is_freed_while_it_is_used_is_told_and_not_touched() {
    holds("freed", &[]);
}

#[test]
fn a_callback_that_throws_ends_its_call_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    run(&program("throws.cpp", &["-std=c++17"], folder.path()), &[folder.path().to_str().unwrap()]);
}

#[test]
fn files_are_the_same_in_every_locale() {
    let folder = tempfile::tempdir().unwrap();
    let program = program("locale.cpp", &["-std=c++17"], folder.path());
    let place = folder.path().to_str().unwrap();
    for name in ["classic", "german"] {
        run(&program, &[place, name]);
    }
    let mut compared = 0;
    for architecture in ["mobilenet_v3_small", "vit_small_patch16"] {
        for file in ["student", "teacher", "out.backbone", "out.torchvision", "out.onnx", "report.html"] {
            let read = |name: &str| std::fs::read(folder.path().join(format!("{name}-{architecture}/{file}"))).ok();
            let (classic, german) = (read("classic"), read("german"));
            compared += usize::from(classic.is_some());
            assert!(classic == german, "{file} of {architecture} differs");
        }
    }
    assert!(compared >= 10, "{compared} files were compared");
}

#[test]
fn missing_memory_is_an_error_and_nothing_more() {
    holds("memory", &[]);
}

#[test]
fn eight_threads_get_what_one_gets() {
    holds("threads", &[&repeats(20, 500)]);
}

#[test]
fn memory_stays_flat_however_often_objects_come_and_go() {
    holds("cycles", &[&repeats(1000, 10_000)]);
}

#[test]
fn a_killed_run_goes_on_to_the_same_student() {
    let text = holds("killed", &[&repeats(12, 50), "1"]);
    assert!(text.contains("kills, at most"), "{text}");
}

#[test]
fn a_process_ends_by_its_own_code_while_threads_are_inside() {
    let text = holds("ending", &[&repeats(7, 200)]);
    assert!(text.contains("all checks passed"), "{text}");
    let folder = tempfile::tempdir().unwrap();
    let program = program("ending.cpp", &["-std=c++17"], folder.path());
    let text = run(&program, &[folder.path().to_str().unwrap(), &repeats(21, 200)]);
    assert!(text.contains("all checks passed"), "{text}");
}

#[test]
fn a_full_disk_costs_nothing_but_what_did_not_fit() {
    let folder = tempfile::tempdir().unwrap();
    let program = program("full.c", &["-std=c99"], folder.path());
    let _turn = Turn::take();
    // A file system of its own, which ends with the process: as root, or in a user's own name space.
    let script = "mkdir -p \"$1/small\" && mount -t tmpfs -o size=32m none \"$1/small\" || exit 77; exec \"$0\" \"$1\" \"$1/small\"";
    let mut output = None;
    for flags in [&["-m"][..], &["-r", "-m"][..]] {
        let command = quiet(Path::new("unshare"))
            .args(flags)
            .args(["sh", "-c", script])
            .arg(&program)
            .arg(folder.path())
            .env("OMP_NUM_THREADS", "1")
            .output();
        let Ok(found) = command else { return skip("unshare of util-linux is not installed") };
        let refused = String::from_utf8_lossy(&found.stderr).contains("unshare:") || found.status.code() == Some(77);
        if !refused {
            output = Some(found);
            break;
        }
    }
    let Some(output) = output else { return skip("no small file system can be mounted here") };
    let text = expect_success("a full disk", &output);
    assert!(text.contains("all checks passed"), "{text}");
}

/// The program of faults, which defines functions of libc anew and hooks into libtorch's dispatcher.
fn faults(folder: &Path) -> PathBuf {
    let hook = folder.join("torch_faults.o");
    let include = libtorch_folder().parent().unwrap().join("include");
    let mut command = compiler("c++");
    command.args(["-std=c++17", "-fPIC", "-D_GLIBCXX_USE_CXX11_ABI=1", "-c", "-isystem"]).arg(&include);
    command.arg("-isystem").arg(include.join("torch/csrc/api/include"));
    command.arg(root().join("tests/safety/torch_faults.cpp")).arg("-o").arg(&hook);
    expect_success("compiling torch_faults.cpp", &command.output().unwrap());
    let torch = format!("-L{}", libtorch_folder().display());
    let flags = ["-std=c11", hook.to_str().unwrap(), "-rdynamic", &torch, "-ltorch_cpu", "-lc10", "-lstdc++", "-ldl"];
    program("faults.c", &flags, folder)
}

/// Lives, kinds of fault and how many places a sample has; the longest first.
const FAULTS: [(&str, &str, u32); 20] = [
    ("distilling", "torch", 10),
    ("distilling", "torch_memory", 5),
    ("distilling", "file", 8),
    ("distilling", "full", 4),
    ("distilling", "memory", 8),
    ("site", "torch", 5),
    ("site", "torch_memory", 2),
    ("site", "file", 6),
    ("site", "full", 3),
    ("site", "memory", 4),
    ("binary_contrastive", "torch", 2),
    ("k_means", "torch", 4),
    ("k_means", "memory", 3),
    ("online_clustering", "torch", 4),
    ("online_clustering", "memory", 3),
    ("seed_moco", "torch", 4),
    ("seed_moco", "memory", 2),
    ("moco_v2", "torch", 3),
    ("simclr", "torch", 2),
    ("swav", "torch", 3),
];

#[test]
fn every_fault_below_is_an_error_above() {
    let folder = tempfile::tempdir().unwrap();
    let program = faults(folder.path());
    let next = AtomicUsize::new(0);
    // Each core takes the next sweep, with a folder of its own.
    let sweep = || {
        while let Some((life, kind, sample)) = FAULTS.get(next.fetch_add(1, Ordering::Relaxed)) {
            let place = folder.path().join(format!("{life}-{kind}"));
            std::fs::create_dir_all(&place).unwrap();
            let text = run(&program, &[place.to_str().unwrap(), life, kind, &cases(*sample)]);
            assert!(text.contains("places"), "{text}");
            std::fs::remove_dir_all(&place).unwrap();
        }
    };
    std::thread::scope(|scope| (0..cores()).for_each(|_| drop(scope.spawn(sweep))));
}

/// ThreadSanitizer over the handles' locks, which every call goes through; see tests/safety/boundary/main.rs.
#[test]
fn the_thread_sanitizer_finds_nothing_in_the_handles() {
    let folder = tempfile::tempdir().unwrap();
    let rustc = |arguments: &[&str]| {
        // A sanitizer needs a switch that a stable compiler hides; nothing of the library is built this way.
        let mut command = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        command.env("RUSTC_BOOTSTRAP", "1").args(["--edition", "2024", "-Awarnings"]).args(arguments);
        expect_success(&format!("rustc {arguments:?}"), &command.current_dir(folder.path()).output().unwrap());
    };
    let one = |name| format!("#[macro_export]\nmacro_rules! {name} {{ ($($any:tt)*) => {{ eprintln!($($any)*) }} }}\n");
    std::fs::write(folder.path().join("log.rs"), one("error") + &one("warn")).unwrap();
    rustc(&["--crate-type", "rlib", "--crate-name", "log", "log.rs"]);
    let source = root().join("tests/safety/boundary/main.rs");
    for (name, race) in [("sound", false), ("racing", true)] {
        let mut flags = vec!["-O", "-g", "-Zsanitizer=thread", "-Cunsafe-allow-abi-mismatch=sanitizer"];
        flags.extend(["--target", "x86_64-unknown-linux-gnu", "--extern", "log=liblog.rlib", "-o", name]);
        flags.extend(race.then_some(["--cfg", "race"]).into_iter().flatten());
        flags.push(source.to_str().unwrap());
        rustc(&flags);
        let output = quiet(&folder.path().join(name)).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        if race {
            assert!(!output.status.success() && errors.contains("data race"), "no sanitizer: {errors}");
        } else {
            expect_success("the handles' locks under the thread sanitizer", &output);
        }
    }
}

/// gcc's AddressSanitizer over the programs: a caller's mistakes, and errors of the library in memory of malloc.
#[test]
fn the_address_sanitizer_finds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["-std=c99", "-fsanitize=address", "-fno-omit-frame-pointer"];
    // That it is there at all is shown by a program that must not get through.
    let bad = folder.path().join("bad.c");
    std::fs::write(&bad, "#include <stdlib.h>\nint main(int n, char **v) { char *p = (char *)malloc((size_t)n); (void)v; p[n] = 1; n = p[n]; free(p); return n == 7; }\n").unwrap();
    let output = quiet(&compile(&bad, &flags, folder.path())).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && errors.contains("heap-buffer-overflow"), "no sanitizer: {errors}");
    for (source, arguments) in [
        ("examples/c/embed.c", vec![]),
        ("tests/capi/basics.c", vec![folder.path().to_str().unwrap()]),
        ("tests/capi/station.c", vec![folder.path().to_str().unwrap()]),
        ("tests/capi/memory_files.c", vec![folder.path().to_str().unwrap()]),
    ] {
        let program = compile(&root().join(source), &flags, folder.path());
        let _turn = Turn::take();
        let options = "detect_leaks=0:alloc_dealloc_mismatch=1:abort_on_error=0";
        let output =
            quiet(&program).args(&arguments).env("ASAN_OPTIONS", options).env("OMP_NUM_THREADS", "1").output().unwrap();
        expect_success(&format!("{source} with the address sanitizer"), &output);
    }
}

/// valgrind over the programs: it sees the library's own reads, writes and leaks. The doctor trains, saves, opens and embeds; the
/// others take minutes and run only where SEED_SWEEP asks for long sweeps.
#[test]
fn valgrind_finds_nothing() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        return skip("valgrind is not installed");
    }
    let folder = tempfile::tempdir().unwrap();
    let mut programs = vec![compile(&root().join("examples/c/doctor.c"), &["-std=c99", "-ldl"], folder.path())];
    if std::env::var_os("SEED_SWEEP").is_some() {
        programs.push(compile(&root().join("examples/c/embed.c"), &["-std=c99"], folder.path()));
        programs.extend(["misuse.c", "freed.c"].map(|name| program(name, &["-std=c99"], folder.path())));
    }
    for program in programs {
        let _turn = Turn::take();
        let output = quiet(Path::new("valgrind"))
            .args(["--quiet", "--error-exitcode=9", "--leak-check=full", "--show-leak-kinds=definite"])
            .arg("--errors-for-leak-kinds=definite")
            .arg(format!("--suppressions={}", root().join("tests/capi/valgrind.supp").display()))
            .arg(&program)
            .arg(folder.path())
            .env("ATEN_CPU_CAPABILITY", "default") // valgrind 3.19 does not know AVX-512
            .env("OMP_NUM_THREADS", "1")
            .output()
            .unwrap();
        expect_success(&format!("{} under valgrind", program.display()), &output);
    }
}
