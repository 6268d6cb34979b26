//! The linear probe by SGD: its steps against numpy in float64 (tests/golden/make_linear_sgd.py), the whole against autograd in float64 on
//! the features of a session, and what it does with bad input, broken images, a cancel and a pause.

use std::sync::Arc;

use seed::config::{Config, LinearConfig, Precision};
use seed::data::{Dataset, Frame, Input};
use seed::infer::{Output, Session, SessionOptions};
use seed::model::student_file::StudentHeader;
use seed::model::{Architecture, Head, Network};
use seed::optim::Tenths;
use seed::train::finetune::linear_sgd::{Layer, SgdScores, linear_sgd};
use seed::train::finetune::protocol::Classed;
use seed::train::finetune::{FinetuneProgress, Stage, Start};
use seed::train::{CancelToken, Control};
use seed::{ErrorKind, Result};
use tch::{Device, Kind, Tensor};

#[test]
fn the_steps_are_those_of_numpy() {
    let text = std::fs::read_to_string(crate::golden::golden("linear_sgd.json")).unwrap();
    let golden: serde_json::Value = serde_json::from_str(&text).unwrap();
    let floats = |name: &str| -> Vec<f64> { serde_json::from_value(golden[name].clone()).unwrap() };
    let number = |name: &str| golden[name].as_f64().unwrap();
    let (classes, width) = (number("classes") as i64, number("width") as i64);
    let features = Tensor::from_slice(&floats("features")).view([-1, width]).to_kind(Kind::Float);
    let truth: Vec<i64> = serde_json::from_value(golden["truth"].clone()).unwrap();
    let batches: Vec<Vec<i64>> = serde_json::from_value(golden["batches"].clone()).unwrap();
    let settings =
        LinearConfig { momentum: number("momentum"), weight_decay: number("decay"), ..LinearConfig::default() };
    let first = Tensor::from_slice(&floats("first")).view([classes, width]);
    let mut layer =
        Layer::of(&first, &Tensor::zeros([classes], (Kind::Float, Device::Cpu)), &settings, Device::Cpu).unwrap();
    let schedule = Tenths { base: number("rate") * number("batch") / 256.0, total: batches.len() as u64 };
    let losses = floats("losses");
    for (step, rows) in batches.iter().enumerate() {
        let x = features.index_select(0, &Tensor::from_slice(rows));
        let t: Vec<i64> = rows.iter().map(|&row| truth[row as usize]).collect();
        let loss = layer.step(&x, &t, schedule.learning_rate(step as u64)).unwrap().double_value(&[]);
        assert!((loss - losses[step]).abs() < 1e-4 * losses[0], "step {step}: {loss} instead of {}", losses[step]);
    }
    for (found, name) in [(&layer.weight, "weight"), (&layer.bias, "bias")] {
        let wanted = Tensor::from_slice(&floats(name));
        let apart = (found.detach().to_kind(Kind::Double).view([-1]) - &wanted).abs().max().double_value(&[]);
        assert!(apart < 2e-4 && wanted.abs().max().double_value(&[]) > 1.0, "{name}: {apart:e}");
    }
}

/// Stripes across (class 0), along (1) or a grid (2), or one of four shades (3 to 6), each a little different.
fn picture(class: usize, number: usize) -> Frame {
    let (period, dark) = (3 + number % 3, 20 + (number * 17 % 60) as u8);
    let level = |x: usize, y: usize| {
        let even = |place: usize| ((place + number) / period).is_multiple_of(2);
        let (across, along) = (even(x), even(y));
        match class {
            0 if across => 200,
            1 if along => 200,
            2 if across != along => 200,
            0..=2 => dark,
            _ => (36 * class + number % 20) as u8,
        }
    };
    Frame::new(40, 40, 1, (0..40 * 40).map(|at| level(at % 40, at / 40)).collect()).unwrap()
}

/// `count` images of each of `classes` classes, and one without a label.
fn images(classes: usize, count: usize, first: usize) -> (Arc<Dataset>, Vec<i32>) {
    let dataset = Dataset::in_memory();
    let mut labels = Vec::new();
    for number in 0..classes * count {
        let (class, number) = (number % classes, first + number / classes);
        dataset.push_frame(&format!("{class}/{number}"), picture(class, number)).unwrap();
        labels.push(class as i32);
    }
    dataset.push_frame("without", picture(0, first)).unwrap();
    labels.push(-1);
    (Arc::new(dataset), labels)
}

fn network() -> Network {
    Network::new(Architecture::ResNet10, Head::Projection { hidden: 16, dim: 8 }, 3, Device::Cpu).unwrap()
}

fn input() -> Input {
    Input { width: 32, height: 32, ..Input::default() }
}

fn config() -> Config {
    let mut config = Config { device: "cpu".into(), precision: Precision::Fp32, workers: 1, ..Config::default() };
    (config.linear.epochs, config.linear.batch_size, config.progress_every) = (10, 8, 3);
    config
}

type Images = (Arc<Dataset>, Vec<i32>);

fn classed(images: &Images) -> Classed<'_> {
    Classed { dataset: &images.0, labels: &images.1 }
}

fn probe(config: &Config, train: &Images, test: &Images) -> Result<SgdScores> {
    probe_with(config, train, test, &CancelToken::new(), |_| Control::Continue)
}

fn probe_with(
    config: &Config,
    train: &Images,
    test: &Images,
    cancel: &CancelToken,
    observe: impl FnMut(&FinetuneProgress) -> Control,
) -> Result<SgdScores> {
    let network = network();
    let start = Start::student(&network, &StudentHeader::new(&network, &input())).unwrap();
    linear_sgd(config, &start, classed(train), classed(test), cancel, observe)
}

/// Features of the labelled images in float64, and their classes.
fn features(images: &Images) -> (Tensor, Tensor) {
    let options = SessionOptions { output: Output::Features, ..SessionOptions::default() };
    let session = Session::new(&network(), &input(), options).unwrap();
    let rows = session.embed_dataset(&images.0, 16, 1, &mut |_, _| true).unwrap();
    let labelled = images.1.len() - 1; // the last one has none
    let rows = Tensor::from_slice(&rows[..labelled * session.dim()]).view([labelled as i64, -1]);
    let truth: Vec<i64> = images.1[..labelled].iter().map(|&class| i64::from(class)).collect();
    (rows.to_kind(Kind::Double), Tensor::from_slice(&truth))
}

#[test]
fn whole_frames_in_one_batch_give_what_autograd_gives_in_float64() {
    // Without crops and flips, and with all images in each step, their order is of no account.
    let (train, test) = (images(7, 5, 0), images(7, 4, 50));
    let mut config = config();
    config.linear = LinearConfig { batch_size: 1000, crop_scale_min: 1.0, learning_rate: 3.0, ..config.linear };
    (config.view.crop_ratio_min, config.view.crop_ratio_max, config.view.flip_probability) = (1.0, 1.0, 0.0);
    config.linear.weight_decay = 0.01;
    let found = probe(&config, &train, &test).unwrap();

    let (x, truth) = features(&train);
    let first = Layer::new(x.size()[1] as usize, 7, &config.linear, config.seed, Device::Cpu).unwrap();
    let mut parameters = [first.weight.detach().to_kind(Kind::Double), first.bias.detach().to_kind(Kind::Double)];
    let deviation = parameters[0].std(false).double_value(&[]);
    assert!((deviation - 0.01).abs() < 0.001, "W starts from N(0, .01²): {deviation}");
    let mut velocities: Option<Vec<Tensor>> = None;
    let mut loss = f64::NAN;
    for step in 0..10 {
        let [w, b] = parameters.map(|p| p.detach().set_requires_grad(true));
        let value = x.linear(&w, Some(&b)).cross_entropy_for_logits(&truth);
        value.backward();
        loss = value.double_value(&[]);
        let steps: Vec<Tensor> = [&w, &b].iter().map(|p| p.grad() + p.detach() * 0.01).collect();
        let next: Vec<Tensor> = match &velocities {
            Some(before) => before.iter().zip(&steps).map(|(v, g)| v * 0.9 + g).collect(),
            None => steps,
        };
        let rate = 3.0 * 35.0 / 256.0 * [1.0, 0.1, 0.01][usize::from(step >= 6) + usize::from(step >= 8)];
        parameters = [w.detach() - &next[0] * rate, b.detach() - &next[1] * rate];
        velocities = Some(next);
    }
    let (x, truth) = features(&test);
    let logits = x.linear(&parameters[0], Some(&parameters[1]));
    let top = |k: i64| {
        let (_, classes) = logits.topk(k, 1, true, true);
        classes.eq_tensor(&truth.unsqueeze(1)).any_dim(1, false).to_kind(Kind::Double).mean(None).double_value(&[])
    };
    assert_eq!((found.images, found.test_images), (35, 28));
    assert!((found.train_loss - loss).abs() < 1e-4, "{} instead of {loss}", found.train_loss);
    let wanted = logits.cross_entropy_for_logits(&truth).double_value(&[]);
    assert!((found.loss - wanted).abs() < 1e-4, "{} instead of {wanted}", found.loss);
    assert!((found.accuracy - top(1)).abs() < 1e-12 && (found.top5 - top(5)).abs() < 1e-12, "{found:?}");
    // As many test images of each class.
    assert!((found.balanced_recall - found.accuracy).abs() < 1e-12);
    assert!(found.accuracy > 0.3 && found.top5 > found.accuracy, "{found:?}");
}

#[test]
fn crops_are_learned_from_and_the_same_call_gives_the_same() {
    let (train, test) = (images(3, 12, 0), images(3, 6, 50));
    let config = config();
    let mut told = Vec::new();
    let found = probe_with(&config, &train, &test, &CancelToken::new(), |progress| {
        told.push(*progress);
        Control::Continue
    });
    let found = found.unwrap();
    assert!(found.accuracy > 0.6 && found.top5 == 1.0 && found.recalls.len() == 3, "{found:?}");
    assert_eq!(probe(&config, &train, &test).unwrap(), found);
    let workers = Config { workers: 3, ..config.clone() };
    assert_eq!(probe(&workers, &train, &test).unwrap(), found, "views do not depend on the threads");
    assert_ne!(probe(&Config { seed: 1, ..config.clone() }, &train, &test).unwrap(), found);

    let of = |stage: Stage| told.iter().filter(move |progress| progress.stage == stage);
    let last = of(Stage::Sgd).next_back().unwrap();
    assert_eq!((last.done, last.total, last.epoch), (50, 50, 10), "36 images are five steps a pass");
    assert!(of(Stage::Sgd).all(|progress| progress.loss.is_finite() && progress.held_out_loss.is_nan()));
    assert!(last.loss < of(Stage::Sgd).next().unwrap().loss);
    let last = of(Stage::Test).next_back().unwrap();
    assert_eq!((last.done, last.total), (18, 18));
    assert!(told.windows(2).all(|pair| pair[0].stage as i32 <= pair[1].stage as i32));
    let niced = Config { nice: 5, duty_cycle: 0.9, ..config };
    assert_eq!(probe(&niced, &train, &test).unwrap(), found, "how fast it works changes nothing");
}

#[test]
fn a_cancel_ends_it_at_any_stage() {
    let (train, test) = (images(3, 4, 0), images(3, 20, 50));
    let kind = |result: Result<SgdScores>| result.err().map(|error| error.kind());
    let token = CancelToken::new();
    token.trigger();
    let found = probe_with(&config(), &train, &test, &token, |_| Control::Continue);
    assert_eq!(kind(found), Some(ErrorKind::Cancelled));
    for stage in [Stage::Sgd, Stage::Test] {
        let by_answer = probe_with(&config(), &train, &test, &CancelToken::new(), |progress| {
            if progress.stage == stage { Control::Stop } else { Control::Continue }
        });
        assert_eq!(kind(by_answer), Some(ErrorKind::Cancelled), "{stage:?}");
        let token = CancelToken::new();
        let by_token = probe_with(&config(), &train, &test, &token, |progress| {
            assert!(progress.stage as i32 <= stage as i32);
            if progress.stage == stage {
                token.trigger();
            }
            Control::Continue
        });
        assert_eq!(kind(by_token), Some(ErrorKind::Cancelled), "{stage:?}");
    }
}

#[test]
fn what_cannot_be_probed_is_refused() {
    let (train, test) = (images(3, 4, 0), images(3, 2, 50));
    let refused = |train: &Images, test: &Images, words: &str| {
        let error = probe(&config(), train, test).unwrap_err();
        assert!(error.kind() == ErrorKind::InvalidArgument && error.message().contains(words), "{error}");
    };
    let with = |images: &Images, labels: Vec<i32>| (Arc::clone(&images.0), labels);
    refused(&with(&train, train.1[1..].to_vec()), &test, "12 labels for 13 images");
    refused(&train, &with(&test, vec![-1; 7]), "test: no image has a label");
    refused(&with(&train, vec![1; 13]), &test, "of 1 class");
    let mut wild = train.1.clone();
    wild[0] = i32::MAX;
    refused(&with(&train, wild), &test, "expected below");
    wild_rate(&train, &test);
    // A class that only the test has is never right, and counts.
    let mut strange = test.1.clone();
    strange[0] = 3;
    let found = probe(&config(), &train, &with(&test, strange)).unwrap();
    assert_eq!((found.recalls.len(), found.recalls[3]), (4, Some(0.0)));
}

fn wild_rate(train: &Images, test: &Images) {
    let mut config = config();
    (config.linear.learning_rate, config.linear.weight_decay) = (1e6, 1.0);
    let error = probe(&config, train, test).unwrap_err();
    assert!(error.kind() == ErrorKind::Torch && error.message().contains("lower linear.learning_rate"), "{error}");
    assert!(config.set_float("linear.learning_rate", -1.0).is_err() && config.set_int("linear.batch_size", 0).is_err());
}

#[test]
fn broken_images_are_shown_by_others_and_left_out_of_the_test() {
    let folder = tempfile::tempdir().unwrap();
    let write = |part: &str, count: usize, first: usize| {
        for class in 0..2 {
            let place = folder.path().join(part).join(class.to_string());
            std::fs::create_dir_all(&place).unwrap();
            for number in first..first + count {
                let frame = picture(class, number);
                let image = image::GrayImage::from_raw(40, 40, frame.pixels().to_vec()).unwrap();
                image.save(place.join(format!("{number}.png"))).unwrap();
            }
        }
        let dataset = Arc::new(Dataset::from_folder(&folder.path().join(part)).unwrap());
        let labels = (0..2 * count).map(|image| (image / count) as i32).collect();
        (dataset, labels)
    };
    let (train, test) = (write("train", 6, 0), write("test", 4, 50));
    std::fs::write(folder.path().join("train/0/2.png"), b"none").unwrap();
    std::fs::write(folder.path().join("test/1/51.png"), b"none").unwrap();
    let found = probe(&config(), &train, &test).unwrap();
    assert_eq!((found.images, found.test_images), (12, 7));
    let hits = found.recalls[1].unwrap() * 3.0;
    assert!((hits - hits.round()).abs() < 1e-9, "three images of class 1 are left: {found:?}");
}
