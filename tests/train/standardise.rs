//! The setting "targets.standardise": what a run's targets become, that its checkpoint keeps it, and what is refused.

use std::sync::{Arc, Mutex};

use seed::ErrorKind;
use seed::config::Config;
use seed::data::{Dataset, Frame};
use seed::distill::{Bank, ImageEmbeddings, ImageTargets, Queue, Targets};
use seed::model::weights;
use seed::model::{Architecture, Head, Network, Teacher};
use seed::train::{CancelToken, Control, Distillation, Outcome, fill_bank};
use tch::{Device, Kind, Tensor};

use crate::runs::{frame, losses, state};

const DIM: i64 = 16;
const IMAGES: usize = 24;

/// What a run over a data set learns from.
type Make<'a> = &'a dyn Fn(&Arc<Dataset>) -> Targets;

fn dataset(frames: impl Fn(usize) -> Frame) -> Arc<Dataset> {
    let dataset = Dataset::in_memory();
    for image in 0..IMAGES {
        dataset.push_frame(&image.to_string(), frames(image)).unwrap();
    }
    Arc::new(dataset)
}

fn config(standardise: &str) -> Config {
    let mut config = Config { batch_size: 8, steps: 6, queue_capacity: 24, learning_rate: 0.5, ..Config::default() };
    for (key, word) in [("device", "cpu"), ("precision", "fp32"), ("targets.standardise", standardise)] {
        config.set_string(key, word).unwrap();
    }
    config.progress_every = 1;
    (config.view.input.width, config.view.input.height, config.probe.keep_best) = (32, 32, 0);
    config.probe.images = 0;
    config
}

fn network(architecture: Architecture, seed: u64) -> Network {
    Network::new(architecture, Head::Projection { hidden: 0, dim: DIM }, seed, Device::Cpu).unwrap()
}

fn teacher() -> Arc<Teacher> {
    Arc::new(Teacher::new(network(Architecture::ResNet18, 2)).unwrap())
}

fn table(rows: impl Fn(usize, i64) -> f32) -> Arc<ImageEmbeddings> {
    let numbers: Vec<f32> = (0..IMAGES).flat_map(|i| (0..DIM).map(move |c| (i, c))).map(|(i, c)| rows(i, c)).collect();
    Arc::new(ImageEmbeddings::new(&numbers, DIM as usize).unwrap())
}

fn run_on(
    config: &Config,
    targets: impl Into<Targets>,
    queue: Option<Queue>,
    dataset: Option<Arc<Dataset>>,
) -> seed::Result<Distillation> {
    let student = Arc::new(Mutex::new(network(Architecture::ResNet10, 1)));
    Distillation::new(config.clone(), student, targets, queue.map(|queue| Arc::new(Mutex::new(queue))), dataset)
}

/// The rows of a table, unit rows, less their mean, brought back to length 1; by their covariance, too, if they are `whitened`.
fn by_definition(rows: &Tensor, whitened: bool) -> Tensor {
    let unit = |rows: Tensor| &rows / rows.norm_scalaropt_dim(2, [1i64].as_slice(), true);
    let rows = unit(rows.to_kind(Kind::Double));
    let centred = &rows - rows.mean_dim([0i64].as_slice(), true, Kind::Double);
    if !whitened {
        return unit(centred);
    }
    let covariance = rows.tr().cov(0, None::<Tensor>, None::<Tensor>);
    let ridge = 0.1 * covariance.trace() / DIM as f64;
    let ridged: Tensor = covariance + Tensor::eye(DIM, (Kind::Double, Device::Cpu)) * ridge;
    // Rows of W·x, with W the symmetric root of the inverse, by singular values.
    let (left, values, _) = ridged.svd(true, true);
    unit(centred.matmul(&left.matmul(&values.rsqrt().diag_embed(0, -2, -1)).matmul(&left.tr())))
}

#[test]
fn the_queue_begins_with_what_the_definition_gives() {
    let folder = tempfile::tempdir().unwrap();
    let value = |i: usize, c: i64| 2.0 + (i as f32 * 0.7 + c as f32 * 1.9).sin() * (1.0 + c as f32 / 8.0);
    let raw: Vec<f32> = (0..IMAGES).flat_map(|i| (0..DIM).map(move |c| value(i, c))).collect();
    for (standardise, whitened) in [("centre", false), ("whiten", true)] {
        let dataset = dataset(frame);
        let targets = Arc::new(ImageTargets::new(table(value), &dataset).unwrap());
        let mut run = run_on(&Config { steps: 1, ..config(standardise) }, targets, None, Some(dataset)).unwrap();
        losses(&mut run, None);
        let path = folder.path().join(standardise);
        run.save(&path).unwrap();
        let part = weights::read(&path.join("queue.safetensors")).unwrap();
        let rows = part.tensors["queue"].to_tensor().unwrap(); // in another order, and eight of them twice
        let wanted = by_definition(&Tensor::from_slice(&raw).view([IMAGES as i64, DIM]), whitened);
        let nearest = rows.to_kind(Kind::Double).matmul(&wanted.tr()).amax([1i64].as_slice(), false);
        assert_eq!(rows.size(), [24, DIM]);
        assert!((nearest - 1.0).abs().max().double_value(&[]) < 1e-5, "{standardise}");
    }
}

#[test]
fn each_kind_of_teacher_is_standardised_and_a_run_goes_on_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let plain = {
        let mut run = run_on(&config("none"), teacher(), None, Some(dataset(frame))).unwrap();
        losses(&mut run, None)
    };
    for standardise in ["centre", "whiten"] {
        let config = config(standardise);
        let banked = Config { view_count: 2, ..config.clone() };
        let path = folder.path().join(format!("{standardise}-bank"));
        fill_bank(&path, &banked, &teacher(), &dataset(frame), None, &CancelToken::new(), |_| Control::Continue)
            .unwrap();
        let images = |dataset: &Arc<Dataset>| {
            let table = table(|i, c| (i as f32 * 0.7 + c as f32).sin() + 1.0);
            Targets::from(Arc::new(ImageTargets::new(table, dataset).unwrap()))
        };
        let makers: [(&str, &Config, Make<'_>); 3] = [
            ("teacher", &config, &|_| Targets::from(teacher())),
            ("bank", &banked, &|_| Targets::from(Arc::new(Bank::open(&path).unwrap()))),
            ("embeddings", &config, &images),
        ];
        for (name, config, make) in makers {
            let new = || {
                let dataset = dataset(frame);
                run_on(config, make(&dataset), None, Some(dataset)).unwrap()
            };
            let mut whole = new();
            let of_whole = losses(&mut whole, None);
            assert_ne!(of_whole, plain, "{standardise} over {name}");
            let mut half = new();
            losses(&mut half, Some(3));
            let saved = folder.path().join(format!("saved-{standardise}-{name}"));
            half.save(&saved).unwrap();
            let mut resumed = new();
            resumed.resume(&saved).unwrap();
            assert_eq!(losses(&mut resumed, None), of_whole[3..], "{standardise} over {name}");
            assert_eq!(state(&resumed, folder.path()), state(&whole, folder.path()), "{standardise} over {name}");
        }
    }
}

#[test]
fn a_checkpoint_of_other_targets_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = run_on(&config("centre"), teacher(), None, Some(dataset(frame))).unwrap();
    losses(&mut run, Some(2));
    run.save(folder.path()).unwrap();
    for other in ["none", "whiten"] {
        let mut other = run_on(&config(other), teacher(), None, Some(dataset(frame))).unwrap();
        let told = other.resume(folder.path()).unwrap_err();
        assert!(told.kind() == ErrorKind::Mismatch && told.to_string().contains("standardise"), "{told}");
    }
}

#[test]
fn what_a_run_lacks_is_told_before_it_begins() {
    let told = |result: seed::Result<Distillation>, kind: ErrorKind, words: &str| {
        let error = result.err().unwrap();
        assert!(error.kind() == kind && error.to_string().contains(words), "{error}");
    };
    let centre = config("centre");
    let queue = Queue::new(24, DIM, 0, Device::Cpu).unwrap();
    let refused = run_on(&centre, teacher(), Some(queue), Some(dataset(frame)));
    told(refused, ErrorKind::Unsupported, "leave it out");
    told(run_on(&centre, teacher(), None, None), ErrorKind::InvalidArgument, "has none");
    let mut alone = centre.clone();
    alone.set_string("method", "moco_v2").unwrap();
    told(
        run_on(&alone, Targets::Own { dim: 0 }, None, Some(dataset(frame))),
        ErrorKind::InvalidArgument,
        "without a teacher",
    );
    // One frame again and again: nothing is left of the teacher's embeddings without their mean.
    let mut run = run_on(&centre, teacher(), None, Some(dataset(|_| frame(0)))).unwrap();
    let error = run.run(None, &CancelToken::new(), |_| Control::Continue).unwrap_err();
    assert!(error.kind() == ErrorKind::InvalidArgument && error.to_string().contains("same of all images"), "{error}");
}

#[test]
fn a_run_that_was_cancelled_before_it_began_is_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config("centre");
    config.checkpoint_path = folder.path().join("checkpoint").to_str().unwrap().to_owned();
    let new = |config: &Config| run_on(config, teacher(), None, Some(dataset(frame))).unwrap();
    let mut whole = new(&Config { checkpoint_path: String::new(), ..config.clone() });
    losses(&mut whole, None);
    // By the first report, and by a token while the teacher is asked.
    for by_token in [false, true] {
        let token = CancelToken::new();
        let mut run = new(&config);
        let outcome = run.run(None, &token, |_| match by_token {
            false => Control::Stop,
            true => {
                token.trigger();
                Control::Continue
            }
        });
        assert_eq!((outcome.unwrap(), run.step()), (Outcome::Cancelled, 0));
        let mut resumed = new(&config);
        resumed.resume(folder.path().join("checkpoint").as_ref()).unwrap();
        losses(&mut resumed, None);
        let folder = tempfile::tempdir().unwrap();
        assert!(state(&resumed, folder.path()) == state(&whole, folder.path()), "by token: {by_token}");
    }
}

#[test]
fn steps_on_images_of_ones_own_are_standardised_once_a_run_has_found_the_mean() {
    let mut run = run_on(&config("centre"), teacher(), None, Some(dataset(frame))).unwrap();
    let images: Vec<Frame> = (0..8).map(frame).collect();
    let error = run.step_on(&images).unwrap_err();
    assert!(error.kind() == ErrorKind::InvalidArgument && error.to_string().contains("call run first"), "{error}");
    losses(&mut run, Some(1));
    assert!(run.step_on(&images).unwrap().is_finite());
    assert_eq!(run.step(), 2);
}
