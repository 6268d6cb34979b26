//! Compiles the C++ files of `src/torch` against the libtorch that torch-sys was built with, and tells the linker where it lies;
//! compiles `src/data/jpeg.c` against the libjpeg-turbo that mozjpeg-sys was built with.

use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for file in [
        "shim.cpp",
        "cuda.cpp",
        "fused.cpp",
        "dlpack.cpp",
        "script.cpp",
        "compile.cpp",
        "reserve.cpp",
        "world.cpp",
        "declared/gloo",
        "guarded.h",
    ] {
        println!("cargo:rerun-if-changed=src/torch/{file}");
    }
    // torch-sys declares `links = "tch"` and publishes the folder of libtorch's shared libraries.
    let lib = PathBuf::from(
        std::env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys publishes libtorch_lib on Linux and macOS"),
    );
    let include = lib.parent().expect("libtorch/lib has a parent").join("include");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .pic(true)
        .flag_if_supported("-Wall")
        .flag_if_supported("-Wextra")
        // gcc 12 sees uninitialised members in std::optional<c10::Scalar> that are not read.
        .flag_if_supported("-Wno-maybe-uninitialized")
        // What c10d's header names of Gloo, whose own headers libtorch does not bring.
        .flag("-isystem")
        .flag("src/torch/declared")
        .flag("-isystem")
        .flag(include.to_str().expect("libtorch's path is UTF-8"))
        .flag("-isystem")
        .flag(include.join("torch/csrc/api/include").to_str().expect("libtorch's path is UTF-8"))
        .define("_GLIBCXX_USE_CXX11_ABI", "1")
        .file("src/torch/shim.cpp")
        .file("src/torch/cuda.cpp")
        .file("src/torch/fused.cpp")
        .file("src/torch/dlpack.cpp")
        .file("src/torch/script.cpp")
        .file("src/torch/compile.cpp")
        .file("src/torch/reserve.cpp")
        .file("src/torch/world.cpp")
        .compile("seed_shim");
    println!("cargo:rerun-if-changed=src/data/jpeg.c");
    // mozjpeg-sys declares `links = "jpeg"` and publishes the folders of its headers.
    let headers = std::env::var_os("DEP_JPEG_INCLUDE").expect("mozjpeg-sys publishes its include folders");
    cc::Build::new()
        .pic(true)
        .flag_if_supported("-Wall")
        .flag_if_supported("-Wextra")
        .includes(std::env::split_paths(&headers))
        .file("src/data/jpeg.c")
        .compile("seed_jpeg");
    // libtorch keeps an allocator and threads that this library gave it, so it stays loaded when a program closes it.
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
    // Development builds find libtorch where it was built against. In the installed library (`cargo xtask dist`) no folder of
    // the building machine may be named: its front finds libtorch, loads it, and then loads this library.
    println!("cargo:rerun-if-env-changed=SEED_DIST");
    if std::env::var_os("SEED_DIST").is_none() {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
        println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN");
    }
}
