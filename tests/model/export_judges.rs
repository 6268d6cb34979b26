//! Classifiers and anomaly detectors as ONNX files: what ONNX Runtime makes of the bytes of a frame is what libseed answers to the frame
//! (tests/python/check_export.py has the comparison). ONNX Runtime must be there in CI, as for tests/model/export_onnx.rs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::export_onnx::checker;
use crate::pictures::{levels, normalised, trained};
use seed::ErrorKind;
use seed::config::{Config, Precision};
use seed::data::{Dataset, Frame, FrameView, Input, PixelFormat, Resize};
use seed::export::{ExportInput, export_classifier, export_detector};
use seed::infer::{AnomalyDetector, Classifier, ClassifierHeader, Output, Session, SessionOptions};
use seed::model::student_file::read_about;
use seed::model::weights::{HostTensor, read, read_metadata, write_safetensors};
use seed::model::{Architecture, Head, Mode, Network};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

/// Sides of the frames, and images of a batch.
const WIDTH: usize = 131;
const HEIGHT: usize = 77;
const BATCHES: [usize; 2] = [1, 5];

fn options() -> SessionOptions {
    SessionOptions { precision: Some(Kind::Float), ..SessionOptions::default() }
}

fn view(resize: Resize) -> Input {
    Input { width: 80, height: 64, resize, mean: [0.4, 0.5, 0.45], ..Input::default() }
}

/// The pixels of `count` pictures, those of the first `skipped` left out.
fn pictures(skipped: usize, count: usize) -> Vec<Vec<u8>> {
    let all = levels((skipped + count) as i64, HEIGHT as i64, WIDTH as i64).flatten(0, -1);
    let all = Vec::<u8>::try_from(all).unwrap();
    all.chunks_exact(WIDTH * HEIGHT * 3).skip(skipped).map(<[u8]>::to_vec).collect()
}

fn frames(pictures: &[Vec<u8>]) -> Vec<FrameView<'_>> {
    pictures
        .iter()
        .map(|one| FrameView::new(one, WIDTH as u32, HEIGHT as u32, 3 * WIDTH, PixelFormat::Rgb8).unwrap())
        .collect()
}

/// What is written beside NAME.onnx: tensors that ONNX Runtime is given and must give, and texts of the metadata.
struct Expected {
    tensors: Vec<(String, HostTensor)>,
    texts: Value,
}

impl Expected {
    fn new(texts: Value) -> Self {
        let size = Tensor::from_slice(&[HEIGHT as i64, WIDTH as i64]);
        Self { tensors: vec![("frame_size".to_owned(), HostTensor::from_tensor(&size).unwrap())], texts }
    }

    fn add(&mut self, name: &str, batch: usize, tensor: &Tensor) {
        self.tensors.push((format!("{name}_{batch}"), HostTensor::from_tensor(tensor).unwrap()));
    }

    /// The resized bytes of the first frames as `input` asks for them.
    fn add_images(
        &mut self,
        network: &Network,
        view: &Input,
        frames: &[FrameView<'_>],
        batch: usize,
        input: ExportInput,
    ) {
        let session = Session::new(network, view, SessionOptions { output: Output::Features, ..options() }).unwrap();
        let mut bytes = vec![0u8; batch * session.input().view_len()];
        session.preprocess(batch, |i| Ok(frames[i]), &mut bytes).unwrap();
        let sides = [batch as i64, i64::from(view.height), i64::from(view.width), network.channels()];
        let bytes = Tensor::from_slice(&bytes).view(sides);
        let given = match input {
            ExportInput::Bytes => bytes,
            ExportInput::Unit => bytes.permute([0, 3, 1, 2]).to_kind(Kind::Float) / 255.0,
            ExportInput::Normalised => normalised(&bytes, &view.mean, &view.std),
        };
        self.add("images", batch, &given);
    }

    fn write(self, onnx: &Path) {
        write_safetensors(&onnx.with_extension("safetensors"), &self.tensors, &BTreeMap::new()).unwrap();
        fs::write(onnx.with_extension("json"), self.texts.to_string()).unwrap();
    }
}

/// The JSON of a header as a reader has it: float32 in as many digits as it needs.
fn parsed(header: &impl serde::Serialize) -> Value {
    serde_json::from_str(&serde_json::to_string(header).unwrap()).unwrap()
}

/// Has ONNX Runtime run every file of the folder.
fn check(folder: &Path) {
    match checker("judges") {
        Some(check) => check(folder),
        None => assert!(std::env::var_os("CI").is_none(), "onnx and onnxruntime must be there in CI"),
    }
}

/// A network of three classes whose last layer tells pictures apart, at that temperature. For networks whose features differ from
/// picture to picture without having learned, since rounding grows with the logits.
fn opinionated(architecture: Architecture, temperature: f64) -> Network {
    let network = trained(architecture, Head::Classifier { classes: 3 });
    let _no_grad = tch::no_grad_guard();
    let parameters = network.parameters();
    let (_, weight) = parameters.iter().rev().find(|(name, _)| name.ends_with(".weight")).unwrap();
    let (_, bias) = parameters.iter().rev().find(|(name, _)| name.ends_with(".bias")).unwrap();
    assert_eq!((weight.size()[0], bias.size()), (3, vec![3]));
    let images = normalised(&levels(5, 64, 80), &[0.4, 0.5, 0.45], &[0.229, 0.224, 0.225]);
    let features = network.features(&images, Mode::Eval).unwrap();
    let spread = (features.matmul(&weight.tr())).std_dim([0i64].as_slice(), true, false).mean(None).double_value(&[]);
    // Logits over T that differ by about 1 from picture to picture, around 0.
    let _same = weight.shallow_clone().g_mul_scalar_(temperature / spread);
    bias.shallow_clone().copy_(&-features.matmul(&weight.tr()).mean_dim([0i64].as_slice(), false, Kind::Float));
    network
}

fn classifier(network: &Network, resize: Resize, temperature: f64, threshold: f32) -> Classifier {
    let names = ["gut", "größer \"x\"", "Kratzer, tief"].map(str::to_owned).to_vec();
    let header = ClassifierHeader {
        temperature,
        threshold,
        training: json!({ "mode": "linear", "student": { "teacher": "a teacher" } }),
        ..ClassifierHeader::uncalibrated(names)
    };
    Classifier::new(network.deep_copy().unwrap(), &view(resize), header, options()).unwrap()
}

fn add_verdicts(expected: &mut Expected, classifier: &Classifier, frames: &[FrameView<'_>], batch: usize) -> usize {
    let verdicts = classifier.classify(&frames[..batch]).unwrap();
    let (images, classes) = (verdicts.len(), classifier.classes());
    let each = |number: &dyn Fn(usize) -> f32| Tensor::from_slice(&(0..images).map(number).collect::<Vec<f32>>());
    let probabilities = Tensor::from_slice(verdicts.probabilities()).view([images as i64, classes as i64]);
    expected.add("probabilities", batch, &probabilities);
    expected.add("class", batch, &each(&|i| verdicts.class(i) as f32).to_kind(Kind::Int64));
    expected.add("confidence", batch, &each(&|i| verdicts.probability(i)));
    expected.add("unsure", batch, &each(&|i| f32::from(u8::from(verdicts.unsure(i)))).to_kind(Kind::Uint8));
    (0..images).filter(|&i| verdicts.unsure(i)).count()
}

#[test]
fn onnx_runtime_answers_as_the_classifier_does() {
    let folder = tempfile::tempdir().unwrap();
    let pictures = pictures(0, BATCHES[1]);
    let frames = frames(&pictures);
    let cases = [
        (Architecture::ResNet10, Resize::Whole, ExportInput::Bytes, 0.37),
        (Architecture::ResNet18, Resize::Letterbox, ExportInput::Unit, 0.05),
        (Architecture::ResNet10, Resize::Centre, ExportInput::Normalised, 5.0),
    ];
    for (architecture, resize, input, temperature) in cases {
        let network = opinionated(architecture, temperature);
        // A threshold in the widest gap between the confidences, where no rounding crosses it.
        let all = classifier(&network, resize, temperature, 0.0).classify(&frames).unwrap();
        let mut confidences: Vec<f32> = (0..all.len()).map(|i| all.probability(i)).collect();
        confidences.sort_by(f32::total_cmp);
        let gap = confidences.windows(2).max_by(|a, b| (a[1] - a[0]).total_cmp(&(b[1] - b[0]))).unwrap();
        let classifier = classifier(&network, resize, temperature, 0.5 * (gap[0] + gap[1]));
        let path = folder.path().join(format!("{architecture}.{}.onnx", resize.word()));
        export_classifier(&path, &classifier, input).unwrap();
        let about = parsed(classifier.header());
        let mut expected = Expected::new(json!({ "classifier": about, "resize": resize.word() }));
        for batch in BATCHES {
            expected.add_images(&network, classifier.input(), &frames, batch, input);
            let unsure = add_verdicts(&mut expected, &classifier, &frames, batch);
            assert!(batch == 1 || (1..batch).contains(&unsure), "{unsure} of {batch} are unsure");
        }
        expected.write(&path);
    }
    check(folder.path());
}

/// A file of a grey student takes one byte a pixel.
#[test]
fn onnx_runtime_judges_grey_frames() {
    let folder = tempfile::tempdir().unwrap();
    let grey = |head| Network::with_channels(Architecture::ResNet10, head, 1, 9, Device::Cpu).unwrap();
    let pictures = judged();
    let (network, frames) = (grey(Head::Classifier { classes: 3 }), frames(&pictures));
    let answering = classifier(&network, Resize::Whole, 1.0, 0.9);
    let path = folder.path().join("classifier.onnx");
    export_classifier(&path, &answering, ExportInput::Bytes).unwrap();
    assert_eq!(read_about(&path).unwrap().input.channels, 1);
    let mut expected = Expected::new(json!({ "classifier": parsed(answering.header()) }));
    for batch in BATCHES {
        expected.add_images(&network, answering.input(), &frames, batch, ExportInput::Bytes);
        add_verdicts(&mut expected, &answering, &frames, batch);
    }
    expected.write(&path);
    let network = grey(Head::None);
    let detector = fitted(&network, Resize::Letterbox, &config("patchcore"));
    let path = folder.path().join("detector.onnx");
    export_with_expected(&path, &detector, &network, &view(Resize::Letterbox), ExportInput::Bytes);
    check(folder.path());
}

#[test]
fn a_classifiers_file_says_everything_and_is_whole_or_absent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("größer.onnx");
    let network = trained(Architecture::MobileNetV3Small, Head::Classifier { classes: 3 });
    let sound = classifier(&network, Resize::Letterbox, 0.7, 0.8);
    export_classifier(&path, &sound, ExportInput::Bytes).unwrap();
    let about = read_about(&path).unwrap();
    assert_eq!((about.head, about.input.resize, about.input.width), (network.head(), Resize::Letterbox, 80));
    assert_eq!(about.provenance, json!({ "teacher": "a teacher" }), "the student's own");
    let texts = read_metadata(&path).unwrap();
    assert_eq!(texts["outputs"], "probabilities,class,confidence,unsure");
    let header: ClassifierHeader = serde_json::from_str(&texts["classifier"]).unwrap();
    assert_eq!(&header, sound.header());
    let first = fs::read(&path).unwrap();
    export_classifier(&path, &sound, ExportInput::Bytes).unwrap();
    assert!(fs::read(&path).unwrap() == first, "two exports differ");

    // What float32 cannot hold is refused, and the file stays.
    for temperature in [1e-40, 1e40] {
        let refused = classifier(&network, Resize::Letterbox, temperature, 0.8);
        let error = export_classifier(&path, &refused, ExportInput::Bytes).unwrap_err();
        assert!(error.kind() == ErrorKind::Unsupported && error.message().contains("temperature"), "{error}");
    }
    let error = export_classifier(&folder.path().join("no/such"), &sound, ExportInput::Bytes).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(fs::read(&path).unwrap() == first);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "something is left behind");
    let error = Classifier::open(&path, options()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Format, "{error}");
}

fn config(kind: &str) -> Config {
    let mut config = Config { device: "cpu".into(), precision: Precision::Fp32, ..Config::default() };
    config.set_string("anomaly.kind", kind).unwrap();
    (config.anomaly.memory_share, config.anomaly.memory_min) = (0.2, 0);
    (config.anomaly.held_out, config.anomaly.false_alarm_rate) = (0.4, 0.2);
    (config.anomaly.epochs, config.anomaly.batch_size) = (2, 4);
    config
}

fn fitted(network: &Network, resize: Resize, config: &Config) -> AnomalyDetector {
    let good = Dataset::in_memory();
    for (number, pixels) in pictures(0, 10).into_iter().enumerate() {
        let frame = Frame::new(WIDTH as u32, HEIGHT as u32, 3, pixels).unwrap();
        good.push_frame(&number.to_string(), frame).unwrap();
    }
    let detector = AnomalyDetector::fit(network, &view(resize), config, options(), &good, &mut |_, _| true).unwrap();
    detector.with_provenance(json!({ "teacher": "a teacher" }))
}

/// Frames that the detectors have not learned, the last with a bright bar.
fn judged() -> Vec<Vec<u8>> {
    let mut pictures = pictures(10, BATCHES[1]);
    let last = pictures.last_mut().unwrap();
    for row in 30..40 {
        last[(row * WIDTH + 40) * 3..(row * WIDTH + 80) * 3].fill(255);
    }
    pictures
}

/// Exports the detector and writes what it gives for the frames.
fn export_with_expected(path: &Path, detector: &AnomalyDetector, network: &Network, view: &Input, input: ExportInput) {
    let pictures = judged();
    let frames = frames(&pictures);
    export_detector(path, detector, input).unwrap();
    let threshold = detector.threshold();
    let finite = |value: f64| if value.is_finite() { json!(value) } else { json!(null) };
    let mut expected = Expected::new(json!({
        "anomaly": parsed(&detector.settings()),
        "resize": view.resize.word(),
        "rate": finite(threshold.rate),
    }));
    for batch in BATCHES {
        expected.add_images(network, view, &frames, batch, input);
        let found = detector.judge(&frames[..batch], true).unwrap();
        let scores: Vec<f32> = found.iter().map(|one| one.score).collect();
        let alarms: Vec<u8> = found.iter().map(|one| u8::from(one.alarm)).collect();
        let maps = found.iter().map(|one| one.map.as_slice()).collect::<Vec<_>>().concat();
        expected.add("score", batch, &Tensor::from_slice(&scores));
        expected.add("alarm", batch, &Tensor::from_slice(&alarms));
        expected.add("map", batch, &Tensor::from_slice(&maps).view([batch as i64, HEIGHT as i64, WIDTH as i64]));
    }
    expected.write(path);
}

#[test]
fn onnx_runtime_judges_as_patchcore_does() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        (Architecture::ResNet10, Resize::Whole, ExportInput::Bytes, 9, 4.0),
        (Architecture::ResNet10, Resize::Letterbox, ExportInput::Unit, 1, 0.0),
        (Architecture::MobileNetV3Small, Resize::Centre, ExportInput::Normalised, 3, 30.0),
    ];
    for (architecture, resize, input, neighbours, sigma) in cases {
        let network = trained(architecture, Head::None);
        let mut config = config("patchcore");
        (config.anomaly.neighbours, config.anomaly.blur_sigma) = (neighbours, sigma);
        let detector = fitted(&network, resize, &config);
        let path = folder.path().join(format!("{architecture}.{}.onnx", resize.word()));
        export_with_expected(&path, &detector, &network, &view(resize), input);
    }
    check(folder.path());
}

/// A memory so large that its distances are taken in blocks, with rows that are nearly the same.
#[test]
fn onnx_runtime_judges_by_a_large_memory() {
    let folder = tempfile::tempdir().unwrap();
    let network = trained(Architecture::ResNet10, Head::None);
    let (file, path) = (folder.path().join("detector"), folder.path().join("large.onnx"));
    fitted(&network, Resize::Whole, &config("patchcore")).save(&file).unwrap();
    let state = read(&file).unwrap();
    let mut settings: Value = serde_json::from_str(&state.metadata["anomaly"]).unwrap();
    settings["layers"] = json!(["layer1"]);
    let mut metadata = state.metadata.clone();
    metadata.insert("anomaly".to_owned(), settings.to_string());
    // The patches of layer1 are 16·20 of 64 numbers; 8 Mi distances are 26,214 rows.
    let view = view(Resize::Whole);
    let session = Session::new(&network, &view, SessionOptions { output: Output::Features, ..options() }).unwrap();
    let learned = pictures(0, 10);
    let map = session.feature_maps(&frames(&learned), &["layer1"]).unwrap().remove(0); // (10, 64, 16, 20)
    let rows = map.permute([0, 2, 3, 1]).reshape([-1, 64]).contiguous();
    let shades = (0..9).map(|i| &rows * (1.0 + 1e-3 * f64::from(i / 2)) + 1e-4 * f64::from(i % 2)).collect::<Vec<_>>();
    let memory = Tensor::cat(&shades, 0);
    assert!(memory.size()[0] > 26_214);
    let mut tensors = state.tensors;
    tensors.insert("anomaly.memory".to_owned(), HostTensor::from_tensor(&memory).unwrap());
    write_safetensors(&file, &tensors.into_iter().collect::<Vec<_>>(), &metadata).unwrap();
    let detector = AnomalyDetector::open(&file, options()).unwrap();
    export_with_expected(&path, &detector, &network, &view, ExportInput::Bytes);
    fs::remove_file(&file).unwrap();
    check(folder.path());
}

#[test]
fn onnx_runtime_judges_as_stfpm_does() {
    let folder = tempfile::tempdir().unwrap();
    for (architecture, resize) in
        [(Architecture::ResNet10, Resize::Whole), (Architecture::MobileNetV3Small, Resize::Letterbox)]
    {
        let network = trained(architecture, Head::None);
        let detector = fitted(&network, resize, &config("stfpm"));
        let path = folder.path().join(format!("{architecture}.{}.onnx", resize.word()));
        export_with_expected(&path, &detector, &network, &view(resize), ExportInput::Bytes);
    }
    check(folder.path());
}

#[test]
fn a_detectors_file_says_everything_and_is_whole_or_absent() {
    let folder = tempfile::tempdir().unwrap();
    let (path, saved) = (folder.path().join("detector.onnx"), folder.path().join("detector"));
    let network = trained(Architecture::ResNet10, Head::Projection { hidden: 8, dim: 8 });
    let detector = fitted(&network, Resize::Letterbox, &config("patchcore"));
    export_detector(&path, &detector, ExportInput::Bytes).unwrap();
    let about = read_about(&path).unwrap();
    assert_eq!((about.head, about.input.resize, about.input.height), (Head::None, Resize::Letterbox, 64));
    assert_eq!(about.provenance, json!({ "teacher": "a teacher" }));
    let texts = read_metadata(&path).unwrap();
    assert_eq!((&*texts["outputs"], &*texts["input"]), ("score,alarm,map", "bytes"));
    let threshold = detector.threshold();
    assert_eq!(texts["threshold"].parse::<f32>().unwrap(), threshold.score, "every digit of it");
    assert_eq!(texts["rate"].parse::<f64>().unwrap(), threshold.rate);
    assert!(texts["map"].contains("cut the padding off"), "{}", texts["map"]);
    let first = fs::read(&path).unwrap();
    export_detector(&path, &detector, ExportInput::Bytes).unwrap();
    assert!(fs::read(&path).unwrap() == first, "two exports differ");
    // What is not judged by is not in the file: layer4 has most of the weights.
    let whole: usize = network.to_state().unwrap().iter().map(|(_, tensor)| tensor.bytes.len()).sum();
    assert!(first.len() < whole, "{} bytes, the network has {whole}", first.len());
    detector.save(&saved).unwrap();
    let again = AnomalyDetector::open(&saved, options()).unwrap();
    export_detector(&saved, &again, ExportInput::Bytes).unwrap();
    assert!(fs::read(&saved).unwrap() == first, "the detector of a file is another");

    let error = export_detector(&folder.path().join("no/such"), &detector, ExportInput::Bytes).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(fs::read(&path).unwrap() == first);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "something is left behind");
    let error = AnomalyDetector::open(&path, options()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Format, "{error}");
}
