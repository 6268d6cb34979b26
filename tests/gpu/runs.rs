//! What tests of runs share: drawn images, small networks, a run of them on a device, and how far two runs are apart.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use seed::config::{Config, Precision};
use seed::data::{Dataset, Frame};
use seed::device::parse;
use seed::distill::Targets;
use seed::model::weights::{self, HostType};
use seed::model::{Architecture, Head, Network, Teacher};
use seed::train::{CancelToken, Control, Distillation};
use tch::{Kind, Tensor};

pub const CPU: &str = "cpu";
pub const GPU: &str = "cuda:0";
pub const SECOND_GPU: &str = "cuda:1";
pub const IMAGES: usize = 24;
pub const DIM: i64 = 16;
/// Small, with batch norm, and quick.
pub const STUDENT: &str = "resnet10_w0.25";

/// What is done to a run's settings.
pub type Change = fn(&mut Config);

/// Stripes across or along, of a period and a shade that differ from image to image.
pub fn pixels(number: usize, side: usize) -> Vec<u8> {
    let (period, dark) = (2 + number % 5, 20 + (number * 17 % 90) as u8);
    let lit = |place: usize| ((place + number) / period).is_multiple_of(2);
    let place = |at: usize| if number.is_multiple_of(2) { at % side } else { at / side };
    (0..side * side).map(|at| if lit(place(at)) { 230 - dark } else { dark }).collect()
}

pub fn dataset() -> Arc<Dataset> {
    let dataset = Dataset::in_memory();
    for number in 0..IMAGES {
        dataset.push_frame(&number.to_string(), Frame::new(36, 36, 1, pixels(number, 36)).unwrap()).unwrap();
    }
    Arc::new(dataset)
}

/// Of a run of so many steps on `device`, in float32.
pub fn config(device: &str, steps: u64) -> Config {
    let mut config = Config { batch_size: 8, steps, queue_capacity: 16, learning_rate: 0.5, ..Config::default() };
    (config.device, config.precision, config.workers) = (device.to_owned(), Precision::Fp32, 1);
    (config.view.input.width, config.view.input.height, config.probe.keep_best) = (32, 32, 0);
    config.progress_every = 1;
    config
}

pub fn network(name: &str, seed: u64, device: &str) -> Network {
    let architecture = Architecture::parse(name).unwrap();
    let mut network =
        Network::new(architecture, Head::Projection { hidden: 0, dim: DIM }, seed, tch::Device::Cpu).unwrap();
    network.to_device(parse(device).unwrap()).unwrap();
    network
}

pub fn teacher(device: &str) -> Arc<Teacher> {
    Arc::new(Teacher::new(network("resnet10", 2, device)).unwrap())
}

pub fn run_of(config: &Config, student: Network, targets: impl Into<Targets>) -> Distillation {
    Distillation::new(config.clone(), Arc::new(Mutex::new(student)), targets, None, Some(dataset())).unwrap()
}

/// A run of the small student.
pub fn run(config: &Config, targets: impl Into<Targets>) -> Distillation {
    run_of(config, network(STUDENT, 1, &config.device), targets)
}

/// The losses of so many more steps, but for the report before the first one.
pub fn losses(run: &mut Distillation, steps: Option<u64>) -> seed::Result<Vec<f64>> {
    let mut losses = Vec::new();
    run.run(steps, &CancelToken::new(), |progress| {
        losses.extend(Some(progress.loss).filter(|loss| !loss.is_nan()));
        Control::Continue
    })?;
    Ok(losses)
}

/// Every tensor of a checkpoint in float32, by file: student, velocities, queue and what a method keeps beside them.
pub type State = BTreeMap<String, Tensor>;

pub fn state(run: &Distillation) -> State {
    let folder = tempfile::tempdir().unwrap();
    run.save(&folder.path().join("state")).unwrap();
    saved_state(&folder.path().join("state"))
}

pub fn saved_state(checkpoint: &Path) -> State {
    let mut state = State::new();
    for entry in std::fs::read_dir(checkpoint).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "safetensors") {
            let file = weights::read(&path).unwrap();
            let floats = file.tensors.values().filter(|tensor| tensor.dtype == HostType::F32);
            let rows: Vec<Tensor> = floats.map(|tensor| tensor.to_tensor().unwrap().flatten(0, -1)).collect();
            if !rows.is_empty() {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                state.insert(name, Tensor::cat(&rows, 0));
            }
        }
    }
    state
}

/// ‖a − b‖ / ‖a‖; 0 where they are the same, bit for bit.
pub fn apart(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    let (a, b) = (a.to_kind(Kind::Double), b.to_kind(Kind::Double));
    let norm = |tensor: &Tensor| tensor.square().sum(Kind::Double).sqrt().double_value(&[]);
    let difference = norm(&(&a - &b));
    assert!(difference.is_finite(), "NaN");
    if difference == 0.0 { 0.0 } else { difference / norm(&a).max(1e-30) }
}

/// The largest of the files' differences. Velocities are the sum of all gradients, so nothing hides behind the first weights.
pub fn states_apart(a: &State, b: &State) -> f64 {
    assert!(a.keys().eq(b.keys()), "{:?} {:?}", a.keys(), b.keys());
    assert!(a.len() >= 2, "{:?}", a.keys());
    a.iter().map(|(name, tensor)| apart(tensor, &b[name])).fold(0.0, f64::max)
}

/// How far a run on the CPU and one on the GPU are apart after all steps, by their states; prints it.
pub fn devices_apart(what: &str, run_on: impl Fn(&str) -> Distillation) -> f64 {
    let states = [CPU, GPU].map(|device| {
        let mut run = run_on(device);
        let losses = losses(&mut run, None).unwrap();
        assert!(losses.iter().all(|loss| loss.is_finite()) && !losses.is_empty(), "{what} on {device}: {losses:?}");
        state(&run)
    });
    let apart = states_apart(&states[0], &states[1]);
    println!("{what}: {apart:e}");
    apart
}
