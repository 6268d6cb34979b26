//! Pixels that count for nothing: in learning, in the threshold, in scores and in heat maps.

use seed::ErrorKind;
use seed::config::{Config, DetectorKind};
use seed::data::{Dataset, FrameView, Ignored, PixelFormat, Roi};
use seed::export::{ExportInput, export_detector};
use seed::infer::SessionOptions;
use seed::infer::anomaly::{Anomaly, AnomalyDetector};
use seed::model::weights::{HostTensor, read, write_safetensors};
use seed::train::CancelToken;
use tch::Tensor;

use crate::anomaly::{HEIGHT, WIDTH, config, dataset, judge, network, part, scratched, view};

const KINDS: [DetectorKind; 2] = [DetectorKind::PatchCore, DetectorKind::Stfpm];

/// What lies from (48, 0) on to the right: the scratch of [`scratched`] is inside.
fn right_half() -> Ignored {
    let corners = [[48.0, 0.0], [96.0, 0.0], [96.0, 64.0], [48.0, 64.0]];
    Ignored::polygon(WIDTH as u32, HEIGHT as u32, &corners).unwrap()
}

fn with(number: usize, change: impl Fn(usize, usize) -> Option<u8>) -> Vec<u8> {
    let place = |(at, level): (usize, u8)| change(at % WIDTH, at / WIDTH).unwrap_or(level);
    part(number, false).into_iter().enumerate().map(place).collect()
}

/// As if the right half were noise that differs from part to part.
fn noisy(number: usize) -> Vec<u8> {
    with(number, |x, y| (x >= 48).then(|| (x * 37 + y * 91 + number * 57) as u8))
}

fn settings(kind: DetectorKind, held_out: f64) -> Config {
    let mut config = config();
    (config.anomaly.kind, config.anomaly.epochs, config.anomaly.held_out) = (kind, 2, held_out);
    config
}

fn fitted(config: &Config, good: &Dataset) -> AnomalyDetector {
    AnomalyDetector::fit(&network(), &view(), config, SessionOptions::default(), good, &mut |_, _| true).unwrap()
}

/// Two detectors may compute in pieces of other sizes, which rounds otherwise.
fn assert_near(found: &Anomaly, expected: &Anomaly) {
    let near = |a: f32, b: f32, scale: f32| (a - b).abs() <= 5e-3 * scale.max(1e-6);
    assert!(near(found.score, expected.score, expected.score), "{} {}", found.score, expected.score);
    let scale = expected.map.iter().copied().fold(0.0, f32::max);
    assert!(found.map.iter().zip(&expected.map).all(|(&a, &b)| near(a, b, scale)));
}

#[test]
fn nothing_that_is_ignored_changes_a_number() {
    for (kind, held_out) in KINDS.into_iter().flat_map(|kind| [(kind, 0.5), (kind, 0.0)]) {
        let config = settings(kind, held_out);
        let [plain, noise] = [false, true].map(|noise| {
            let good = dataset((0..12).map(|n| if noise { noisy(n) } else { part(n, false) }));
            good.set_ignored(None, Some(right_half())).unwrap();
            fitted(&config, &good)
        });
        let [one, other] = [&plain, &noise].map(|detector| detector.threshold().score);
        assert!((one - other).abs() <= 5e-3 * one, "{kind} {held_out}: {one} {other}");
        assert_eq!(
            (plain.memory_size(), plain.held_out().scores().len()),
            (noise.memory_size(), noise.held_out().scores().len())
        );
        let judged: Vec<Anomaly> =
            [part(40, false), noisy(40), scratched(40)].iter().map(|p| judge(&plain, p)).collect();
        assert!(judged.iter().all(|one| *one == judged[0]), "not a bit");
        assert_near(&judge(&noise, &noisy(40)), &judged[0]);
        for (at, &heat) in judged[0].map.iter().enumerate() {
            assert!(heat.is_finite() && (at % WIDTH < 48 || heat == 0.0), "{kind} at {at}");
        }
        assert!(judged[0].map.iter().any(|&heat| heat > 0.0));
        // The other half is judged as ever.
        let bad = judge(&plain, &with(40, |x, y| ((18..26).contains(&x) && (20..44).contains(&y)).then_some(250)));
        // Two passes make no good detector of the second network.
        let is_worse = if kind == DetectorKind::Stfpm {
            bad.score != judged[0].score
        } else {
            bad.score > judged[0].score && bad.alarm
        };
        assert!(is_worse, "{kind}: {} {}", bad.score, judged[0].score);
    }
}

#[test]
fn the_score_is_that_of_the_patches_that_count() {
    // By hand: the heat map before its blur has the patches' distances, of which the score is the highest one that counts.
    let mut config = settings(DetectorKind::PatchCore, 0.5);
    (config.anomaly.neighbours, config.anomaly.blur_sigma) = (1, 0.0);
    let good = dataset((0..12).map(|n| part(n, false)));
    good.set_ignored(None, Some(right_half())).unwrap();
    let detector = fitted(&config, &good);
    // Patches of layer2 are 8 pixels wide: 8 rows of 12, of which 6 count. A patch's middle has its distance in the map.
    let found = judge(&detector, &with(40, |x, y| ((18..26).contains(&x) && (20..44).contains(&y)).then_some(250)));
    let near = |x: usize, y: usize| {
        [(3, 3), (4, 3), (3, 4), (4, 4)].map(|(dx, dy)| found.map[(8 * y + dy) * WIDTH + 8 * x + dx])
    };
    let patches = (0..8).flat_map(|y| (0..6).map(move |x| (x, y)));
    let highest = patches.map(|(x, y)| near(x, y).iter().sum::<f32>() / 4.0).fold(0.0, f32::max);
    // Between the middles of four pixels lies that of a patch; there the map is bent.
    assert!(highest <= found.score && highest > 0.85 * found.score, "{highest} of {}", found.score);
}

#[test]
fn single_images_may_ignore_more() {
    // Half of the good parts have a scratch that is ignored in them alone: further scratches are alarms.
    let good = dataset((0..12).map(|n| if n % 2 == 0 { scratched(n) } else { part(n, false) }));
    for n in (0..12).step_by(2) {
        good.set_ignored(Some(n), Some(right_half())).unwrap();
    }
    let config = settings(DetectorKind::PatchCore, 0.0);
    let detector = fitted(&config, &good);
    assert!(detector.ignored().is_none());
    assert!(judge(&detector, &scratched(40)).alarm && !judge(&detector, &part(3, false)).alarm);
}

#[test]
fn a_file_keeps_what_is_ignored_and_further_parts_follow_it() {
    let folder = tempfile::tempdir().unwrap();
    for kind in KINDS {
        let good = dataset((0..12).map(|n| part(n, false)));
        good.set_ignored(None, Some(right_half())).unwrap();
        let config = settings(kind, 0.5);
        let detector = fitted(&config, &good);
        let path = folder.path().join("ignoring.safetensors");
        detector.save(&path).unwrap();
        let again = AnomalyDetector::open(&path, SessionOptions::default()).unwrap();
        assert_eq!(again.ignored().as_deref(), Some(&right_half()));
        assert_near(&judge(&again, &noisy(40)), &judge(&detector, &part(40, false)));
        // Frames of another size have no such pixels.
        let frame = FrameView::new(&[7; 64 * 96], 64, 96, 64, PixelFormat::Mono8).unwrap();
        let error = again.judge(&[frame], false).unwrap_err();
        assert!(
            error.kind() == ErrorKind::InvalidArgument && error.message().contains("is 96×64, the frame is 64×96"),
            "{error}"
        );
        let exported = export_detector(&folder.path().join("a.onnx"), &again, ExportInput::Bytes);
        assert_eq!(exported.unwrap_err().kind(), ErrorKind::Unsupported);
        if kind == DetectorKind::PatchCore {
            again.add(&dataset((20..26).map(noisy)), &config, &CancelToken::new(), &mut |_, _| true).unwrap();
            detector
                .add(&dataset((20..26).map(|n| part(n, false))), &config, &CancelToken::new(), &mut |_, _| true)
                .unwrap();
            assert_near(&judge(&again, &noisy(40)), &judge(&detector, &part(40, false)));
        }
        // A mask of nothing or of all is none.
        for level in [0u8, 1] {
            let mut changed = read(&path).unwrap();
            let mask = HostTensor::from_tensor(&Tensor::from_slice(&[level; 4]).view([2, 2])).unwrap();
            changed.tensors.insert("anomaly.ignored".to_owned(), mask);
            let broken = folder.path().join("broken.safetensors");
            let tensors = changed.tensors.into_iter().collect::<Vec<_>>();
            write_safetensors(&broken, &tensors, &changed.metadata).unwrap();
            let error = AnomalyDetector::open(&broken, SessionOptions::default()).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Format, "{error}");
        }
    }
}

#[test]
fn masks_that_do_not_fit_are_refused() {
    let good = dataset((0..6).map(|n| part(n, false)));
    assert!(good.set_ignored(Some(6), Some(right_half())).is_err());
    let usual = good.identity();
    let other = Ignored::new(64, 96, [vec![1; 64], vec![0; 64 * 95]].concat()).unwrap();
    good.set_ignored(Some(1), Some(other.clone())).unwrap();
    assert_eq!(good.identity(), usual, "what learns from whole frames takes no notice of it");
    let config = settings(DetectorKind::PatchCore, 0.0);
    let error = AnomalyDetector::fit(&network(), &view(), &config, SessionOptions::default(), &good, &mut |_, _| true);
    let error = error.err().unwrap();
    assert!(error.message().contains("image 1") && error.message().contains("is 64×96"), "{error}");
    good.set_ignored(None, Some(right_half())).unwrap();
    assert!(good.ignored_of(1).is_err() && good.ignored_of(0).unwrap().is_some());
    assert!(good.ignore(None, other).is_err());
    good.set_ignored(Some(1), None).unwrap();
    good.set_ignored(None, None).unwrap();
    assert_eq!(good.identity(), usual);
    // All that is seen of a region may be ignored.
    good.set_ignored(None, Some(right_half())).unwrap();
    let roi = Roi { x: 60, y: 0, width: 30, height: 60 };
    let options = SessionOptions { roi: Some(roi), ..SessionOptions::default() };
    let error = AnomalyDetector::fit(&network(), &view(), &config, options, &good, &mut |_, _| true).err().unwrap();
    assert!(error.message().contains("nothing is left to judge"), "{error}");
}
