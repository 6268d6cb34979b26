//! The setting "method": what each learns, by every kind of teacher, and that a run goes on only with its own.

use std::path::Path;
use std::sync::{Arc, Mutex};

use seed::ErrorKind;
use seed::config::{Config, METHODS};
use seed::data::{Dataset, Frame};
use seed::distill::{Bank, ImageEmbeddings, ImageTargets, Targets};
use seed::model::provenance::Provenance;
use seed::model::{Architecture, Head, Network, Teacher};
use seed::train::{CancelToken, Control, Distillation, fill_bank};
use tch::Device;

const DIM: i64 = 16;
const IMAGES: usize = 24;

fn dataset() -> Arc<Dataset> {
    let dataset = Dataset::in_memory();
    for image in 0..IMAGES {
        let pixels = (0..32 * 32).map(|i| (i / (1 + image % 5) * (image + 3) % (40 + 7 * image)) as u8).collect();
        dataset.push_frame(&image.to_string(), Frame::new(32, 32, 1, pixels).unwrap()).unwrap();
    }
    Arc::new(dataset)
}

fn config(method: &str, steps: u64) -> Config {
    let mut config = Config { batch_size: 8, steps, queue_capacity: 16, learning_rate: 1.0, ..Config::default() };
    config.set_string("device", "cpu").unwrap();
    config.set_string("precision", "fp32").unwrap();
    config.set_string("method", method).unwrap();
    config.progress_every = 1;
    (config.view.width, config.view.height, config.probe.keep_best) = (32, 32, 0);
    config
}

fn network(architecture: Architecture, seed: u64) -> Network {
    Network::new(architecture, Head::Projection { hidden: 0, dim: DIM }, seed, Device::Cpu).unwrap()
}

fn teacher() -> Arc<Teacher> {
    Arc::new(Teacher::new(network(Architecture::ResNet18, 2)).unwrap())
}

fn run_over(config: &Config, targets: impl Into<Targets>) -> Distillation {
    let student = Arc::new(Mutex::new(network(Architecture::ResNet10, 1)));
    Distillation::new(config.clone(), student, targets, None, Some(dataset())).unwrap()
}

fn losses(run: &mut Distillation, steps: Option<u64>) -> Vec<f64> {
    let mut losses = Vec::new();
    run.run(steps, &CancelToken::new(), |progress| {
        losses.extend(Some(progress.loss).filter(|loss| loss.is_finite()));
        Control::Continue
    })
    .unwrap();
    losses
}

fn state(run: &Distillation, folder: &Path) -> Vec<u8> {
    run.save(&folder.join("state")).unwrap();
    std::fs::read(folder.join("state/student.safetensors")).unwrap()
}

#[test]
fn each_method_learns_from_each_kind_of_teacher() {
    let folder = tempfile::tempdir().unwrap();
    let numbers: Vec<f32> = (0..IMAGES * DIM as usize).map(|i| (i as f32 * 0.7).sin()).collect();
    let table = Arc::new(ImageEmbeddings::new(&numbers, DIM as usize).unwrap());
    let mut first = Vec::new();
    for method in METHODS {
        let online = config(method, 30);
        let banked = Config { view_count: 2, ..online.clone() };
        let path = folder.path().join(method);
        fill_bank(&path, &banked, &teacher(), &dataset(), None, &CancelToken::new(), |_| Control::Continue).unwrap();
        let runs = [
            ("teacher", run_over(&online, teacher())),
            ("bank", run_over(&banked, Arc::new(Bank::open(&path).unwrap()))),
            ("embeddings", run_over(&online, Arc::new(ImageTargets::new(Arc::clone(&table), &dataset()).unwrap()))),
        ];
        for (name, mut run) in runs {
            let losses = losses(&mut run, None);
            let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
            let (start, end) = (mean(&losses[..5]), mean(&losses[25..]));
            assert!(end < start, "{method} over {name}: {start} → {end}");
            if name == "teacher" {
                first.push(losses[0]);
            }
        }
    }
    // Three losses and not one.
    assert!(first[0] != first[1] && first[1] != first[2] && first[0] != first[2], "{first:?}");
}

#[test]
fn a_run_goes_on_with_its_own_method_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("half");
    for method in METHODS {
        let mut whole = run_over(&config(method, 6), teacher());
        losses(&mut whole, Some(3));
        whole.save(&path).unwrap();
        losses(&mut whole, None);
        let mut resumed = run_over(&config(method, 6), teacher());
        resumed.resume(&path).unwrap();
        losses(&mut resumed, None);
        assert!(state(&resumed, folder.path()) == state(&whole, folder.path()), "{method}");
        for other in METHODS.iter().filter(|&&other| other != method) {
            let error = run_over(&config(other, 6), teacher()).resume(&path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Mismatch);
            assert!(error.message().contains(method) && error.message().contains(other), "{error}");
        }
    }
}

#[test]
fn running_statistics_of_batch_norm_stay_and_those_of_the_batch_move() {
    for (word, moves) in [("batch", true), ("running", false)] {
        let mut config = config("seed", 3);
        config.set_string("batch_norm", word).unwrap();
        let mut run = run_over(&config, teacher());
        let buffers = |run: &Distillation| -> Vec<tch::Tensor> {
            run.student().lock().unwrap().buffers().iter().map(|(_, buffer)| buffer.copy()).collect()
        };
        let parameters = |run: &Distillation| run.student().lock().unwrap().parameters()[0].1.detach().copy();
        let before = (buffers(&run), parameters(&run));
        losses(&mut run, None);
        assert_eq!(buffers(&run) != before.0, moves, "{word}");
        assert!(parameters(&run) != before.1, "{word}: nothing was learned");
    }
}

#[test]
fn the_method_stands_in_the_provenance_and_what_it_lacks_is_said() {
    let provenance = Arc::new(Provenance::default());
    let mut run = run_over(&config("l2", 2), teacher()).recorded_in(Arc::clone(&provenance));
    losses(&mut run, None);
    assert_eq!(provenance.to_value()["distillation"]["method"], "l2");

    let student = Arc::new(Mutex::new(network(Architecture::ResNet10, 1)));
    let without = Distillation::new(config("binary_contrastive", 2), student, teacher(), None, None);
    let error = without.err().unwrap();
    assert!(error.kind() == ErrorKind::InvalidArgument && error.message().contains("no data set"), "{error}");
    let error = config("seed", 2).set_string("method", "simclr").unwrap_err();
    assert!(error.message().contains("binary_contrastive"), "{error}");
}
