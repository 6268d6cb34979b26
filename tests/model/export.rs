//! Students for other programs, read by ourselves: TorchScript by libtorch, safetensors by key list, metadata from every kind of
//! file. tests/model/export_onnx.rs has ONNX Runtime and PyTorch read them.

use std::collections::BTreeMap;
use std::fs;

use crate::golden::golden;
use crate::pictures::{levels, normalised, size, students, trained};
use seed::data::Input;
use seed::export::{ExportInput, Format, Options, Outputs, export};
use seed::model::student_file::{StudentHeader, load_student, read_about, save_student};
use seed::model::{Architecture, Head, Mode, Network, unit_rows, weights};
use seed::{Error, ErrorKind};
use serde_json::json;
use tch::{CModule, Device, IValue, Tensor};

const FORMATS: [Format; 4] = [Format::Onnx, Format::TorchScript, Format::Torchvision, Format::Backbone];

fn header(network: &Network, side: u32) -> StudentHeader {
    sized_header(network, (i64::from(side), i64::from(side + 16)))
}

fn sized_header(network: &Network, (height, width): (i64, i64)) -> StudentHeader {
    let view = Input { width: width as u32, height: height as u32, mean: [0.4, 0.5, 0.45], ..Input::default() };
    StudentHeader {
        provenance: json!({ "teacher": "größer \"x\"", "images": 7 }),
        ..StudentHeader::new(network, &view)
    }
}

fn cosine(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    Tensor::cosine_similarity(a, b, 1, 1e-12).min().double_value(&[])
}

#[test]
fn torchscript_computes_what_the_student_does() {
    let _no_grad = tch::no_grad_guard();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("student.pt");
    for architecture in students() {
        let network = trained(architecture, Head::Projection { hidden: 48, dim: 32 });
        let (height, width) = size(architecture);
        let header = sized_header(&network, (height, width));
        // What the input is does not depend on the network.
        let all: &[ExportInput] = match architecture {
            Architecture::MobileNetV3Small => &[ExportInput::Normalised, ExportInput::Unit, ExportInput::Bytes],
            _ => &[ExportInput::Bytes],
        };
        for &input in all {
            let options = Options { format: Format::TorchScript, input, outputs: Outputs::Both };
            export(&path, &network, &header, &options).unwrap();
            let module = CModule::load(&path).unwrap();
            for batch in [1, 5] {
                let levels = levels(batch, height, width);
                let expected = normalised(&levels, &header.input.mean, &header.input.std);
                let given = match input {
                    ExportInput::Normalised => expected.shallow_clone(),
                    ExportInput::Unit => levels.permute([0, 3, 1, 2]).to_kind(tch::Kind::Float) / 255.0,
                    ExportInput::Bytes => levels,
                };
                let IValue::Tuple(outputs) = module.forward_is(&[IValue::Tensor(given)]).unwrap() else { panic!() };
                let [IValue::Tensor(embedding), IValue::Tensor(features)] = outputs.as_slice() else { panic!() };
                let own = network.features(&expected, Mode::Eval).unwrap();
                let similarity = cosine(features, &own);
                assert!(similarity > 0.99999, "{architecture} {input:?} {batch}: features {similarity}");
                let own = unit_rows(&network.head_forward(own, Mode::Eval).unwrap()).unwrap();
                let similarity = cosine(embedding, &own);
                assert!(similarity > 0.99999, "{architecture} {input:?} {batch}: embedding {similarity}");
                assert!((embedding - own).abs().max().double_value(&[]) < 1e-4);
            }
        }
    }
}

#[test]
fn a_script_moves_with_its_weights() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("student.pt");
    let network = trained(Architecture::MobileNetV3Small, Head::None);
    let options = Options { format: Format::TorchScript, input: ExportInput::Bytes, outputs: Outputs::Embedding };
    export(&path, &network, &header(&network, 32), &options).unwrap();
    let mut module = CModule::load(&path).unwrap();
    let images = levels(2, 32, 48);
    let exact = module.forward_ts(&[&images]).unwrap();
    assert!((exact.norm_scalaropt_dim(2, [1i64].as_slice(), false) - 1.0).abs().max().double_value(&[]) < 1e-5);
    module.to(Device::Cpu, tch::Kind::BFloat16, false);
    let rough = module.forward_ts(&[&images]).unwrap();
    assert_eq!(rough.kind(), tch::Kind::BFloat16, "a weight or a constant stayed behind");
    assert!(cosine(&rough.to_kind(tch::Kind::Float), &exact) > 0.99);
}

#[test]
fn every_head_is_exported() {
    let _no_grad = tch::no_grad_guard();
    let folder = tempfile::tempdir().unwrap();
    let heads = [
        Head::None,
        Head::Classifier { classes: 3 },
        Head::Projection { hidden: 16, dim: 8 },
        Head::NormedProjection { layers: 2, hidden: 16, dim: 8 },
        Head::NormedProjection { layers: 4, hidden: 24, dim: 8 },
        Head::LinearProjection { dim: 8 },
    ];
    for head in heads {
        let network = trained(Architecture::ResNet10, head);
        let header = header(&network, 32);
        let path = folder.path().join("student.pt");
        let options = Options { format: Format::TorchScript, ..Options::default() };
        export(&path, &network, &header, &options).unwrap();
        let images = normalised(&levels(2, 32, 48), &header.input.mean, &header.input.std);
        let found = CModule::load(&path).unwrap().forward_ts(&[&images]).unwrap();
        let output = network.forward(&images, Mode::Eval).unwrap();
        let expected = if matches!(head, Head::Classifier { .. }) { output } else { unit_rows(&output).unwrap() };
        let error = (&found - &expected).abs().max().double_value(&[]) / expected.abs().max().double_value(&[]);
        assert!(error < 1e-4, "{head:?}: {error}");
        export(&folder.path().join("student.onnx"), &network, &header, &Options::default()).unwrap();
    }
}

#[test]
fn names_are_torchvisions() {
    let text = fs::read_to_string(golden("torchvision_keys.txt")).unwrap();
    let mut theirs: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut current = "";
    for line in text.lines() {
        match line.split_once(' ') {
            Some((key, _)) => theirs.get_mut(current).unwrap().push(key),
            None => {
                current = line;
                theirs.insert(line, Vec::new());
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let key = |name: &str| match name {
        resnet if resnet.starts_with("resnet") => "fc",
        mobile if mobile.contains("mobilenet_v3") => "classifier.3",
        _ => "classifier.1",
    };
    for architecture in students().filter(|network| theirs.contains_key(network.name())) {
        let network = Network::new(architecture, Head::Projection { hidden: 8, dim: 4 }, 1, Device::Cpu).unwrap();
        let header = header(&network, 64);
        let last = key(architecture.name());
        let is_last = |name: &str| name == format!("{last}.weight") || name == format!("{last}.bias");
        let backbone = theirs[architecture.name()].iter().filter(|name| !is_last(name)).map(|&name| name.to_owned());
        let mut expected: Vec<String> = backbone.collect();
        let written = |format| {
            export(&path, &network, &header, &Options { format, ..Options::default() }).unwrap();
            weights::read(&path).unwrap()
        };
        expected.sort();
        let found = written(Format::Backbone);
        assert_eq!(found.tensors.keys().cloned().collect::<Vec<_>>(), expected, "{architecture}");
        assert_eq!(found.metadata["framework"], "pt");
        expected.extend(["0.bias", "0.weight", "2.bias", "2.weight"].map(|rest| format!("{last}.{rest}")));
        expected.sort();
        let found = written(Format::Torchvision);
        assert_eq!(found.tensors.keys().cloned().collect::<Vec<_>>(), expected, "{architecture}");
        let own: BTreeMap<String, _> = network.to_state().unwrap().into_iter().collect();
        assert_eq!(found.tensors[&format!("{last}.2.weight")], own["projection.2.weight"]);

        let network = Network::new(architecture, Head::Classifier { classes: 5 }, 1, Device::Cpu).unwrap();
        let header = StudentHeader { head: network.head(), ..header };
        export(&path, &network, &header, &Options { format: Format::Torchvision, ..Options::default() }).unwrap();
        let mut whole: Vec<&str> = theirs[architecture.name()].clone();
        whole.sort();
        assert_eq!(weights::read(&path).unwrap().tensors.into_keys().collect::<Vec<_>>(), whole, "{architecture}");
    }
}

#[test]
fn every_file_says_what_it_is_and_nothing_of_when() {
    let folder = tempfile::tempdir().unwrap();
    let network = trained(Architecture::MobileNetV3Small, Head::Projection { hidden: 16, dim: 8 });
    let header = header(&network, 32);
    let path = folder.path().join("student");
    for format in FORMATS {
        let options = Options { format, input: ExportInput::Bytes, outputs: Outputs::Both };
        export(&path, &network, &header, &options).unwrap();
        assert_eq!(read_about(&path).unwrap(), header, "{format:?}");
        let first = fs::read(&path).unwrap();
        export(&path, &network, &header, &options).unwrap();
        assert!(fs::read(&path).unwrap() == first, "{format:?}: two exports differ");
        let error = load_student(&path).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Format, "{format:?}: {error}");
        let texts = weights::read_metadata(&path).unwrap();
        if matches!(format, Format::Onnx | Format::TorchScript) {
            assert_eq!((&*texts["input"], &*texts["outputs"]), ("bytes", "embedding,features"));
        }
        let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["student"], "{format:?} leaves something behind");
    }
    save_student(&path, &network, &header).unwrap();
    assert_eq!(read_about(&path).unwrap(), header);
}

#[test]
fn what_cannot_be_exported_leaves_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("student");
    fs::write(&path, "old").unwrap();
    let network = trained(Architecture::MobileNetV3Small, Head::None);
    let sound = header(&network, 32);
    let refused = |header: &StudentHeader, network: &Network, format, expected: &str| {
        let error: Error = export(&path, network, header, &Options { format, ..Options::default() }).unwrap_err();
        assert!(error.message().contains(expected), "{format:?}: {error}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "{format:?} leaves something behind");
    };
    let large = json!({ "log": "x".repeat(300_000) });
    for format in FORMATS {
        refused(&StudentHeader { provenance: large.clone(), ..sound.clone() }, &network, format, "at most 262144");
        refused(
            &StudentHeader { input: Input { width: 0, ..sound.input }, ..sound.clone() },
            &network,
            format,
            "width",
        );
        let other = StudentHeader { architecture: Architecture::ResNet18, ..sound.clone() };
        refused(&other, &network, format, "the header is of resnet18");
        assert!(
            export(&folder.path().join("no/such"), &network, &sound, &Options { format, ..Options::default() })
                .is_err()
        );
    }
    {
        let _no_grad = tch::no_grad_guard();
        let (_, mut weight) = network.tensors().into_iter().next().unwrap();
        let _same = weight.fill_(f64::NAN);
    }
    for format in [Format::Onnx, Format::TorchScript, Format::Torchvision, Format::Backbone] {
        refused(&sound, &network, format, "not finite");
    }
}

#[test]
fn other_files_are_told_from_ours() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let expect = |bytes: &[u8], expected: &str| {
        fs::write(&path, bytes).unwrap();
        let error = read_about(&path).err().unwrap();
        assert!(error.kind() == ErrorKind::Format && error.message().contains(expected), "{error}");
    };
    expect(b"", "neither safetensors nor ONNX nor TorchScript");
    expect(b"\x08\x08", "no student of libseed");
    expect(b"PK\x03\x04 and so on", "no end record");
    expect(b"\x02\0\0\0\0\0\0\0{}", "no student of libseed");
    let network = trained(Architecture::MobileNetV3Small, Head::None);
    for format in FORMATS {
        export(&path, &network, &header(&network, 32), &Options { format, ..Options::default() }).unwrap();
        let whole = fs::read(&path).unwrap();
        for end in [1, 9, 100, whole.len() / 2, whole.len() - 1] {
            fs::write(&path, &whole[..end]).unwrap();
            assert!(read_about(&path).is_err(), "{format:?} cut to {end} bytes was taken");
        }
    }
}
