//! How libtorch's CUDA part is found, and what is said where it is not, cannot be loaded, or finds no device. Each case is a process of its
//! own, since libtorch asks once.

use std::ffi::CStr;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use seed::config::Precision;

use crate::alone;
use crate::programs::{compiler, expect_success, library_folder, libtorch_folder};
use crate::stand_in::folder;

/// What a process says that does `work` with `SEED_LIBTORCH` and `LD_LIBRARY_PATH`; empty texts are not set.
fn said(work: &str, libtorch: &Path, loader: &str, change: impl Fn(&mut Command)) -> String {
    let mut command = alone::command(module_path!(), "in_a_process_of_its_own");
    command.env("SEED_TEST_WORK", work).env_remove("SEED_LIBTORCH");
    if !libtorch.as_os_str().is_empty() {
        command.env("SEED_LIBTORCH", libtorch);
    }
    if !loader.is_empty() {
        let before = std::env::var("LD_LIBRARY_PATH").unwrap_or_default();
        command.env("LD_LIBRARY_PATH", format!("{loader}:{before}"));
    }
    change(&mut command);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// The other process.
#[test]
#[ignore = "run by the tests of this file"]
fn in_a_process_of_its_own() {
    match std::env::var("SEED_TEST_WORK").unwrap().as_str() {
        "count" => {}
        "version" => {
            let version = seed::ffi::device::seed_libtorch_version();
            // SAFETY: static text, or NULL.
            let version = unsafe { CStr::from_ptr(version) };
            assert!(version.to_str().unwrap().starts_with("2.11.0"), "{version:?}");
        }
        "memory" => {
            let memory = seed::machine::memory("cuda:1").unwrap();
            assert_eq!((memory.device_taken, memory.device_total), (0, 8 << 30));
        }
        "format" => {
            seed::device::parse("cuda:0").unwrap();
            let format = |precision| seed::device::precision(precision, tch::Device::Cuda(0));
            println!("auto: {:?}, bf16: {:?}", format(Precision::Auto), format(Precision::Bf16));
        }
        other => panic!("{other}"),
    }
    println!("devices: {}", seed::machine::cuda_count().unwrap());
    if let Err(error) = seed::device::parse("cuda:0") {
        println!("refused: {error}");
    }
}

#[test]
fn it_is_found_where_users_have_it() {
    let none = |_: &mut Command| ();
    let unset = Path::new("");
    assert!(said("count", folder(), "", none).contains("devices: 2"), "SEED_LIBTORCH");
    let place = tempfile::tempdir().unwrap();
    symlink(folder(), place.path().join("lib")).unwrap();
    assert!(said("count", place.path(), "", none).contains("devices: 2"), "lib of SEED_LIBTORCH");
    let loader = folder().to_str().unwrap();
    assert!(said("count", unset, loader, none).contains("devices: 2"), "the loader");
    let beside = tempfile::tempdir().unwrap();
    for from in [libtorch_folder().as_path(), folder()] {
        for entry in std::fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if name.contains(".so") && !beside.path().join(name).exists() {
                symlink(&path, beside.path().join(name)).unwrap();
            }
        }
    }
    let text = said("count", unset, beside.path().to_str().unwrap(), none);
    assert!(text.contains("devices: 2"), "beside libtorch_cpu.so: {text}");
}

#[test]
fn what_is_asked_first_does_not_matter() {
    for work in ["version", "memory"] {
        let text = said(work, folder(), "", |_| ());
        assert!(text.contains("devices: 2"), "after {work}: {text}");
    }
}

#[test]
fn auto_is_bfloat16_where_the_card_computes_in_it() {
    for (capability, wanted) in [("75", "auto: Float, bf16: BFloat16"), ("80", "auto: BFloat16, bf16: BFloat16")] {
        let text = said("format", folder(), "", |command| {
            command.env("FAKECUDA_CAPABILITY", capability);
        });
        assert!(text.contains(wanted), "{capability}: {text}");
    }
}

/// Parts of two builds of one version load, and crash where their classes differ.
#[test]
fn parts_of_two_builds_are_refused() {
    let (cpu, cuda) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (place, from) in [(&cpu, libtorch_folder()), (&cuda, folder().to_path_buf())] {
        std::fs::create_dir(place.path().join("lib")).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            symlink(&path, place.path().join("lib").join(path.file_name().unwrap())).unwrap();
        }
    }
    let loader = cpu.path().join("lib");
    let found = |of_cpu: &str, of_cuda: (&str, &str)| {
        std::fs::write(cpu.path().join("build-version"), of_cpu).unwrap();
        for name in ["build-version", "version.py"] {
            let _absent = std::fs::remove_file(cuda.path().join(name));
        }
        std::fs::write(cuda.path().join(of_cuda.0), of_cuda.1).unwrap();
        said("count", cuda.path(), loader.to_str().unwrap(), |_| ())
    };
    for (of_cpu, of_cuda, version) in [
        ("2.11.0+cpu\n", ("build-version", "2.11.0+cu128\n"), "2.11.0+cu128"),
        (
            "2.11.0+cu126\n",
            ("version.py", "from typing import Optional\n__version__ = '2.11.0+cu128'\n"),
            "2.11.0+cu128",
        ),
        ("2.11.0+cpu\n", ("build-version", "2.11.0+cpu\n"), "2.11.0+cpu"),
    ] {
        let text = found(of_cpu, of_cuda);
        let reason = format!("it is of libtorch {version} and libtorch_cpu.so of {}", of_cpu.trim());
        assert!(text.contains("devices: 0") && text.contains(&reason), "{text}");
    }
    assert!(found("2.11.0+cu128\n", ("version.py", "__version__ = '2.11.0+cu128'\n")).contains("devices: 2"));
    assert!(found("2.11.0+cu128\n", ("README", "of an unknown build")).contains("devices: 2"));
}

/// A program that loads libseed for itself, and then asks the whole process for names of libtorch.
const PROGRAM: &str = r#"
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>

int main(int argc, char **argv) {
  void *library = argc > 1 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
  void *(*init)(uint32_t), *(*devices)(uint32_t *);
  uint32_t count = 0;
  if (!library) return printf("%s\n", dlerror()), 1;
  *(void **)&init = dlsym(library, "seed_init");
  *(void **)&devices = dlsym(library, "seed_device_count");
  if (init(ABI) || devices(&count)) return puts("an error"), 1;
  printf("devices: %u, names of libtorch: %d\n", count, dlsym(RTLD_DEFAULT, "aoti_torch_abi_version") != NULL);
  return 0;
}
"#;

#[test]
fn libtorchs_names_stay_its_own() {
    let place = tempfile::tempdir().unwrap();
    let (source, program) = (place.path().join("names.c"), place.path().join("names"));
    std::fs::write(&source, PROGRAM.replace("ABI", &seed::ffi::init::SEED_ABI_VERSION.to_string())).unwrap();
    let done = compiler("c").arg(&source).arg("-o").arg(&program).arg("-ldl").output().unwrap();
    expect_success("compiling names.c", &done);
    let mut command = Command::new(&program);
    command.env_remove("LD_LIBRARY_PATH").env("SEED_LIBTORCH", folder());
    let output = command.arg(library_folder().join("libseed.so")).output().unwrap();
    let text = expect_success("names", &output);
    assert_eq!(text.trim(), "devices: 2, names of libtorch: 0");
}

#[test]
fn why_there_is_no_gpu_is_said() {
    let nowhere = tempfile::tempdir().unwrap();
    let text = said("count", nowhere.path(), "", |_| ());
    assert!(text.contains("devices: 0") && text.contains("libtorch_cuda.so was not found"), "{text}");

    let broken = nowhere.path().join("libtorch_cuda.so");
    std::fs::write(&broken, "no library").unwrap();
    let text = said("count", nowhere.path(), "", |_| ());
    let reason = format!("refused: device \"cuda:0\" asked for, but no CUDA device can be used: {}", broken.display());
    assert!(text.contains(&reason) && text.contains("file too short"), "{text}");

    let text = said("count", folder(), "", |command| {
        command.env("FAKECUDA_DEVICES", "0");
    });
    assert!(text.contains("devices: 0") && text.contains("finds no device"), "{text}");
}
