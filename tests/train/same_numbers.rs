//! Runs give the numbers that they have always given: SHA-256 over every bit of what they learn, in tests/golden/runs.txt.
//!
//! oneDNN and ATen compute by the instructions that a CPU has, so a hash holds for CPUs of one capability. On another one the test
//! prints its lines for the file; they are worth adding when they were made before a change, by the commit that is known to be right.

use std::path::Path;
use std::sync::{Arc, Mutex};

use seed::config::{Config, Precision};
use seed::data::{Dataset, Frame, Input};
use seed::distill::{Bank, ImageEmbeddings, ImageTargets, Targets};
use seed::infer::{AnomalyDetector, SessionOptions};
use seed::model::student_file::StudentHeader;
use seed::model::weights::{self, HostTensor};
use seed::model::{Architecture, Head, Network, Teacher};
use seed::train::finetune::{Labelled, Start, finetune};
use seed::train::{CancelToken, Control, Distillation, fill_bank};
use sha2::{Digest, Sha256};
use tch::Device;

const DIM: i64 = 16;
const IMAGES: usize = 24;

/// What of a CPU decides by which instructions libtorch computes.
fn capability() -> String {
    let about = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = about.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').map_or("", |(_, value)| value).trim().to_owned()
    };
    let flags = field("flags");
    let known = ["avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16"];
    let has: Vec<&str> = known.into_iter().filter(|name| flags.split_whitespace().any(|flag| flag == *name)).collect();
    format!("{}+{}", field("vendor_id"), has.join("+"))
}

fn dataset() -> Arc<Dataset> {
    let dataset = Dataset::in_memory();
    for image in 0..IMAGES {
        let pixels = (0..40 * 40).map(|i| (i / (1 + image % 5) * (image + 3) % (40 + 7 * image)) as u8).collect();
        dataset.push_frame(&image.to_string(), Frame::new(40, 40, 1, pixels).unwrap()).unwrap();
    }
    Arc::new(dataset)
}

fn config() -> Config {
    let mut config = Config {
        batch_size: 6,
        steps: 20,
        queue_capacity: 16,
        embedding_dim: DIM as u64,
        device: "cpu".to_owned(),
        precision: Precision::Fp32,
        workers: 2,
        ..Config::default()
    };
    (config.view.input.width, config.view.input.height) = (48, 32);
    // They decide nothing but which student is kept.
    config.probe.keep_best = 0;
    config
}

fn student(name: &str, channels: i64) -> Network {
    let head = Head::Projection { hidden: 0, dim: DIM };
    Network::with_channels(Architecture::parse(name).unwrap(), head, channels, 1, Device::Cpu).unwrap()
}

fn teacher() -> Arc<Teacher> {
    let head = Head::Projection { hidden: 0, dim: DIM };
    Arc::new(Teacher::new(Network::new(Architecture::ResNet18, head, 2, Device::Cpu).unwrap()).unwrap())
}

fn hash<'a>(tensors: impl IntoIterator<Item = (&'a str, &'a HostTensor)>) -> String {
    let mut sorted: Vec<_> = tensors.into_iter().collect();
    sorted.sort_unstable_by_key(|(name, _)| *name);
    let mut sha = Sha256::new();
    for (name, tensor) in sorted {
        sha.update(name);
        sha.update(&tensor.bytes);
    }
    sha.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn hash_of_file(path: &Path) -> String {
    hash(weights::read(path).unwrap().tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)))
}

fn finish(run: &mut Distillation, steps: Option<u64>) {
    run.run(steps, &CancelToken::new(), |_| Control::Continue).unwrap();
}

fn distilled(config: &Config, name: &str, targets: impl Into<Targets>) -> String {
    let channels = i64::from(config.view.input.channels);
    let student = Arc::new(Mutex::new(student(name, channels)));
    let mut run = Distillation::new(config.clone(), student, targets, None, Some(dataset())).unwrap();
    finish(&mut run, None);
    saved(&run)
}

/// Of weights, buffers, velocities and queue.
fn saved(run: &Distillation) -> String {
    let folder = tempfile::tempdir().unwrap();
    run.save(&folder.path().join("state")).unwrap();
    let of = |name: &str| hash_of_file(&folder.path().join("state").join(name));
    format!(
        "{}{}{}",
        &of("student.safetensors")[..12],
        &of("optimiser.safetensors")[..10],
        &of("queue.safetensors")[..10]
    )
}

fn resumed() -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("half");
    let run = || {
        let student = Arc::new(Mutex::new(student("efficientnet_b0", 3)));
        Distillation::new(config(), student, teacher(), None, Some(dataset())).unwrap()
    };
    let mut first = run();
    finish(&mut first, Some(9));
    first.save(&path).unwrap();
    let mut second = run();
    second.resume(&path).unwrap();
    finish(&mut second, None);
    saved(&second)
}

fn embeddings() -> Arc<ImageTargets> {
    let numbers: Vec<f32> = (0..IMAGES * DIM as usize).map(|i| (i as f32 * 0.7).sin()).collect();
    Arc::new(ImageTargets::new(Arc::new(ImageEmbeddings::new(&numbers, DIM as usize).unwrap()), &dataset()).unwrap())
}

fn banked(folder: &Path, channels: i64) -> (Config, Arc<Bank>) {
    let mut config = Config { view_count: 3, ..config() };
    config.set_int("image_channels", channels).unwrap();
    let path = folder.join(channels.to_string());
    fill_bank(&path, &config, &teacher(), &dataset(), None, &CancelToken::new(), |_| Control::Continue).unwrap();
    (config, Arc::new(Bank::open(&path).unwrap()))
}

fn finetuned(mode: &str) -> String {
    let mut config = Config { nice: 0, ..config() };
    config.set_string("finetune.mode", mode).unwrap();
    (config.finetune.epochs, config.finetune.batch_size, config.finetune.held_out) = (3, 8, 0.25);
    let dataset = dataset();
    let labels: Vec<i32> = (0..IMAGES as i32).map(|image| image % 2).collect();
    let names = ["even".to_owned(), "odd".to_owned()];
    let network = student("resnet10", 3);
    let start = Start::student(&network, &StudentHeader::new(&network, &config.view.input)).unwrap();
    let images = Labelled { dataset: &dataset, labels: &labels, names: &names };
    let (classifier, _) = finetune(&config, start, None, &images, &CancelToken::new(), |_| Control::Continue).unwrap();
    let state = classifier.network().unwrap().to_state().unwrap();
    hash(state.iter().map(|(name, tensor)| (name.as_str(), tensor)))
}

fn detector(kind: &str) -> String {
    let mut config = config();
    config.set_string("anomaly.kind", kind).unwrap();
    config.anomaly.layers = "layer1, layer2".to_owned();
    (config.anomaly.epochs, config.anomaly.batch_size, config.anomaly.held_out) = (3, 8, 0.25);
    config.anomaly.false_alarm_rate = 0.3;
    let view = Input { width: 64, height: 48, ..Input::default() };
    let options = SessionOptions { precision: Some(tch::Kind::Float), ..SessionOptions::default() };
    let network = student("resnet10", 3);
    let detector = AnomalyDetector::fit(&network, &view, &config, options, &dataset(), &mut |_, _| true).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("detector.safetensors");
    detector.save(&path).unwrap();
    hash_of_file(&path)
}

#[test]
fn runs_give_the_numbers_that_they_have_always_given() {
    let folder = tempfile::tempdir().unwrap();
    let mut pieces = Config { accumulation_steps: 3, clip_norm: 0.5, ..config() };
    pieces.set_string("view.device", "device").unwrap();
    let mut grey = config();
    grey.set_int("image_channels", 1).unwrap();
    let whole = distilled(&config(), "efficientnet_b0", teacher());
    assert_eq!(resumed(), whole, "a run that was resumed");
    let (of_bank, bank) = banked(folder.path(), 3);
    let (of_grey_bank, grey_bank) = banked(folder.path(), 1);
    let found = [
        ("teacher", whole),
        ("pieces", distilled(&pieces, "resnet10", teacher())),
        ("grey", distilled(&grey, "resnet10", teacher())),
        ("bank", distilled(&of_bank, "resnet10", bank)),
        ("grey_bank", distilled(&of_grey_bank, "resnet10", grey_bank)),
        ("embeddings", distilled(&config(), "resnet10", embeddings())),
        ("linear", finetuned("linear")),
        ("full", finetuned("full")),
        ("patchcore", detector("patchcore")),
        ("stfpm", detector("stfpm")),
    ];
    let capability = capability();
    let golden = std::fs::read_to_string(crate::golden::golden("runs.txt")).unwrap();
    let wanted = |name: &str| {
        golden.lines().find_map(|line| line.strip_prefix(&format!("{capability} {name} ")).map(str::to_owned))
    };
    let lines = || found.iter().map(|(name, hash)| format!("{capability} {name} {hash}\n")).collect::<String>();
    if wanted(found[0].0).is_none() {
        eprintln!("SKIPPED: tests/golden/runs.txt has no lines of this CPU; they would be\n{}", lines());
        return;
    }
    let other: Vec<&str> =
        found.iter().filter(|(name, hash)| wanted(name).as_ref() != Some(hash)).map(|f| f.0).collect();
    assert!(other.is_empty(), "other numbers in {other:?}; this is what came out:\n{}", lines());
}
