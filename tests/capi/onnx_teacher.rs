//! The Python example: ONNX Runtime as the teacher, through the C ABI. `SEED_PYTHON` names the interpreter; it needs numpy and
//! onnxruntime.

use std::path::{Path, PathBuf};

use crate::programs::{library_folder, python, root};
use crate::skipped::skip;
use image::{GrayImage, Luma};

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
        return skip("no Python with numpy and onnxruntime; SEED_PYTHON may name one");
    }
    let folder = tempfile::tempdir().unwrap();
    let images = images(&folder.path().join("images"));
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    let text = distil(&images, &first, &["--epochs", "3"]);
    for line in [
        "teacher, 40²",
        "student before, features",
        "bank: 2 views",
        "distilled for 3 epochs",
        "student after, embedding",
    ] {
        assert!(text.contains(line), "no \"{line}\" in {text}");
    }
    // A second student shares the bank, and starts where the first one ended.
    let [bank, student] = ["teacher.bank", "student.safetensors"].map(|name| first.join(name));
    let (bank, student) = (bank.to_str().unwrap(), student.to_str().unwrap());
    let again = distil(&images, &second, &["--epochs", "1", "--bank", bank, "--weights", student]);
    let judged = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line[name.len()..]
            .split("  ")
            .filter(|part| part.contains('±'))
            .map(|part| part.trim().to_owned())
            .collect::<Vec<_>>()
    };
    for output in ["features", "embedding"] {
        let (after, before) = (format!("student after, {output}"), format!("student before, {output}"));
        assert_eq!(judged(&text, &after), judged(&again, &before), "{text}{again}");
    }
    assert!(second.join("student.safetensors").exists() && !second.join("teacher.bank").exists());
}

/// Runs the example into `out` with `further` arguments, and gives what it printed.
fn distil(images: &Path, out: &Path, further: &[&str]) -> String {
    let output = python()
        .arg(root().join("examples/python/onnx_teacher.py"))
        .args(["--size", "32", "--test-size", "40", "--views", "2", "--batch", "4"])
        .args(further)
        // An untrained MobileNet gives one point for all images but for rounding, and kNN of that is chance.
        .args(["--student", "resnet10", "--set", "precision=\"fp32\"", "--set", "device=\"cpu\""])
        .arg("--library")
        .arg(library_folder().join("libseed.so"))
        .arg("--model")
        .arg(root().join("tests/golden/teachers/bytes.onnx"))
        .arg("--images")
        .arg(images)
        .arg("--out")
        .arg(out)
        .env("OMP_NUM_THREADS", "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}
