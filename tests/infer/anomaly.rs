//! Anomaly detection end to end on drawn parts: alarms, heat maps, adding parts, files, hostile files.

use std::path::Path;
use std::sync::Arc;

use seed::ErrorKind;
use seed::config::{Config, Group, Precision};
use seed::data::{Dataset, Frame, FrameView, Input, PixelFormat};
use seed::infer::anomaly::{Anomaly, AnomalyDetector};
use seed::infer::{Classifier, Output, Session, SessionOptions};
use seed::model::weights::{HostTensor, read, write_safetensors};
use seed::model::{Architecture, Head, Network};
use seed::train::CancelToken;
use tch::{Device, Tensor};

pub const WIDTH: usize = 96;
pub const HEIGHT: usize = 64;

/// A smooth part, a little different each; `stripes` is another kind of good part.
pub fn part(number: usize, stripes: bool) -> Vec<u8> {
    let level = |x: usize, y: usize| {
        let shade = 110.0 + 20.0 * ((x as f32 / 30.0 + number as f32).sin() + (y as f32 / 25.0).cos());
        let extra = if stripes && (x / 4).is_multiple_of(2) { 70.0 } else { 0.0 };
        (shade + extra) as u8
    };
    (0..WIDTH * HEIGHT).map(|place| level(place % WIDTH, place / WIDTH)).collect()
}

/// The same with a bright scratch around (72, 16).
pub fn scratched(number: usize) -> Vec<u8> {
    let mut pixels = part(number, false);
    for i in 0..14 {
        for width in 0..3 {
            pixels[(10 + i) * WIDTH + 66 + i + width] = 250;
        }
    }
    pixels
}

pub fn dataset(parts: impl Iterator<Item = Vec<u8>>) -> Dataset {
    let dataset = Dataset::in_memory();
    for (number, pixels) in parts.enumerate() {
        dataset.push_frame(&number.to_string(), Frame::new(WIDTH as u32, HEIGHT as u32, 1, pixels).unwrap()).unwrap();
    }
    dataset
}

pub fn network() -> Network {
    Network::new(Architecture::ResNet10, Head::Projection { hidden: 8, dim: 8 }, 5, Device::Cpu).unwrap()
}

pub fn view() -> Input {
    Input { width: 96, height: 64, ..Input::default() }
}

pub fn config() -> Config {
    let mut config = Config { device: "cpu".into(), precision: Precision::Fp32, ..Config::default() };
    (config.anomaly.memory_share, config.anomaly.memory_min) = (0.05, 0);
    config.anomaly.held_out = 0.5;
    config.anomaly.false_alarm_rate = 0.1;
    config
}

fn detector() -> AnomalyDetector {
    let good = dataset((0..40).map(|number| part(number, false)));
    AnomalyDetector::fit(&network(), &view(), &config(), SessionOptions::default(), &good, &mut |_, _| true).unwrap()
}

pub fn judge(detector: &AnomalyDetector, pixels: &[u8]) -> Anomaly {
    let frame = FrameView::new(pixels, WIDTH as u32, HEIGHT as u32, WIDTH, PixelFormat::Mono8).unwrap();
    detector.judge(&[frame], true).unwrap().remove(0)
}

#[test]
fn a_scratch_is_an_alarm_and_stands_where_it_is() {
    let detector = detector();
    assert_eq!(detector.memory_size().1, 128 + 256, "layer2 and layer3");
    assert_eq!(detector.held_out().scores().len(), 20);
    let threshold = detector.threshold();
    assert_eq!(threshold.rate, 0.1);
    let alarms = (100..140).filter(|&number| judge(&detector, &part(number, false)).alarm).count();
    assert!(alarms <= 8, "{alarms} of 40 unseen good parts are alarms, 4 are to be expected");
    for number in 100..105 {
        let found = judge(&detector, &scratched(number));
        assert!(found.alarm && found.score > threshold.score, "{} of {}", found.score, threshold.score);
        assert_eq!(found.map.len(), WIDTH * HEIGHT);
        let hottest = (0..found.map.len()).max_by(|&a, &b| found.map[a].total_cmp(&found.map[b])).unwrap();
        let (x, y) = (hottest % WIDTH, hottest / WIDTH);
        assert!(x.abs_diff(72) <= 16 && y.abs_diff(16) <= 16, "the heat map is hottest at ({x}, {y})");
    }
    let frames = [part(1, false), scratched(1)];
    let views =
        frames.each_ref().map(|p| FrameView::new(p, WIDTH as u32, HEIGHT as u32, WIDTH, PixelFormat::Mono8).unwrap());
    let without = detector.judge(&views, false).unwrap();
    assert!(without.iter().all(|one| one.map.is_empty()) && without[1].alarm);
    assert!((without[1].score - judge(&detector, &frames[1]).score).abs() < 1e-3);
}

#[test]
fn the_map_has_the_frames_size() {
    let detector = detector();
    let pixels = vec![120u8; 33 * 70];
    let frame = FrameView::new(&pixels, 33, 70, 33, PixelFormat::Mono8).unwrap();
    assert_eq!(detector.judge(&[frame], true).unwrap()[0].map.len(), 33 * 70);
}

#[test]
fn added_parts_are_good_from_then_on() {
    let detector = detector();
    let before = judge(&detector, &part(200, true));
    assert!(before.alarm);
    let patches = detector.memory_size().0;
    let known = dataset((50..60).map(|number| part(number, false)));
    detector.add(&known, &config(), &CancelToken::new(), &mut |_, _| true).unwrap();
    let few = detector.memory_size().0 - patches;
    let new = dataset((0..20).map(|number| part(number, true)));
    detector.add(&new, &config(), &CancelToken::new(), &mut |_, _| true).unwrap();
    let many = detector.memory_size().0 - patches - few;
    assert!(many > 2 * few, "known parts added {few} patches, new ones {many}");
    let after = judge(&detector, &part(200, true));
    assert!(after.score < 0.5 * before.score, "{} then {}", before.score, after.score);
    assert!(judge(&detector, &scratched(3)).alarm, "a scratch is one still");
    assert_eq!(detector.held_out().scores().len(), 20 + 5 + 10);
    assert_eq!(detector.settings().images, 20 + 5 + 10);

    let stopped = detector.add(&new, &config(), &CancelToken::new(), &mut |_, _| false).unwrap_err();
    assert_eq!(stopped.kind(), ErrorKind::Cancelled);
    assert_eq!(detector.settings().images, 35, "nothing has changed");
}

#[test]
fn parts_are_added_while_others_judge() {
    let detector = Arc::new(detector());
    std::thread::scope(|scope| {
        let judging = Arc::clone(&detector);
        scope.spawn(move || (0..20).for_each(|_| assert!(judge(&judging, &scratched(2)).alarm)));
        let new = dataset((0..10).map(|number| part(number, true)));
        detector.add(&new, &config(), &CancelToken::new(), &mut |_, _| true).unwrap();
    });
}

/// Four frames of each part, which differ by a little noise, in a folder of its own.
fn bursts(parts: std::ops::Range<usize>) -> Dataset {
    let dataset = Dataset::in_memory();
    for number in parts.clone() {
        for shot in 0..4 {
            let noise = |place: usize| (((place * 31 + shot * 17 + number * 101) * 2_654_435_761) >> 9) % 4;
            let pixels =
                part(number, false).into_iter().enumerate().map(|(at, level)| level + noise(at) as u8).collect();
            let frame = Frame::new(WIDTH as u32, HEIGHT as u32, 1, pixels).unwrap();
            dataset.push_frame(&format!("part-{number}/{shot}"), frame).unwrap();
        }
    }
    dataset
}

fn fitted(config: &Config, good: &Dataset) -> seed::Result<AnomalyDetector> {
    AnomalyDetector::fit(&network(), &view(), config, SessionOptions::default(), good, &mut |_, _| true)
}

#[test]
fn frames_of_one_part_are_held_out_together() {
    let good = bursts(0..30);
    let mut config = config();
    config.anomaly.memory_share = 0.2;
    config.anomaly.held_out = 0.34;
    let apart = fitted(&config, &good).unwrap();
    config.anomaly.group = Group::Folder;
    let together = fitted(&config, &good).unwrap();
    let (of_images, of_parts) = (apart.held_out(), together.held_out());
    assert_eq!((of_images.scores().len(), of_images.sizes().len()), (41, 41));
    assert_eq!((of_parts.scores().len(), of_parts.sizes()), (40, &[4; 10][..]));
    assert_eq!((apart.threshold().rate, together.threshold().rate), (0.1, 0.1));
    let alarms =
        |detector: &AnomalyDetector| (100..140).filter(|&number| judge(detector, &part(number, false)).alarm).count();
    let (many, few) = (alarms(&apart), alarms(&together));
    assert!(many > 12 && few <= 8, "{many} and {few} of 40 unseen parts are alarms, 4 are to be expected");
    // A confidence can only ask for more.
    config.anomaly.confidence = 0.9;
    let sure = fitted(&config, &good).unwrap();
    assert_eq!(sure.held_out(), of_parts);
    assert!((sure.threshold().rate - (1.0 - 0.1f64.powf(0.1))).abs() < 1e-12, "{:?}", sure.threshold());

    // The groups are in the file, and more of them join.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("good.safetensors");
    sure.save(&path).unwrap();
    let opened = AnomalyDetector::open(&path, SessionOptions::default()).unwrap();
    assert_eq!((opened.held_out(), opened.threshold()), (of_parts, sure.threshold()));
    assert_eq!(opened.settings(), sure.settings());
    opened.add(&bursts(40..50), &config, &CancelToken::new(), &mut |_, _| true).unwrap();
    assert_eq!(opened.held_out().sizes(), [4; 13]);

    let one = fitted(&config, &bursts(0..1)).err().unwrap();
    assert!(one.kind() == ErrorKind::InvalidArgument && one.message().contains("anomaly.group"), "{one}");
    config.anomaly.held_out = 0.0;
    assert!(fitted(&config, &bursts(0..1)).is_ok());
}

#[test]
fn a_file_gives_the_same_detector() {
    let detector = detector();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("good.safetensors");
    detector.save(&path).unwrap();
    let session = Session::open(&path, SessionOptions::default()).err().unwrap();
    let classifier = Classifier::open(&path, SessionOptions::default()).err().unwrap();
    for error in [session, classifier] {
        assert!(error.kind() == ErrorKind::Format && error.message().contains("seed_anomaly_open"), "{error}");
    }
    let opened = AnomalyDetector::open(&path, SessionOptions::default()).unwrap();
    assert_eq!(opened.settings(), detector.settings());
    assert_eq!(opened.threshold(), detector.threshold());
    let (a, b) = (judge(&opened, &scratched(7)), judge(&detector, &scratched(7)));
    assert!((a.score - b.score).abs() < 1e-4 * b.score);
    // What earlier versions knew is written as they wrote it.
    let file = read(&path).unwrap();
    assert!(!file.metadata["anomaly"].contains("confidence") && !file.tensors.contains_key("anomaly.held_out_groups"));
    let student = seed::model::student_file::load_student(&path).err().unwrap();
    assert_eq!(student.kind(), ErrorKind::Format, "{student}");
}

#[test]
fn the_same_images_and_seed_give_the_same_memory() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = |name: &str| {
        let path = folder.path().join(name);
        detector().save(&path).unwrap();
        std::fs::read(path).unwrap()
    };
    assert!(bytes("a") == bytes("b"));
}

#[test]
fn misuse_is_refused() {
    let fit = |config: &Config, good: &Dataset| {
        AnomalyDetector::fit(&network(), &view(), config, SessionOptions::default(), good, &mut |_, _| true)
            .err()
            .unwrap()
    };
    let mut wrong = config();
    wrong.anomaly.layers = "layer2, layer9".to_owned();
    let error = fit(&wrong, &dataset((0..3).map(|number| part(number, false))));
    assert!(error.message().contains("\"layer9\"") && error.message().contains("layer4"), "{error}");
    assert_eq!(fit(&config(), &Dataset::in_memory()).kind(), ErrorKind::InvalidArgument);
    let broken = Dataset::from_files(vec!["/no/such/image.png".into()]).unwrap();
    assert_eq!(fit(&config(), &broken).kind(), ErrorKind::Io);
}

/// However few good parts there are, a scratch is an alarm, and the caller is told what is known of the threshold.
#[test]
fn few_parts_still_give_alarms_and_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("few.safetensors");
    // 32 frames of one part are near-duplicates: left out alone, they would find themselves.
    for (count, held_out, group) in [
        (1, 0.2, "image"),
        (2, 0.2, "image"),
        (3, 0.2, "image"),
        (4, 0.2, "image"),
        (5, 0.0, "image"),
        (8, 0.0, "block"),
    ] {
        let mut few = config();
        (few.anomaly.held_out, few.anomaly.memory_min) = (held_out, 1000);
        few.set_string("anomaly.group", group).unwrap();
        few.anomaly.block_size = 4;
        few.anomaly.false_alarm_rate = 0.01;
        let good = dataset((0..count).map(|number| part(number / if group == "block" { 4 } else { 1 }, false)));
        let detector =
            AnomalyDetector::fit(&network(), &view(), &few, SessionOptions::default(), &good, &mut |_, _| true)
                .unwrap();
        let held = detector.held_out().sizes().len();
        let all = (count - held) * 96;
        // Up to memory_min every patch is kept but those that equal others to rounding; 5 % of them would be a handful.
        let different = if group == "block" { all / 4 } else { all };
        let kept = detector.memory_size().0 as usize;
        assert!((different / 2..=all).contains(&kept), "{count}: {kept} of {all} patches");
        let threshold = detector.threshold();
        assert!(threshold.score.is_finite() && threshold.score > 0.0, "{count}: {threshold:?}");
        assert_eq!(threshold.rate.is_nan(), held == 0, "{count}");
        assert!(
            judge(&detector, &scratched(1)).alarm,
            "{count}: {} > {threshold:?}",
            judge(&detector, &scratched(1)).score
        );
        let told = detector.warnings().text();
        let expected = match held {
            0 => format!("none of the {count} good parts was held out"),
            held => format!(
                "{held} held-out good parts, or groups of them, are too few for a false-alarm rate of 0.01, which takes 99"
            ),
        };
        assert!(told.starts_with(&expected) && !told.contains('\n'), "{count}: {told}");
        detector.save(&path).unwrap();
        let opened = AnomalyDetector::open(&path, SessionOptions::default()).unwrap();
        assert_eq!((opened.threshold().score, opened.warnings().text()), (threshold.score, told));
        // With enough parts the warning goes.
        few.anomaly.false_alarm_rate = 0.9;
        few.anomaly.held_out = 0.5;
        opened
            .add(&dataset((50..62).map(|number| part(number, false))), &few, &CancelToken::new(), &mut |_, _| true)
            .unwrap();
        assert!(!opened.warnings().text().contains("none of the"), "{}", opened.warnings().text());
        assert!(opened.threshold().rate.is_finite());
    }
}

#[test]
fn a_hostile_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("good.safetensors");
    detector().save(&path).unwrap();
    let sound = read(&path).unwrap();
    let header: serde_json::Value = serde_json::from_str(&sound.metadata["anomaly"]).unwrap();
    let rows = |shape: [i64; 2], value: f64| {
        HostTensor::from_tensor(&Tensor::full(shape, value, (tch::Kind::Float, Device::Cpu))).unwrap()
    };
    type Change = Box<dyn Fn(&mut serde_json::Value, &mut Vec<(String, HostTensor)>)>;
    let set = |key: &'static str, value: serde_json::Value| -> Change {
        Box::new(move |header, _| header[key] = value.clone())
    };
    let memory = |tensor: Option<HostTensor>| -> Change {
        Box::new(move |_, tensors| {
            tensors.retain(|(name, _)| name != "anomaly.memory");
            tensors.extend(tensor.clone().map(|tensor| ("anomaly.memory".to_owned(), tensor)));
        })
    };
    let groups = |sizes: &[i64]| -> Change {
        let tensor = HostTensor::from_tensor(&Tensor::from_slice(sizes)).unwrap();
        Box::new(move |_, tensors| tensors.push(("anomaly.held_out_groups".to_owned(), tensor.clone())))
    };
    let changes: Vec<(Change, &str)> = vec![
        (groups(&[19]), "no groups of the 20 scores"),
        (groups(&[20, 0]), "no groups of the 20 scores"),
        (groups(&[-1, 21]), "no groups of the 20 scores"),
        (groups(&[i64::MAX, i64::MAX, 22]), "no groups of the 20 scores"),
        (groups(&[]), "expected 1 sides"),
        (set("confidence", serde_json::json!(1)), "confidence is 1"),
        (set("layers", serde_json::json!([])), "0 layers"),
        (set("layers", serde_json::json!(["layer2", "layer7"])), "layer7"),
        (set("layers", serde_json::json!(["layer2"])), "384 wide, its layers give 128"),
        (set("neighbours", serde_json::json!(0)), "neighbours is 0"),
        (set("neighbours", serde_json::json!(-1)), "not sound"),
        (set("blur_sigma", serde_json::json!(1e9)), "blur_sigma"),
        (set("false_alarm_rate", serde_json::json!(2)), "false_alarm_rate"),
        (set("more", serde_json::json!(2)), "not sound"),
        (memory(None), "anomaly.memory is missing"),
        (memory(Some(rows([4, 383], 1.0))), "383 wide"),
        (memory(Some(rows([4, 384], f64::NAN))), "NaN"),
        (memory(Some(HostTensor::from_tensor(&Tensor::from_slice(&[1i64, 2])).unwrap())), "expected 2 sides"),
        (
            Box::new(|_, tensors| tensors.push(("anomaly.more".to_owned(), tensors[0].1.clone()))),
            "anomaly.more is unknown",
        ),
    ];
    for (change, expected) in changes {
        let (mut header, mut tensors) = (header.clone(), sound.tensors.clone().into_iter().collect::<Vec<_>>());
        change(&mut header, &mut tensors);
        let mut metadata = sound.metadata.clone();
        metadata.insert("anomaly".to_owned(), header.to_string());
        write_safetensors(&path, &tensors, &metadata).unwrap();
        let error = open(&path);
        assert_eq!(error.kind(), ErrorKind::Format, "{expected}: {error}");
        assert!(error.message().contains(expected) && error.message().contains("good.safetensors"), "{error}");
    }
}

fn open(path: &Path) -> seed::Error {
    AnomalyDetector::open(path, SessionOptions::default()).err().unwrap()
}

#[test]
fn feature_maps_come_from_the_part_that_embeddings_see() {
    let options = SessionOptions { output: Output::Features, ..SessionOptions::default() };
    let network = Network::new(Architecture::ResNet10, Head::None, 5, Device::Cpu).unwrap();
    let session = Session::new(&network, &view(), options).unwrap();
    let pixels = part(3, true);
    let frame = FrameView::new(&pixels, WIDTH as u32, HEIGHT as u32, WIDTH, PixelFormat::Mono8).unwrap();
    let maps = session.feature_maps(&[frame, frame], &["layer4", "layer1"]).unwrap();
    assert_eq!(maps[1].size(), [2, 64, 16, 24]);
    // The features are the mean of the last map.
    let mean = maps[0].mean_dim([2i64, 3].as_slice(), false, tch::Kind::Float).select(0, 1);
    let features = Tensor::from_slice(&session.embed(&[frame]).unwrap());
    assert!((mean - features).abs().max().double_value(&[]) < 1e-4);
    assert!(session.feature_maps(&[], &["layer1"]).is_err());
}
