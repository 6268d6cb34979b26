//! A run's event files, read by TensorBoard itself (tests/python/check_events.py): killed by kill -9 and resumed, no step is there
//! twice. Where no Python with tensorboard is, that comparison is skipped, loudly; the bytes of a record are compared with
//! TensorBoard's own in src/events.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::alone;
use crate::programs;
use crate::skipped::skip;
use crate::small_disk::SmallDisk;
use seed::config::{Config, FinetuneMode, Precision};
use seed::data::{Dataset, FrameView, PixelFormat};
use seed::events::EventFile;
use seed::model::student_file::StudentHeader;
use seed::model::{Architecture, Head, Network, Teacher};
use seed::train::finetune::{FinetuneProgress, Labelled, Stage, Start, finetune};
use seed::train::{CancelToken, Control, Distillation, Outcome};
use tch::Device;

const STEPS: u64 = 10;
const KILLED_AT: u64 = 7;
const CHILD: &str = "SEED_EVENTS_CHILD";

fn trainer(folder: &Path, tensorboard: &str) -> Distillation {
    let dataset = Dataset::in_memory();
    for image in 0..9u32 {
        let pixels: Vec<u8> = (0..40 * 40u32).map(|i| (i * (image + 3) % 239) as u8).collect();
        dataset.push(&image.to_string(), &FrameView::new(&pixels, 40, 40, 40, PixelFormat::Mono8).unwrap()).unwrap();
    }
    let mut config = Config {
        batch_size: 4,
        steps: STEPS,
        queue_capacity: 10,
        embedding_dim: 16,
        progress_every: 1,
        checkpoint_every: 3,
        checkpoint_path: folder.join("checkpoint").to_str().unwrap().into(),
        tensorboard_folder: tensorboard.into(),
        device: "cpu".into(),
        precision: Precision::Fp32,
        ..Config::default()
    };
    (config.view.input.width, config.view.input.height) = (32, 32);
    let network = |architecture: &str, seed| {
        let architecture = Architecture::parse(architecture).unwrap();
        Network::new(architecture, Head::Projection { hidden: 0, dim: 16 }, seed, Device::Cpu).unwrap()
    };
    let student = Arc::new(Mutex::new(network("resnet10_w0.25", 1)));
    let teacher = Arc::new(Teacher::new(network("resnet10_w0.25", 2)).unwrap());
    Distillation::new(config, student, teacher, None, Some(Arc::new(dataset))).unwrap()
}

fn event_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// What TensorBoard shows of a folder, by tag; None where there is none.
fn shown(folder: &Path) -> Option<BTreeMap<String, Vec<(u64, f32)>>> {
    let command = || {
        let mut command = programs::python();
        command.arg(programs::root().join("tests/python/check_events.py"));
        command
    };
    if !command().arg("--probe").output().is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: no Python with tensorboard; SEED_PYTHON may name one");
        return None;
    }
    let output = command().arg(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// Run by the test below in a process of its own, which kills itself between two checkpoints.
#[test]
fn killed_in_the_middle() {
    let Some(folder) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let mut run = trainer(&folder, folder.join("board").to_str().unwrap());
    run.run(None, &CancelToken::new(), |progress| {
        if progress.step == KILLED_AT {
            // SAFETY: ends this process.
            unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
        }
        Control::Continue
    })
    .unwrap();
}

#[test]
fn a_run_that_was_killed_goes_on_without_doubling_a_step() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let board = folder.join("board");
    let child = alone::command(module_path!(), "killed_in_the_middle").env(CHILD, folder).output().unwrap();
    assert_eq!(child.status.signal(), Some(libc::SIGKILL), "{}", String::from_utf8_lossy(&child.stderr));
    let files = event_files(&board);
    assert_eq!(files.len(), 1);
    // As if the power had failed within a write.
    let bytes = std::fs::read(&files[0]).unwrap();
    std::fs::write(&files[0], &bytes[..bytes.len() - 5]).unwrap();

    let mut run = trainer(folder, board.to_str().unwrap());
    run.resume(&folder.join("checkpoint")).unwrap();
    assert_eq!(run.step(), 6);
    // In two calls, which go on in one file.
    for steps in [2, STEPS] {
        run.run(Some(steps), &CancelToken::new(), |_| Control::Continue).unwrap();
    }
    assert_eq!(event_files(&board).len(), 2);

    let mut expected = Vec::new();
    let mut whole = trainer(&folder.join("whole"), "");
    whole
        .run(None, &CancelToken::new(), |progress| {
            // The first report comes before there is a loss.
            expected.extend(Some((progress.step, progress.loss as f32)).filter(|(_, loss)| !loss.is_nan()));
            Control::Continue
        })
        .unwrap();
    if let Some(shown) = shown(&board) {
        assert_eq!(shown["train/loss"], expected);
        let steps: Vec<u64> = shown["train/learning_rate"].iter().map(|one| one.0).collect();
        assert_eq!(steps, (1..=STEPS).collect::<Vec<u64>>());
        assert!(shown.contains_key("speed/images_per_second"), "{:?}", shown.keys());
    }
}

#[test]
fn a_folder_that_cannot_be_is_an_error_before_the_first_step() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let mut run = trainer(folder.path(), file.to_str().unwrap());
    let error = run.run(None, &CancelToken::new(), |_| Control::Continue).unwrap_err();
    assert_eq!((error.kind(), run.step()), (seed::ErrorKind::Io, 0));
}

#[test]
fn what_an_application_measures_is_shown_with_odd_names() {
    let folder = tempfile::tempdir().unwrap();
    let mut events = EventFile::create(folder.path(), 0).unwrap();
    for step in 0..3u64 {
        events.scalars(step, &[("agreement/KL <τ>", 0.5 / (step + 1) as f64), ("überall", -1e30)]).unwrap();
    }
    if let Some(shown) = shown(folder.path()) {
        assert_eq!(shown["agreement/KL <τ>"], [(0, 0.5), (1, 0.25), (2, 0.5 / 3.0)]);
    }
    // The night before is repeated from its second step on.
    let mut again = EventFile::create(folder.path(), 1).unwrap();
    again.scalars(1, &[("agreement/KL <τ>", 7.0)]).unwrap();
    if let Some(shown) = shown(folder.path()) {
        assert_eq!(shown["agreement/KL <τ>"], [(0, 0.5), (1, 7.0)]);
    }
}

/// Fine-tunes all layers on twelve images of two classes, in steps of three, with events in `board`.
fn fine_tune(
    folder: &Path,
    board: &Path,
    held_out: f64,
    observe: impl FnMut(&FinetuneProgress) -> Control,
) -> seed::Result<Outcome> {
    let dataset = Dataset::in_memory();
    for image in 0..12u32 {
        let lit = |i: u32| {
            if (if image % 2 == 0 { i % 40 } else { i / 40 }).is_multiple_of(3 + image / 4) { 220 } else { 30 }
        };
        let pixels: Vec<u8> = (0..40 * 40u32).map(lit).collect();
        dataset.push(&image.to_string(), &FrameView::new(&pixels, 40, 40, 40, PixelFormat::Mono8).unwrap()).unwrap();
    }
    let mut config = Config {
        device: "cpu".into(),
        precision: Precision::Fp32,
        workers: 1,
        tensorboard_folder: board.to_str().unwrap().into(),
        ..Config::default()
    };
    (config.view.input.width, config.view.input.height) = (32, 32);
    config.finetune.mode = FinetuneMode::Full;
    (config.finetune.epochs, config.finetune.batch_size, config.finetune.patience) = (4, 3, 0);
    config.finetune.held_out = held_out;
    config.finetune.checkpoint_path = folder.join("run.safetensors").to_str().unwrap().into();
    let head = Head::Projection { hidden: 0, dim: 8 };
    let network = Network::new(Architecture::parse("resnet10_w0.25").unwrap(), head, 3, Device::Cpu).unwrap();
    let start = Start::student(&network, &StudentHeader::new(&network, &config.view.input))?;
    let labels: Vec<i32> = (0..12).map(|image| image % 2).collect();
    let names = ["across".to_owned(), "along".to_owned()];
    let labelled = Labelled { dataset: &Arc::new(dataset), labels: &labels, names: &names };
    Ok(finetune(&config, start, None, &labelled, &CancelToken::new(), observe)?.1)
}

#[test]
fn fine_tuning_shows_each_pass_once_however_often_it_was_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (board, mut told) = (folder.join("board"), Vec::new());
    // A distillation's steps in the folder itself stay.
    EventFile::create(&board, 1).unwrap().scalars(3, &[("train/loss", 6.5)]).unwrap();
    let mut note = |progress: &FinetuneProgress, last: u64| {
        if progress.stage == Stage::Full {
            told.push((
                progress.done,
                progress.loss as f32,
                progress.held_out_loss as f32,
                progress.held_out_accuracy as f32,
            ));
        }
        if progress.epoch >= last { Control::Stop } else { Control::Continue }
    };
    assert_eq!(fine_tune(folder, &board, 0.25, |progress| note(progress, 2)).unwrap(), Outcome::Cancelled);
    assert_eq!(fine_tune(folder, &board, 0.25, |progress| note(progress, 9)).unwrap(), Outcome::Finished);
    assert_eq!((event_files(&board.join("finetune")).len(), told.len()), (2, 4));
    if let Some(shown) = shown(&board.join("finetune")) {
        assert_eq!(shown["train/loss"], told.iter().map(|one| (one.0, one.1)).collect::<Vec<_>>());
        // Step 0 is the linear classifier.
        let (loss, accuracy) = (&shown["held_out/loss"], &shown["held_out/accuracy"]);
        assert_eq!((loss[0].0, accuracy[0].0), (0, 0));
        assert_eq!(loss[1..], told.iter().map(|one| (one.0, one.2)).collect::<Vec<_>>());
        assert_eq!(accuracy[1..], told.iter().map(|one| (one.0, one.3)).collect::<Vec<_>>());
        let rates: Vec<f32> = shown["train/learning_rate"].iter().map(|one| one.1).collect();
        assert!(rates.len() == 4 && rates.is_sorted_by(|a, b| a > b), "{rates:?}");
    }
    if let Some(shown) = shown(&board) {
        assert_eq!(shown["train/loss"], [(3, 6.5)]);
    }
    // Without held-out images nothing is said about them.
    let bare = folder.join("bare");
    fine_tune(folder, &bare, 0.0, |_| Control::Continue).unwrap();
    if let Some(shown) = shown(&bare.join("finetune")) {
        assert_eq!(shown.keys().collect::<Vec<_>>(), ["train/learning_rate", "train/loss"]);
    }
}

#[test]
fn a_full_disk_ends_the_event_file_and_not_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(folder.path().join("disk"), "64k") else {
        return skip("no tmpfs can be mounted here, which takes root");
    };
    let (board, ballast) = (disk.0.join("board"), disk.0.join("ballast"));
    let mut file = None;
    let outcome = fine_tune(folder.path(), &board, 0.25, |progress| {
        if progress.stage == Stage::Full && progress.epoch == 1 {
            // What is in the last page of the file still fits; the page is filled first.
            let path = event_files(&board.join("finetune")).remove(0);
            let mut events = std::fs::OpenOptions::new().append(true).open(path).unwrap();
            let mut full = std::fs::File::create(&ballast).unwrap();
            use std::io::Write;
            while full.write_all(&[7; 512]).is_ok() {}
            while events.write_all(&[0]).is_ok() {}
            file = Some(events.metadata().unwrap().len());
        }
        Control::Continue
    });
    assert_eq!(outcome.unwrap(), Outcome::Finished);
    let path = event_files(&board.join("finetune")).remove(0);
    assert_eq!(Some(std::fs::metadata(path).unwrap().len()), file, "nothing more was written");
}
