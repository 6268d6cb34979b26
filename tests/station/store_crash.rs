//! The frame store under kill -9 at random moments and on a full disk.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::alone;
use crate::skipped::skip;
use crate::small_disk::SmallDisk;
use seed::ErrorKind;
use seed::data::random::{Purpose, between, generator};
use seed::data::{FrameView, PixelFormat};
use seed::store::{Entry, Filter, Labelled, Store, StoreOptions, check};

const CHILD: &str = "SEED_STORE_CHILD";
const PATIENT: Duration = Duration::from_secs(60);

/// Grey noise, 60 rows wide, whose size and content the number decides.
fn pixels(number: u64) -> Vec<u8> {
    let length = 60 * (20 + number % 300);
    (0..length).map(|i| ((i + number * 7919).wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

fn push(store: &Store, number: u64, wait: Duration) -> seed::Result<Option<i64>> {
    let pixels = pixels(number);
    let view = FrameView::new(&pixels, 60, (pixels.len() / 60) as u32, 60, PixelFormat::Mono8).unwrap();
    store.push(&view, Entry { name: number.to_string(), ..Entry::default() }, wait)
}

/// Not a test of its own: what the killed process runs. Pushes for ever, and says what is confirmed.
#[test]
fn child() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let max_frames = std::env::var("SEED_STORE_FRAMES").unwrap().parse().unwrap();
    println!("\nstarted");
    let store = Store::open(Path::new(&path), &StoreOptions { max_frames, ..StoreOptions::default() }).unwrap();
    println!("\nopened");
    for number in 0u64.. {
        let id = push(&store, number, PATIENT).unwrap().unwrap();
        if number % 7 == 3 {
            store.set_label(id, Some((number as i64, "seven".to_owned()))).unwrap();
        }
        if number % 5 == 0 {
            store.flush().unwrap();
            println!("\nconfirmed {id} {number}");
        }
    }
}

/// Runs the child for `time` from when it has said `from`, however long it takes to load, and kills it; the pairs (id, number) up
/// to which it confirmed frames.
fn killed(path: &Path, max_frames: u64, from: &'static str, time: Duration) -> Vec<(i64, u64)> {
    let mut child = alone::command(module_path!(), "child")
        .env(CHILD, path)
        .env("SEED_STORE_FRAMES", max_frames.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (tell, told) = mpsc::channel();
    let read = std::thread::spawn(move || {
        let mut confirmed = Vec::new();
        for line in lines.map_while(Result::ok) {
            if line == from {
                tell.send(()).unwrap();
            }
            if let [id, number] = line.strip_prefix("confirmed ").unwrap_or("").split(' ').collect::<Vec<_>>()[..] {
                // The last line may be torn.
                if let (Ok(id), Ok(number)) = (id.parse(), number.parse()) {
                    confirmed.push((id, number));
                }
            }
        }
        confirmed
    });
    told.recv_timeout(PATIENT).unwrap_or_else(|_| panic!("the child did not say {from}"));
    std::thread::sleep(time);
    child.kill().unwrap();
    child.wait().unwrap();
    read.join().unwrap()
}

#[test]
fn what_was_confirmed_survives_kill_minus_nine() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("line.seed");
    let mut rng = generator(std::process::id().into(), 0, 0, Purpose::Split);
    let (mut confirmed_in_all, mut last_id) = (0, 0);
    // Ten rounds, and more where the machine is so slow that hardly any of them confirms a frame.
    for round in 0..100 {
        if round >= 10 && confirmed_in_all > 10 {
            break;
        }
        let time = Duration::from_secs_f64(between(&mut rng, 0.05, 0.6));
        // What is killed while it makes the store leaves none to read; later it may fall into the opening.
        let confirmed = killed(&path, u64::MAX, if round == 0 { "opened" } else { "started" }, time);
        let store = Store::open_to_read(&path).unwrap();
        let ids = store.list(&Filter { ids: (last_id + 1, i64::MAX), ..Filter::default() }).unwrap();
        let names: Vec<u64> = ids.iter().map(|&id| store.record(id).unwrap().name.parse().unwrap()).collect();
        // In order and without a gap from the round's first frame on, at least to the last that was confirmed.
        assert_eq!(names, (0..names.len() as u64).collect::<Vec<_>>(), "round {round}");
        if let Some(&(id, number)) = confirmed.last() {
            assert!(names.len() as u64 > number, "round {round}: {} frames, {number} confirmed", names.len());
            assert_eq!(ids[number as usize], id);
            let labelled = Filter { ids: (last_id + 1, id), labelled: Labelled::Yes, ..Filter::default() };
            assert_eq!(store.list(&labelled).unwrap().len() as u64, (number + 4) / 7, "round {round}");
        }
        confirmed_in_all += confirmed.len();
        last_id = ids.last().copied().unwrap_or(last_id);
    }
    assert!(confirmed_in_all > 10, "the rounds confirmed only {confirmed_in_all} times");
    let found = check(&path, &mut |_, _| true).unwrap();
    assert_eq!(found.problems, 0, "{found:?}");
    let store = Store::open_to_read(&path).unwrap();
    for id in store.list(&Filter::default()).unwrap() {
        let number = store.record(id).unwrap().name.parse().unwrap();
        assert_eq!(store.load(id).unwrap().pixels(), pixels(number));
    }
    // The numbers of the killed go on behind all that they may have given out.
    drop(store);
    let store = Store::open(&path, &StoreOptions::default()).unwrap();
    assert!(push(&store, 0, PATIENT).unwrap().unwrap() > last_id);
}

#[test]
fn limits_hold_after_kill_minus_nine() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("line.seed");
    for round in 0..5 {
        killed(&path, 25, "opened", Duration::from_millis(120 + 90 * round));
        let store = Store::open_to_read(&path).unwrap();
        assert!(store.stats().unwrap().frames <= 25);
        assert_eq!(check(&path, &mut |_, _| true).unwrap().problems, 0, "round {round}");
    }
}

#[test]
fn a_full_disk_is_said_and_storing_goes_on_when_there_is_space() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(folder.path().join("disk"), "4m") else {
        return skip("no tmpfs can be mounted here, which takes root");
    };
    let path = disk.0.join("line.seed");
    let store = Store::open(&path, &StoreOptions { queue_frames: 4, ..StoreOptions::default() }).unwrap();
    for number in 0..40 {
        push(&store, number, PATIENT).unwrap().unwrap();
    }
    store.flush().unwrap();
    let before = store.list(&Filter::default()).unwrap();
    let ballast = disk.0.join("ballast");
    // As large as it gets.
    let fill = || drop(std::fs::write(&ballast, vec![1u8; 8 << 20]));
    fill();
    // The log's file may still have room of its own, so it takes some frames until the disk is felt.
    let (mut number, began) = (40, Instant::now());
    while store.stats().unwrap().trouble.is_none() {
        push(&store, number, Duration::from_millis(200)).unwrap();
        number += 1;
        assert!(began.elapsed() < PATIENT, "the disk never filled");
    }
    let error = store.flush().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.message().contains("disk is full"), "{error}");
    assert!(store.stats().unwrap().trouble.unwrap().contains("disk is full"));
    // The line is not held up.
    let began = Instant::now();
    for _ in 0..50 {
        push(&store, number, Duration::ZERO).unwrap();
        number += 1;
    }
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(store.stats().unwrap().dropped >= 40);
    for &id in &before {
        assert_eq!(store.load(id).unwrap().pixels(), pixels(store.record(id).unwrap().name.parse().unwrap()));
    }
    // Frames can be taken out, which makes room for those that wait.
    let gone = &before[..before.len() / 2];
    store.remove(gone).unwrap();
    let left = store.list(&Filter::default()).unwrap();
    assert!(gone.iter().all(|id| !left.contains(id)) && before[gone.len()..].iter().all(|id| left.contains(id)));
    std::fs::remove_file(&ballast).unwrap();
    // The writer tries again by itself within two seconds.
    let began = Instant::now();
    while store.flush().is_err() {
        assert!(began.elapsed() < PATIENT, "it never went on: {:?}", store.stats());
        std::thread::sleep(Duration::from_millis(50));
    }
    let stats = store.stats().unwrap();
    assert_eq!((stats.trouble.clone(), stats.failed, stats.queue_frames), (None, 0, 0));
    assert_eq!(stats.pushed, stats.stored + stats.dropped, "{stats:?}");
    assert_eq!(stats.frames + gone.len() as u64, stats.stored);
    let names = |folder: &Path| {
        let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    // The writer puts room aside again when it has stored something.
    push(&store, number, Duration::ZERO).unwrap();
    store.flush().unwrap();
    let began = Instant::now();
    while !names(&disk.0).contains(&"line.seed.reserve".into()) {
        assert!(began.elapsed() < PATIENT, "{:?}", names(&disk.0));
        std::thread::sleep(Duration::from_millis(50));
    }
    store.close().unwrap();
    store.close().unwrap();
    assert!(push(&store, 0, Duration::ZERO).unwrap_err().message().contains("closed"));
    drop(store);
    // The log and its index go with the last connection, which was a reader's here.
    let left: Vec<_> = names(&disk.0).into_iter().filter(|name| !name.to_string_lossy().contains("seed-")).collect();
    assert_eq!(left, ["line.seed", "line.seed.lock"]);
    assert_eq!(check(&path, &mut |_, _| true).unwrap().problems, 0);

    // What has a number and cannot be stored at the end is an error.
    let store = Store::open(&path, &StoreOptions { queue_frames: 4, ..StoreOptions::default() }).unwrap();
    fill();
    while store.stats().unwrap().trouble.is_none() {
        push(&store, number, Duration::from_millis(200)).unwrap();
        number += 1;
    }
    let error = store.close().unwrap_err();
    assert!(error.kind() == ErrorKind::Io && error.message().contains("frames that had a number are lost"), "{error}");
    assert!(store.stats().unwrap().failed > 0);
}
