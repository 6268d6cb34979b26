//! The teacher bank: a run over it is the online run to float16 rounding; it is filled in pieces, survives kills, and is
//! refused when it is stale, damaged or hostile.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::alone;
use seed::config::{Config, Precision, QueueFill};
use seed::data::{Dataset, FrameView, PixelFormat, Slot};
use seed::distill::bank::{Bank, predicted_bytes};
use seed::distill::{Targets, queue::QueueSnapshot};
use seed::model::weights::{self, StateDict};
use seed::model::{Architecture, Head, Network, Teacher};
use seed::train::{CancelToken, Control, Distillation, Outcome, fill_bank};
use seed::{ErrorKind, Result};
use tch::Device;

const DIM: i64 = 16;
const IMAGES: u64 = 40;
const VIEWS: u64 = 5; // 200 rows: three whole blocks and a short one

fn dataset_of(images: u64, salt: u64) -> Arc<Dataset> {
    let dataset = Dataset::in_memory();
    for image in 0..images {
        // Stripes of different width and lightness, so that even a teacher of random weights tells them apart.
        let pixels: Vec<u8> =
            (0..24 * 24u64).map(|i| ((i / (1 + image % 5) * (image + 3 + salt)) % (40 + 5 * image)) as u8).collect();
        let view = FrameView::new(&pixels, 24, 24, 24, PixelFormat::Mono8).unwrap();
        dataset.push(&image.to_string(), &view).unwrap();
    }
    Arc::new(dataset)
}

fn dataset() -> Arc<Dataset> {
    dataset_of(IMAGES, 0)
}

fn config() -> Config {
    let mut config = Config {
        batch_size: 16,
        steps: 14, // 5.6 epochs: the views come round again
        view_count: VIEWS,
        queue_capacity: 48,
        queue_fill: QueueFill::Noise,
        embedding_dim: DIM as u64,
        progress_every: 1,
        ..Config::default()
    };
    config.device = "cpu".to_owned();
    config.precision = Precision::Fp32;
    config.view.input.width = 32;
    config.view.input.height = 32;
    config
}

fn network(architecture: Architecture, seed: u64) -> Network {
    let head = Head::Projection { hidden: 32, dim: DIM };
    Network::new(architecture, head, seed, Device::Cpu).unwrap()
}

/// A ResNet: with random weights a MobileNet gives one and the same embedding for every image, and the tests would see
/// nothing.
fn teacher_of(seed: u64) -> Teacher {
    Teacher::new(network(Architecture::ResNet18, seed)).unwrap()
}

fn teacher() -> Arc<Teacher> {
    Arc::new(teacher_of(2))
}

fn run_over(targets: impl Into<Targets>, config: &Config, dataset: Arc<Dataset>) -> Result<Distillation> {
    Distillation::new(
        config.clone(),
        Arc::new(Mutex::new(network(Architecture::MobileNetV3Small, 1))),
        targets,
        None,
        Some(dataset),
    )
}

/// The losses of the steps to come, `limit` of them.
fn losses(run: &mut Distillation, limit: Option<u64>) -> Vec<f64> {
    let mut losses = Vec::new();
    run.run(limit, &CancelToken::new(), |progress| {
        // The first report comes before there is a loss.
        losses.extend(Some(progress.loss).filter(|loss| !loss.is_nan()));
        Control::Continue
    })
    .unwrap();
    losses
}

fn queue_of(run: &Distillation) -> QueueSnapshot {
    run.queue().lock().unwrap().snapshot().unwrap()
}

fn fill(path: &Path, config: &Config, max_rows: Option<u64>) -> Result<Outcome> {
    fill_bank(path, config, &teacher(), &dataset(), max_rows, &CancelToken::new(), |_| Control::Continue)
}

fn open(path: &Path) -> Arc<Bank> {
    Arc::new(Bank::open(path).unwrap())
}

/// A whole bank in `folder`, and its bytes.
fn filled(folder: &Path) -> (PathBuf, Vec<u8>) {
    let path = folder.join("teacher.bank");
    assert_eq!(fill(&path, &config(), None).unwrap(), Outcome::Finished);
    let bytes = std::fs::read(&path).unwrap();
    (path, bytes)
}

#[test]
fn a_run_over_a_bank_is_the_online_run_to_rounding() {
    let folder = tempfile::tempdir().unwrap();
    for pieces in [1, 3] {
        let config = Config { accumulation_steps: pieces, ..config() };
        let path = folder.path().join(format!("{pieces}.bank"));
        fill(&path, &config, None).unwrap();
        let mut online = run_over(teacher(), &config, dataset()).unwrap();
        let mut stored = run_over(open(&path), &config, dataset()).unwrap();
        let (a, b) = (losses(&mut online, None), losses(&mut stored, None));
        assert_eq!(a.len(), 14);
        // float16 keeps 11 bits: a cosine is off by about 2⁻¹¹/√C ≈ 1e-4, 100 times that as a logit of τ_T = 0.01. The loss
        // averages over K logits and B rows.
        let apart = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        println!("{pieces} pieces: largest difference of a step's loss {apart:.2e}, of losses from {:.3}", a[0]);
        assert!(apart < 1e-3, "{apart}: {a:?} {b:?}");
        let (a, b) = (queue_of(&online), queue_of(&stored));
        assert_eq!((a.pointer, a.filled), (b.pointer, b.filled));
        let apart = (&a.rows - &b.rows).abs().max().double_value(&[]);
        assert!(apart < 1.0 / 2048.0, "a number of the queue differs by {apart}");
        // Rows that stand beside each other are further apart than that, so another row would have been noticed.
        let next = (a.rows.narrow(0, 1, 47) - a.rows.narrow(0, 0, 47)).abs().amax([1i64].as_slice(), false);
        let next = Vec::<f32>::try_from(next).unwrap();
        assert!(next.iter().filter(|&&apart| apart > 1.0 / 256.0).count() > 40, "{next:?}");
    }
}

#[test]
fn pieces_and_cancels_give_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let (_, whole) = filled(folder.path());
    assert_eq!(whole.len() as u64, predicted_bytes(IMAGES, VIEWS, DIM as u64).unwrap());

    let path = folder.path().join("pieces.bank");
    assert_eq!(fill(&path, &config(), Some(1)).unwrap(), Outcome::Paused);
    let bank = open(&path);
    assert_eq!(bank.rows(), (64, 200), "a piece ends with a block");
    assert_eq!(std::fs::metadata(&path).unwrap().len(), whole.len() as u64);
    assert_eq!(fill(&path, &config(), None).unwrap_err().kind(), ErrorKind::Busy, "a reader has it");
    let error = run_over(Arc::clone(&bank), &config(), dataset()).err().unwrap();
    assert!(error.message().contains("only 64 of 200 rows"), "{error}");
    drop(bank);

    let token = CancelToken::new();
    let mut seen = Vec::new();
    let outcome = fill_bank(&path, &config(), &teacher(), &dataset(), None, &token, |progress| {
        assert_eq!(Bank::open(&path).err().unwrap().kind(), ErrorKind::Busy, "a reader waits for the filling");
        seen.push((progress.rows, progress.total_rows));
        token.trigger();
        Control::Continue
    });
    assert_eq!((outcome.unwrap(), seen), (Outcome::Cancelled, vec![(128, 200)]));
    assert_eq!(fill(&path, &config(), None).unwrap(), Outcome::Finished);
    assert!(std::fs::read(&path).unwrap() == whole);
    assert_eq!(fill(&path, &config(), None).unwrap(), Outcome::Finished, "there is nothing left to do");
    assert!(std::fs::read(&path).unwrap() == whole);
    open(&path).verify().unwrap();
}

#[test]
fn what_a_kill_leaves_is_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let (path, whole) = filled(folder.path());
    let rows_at = whole.len() - 200 * (2 * DIM as usize + 4);
    let block = 64 * (2 * DIM as usize + 4);
    let mut garbled = whole.clone();
    garbled[rows_at + block + 7..].fill(0xab);
    let mut half_written = whole.clone();
    half_written[8192..8200].copy_from_slice(&1u64.to_le_bytes()); // a mark of one block, its checksum torn
    half_written[rows_at + 2 * block + 50..].fill(0);
    let cases = [
        ("cut within the third block", whole[..rows_at + 2 * block + 100].to_vec()),
        ("cut within the table", whole[..12_289].to_vec()),
        ("cut within the mark", whole[..8195].to_vec()),
        ("cut after the header", whole[..8192].to_vec()),
        ("garbled from the second block on", garbled),
        ("a torn mark and a block half written", half_written),
    ];
    for (what, bytes) in cases {
        std::fs::write(&path, bytes).unwrap();
        match Bank::open(&path) {
            Err(error) => assert_eq!(error.kind(), ErrorKind::Format, "{what}: {error}"),
            Ok(bank) => assert_eq!(bank.verify().unwrap_err().kind(), ErrorKind::Format, "{what}"),
        }
        assert_eq!(fill(&path, &config(), None).unwrap(), Outcome::Finished, "{what}");
        assert!(std::fs::read(&path).unwrap() == whole, "{what}");
    }
}

#[test]
fn a_filling_that_is_killed_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (_, whole) = filled(folder.path());
    let path = folder.path().join("killed.bank");
    for round in 0..6 {
        let mut process = alone::command(module_path!(), "fills_in_small_pieces")
            .env("SEED_TEST_BANK", &path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(400 + 170 * round));
        process.kill().unwrap(); // SIGKILL
        process.wait().unwrap();
    }
    assert_eq!(fill(&path, &config(), None).unwrap(), Outcome::Finished);
    assert!(std::fs::read(&path).unwrap() == whole);
}

/// The process that is killed in the test above.
#[test]
#[ignore = "run by the test above"]
fn fills_in_small_pieces() {
    let path = PathBuf::from(std::env::var("SEED_TEST_BANK").unwrap());
    while fill(&path, &config(), Some(1)).unwrap() != Outcome::Finished {}
}

#[test]
fn a_stale_bank_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let (path, whole) = filled(folder.path());
    let bank = open(&path);
    type Change = fn(&mut Config);
    let changes: [(Change, &str); 6] = [
        (|c| c.seed = 3, "seed 0, \"seed\" is 3"),
        (|c| c.view_count = 4, "5 views of each image, \"view_count\" is 4"),
        (|c| c.view_count = 0, "\"view_count\" is 0"),
        (|c| c.view.hue = 0.25, "hue 0.1, the setting is 0.25"),
        (|c| c.view.input.width = 48, "width 32, the setting is 48"),
        (|c| c.view.input.mean[1] = 0.5, "mean"),
    ];
    for (change, reason) in changes {
        let mut config = config();
        change(&mut config);
        let error = run_over(Arc::clone(&bank), &config, dataset()).err().unwrap();
        assert!(error.kind() == ErrorKind::Mismatch && error.message().contains(reason), "{error}");
        assert!(error.message().contains("teacher.bank"), "{error}");
    }
    for (dataset, reason) in
        [(dataset_of(41, 0), "40 images, the data set has 41"), (dataset_of(40, 1), "have changed")]
    {
        let error = run_over(Arc::clone(&bank), &config(), dataset).err().unwrap();
        assert!(error.kind() == ErrorKind::Mismatch && error.message().contains(reason), "{error}");
    }
    let other = teacher_of(3);
    let name = other.name();
    let error = bank.check_teacher(name, &other.identity().unwrap()).unwrap_err();
    assert!(error.message().contains("its teacher is resnet18"), "{error}");
    bank.check_teacher(name, &teacher().identity().unwrap()).unwrap();
    drop(bank);

    // Filling goes on only for the same teacher, precision, data and views.
    let refused = |config: &Config, teacher: &Teacher, reason: &str| {
        let none = CancelToken::new();
        let error = fill_bank(&path, config, teacher, &dataset(), None, &none, |_| Control::Continue).unwrap_err();
        assert!(error.kind() == ErrorKind::Mismatch && error.message().contains(reason), "{error}");
    };
    refused(&config(), &other, "its teacher is");
    refused(&Config { precision: Precision::Bf16, ..config() }, &teacher(), "fp32, expected bf16");
    refused(&Config { seed: 1, ..config() }, &teacher(), "seed");
    assert!(fill(&path, &Config { view_count: 0, ..config() }, None).unwrap_err().message().contains("set view_count"));
    assert!(std::fs::read(&path).unwrap() == whole, "a refused bank stays as it is");
}

#[test]
fn every_damaged_byte_that_counts_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let (path, whole) = filled(folder.path());
    let rows_at = whole.len() - 200 * (2 * DIM as usize + 4);
    let places =
        (0..8208).step_by(61).chain(8192..8208).chain(12_288..12_288 + 16).chain((rows_at..whole.len()).step_by(97));
    for place in places {
        let mut bytes = whole.clone();
        bytes[place] ^= 4;
        std::fs::write(&path, bytes).unwrap();
        let error = Bank::open(&path).and_then(|bank| bank.verify()).expect_err(&format!("byte {place}"));
        assert!(error.kind() == ErrorKind::Format && error.message().contains("teacher.bank"), "{error}");
    }
    // The rows are read lazily, and the one that is damaged is not taken.
    let mut bytes = whole.clone();
    bytes[rows_at + 70 * (2 * DIM as usize + 4)] ^= 1; // in block 1
    std::fs::write(&path, bytes).unwrap();
    let bank = open(&path);
    assert_eq!(bank.targets(&[Slot { view: 0, index: 3 }], &[3], 0).unwrap().size(), [1, DIM]);
    let error = bank.targets(&[Slot { view: 2, index: 1 }], &[1], 0).unwrap_err();
    assert!(error.message().contains("rows 64 to 127"), "{error}");
    // A file that shrinks while it is mapped is an error and not a signal.
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(9000).unwrap();
    assert!(bank.targets(&[Slot { view: 0, index: 3 }], &[3], 0).unwrap_err().message().contains("9000 now"));
}

#[test]
fn hostile_headers_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (path, whole) = filled(folder.path());
    let length = u32::from_le_bytes(whole[8..12].try_into().unwrap()) as usize;
    let json = std::str::from_utf8(&whole[16..16 + length]).unwrap().to_owned();
    let with = |json: &str| {
        let mut bytes = whole.clone();
        bytes[16..8192].fill(0);
        bytes[16..16 + json.len()].copy_from_slice(json.as_bytes());
        bytes[8..12].copy_from_slice(&(json.len() as u32).to_le_bytes());
        sealed(bytes)
    };
    std::fs::write(&path, with(&json)).unwrap();
    Bank::open(&path).unwrap();
    let cases = [
        ("\"images\":40", "\"images\":4294967295"),
        ("\"images\":40", "\"images\":18446744073709551615"),
        ("\"images\":40", "\"images\":0"),
        ("\"images\":40", "\"images\":-1"),
        ("\"images\":40", "\"images\":41"),
        ("\"count\":5", "\"count\":1000000"),
        ("\"count\":5", "\"count\":18446744073709551615"),
        ("\"dim\":16", "\"dim\":65536"),
        ("\"dim\":16", "\"dim\":1e300"),
        ("\"dim\":16", "\"dim\":16,\"more\":1"),
        ("libseed.bank.1", "libseed.bank.2"),
        ("{", "[[[["),
    ];
    for (from, to) in cases {
        std::fs::write(&path, with(&json.replacen(from, to, 1))).unwrap();
        let error = Bank::open(&path).expect_err(to);
        assert!(matches!(error.kind(), ErrorKind::Format | ErrorKind::Mismatch), "{to}: {error}");
    }
    let mut long = whole.clone();
    long[8..12].fill(0xff);
    let mut not_finite = whole.clone();
    let rows_at = whole.len() - 200 * (2 * DIM as usize + 4);
    not_finite[rows_at + 1] = 0x7e;
    let block = &not_finite[rows_at..rows_at + 64 * (2 * DIM as usize + 4)];
    let sum = crc32fast::hash(&[&[0; 8], block].concat());
    not_finite[12_288..12_292].copy_from_slice(&sum.to_le_bytes());
    for bytes in [sealed(long), not_finite, Vec::new(), b"SEEDBANK".to_vec(), vec![0; 20_000]] {
        std::fs::write(&path, &bytes).unwrap();
        let error = Bank::open(&path).and_then(|bank| bank.verify()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Format, "{error}");
    }
    assert_eq!(Bank::open(folder.path()).unwrap_err().kind(), ErrorKind::Format);
    assert_eq!(Bank::open(&folder.path().join("none")).unwrap_err().kind(), ErrorKind::Io);

    // What is no bank is not written over.
    std::fs::write(&path, "my holiday pictures".repeat(1000)).unwrap();
    assert_eq!(fill(&path, &config(), None).unwrap_err().kind(), ErrorKind::Format);
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("my holiday"));
}

/// The header's page with its checksum put right.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let sum = crc32fast::hash(&[&bytes[..12], &bytes[16..8192]].concat());
    bytes[12..16].copy_from_slice(&sum.to_le_bytes());
    bytes
}

#[test]
fn a_bank_that_the_disk_cannot_hold_is_not_begun() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.bank");
    // 40 images · 10⁶ views · (2·16 + 4) bytes are 1.4 GB; with 2¹⁶ numbers a row, 5 TB.
    let head = Head::Projection { hidden: 1, dim: 65_536 };
    let wide = Network::new(Architecture::MobileNetV3Small, head, 2, Device::Cpu).unwrap();
    let config = Config { view_count: 1_000_000, ..config() };
    let (wide, none) = (Teacher::new(wide).unwrap(), CancelToken::new());
    let error = fill_bank(&path, &config, &wide, &dataset(), None, &none, |_| Control::Continue).unwrap_err();
    let needed = predicted_bytes(IMAGES, 1_000_000, 65_536).unwrap();
    assert!(error.kind() == ErrorKind::Io && error.message().contains(&needed.to_string()), "{error}");
    assert!(!path.exists());
    assert!(fill(&folder.path().join("no/such/folder/a.bank"), &Config::default(), None).is_err());
}

#[test]
fn a_broken_image_is_the_same_in_bank_and_run() {
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("1.png");
    let files = |name: &str| folder.path().join(name);
    for (i, name) in ["0.png", "1.png", "2.png"].iter().enumerate() {
        let mut image = image::GrayImage::new(24, 24);
        image.pixels_mut().zip(0u32..).for_each(|(pixel, n)| pixel.0 = [(n * (7 + i as u32) % 251) as u8]);
        image.save(files(name)).unwrap();
    }
    let sound = std::fs::read(&picture).unwrap();
    let broken: Vec<u8> = sound.iter().map(|byte| byte ^ 0x55).collect(); // of the same size
    std::fs::write(&picture, &broken).unwrap();
    let images = || Arc::new(Dataset::from_folder(folder.path()).unwrap());
    let path = folder.path().join("some.bank");
    let config = Config { batch_size: 3, steps: 4, view_count: 2, ..config() };
    let none = CancelToken::new();
    let fill = |dataset| fill_bank(&path, &config, &teacher(), &dataset, None, &none, |_| Control::Continue);
    assert_eq!(fill(images()).unwrap(), Outcome::Finished);
    let mut online = run_over(teacher(), &config, images()).unwrap();
    let mut stored = run_over(open(&path), &config, images()).unwrap();
    let (a, b) = (losses(&mut online, None), losses(&mut stored, None));
    // Later losses drift apart: with three images a batch, batch norm makes much of a rounding of the weights.
    assert!((a[0] - b[0]).abs() < 1e-3, "{a:?} {b:?}");
    let apart = (&queue_of(&online).rows - &queue_of(&stored).rows).abs().max().double_value(&[]);
    assert!(apart < 1.0 / 2048.0, "a number of the queue differs by {apart}");
    // Repaired meanwhile: the student would see an image that the teacher did not.
    std::fs::write(&picture, &sound).unwrap();
    let mut repaired = run_over(open(&path), &config, images()).unwrap();
    let error = repaired.run(None, &none, |_| Control::Continue).unwrap_err();
    assert!(error.kind() == ErrorKind::Mismatch && error.message().contains("repaired"), "{error}");
}

fn state(run: &Distillation, folder: &Path) -> Vec<StateDict> {
    let path = folder.join("state");
    run.save(&path).unwrap();
    let read = |name| weights::read(&path.join(name)).unwrap();
    ["student.safetensors", "optimiser.safetensors", "queue.safetensors"].map(read).to_vec()
}

#[test]
fn a_run_over_a_bank_resumes_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = filled(folder.path());
    let checkpoint = folder.path().join("checkpoint");
    let mut whole = run_over(open(&path), &config(), dataset()).unwrap();
    losses(&mut whole, None);
    let mut first = run_over(open(&path), &config(), dataset()).unwrap();
    losses(&mut first, Some(5));
    first.save(&checkpoint).unwrap();
    let mut second = run_over(open(&path), &config(), dataset()).unwrap();
    second.resume(&checkpoint).unwrap();
    assert_eq!(second.step(), 5);
    losses(&mut second, None);
    assert!(state(&second, folder.path()) == state(&whole, folder.path()));

    // Frames that were pushed since have no targets.
    let (grown, grey) = (dataset(), [128; 64]);
    let mut run = run_over(open(&path), &config(), Arc::clone(&grown)).unwrap();
    grown.push("new", &FrameView::new(&grey, 8, 8, 8, PixelFormat::Mono8).unwrap()).unwrap();
    let error = run.run(None, &CancelToken::new(), |_| Control::Continue).unwrap_err();
    assert!(error.message().contains("5 views of 40 images"), "{error}");

    let error = run_over(teacher(), &config(), dataset()).unwrap().resume(&checkpoint).unwrap_err();
    assert!(error.kind() == ErrorKind::Mismatch && error.message().contains("\"bank of "), "{error}");
    let mut online = run_over(teacher(), &config(), dataset()).unwrap();
    losses(&mut online, Some(1));
    online.save(&checkpoint).unwrap();
    assert_eq!(second.resume(&checkpoint).unwrap_err().kind(), ErrorKind::Mismatch);
    assert!(second.step_on(&[]).is_err());
}
