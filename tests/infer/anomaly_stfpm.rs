//! The detector whose second network learns the maps of good parts: its formulas against torch, what it finds, its file.

use seed::ErrorKind;
use seed::config::{Config, DetectorKind, Precision};
use seed::data::{Dataset, Frame, FrameView, Input, PixelFormat};
use seed::infer::anomaly::Anomaly;
use seed::infer::anomaly::stfpm::{heat, loss};
use seed::infer::{AnomalyDetector, SessionOptions};
use seed::model::weights::{HostTensor, read, write_safetensors};
use seed::model::{Architecture, Head, Mode, Network};
use seed::train::CancelToken;
use serde_json::Value;
use tch::{Device, Kind, Tensor};

/// What is done to a file's tensors and its header.
type Change<'a> = dyn Fn(&mut Vec<(String, HostTensor)>, &mut Value) + 'a;

#[test]
fn loss_gradient_and_heat_map_are_the_papers() {
    let path = crate::golden::golden("stfpm.json");
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let numbers = |value: &Value| -> Vec<f64> {
        value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
    };
    let maps = |key: &str| -> Vec<Tensor> {
        let shapes = golden["shapes"].as_array().unwrap().iter();
        let each = |(shape, values): (&Value, &Value)| {
            let shape: Vec<i64> = [2.0].into_iter().chain(numbers(shape)).map(|side| side as i64).collect();
            Tensor::from_slice(&numbers(values)).view(shape.as_slice())
        };
        shapes.zip(golden[key].as_array().unwrap()).map(each).collect()
    };
    let apart = |a: &Tensor, b: &Tensor| (a - b).abs().max().double_value(&[]);
    let teacher = maps("teacher");
    let student: Vec<Tensor> = maps("student").into_iter().map(|map| map.set_requires_grad(true)).collect();
    let found = loss(&teacher, &student).unwrap();
    assert!((found.double_value(&[]) - golden["loss"].as_f64().unwrap()).abs() < 1e-12);
    found.backward();
    for (own, wanted) in student.iter().zip(maps("gradient")) {
        assert!(apart(&own.grad(), &wanted) < 1e-12);
    }
    let map = heat(&teacher, &student, (8, 10)).unwrap().detach();
    let wanted = Tensor::from_slice(&numbers(&golden["heat"])).view([2, 8, 10]);
    assert!(apart(&map, &wanted) < 1e-12);
    assert_eq!(loss(&[], &[]).unwrap_err().kind(), ErrorKind::InvalidArgument);
}

#[test]
fn the_maps_that_are_learned_are_those_that_judge() {
    // Those of autograd against the folded program of a session, whose maps are torchvision's (tests/model/models.rs).
    // One grey, so that it does not matter which part of the frame is seen; borders make the maps differ from place to place.
    let pixels = vec![90u8; 64 * 64];
    let frame = FrameView::new(&pixels, 64, 64, 64, PixelFormat::Mono8).unwrap();
    let view = Input { width: 64, height: 64, ..Input::default() };
    for architecture in [
        Architecture::ResNet10,
        Architecture::MobileNetV2,
        Architecture::MobileNetV3Small,
        Architecture::EfficientNetB0,
    ] {
        let network = Network::new(architecture, Head::None, 7, Device::Cpu).unwrap();
        let session = seed::infer::Session::new(&network, &view, SessionOptions::default()).unwrap();
        let names: Vec<String> = session.stages().iter().map(|stage| stage.name.clone()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert!(names.len() >= 4, "{}", architecture.name());
        let wanted = session.feature_maps(&[frame], &names).unwrap();
        let grey = Tensor::from_slice(&pixels).to_kind(Kind::Float).view([1, 1, 64, 64]) / 255.0;
        let three = |values: [f64; 3]| Tensor::from_slice(&values).to_kind(Kind::Float).view([1, 3, 1, 1]);
        let images = (grey - three(view.mean)) / three(view.std);
        let found = network.maps(&images, &names, Mode::Eval).unwrap();
        for (found, wanted) in found.iter().zip(&wanted) {
            let scale = wanted.abs().max().double_value(&[]).max(1e-6);
            let apart = (found - wanted).abs().max().double_value(&[]);
            assert!(apart < 2e-2 * scale, "{}: {apart} of {scale}", architecture.name());
        }
        let error = network.maps(&images, &["nowhere"], Mode::Eval).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    }
}

const WIDTH: usize = 96;
const HEIGHT: usize = 64;

/// A good part: stripes whose place and light differ from part to part.
fn part(number: usize) -> Vec<u8> {
    let light = 100 + (number * 7 % 40) as i32;
    let draw = |at: usize| {
        let (x, y) = (at % WIDTH, at / WIDTH);
        let noise = (((x * 31 + y * 17 + number * 101) * 2_654_435_761) >> 7) % 11;
        (light + if ((x + number) / 6).is_multiple_of(2) { 40 } else { 0 } + noise as i32) as u8
    };
    (0..WIDTH * HEIGHT).map(draw).collect()
}

/// The same with a bright square at (64 to 80, 8 to 24).
fn spoilt(number: usize) -> Vec<u8> {
    let mut pixels = part(number);
    for y in 8..24 {
        for x in 64..80 {
            pixels[y * WIDTH + x] = if (x + y) % 2 == 0 { 255 } else { 0 };
        }
    }
    pixels
}

fn dataset(numbers: std::ops::Range<usize>) -> Dataset {
    let dataset = Dataset::in_memory();
    for number in numbers {
        let frame = Frame::new(WIDTH as u32, HEIGHT as u32, 1, part(number)).unwrap();
        dataset.push_frame(&number.to_string(), frame).unwrap();
    }
    dataset
}

fn config() -> Config {
    let mut config = Config { device: "cpu".into(), precision: Precision::Fp32, ..Config::default() };
    config.anomaly.kind = DetectorKind::Stfpm;
    config.anomaly.layers = "layer1, layer2".to_owned();
    config.anomaly.held_out = 0.4;
    config.anomaly.false_alarm_rate = 0.1;
    config.anomaly.epochs = 8;
    config.anomaly.batch_size = 8;
    config
}

fn fit(config: &Config, good: &Dataset, told: &mut dyn FnMut(usize, usize) -> bool) -> seed::Result<AnomalyDetector> {
    let network = Network::new(Architecture::ResNet10, Head::None, 1, Device::Cpu).unwrap();
    let view = Input { width: 96, height: 64, ..Input::default() };
    AnomalyDetector::fit(&network, &view, config, SessionOptions::default(), good, told)
}

fn judge(detector: &AnomalyDetector, pixels: &[u8]) -> Anomaly {
    let frame = FrameView::new(pixels, WIDTH as u32, HEIGHT as u32, WIDTH, PixelFormat::Mono8).unwrap();
    detector.judge(&[frame], true).unwrap().remove(0)
}

#[test]
fn a_defect_is_an_alarm_stands_where_it_is_and_the_file_says_the_same() {
    let (mut done, mut all) = (0, 0);
    let mut told = |now, total| {
        assert!(now >= done && now <= total);
        (done, all) = (now, total);
        true
    };
    let detector = fit(&config(), &dataset(0..30), &mut told).unwrap();
    assert_eq!((done, all), (18 * 8 + 12, 18 * 8 + 12), "images times passes, and those that were held out");
    assert_eq!((detector.settings().kind.word(), detector.settings().images), ("stfpm", 18));
    assert_eq!((detector.held_out().scores().len(), detector.memory_size()), (12, (0, 0)));
    let alarms = (100..120).filter(|&number| judge(&detector, &part(number)).alarm).count();
    assert!(alarms <= 6, "{alarms} of 20 unseen good parts are alarms, 2 are to be expected");
    for number in 100..104 {
        let found = judge(&detector, &spoilt(number));
        assert!(found.alarm, "{} of {:?}", found.score, detector.threshold());
        assert_eq!(found.map.len(), WIDTH * HEIGHT);
        let hottest = (0..found.map.len()).max_by(|&a, &b| found.map[a].total_cmp(&found.map[b])).unwrap();
        let (x, y) = (hottest % WIDTH, hottest / WIDTH);
        assert!(x.abs_diff(72) <= 12 && y.abs_diff(16) <= 12, "the heat map is hottest at ({x}, {y})");
    }
    // Learned again, it is the same.
    let again = fit(&config(), &dataset(0..30), &mut |_, _| true).unwrap();
    assert_eq!(again.held_out(), detector.held_out());

    let error = detector.add(&dataset(40..44), &config(), &CancelToken::new(), &mut |_, _| true).unwrap_err();
    assert!(error.kind() == ErrorKind::Unsupported && error.message().contains("fit it again"), "{error}");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("good.safetensors");
    detector.save(&path).unwrap();
    let opened = AnomalyDetector::open(&path, SessionOptions::default()).unwrap();
    assert_eq!((opened.settings(), opened.threshold()), (detector.settings(), detector.threshold()));
    assert_eq!(judge(&opened, &spoilt(7)), judge(&detector, &spoilt(7)));

    // Files that say one thing and hold another.
    let sound = read(&path).unwrap();
    let spoil = |change: &Change<'_>| {
        let mut tensors: Vec<(String, HostTensor)> = sound.tensors.clone().into_iter().collect();
        let mut header: Value = serde_json::from_str(&sound.metadata["anomaly"]).unwrap();
        change(&mut tensors, &mut header);
        let mut metadata = sound.metadata.clone();
        metadata.insert("anomaly".to_owned(), header.to_string());
        let spoilt = folder.path().join("spoilt.safetensors");
        write_safetensors(&spoilt, &tensors, &metadata).unwrap();
        AnomalyDetector::open(&spoilt, SessionOptions::default()).err().map(|error| error.kind())
    };
    assert_eq!(spoil(&|_, _| {}), None);
    assert_eq!(spoil(&|_, header| header["kind"] = "patchcore".into()), Some(ErrorKind::Format));
    assert_eq!(spoil(&|_, header| header["kind"] = "other".into()), Some(ErrorKind::Format));
    let of_student = |name: &str| name.starts_with("anomaly.student.");
    assert_eq!(spoil(&|tensors, _| tensors.retain(|(name, _)| !of_student(name))), Some(ErrorKind::Format));
    let drop_one = |tensors: &mut Vec<(String, HostTensor)>, _: &mut Value| {
        tensors.retain(|(name, _)| name != "anomaly.student.layer1.0.conv1.weight");
    };
    assert_eq!(spoil(&drop_one), Some(ErrorKind::Mismatch));
}

#[test]
fn learning_can_be_ended_and_needs_good_parts_and_maps() {
    let good = dataset(0..8);
    let mut calls = 0;
    let mut stop = |_, _| {
        calls += 1;
        calls < 3
    };
    assert_eq!(fit(&config(), &good, &mut stop).err().map(|error| error.kind()), Some(ErrorKind::Cancelled));
    let broken = Dataset::from_files(vec!["/no/such/image.png".into()]).unwrap();
    assert_eq!(fit(&config(), &broken, &mut |_, _| true).err().map(|e| e.kind()), Some(ErrorKind::Io));
    let mut nowhere = config();
    nowhere.anomaly.layers = "layer9".to_owned();
    assert_eq!(fit(&nowhere, &good, &mut |_, _| true).err().map(|e| e.kind()), Some(ErrorKind::InvalidArgument));
}
