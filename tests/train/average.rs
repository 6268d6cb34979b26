//! The setting "student.average": the run ends with the mean of its students, and goes on with it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use seed::ErrorKind;
use seed::config::Config;
use seed::data::{Dataset, Frame};
use seed::model::{Architecture, Head, Network, Teacher};
use seed::train::Distillation;
use tch::{Device, Kind, Tensor};

use crate::runs::{frame, losses, state};

const STEPS: u64 = 6;

fn config(share: f64) -> Config {
    let mut config =
        Config { batch_size: 8, steps: STEPS, queue_capacity: 16, learning_rate: 1.0, ..Config::default() };
    for (key, word) in [("device", "cpu"), ("precision", "fp32")] {
        config.set_string(key, word).unwrap();
    }
    (config.progress_every, config.student_average, config.probe.images) = (1, share, 0);
    (config.view.input.width, config.view.input.height) = (32, 32);
    config
}

fn run(share: f64) -> Distillation {
    let network = |architecture, seed| {
        Network::new(architecture, Head::Projection { hidden: 0, dim: 16 }, seed, Device::Cpu).unwrap()
    };
    let dataset = Dataset::in_memory();
    for image in 0..24usize {
        dataset.push_frame(&image.to_string(), frame(image)).unwrap();
    }
    let student = Arc::new(Mutex::new(network(Architecture::ResNet10, 1)));
    let teacher = Arc::new(Teacher::new(network(Architecture::ResNet18, 2)).unwrap());
    Distillation::new(config(share), student, teacher, None, Some(Arc::new(dataset))).unwrap()
}

fn weights(run: &Distillation) -> BTreeMap<String, Tensor> {
    let student = run.student().lock().unwrap();
    student.tensors().into_iter().map(|(name, tensor)| (name, tensor.detach().to_kind(Kind::Double).copy())).collect()
}

#[test]
fn a_run_ends_with_the_mean_of_its_students() {
    let (mut averaged, mut plain) = (run(0.5), run(0.0));
    let mut mean = weights(&plain);
    let mut losses_apart = Vec::new();
    for step in 1..=STEPS {
        losses_apart.push((losses(&mut averaged, Some(1)), losses(&mut plain, Some(1))));
        // The first share of all is (1 + 1)/(10 + 1), below one half.
        let share = f64::min(0.5, (1.0 + step as f64) / (10.0 + step as f64));
        for (name, own) in &mut mean {
            let theirs = &weights(&plain)[name];
            *own = if name.ends_with("num_batches_tracked") {
                theirs.copy()
            } else {
                &*own * share + theirs * (1.0 - share)
            };
        }
        if step < STEPS {
            assert!(weights(&averaged).iter().all(|(name, tensor)| *tensor == weights(&plain)[name]), "step {step}");
        }
    }
    assert!(losses_apart.iter().all(|(averaged, plain)| averaged == plain), "{losses_apart:?}");
    let mut moved = 0.0f64;
    for (name, found) in weights(&averaged) {
        let apart = (&found - &mean[&name]).abs().max().double_value(&[]);
        assert!(apart < 1e-5 * (1.0 + mean[&name].abs().max().double_value(&[])), "{name}: {apart}");
        moved = moved.max((&found - &weights(&plain)[&name]).abs().max().double_value(&[]));
    }
    assert!(moved > 1e-2, "the mean is the last student: {moved}");
    // Over is over: another call changes nothing.
    let before = weights(&averaged);
    losses(&mut averaged, None);
    assert!(weights(&averaged).iter().all(|(name, tensor)| *tensor == before[name]));
}

#[test]
fn it_goes_on_bit_for_bit_and_with_its_own_share_only() {
    let folder = tempfile::tempdir().unwrap();
    let mut whole = run(0.9);
    losses(&mut whole, None);
    let mut half = run(0.9);
    losses(&mut half, Some(3));
    let path = folder.path().join("half");
    half.save(&path).unwrap();
    let mut resumed = run(0.9);
    resumed.resume(&path).unwrap();
    losses(&mut resumed, None);
    assert!(state(&resumed, folder.path()) == state(&whole, folder.path()));
    // A run that is over has no mean beside its student, and stays as it is.
    let over = folder.path().join("over");
    whole.save(&over).unwrap();
    let mut again = run(0.9);
    again.resume(&over).unwrap();
    losses(&mut again, None);
    assert!(state(&again, folder.path()) == state(&whole, folder.path()));
    let told = run(0.0).resume(&path).unwrap_err();
    assert!(told.kind() == ErrorKind::Mismatch && told.to_string().contains("student_average"), "{told}");
    std::fs::remove_file(path.join("average.safetensors")).unwrap();
    let error = run(0.9).resume(&path).unwrap_err();
    assert!(error.to_string().contains("average"), "{error}");
}

#[test]
fn a_run_by_steps_of_the_application_ends_with_it_too() {
    let (mut averaged, mut plain) = (run(0.5), run(0.0));
    let images: Vec<Frame> = (0..8).map(frame).collect();
    for step in 1..=STEPS {
        averaged.step_on(&images).unwrap();
        plain.step_on(&images).unwrap();
        let same = weights(&averaged).iter().all(|(name, tensor)| *tensor == weights(&plain)[name]);
        assert_eq!(same, step < STEPS, "step {step}");
    }
}
