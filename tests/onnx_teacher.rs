//! The Python example: ONNX Runtime as the teacher, through the C ABI. `PYTHON` names the interpreter; it needs numpy and
//! onnxruntime.

use std::path::{Path, PathBuf};
use std::process::Command;

use image::{GrayImage, Luma};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// libseed.so lies beside the test's own executable.
fn library() -> PathBuf {
    let executable = std::env::current_exe().unwrap();
    let folders = executable.ancestors().skip(1).take(2);
    folders
        .map(|folder| folder.join("libseed.so"))
        .find(|file| file.exists())
        .expect("libseed.so is built with the tests")
}

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
    let python = std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
    let known = Command::new(&python).args(["-c", "import numpy, onnxruntime"]).output();
    if !known.is_ok_and(|output| output.status.success()) {
        assert!(std::env::var_os("CI").is_none(), "CI must have a Python with numpy and onnxruntime");
        eprintln!("SKIPPED: no Python with numpy and onnxruntime; set PYTHON");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(&python)
        .arg(root().join("examples/python/onnx_teacher.py"))
        .args(["--size", "32", "--test-size", "40", "--views", "2", "--epochs", "3", "--batch", "4"])
        .args(["--student", "mobilenet_v3_small", "--set", "precision=\"fp32\"", "--set", "device=\"cpu\""])
        .arg("--library")
        .arg(library())
        .arg("--model")
        .arg(root().join("tests/golden/teachers/bytes.onnx"))
        .arg("--images")
        .arg(images(&folder.path().join("images")))
        .arg("--out")
        .arg(folder.path().join("out"))
        .env_remove("LD_LIBRARY_PATH")
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
