//! A run that was interrupted is the same run: bit for bit on the CPU, in a new process, after kill -9.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::alone;
use seed::ErrorKind;
use seed::config::Config;
use seed::data::{Dataset, FrameView, PixelFormat};
use seed::model::weights::{self, StateDict};
use seed::model::{Architecture, Head, Network, Teacher};
use seed::train::{CancelToken, Control, Distillation};
use serde_json::{Value, json};
use tch::Device;

const DIM: i64 = 16;

fn dataset() -> Arc<Dataset> {
    let dataset = Dataset::in_memory();
    for image in 0..11u32 {
        let pixels: Vec<u8> = (0..40 * 40u32).map(|i| (i * (image + 3) % 239) as u8).collect();
        let view = FrameView::new(&pixels, 40, 40, 40, PixelFormat::Mono8).unwrap();
        dataset.push(&image.to_string(), &view).unwrap();
    }
    Arc::new(dataset)
}

fn trainer(steps: u64) -> Distillation {
    trainer_with(steps, "workers")
}

/// `views`: where views are made.
fn trainer_with(steps: u64, views: &str) -> Distillation {
    let mut config =
        Config { batch_size: 4, steps, queue_capacity: 10, embedding_dim: DIM as u64, ..Config::default() };
    config.set_string("device", "cpu").unwrap();
    config.set_string("precision", "fp32").unwrap();
    config.set_string("view.device", views).unwrap();
    config.view.input.width = 32;
    config.view.input.height = 32;
    let head = Head::Projection { hidden: 0, dim: DIM };
    // EfficientNet draws noise in training, so this one shows that the noise is replayed too.
    let student = Network::new(Architecture::EfficientNetB0, head, 1, Device::Cpu).unwrap();
    let teacher = Network::new(Architecture::MobileNetV3Small, head, 2, Device::Cpu).unwrap();
    let teacher = Arc::new(Teacher::new(teacher).unwrap());
    Distillation::new(config, Arc::new(Mutex::new(student)), teacher, None, Some(dataset())).unwrap()
}

fn run(trainer: &mut Distillation, steps: u64) {
    trainer.run(Some(steps), &CancelToken::new(), |_| Control::Continue).unwrap();
}

/// Every bit of the run: weights, buffers, velocities, queue.
fn state(trainer: &Distillation, folder: &Path) -> Vec<StateDict> {
    let path = folder.join("state");
    trainer.save(&path).unwrap();
    saved_state(&path)
}

fn saved_state(checkpoint: &Path) -> Vec<StateDict> {
    ["student.safetensors", "optimiser.safetensors", "queue.safetensors"]
        .map(|name| weights::read(&checkpoint.join(name)).unwrap())
        .to_vec()
}

#[test]
fn ten_steps_are_five_and_five_in_a_new_process() {
    let folder = tempfile::tempdir().unwrap();
    let mut whole = trainer(10);
    run(&mut whole, 10);
    let expected = state(&whole, folder.path());

    let mut first = trainer(10);
    run(&mut first, 5);
    first.save(&folder.path().join("half")).unwrap();
    child("second_half_in_this_process", folder.path(), |command| assert!(command.status().unwrap().success()));
    assert!(
        saved_state(&folder.path().join("second")) == expected,
        "the resumed run differs from the one in one piece"
    );
}

/// The other process of the test above.
#[test]
#[ignore = "run by the test above"]
fn second_half_in_this_process() {
    let folder = PathBuf::from(std::env::var("SEED_TEST_FOLDER").unwrap());
    let mut second = trainer(10);
    second.resume(&folder.join("half")).unwrap();
    assert_eq!(second.step(), 5);
    run(&mut second, 5);
    second.save(&folder.join("second")).unwrap();
}

#[test]
fn kill_while_saving_leaves_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    trainer(1000).save(&path).unwrap();
    for round in 0..8 {
        child("saves_without_end", folder.path(), |command| {
            let mut process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(700 + 37 * round));
            process.kill().unwrap(); // SIGKILL
            process.wait().unwrap();
        });
        let mut after = trainer(1000);
        after.resume(&path).unwrap();
        after.save(&path).unwrap();
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["checkpoint"], "drafts of the killed process are cleared by the next save");
    }
}

/// The process that is killed in the test above.
#[test]
#[ignore = "run by the test above"]
fn saves_without_end() {
    let path = PathBuf::from(std::env::var("SEED_TEST_FOLDER").unwrap()).join("checkpoint");
    let mut trainer = trainer(1000);
    trainer.resume(&path).unwrap();
    loop {
        run(&mut trainer, 1);
        for _ in 0..5 {
            trainer.save(&path).unwrap();
        }
    }
}

fn child(test: &str, folder: &Path, act: impl FnOnce(&mut Command)) {
    act(alone::command(module_path!(), test).env("SEED_TEST_FOLDER", folder));
}

#[test]
fn damage_and_other_runs_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    let mut run_a = trainer(10);
    run(&mut run_a, 1);
    run_a.save(&path).unwrap();
    let before = state(&run_a, folder.path());

    let error = trainer(20).resume(&path).unwrap_err();
    assert!(error.message().contains("steps"), "{error}");

    for name in ["student.safetensors", "optimiser.safetensors", "queue.safetensors", "manifest.json"] {
        let file = path.join(name);
        let sound = std::fs::read(&file).unwrap();
        let mut flipped = sound.clone();
        flipped[sound.len() / 2] ^= 1;
        for bad in [&flipped[..], &sound[..sound.len() / 2], &[]] {
            std::fs::write(&file, bad).unwrap();
            // A flipped bit of the manifest may hit a space or a number that is then wrong; all else must be refused.
            let result = run_a.resume(&path);
            assert!(result.is_err() || name == "manifest.json", "{name} was taken with {} bytes", bad.len());
        }
        std::fs::remove_file(&file).unwrap();
        assert!(run_a.resume(&path).is_err());
        std::fs::write(&file, &sound).unwrap();
    }
    run_a.resume(&path).unwrap();
    assert!(state(&run_a, folder.path()) == before);
}

/// The checkpoint in `path` with its manifest changed by `change`.
fn with_manifest(path: &Path, change: impl FnOnce(&mut serde_json::Map<String, Value>)) {
    let file = path.join("manifest.json");
    let mut manifest: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    change(manifest.as_object_mut().unwrap());
    std::fs::write(&file, serde_json::to_vec(&manifest).unwrap()).unwrap();
}

#[test]
fn the_parts_of_a_checkpoint_are_named_and_none_lies_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    let mut run_a = trainer(10);
    run(&mut run_a, 1);
    let save = || run_a.save(&path).unwrap();
    let refused = |kind: ErrorKind, words: &str| {
        let error = trainer(10).resume(&path).unwrap_err();
        assert!(error.kind() == kind && error.message().contains(words), "{error}");
    };
    // As versions before the parts had names wrote it.
    save();
    with_manifest(&path, |manifest| assert_eq!(manifest.remove("method").unwrap(), "seed"));
    trainer(10).resume(&path).unwrap();

    with_manifest(&path, |manifest| _ = manifest.insert("method".to_owned(), json!("moco_v2")));
    refused(ErrorKind::Mismatch, "method is \"moco_v2\", but this run's is \"seed\"");
    save();
    with_manifest(&path, |manifest| _ = manifest["files"].as_object_mut().unwrap().remove("queue.safetensors"));
    refused(ErrorKind::Mismatch, "no part \"queue\"");
    for name in ["../checkpoint/queue.safetensors", "/etc/hostname", ".safetensors", "Queue.safetensors", "queue"] {
        save();
        with_manifest(&path, |manifest| {
            let files = manifest["files"].as_object_mut().unwrap();
            let record = files.remove("queue.safetensors").unwrap();
            files.insert(name.to_owned(), record);
        });
        refused(ErrorKind::Format, "which is no part");
    }
    save();
    with_manifest(&path, |manifest| {
        let files = manifest["files"].as_object_mut().unwrap();
        let record = files["queue.safetensors"].clone();
        files.extend((0..64).map(|number| (format!("part_{number}.safetensors"), record.clone())));
    });
    refused(ErrorKind::Format, "67 files, expected at most 64");
}

#[test]
fn views_on_the_device_resume_too_and_belong_to_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("half");
    let mut whole = trainer_with(4, "device");
    run(&mut whole, 2);
    whole.save(&path).unwrap();
    run(&mut whole, 2);
    let mut second = trainer_with(4, "device");
    second.resume(&path).unwrap();
    run(&mut second, 2);
    assert!(state(&second, folder.path()) == state(&whole, folder.path()));

    let error = trainer(4).resume(&path).unwrap_err();
    assert!(error.message().contains("setting view"), "{error}");
    // Frames of the application go the same way.
    let frame = (*dataset().load(0).unwrap()).clone();
    let losses =
        ["workers", "device"].map(|views| trainer_with(4, views).step_on(&[frame.clone(), frame.clone()]).unwrap());
    assert!((losses[0] - losses[1]).abs() < 0.01, "{losses:?}");
}
