//! Methods without a teacher: what they learn, that they go on where they were, and what is refused.

use std::sync::{Arc, Mutex};

use seed::ErrorKind;
use seed::config::Config;
use seed::data::{Dataset, Frame};
use seed::distill::Targets;
use seed::eval::Embeddings;
use seed::eval::knn::{KnnConfig, evaluate_splits};
use seed::model::provenance::Provenance;
use seed::model::student_file::{StudentHeader, load_student, save_student};
use seed::model::{Architecture, Head, Mode, Network, Teacher, unit_rows, weights};
use seed::train::{CancelToken, Control, Distillation};
use tch::{Device, Kind, Tensor};

use crate::runs::{losses, state};

const ALONE: [&str; 3] = ["moco_v2", "simclr", "swav"];
const NONE: Targets = Targets::Own { dim: 0 };

/// Stripes, upright in even images and level in odd ones, of several widths and levels.
fn frame(image: usize) -> Frame {
    let (width, level) = (2 + image % 5, image % 2 == 1);
    let value = |x: usize, y: usize| {
        let stripe = (if level { y } else { x } + image / 2) / width;
        if stripe.is_multiple_of(2) { 20 + (image * 7 % 80) as u8 } else { 160 + (image * 5 % 80) as u8 }
    };
    Frame::new(32, 32, 1, (0..32 * 32).map(|p| value(p % 32, p / 32)).collect()).unwrap()
}

fn dataset(images: usize) -> Arc<Dataset> {
    let dataset = Dataset::in_memory();
    for image in 0..images {
        dataset.push_frame(&image.to_string(), frame(image)).unwrap();
    }
    Arc::new(dataset)
}

fn config(method: &str, steps: u64) -> Config {
    let mut config = Config::default();
    config.preset(method).unwrap();
    for (key, value) in [("image_width", 32), ("image_height", 32), ("batch_size", 16), ("queue_capacity", 64)] {
        config.set_int(key, value).unwrap();
    }
    config.set_string("device", "cpu").unwrap();
    config.set_string("precision", "fp32").unwrap();
    (config.steps, config.progress_every, config.workers) = (steps, 1, 1);
    if method == "swav" {
        (config.small.count, config.small.size) = (2, 16);
        (config.methods.swav_queue, config.methods.swav_queue_epoch) = (24, 1);
    }
    config
}

fn run_of(config: &Config, dataset: Option<Arc<Dataset>>) -> seed::Result<Distillation> {
    let student = Network::new(Architecture::ResNet10, Head::None, 1, Device::Cpu).unwrap();
    Distillation::new(config.clone(), Arc::new(Mutex::new(student)), NONE, None, dataset)
}

/// Balanced recall of 10-NN: does the student tell level stripes from upright ones, whatever their width and grey?
fn recall(student: &Network, dataset: &Dataset) -> f64 {
    let frames: Vec<Tensor> = (0..dataset.len())
        .map(|image| {
            let frame = dataset.load(image).unwrap();
            let pixels = Tensor::from_slice(frame.pixels()).to_kind(Kind::Float).view([1, 1, 32, 32]) / 255.0;
            (pixels.expand([1, 3, 32, 32], false) - 0.45) / 0.225
        })
        .collect();
    let rows = tch::no_grad(|| unit_rows(&student.features(&Tensor::cat(&frames, 0), Mode::Eval).unwrap()).unwrap());
    let dim = rows.size()[1] as usize;
    let numbers: Vec<f32> = Vec::try_from(rows.contiguous().view([-1])).unwrap();
    let labels: Vec<i64> = (0..dataset.len() as i64).map(|image| image % 2).collect();
    evaluate_splits(&Embeddings::new(&numbers, dim).unwrap(), &labels, &KnnConfig { k: 10, ..KnnConfig::default() })
        .unwrap()
        .balanced_recall
        .mean
}

#[test]
fn a_student_learns_from_its_own_views() {
    for method in ALONE {
        let mut config = config(method, 90);
        config.learning_rate = if method == "moco_v2" { 0.6 } else { 8.0 };
        // Which way stripes run is what is to be learned, so nothing may turn or crop it away.
        config.view.crop_scale_min = 0.5;
        let images = dataset(96);
        let mut run = run_of(&config, Some(Arc::clone(&images))).unwrap();
        let before = recall(&run.student().lock().unwrap(), &images);
        let found = losses(&mut run, None);
        let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
        // MoCo's loss rises at first, while keys take the place of the queue's noise.
        let (start, end) = (mean(&found[5..15]), mean(&found[80..]));
        let after = recall(&run.student().lock().unwrap(), &images);
        println!("{method}: loss {start:.3} → {end:.3}, recall {before:.3} → {after:.3}");
        assert!(end < start - 0.1, "{method}: {start} → {end}");
        assert!(after > 0.9 && after >= before, "{method}: {before} → {after}");
        assert!(run.looks().is_none(), "there is no teacher to agree with");
        assert!(run.warnings().list().is_empty(), "{:?}", run.warnings().list());
    }
}

#[test]
fn a_run_goes_on_bit_for_bit_with_all_that_its_method_keeps() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("half");
    for method in ALONE {
        let make = || run_of(&config(method, 6), Some(dataset(20))).unwrap();
        let mut whole = make();
        losses(&mut whole, Some(3));
        whole.save(&path).unwrap();
        assert_eq!(path.join("momentum_encoder.safetensors").exists(), method == "moco_v2");
        losses(&mut whole, None);
        let mut resumed = make();
        resumed.resume(&path).unwrap();
        losses(&mut resumed, None);
        assert!(state(&resumed, folder.path()) == state(&whole, folder.path()), "{method}");
    }
    // A checkpoint without a part of its method is none.
    for (method, part) in [
        ("moco_v2", "momentum_encoder"),
        ("swav", "prototypes"),
        ("swav", "queue_of_first_views"),
        ("swav", "queue_of_second_views"),
    ] {
        let mut run = run_of(&config(method, 6), Some(dataset(20))).unwrap();
        run.save(&path).unwrap();
        std::fs::remove_file(path.join(format!("{part}.safetensors"))).unwrap();
        let before = state(&run, folder.path());
        assert!(run.resume(&path).is_err(), "{part}");
        assert!(state(&run, folder.path()) == before, "{part}");
    }
    // What its method is set to is part of a run.
    let mut swav = run_of(&config("swav", 6), Some(dataset(20))).unwrap();
    swav.save(&path).unwrap();
    for change in ["swav.prototypes=9", "swav.queue=25", "swav.queue_epoch=2", "swav.frozen_epochs=0", "small.count=1"]
    {
        let mut other = config("swav", 6);
        other.parse(change).unwrap();
        let error = run_of(&other, Some(dataset(20))).unwrap().resume(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Mismatch, "{change}: {error}");
    }
    losses(&mut swav, Some(1));
}

#[test]
fn the_prototypes_of_swav_wait_for_a_pass_and_its_queues_hold_the_large_views() {
    let folder = tempfile::tempdir().unwrap();
    // LARS moves a tensor by a thousandth of its length at a rate of 1.
    let fast = Config { learning_rate: 100.0, ..config("swav", 6) };
    let mut run = run_of(&fast, Some(dataset(48))).unwrap();
    let part = |run: &Distillation, name: &str, tensor: &str| {
        run.save(&folder.path().join("state")).unwrap();
        let part = weights::read(&folder.path().join(format!("state/{name}.safetensors"))).unwrap();
        part.tensors[tensor].to_tensor().unwrap()
    };
    let moved = |a: &Tensor, b: &Tensor| (a - b).abs().max().double_value(&[]);
    let first = part(&run, "prototypes", "weight");
    assert_eq!(first.size(), [8, 128], "one for each ten images, but eight at least");
    losses(&mut run, Some(3));
    let after_a_pass = part(&run, "prototypes", "weight");
    assert!(moved(&after_a_pass, &first) < 1e-6, "48 images are three steps");
    losses(&mut run, Some(1));
    let then = part(&run, "prototypes", "weight");
    assert!(moved(&then, &after_a_pass) > 1e-5);
    let lengths = then.square().sum_dim_intlist([1i64].as_slice(), false, Kind::Float);
    assert!((lengths - 1.0).abs().max().double_value(&[]) < 1e-5);
    let queues = ["queue_of_first_views", "queue_of_second_views"].map(|name| part(&run, name, "queue"));
    assert!(queues.iter().all(|queue| queue.size() == [24, 128]) && moved(&queues[0], &queues[1]) > 1e-3);
    assert!(!folder.path().join("state/queue_of_small_views.safetensors").exists());
    assert_eq!(run.queue().lock().unwrap().len(), 0, "the run's own queue has no part in it");

    let mut many = config("swav", 2);
    many.methods.swav_prototypes = 100;
    let run = run_of(&many, Some(dataset(48))).unwrap();
    assert!(run.warnings().list()[0].contains("swav.prototypes is 100"), "{:?}", run.warnings().list());
    // Large views alone.
    many.small.count = 0;
    assert_eq!(losses(&mut run_of(&many, Some(dataset(48))).unwrap(), None).len(), 2);
}

#[test]
fn the_momentum_encoder_is_behind_the_student_and_the_queue_holds_its_keys() {
    let folder = tempfile::tempdir().unwrap();
    let mut still = config("moco_v2", 4);
    still.methods.momentum = 1.0;
    let mut run = run_of(&still, Some(dataset(32))).unwrap();
    let first = run.student().lock().unwrap().parameters()[0].1.detach().copy();
    losses(&mut run, None);
    run.save(&folder.path().join("state")).unwrap();
    let encoder = weights::read(&folder.path().join("state/momentum_encoder.safetensors")).unwrap();
    let name = &run.student().lock().unwrap().parameters()[0].0;
    let own = encoder.tensors[name].to_tensor().unwrap();
    assert!(own == first, "momentum 1 keeps all of it");
    assert!(run.student().lock().unwrap().parameters()[0].1 != first);
    // 4 steps of 16: the queue of 64 is full of keys, unit rows and no two the same.
    let queue = run.queue().lock().unwrap();
    assert_eq!(queue.len(), 64);
    let lengths = queue.rows().square().sum_dim_intlist([1i64].as_slice(), false, Kind::Float);
    assert!((lengths - 1.0).abs().max().double_value(&[]) < 1e-5);
}

#[test]
fn heads_are_those_of_the_method_and_the_student_teaches_another_run() {
    let folder = tempfile::tempdir().unwrap();
    for method in ALONE {
        let images = dataset(40);
        let provenance = Arc::new(Provenance::default());
        let mut run =
            run_of(&config(method, 3), Some(Arc::clone(&images))).unwrap().recorded_in(Arc::clone(&provenance));
        losses(&mut run, None);
        let about = &provenance.to_value()["distillation"];
        assert!(about["method"] == method && about["teacher"].is_null(), "{about}");
        let path = folder.path().join(method);
        {
            let student = run.student().lock().unwrap();
            assert_eq!(student.output_dim(), 128);
            assert_eq!(matches!(student.head(), Head::NormedProjection { .. }), method != "moco_v2");
            save_student(&path, &student, &StudentHeader::new(&student, &config(method, 3).view.input)).unwrap();
        }
        let teacher = Arc::new(Teacher::new(load_student(&path).unwrap().0).unwrap());
        let mut config = config(method, 12);
        config.preset("site").unwrap();
        config.set_string("method", "seed").unwrap();
        (config.view.input.width, config.view.input.height, config.batch_size, config.steps) = (32, 32, 16, 12);
        (config.view_count, config.queue_capacity) = (0, 32);
        let student = Network::new(Architecture::MobileNetV3Small, Head::None, 2, Device::Cpu).unwrap();
        let mut taught = Distillation::new(config, Arc::new(Mutex::new(student)), teacher, None, Some(images)).unwrap();
        assert!(losses(&mut taught, None).iter().all(|loss| loss.is_finite()));
        assert!(taught.looks().unwrap().images > 0);
    }
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    // A method with a teacher and none, and the reverse.
    let mut seed = config("moco_v2", 2);
    seed.set_string("method", "seed").unwrap();
    let error = run_of(&seed, Some(dataset(8))).err().unwrap();
    assert!(error.kind() == ErrorKind::InvalidArgument && error.message().contains("moco_v2, simclr, swav"), "{error}");
    let teacher = || {
        let head = Head::Projection { hidden: 0, dim: 16 };
        Arc::new(Teacher::new(Network::new(Architecture::ResNet10, head, 2, Device::Cpu).unwrap()).unwrap())
    };
    for method in ALONE {
        let student = Network::new(Architecture::ResNet10, Head::None, 1, Device::Cpu).unwrap();
        let run =
            Distillation::new(config(method, 2), Arc::new(Mutex::new(student)), teacher(), None, Some(dataset(8)));
        let error = run.err().unwrap();
        assert!(error.kind() == ErrorKind::InvalidArgument && error.message().contains("without a teacher"), "{error}");
    }
    for method in ["simclr", "swav"] {
        let pieces = Config { accumulation_steps: 2, ..config(method, 2) };
        let error = run_of(&pieces, Some(dataset(8))).err().unwrap();
        assert!(error.message().contains("accumulation_steps is 2"), "{error}");
    }
    // MoCo's batch may go through in pieces.
    let pieces = Config { accumulation_steps: 2, ..config("moco_v2", 2) };
    assert_eq!(losses(&mut run_of(&pieces, Some(dataset(8))).unwrap(), None).len(), 2);

    for method in ALONE {
        // One image in all, equal images, and a queue shorter than a batch.
        for images in [1, 20] {
            let equal = Dataset::in_memory();
            (0..images).for_each(|i| _ = equal.push_frame(&i.to_string(), frame(3)).unwrap());
            let mut few = Config { queue_capacity: 3, ..config(method, 3) };
            few.methods.swav_queue = 3;
            let found = losses(&mut run_of(&few, Some(Arc::new(equal))).unwrap(), None);
            assert!(found.len() == 3 && found.iter().all(|loss| loss.is_finite()), "{method}: {found:?}");
        }
        // The application's own frames, without a data set.
        let mut run = run_of(&config(method, 9), None).unwrap();
        let frames: Vec<Frame> = (0..6).map(frame).collect();
        assert!(run.step_on(&frames).unwrap().is_finite());
        let before = state(&run, folder.path());
        if method != "moco_v2" {
            let error = run.step_on(&frames[..1]).unwrap_err();
            assert!(error.kind() == ErrorKind::InvalidArgument && error.message().contains("two images"), "{error}");
            assert!(run.step() == 1 && state(&run, folder.path()) == before);
        }
    }
}

#[test]
fn the_learning_rate_of_simclr_rises_over_ten_passes_unless_that_is_set() {
    let rates = |config: &Config| {
        let mut rates = Vec::new();
        run_of(config, Some(dataset(32)))
            .unwrap()
            .run(None, &CancelToken::new(), |progress| {
                rates.push(progress.learning_rate);
                Control::Continue
            })
            .unwrap();
        rates.split_off(1)
    };
    // Ten passes of two steps are more than a tenth of 40 steps, which bounds them.
    let found = rates(&config("simclr", 40));
    assert!(
        found[..4].windows(2).all(|pair| pair[0] < pair[1]) && found[4..].windows(2).all(|pair| pair[0] > pair[1]),
        "{found:?}"
    );
    let mut set = config("simclr", 10);
    set.set_int("warmup_steps", 0).unwrap();
    let found = rates(&set);
    assert!(found.windows(2).all(|pair| pair[0] > pair[1]), "{found:?}");
}
