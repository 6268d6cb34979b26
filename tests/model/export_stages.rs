//! The four stages of an exported student, for a detector that is trained outside: ONNX Runtime gives torchvision's maps of the same
//! weights, and a feature pyramid over them torchvision's levels (tests/golden/make_fpn.py). Where a Python has torchvision, its own
//! `FeaturePyramidNetwork` and a detector take them (tests/python/check_export.py).

use std::collections::BTreeMap;
use std::path::Path;

use crate::export_onnx::checker;
use crate::hashed::{between, images, read_golden, relative};
use crate::models::fill;
use crate::pictures::trained;
use crate::skipped::skip;
use seed::ErrorKind;
use seed::data::Input;
use seed::export::{ExportInput, Format, Options, Outputs, export};
use seed::model::student_file::StudentHeader;
use seed::model::weights::{self, HostTensor, write_safetensors};
use seed::model::{Architecture, Head, Mode, Network};
use serde_json::{Value, json};
use tch::{Device, IValue, Kind, Tensor};

const TOLERANCE: f64 = 1e-4;
const NAMES: [&str; 4] = ["c2", "c3", "c4", "c5"];
const NETWORKS: [(Architecture, [&str; 4]); 2] = [
    (Architecture::ResNet10, ["layer1", "layer2", "layer3", "layer4"]),
    (Architecture::MobileNetV2, ["features.3", "features.6", "features.13", "features.17"]),
];

fn header(network: &Network, width: u32, height: u32) -> StudentHeader {
    let view = Input { width, height, ..Input::default() };
    StudentHeader { provenance: json!({ "teacher": "a teacher" }), ..StudentHeader::new(network, &view) }
}

fn options(format: Format, input: ExportInput) -> Options {
    Options { format, input, outputs: Outputs::Stages }
}

/// NAME.onnx, and NAME.safetensors with the images and the student's own maps.
fn write(folder: &Path, name: &str, network: &Network, header: &StudentHeader, modules: &[&str], images: &Tensor) {
    export(&folder.join(format!("{name}.onnx")), network, header, &options(Format::Onnx, ExportInput::Normalised))
        .unwrap();
    let _no_grad = tch::no_grad_guard();
    let maps = network.maps(images, modules, Mode::Eval).unwrap();
    let named = NAMES.into_iter().zip(&maps).chain([("images", images)]);
    let tensors: Vec<_> =
        named.map(|(name, tensor)| (name.to_owned(), HostTensor::from_tensor(&tensor.contiguous()).unwrap())).collect();
    write_safetensors(&folder.join(format!("{name}.safetensors")), &tensors, &BTreeMap::new()).unwrap();
}

/// Feature pyramid over c2 to c5 as Lin et al. define it, with the weights that make_fpn.py gave to torchvision's: `inner_blocks` 1×1,
/// added to the next coarser level's nearest neighbour, `layer_blocks` 3×3.
fn pyramid(maps: &[Tensor]) -> Vec<Tensor> {
    let mut number = 2_000_000;
    let mut weights = |shape: &[i64]| {
        let fan_in = shape[1..].iter().product::<i64>() as f64;
        let bound = if shape.len() > 1 { (3.0 / fan_in).sqrt() as f32 } else { 0.2 };
        number += 1;
        between(number - 1, shape, -bound, bound).to_kind(Kind::Double)
    };
    let inner: Vec<(Tensor, Tensor)> =
        maps.iter().map(|map| (weights(&[16, map.size()[1], 1, 1]), weights(&[16]))).collect();
    let outer: Vec<(Tensor, Tensor)> = maps.iter().map(|_| (weights(&[16, 16, 3, 3]), weights(&[16]))).collect();
    let mut above: Option<Tensor> = None;
    let mut levels = Vec::new();
    for ((map, inner), outer) in maps.iter().zip(&inner).zip(&outer).rev() {
        let map = map.to_kind(Kind::Double);
        let mut level = map.conv2d(&inner.0, Some(&inner.1), 1, 0, 1, 1);
        if let Some(above) = above {
            let sides = level.size();
            level += above.upsample_nearest2d([sides[2], sides[3]], None, None);
        }
        levels.insert(0, level.conv2d(&outer.0, Some(&outer.1), 1, 1, 1, 1).to_kind(Kind::Float));
        above = Some(level);
    }
    levels
}

#[test]
fn onnx_runtime_gives_torchvisions_stages_and_torchvisions_pyramid_comes_of_them() {
    let Some(check) = checker("stages") else {
        return skip("no Python with onnx and onnxruntime; SEED_PYTHON may name one");
    };
    let folder = tempfile::tempdir().unwrap();
    let image = images(5, 1, 75, 101);
    let batch = Tensor::cat(&[&image, &image.flip([3])], 0).contiguous();
    for (architecture, modules) in NETWORKS {
        let network = Network::new(architecture, Head::Classifier { classes: 10 }, 0, Device::Cpu).unwrap();
        fill(&network);
        write(folder.path(), architecture.name(), &network, &header(&network, 101, 75), &modules, &batch);
    }
    check(folder.path());
    let (golden, expected) = (read_golden("anomaly.safetensors"), read_golden("fpn.safetensors"));
    for (architecture, modules) in NETWORKS {
        let path = folder.path().join(format!("{architecture}.found"));
        let found: BTreeMap<String, Tensor> = Tensor::read_safetensors(path).unwrap().into_iter().collect();
        let maps: Vec<Tensor> = NAMES.iter().map(|name| found[*name].narrow(0, 0, 1)).collect();
        for (module, map) in modules.iter().zip(&maps) {
            for (what, axis) in [("rows", 2i64), ("columns", 1)] {
                let mean = map.select(0, 0).mean_dim([axis].as_slice(), false, Kind::Float);
                let error = relative(&mean, &golden[&format!("{architecture}.{module}.{what}")].to_kind(Kind::Float));
                assert!(error < TOLERANCE, "{architecture} {module} {what}: {error:e}");
            }
        }
        for (name, level) in NAMES.iter().zip(pyramid(&maps)) {
            let error = relative(&level.select(0, 0), &expected[&format!("{architecture}.{name}")]);
            assert!(error < TOLERANCE, "{architecture} pyramid {name}: {error:e}");
        }
    }
}

/// Every export says which modules give which stages, so that a file of weights serves a detector as well.
#[test]
fn stages_are_named_in_every_file_and_torchscript_gives_them_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("student");
    let network = trained(Architecture::MobileNetV3Small, Head::Projection { hidden: 8, dim: 4 });
    let header = header(&network, 80, 64);
    for format in [Format::Backbone, Format::Torchvision] {
        export(&path, &network, &header, &options(format, ExportInput::Normalised)).unwrap();
        let state = weights::read(&path).unwrap();
        let stages: Value = serde_json::from_str(&state.metadata["stages"]).unwrap();
        let rows: Vec<_> = stages.as_array().unwrap().iter().map(|row| (&row["name"], &row["module"])).collect();
        assert_eq!(rows[0], (&json!("c2"), &json!("features.1")));
        assert_eq!(rows[3], (&json!("c5"), &json!("features.11")));
    }
    export(&path, &network, &header, &options(Format::TorchScript, ExportInput::Bytes)).unwrap();
    let module = tch::CModule::load(&path).unwrap();
    let levels = crate::pictures::levels(2, 64, 80);
    let _no_grad = tch::no_grad_guard();
    let IValue::Tuple(found) = module.forward_is(&[IValue::Tensor(levels.shallow_clone())]).unwrap() else { panic!() };
    let given = crate::pictures::normalised(&levels, &header.input.mean, &header.input.std);
    let modules = ["features.1", "features.3", "features.8", "features.11"];
    let expected = network.maps(&given, &modules, Mode::Eval).unwrap();
    assert_eq!(found.len(), 4);
    for ((found, expected), stride) in found.iter().zip(&expected).zip([4, 8, 16, 32]) {
        let IValue::Tensor(found) = found else { panic!("{found:?}") };
        assert_eq!(found.size()[2..], [64i64, 80].map(|side| (side + stride - 1) / stride));
        assert!(relative(found, expected) < TOLERANCE);
    }
}

#[test]
fn a_transformer_has_no_stages_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("student.onnx");
    std::fs::write(&path, "before").unwrap();
    let architecture = Architecture::parse("vit_small_patch16").unwrap();
    let network = Network::new(architecture, Head::None, 1, Device::Cpu).unwrap();
    for format in [Format::Onnx, Format::TorchScript] {
        let wanted = options(format, ExportInput::Normalised);
        let error = export(&path, &network, &header(&network, 32, 32), &wanted).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.message().contains("vit_small_patch16 has no stages c2 to c5"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"before");
    }
}

#[test]
fn torchvisions_pyramid_and_a_detector_take_the_stages() {
    // As in export_onnx.rs: CI has no PyTorch for Python.
    let Some(check) = checker("fpn") else {
        eprintln!("SKIPPED: no Python with torch, torchvision and onnxruntime; SEED_PYTHON may name one");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    for (architecture, modules) in NETWORKS {
        let network = trained(architecture, Head::Projection { hidden: 48, dim: 32 });
        let header = header(&network, 96, 64);
        write(folder.path(), architecture.name(), &network, &header, &modules, &images(0, 2, 64, 96));
        let path = folder.path().join(format!("{architecture}.backbone"));
        export(&path, &network, &header, &options(Format::Backbone, ExportInput::Normalised)).unwrap();
    }
    check(folder.path());
}
