//! `cargo xtask setup`: the CPU part of libtorch 2.11 in third_party/libtorch.
//!
//! The wheel of PyTorch is a libtorch for CUDA 13; its CPU part needs two small libraries of the CUDA runtime beside it
//! and nothing else. LIBTORCH in the environment names an own libtorch instead, which is only checked.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::fetch::{Package, fetch, unpack};
use crate::{Outcome, libtorch, root};

/// The libtorch that libseed is built for.
pub const VERSION: &str = "2.11.0";

/// The wheels that it comes in.
pub const PACKAGES: [Package; 3] = [
    Package {
        requirement: "torch==2.11.0",
        file: "torch-2.11.0-cp311-cp311-manylinux_2_28_x86_64.whl",
        bytes: 530_604_548,
        sha256: "7aa2f9bbc6d4595ba72138026b2074be1233186150e9292865e04b7a63b8c67a",
        platforms: &["manylinux_2_28_x86_64"],
    },
    Package {
        requirement: "nvidia-cuda-runtime==13.0.96",
        file: "nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        bytes: 2_243_632,
        sha256: "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
        platforms: &["manylinux2014_x86_64", "manylinux_2_17_x86_64"],
    },
    Package {
        requirement: "nvidia-cuda-cupti==13.0.85",
        file: "nvidia_cuda_cupti-13.0.85-py3-none-manylinux_2_25_x86_64.whl",
        bytes: 10_715_597,
        sha256: "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
        platforms: &["manylinux_2_25_x86_64"],
    },
];

/// Libraries with the sizes that they have when they were unpacked whole.
pub const LIBRARIES: [(&str, u64); 5] = [
    ("libtorch_cpu.so", 451_209_129),
    ("libc10.so", 1_498_969),
    ("libgomp.so.1", 254_009),
    ("libcudart.so.13", 704_288),
    ("libcupti.so.13", 4_152_208),
];

/// Makes sure that a libtorch is there.
pub fn run() -> Outcome {
    let own = root().join("third_party/libtorch");
    let wanted = libtorch();
    if wanted != own {
        return check_own(&wanted);
    }
    if is_whole(&own) {
        return Ok(());
    }
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err(format!(
            "setup knows libtorch for x86-64 Linux only; set LIBTORCH to a libtorch {VERSION} of yours"
        ));
    }
    for (program, argument, package) in
        [("python3", "--version", "python3"), ("c++", "--version", "g++"), ("python3", "-mpip", "python3-pip")]
    {
        let found = Command::new(program).arg(argument).output().is_ok_and(|output| output.status.success());
        if !found {
            return Err(format!("{program} {argument} does not run; install it (Debian: apt-get install {package})"));
        }
    }
    if Command::new("nasm").arg("-v").output().is_err() {
        println!(
            "nasm is not installed: JPEG of large frames will be decoded at half the speed, with the same pixels \
             (Debian: apt-get install nasm, then cargo clean --package mozjpeg-sys)"
        );
    }
    let start = Instant::now();
    println!("setting up libtorch {VERSION} (CPU part): 544 MB to fetch, 500 MB on disk in third_party/libtorch");
    let wheels = root().join("third_party/wheels");
    let draft = root().join("third_party/libtorch.draft");
    if draft.exists() {
        fs::remove_dir_all(&draft).map_err(|error| format!("cannot remove {}: {error}", draft.display()))?;
    }
    for package in &PACKAGES {
        let wheel = fetch(package, &wheels)?;
        unpack(&wheel, |name| {
            let short = name.strip_prefix("torch/").unwrap_or(name);
            let library = name.rsplit('/').next().unwrap_or(name);
            if short.starts_with("include/") && name.starts_with("torch/") {
                return Some(draft.join(short));
            }
            if name.ends_with(".dist-info/LICENSE") || name.ends_with(".dist-info/licenses/LICENSE") {
                return Some(draft.join(format!("LICENSE-{}", package.requirement.replace("==", "-"))));
            }
            let in_lib = name.starts_with("torch/lib/") || name.starts_with("nvidia/");
            (in_lib && LIBRARIES.iter().any(|(known, _)| *known == library)).then(|| draft.join("lib").join(library))
        })?;
    }
    let write = |name: &str, text: &str| {
        fs::write(draft.join(name), text).map_err(|error| format!("cannot write {name}: {error}"))
    };
    // torch-sys links "torch", which in the wheel pulls in the CUDA part; a linker script stands in for it.
    write("lib/libtorch.so", "INPUT(libtorch_cpu.so)\n")?;
    write("build-version", VERSION)?;
    if !is_whole(&draft) {
        return Err(format!("the wheels did not give a whole libtorch in {}", draft.display()));
    }
    if own.exists() {
        fs::remove_dir_all(&own).map_err(|error| format!("cannot remove {}: {error}", own.display()))?;
    }
    fs::rename(&draft, &own).map_err(|error| format!("cannot move libtorch to {}: {error}", own.display()))?;
    // Half a gigabyte that nothing needs any more.
    fs::remove_dir_all(&wheels).map_err(|error| format!("cannot remove {}: {error}", wheels.display()))?;
    println!("libtorch is ready after {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

fn is_whole(folder: &Path) -> bool {
    let size = |name: &str| fs::metadata(folder.join("lib").join(name)).map(|file| file.len()).ok();
    LIBRARIES.iter().all(|(name, bytes)| size(name) == Some(*bytes))
        && fs::read_to_string(folder.join("build-version")).is_ok_and(|version| version.trim() == VERSION)
        && folder.join("lib/libtorch.so").exists()
        && folder.join("include/torch/csrc/api/include/torch/torch.h").exists()
}

fn check_own(folder: &Path) -> Outcome {
    if !folder.join("lib/libtorch_cpu.so").exists() {
        return Err(format!("LIBTORCH is {}, but lib/libtorch_cpu.so is not in it", folder.display()));
    }
    if let Ok(version) = fs::read_to_string(folder.join("build-version"))
        && version.trim().split('+').next() != Some(VERSION)
    {
        return Err(format!("LIBTORCH is libtorch {}, expected {VERSION}", version.trim()));
    }
    println!("using your own libtorch in {}", folder.display());
    Ok(())
}
