//! How libtorch's CUDA part is found, and what is said where it is not, cannot be loaded, or finds no device. Each case is a process of its
//! own, since libtorch asks once.

use std::ffi::CStr;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use seed::config::Precision;

use crate::alone;
use crate::programs::libtorch_folder;
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
