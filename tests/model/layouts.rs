//! Weights as others publish them: whose names they have is recognised, and the network computes what the publisher's does.
//!
//! `tests/golden/make_layouts.py` writes the names and what timm and transformers compute, and checkpoints in torch's formats with
//! the wrappers of MoCo-v2, SwAV, SimCLR, SEED, DINO and timm.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::golden::golden;
use crate::programs;
use seed::ErrorKind;
use seed::data::Input;
use seed::export::{Format, Options, export};
use seed::model::student_file::{StudentHeader, load_student, read_about, save_student};
use seed::model::weights::{HostTensor, HostType, Side, StateDict, read_side, write_safetensors};
use seed::model::{Architecture, Head, Mode, Network, Student, Teacher, describe, published, start_from};
use tch::{Device, Kind, Tensor};

/// `count` numbers in [0, 1) from a hash of `seed` and each number's place, as make_layouts.py and make_models.py draw them.
fn unit(seed: u32, count: usize) -> impl Iterator<Item = f32> {
    (0..count as u32).map(move |place| {
        let mut x = seed.wrapping_add(place.wrapping_mul(0x85EB_CA77));
        x ^= x >> 16;
        x = x.wrapping_mul(0x7FEB_352D);
        x ^= x >> 15;
        x = x.wrapping_mul(0x846C_A68B);
        x ^= x >> 16;
        (x >> 8) as f32 / (1u32 << 24) as f32
    })
}

fn between(seed: u32, count: usize, low: f32, high: f32) -> Vec<u8> {
    unit(seed, count).flat_map(|unit| (low + (high - low) * unit).to_le_bytes()).collect()
}

fn filled(name: &str, shape: Vec<usize>) -> HostTensor {
    let count = shape.iter().product();
    if name.ends_with("num_batches_tracked") {
        return HostTensor { dtype: HostType::I64, shape, bytes: vec![0; 8] };
    }
    let (low, high) = if shape.len() > 1 {
        let bound = (4.5 / shape[1..].iter().product::<usize>() as f32).sqrt();
        (-bound, bound)
    } else if name.ends_with("running_var") || name.ends_with("weight") {
        (0.5, 1.5)
    } else {
        (-0.2, 0.2)
    };
    HostTensor { dtype: HostType::F32, shape, bytes: between(crc32fast::hash(name.as_bytes()), count, low, high) }
}

fn images(batch: usize, side: usize) -> Tensor {
    let count = batch * 3 * side * side;
    let bytes = between(1_000_000u32.wrapping_mul(0x9E37_79B1), count, -2.0, 2.0);
    HostTensor { dtype: HostType::F32, shape: vec![batch, 3, side, side], bytes }.to_tensor().unwrap()
}

/// A case of layouts.txt.
struct Case {
    name: String,
    architecture: Architecture,
    /// Pixels of the square image whose features are known.
    side: usize,
    /// Weights under the publisher's names.
    state: StateDict,
}

fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in std::fs::read_to_string(golden("layouts.txt")).unwrap().lines() {
        if let Some(head) = line.strip_prefix("# ") {
            let [name, architecture, side] = head.split(' ').collect::<Vec<_>>().try_into().unwrap();
            let (architecture, side) = (Architecture::parse(architecture).unwrap(), side.parse().unwrap());
            cases.push(Case { name: name.to_owned(), architecture, side, state: StateDict::default() });
            continue;
        }
        let (name, sides) = line.split_once(' ').unwrap();
        let shape = sides.split(',').filter(|side| !side.is_empty()).map(|side| side.parse().unwrap()).collect();
        let state = &mut cases.last_mut().unwrap().state;
        state.tensors.insert(name.to_owned(), filled(name, shape));
    }
    cases
}

/// max |a − b| / max |b|.
fn relative(found: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(found.size(), expected.size());
    (found - expected).abs().max().double_value(&[]) / expected.abs().max().double_value(&[])
}

#[test]
fn networks_of_timm_and_hugging_face_compute_what_their_publishers_do() {
    let golden: BTreeMap<String, Tensor> =
        Tensor::read_safetensors(golden("layouts.safetensors")).unwrap().into_iter().collect();
    let cases = cases();
    assert_eq!(cases.len(), golden.len());
    for Case { name: case, architecture, side, state } in cases.into_iter().filter(|case| case.name != MOCO_V1) {
        let layout = case.split('.').next().unwrap();
        let found = published(architecture, state.clone(), Side::Teacher).unwrap();
        let own = architecture == Architecture::ResNet18 && layout == "timm";
        assert_eq!(found.layout, if own { "torchvision" } else { layout }, "{case}");
        let teacher = Teacher::from_state(architecture, state, Device::Cpu).unwrap();
        assert_eq!(teacher.head().unwrap(), Head::None);
        let error = relative(&teacher.features(&images(1, side)).unwrap(), &golden[&case]);
        assert!(error < 1e-4, "{case} differs by {error:.1e}");
        println!("{case}: {error:.1e}");
        // The same weights under our names give the same embedding, bit for bit.
        let ours = Teacher::from_state(architecture, found.state, Device::Cpu).unwrap();
        let images = images(1, 112);
        assert_eq!(ours.embed(&images).unwrap(), teacher.embed(&images).unwrap(), "{case}");
    }
}

#[test]
fn a_deep_head_is_that_of_its_layers_and_is_read_back_by_their_names() {
    let _no_grad = tch::no_grad_guard();
    let folder = tempfile::tempdir().unwrap();
    let head = Head::NormedProjection { layers: 4, hidden: 24, dim: 8 };
    let network = Network::new(TEN, head, 5, Device::Cpu).unwrap();
    let path = folder.path().join("student.safetensors");
    let state: Vec<_> = network.to_state().unwrap().into_iter().collect();
    write_safetensors(&path, &state, &Default::default()).unwrap();
    let teacher = Teacher::from_file(TEN, &path, Device::Cpu).unwrap();
    assert_eq!(teacher.head().unwrap(), head);
    let tensors: BTreeMap<String, Tensor> =
        state.iter().map(|(name, tensor)| (name.clone(), tensor.to_tensor().unwrap())).collect();
    let of = |layer: i64, name: &str| &tensors[&format!("projection.{layer}.{name}")];
    let images = Tensor::rand([5, 3, 32, 32], (Kind::Float, Device::Cpu));
    let mut value = network.features(&images, Mode::Eval).unwrap();
    for layer in [0, 3, 6] {
        value = value.linear(of(layer, "weight"), Some(of(layer, "bias")));
        let norm = |name| of(layer + 1, name);
        value = (value - norm("running_mean")) / (norm("running_var") + 1e-5).sqrt() * norm("weight") + norm("bias");
        value = value.relu();
    }
    value = value.linear(of(9, "weight"), Some(of(9, "bias")));
    let found = network.forward(&images, Mode::Eval).unwrap();
    assert!((&found - &value).abs().max().double_value(&[]) < 1e-5 * value.abs().max().double_value(&[]));
    // A layer of another width belongs to no head.
    let mut odd = state.clone();
    odd.retain(|(name, _)| name != "projection.3.weight");
    odd.push((
        "projection.3.weight".to_owned(),
        odd.iter().find(|(name, _)| name == "projection.0.weight").unwrap().1.clone(),
    ));
    write_safetensors(&path, &odd, &Default::default()).unwrap();
    assert_eq!(
        Teacher::from_file(TEN, &path, Device::Cpu).map(|teacher| teacher.head().unwrap()).unwrap_or(Head::None),
        Head::None
    );
}

/// Both formats of a checkpoint of make_layouts.py.
fn checkpoints(name: &str) -> [PathBuf; 2] {
    ["zip.pth", "legacy.pth.tar"].map(|format| golden("checkpoints").join(format!("{name}.{format}")))
}

const TEN: Architecture = Architecture::ResNet10;

#[test]
fn checkpoints_as_they_are_published_are_recognised() {
    let plain = Head::Projection { hidden: 512, dim: 128 };
    let normed = Head::NormedProjection { layers: 2, hidden: 64, dim: 128 };
    // What all names share as "module." is taken off before the prefix is looked for.
    for (name, prefix, head, aside) in [
        ("moco_v1", "encoder_q.", Head::LinearProjection { dim: 128 }, 16),
        ("moco_v2", "encoder_q.", plain, 14),
        ("swav", "", normed, 1),
        ("simclr", "", normed, 0),
        ("simclr_of_seed", "module.module.", normed, 0),
        ("dino", "backbone.", Head::None, 1),
        ("timm", "", Head::None, 0),
    ] {
        for path in checkpoints(name) {
            let state = read_side(&path, Side::Teacher).unwrap();
            let found = published(TEN, state, Side::Teacher).unwrap();
            assert_eq!((found.prefix.as_str(), found.aside.len()), (prefix, aside), "{name}");
            let teacher = Teacher::from_file(TEN, &path, Device::Cpu).unwrap();
            assert_eq!(teacher.head().unwrap(), head, "{name}");
            // Half precision becomes float32: all but the 12 counters, where the file has them.
            assert!(teacher.report().converted >= 50, "{name}: {:?}", teacher.report());
        }
    }
    for path in checkpoints("seed_student") {
        let student = Student::from_file(TEN, &path, Device::Cpu).unwrap();
        assert_eq!(student.network().head(), plain);
    }
    // DINO's file holds a student too, of which make_layouts.py keeps a part.
    let error = Student::from_file(TEN, &checkpoints("dino")[0], Device::Cpu).err().unwrap();
    assert!(error.message().contains("missing: layer1.0.conv2.weight"), "{error}");
}

/// MoCo-v1's query encoder in layouts.txt, whose embedding is known.
const MOCO_V1: &str = "moco_v1.resnet10";

fn moco_v1() -> StateDict {
    cases().into_iter().find(|case| case.name == MOCO_V1).unwrap().state
}

#[test]
fn moco_v1s_head_is_one_linear_layer_and_goes_through_every_file() {
    let folder = tempfile::tempdir().unwrap();
    let golden: BTreeMap<String, Tensor> =
        Tensor::read_safetensors(golden("layouts.safetensors")).unwrap().into_iter().collect();
    let teacher = Teacher::from_state(TEN, moco_v1(), Device::Cpu).unwrap();
    assert_eq!((teacher.head().unwrap(), teacher.embedding_dim()), (Head::LinearProjection { dim: 128 }, 128));
    let image = images(1, 96);
    let embedding = teacher.embed(&image).unwrap();
    assert!(relative(&embedding, &golden[MOCO_V1]) < 1e-4);
    assert!(relative(&teacher.embed_fused(&image, Kind::Float).unwrap(), &golden[MOCO_V1]) < 1e-4);

    // As a student, through a file of our own, and of the weights that it writes for PyTorch.
    let student = Student::from_state(TEN, moco_v1(), Device::Cpu).unwrap();
    let header = StudentHeader::new(student.network(), &Input { width: 96, height: 96, ..Input::default() });
    let path = folder.path().join("student.safetensors");
    save_student(&path, student.network(), &header).unwrap();
    let (network, header) = load_student(&path).unwrap();
    assert_eq!(
        (network.head(), header.head),
        (Head::LinearProjection { dim: 128 }, Head::LinearProjection { dim: 128 })
    );
    assert!(network.to_state().unwrap() == student.network().to_state().unwrap());
    for format in [Format::Torchvision, Format::TorchScript, Format::Onnx] {
        export(&path, &network, &header, &Options { format, ..Options::default() }).unwrap();
        assert_eq!(read_about(&path).unwrap().head, Head::LinearProjection { dim: 128 });
        if format == Format::Torchvision {
            let again = Teacher::from_file(TEN, &path, Device::Cpu).unwrap();
            assert_eq!(again.embed(&image).unwrap(), embedding);
            assert_eq!(again.identity().unwrap(), teacher.identity().unwrap());
        }
    }
    let bare = moco_v1().tensors.into_iter().filter(|(name, _)| !name.contains("encoder_q.fc"));
    let bare = StateDict { tensors: bare.collect(), ..StateDict::default() };
    let bare = Teacher::from_state(TEN, bare, Device::Cpu).unwrap();
    assert_eq!(bare.head().unwrap(), Head::None);
    assert_ne!(bare.identity().unwrap(), teacher.identity().unwrap());

    // The same layer elsewhere is a classifier, as it always was: a student of it needs a head.
    let renamed = moco_v1().tensors.into_iter().map(|(name, tensor)| (name.replace("encoder_q.", ""), tensor));
    let renamed = StateDict { tensors: renamed.collect(), ..StateDict::default() };
    assert_eq!(Teacher::from_state(TEN, renamed, Device::Cpu).unwrap().head().unwrap(), Head::None);
}

#[test]
fn a_head_of_moco_v1_that_is_not_whole_is_refused_with_its_name() {
    let tensor = |shape: &[usize]| filled("bias", shape.to_vec());
    let (weight, bias) = ("module.encoder_q.fc.weight", "module.encoder_q.fc.bias");
    for (name, replaced, said) in [
        (weight, Some(tensor(&[128, 256])), "found [128, 256] and [128]"),
        (weight, Some(tensor(&[128, 512, 3, 3])), "found [128, 512, 3, 3] and [128]"),
        (weight, Some(tensor(&[0, 512])), "found [0, 512] and [128]"),
        (weight, None, "found missing and [128]"),
        (bias, Some(tensor(&[127])), "found [128, 512] and [127]"),
        (bias, None, "found [128, 512] and missing"),
    ] {
        let mut state = moco_v1();
        state.tensors.remove(name);
        state.tensors.extend(replaced.map(|tensor| (name.to_owned(), tensor)));
        for refused in [
            Teacher::from_state(TEN, state.clone(), Device::Cpu).err().unwrap(),
            Student::from_state(TEN, state, Device::Cpu).err().unwrap(),
        ] {
            assert_eq!(refused.kind(), ErrorKind::Mismatch);
            let message = refused.message();
            assert!(message.contains("module.encoder_q.fc.weight [C, 512]") && message.contains(said), "{message}");
        }
    }
    let mut both = moco_v1();
    both.tensors.insert("module.encoder_q.fc.0.weight".to_owned(), tensor(&[128, 512]));
    let error = Teacher::from_state(TEN, both, Device::Cpu).err().unwrap();
    assert!(error.message().contains("two tensors of the file are projection.0.weight"), "{error}");
    let mut nan = moco_v1();
    nan.tensors.get_mut(bias).unwrap().bytes[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    assert_eq!(Teacher::from_state(TEN, nan, Device::Cpu).err().unwrap().kind(), ErrorKind::Format);
}

/// A student with a projection of its own takes the backbone of such a file and keeps its head.
#[test]
fn a_student_starts_from_moco_v1() {
    let [zip, legacy] = checkpoints("moco_v1");
    for path in [zip, legacy] {
        let network = Network::new(TEN, Head::Projection { hidden: 512, dim: 128 }, 3, Device::Cpu).unwrap();
        assert!(!start_from(&network, &path, &Input::default()).unwrap().head);
        let linear = Network::new(TEN, Head::LinearProjection { dim: 128 }, 3, Device::Cpu).unwrap();
        assert!(start_from(&linear, &path, &Input::default()).unwrap().head);
        assert!(linear.parameters().iter().all(|(_, tensor)| tensor.min().double_value(&[]) == 1.0));
        let described = describe(&path).unwrap();
        let head = described["states"][0]["networks"][0]["head"].to_string();
        assert_eq!(head, r#"{"dim":128,"kind":"linear_projection"}"#);
    }
}

#[test]
fn a_file_is_described_before_anything_is_made_of_it() {
    for (path, format) in checkpoints("moco_v2").into_iter().zip(["torch_zip", "torch_legacy"]) {
        let found = describe(&path).unwrap();
        assert_eq!(found["format"], format);
        assert_eq!((&found["metadata"]["epoch"], &found["metadata"]["arch"]), (&"800".into(), &"resnet10".into()));
        let [state] = found["states"].as_array().unwrap().as_slice() else { panic!("{found}") };
        assert_eq!((&state["under"], &state["tensors"]), (&"state_dict".into(), &90.into()), "{state}");
        assert_eq!(state["types"]["float16"], 74);
        let [network] = state["networks"].as_array().unwrap().as_slice() else { panic!("{state}") };
        assert_eq!((&network["architecture"], &network["layout"]), (&"resnet10".into(), &"torchvision".into()));
        assert_eq!(network["prefix"], "module.encoder_q.");
        assert_eq!(network["head"].to_string(), r#"{"dim":128,"hidden":512,"kind":"projection"}"#);
    }
    let found = describe(&checkpoints("dino")[0]).unwrap();
    let [student, teacher] = found["states"].as_array().unwrap().as_slice() else { panic!("{found}") };
    assert_eq!((&student["under"], &teacher["under"]), (&"student".into(), &"teacher".into()));
    assert_eq!((&student["nearest"]["architecture"], &student["nearest"]["needed"]), (&"resnet10".into(), &60.into()));
    assert_eq!(teacher["networks"][0]["architecture"], "resnet10");
    assert!(teacher["nearest"].is_null());

    let found = describe(&checkpoints("timm")[1]).unwrap();
    assert_eq!(found["states"][0]["networks"][0]["head"].to_string(), r#"{"classes":10,"kind":"classifier"}"#);
    let found = describe(&golden("weights/kinds.safetensors")).unwrap();
    let state = &found["states"][0];
    assert!(state["networks"].as_array().unwrap().is_empty() && state["nearest"].is_null(), "{state}");
    assert_eq!((&state["types"]["bfloat16"], &state["tensors"]), (&1.into(), &20.into()));
    assert_eq!(describe(&golden("weights/unread.tensor.pt")).unwrap_err().kind(), ErrorKind::Format);
}

#[test]
fn a_student_starts_from_weights_of_imagenet_and_keeps_its_head() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let case = "timm.mobilenetv3_small_100";
    let Case { architecture, state, .. } = cases().into_iter().find(|found| found.name == case).unwrap();
    write_safetensors(&path, &state.tensors.into_iter().collect::<Vec<_>>(), &BTreeMap::new()).unwrap();
    let network = Network::new(architecture, Head::Projection { hidden: 8, dim: 4 }, 3, Device::Cpu).unwrap();
    let head = |network: &Network| network.parameters().into_iter().filter(|(name, _)| name.starts_with("projection."));
    let before: Vec<_> = head(&network).map(|(name, tensor)| (name, tensor.copy())).collect();
    let done = start_from(&network, &path, &Input::default()).unwrap();
    assert_eq!((done.layout, done.prefix.as_str(), done.head), ("timm", "", false));
    assert_eq!(done.ignored, ["classifier.3.bias", "classifier.3.weight"]);
    assert_eq!(done.loaded, network.tensors().len() - before.len());
    assert_eq!(head(&network).collect::<Vec<_>>(), before);
    let golden: BTreeMap<String, Tensor> =
        Tensor::read_safetensors(golden("layouts.safetensors")).unwrap().into_iter().collect();
    let features = network.features(&images(1, 96), Mode::Eval).unwrap().detach();
    assert!(relative(&features, &golden[case]) < 1e-4);
}

#[test]
fn a_student_of_seed_goes_on_with_its_head_or_not_at_all() {
    let path = &checkpoints("seed_student")[0];
    let network = Network::new(TEN, Head::Projection { hidden: 512, dim: 128 }, 3, Device::Cpu).unwrap();
    let done = start_from(&network, path, &Input::default()).unwrap();
    assert_eq!((done.prefix.as_str(), done.head, done.defaulted.len()), ("student.", true, 0));
    assert_eq!((done.loaded, done.converted), (76, 64));
    assert!(network.parameters().iter().all(|(_, tensor)| tensor.min().double_value(&[]) == 1.0));

    let wider =
        Network::new(Architecture::ResNet18, Head::Projection { hidden: 512, dim: 128 }, 3, Device::Cpu).unwrap();
    let before = wider.deep_copy().unwrap();
    let error = start_from(&wider, path, &Input::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Mismatch);
    assert!(
        error.message().contains("the weights are those of resnet10 under \"student.\", not of resnet18"),
        "{error}"
    );
    assert!(error.message().contains("seed_student.zip.pth"), "{error}");
    assert!(wider.tensors() == before.tensors());
}

/// A whole checkpoint of MoCo-v1 or -v2 as its authors' code writes it, with key encoder, queue, optimiser and arguments, and what its query
/// encoder computes.
const MOCO: &str = r#"
import argparse, sys, torch, torchvision
torch.manual_seed(0)
folder, mlp = sys.argv[1], sys.argv[2] == "2"
def encoder():
    net = torchvision.models.resnet18(num_classes=128)
    if mlp:
        net.fc = torch.nn.Sequential(torch.nn.Linear(512, 512), torch.nn.ReLU(), net.fc)
    return net
class MoCo(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder_q, self.encoder_k = encoder(), encoder()
        self.register_buffer("queue", torch.randn(128, 1024))
        self.register_buffer("queue_ptr", torch.zeros(1, dtype=torch.long))
model = MoCo()
optimizer = torch.optim.SGD(model.encoder_q.parameters(), lr=.03, momentum=.9, weight_decay=1e-4)
for _ in range(2):
    optimizer.zero_grad()
    model.encoder_q(torch.randn(2, 3, 64, 64)).square().mean().backward()
    optimizer.step()
state = {"module." + name: tensor for name, tensor in model.state_dict().items()}
content = {"epoch": 2, "arch": "resnet18", "state_dict": state, "optimizer": optimizer.state_dict(),
           "args": argparse.Namespace(lr=.03, mlp=mlp)}
torch.save(content, folder + "/moco.pth.tar", _use_new_zipfile_serialization=False)
images = torch.linspace(-2, 2, 2 * 3 * 64 * 64).reshape(2, 3, 64, 64).sin()
with torch.no_grad():
    embedding = torch.nn.functional.normalize(model.eval().encoder_q(images), dim=1)
torch.save({"images": images, "embedding": embedding}, folder + "/expected.pt")
"#;

#[test]
fn a_whole_checkpoint_of_moco_embeds_as_it_does_in_pytorch() {
    for (version, head) in
        [("1", Head::LinearProjection { dim: 128 }), ("2", Head::Projection { hidden: 512, dim: 128 })]
    {
        a_checkpoint_embeds_as_in_pytorch(version, head);
    }
}

fn a_checkpoint_embeds_as_in_pytorch(version: &str, head: Head) {
    let folder = tempfile::tempdir().unwrap();
    let made = programs::python().args(["-c", MOCO]).arg(folder.path()).arg(version).output();
    if !made.as_ref().is_ok_and(|output| output.status.success()) {
        let reason = made.map_or_else(
            |error| error.to_string(),
            |output| String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned(),
        );
        // Another failure than that of the import is a failure of this test.
        let absent = reason.contains("No module named 'torch") || reason.contains("No such file");
        assert!(absent, "{reason}");
        eprintln!("SKIPPED: no Python with torch and torchvision ({reason}); SEED_PYTHON may name one");
        return;
    }
    let expected = read_side(&folder.path().join("expected.pt"), Side::Teacher).unwrap().tensors;
    let teacher = Teacher::from_file(Architecture::ResNet18, &folder.path().join("moco.pth.tar"), Device::Cpu).unwrap();
    assert_eq!(teacher.head().unwrap(), head);
    let embedding = teacher.embed(&expected["images"].to_tensor().unwrap()).unwrap();
    let error = relative(&embedding, &expected["embedding"].to_tensor().unwrap());
    assert!(error < 1e-4, "{error:.1e}");
    println!("MoCo-v{version}: {error:.1e}");
}
