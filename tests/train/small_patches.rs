//! Small views beside large ones: what they add to the loss, their queue, and who knows none.

use std::path::Path;
use std::sync::{Arc, Mutex};

use seed::ErrorKind;
use seed::config::Config;
use seed::data::{Dataset, Frame, Loader, Sampling};
use seed::distill::loss::naive_loss;
use seed::distill::queue::Queue;
use seed::distill::{Bank, Targets, Temperatures};
use seed::model::{Architecture, Head, Mode, Network, Teacher, unit_rows, weights};
use seed::train::{CancelToken, Control, Distillation, fill_bank};
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
    (config.view.width, config.view.height, config.progress_every, config.workers) = (64, 48, 1, 1);
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
    assert_eq!((small.width, small.height), (42, 32), "the shorter side is small.size");
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
    let folder = tempfile::tempdir().unwrap();
    let mut run = run_over(&config(2, 6), teacher()).unwrap();
    let frames: Vec<Frame> = (0..4).map(|image| (*dataset().load(image).unwrap()).clone()).collect();
    let with = run.step_on(&frames).unwrap();
    let without = run_over(&config(0, 6), teacher()).unwrap().step_on(&frames).unwrap();
    assert!(with > without + 0.1, "{with} {without}");

    let banked = Config { view_count: 2, ..config(0, 6) };
    let path = folder.path().join("bank");
    fill_bank(&path, &banked, &teacher(), &dataset(), None, &CancelToken::new(), |_| Control::Continue).unwrap();
    let small = Config { view_count: 2, ..config(2, 6) };
    let error = run_over(&small, Arc::new(Bank::open(&path).unwrap())).err().unwrap();
    assert!(error.kind() == ErrorKind::Unsupported && error.message().contains("small.count is 2"), "{error}");
    let mut alone = config(2, 6);
    alone.set_string("method", "moco_v2").unwrap();
    let error = run_over(&alone, Targets::Own { dim: 0 }).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let mut bounds = config(2, 6);
    (bounds.small.crop_scale_min, bounds.small.crop_scale_max) = (0.5, 0.1);
    assert!(run_over(&bounds, teacher()).err().unwrap().message().contains("small.crop_scale_min"));
}
