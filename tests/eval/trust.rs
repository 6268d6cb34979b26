//! Whether a student can still be trusted: agreement with its teacher, drift of the frames, and the gate for a new student.

use std::sync::Arc;

use image::GrayImage;
use seed::ErrorKind;
use seed::data::random::{Purpose, generator, permutation, unit};
use seed::data::{Dataset, Frame, Input, Resize};
use seed::eval::bootstrap::mean_interval;
use seed::eval::fidelity::fidelity_rows;
use seed::eval::{DriftReference, Embeddings, Fidelity, FidelityConfig, Interval, fidelity};
use seed::gate::{GateConfig, judge};
use seed::infer::{Session, SessionOptions};
use seed::model::{Architecture, Head, Network};
use serde_json::Value;
use tch::Device;

fn golden() -> Value {
    serde_json::from_str(include_str!("../golden/trust.json")).unwrap()
}

fn numbers(golden: &Value, name: &str) -> Vec<f64> {
    golden[name].as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn wide(rows: &[f32], dim: usize) -> Embeddings<'_> {
    Embeddings::new(rows, dim).unwrap()
}

fn rows(golden: &Value, name: &str) -> Vec<f32> {
    numbers(golden, name).into_iter().map(|number| number as f32).collect()
}

/// n·dim normal-like numbers around `centre` along the first axis.
fn cloud(n: usize, dim: usize, centre: f64, number: u64) -> Vec<f32> {
    let mut rng = generator(number, 0, 0, Purpose::Split);
    let mut normal = || (0..12).map(|_| unit(&mut rng)).sum::<f64>() - 6.0;
    (0..n * dim).map(|i| (normal() + if i % dim == 0 { centre } else { 0.0 }) as f32).collect()
}

#[test]
fn fidelity_is_that_of_pytorch_and_scikit_learn() {
    let golden = golden();
    let [student, teacher, queue] = ["student", "teacher", "queue"].map(|name| rows(&golden, name));
    let dim = golden["dim"].as_u64().unwrap() as usize;
    let config = FidelityConfig { k: 4, ..FidelityConfig::default() };
    let each = fidelity_rows(&wide(&student, dim), &wide(&teacher, dim), &wide(&queue, dim), &config).unwrap();
    for (ours, theirs) in each.kl.iter().zip(numbers(&golden, "kl_rows")) {
        assert!((ours - theirs).abs() < 1e-4, "{ours} {theirs}");
    }
    let found = fidelity(&wide(&student, dim), &wide(&teacher, dim), &wide(&queue, dim), &config).unwrap();
    for (name, ours) in [("kl", found.kl), ("overlap", found.overlap), ("cosine", found.cosine)] {
        let theirs = numbers(&golden, name);
        assert!((ours.value - theirs[0]).abs() < 1e-5, "{name}: {ours:?} {theirs:?}");
        // Two samples of resamples: the ends differ by some hundredths of the width.
        let width = theirs[2] - theirs[1];
        let ends = (ours.low - theirs[1]).abs().max((ours.high - theirs[2]).abs());
        assert!(ends < 0.1 * width, "{name}: {ours:?} {theirs:?}");
    }
}

#[test]
fn a_perfect_student_has_no_divergence_and_a_worse_one_is_told() {
    let (teacher, queue) = (cloud(80, 16, 0.0, 1), cloud(200, 16, 0.0, 2));
    let same = FidelityConfig { temperature_student: 0.1, temperature_teacher: 0.1, ..FidelityConfig::default() };
    let measure = |noise: f32, config| {
        let jitter = cloud(80, 16, 0.0, 3);
        let student: Vec<f32> = teacher.iter().zip(&jitter).map(|(t, j)| t + noise * j).collect();
        fidelity(&wide(&student, 16), &wide(&teacher, 16), &wide(&queue, 16), config).unwrap()
    };
    let perfect = measure(0.0, &same);
    assert!(perfect.kl.value.abs() < 1e-9 && perfect.overlap.value == 1.0 && perfect.cosine.value > 1.0 - 1e-6);
    let (then, little, much) = (measure(0.5, &same), measure(0.52, &same), measure(1.5, &same));
    let worse = |now: &Fidelity| now.since(&then).unwrap().map(|change| change.worse);
    assert_eq!((worse(&then), worse(&little), worse(&much)), ([false; 3], [false; 3], [true; 3]));
    assert_eq!(perfect.since(&then).unwrap().map(|change| change.worse), [false; 3], "better is not worse");
    let kept = Fidelity::from_json(&then.to_json().unwrap()).unwrap();
    assert_eq!(kept, then);
    assert!(Fidelity::from_json("{\"frames\": 3}").is_err());
    let other = measure(0.5, &FidelityConfig { k: 5, ..same });
    assert_eq!(other.since(&then).unwrap_err().kind(), ErrorKind::Mismatch);
    let cold = FidelityConfig { temperature_teacher: 0.0, ..same };
    assert!(fidelity(&wide(&teacher, 16), &wide(&teacher, 16), &wide(&queue, 16), &cold).is_err());
    assert!(fidelity(&wide(&teacher[16..], 16), &wide(&teacher, 16), &wide(&queue, 16), &same).is_err());
    assert!(
        fidelity(&wide(&teacher, 16), &wide(&teacher, 16), &wide(&queue, 16), &FidelityConfig { k: 80, ..same })
            .is_err()
    );
}

#[test]
fn intervals_hold_what_they_promise() {
    // 400 samples of 40 numbers whose true mean is known: about 95 % of the intervals hold it; fewer than 90 % or more than 98.5 %
    // would be a fault (five standard deviations of 1.1 %, less a little for the bootstrap's known optimism).
    let held = (0..400).filter(|&number| {
        let values: Vec<f64> = cloud(40, 1, 0.0, 100 + number).into_iter().map(f64::from).collect();
        let Interval { low, high, .. } = mean_interval(&values, number);
        low <= 0.0 && 0.0 <= high
    });
    let held = held.count();
    assert!((360..=394).contains(&held), "{held} of 400");
}

#[test]
fn the_energy_is_that_of_scipy() {
    let golden = golden();
    let (reference, batch) = (rows(&golden, "reference"), rows(&golden, "batch"));
    let drift = DriftReference::new(&wide(&reference, 6)).unwrap();
    let signal = drift.signal(&wide(&batch, 6)).unwrap();
    let of = |name: &str| golden[name].as_f64().unwrap();
    assert!((signal.energy - of("energy")).abs() < 1e-6, "{signal:?}");
    assert!((signal.nearest - of("nearest")).abs() < 1e-6, "{signal:?}");
    // Of 4,000 other draws: the 99 % quantile of some hundred draws has an error of about a tenth.
    assert!((signal.threshold / of("threshold") - 1.0).abs() < 0.25, "{signal:?}");
    assert!(!signal.raised && signal.p_value > 0.01);
}

#[test]
fn equal_batches_raise_nothing_and_others_do() {
    let reference = cloud(400, 16, 1.0, 1);
    let drift = DriftReference::new(&wide(&reference, 16)).unwrap();
    let signal = |centre: f64, number: u64| drift.signal(&wide(&cloud(32, 16, centre, number), 16)).unwrap();
    let false_alarms = (0..200).filter(|&number| signal(1.0, 1000 + number).raised).count();
    assert!(false_alarms <= 8, "{false_alarms} of 200, 2 are expected");
    let p: f64 = (0..200).map(|number| signal(1.0, 1000 + number).p_value).sum::<f64>() / 200.0;
    assert!((0.4..0.6).contains(&p), "p-values of equal batches are even, their mean is {p}");
    assert!((0..20).all(|number| signal(3.0, 2000 + number).raised));
    let strengths: Vec<f64> = (0..6).map(|step| signal(1.0 + f64::from(step), 7).energy).collect();
    assert!(strengths.windows(2).all(|pair| pair[0] < pair[1]), "{strengths:?}");
    assert!(drift.signal(&wide(&reference[..16], 16)).is_err());
    assert!(drift.signal(&wide(&reference, 16)).is_err());
    assert_eq!(drift.signal(&Embeddings::new(&[1.0; 24], 8).unwrap()).unwrap_err().kind(), ErrorKind::Mismatch);
    assert!(DriftReference::new(&wide(&reference[..16 * 19], 16)).is_err());
}

#[test]
fn a_reference_is_kept_in_a_file_and_hostile_ones_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("reference.safetensors");
    let (reference, batch) = (cloud(100, 8, 0.0, 1), cloud(20, 8, 1.0, 2));
    let batch = Embeddings::new(&batch, 8).unwrap();
    let drift = DriftReference::new(&Embeddings::new(&reference, 8).unwrap()).unwrap();
    drift.save(&path).unwrap();
    let again = DriftReference::load(&path).unwrap();
    assert!((again.signal(&batch).unwrap().energy - drift.signal(&batch).unwrap().energy).abs() < 1e-6);
    assert_eq!(again.len(), 100);
    // A reference may know how its frames were seen, and refuses those seen in another way.
    assert_eq!(again.input(), None);
    let view = Input { width: 64, height: 48, resize: Resize::Letterbox, ..Input::default() };
    again.belong_to(&view).unwrap();
    again.save(&path).unwrap();
    let known = DriftReference::load(&path).unwrap();
    assert_eq!(known.input(), again.input());
    known.belong_to(&view).unwrap();
    let error = known.belong_to(&Input { resize: Resize::Whole, ..view }).unwrap_err();
    assert!(
        error.kind() == ErrorKind::Mismatch && error.message().contains("64×48×3 by resize \"letterbox\""),
        "{error}"
    );
    let good = std::fs::read(&path).unwrap();
    let mut odd = good.clone();
    let at = good.windows(11).position(|bytes| bytes == b"\"letterbox\"").unwrap();
    odd[at + 1] = b'L';
    std::fs::write(&path, odd).unwrap();
    let error = DriftReference::load(&path).unwrap_err();
    assert!(error.kind() == ErrorKind::Format && error.message().contains("Letterbox"), "{error}");
    let text = String::from_utf8_lossy(&good).into_owned();
    let header = text.find('}').unwrap();
    let mut nan = good.clone();
    let length = nan.len();
    nan[length - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    let other = String::from_utf8_lossy(&good[..header]).contains("libseed.drift.1");
    assert!(other, "the format stands in the header");
    let mut foreign = good.clone();
    let at = text.find("libseed.drift.1").unwrap();
    foreign[at + 14] = b'7';
    let huge = [&u64::MAX.to_le_bytes()[..], &good[8..]].concat();
    for (what, bytes) in [
        ("empty", &[][..]),
        ("short", &good[..length / 2]),
        ("nan", &nan[..]),
        ("foreign", &foreign[..]),
        ("huge", &huge[..]),
        ("text", b"{\"reference\": 1}"),
    ] {
        let bad = folder.path().join(what);
        std::fs::write(&bad, bytes).unwrap();
        let error = DriftReference::load(&bad).unwrap_err();
        assert!(error.kind() == ErrorKind::Format && error.message().contains(what), "{what}: {error}");
    }
    assert_eq!(DriftReference::load(&folder.path().join("none")).unwrap_err().kind(), ErrorKind::Io);
}

fn network(architecture: Architecture, seed: u64) -> Network {
    Network::new(architecture, Head::Projection { hidden: 0, dim: 32 }, seed, Device::Cpu).unwrap()
}

fn session(network: &Network, side: u32) -> Session {
    let view = Input { width: side, height: side, resize: Resize::Centre, ..Input::default() };
    Session::new(network, &view, SessionOptions::default()).unwrap()
}

/// Four fine textures of one mean level, shifted at random, with noise; the class is the texture.
fn textures(count: usize, number: u64) -> (Arc<Dataset>, Vec<i64>) {
    let dataset = Dataset::in_memory();
    let mut labels = Vec::new();
    for i in 0..count {
        let (class, mut rng) = (i % 4, generator(number, 0, i as u64, Purpose::Split));
        let (dx, dy) = ((unit(&mut rng) * 8.0) as usize, (unit(&mut rng) * 8.0) as usize);
        let mut level = |x: usize, y: usize| {
            let (across, down) = ((x + dx) / 2 % 2, (y + dy) / 2 % 2);
            let bright = [across, down, across ^ down, (x + dx + y + dy) / 3 % 2][class];
            60 + 120 * bright as u8 + (unit(&mut rng) * 40.0) as u8
        };
        let pixels = (0..1600).map(|at| level(at % 40, at / 40)).collect();
        dataset.push_frame(&i.to_string(), Frame::new(40, 40, 1, pixels).unwrap()).unwrap();
        labels.push(class as i64);
    }
    (Arc::new(dataset), labels)
}

#[test]
fn the_gate_lets_an_equal_student_in_and_keeps_a_worse_one_out() {
    // A random MobileNet gives one point for all these textures but for rounding; a random ResNet tells them apart.
    let teacher_network = network(Architecture::ResNet10, 1);
    let (teacher, old, same) =
        (session(&teacher_network, 32), session(&teacher_network, 32), session(&teacher_network, 32));
    let stranger = session(&network(Architecture::ResNet10, 2), 32);
    let (frames, _) = textures(60, 1);
    let (reference, labels) = textures(50, 2);
    // The clock of a busy machine is not what is tested here.
    let config = GateConfig {
        latency_factor: 50.0,
        latency_frames: 5,
        k: 3,
        fidelity: FidelityConfig { temperature_teacher: 0.2, ..FidelityConfig::default() },
        ..GateConfig::default()
    };
    let mut calls = 0;
    let mut count = |done: usize, total: usize| {
        calls += 1;
        done <= total && total == 3 * 110
    };
    let verdict = judge(&old, &same, &teacher, &frames, &reference, &labels, &config, &mut count).unwrap();
    assert!(calls > 6 && verdict.passes, "{verdict:?}");
    assert_eq!((verdict.frames, verdict.reference), (60, 50));
    assert!(verdict.kl.old.abs() < 1e-6 && verdict.overlap.new == 1.0 && verdict.recall.difference.value == 0.0);
    assert!(verdict.latency.old > 0.0 && verdict.latency.new > 0.0);
    let verdict = judge(&old, &stranger, &teacher, &frames, &reference, &labels, &config, &mut |_, _| true).unwrap();
    assert!(!verdict.passes && !verdict.kl.holds && !verdict.overlap.holds && verdict.latency.holds, "{verdict:?}");
    assert!(serde_json::to_string(&verdict).unwrap().contains("\"passes\":false"));
    // The other way round the new one is better.
    let verdict = judge(&stranger, &old, &teacher, &frames, &reference, &labels, &config, &mut |_, _| true).unwrap();
    assert!(verdict.kl.holds && verdict.overlap.holds && verdict.overlap.difference.low > 0.0, "{verdict:?}");
    let slow = GateConfig { latency_factor: 0.01, ..config.clone() };
    let verdict = judge(&old, &same, &teacher, &frames, &reference, &labels, &slow, &mut |_, _| true).unwrap();
    assert!(!verdict.passes && !verdict.latency.holds && verdict.kl.holds, "{verdict:?}");
    let error = judge(&old, &same, &teacher, &frames, &reference, &labels, &config, &mut |_, _| false).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert!(judge(&old, &same, &teacher, &frames, &reference, &labels[1..], &config, &mut |_, _| true).is_err());
}

/// The load is simulated in `gate::latency`; here a frame takes one session some hundred times as long as the other, which no load hides.
#[test]
fn a_student_that_takes_a_hundred_times_as_long_is_refused_for_its_latency() {
    let (quick, slow) = (network(Architecture::ResNet10, 1), network(Architecture::ResNet50, 1));
    let (quick, slow) = (session(&quick, 16), session(&slow, 192));
    let (frames, _) = textures(12, 1);
    let (reference, labels) = textures(12, 2);
    let fidelity = FidelityConfig { k: 3, ..FidelityConfig::default() };
    let config = GateConfig { latency_frames: 8, k: 3, fidelity, ..GateConfig::default() };
    let verdict = judge(&quick, &slow, &quick, &frames, &reference, &labels, &config, &mut |_, _| true).unwrap();
    assert!(!verdict.latency.holds && !verdict.latency_unclear, "{verdict:?}");
    assert!(verdict.latency.new > verdict.latency.old && verdict.latency.difference.value > verdict.latency.limit);
    let verdict = judge(&slow, &quick, &slow, &frames, &reference, &labels, &config, &mut |_, _| true).unwrap();
    assert!(
        verdict.latency.holds && !verdict.latency_unclear && verdict.latency.new < verdict.latency.old,
        "{verdict:?}"
    );
}

#[test]
fn a_student_that_sees_no_texture_fails_on_recall_alone() {
    let good = network(Architecture::ResNet10, 1);
    let (teacher, old) = (session(&good, 40), session(&good, 40));
    // At 8 pixels a side the textures are all the same grey.
    let blind = session(&good, 8);
    let (frames, _) = textures(40, 1);
    let (reference, labels) = textures(80, 3);
    let config = GateConfig {
        latency_factor: 50.0,
        latency_frames: 3,
        k: 3,
        kl_margin: 1e9,
        overlap_margin: 1.0,
        fidelity: FidelityConfig { temperature_teacher: 0.1, ..FidelityConfig::default() },
        ..GateConfig::default()
    };
    let verdict = judge(&old, &blind, &teacher, &frames, &reference, &labels, &config, &mut |_, _| true).unwrap();
    assert!(verdict.kl.holds && verdict.overlap.holds && verdict.latency.holds, "{verdict:?}");
    assert!(verdict.recall.old > 0.9 && verdict.recall.new < verdict.recall.old - 0.15, "{verdict:?}");
    assert!(!verdict.recall.holds && !verdict.passes, "{verdict:?}");
}

/// The frames as they would be seen under other light or another focus.
fn changed(frames: &[Arc<Frame>], change: impl Fn(&GrayImage) -> GrayImage) -> Arc<Dataset> {
    let dataset = Dataset::in_memory();
    for (i, frame) in frames.iter().enumerate() {
        let (width, height) = (frame.width(), frame.height());
        let image = change(&GrayImage::from_raw(width, height, frame.pixels().to_vec()).unwrap());
        dataset.push_frame(&i.to_string(), Frame::new(width, height, 1, image.into_raw()).unwrap()).unwrap();
    }
    Arc::new(dataset)
}

#[test]
fn steel_brightness_and_blur_raise_the_signal_of_a_magnetic_tile_student() {
    let (Some(tiles), Some(steel)) = (crate::shared::data("magnetic-tile/images"), crate::shared::data("neu-steel"))
    else {
        return;
    };
    // A ResNet-10 with random weights at 64²: what the frames do to its features is enough, no training is needed for it.
    let student = session(&network(Architecture::ResNet10, 3), 64);
    let embed = |dataset: &Arc<Dataset>| student.embed_dataset(dataset, 32, 2, &mut |_, _| true).unwrap();
    let tiles = Dataset::from_folder(&tiles).unwrap();
    let order = permutation(5, 0, tiles.len());
    let chosen: Vec<Arc<Frame>> = order[..840].iter().map(|&i| tiles.load(i).unwrap()).collect();
    let (reference, others) = chosen.split_at(600);
    let drift =
        DriftReference::new(&Embeddings::new(&embed(&changed(reference, Clone::clone)), student.dim()).unwrap())
            .unwrap();
    let signal = |dataset: &Arc<Dataset>| {
        let rows = embed(dataset);
        drift.signal(&Embeddings::new(&rows, student.dim()).unwrap()).unwrap()
    };
    let calm: Vec<_> = others.chunks_exact(60).map(|batch| signal(&changed(batch, Clone::clone))).collect();
    assert!(calm.iter().filter(|signal| signal.raised).count() <= 1, "{calm:?}");

    let steel = Dataset::from_folder(&steel).unwrap();
    let mixed: Vec<Arc<Frame>> = permutation(6, 0, steel.len())[..60].iter().map(|&i| steel.load(i).unwrap()).collect();
    let foreign = signal(&changed(&mixed, Clone::clone));
    let highest = calm.iter().map(|signal| signal.energy).fold(0.0, f64::max);
    assert!(
        foreign.raised && foreign.energy > 3.0 * foreign.threshold.max(highest) && foreign.p_value <= 0.001,
        "{foreign:?} {calm:?}"
    );

    let batch = &others[..60];
    let brighter = [1.0f32, 1.15, 1.3, 1.5, 1.8].map(|gain| {
        let light = |image: &GrayImage| {
            let mut image = image.clone();
            image.pixels_mut().for_each(|pixel| pixel.0[0] = (f32::from(pixel.0[0]) * gain).min(255.0) as u8);
            image
        };
        signal(&changed(batch, light))
    });
    let blurred = [0.0f32, 1.0, 2.0, 4.0, 8.0].map(|sigma| {
        let focus = |image: &GrayImage| if sigma == 0.0 { image.clone() } else { image::imageops::blur(image, sigma) };
        signal(&changed(batch, focus))
    });
    for (what, signals) in [("brightness", brighter), ("blur", blurred)] {
        let energies = signals.map(|signal| signal.energy);
        println!("{what}: {energies:?}, threshold {}", signals[0].threshold);
        assert!(energies.windows(2).all(|pair| pair[0] < pair[1]), "{what}: {energies:?}");
        assert!(signals[4].raised, "{what}: {signals:?}");
    }
    println!("steel: {foreign:?}");
}
