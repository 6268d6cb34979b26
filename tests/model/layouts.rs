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
use seed::model::weights::{HostTensor, HostType, Side, StateDict, read_side, write_safetensors};
use seed::model::{Architecture, Head, Mode, Network, Student, Teacher, describe, published, start_from};
use tch::{Device, Tensor};

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
    for Case { name: case, architecture, side, state } in cases {
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

/// Both formats of a checkpoint of make_layouts.py.
fn checkpoints(name: &str) -> [PathBuf; 2] {
    ["zip.pth", "legacy.pth.tar"].map(|format| golden("checkpoints").join(format!("{name}.{format}")))
}

const TEN: Architecture = Architecture::ResNet10;

#[test]
fn checkpoints_as_they_are_published_are_recognised() {
    let plain = Head::Projection { hidden: 512, dim: 128 };
    let normed = Head::NormedProjection { hidden: 64, dim: 128 };
    // What all names share as "module." is taken off before the prefix is looked for.
    for (name, prefix, head, aside) in [
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

/// A whole MoCo-v2 checkpoint as its authors' code writes it, with key encoder, queue, optimiser and arguments, and what its query
/// encoder computes.
const MOCO: &str = r#"
import argparse, sys, torch, torchvision
torch.manual_seed(0)
folder = sys.argv[1]
def encoder():
    net = torchvision.models.resnet18(num_classes=128)
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
           "args": argparse.Namespace(lr=.03, mlp=True)}
torch.save(content, folder + "/moco.pth.tar", _use_new_zipfile_serialization=False)
images = torch.linspace(-2, 2, 2 * 3 * 64 * 64).reshape(2, 3, 64, 64).sin()
with torch.no_grad():
    embedding = torch.nn.functional.normalize(model.eval().encoder_q(images), dim=1)
torch.save({"images": images, "embedding": embedding}, folder + "/expected.pt")
"#;

#[test]
fn a_whole_checkpoint_of_moco_embeds_as_it_does_in_pytorch() {
    let folder = tempfile::tempdir().unwrap();
    let made = programs::python().args(["-c", MOCO]).arg(folder.path()).output();
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
    let embedding = teacher.embed(&expected["images"].to_tensor().unwrap()).unwrap();
    let error = relative(&embedding, &expected["embedding"].to_tensor().unwrap());
    assert!(error < 1e-4, "{error:.1e}");
    println!("MoCo-v2: {error:.1e}");
}
