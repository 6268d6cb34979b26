//! Tells the linker where libtorch lies: the library's own run path does not reach programs that link it.

fn main() {
    let lib = std::env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys publishes libtorch_lib on Linux and macOS");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{lib}");
}
