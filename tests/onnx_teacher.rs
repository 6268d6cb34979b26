//! The Python example: ONNX Runtime as the teacher, through the C ABI. `SEED_PYTHON` names the interpreter; it needs numpy and
//! onnxruntime.

mod programs;

use std::path::{Path, PathBuf};

use image::{GrayImage, Luma};
use programs::{library_folder, python, root};

/// Twelve grey images, a folder a class: stripes and columns.
fn images(folder: &Path) -> PathBuf {
    for class in ["columns", "rows"] {
        std::fs::create_dir_all(folder.join(class)).unwrap();
        for number in 0..6u32 {
            let picture = GrayImage::from_fn(40, 40, |x, y| {
                Luma([if (if class == "rows" { y } else { x }) / (2 + number) % 2 == 0 { 30 } else { 220 }])
            });
            picture.save(folder.join(class).join(format!("{number}.png"))).unwrap();
        }
    }
    folder.to_path_buf()
}

#[test]
fn onnx_runtime_teaches_through_the_c_abi() {
    let known = python().args(["-c", "import numpy, onnxruntime"]).output();
    if !known.is_ok_and(|output| output.status.success()) {
        assert!(std::env::var_os("CI").is_none(), "CI must have a Python with numpy and onnxruntime");
        eprintln!("SKIPPED: no Python with numpy and onnxruntime; SEED_PYTHON may name one");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let output = python()
        .arg(root().join("examples/python/onnx_teacher.py"))
        .args(["--size", "32", "--test-size", "40", "--views", "2", "--epochs", "3", "--batch", "4"])
        .args(["--student", "mobilenet_v3_small", "--set", "precision=\"fp32\"", "--set", "device=\"cpu\""])
        .arg("--library")
        .arg(library_folder().join("libseed.so"))
        .arg("--model")
        .arg(root().join("tests/golden/teachers/bytes.onnx"))
        .arg("--images")
        .arg(images(&folder.path().join("images")))
        .arg("--out")
        .arg(folder.path().join("out"))
        .env("OMP_NUM_THREADS", "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    for line in [
        "teacher, 40²",
        "student before, features",
        "bank: 2 views",
        "distilled for 3 epochs",
        "student after, embedding",
    ] {
        assert!(text.contains(line), "no \"{line}\" in {text}");
    }
    assert!(folder.path().join("out/student.safetensors").exists());
}
