//! Fine-tuning end to end on small drawn images: learning, files, resume, cancel, new classes, hostile headers.

use std::path::Path;
use std::sync::Arc;

use seed::config::{Config, Precision, Reject};
use seed::data::{Dataset, Frame, FrameView, Input, PixelFormat};
use seed::infer::classifier::{CalibratedBy, Calibration};
use seed::infer::{AnomalyDetector, Classifier, Output, Session, SessionOptions};
use seed::model::student_file::StudentHeader;
use seed::model::weights::{read, write_safetensors};
use seed::model::{Architecture, Head, Network, Teacher};
use seed::train::finetune::{Labelled, Stage, Start, finetune};
use seed::train::{CancelToken, Control, Outcome};
use seed::{ErrorKind, Result};
use tch::Device;

const NAMES: [&str; 3] = ["columns", "rows", "grid"];

/// Stripes across, along or both, of a period and shade that differ from image to image.
fn picture(class: usize, number: usize) -> Vec<u8> {
    let (period, shift) = (3 + number % 3, number / 3 % 4);
    let dark = 20 + (number * 17 % 60) as u8;
    let draw = |x: usize, y: usize| {
        let on = |place: usize| ((place + shift) / period).is_multiple_of(2);
        let lit = match class {
            0 => on(x),
            1 => on(y),
            _ => on(x) != on(y),
        };
        if lit { 220 - dark } else { dark }
    };
    (0..40 * 40).map(|place| draw(place % 40, place / 40)).collect()
}

/// `counts[c]` images of class c, then two without a label.
fn images(counts: &[usize]) -> (Arc<Dataset>, Vec<i32>) {
    let dataset = Dataset::in_memory();
    let mut labels = Vec::new();
    for (class, &count) in counts.iter().enumerate() {
        for number in 0..count {
            let frame = Frame::new(40, 40, 1, picture(class, number)).unwrap();
            dataset.push_frame(&format!("{class}/{number}"), frame).unwrap();
            labels.push(class as i32);
        }
    }
    for number in 0..2 {
        dataset.push_frame(&format!("none/{number}"), Frame::new(40, 40, 1, picture(2, number)).unwrap()).unwrap();
        labels.push(-1);
    }
    (Arc::new(dataset), labels)
}

fn names(count: usize) -> Vec<String> {
    NAMES[..count].iter().map(|&name| name.to_owned()).collect()
}

fn view() -> Input {
    Input { width: 32, height: 32, ..Input::default() }
}

fn student() -> (Network, StudentHeader) {
    let head = Head::Projection { hidden: 16, dim: 8 };
    let network = Network::new(Architecture::ResNet10, head, 3, Device::Cpu).unwrap();
    let header = StudentHeader::new(&network, &view());
    (network, header)
}

fn start() -> Start {
    let (network, header) = student();
    Start::student(&network, &header).unwrap()
}

fn config(mode: &str) -> Config {
    let mut config = Config { device: "cpu".into(), precision: Precision::Fp32, workers: 1, ..Config::default() };
    config.set_string("finetune.mode", mode).unwrap();
    config.finetune.epochs = 3;
    config.finetune.batch_size = 8;
    config.finetune.held_out = 0.25;
    config
}

fn fit(config: &Config, start: Start, counts: &[usize]) -> Result<(Classifier, Outcome)> {
    let (dataset, labels) = images(counts);
    let names = names(counts.len());
    let images = Labelled { dataset: &dataset, labels: &labels, names: &names };
    finetune(config, start, None, &images, &CancelToken::new(), |_| Control::Continue)
}

fn answers(classifier: &Classifier, class: usize) -> seed::infer::Verdicts {
    let pictures: Vec<Vec<u8>> = (30..40).map(|number| picture(class, number)).collect();
    let frames: Vec<FrameView<'_>> =
        pictures.iter().map(|bytes| FrameView::new(bytes, 40, 40, 40, PixelFormat::Mono8).unwrap()).collect();
    classifier.classify(&frames).unwrap()
}

fn hits(classifier: &Classifier, class: usize) -> usize {
    let verdicts = answers(classifier, class);
    (0..verdicts.len()).filter(|&i| verdicts.class(i) == class).count()
}

fn state(classifier: &Classifier) -> Vec<(String, seed::model::weights::HostTensor)> {
    classifier.network().unwrap().to_state().unwrap()
}

#[test]
fn a_linear_classifier_learns_and_its_file_gives_the_same_answers() {
    let (classifier, outcome) = fit(&config("linear"), start(), &[20, 20, 20]).unwrap();
    assert_eq!(outcome, Outcome::Finished);
    for class in 0..3 {
        assert!(hits(&classifier, class) >= 9, "class {class}: {} of 10", hits(&classifier, class));
    }
    let verdicts = answers(&classifier, 1);
    assert!((verdicts.of(0).iter().sum::<f32>() - 1.0).abs() < 1e-5);
    assert_eq!(verdicts.probability(3), verdicts.of(3)[verdicts.class(3)]);
    let held_out = classifier.header().held_out.clone().unwrap();
    // Fifteen would be held out; cross-validation asks all of them.
    assert_eq!(held_out.images, 60);
    assert_eq!(held_out.confusion.counts().iter().sum::<u64>(), 60);
    assert!(held_out.chance == 1.0 / 3.0 && held_out.balanced_recall_low > 0.5, "{held_out:?}");
    assert!(held_out.selected.coverage >= 0.95, "{held_out:?}");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("classifier.safetensors");
    classifier.save(&path).unwrap();
    let opened = Classifier::open(&path, SessionOptions::default()).unwrap();
    assert_eq!(opened.header(), classifier.header());
    assert_eq!(answers(&opened, 2), answers(&classifier, 2));
    // The file's classifier has torchvision's key, so it is a ResNet with a classifier for every other program.
    assert_eq!(read(&path).unwrap().tensors["fc.weight"].shape, [3, 512]);
}

#[test]
fn the_backbone_of_the_linear_mode_stays_as_it_was() {
    let (classifier, _) = fit(&config("linear"), start(), &[12, 12]).unwrap();
    let before: std::collections::BTreeMap<_, _> = student().0.to_state().unwrap().into_iter().collect();
    for (name, tensor) in state(&classifier) {
        assert!(name.starts_with("fc.") || before[&name] == tensor, "{name} has changed");
    }
}

#[test]
fn unsure_answers_are_those_below_the_threshold() {
    let mut config = config("linear");
    config.finetune.reject_level = 0.5;
    let (classifier, _) = fit(&config, start(), &[20, 20, 20]).unwrap();
    let header = classifier.header();
    let coverage = header.held_out.as_ref().unwrap().selected.coverage;
    assert!((0.5..1.0).contains(&coverage), "{coverage}");
    let verdicts = answers(&classifier, 0);
    for i in 0..verdicts.len() {
        assert_eq!(verdicts.unsure(i), verdicts.probability(i) < header.threshold);
    }
    config.finetune.reject = Reject::None;
    let (classifier, _) = fit(&config, start(), &[20, 20, 20]).unwrap();
    assert_eq!(classifier.header().threshold, 0.0);
}

fn by(classifier: &Classifier) -> Calibration {
    classifier.header().calibration.unwrap()
}

#[test]
fn few_labels_are_judged_by_cross_validation_and_all_are_learned_from() {
    let (classifier, _) = fit(&config("linear"), start(), &[5, 5, 5]).unwrap();
    let header = classifier.header();
    assert_eq!(by(&classifier), Calibration { by: CalibratedBy::CrossValidation, images: 15, folds: Some(5) });
    assert_eq!((header.held_out.as_ref().unwrap().images, &header.training["images"]), (15, &15.into()));
    assert!(hits(&classifier, 0) + hits(&classifier, 1) + hits(&classifier, 2) >= 20);
    // Enough to hold some out: as before.
    let (classifier, _) = fit(&config("linear"), start(), &[40, 40, 40]).unwrap();
    assert_eq!(by(&classifier), Calibration { by: CalibratedBy::HeldOut, images: 30, folds: None });
    assert_eq!(classifier.header().training["images"], 90);
    // Fewer labels than there are: none of the others is learned from.
    let mut few = config("linear");
    few.finetune.labels_per_class = 4;
    let (classifier, _) = fit(&few, start(), &[20, 20]).unwrap();
    assert_eq!((by(&classifier).images, &classifier.header().training["images"]), (8, &8.into()));
}

#[test]
fn what_cannot_be_calibrated_says_so_and_nothing_is_sure() {
    for counts in [[1, 1, 1], [2, 1, 1], [2, 2, 2]] {
        let (classifier, outcome) = fit(&config("linear"), start(), &counts).unwrap();
        let header = classifier.header();
        assert_eq!((outcome, by(&classifier).by, header.temperature), (Outcome::Finished, CalibratedBy::None, 1.0));
        let verdicts = answers(&classifier, 0);
        assert!(header.held_out.is_none() && (0..verdicts.len()).all(|i| verdicts.unsure(i)), "{header:?}");
        assert!(
            header.notes()[0].contains("not calibrated") && header.notes()[0].contains("unsure"),
            "{:?}",
            header.notes()
        );
    }
    // Who wants answers all the same gets them.
    let mut all = config("linear");
    all.finetune.reject = Reject::None;
    let (classifier, _) = fit(&all, start(), &[1, 1]).unwrap();
    assert_eq!((by(&classifier).by, classifier.header().threshold), (CalibratedBy::None, 0.0));
    assert!(classifier.header().notes()[0].contains("no answer is unsure"));
    // All layers and few images: six of them would choose the pass, and nothing is left to calibrate by.
    let mut full = config("full");
    full.finetune.patience = 0;
    full.finetune.head_rate_factor = 1.0;
    let (classifier, _) = fit(&full, start(), &[12, 12]).unwrap();
    let header = classifier.header();
    let linear_stayed = header.training["best_epoch"] == 0;
    let expected = if linear_stayed { CalibratedBy::CrossValidation } else { CalibratedBy::None };
    assert_eq!((by(&classifier).by, header.threshold >= 1.0), (expected, !linear_stayed), "{header:?}");
}

#[test]
fn labels_that_mean_nothing_give_no_sure_answer() {
    // Ten labels a class by lot: by six held-out images, nineteen of twenty answers were called sure.
    let (dataset, mut labels) = images(&[10, 10, 10]);
    (0..30usize).for_each(|image| labels[image] = ((image * image * 7919 + image * 13) % 101 % 3) as i32);
    let names = names(3);
    let images = Labelled { dataset: &dataset, labels: &labels, names: &names };
    let run = |config: &Config| {
        finetune(config, start(), None, &images, &CancelToken::new(), |_| Control::Continue).unwrap().0
    };
    let classifier = run(&config("linear"));
    let sure = (0..3).map(|class| {
        let verdicts = answers(&classifier, class);
        (0..verdicts.len()).filter(|&i| !verdicts.unsure(i)).count()
    });
    assert_eq!(sure.sum::<usize>(), 0, "{:?}", classifier.header());
    let notes = classifier.header().notes();
    assert!(notes.iter().any(|note| note.contains("every answer is unsure")), "{notes:?}");
    assert!(notes.iter().any(|note| note.contains("not shown to be better than chance")), "{notes:?}");
}

#[test]
fn all_layers_learn_and_the_best_pass_is_kept() {
    let mut config = config("full");
    config.finetune.patience = 0;
    let (dataset, labels) = images(&[16, 16]);
    let names = names(2);
    let images = Labelled { dataset: &dataset, labels: &labels, names: &names };
    let mut losses = Vec::new();
    let (classifier, outcome) = finetune(&config, start(), None, &images, &CancelToken::new(), |progress| {
        if progress.stage == Stage::Full {
            assert_eq!((progress.done, progress.total), (3 * progress.epoch, 9));
            losses.push(progress.held_out_loss);
        }
        Control::Continue
    })
    .unwrap();
    assert_eq!((outcome, losses.len()), (Outcome::Finished, 3));
    let training = &classifier.header().training;
    assert_eq!(training["epochs"], 3);
    let kept = training["held_out_loss"].as_f64().unwrap();
    assert!(losses.iter().all(|&loss| kept <= loss + 1e-12), "{kept} is not the best of {losses:?}");
}

#[test]
fn a_run_that_diverges_keeps_the_linear_classifier() {
    let mut config = config("full");
    config.finetune.learning_rate = 1e30; // beyond what a key takes
    let (classifier, outcome) = fit(&config, start(), &[16, 16]).unwrap();
    assert_eq!(outcome, Outcome::Finished);
    let training = &classifier.header().training;
    assert_eq!((&training["diverged"], &training["best_epoch"]), (&true.into(), &0.into()), "{training}");
    assert!(hits(&classifier, 0) + hits(&classifier, 1) >= 16);
}

/// Runs the full mode to its end, or until `passes` were made.
fn full_run(config: &Config, passes: u64) -> Result<(Classifier, Outcome)> {
    let (dataset, labels) = images(&[12, 12]);
    let names = names(2);
    let images = Labelled { dataset: &dataset, labels: &labels, names: &names };
    finetune(config, start(), None, &images, &CancelToken::new(), |progress| match progress.stage {
        Stage::Full if progress.epoch >= passes => Control::Stop,
        _ => Control::Continue,
    })
}

#[test]
fn a_run_goes_on_where_it_was_stopped_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.safetensors");
    let mut config = config("full");
    // Without held-out images the last pass is the result, so that every step of both runs counts.
    config.finetune.held_out = 0.0;
    config.finetune.anchor = 0.5;
    let (whole, _) = full_run(&config, 99).unwrap();
    config.finetune.checkpoint_path = path.to_str().unwrap().to_owned();
    let (partial, outcome) = full_run(&config, 1).unwrap();
    assert_eq!(outcome, Outcome::Cancelled);
    assert!(path.exists() && state(&partial) != state(&whole));

    let mut other = config.clone();
    other.finetune.learning_rate = 0.5;
    assert_eq!(full_run(&other, 99).unwrap_err().kind(), ErrorKind::Mismatch);

    let (resumed, outcome) = full_run(&config, 99).unwrap();
    assert_eq!(outcome, Outcome::Finished);
    assert!(state(&resumed) == state(&whole), "the resumed run differs");
    assert!(!path.exists(), "a run that is done leaves no checkpoint");

    std::fs::write(&path, b"no checkpoint").unwrap();
    assert_eq!(full_run(&config, 99).unwrap_err().kind(), ErrorKind::Format);
}

#[test]
fn a_cancel_keeps_what_there_is() {
    let (dataset, labels) = images(&[12, 12]);
    let names = names(2);
    let images = Labelled { dataset: &dataset, labels: &labels, names: &names };
    let cancel = CancelToken::new();
    cancel.trigger();
    let early = finetune(&config("full"), start(), None, &images, &cancel, |_| Control::Continue).unwrap_err();
    assert_eq!(early.kind(), ErrorKind::Cancelled);
    let (classifier, outcome) =
        finetune(&config("full"), start(), None, &images, &CancelToken::new(), |progress| match progress.stage {
            Stage::Linear => Control::Stop,
            _ => Control::Continue,
        })
        .unwrap();
    assert_eq!(outcome, Outcome::Cancelled);
    assert_eq!(classifier.header().training["cancelled"], true);
    assert!(hits(&classifier, 0) + hits(&classifier, 1) >= 10);
}

#[test]
fn new_classes_join_and_the_old_ones_keep_their_weights() {
    let (two, _) = fit(&config("linear"), start(), &[20, 20]).unwrap();
    // A penalty so strong that nothing moves away from the start within an iteration would not show anything; the rows that
    // the fit starts from do.
    let (three, _) = fit(&config("linear"), Start::classifier(&two).unwrap(), &[20, 20, 20]).unwrap();
    for class in 0..3 {
        assert!(hits(&three, class) >= 9, "class {class}");
    }
    let before: std::collections::BTreeMap<_, _> = state(&two).into_iter().collect();
    assert!(state(&three).iter().all(|(name, tensor)| name.starts_with("fc.") || before[name] == *tensor));

    // Steps of rate 0: what comes out is what the run started from, the old rows first.
    let mut frozen = config("full");
    frozen.finetune.learning_rate = 0.0;
    let again = fit(&frozen, Start::classifier(&two).unwrap(), &[20, 20]).unwrap().0;
    for class in 0..2 {
        assert_eq!(hits(&again, class), hits(&two, class));
    }
    let (dataset, labels) = images(&[5, 5]);
    let names = vec!["rows".to_owned(), "columns".to_owned()];
    let swapped = Labelled { dataset: &dataset, labels: &labels, names: &names };
    let start = Start::classifier(&two).unwrap();
    let error =
        finetune(&config("linear"), start, None, &swapped, &CancelToken::new(), |_| Control::Continue).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Mismatch);
    assert!(error.message().contains("keep these first"), "{error}");
}

#[test]
fn an_anchor_changes_what_is_learned_and_needs_a_teacher_that_fits() {
    // What it pulls at is compared with autograd in src/train/finetune/anchor.rs.
    let run = |anchor: f64, start: Start| {
        let mut config = config("full");
        config.finetune.held_out = 0.0;
        config.finetune.anchor = anchor;
        fit(&config, start, &[12, 12]).unwrap().0
    };
    let bare = || {
        let network = Network::new(Architecture::ResNet10, Head::None, 3, Device::Cpu).unwrap();
        Start::student(&network, &StudentHeader::new(&network, &view())).unwrap()
    };
    assert!(state(&run(0.0, start())) != state(&run(1.0, start())));
    // Without a projection, the features are the embedding.
    assert!(state(&run(0.0, bare())) != state(&run(1.0, bare())));

    // A teacher whose embedding has another width does not fit.
    let wide = Network::new(Architecture::ResNet10, Head::Projection { hidden: 8, dim: 24 }, 1, Device::Cpu).unwrap();
    let (dataset, labels) = images(&[8, 8]);
    let names = names(2);
    let images = Labelled { dataset: &dataset, labels: &labels, names: &names };
    let mut config = config("full");
    config.finetune.anchor = 1.0;
    let teacher = Some(Arc::new(Teacher::new(wide).unwrap()));
    let error = finetune(&config, start(), teacher, &images, &CancelToken::new(), |_| Control::Continue).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Mismatch, "{error}");
}

#[test]
fn broken_images_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut labels = Vec::new();
    for class in 0..2 {
        for number in 0..10 {
            let path = folder.path().join(format!("{class}-{number}.png"));
            if number == 3 {
                std::fs::write(&path, b"no image").unwrap();
            } else {
                image::GrayImage::from_raw(40, 40, picture(class, number)).unwrap().save(&path).unwrap();
            }
            labels.push(class as i32);
        }
    }
    let dataset = Arc::new(Dataset::from_folder(folder.path()).unwrap());
    let names = names(2);
    let images = Labelled { dataset: &dataset, labels: &labels, names: &names };
    let (classifier, _) =
        finetune(&config("full"), start(), None, &images, &CancelToken::new(), |_| Control::Continue).unwrap();
    let training = &classifier.header().training;
    assert_eq!(training["images"].as_u64().unwrap() + training["held_out"].as_u64().unwrap(), 18);
    let judgement = classifier.judge(&dataset, &labels, 8, 1, &mut |_, _| true).unwrap();
    assert_eq!(judgement.images, 18);
}

#[test]
fn labels_and_names_that_do_not_fit_are_refused() {
    let (dataset, labels) = images(&[4, 4]);
    let run = |labels: &[i32], names: &[&str]| {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let images = Labelled { dataset: &dataset, labels, names: &names };
        finetune(&config("linear"), start(), None, &images, &CancelToken::new(), |_| Control::Continue).unwrap_err()
    };
    let few = run(&labels[1..], &["a", "b"]);
    assert!(few.message().contains("expected one for each"), "{few}");
    assert!(run(&labels, &["a"]).message().contains("label of image 4 is 1"));
    assert!(run(&labels, &["a", "a"]).message().contains("two classes"));
    assert!(run(&labels, &["a", "b\n"]).message().contains("control characters"));
    let one = [vec![0; 8], vec![-1; 2]].concat();
    assert!(run(&one, &["a", "b"]).message().contains("at least 2"));
    assert!(run(&[-1; 10], &["a", "b"]).message().contains("no image has a label"));
    assert!(run(&[-2; 10], &["a", "b"]).message().contains("-2"));
}

#[test]
fn a_hostile_header_is_refused() {
    let (classifier, _) = fit(&config("linear"), start(), &[8, 8]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("classifier.safetensors");
    classifier.save(&path).unwrap();
    let sound = read(&path).unwrap();
    let tensors: Vec<_> = sound.tensors.clone().into_iter().collect();
    let text = sound.metadata["classifier"].clone();
    let open = |path: &Path| Classifier::open(path, SessionOptions::default()).unwrap_err();
    let header: serde_json::Value = serde_json::from_str(&text).unwrap();
    let with = |key: &str, value: serde_json::Value| {
        let mut changed = header.clone();
        changed[key] = value;
        changed.to_string()
    };
    let confusion = |classes: u64, counts: Vec<u64>| {
        let mut changed = header.clone();
        changed["held_out"]["confusion"] = serde_json::json!({ "classes": classes, "counts": counts });
        changed.to_string()
    };
    for (text, expected) in [
        ("{".to_owned(), "classifier is not sound"),
        (with("names", serde_json::json!(["a"])), "1 names for 2 classes"),
        (with("names", serde_json::json!(["a", "a"])), "two classes are named"),
        (with("names", serde_json::json!(["a", ""])), "expected 1 to"),
        (with("temperature", serde_json::json!(0)), "temperature is 0"),
        (with("temperature", serde_json::json!("1")), "classifier is not sound"),
        (with("threshold", serde_json::json!(-1)), "threshold is -1"),
        (with("unknown", serde_json::json!(1)), "unknown field"),
        (confusion(2, vec![1, 2, 3]), "confusion matrix"),
        (confusion(1 << 40, vec![]), "confusion matrix"),
    ] {
        let mut metadata = sound.metadata.clone();
        metadata.insert("classifier".to_owned(), text.clone());
        write_safetensors(&path, &tensors, &metadata).unwrap();
        let error = open(&path);
        assert_eq!(error.kind(), ErrorKind::Format, "{text}: {error}");
        assert!(error.message().contains(expected) && error.message().contains("classifier.safetensors"), "{error}");
    }
    // What the file is, where it is taken for another.
    write_safetensors(&path, &tensors, &sound.metadata).unwrap();
    let session = Session::open(&path, SessionOptions::default()).err().unwrap();
    let detector = AnomalyDetector::open(&path, SessionOptions::default()).err().unwrap();
    for error in [session, detector] {
        assert!(error.kind() == ErrorKind::Format && error.message().contains("seed_classifier_open"), "{error}");
    }
    let features = SessionOptions { output: Output::Features, ..SessionOptions::default() };
    assert!(Session::open(&path, features).is_ok(), "its features are there for a session");
    let mut metadata = sound.metadata.clone();
    metadata.remove("classifier");
    write_safetensors(&path, &tensors, &metadata).unwrap();
    assert!(open(&path).message().contains("a student; seed_session_open"));
}
