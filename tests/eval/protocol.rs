//! The protocols that fine-tune: what they see of the labels, that they repeat, and that they end when asked to.

use std::sync::Arc;

use seed::config::{Config, FinetuneMode, Precision};
use seed::data::{Dataset, Frame, Input};
use seed::eval::Embeddings;
use seed::infer::classifier::CalibratedBy;
use seed::infer::{Output, Session, SessionOptions};
use seed::model::student_file::StudentHeader;
use seed::model::{Architecture, Head, Network};
use seed::train::finetune::probe::{Probe, ProbeScores, linear_probe};
use seed::train::finetune::protocol::{Classed, semi_supervised, transfer};
use seed::train::finetune::{Labelled, Start, finetune};
use seed::train::{CancelToken, Control};
use seed::{ErrorKind, Result};
use tch::Device;

/// Stripes across (class 0) or along (class 1), or noise (class 2), with a period and shade of the image's own.
fn picture(class: usize, number: usize) -> Frame {
    let (period, dark) = (3 + number % 3, 20 + (number * 17 % 60) as u8);
    let lit = |x: usize, y: usize| match class {
        0 => ((x + number) / period).is_multiple_of(2),
        1 => ((y + number) / period).is_multiple_of(2),
        _ => (x * 7919 + y * 104_729 + number * 31).is_multiple_of(3),
    };
    let pixels = (0..40 * 40).map(|at| if lit(at % 40, at / 40) { 200 } else { dark }).collect();
    Frame::new(40, 40, 1, pixels).unwrap()
}

fn images(count: usize, first: usize) -> (Arc<Dataset>, Vec<i32>) {
    let dataset = Dataset::in_memory();
    let mut labels = Vec::new();
    for number in 0..3 * count {
        let (class, number) = (number % 3, first + number / 3);
        dataset.push_frame(&format!("{class}/{number}"), picture(class, number)).unwrap();
        labels.push(class as i32);
    }
    (Arc::new(dataset), labels)
}

fn network() -> Network {
    Network::new(Architecture::ResNet10, Head::Projection { hidden: 16, dim: 8 }, 3, Device::Cpu).unwrap()
}

fn view() -> Input {
    Input { width: 32, height: 32, ..Input::default() }
}

fn start() -> Start {
    let network = network();
    Start::student(&network, &StudentHeader::new(&network, &view())).unwrap()
}

fn config(mode: &str) -> Config {
    let mut config = Config { device: "cpu".into(), precision: Precision::Fp32, workers: 1, ..Config::default() };
    config.set_string("finetune.mode", mode).unwrap();
    config.finetune.epochs = 2;
    config.finetune.batch_size = 8;
    config
}

fn semi(config: &Config, images: &(Arc<Dataset>, Vec<i32>), splits: u32) -> Result<ProbeScores> {
    let classed = Classed { dataset: &images.0, labels: &images.1 };
    semi_supervised(config, &start(), classed, splits, &CancelToken::new(), &mut |_, _| Control::Continue)
}

#[test]
fn few_labels_are_learned_from_and_the_same_seed_gives_the_same() {
    let images = images(18, 0);
    let mut config = config("linear"); // it is full whatever is said
    config.finetune.labels_per_class = 6;
    let found = semi(&config, &images, 2).unwrap();
    assert!(found.accuracy.mean > 0.6 && found.auroc.mean > 0.75, "{found:?}");
    assert_eq!(found.recalls.len(), 3);
    let mean = found.recalls.iter().map(|recall| recall.mean).sum::<f64>() / 3.0;
    assert!((mean - found.balanced_recall.mean).abs() < 1e-12, "as many images of each class in each split");
    assert_eq!(semi(&config, &images, 2).unwrap(), found);
    config.seed += 1;
    let next = semi(&config, &images, 1).unwrap();
    // Split 1 of the first seed is split 0 of the next one: the mean of two is known from both.
    config.seed -= 1;
    let first = semi(&config, &images, 1).unwrap();
    assert!((0.5 * (first.accuracy.mean + next.accuracy.mean) - found.accuracy.mean).abs() < 1e-12);
    assert!(found.accuracy.deviation > 0.0 || first.accuracy.mean == next.accuracy.mean);
}

#[test]
fn labels_beyond_the_few_are_not_seen() {
    // With one label a class nothing can be held out, so a run that saw others would stop early by them.
    let images = images(9, 0);
    let mut config = config("full");
    config.finetune.labels_per_class = 1;
    let before = semi(&config, &images, 1).unwrap();
    // All labels but those that a run of this seed learns from or is tested on are of no account.
    let mut spoilt = images.clone();
    let outer = seed::config::FinetuneConfig { held_out: 1.0 / 3.0, labels_per_class: 1, ..Default::default() };
    let all: Vec<usize> = (0..27).collect();
    let split = seed::train::finetune::split::split(&images.1, &all, 3, &outer, config.seed);
    assert_eq!((split.train.len(), split.held_out.len()), (3, 9));
    let kept = |image: &usize| split.train.contains(image) || split.held_out.contains(image);
    let others: Vec<usize> = all.iter().copied().filter(|image| !kept(image)).collect();
    // Their pixels become those of another class; the labels must stay, since they make the split.
    let dataset = Dataset::in_memory();
    for image in all {
        let (class, number) = (image % 3, image / 3);
        let shown = if others.contains(&image) { (class + 1) % 3 } else { class };
        dataset.push_frame(&format!("{class}/{number}"), picture(shown, number)).unwrap();
    }
    spoilt.0 = Arc::new(dataset);
    assert_eq!(semi(&config, &spoilt, 1).unwrap(), before);
}

#[test]
fn a_linear_transfer_is_the_linear_probe_of_the_features() {
    let (dataset, labels) = images(15, 0);
    let classed = Classed { dataset: &dataset, labels: &labels };
    let go_on = &mut |_: usize, _: usize| Control::Continue;
    let mut config = config("linear");
    config.finetune.label_fraction = 0.5;
    let found = transfer(&config, &start(), classed, None, 3, &CancelToken::new(), go_on).unwrap();
    let options = SessionOptions { output: Output::Features, ..SessionOptions::default() };
    let session = Session::new(&network(), &view(), options).unwrap();
    let rows = session.embed_dataset(&dataset, 16, 1, &mut |_, _| true).unwrap();
    let probe = Probe { splits: 3, seed: config.seed, label_fraction: 0.5, ..Probe::default() };
    let features = Embeddings::new(&rows, session.dim()).unwrap();
    let wanted = linear_probe(&features, &labels, &probe, &mut || false).unwrap();
    assert_eq!(found, wanted);

    // With images of their own for testing, all of them are judged, and none is learned from.
    let (others, truth) = images(6, 40);
    let test = Some(Classed { dataset: &others, labels: &truth });
    let found = transfer(&config, &start(), classed, test, 2, &CancelToken::new(), go_on).unwrap();
    let share = found.accuracy.mean * 18.0 * 2.0;
    assert!((share - share.round()).abs() < 1e-9 && found.accuracy.mean > 0.6, "{found:?}");
    config.finetune.mode = FinetuneMode::Full;
    let tuned = transfer(&config, &start(), classed, test, 1, &CancelToken::new(), go_on).unwrap();
    assert!(tuned.accuracy.mean > 0.6, "{tuned:?}");
}

#[test]
fn without_a_held_out_part_all_labels_of_the_fraction_are_learned_from_and_nothing_is_calibrated() {
    let (dataset, labels) = images(12, 0);
    let names: Vec<String> = ["across", "along", "noise"].map(str::to_owned).to_vec();
    let mut config = config("full");
    (config.finetune.held_out, config.finetune.label_fraction, config.finetune.epochs) = (0.0, 0.5, 4);
    // It would stop after the first pass that brought nothing, were there anything to see it by.
    config.finetune.patience = 1;
    let images = Labelled { dataset: &dataset, labels: &labels, names: &names };
    let mut told = Vec::new();
    let (classifier, _) = finetune(&config, start(), None, &images, &CancelToken::new(), |progress| {
        told.push((progress.epoch, progress.held_out_loss));
        Control::Continue
    })
    .unwrap();
    let header = classifier.header();
    let number = |key: &str| header.training[key].as_u64().unwrap();
    assert_eq!((number("images"), number("held_out")), (18, 0), "half of twelve of each of three classes");
    assert_eq!((number("epochs"), number("best_epoch")), (4, 4), "the last pass of all of them");
    assert!(told.iter().all(|(_, loss)| loss.is_nan()));
    assert!(header.held_out.is_none() && header.temperature == 1.0 && header.threshold == 0.0);
    let calibration = header.calibration.unwrap();
    assert_eq!((calibration.by, calibration.images), (CalibratedBy::None, 0));
    let warnings = classifier.warnings().text();
    assert!(warnings.contains("no image was held out, so nothing is calibrated"), "{warnings}");

    // As a protocol: tested on images of their own, by the same classifier.
    let (others, truth) = self::images(6, 40);
    let (learned, tested) =
        (Classed { dataset: &dataset, labels: &labels }, Classed { dataset: &others, labels: &truth });
    let go_on = &mut |_: usize, _: usize| Control::Continue;
    let found = transfer(&config, &start(), learned, Some(tested), 1, &CancelToken::new(), go_on).unwrap();
    let judged = classifier.judge(&others, &truth, 8, 1, &mut |_, _| true).unwrap();
    assert_eq!((found.accuracy.mean, found.balanced_recall.mean), (judged.accuracy, judged.balanced_recall));
}

#[test]
fn what_cannot_be_judged_is_refused_and_a_cancel_ends_it() {
    let images = images(6, 0);
    let kind = |result: Result<ProbeScores>| result.err().map(|error| error.kind());
    assert_eq!(kind(semi(&config("full"), &images, 0)), Some(ErrorKind::InvalidArgument));
    let short = (Arc::clone(&images.0), images.1[1..].to_vec());
    assert_eq!(kind(semi(&config("full"), &short, 1)), Some(ErrorKind::InvalidArgument));
    let one = (Arc::clone(&images.0), vec![0; 18]);
    assert_eq!(kind(semi(&config("full"), &one, 1)), Some(ErrorKind::InvalidArgument));
    let classed = Classed { dataset: &images.0, labels: &images.1 };
    for mode in ["linear", "full"] {
        let (mut told, mut total) = (0, 0);
        let mut count = |done: usize, all: usize| {
            (told, total) = (told.max(done), all);
            Control::Continue
        };
        transfer(&config(mode), &start(), classed, None, 2, &CancelToken::new(), &mut count).unwrap();
        assert!(told == total && total > 2, "{told} of {total}");
        let stop = &mut |_: usize, _: usize| Control::Stop;
        let stopped = transfer(&config(mode), &start(), classed, None, 2, &CancelToken::new(), stop);
        assert_eq!(kind(stopped), Some(ErrorKind::Cancelled), "{mode}");
        let token = CancelToken::new();
        token.trigger();
        let go_on = &mut |_: usize, _: usize| Control::Continue;
        let cancelled = transfer(&config(mode), &start(), classed, None, 2, &token, go_on);
        assert_eq!(kind(cancelled), Some(ErrorKind::Cancelled), "{mode}");
    }
}
