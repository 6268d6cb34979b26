//! A classifier that learns from a teacher's classifier: the loss against torch's autograd, and what few labels gain by it.

use std::sync::Arc;

use crate::golden::golden;
use seed::ErrorKind;
use seed::config::{Config, FinetuneMode, Precision};
use seed::data::{Dataset, Frame, Input, Resize};
use seed::infer::Classifier;
use seed::model::student_file::StudentHeader;
use seed::model::{Architecture, Head, Network};
use seed::train::finetune::logits::logit_loss;
use seed::train::finetune::{Labelled, Start, Teachers, finetune_with};
use seed::train::{CancelToken, Control};
use serde_json::Value;
use tch::{Device, Tensor};

#[test]
fn loss_and_gradient_are_those_of_autograd_in_float64() {
    let path = golden("distillation.json");
    let cases: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let cases = cases.as_array().unwrap();
    assert_eq!(cases.len(), 4);
    for case in cases {
        let numbers = |key: &str| -> Vec<f64> {
            case[key].as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
        };
        let rows = |key: &str| Tensor::from_slice(&numbers(key)).view([-1, case["classes"].as_i64().unwrap()]);
        let student = rows("student").set_requires_grad(true);
        let loss = logit_loss(&student, &rows("teacher"), case["temperature"].as_f64().unwrap()).unwrap();
        let wanted = case["loss"].as_f64().unwrap();
        assert!((loss.double_value(&[]) - wanted).abs() < 1e-12 * wanted.max(1.0), "{} for {wanted}", loss);
        loss.backward();
        let apart = (student.grad() - rows("gradient")).abs().max().double_value(&[]);
        assert!(apart < 1e-12, "{apart}");
    }
}

/// Stripes across (class 0) or along (class 1), whose period and shade differ from image to image.
fn picture(class: usize, number: usize) -> Frame {
    let (period, dark) = (3 + number % 3, 20 + (number * 17 % 60) as u8);
    let lit = |x: usize, y: usize| ((if class == 0 { x } else { y } + number) / period).is_multiple_of(2);
    let pixels = (0..40 * 40).map(|at| if lit(at % 40, at / 40) { 200 } else { dark }).collect();
    Frame::new(40, 40, 1, pixels).unwrap()
}

/// `count` images of each class; of these, the first `labelled` have a label.
fn images(count: usize, labelled: usize) -> (Arc<Dataset>, Vec<i32>, Vec<usize>) {
    let dataset = Dataset::in_memory();
    let (mut labels, mut truth) = (Vec::new(), Vec::new());
    for number in 0..2 * count {
        let (class, number) = (number / count, number % count);
        dataset.push_frame(&format!("{class}/{number}"), picture(class, number)).unwrap();
        labels.push(if number < labelled { class as i32 } else { -1 });
        truth.push(class);
    }
    (Arc::new(dataset), labels, truth)
}

fn start(seed: u64, size: u32) -> Start {
    let head = Head::Projection { hidden: 16, dim: 8 };
    let network = Network::new(Architecture::ResNet10, head, seed, Device::Cpu).unwrap();
    let view = Input { width: size, height: size, resize: Resize::Centre, ..Input::default() };
    Start::student(&network, &StudentHeader::new(&network, &view)).unwrap()
}

fn config() -> Config {
    let mut config = Config { device: "cpu".into(), precision: Precision::Fp32, workers: 1, ..Config::default() };
    config.finetune.mode = FinetuneMode::Full;
    config.finetune.epochs = 6;
    config.finetune.batch_size = 8;
    config.finetune.held_out = 0.0;
    config.finetune.penalty = 1.0;
    config
}

fn fit(
    config: &Config,
    start: Start,
    images: (&Arc<Dataset>, &[i32]),
    names: [&str; 2],
    classifier: Option<Arc<Classifier>>,
) -> seed::Result<Classifier> {
    let names = names.map(str::to_owned);
    let images = Labelled { dataset: images.0, labels: images.1, names: &names };
    let teachers = Teachers { anchor: None, classifier };
    Ok(finetune_with(config, start, teachers, &images, &CancelToken::new(), |_| Control::Continue)?.0)
}

const NAMES: [&str; 2] = ["across", "along"];

#[test]
fn a_student_learns_the_teachers_answers_to_images_without_a_label() {
    let (dataset, labels, truth) = images(24, 24);
    let linear = Config {
        finetune: seed::config::FinetuneConfig { mode: FinetuneMode::Linear, ..config().finetune },
        ..config()
    };
    let teacher = Arc::new(fit(&linear, start(5, 32), (&dataset, &labels), NAMES, None).unwrap());
    // The student is told one label a class, and these the wrong way round, which weigh nothing.
    let (_, mut few, _) = images(24, 1);
    few.iter_mut().filter(|label| **label >= 0).for_each(|label| *label = 1 - *label);
    let mut config = config();
    config.finetune.label_weight = 0.0;
    let right = |classifier: &Classifier| {
        let (verdicts, _) = classifier.classify_dataset(&dataset, 16, 1, &mut |_, _| true).unwrap();
        (0..truth.len()).filter(|&i| verdicts.class(i) == truth[i]).count()
    };
    let taught = fit(&config, start(3, 32), (&dataset, &few), NAMES, Some(Arc::clone(&teacher))).unwrap();
    config.finetune.label_weight = 1.0;
    let alone = fit(&config, start(3, 32), (&dataset, &few), NAMES, None).unwrap();
    assert_eq!(right(&teacher), 48, "the teacher knows its images");
    assert!(right(&taught) >= 38, "{} right by the teacher's answers", right(&taught));
    assert!(right(&alone) <= 24, "{} right by two wrong labels", right(&alone));

    // A run that is killed goes on as the same run: its checkpoint knows the teacher.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.safetensors");
    config.finetune.checkpoint_path = path.to_str().unwrap().to_owned();
    let names = NAMES.map(str::to_owned);
    let labelled = Labelled { dataset: &dataset, labels: &few, names: &names };
    let stopped = |teachers: Teachers, passes: u64| {
        finetune_with(&config, start(3, 32), teachers, &labelled, &CancelToken::new(), move |progress| {
            if progress.epoch >= passes { Control::Stop } else { Control::Continue }
        })
    };
    let teachers = Teachers { anchor: None, classifier: Some(teacher) };
    let state = |classifier: &Classifier| classifier.network().unwrap().to_state().unwrap();
    stopped(teachers.clone(), 2).unwrap();
    assert_eq!(stopped(Teachers::default(), 9).err().map(|error| error.kind()), Some(ErrorKind::Mismatch));
    let resumed = stopped(teachers.clone(), 9).unwrap().0;
    assert!(!path.exists(), "the file of a run that is done is removed");
    assert!(state(&resumed) == state(&stopped(teachers, 9).unwrap().0), "bit for bit");
}

#[test]
fn a_teachers_classifier_that_does_not_fit_is_refused() {
    let (dataset, labels, _) = images(6, 6);
    let mut linear = config();
    linear.finetune.mode = FinetuneMode::Linear;
    let teacher = |size: u32, names: [&str; 2]| {
        Some(Arc::new(fit(&linear, start(5, size), (&dataset, &labels), names, None).unwrap()))
    };
    let kind = |config: &Config, teacher| {
        fit(config, start(3, 32), (&dataset, &labels), NAMES, teacher).err().map(|error| error.kind())
    };
    assert_eq!(kind(&config(), teacher(48, NAMES)), Some(ErrorKind::Mismatch), "another size of images");
    assert_eq!(
        kind(&config(), teacher(32, ["along", "across"])),
        Some(ErrorKind::Mismatch),
        "another order of classes"
    );
    assert_eq!(kind(&linear, teacher(32, NAMES)), Some(ErrorKind::InvalidArgument), "no layer but one learns");
}
