//! Small views beside large ones: what they add to the loss, their queue, and who knows none.

use std::path::Path;
use std::sync::{Arc, Mutex};

use seed::ErrorKind;
use seed::config::Config;
use seed::data::{Dataset, Frame, Loader, Sampling, Slot};
use seed::distill::bank::predicted_bytes;
use seed::distill::loss::naive_loss;
use seed::distill::queue::Queue;
use seed::distill::{Bank, Targets, Temperatures};
use seed::model::{Architecture, Head, Mode, Network, Teacher, unit_rows, weights};
use seed::train::{CancelToken, Control, Distillation, Outcome, fill_bank};
use tch::{Device, Kind, Tensor};

use crate::runs::losses;

const DIM: i64 = 12;

fn dataset() -> Arc<Dataset> {
    let dataset = Dataset::in_memory();
    for image in 0..10usize {
        let pixels = (0..48 * 48).map(|i| (i / (1 + image % 5) * (image + 3) % (40 + 7 * image)) as u8).collect();
        dataset.push_frame(&image.to_string(), Frame::new(48, 48, 1, pixels).unwrap()).unwrap();
    }
    Arc::new(dataset)
}

fn config(small: u64, steps: u64) -> Config {
    let mut config = Config { batch_size: 4, steps, queue_capacity: 16, learning_rate: 1.0, ..Config::default() };
    for (key, word) in [("device", "cpu"), ("precision", "fp32"), ("queue.fill", "noise")] {
        config.set_string(key, word).unwrap();
    }
    (config.view.input.width, config.view.input.height, config.progress_every, config.workers) = (64, 48, 1, 1);
    (config.small.count, config.small.size) = (small, 32);
    config
}

fn network(architecture: Architecture, seed: u64) -> Network {
    Network::new(architecture, Head::Projection { hidden: 0, dim: DIM }, seed, Device::Cpu).unwrap()
}

fn teacher() -> Arc<Teacher> {
    Arc::new(Teacher::new(network(Architecture::ResNet18, 2)).unwrap())
}

fn run_over(config: &Config, targets: impl Into<Targets>) -> seed::Result<Distillation> {
    let student = Arc::new(Mutex::new(network(Architecture::ResNet10, 1)));
    Distillation::new(config.clone(), student, targets, None, Some(dataset()))
}

fn part(run: &Distillation, folder: &Path, name: &str) -> weights::StateDict {
    run.save(&folder.join("state")).unwrap();
    weights::read(&folder.join("state").join(name)).unwrap()
}

#[test]
fn their_losses_are_added_and_their_queue_gets_the_first_of_each_image() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(3, 2);
    let small = config.small.view(&config.view);
    assert_eq!((small.input.width, small.input.height), (42, 32), "the shorter side is small.size");
    let mut with = run_over(&config, teacher()).unwrap();
    let found = losses(&mut with, Some(1))[0];
    let without = losses(&mut run_over(&self::config(0, 2), teacher()).unwrap(), Some(1))[0];

    // The same views again, and the loss by its definition, in float64.
    let recipes = vec![config.view.clone(), small.clone(), small.clone(), small];
    let sampling = Sampling { recipes, seed: config.seed, repeated: 0, kept: None };
    let batch = Loader::sampled(dataset(), sampling, 4, 0..1, 1).unwrap().next().unwrap().unwrap();
    let (student, teacher) = (network(Architecture::ResNet10, 1), network(Architecture::ResNet18, 2));
    let queue = Queue::new(16, DIM, config.seed + 1, Device::Cpu).unwrap();
    let rows = |network: &Network, images: &Tensor, mode: Mode| {
        tch::no_grad(|| unit_rows(&network.forward(images, mode).unwrap()).unwrap().to_kind(Kind::Double))
    };
    let (mut sum, mut first) = (0.0, None);
    for views in &batch.views[1..] {
        let images = Tensor::from_slice(&views.pixels).view([4, 32, 42, 3]).permute([0, 3, 1, 2]);
        let t = rows(&teacher, &images, Mode::Eval);
        let s = rows(&student, &images, Mode::Train { noise: 0 });
        let temperatures = Temperatures { student: 0.2, teacher: 0.01 };
        let loss = naive_loss(&s, &t, &queue.rows().to_kind(Kind::Double), temperatures).unwrap();
        sum += loss.double_value(&[]);
        first.get_or_insert(t);
    }
    assert!((found - (without + sum / 3.0)).abs() < 1e-3, "{found}, expected {without} + {}", sum / 3.0);

    let kept = part(&with, folder.path(), "queue_of_small_views.safetensors");
    let kept = kept.tensors["queue"].to_tensor().unwrap().narrow(0, 0, 4).to_kind(Kind::Double);
    assert!((kept - first.unwrap()).abs().max().double_value(&[]) < 1e-4);
}

#[test]
fn a_run_with_small_views_goes_on_bit_for_bit_and_only_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("half");
    let mut whole = run_over(&config(2, 6), teacher()).unwrap();
    losses(&mut whole, Some(3));
    whole.save(&path).unwrap();
    losses(&mut whole, None);
    let mut resumed = run_over(&config(2, 6), teacher()).unwrap();
    resumed.resume(&path).unwrap();
    losses(&mut resumed, None);
    for name in ["student", "optimiser", "queue", "queue_of_small_views"] {
        let of = |run: &Distillation| {
            run.save(&folder.path().join("state")).unwrap();
            std::fs::read(folder.path().join("state").join(format!("{name}.safetensors"))).unwrap()
        };
        assert!(of(&whole) == of(&resumed), "{name}");
    }
    let error = run_over(&config(0, 6), teacher()).unwrap().resume(&path).unwrap_err();
    assert!(error.kind() == ErrorKind::Mismatch && error.message().contains("small"), "{error}");
    // A small queue of another size is refused, and nothing is changed.
    let file = path.join("queue_of_small_views.safetensors");
    std::fs::remove_file(&file).unwrap();
    let mut fresh = run_over(&config(2, 6), teacher()).unwrap();
    assert!(fresh.resume(&path).is_err() && fresh.step() == 0);
}

#[test]
fn the_applications_frames_have_small_views_too_and_who_has_none_says_so() {
    let mut run = run_over(&config(2, 6), teacher()).unwrap();
    let frames: Vec<Frame> = (0..4).map(|image| (*dataset().load(image).unwrap()).clone()).collect();
    let with = run.step_on(&frames).unwrap();
    let without = run_over(&config(0, 6), teacher()).unwrap().step_on(&frames).unwrap();
    assert!(with > without + 0.1, "{with} {without}");

    let mut alone = config(2, 6);
    alone.set_string("method", "moco_v2").unwrap();
    let error = run_over(&alone, Targets::Own { dim: 0 }).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let mut bounds = config(2, 6);
    (bounds.small.crop_scale_min, bounds.small.crop_scale_max) = (0.5, 0.1);
    assert!(run_over(&bounds, teacher()).err().unwrap().message().contains("small.crop_scale_min"));
}

fn banked(small: u64) -> Config {
    Config { view_count: 3, ..config(small, 8) }
}

fn fill(path: &Path, config: &Config, max_rows: Option<u64>) -> seed::Result<Outcome> {
    fill_bank(path, config, &teacher(), &dataset(), max_rows, &CancelToken::new(), |_| Control::Continue)
}

#[test]
fn a_run_over_a_bank_with_small_views_is_the_online_run_to_rounding() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bank");
    for pieces in [1, 2] {
        let config = Config { accumulation_steps: pieces, ..banked(2) };
        std::fs::remove_file(&path).ok();
        assert_eq!(fill(&path, &config, None).unwrap(), Outcome::Finished);
        // 8 steps of 4 over 10 images come to views 0, 1, 2 and to view 0 again.
        let mut online = run_over(&config, teacher()).unwrap();
        let mut stored = run_over(&config, Arc::new(Bank::open(&path).unwrap())).unwrap();
        let (a, b) = (losses(&mut online, None), losses(&mut stored, None));
        let apart = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        println!("{pieces} pieces: largest difference of a step's loss {apart:.2e}, of losses from {:.3}", a[0]);
        assert!(a.len() == 8 && apart < 5e-3, "{apart}: {a:?} {b:?}");
        for name in ["queue.safetensors", "queue_of_small_views.safetensors"] {
            let of = |run: &Distillation| part(run, folder.path(), name).tensors["queue"].to_tensor().unwrap();
            let (a, b) = (of(&online), of(&stored));
            let apart = (&a - &b).abs().max().double_value(&[]);
            assert!(apart < 1.0 / 2048.0, "{name}: a number differs by {apart}");
            // Other rows than these are further apart.
            let next = (a.narrow(0, 1, 15) - a.narrow(0, 0, 15)).abs().max().double_value(&[]);
            assert!(next > 1.0 / 64.0, "{name}: {next}");
        }
    }
}

#[test]
fn a_bank_with_small_views_is_filled_in_pieces_and_serves_the_same_views_only() {
    let folder = tempfile::tempdir().unwrap();
    let (path, pieces, large) = (folder.path().join("bank"), folder.path().join("pieces"), folder.path().join("large"));
    let many = Config { view_count: 7, ..banked(2) }; // 70 rows: a block and a short one
    assert_eq!(fill(&path, &many, None).unwrap(), Outcome::Finished);
    let whole = std::fs::read(&path).unwrap();
    assert_eq!(whole.len() as u64, predicted_bytes(10, 7, 3 * DIM as u64).unwrap());
    assert_eq!(fill(&pieces, &many, Some(1)).unwrap(), Outcome::Paused);
    assert_eq!(fill(&pieces, &many, None).unwrap(), Outcome::Finished);
    assert!(std::fs::read(&pieces).unwrap() == whole);

    // The large views are the same with small ones beside them, and without these the file is of the first version.
    fill(&large, &Config { view_count: 7, ..banked(0) }, None).unwrap();
    let (with, without) = (Bank::open(&path).unwrap(), Bank::open(&large).unwrap());
    with.verify().unwrap();
    assert_eq!((with.header().format.as_str(), without.header().format.as_str()), ("libseed.bank.2", "libseed.bank.1"));
    assert!(!String::from_utf8_lossy(&std::fs::read(&large).unwrap()[..8192]).contains("small"));
    let (slots, numbers) = ([Slot { view: 6, index: 9 }, Slot { view: 0, index: 2 }], [9, 2]);
    let of = |bank: &Bank, number: usize| bank.targets(&slots, &numbers, number).unwrap().to_kind(Kind::Float);
    assert!((of(&with, 0) - of(&without, 0)).abs().max().double_value(&[]) < 1e-3);
    for (a, b) in [(0, 1), (1, 2), (0, 2)] {
        assert!((of(&with, a) - of(&with, b)).abs().max().double_value(&[]) > 1e-2, "{a} {b}");
    }
    assert_eq!(with.targets(&slots, &numbers, 3).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(without.targets(&slots, &numbers, 1).unwrap_err().kind(), ErrorKind::InvalidArgument);
    let (with, without) = (Arc::new(with), Arc::new(without));

    type Change = fn(&mut Config);
    let changes: [(&Arc<Bank>, Change, &str); 5] = [
        (&without, |_| (), "holds 0 small views beside each view, \"small.count\" is 2"),
        (&with, |c| c.small.count = 0, "holds 2 small views beside each view, \"small.count\" is 0"),
        (&with, |c| c.small.count = 3, "\"small.count\" is 3"),
        (&with, |c| c.small.size = 24, "small views were drawn with"),
        (&with, |c| c.small.crop_scale_max = 0.2, "small views were drawn with crop_scale_max"),
    ];
    for (bank, change, reason) in changes {
        let mut config = many.clone();
        change(&mut config);
        let error = run_over(&config, Arc::clone(bank)).err().unwrap();
        assert!(error.kind() == ErrorKind::Mismatch && error.message().contains(reason), "{error}");
    }
    drop((with, without));
    for (path, config) in [(&path, Config { view_count: 7, ..banked(0) }), (&large, many.clone())] {
        let error = fill(path, &config, None).unwrap_err();
        assert!(error.kind() == ErrorKind::Mismatch && error.message().contains("small"), "{error}");
    }
    assert!(std::fs::read(&path).unwrap() == whole, "a refused bank stays as it is");

    // A header that says other things than its format.
    let length = u32::from_le_bytes(whole[8..12].try_into().unwrap()) as usize;
    let json = String::from_utf8(whole[16..16 + length].to_vec()).unwrap();
    for (from, to) in [
        ("libseed.bank.2", "libseed.bank.1"),
        ("\"small\":{\"count\":2", "\"small\":{\"count\":0"),
        ("\"small\":{\"count\":2", "\"small\":{\"count\":3"),
        ("\"small\":{\"count\":2", "\"small\":{\"count\":64"),
        ("\"small\":{\"count\":2", "\"small\":{\"count\":18446744073709551615"),
    ] {
        let (mut bytes, changed) = (whole.clone(), json.replacen(from, to, 1));
        assert_ne!(changed, json);
        bytes[16..8192].fill(0);
        bytes[16..16 + changed.len()].copy_from_slice(changed.as_bytes());
        bytes[8..12].copy_from_slice(&(changed.len() as u32).to_le_bytes());
        let sum = crc32fast::hash(&[&bytes[..12], &bytes[16..8192]].concat());
        bytes[12..16].copy_from_slice(&sum.to_le_bytes());
        std::fs::write(&pieces, bytes).unwrap();
        assert_eq!(Bank::open(&pieces).unwrap_err().kind(), ErrorKind::Format, "{to}");
    }
}
