//! The night under kill -9 at random moments and on a full disk: in the end the student is that of an undisturbed night.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::alone;
use crate::plant::{Plant, open_store};
use crate::skipped::skip;
use crate::small_disk::SmallDisk;
use seed::ErrorKind;
use seed::data::random::{Purpose, between, generator};
use seed::night::NightOutcome;
use seed::store::Store;
use seed::train::Control;

const CHILD: &str = "SEED_NIGHT_CHILD";
const NAMES: [&str; 3] = ["live/student.safetensors", "live/classifier.safetensors", "previous/student.safetensors"];

/// A night with a fine-tuning that has checkpoints of its own.
fn plant(place: &Path, store: Store, folder: &str) -> Plant {
    let mut plant = Plant::with_store(place, store);
    plant.folder = place.join(folder);
    plant.config.finetune.mode = seed::config::FinetuneMode::Full;
    plant.config.finetune.epochs = 4;
    plant.config.finetune.batch_size = 8;
    plant.config.checkpoint_every = 2;
    plant
}

fn read_only(place: &Path) -> Store {
    Store::open_to_read(&place.join("line.seed")).unwrap()
}

/// Not a test of its own: what the killed process runs.
#[test]
fn child() {
    let Some(place) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let plant = plant(&place, read_only(&place), "killed");
    let outcome = plant.run_with(None, &mut |_| Control::Continue).unwrap();
    // The last kill may have come when the night was done.
    assert!(matches!(outcome, NightOutcome::Live(_) | NightOutcome::NothingNew(_)), "{outcome:?}");
}

/// Runs the child for `time` from when it has begun, and kills it; whether it came to its end before.
fn killed(place: &Path, time: Duration) -> bool {
    let mut child = alone::command(module_path!(), "child")
        .env(CHILD, place)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            let mut said = String::new();
            std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut said).unwrap();
            assert!(status.success(), "the night failed after a kill: {said}");
            return true;
        }
        if began.elapsed() >= time {
            child.kill().unwrap();
            child.wait().unwrap();
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn killed_at_any_moment_the_night_goes_on_to_the_same_student() {
    if std::env::var_os(CHILD).is_some() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    drop(open_store(place.path(), 90, 3));
    let whole = plant(place.path(), read_only(place.path()), "whole");
    let began = Instant::now();
    assert!(matches!(whole.run().unwrap(), NightOutcome::Live(_)));
    // A child is slower, since it begins: so that kills fall into its work too.
    let time = began.elapsed().as_secs_f64() + 0.5;
    let mut rng = generator(std::process::id().into(), 0, 0, Purpose::Split);
    let (mut kills, mut stages) = (0, BTreeMap::<String, u32>::new());
    let rounds: u32 = std::env::var("SEED_SWEEP").ok().and_then(|wanted| wanted.parse().ok()).unwrap_or(2);
    for round in 0..rounds {
        let _ = std::fs::remove_dir_all(place.path().join("killed"));
        for attempt in 0.. {
            assert!(attempt < 40, "round {round} does not come to an end");
            // Later attempts last longer, so that it ends however slow the machine is.
            let time = Duration::from_secs_f64(between(&mut rng, 0.05, 0.6) * time * (1.0 + f64::from(attempt) / 6.0));
            if killed(place.path(), time) {
                break;
            }
            kills += 1;
            if let Ok(text) = std::fs::read_to_string(place.path().join("killed/night.json")) {
                let state: serde_json::Value = serde_json::from_str(&text).expect("the state is whole at every moment");
                *stages.entry(state["begun"]["stage"].to_string()).or_default() += 1;
            }
        }
        for name in NAMES {
            let read = |folder: &str| std::fs::read(place.path().join(folder).join(name)).unwrap();
            assert!(read("killed") == read("whole"), "round {round}: {name} is another after {kills} kills");
        }
        let history = std::fs::read_to_string(place.path().join("killed/history.jsonl")).unwrap();
        assert_eq!(history.lines().count(), 1);
    }
    println!("{kills} kills in {rounds} rounds, by stage: {stages:?}");
    assert!(kills >= rounds, "only {kills} kills");
}

#[test]
fn a_full_disk_is_said_and_the_night_goes_on_when_there_is_space() {
    if std::env::var_os(CHILD).is_some() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    drop(open_store(place.path(), 90, 3));
    let whole = plant(place.path(), read_only(place.path()), "whole");
    assert!(matches!(whole.run().unwrap(), NightOutcome::Live(_)));
    let Some(disk) = SmallDisk::mount(place.path().join("disk"), "40m") else {
        return skip("no tmpfs can be mounted here, which takes root");
    };
    let mut plant = plant(place.path(), read_only(place.path()), "whole");
    plant.folder = disk.0.join("station");
    let ballast = disk.0.join("ballast");
    // Full at the first report of each stage in turn, and with the folder still empty.
    let mut failures = 0;
    for stage in 0..=5 {
        let _ = std::fs::remove_file(&ballast);
        if stage == 0 {
            fill(&ballast);
        }
        let outcome = plant.run_with(None, &mut |progress| {
            if progress.stage as i32 == stage && progress.done == 0 {
                fill(&ballast);
            }
            Control::Continue
        });
        match outcome {
            Err(error) => {
                assert!(error.kind() == ErrorKind::Io && error.message().contains("disk is full"), "{stage}: {error}");
                failures += 1;
            }
            // Where nothing is to be written, nothing fails.
            Ok(outcome) => assert!(matches!(outcome, NightOutcome::Live(_)), "{stage}: {outcome:?}"),
        }
    }
    let _ = std::fs::remove_file(&ballast);
    assert!(failures >= 4, "only {failures} nights failed");
    let outcome = plant.run().unwrap();
    assert!(matches!(outcome, NightOutcome::Live(_) | NightOutcome::NothingNew(_)), "{outcome:?}");
    for name in NAMES {
        assert!(plant.file(name) == whole.file(name), "{name} is another");
    }
}

fn fill(ballast: &Path) {
    use std::io::Write;
    let mut file = std::fs::File::create(ballast).unwrap();
    while file.write_all(&[7; 4096]).is_ok() {}
    let _ = file.write_all(&[7; 64]);
}
