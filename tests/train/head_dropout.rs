//! Dropout before the projection: which students have it, that it rests outside of training, and that a run with it is resumed.

use std::sync::{Arc, Mutex};

use seed::ErrorKind;
use seed::config::Config;
use seed::data::{Dataset, Frame};
use seed::model::{Architecture, Head, Mode, Network, Teacher};
use seed::train::Distillation;
use tch::{Device, Kind, Tensor};

use crate::runs::{losses, state};

const HEAD: Head = Head::Projection { hidden: 0, dim: 16 };

fn run_of(architecture: Architecture, dropout: f64) -> Distillation {
    let student = Network::new(architecture, HEAD, 1, Device::Cpu).unwrap();
    run_with(&Arc::new(Mutex::new(student)), dropout)
}

fn run_with(student: &Arc<Mutex<Network>>, dropout: f64) -> Distillation {
    let dataset = Dataset::in_memory();
    for image in 0..9usize {
        let pixels = (0..32 * 32).map(|i| (i * (image + 3) % 239) as u8).collect();
        dataset.push_frame(&image.to_string(), Frame::new(32, 32, 1, pixels).unwrap()).unwrap();
    }
    let mut config = Config { batch_size: 4, steps: 6, queue_capacity: 12, progress_every: 1, ..Config::default() };
    config.set_string("device", "cpu").unwrap();
    config.set_string("precision", "fp32").unwrap();
    config.set_float("student.head_dropout", dropout).unwrap();
    (config.view.input.width, config.view.input.height, config.workers) = (32, 32, 1);
    let teacher = Network::new(Architecture::ResNet10, HEAD, 2, Device::Cpu).unwrap();
    let teacher = Arc::new(Teacher::new(teacher).unwrap());
    Distillation::new(config, Arc::clone(student), teacher, None, Some(Arc::new(dataset))).unwrap()
}

#[test]
fn features_are_dropped_before_a_projection_while_it_trains() {
    let mut network = Network::new(Architecture::MobileNetV3Small, HEAD, 1, Device::Cpu).unwrap();
    let features = Tensor::ones([64, network.feature_dim()], (Kind::Float, Device::Cpu));
    let rows = |network: &Network, noise: u64| {
        tch::no_grad(|| network.head_forward(features.shallow_clone(), Mode::Train { noise }).unwrap())
    };
    let eval = |network: &Network| tch::no_grad(|| network.head_forward(features.shallow_clone(), Mode::Eval).unwrap());
    let spread = |rows: &Tensor| rows.std_dim([0i64].as_slice(), true, false).max().double_value(&[]);
    assert!(spread(&rows(&network, 3)) < 1e-6, "none where none was set");
    network.set_head_dropout(0.2);
    let dropped = rows(&network, 3);
    assert!(spread(&dropped) > 1e-3 && dropped == rows(&network, 3) && dropped != rows(&network, 4));
    assert!(rows(&network.deep_copy().unwrap(), 3) == dropped, "a copy drops the same");
    // Of 64 rows in the mean what all features give, as far as the layer behind them is linear.
    assert!(spread(&eval(&network)) < 1e-6);
    network.replace_head(HEAD, 5).unwrap();
    assert!(spread(&rows(&network, 3)) < 1e-6, "a new head has none");
}

#[test]
fn efficientnets_and_mobilenet_v3_have_it_and_others_do_not() {
    for (architecture, drops) in [
        (Architecture::MobileNetV3Small, true),
        (Architecture::EfficientNetB0, true),
        (Architecture::MobileNetV2, false),
        (Architecture::ResNet10, false),
    ] {
        let [without, with] = [0.0, 0.5].map(|dropout| losses(&mut run_of(architecture, dropout), Some(1))[0]);
        assert_eq!(without != with, drops, "{}: {without} {with}", architecture.name());
    }
}

#[test]
fn a_run_with_it_goes_on_bit_for_bit_and_only_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("half");
    let mut whole = run_of(Architecture::MobileNetV3Small, 0.2);
    losses(&mut whole, Some(3));
    whole.save(&path).unwrap();
    losses(&mut whole, None);
    let mut resumed = run_of(Architecture::MobileNetV3Small, 0.2);
    resumed.resume(&path).unwrap();
    losses(&mut resumed, None);
    assert!(state(&resumed, folder.path()) == state(&whole, folder.path()));
    let error = run_of(Architecture::MobileNetV3Small, 0.0).resume(&path).unwrap_err();
    assert!(error.kind() == ErrorKind::Mismatch && error.message().contains("head_dropout"), "{error}");
}

#[test]
fn another_run_of_the_same_student_changes_nothing() {
    let alone = losses(&mut run_of(Architecture::MobileNetV3Small, 0.2), Some(2));
    let student = Arc::new(Mutex::new(Network::new(Architecture::MobileNetV3Small, HEAD, 1, Device::Cpu).unwrap()));
    let mut run = run_with(&student, 0.2);
    let _other = run_with(&student, 0.0);
    assert_eq!(losses(&mut run, Some(2)), alone);
}
