//! NaN and infinity stop where they arise: the message names the network and the image, and no file of them is written. And a student
//! that gives the same vector for every image is told.

use std::sync::{Arc, Mutex};

use seed::config::{Config, Precision};
use seed::data::{Dataset, Frame};
use seed::distill::bank::Bank;
use seed::model::provenance::Provenance;
use seed::model::{Application, ApplicationOptions, Architecture, BatchFormat, Head, Network, Teacher};
use seed::train::{CancelToken, Control, Distillation, Outcome, fill_bank};
use seed::{Error, ErrorKind};
use tch::{Device, Kind, Tensor};

const DIM: i64 = 8;

/// Seven dark frames and one that is white in every view of it, "folder/white.png".
fn dataset() -> Arc<Dataset> {
    let dataset = Dataset::in_memory();
    for number in 0..8usize {
        let pixels = (0..40 * 40).map(|i| if number == 5 { 255 } else { (i * (number + 1) % 97) as u8 }).collect();
        let name = if number == 5 { "folder/white.png".to_owned() } else { format!("{number}.png") };
        dataset.push_frame(&name, Frame::new(40, 40, 1, pixels).unwrap()).unwrap();
    }
    Arc::new(dataset)
}

fn config() -> Config {
    let mut config = Config {
        device: "cpu".into(),
        precision: Precision::Fp32,
        batch_size: 8,
        steps: 4,
        view_count: 2,
        queue_capacity: 16,
        embedding_dim: DIM as u64,
        progress_every: 1,
        ..Config::default()
    };
    (config.view.input.width, config.view.input.height, config.view.jitter_probability) = (32, 32, 0.0);
    config
}

fn network(seed: u64) -> Network {
    Network::new(Architecture::ResNet10, Head::Projection { hidden: 16, dim: DIM }, seed, Device::Cpu).unwrap()
}

/// Finite weights whose products are not: every embedding is infinite.
fn overflowing(network: Network) -> Network {
    let (_, weight) = network.parameters().into_iter().find(|(name, _)| name == "projection.0.weight").unwrap();
    let _ = weight.detach().fill_(1e38);
    network
}

/// An engine that gives NaN for white images alone.
fn engine() -> Teacher {
    let embed = |images: &Tensor, embeddings: &Tensor| {
        let level = images.mean_dim([1i64, 2, 3].as_slice(), true, Kind::Float).view([-1, 1]); // (B, 1)
        let rows = Tensor::ones([images.size()[0], DIM], (Kind::Float, Device::Cpu)) * &level + 0.5;
        let white = level.gt(1.0).expand([-1, DIM], false);
        embeddings.shallow_clone().copy_(&rows.masked_fill(&white, f64::NAN));
        Ok(())
    };
    let options = ApplicationOptions {
        dim: DIM,
        identity: "engine 1".to_owned(),
        format: BatchFormat::FloatNchw,
        at: Device::Cpu,
        device: Device::Cpu,
        mean: [0.485, 0.456, 0.406],
        std: [0.229, 0.224, 0.225],
    };
    Teacher::from_embedder(Application::new(Box::new(embed), options).unwrap())
}

fn fill(path: &std::path::Path, config: &Config, teacher: &Teacher) -> seed::Result<Outcome> {
    fill_bank(path, config, teacher, &dataset(), None, &CancelToken::new(), |_| Control::Continue)
}

fn run_of(config: &Config, teacher: Teacher) -> Distillation {
    let student = Arc::new(Mutex::new(network(1)));
    Distillation::new(config.clone(), student, Arc::new(teacher), None, Some(dataset())).unwrap()
}

fn end(run: &mut Distillation) -> seed::Result<Outcome> {
    run.run(None, &CancelToken::new(), |_| Control::Continue)
}

fn check(error: &Error, who: &str, image: &str) {
    assert_eq!(error.kind(), ErrorKind::Mismatch, "{error}");
    let expected = format!("the teacher ({who}) gave infinity or NaN for {image}");
    assert!(error.message().contains(&expected), "{error}, expected {expected}");
}

#[test]
fn a_bank_is_not_filled_with_what_is_no_number() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("teacher.bank");
    let error = fill(&path, &config(), &engine()).unwrap_err();
    check(&error, "application", "image folder/white.png;");
    let bank = Bank::open(&path).unwrap();
    bank.verify().unwrap();
    assert_eq!(bank.rows().0, 0, "nothing of the chunk was written");
    drop(bank);
    std::fs::remove_file(&path).unwrap();
    let error = fill(&path, &config(), &Teacher::new(overflowing(network(2))).unwrap()).unwrap_err();
    // The first view that is shown, whichever image it is of.
    check(&error, "resnet10", "image ");
    assert!(error.message().contains(".png;"), "{error}");
}

#[test]
fn a_bank_that_holds_nan_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("teacher.bank");
    fill(&path, &config(), &Teacher::new(network(2)).unwrap()).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let row = 2 * DIM as usize + 4;
    let rows_at = bytes.len() - 16 * row; // 8 images in 2 views
    bytes[rows_at + 13 * row + 1] = 0x7e; // NaN in row 13, which is view 1 of image 5
    let sum = crc32fast::hash(&[&[0; 8], &bytes[rows_at..]].concat());
    bytes[12_288..12_292].copy_from_slice(&sum.to_le_bytes());
    std::fs::write(&path, &bytes).unwrap();
    let error = Bank::open(&path).unwrap().verify().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Format);
    let expected = "row 13 holds infinity or NaN, which the teacher (resnet10 in fp32) gave for view 1 of image 5";
    assert!(error.message().contains(expected) && error.message().contains("the file is not damaged"), "{error}");
    // A damaged one is called so.
    bytes[rows_at + 3] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let error = Bank::open(&path).unwrap().verify().unwrap_err();
    assert!(error.message().contains("damaged: rows 0 to 15 do not have their checksum"), "{error}");
}

#[test]
fn a_teacher_s_nan_is_told_apart_from_a_student_that_diverges() {
    for (pieces, teacher, who) in [(1, engine(), "application"), (4, engine(), "application")] {
        let mut run = run_of(&Config { accumulation_steps: pieces, ..config() }, teacher);
        check(&end(&mut run).unwrap_err(), who, "image folder/white.png;");
        assert_eq!(run.step(), 0, "the student has not learned from it");
        assert!(!run.has_diverged().unwrap());
    }
    for pieces in [1, 4] {
        let teacher = Teacher::new(overflowing(network(2))).unwrap();
        let mut run = run_of(&Config { accumulation_steps: pieces, ..config() }, teacher);
        let error = end(&mut run).unwrap_err();
        check(&error, "resnet10", "image ");
        assert!(error.message().contains(".png;"), "{error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let mut run = run_of(&Config { learning_rate: 1e30, ..config() }, Teacher::new(network(2)).unwrap());
    let error = end(&mut run).unwrap_err();
    assert!(error.message().contains("the student has diverged") && run.has_diverged().unwrap(), "{error}");
    let refused = run.save(&folder.path().join("checkpoint")).unwrap_err();
    assert!(refused.message().contains("not finite"), "{refused}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is written");
}

#[test]
fn a_collapsed_student_is_told_and_a_sound_one_is_not() {
    for (learning_rate, collapsed) in [(0.03, false), (1000.0, true)] {
        let provenance = Arc::new(Provenance::default());
        let config = Config { learning_rate, steps: 12, progress_every: 2, ..config() };
        let teacher = Teacher::new(network(2)).unwrap();
        let mut run = run_of(&config, teacher).recorded_in(Arc::clone(&provenance));
        let mut told_at = None;
        let warnings = run.warnings().clone();
        let mut losses = Vec::new();
        let ended = run.run(None, &CancelToken::new(), |progress| {
            losses.push(progress.loss);
            if !warnings.list().is_empty() {
                told_at.get_or_insert(progress.step);
            }
            Control::Continue
        });
        assert_eq!(ended.unwrap(), Outcome::Finished, "{losses:?}");
        let all = run.warnings().list();
        assert_eq!(!all.is_empty(), collapsed, "{learning_rate}: {all:?} {losses:?}");
        let saved = provenance.to_value()["distillation"]["warnings"].clone();
        if collapsed {
            assert!(told_at.is_some_and(|step| step < 12), "{told_at:?}");
            assert!(all[0].starts_with("the student has collapsed by step"), "{all:?}");
            assert!(
                all[1].contains("and the run has ended so") && all[1].contains("learning_rate (now 1000)"),
                "{all:?}"
            );
            assert_eq!((all.len(), saved.as_array().map(Vec::len)), (2, Some(2)));
        } else {
            assert!(saved.is_null());
        }
    }
}
