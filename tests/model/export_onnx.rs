//! Exported students in the programs that they are for: ONNX Runtime, OpenCV's dnn, and PyTorch with torchvision, on the same
//! pictures as the student (tests/python/check_export.py has the comparison). A test whose Python is not there is skipped, loudly;
//! ONNX Runtime and OpenCV must be there in CI. SEED_PYTHON names another Python than python3.

use std::collections::BTreeMap;
use std::path::Path;

use crate::pictures::{levels, normalised, size, students, trained};
use crate::programs;
use crate::skipped::skip;
use seed::data::{FrameView, Input, PixelFormat, Resize};
use seed::export::{ExportInput, Format, Options, Outputs, export};
use seed::infer::{Session, SessionOptions};
use seed::model::student_file::{StudentHeader, load_student, read_about, save_student};
use seed::model::weights::{HostTensor, write_safetensors};
use seed::model::{Architecture, Head, Mode, Network, unit_rows};
use serde_json::json;
use tch::{Kind, Tensor};

/// The checking program with what `kind` needs, or None where this machine lacks it.
pub fn checker(kind: &str) -> Option<impl Fn(&Path)> {
    let command = || {
        let mut command = programs::python();
        command.env("OMP_NUM_THREADS", "1").arg(programs::root().join("tests/python/check_export.py"));
        command
    };
    let kind = kind.to_owned();
    let found = command().args([&kind, "--probe"]).output().is_ok_and(|output| output.status.success());
    found.then_some(move |folder: &Path| {
        let output = command().arg(&kind).arg(folder).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        eprintln!("{text}");
    })
}

fn header(network: &Network) -> StudentHeader {
    let (height, width) = size(network.architecture());
    let view = Input { width: width as u32, height: height as u32, mean: [0.4, 0.5, 0.45], ..Input::default() };
    StudentHeader { provenance: json!({ "teacher": "a teacher" }), ..StudentHeader::new(network, &view) }
}

/// NAME.safetensors: pictures as `input` asks for them, and what the network itself makes of them.
fn write_expected(folder: &Path, name: &str, network: &Network, header: &StudentHeader, input: ExportInput) {
    let _no_grad = tch::no_grad_guard();
    let mut tensors = Vec::new();
    for batch in [1, 5] {
        let levels = levels(batch, i64::from(header.input.height), i64::from(header.input.width));
        let images = normalised(&levels, &header.input.mean, &header.input.std);
        let features = network.features(&images, Mode::Eval).unwrap();
        let embedding = unit_rows(&network.head_forward(features.shallow_clone(), Mode::Eval).unwrap()).unwrap();
        let given = match input {
            ExportInput::Normalised => images,
            ExportInput::Unit => levels.permute([0, 3, 1, 2]).to_kind(Kind::Float) / 255.0,
            ExportInput::Bytes => levels,
        };
        let named: [(&str, &Tensor); 3] = [("images", &given), ("features", &features), ("embedding", &embedding)];
        for (name, tensor) in named {
            tensors.push((format!("{name}_{batch}"), HostTensor::from_tensor(tensor).unwrap()));
        }
    }
    write_safetensors(&folder.join(format!("{name}.safetensors")), &tensors, &BTreeMap::new()).unwrap();
}

fn export_all(folder: &Path, format: Format, ending: &str) {
    for architecture in students() {
        let network = trained(architecture, Head::Projection { hidden: 48, dim: 32 });
        let header = header(&network);
        let mut inputs = vec![
            (ExportInput::Normalised, Outputs::Both, "normalised"),
            (ExportInput::Bytes, Outputs::Embedding, "bytes"),
        ];
        if architecture == Architecture::MobileNetV3Small {
            inputs.push((ExportInput::Unit, Outputs::Features, "unit"));
        }
        for (input, outputs, text) in inputs {
            let name = format!("{architecture}.{text}");
            let options = Options { format, input, outputs };
            export(&folder.join(format!("{name}.{ending}")), &network, &header, &options).unwrap();
            write_expected(folder, &name, &network, &header, input);
        }
        // The others are not torchvision's, or only with arguments.
        let theirs = !["_w", "tf_", "seed_", "vit_"].iter().any(|part| architecture.name().contains(part));
        if format == Format::TorchScript && theirs {
            for (format, ending) in [(Format::Backbone, "backbone"), (Format::Torchvision, "torchvision")] {
                let path = folder.join(format!("{architecture}.{ending}"));
                export(&path, &network, &header, &Options { format, ..Options::default() }).unwrap();
            }
        }
    }
}

#[test]
fn onnx_runtime_and_opencv_compute_what_the_student_does() {
    let mut checks = Vec::new();
    for (kind, needs) in [("onnx", "onnx and onnxruntime"), ("opencv", "opencv-python-headless")] {
        match checker(kind) {
            Some(check) => checks.push(check),
            None => skip(&format!("no Python with {needs}; SEED_PYTHON may name one")),
        }
    }
    if checks.is_empty() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    export_all(folder.path(), Format::Onnx, "onnx");
    checks.iter().for_each(|check| check(folder.path()));
}

/// From a student's file to ONNX Runtime: the bytes of `preprocess` give there what the session gives for the frames.
#[test]
fn preprocessed_bytes_give_the_sessions_embeddings() {
    let folder = tempfile::tempdir().unwrap();
    let (width, height) = (131u32, 77u32);
    let pictures = levels(5, i64::from(height), i64::from(width)).flatten(0, -1);
    let pixels = Vec::<u8>::try_from(pictures).unwrap();
    let frames: Vec<FrameView<'_>> = pixels
        .chunks_exact((width * height * 3) as usize)
        .map(|one| FrameView::new(one, width, height, 3 * width as usize, PixelFormat::Rgb8).unwrap())
        .collect();
    let origin = trained(Architecture::MobileNetV3Small, Head::Projection { hidden: 48, dim: 32 });
    for resize in [Resize::Whole, Resize::Letterbox, Resize::Centre] {
        let view = Input { width: 80, height: 64, resize, mean: [0.4, 0.5, 0.45], ..Input::default() };
        let file = folder.path().join("student.safetensors");
        let provenance = json!({ "teacher": "a teacher" });
        save_student(&file, &origin, &StudentHeader { provenance, ..StudentHeader::new(&origin, &view) }).unwrap();
        let session = Session::open(&file, SessionOptions::default()).unwrap();
        let (network, header) = load_student(&file).unwrap();
        let name = format!("preprocessed_{}", resize.word());
        let path = folder.path().join(format!("{name}.onnx"));
        let options = Options { format: Format::Onnx, input: ExportInput::Bytes, outputs: Outputs::Embedding };
        export(&path, &network, &header, &options).unwrap();
        assert_eq!(read_about(&path).unwrap().input.resize, resize);
        let mut tensors = Vec::new();
        for batch in [1, 5] {
            let mut bytes = vec![0u8; batch * session.input().view_len()];
            session.preprocess(batch, |i| Ok(frames[i]), &mut bytes).unwrap();
            let images = Tensor::from_slice(&bytes).view([batch as i64, 64, 80, 3]);
            let rows = Tensor::from_slice(&session.embed(&frames[..batch]).unwrap()).view([batch as i64, 32]);
            for (name, tensor) in [("images", images), ("embedding", rows)] {
                tensors.push((format!("{name}_{batch}"), HostTensor::from_tensor(&tensor).unwrap()));
            }
        }
        write_safetensors(&folder.path().join(format!("{name}.safetensors")), &tensors, &BTreeMap::new()).unwrap();
        assert!(session.preprocess(2, |i| Ok(frames[i]), &mut [0; 7]).is_err());
    }
    match checker("onnx") {
        Some(check) => check(folder.path()),
        None => assert!(std::env::var_os("CI").is_none(), "onnx and onnxruntime must be there in CI"),
    }
}

#[test]
fn pytorch_and_torchvision_compute_what_the_student_does() {
    // PyTorch for Python is 500 MB more than the libtorch that CI has, which reads the same modules in tests/model/export.rs.
    let Some(check) = checker("torch") else {
        eprintln!("SKIPPED: no Python with torch and torchvision; SEED_PYTHON may name one");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    export_all(folder.path(), Format::TorchScript, "pt");
    check(folder.path());
}
