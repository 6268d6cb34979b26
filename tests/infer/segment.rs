//! Segmentation: the measure and the fit against numpy (tests/golden/make_segmentation.py), masks in the frames' own pixels for every
//! geometry, files, hostile files, refusals, and magnetic tile with its masks where it lies beside the repository.

use std::path::Path;
use std::sync::Arc;

use seed::config::{Config, Precision};
use seed::data::{Dataset, Frame, FrameView, Input, PixelFormat, Range, Resize};
use seed::eval::MaskOverlap;
use seed::infer::{AnomalyDetector, Output, Segmenter, Session, SessionOptions};
use seed::model::student_file::StudentHeader;
use seed::model::weights::{read, write_safetensors};
use seed::model::{Architecture, Head, Network};
use seed::train::CancelToken;
use seed::train::finetune::linear::Problem;
use seed::train::segment::cells::Masked;
use seed::train::segment::protocol::{SegmentScores, evaluate};
use seed::train::segment::{Frames, fit};
use seed::{ErrorKind, Result};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

fn golden(part: &str) -> Value {
    let text = std::fs::read_to_string(crate::golden::golden("segmentation.json")).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()[part].clone()
}

fn numbers<T: serde::de::DeserializeOwned>(of: &Value, name: &str) -> T {
    serde_json::from_value(of[name].clone()).unwrap()
}

#[test]
fn overlap_is_numpys() {
    let golden = golden("overlap");
    let classes: usize = numbers(&golden, "classes");
    let (predicted, truth): (Vec<Vec<u8>>, Vec<Vec<u8>>) = (numbers(&golden, "predicted"), numbers(&golden, "truth"));
    let mut overlap = MaskOverlap::new(classes).unwrap();
    for (predicted, truth) in predicted.iter().zip(&truth) {
        overlap.add(predicted, truth).unwrap();
    }
    let expected: Vec<Option<f64>> = numbers(&golden, "ious");
    let found: Vec<Option<f64>> = (0..classes).map(|class| overlap.iou(class)).collect();
    assert_eq!(found, expected);
    assert!((overlap.mean_iou() - golden["mean"].as_f64().unwrap()).abs() < 1e-12);
    assert!((overlap.accuracy() - golden["accuracy"].as_f64().unwrap()).abs() < 1e-12);
}

#[test]
fn the_fit_on_shares_is_numpys() {
    let golden = golden("fit");
    let floats = |name: &str| -> Vec<f64> { numbers(&golden, name) };
    let (width, classes): (i64, i64) = (numbers(&golden, "width"), numbers(&golden, "classes"));
    let matrix = |name: &str, columns: i64| Tensor::from_slice(&floats(name)).view([-1, columns]);
    let (x, q) = (matrix("features", width), matrix("shares", classes));
    let problem = Problem::of_shares(&x, &q, &floats("weights"), &floats("class_weights")).unwrap();
    let (layer, _) = problem.solve(numbers(&golden, "penalty"), None, &mut || false).unwrap();
    let apart = |a: &Tensor, b: &Tensor| (a - b).abs().max().double_value(&[]);
    assert!(apart(&layer.weight, &matrix("weight", width)) < 1e-4);
    let bias = &layer.bias - layer.bias.mean(Kind::Double);
    assert!(apart(&bias, &Tensor::from_slice(&floats("bias"))) < 1e-4);
    assert!((problem.loss_of(&layer).unwrap() - golden["loss"].as_f64().unwrap()).abs() < 1e-6);
}

pub const SIDES: (usize, usize) = (96, 64);

/// A dark frame with a bright disc and a striped bar somewhere, and its mask: 1 the disc, 2 the bar.
pub fn scene(number: usize) -> (Frame, Vec<u8>) {
    let (width, height) = SIDES;
    let centre = (18 + number * 13 % 60, 14 + number * 7 % 20);
    let bar = (8 + number * 17 % 60, 44 + number * 5 % 10);
    let mut pixels = Vec::new();
    let mut mask = Vec::new();
    for at in 0..width * height {
        let (x, y) = (at % width, at / width);
        let away = (x.abs_diff(centre.0).pow(2) + y.abs_diff(centre.1).pow(2)) as f64;
        let inside = x >= bar.0 && x < bar.0 + 26 && y >= bar.1 && y < bar.1 + 8;
        let noise = ((x * 31 + y * 57 + number * 11) % 13) as u8;
        let (level, class) = match (away < 81.0, inside) {
            (true, _) => (220, 1),
            (_, true) => (if x / 2 % 2 == 0 { 160 } else { 30 }, 2),
            _ => (70, 0),
        };
        pixels.push(level + noise);
        mask.push(class);
    }
    (Frame::new(width as u32, height as u32, 1, pixels).unwrap(), mask)
}

struct Scenes {
    dataset: Arc<Dataset>,
    masks: Vec<Vec<u8>>,
}

impl Scenes {
    fn new(count: usize) -> Self {
        let dataset = Dataset::in_memory();
        let mut masks = Vec::new();
        for number in 0..count {
            let (frame, mask) = scene(number);
            dataset.push_frame(&format!("{number}"), frame).unwrap();
            masks.push(mask);
        }
        Self { dataset: Arc::new(dataset), masks }
    }

    /// The mask of each frame but those of `without`.
    fn views(&self, without: &[usize]) -> Vec<Option<FrameView<'_>>> {
        let view = |mask| FrameView::new(mask, SIDES.0 as u32, SIDES.1 as u32, SIDES.0, PixelFormat::Mono8).unwrap();
        (0..self.masks.len()).map(|i| (!without.contains(&i)).then(|| view(&self.masks[i]))).collect()
    }
}

pub fn names() -> Vec<String> {
    ["background", "disc", "bar"].map(str::to_owned).to_vec()
}

pub fn student(resize: Resize) -> (Network, StudentHeader) {
    let network =
        Network::new(Architecture::ResNet10, Head::Projection { hidden: 16, dim: 8 }, 3, Device::Cpu).unwrap();
    let input = Input { width: 96, height: 64, resize, ..Input::default() };
    let header = StudentHeader { provenance: json!({ "teacher": "none" }), ..StudentHeader::new(&network, &input) };
    (network, header)
}

pub fn config() -> Config {
    let mut config = Config { device: "cpu".into(), precision: Precision::Fp32, workers: 1, ..Config::default() };
    // Five fits, to choose one, would take most of a test's time.
    config.segment.penalty = 100.0;
    config
}

fn learn(config: &Config, resize: Resize, scenes: &Scenes, without: &[usize]) -> Result<Segmenter> {
    let (network, header) = student(resize);
    let (masks, names) = (scenes.views(without), names());
    let frames = Frames { dataset: &scenes.dataset, masks: &masks, names: &names };
    fit(&network, &header, config, &frames, &CancelToken::new(), &mut |_, _| true)
}

fn view_of(frame: &Frame) -> FrameView<'_> {
    let stride = frame.width() as usize;
    FrameView::new(frame.pixels(), frame.width(), frame.height(), stride, PixelFormat::Mono8).unwrap()
}

fn overlap_of(segmenter: &Segmenter, numbers: std::ops::Range<usize>) -> MaskOverlap {
    let mut overlap = MaskOverlap::new(3).unwrap();
    for number in numbers {
        let (frame, mask) = scene(number);
        let found = segmenter.segment(&view_of(&frame)).unwrap();
        assert!(found.confidence.iter().all(|&share| (0.33..=1.0).contains(&share)));
        overlap.add(&found.classes, &mask).unwrap();
    }
    overlap
}

#[test]
fn a_few_masks_are_enough_for_frames_of_the_same_kind() {
    let scenes = Scenes::new(8);
    for resize in [Resize::Whole, Resize::Letterbox] {
        let mut config = config();
        if resize == Resize::Letterbox {
            (config.segment.penalty, config.segment.cells_max) = (0.0, 2000);
        }
        let segmenter = learn(&config, resize, &scenes, &[]).unwrap();
        let chosen = segmenter.header().training["penalty"].as_f64().unwrap();
        assert!([1e4, 1e3, 1e2, 1e1, 1e0].contains(&chosen) && (resize == Resize::Letterbox || chosen == 100.0));
        let overlap = overlap_of(&segmenter, 40..46);
        // All background would be IoU .9, 0 and 0: a mean of .3.
        assert!(overlap.mean_iou() > 0.45, "{resize:?}: {} {:?}", overlap.mean_iou(), overlap.iou(2));
        let training = &segmenter.header().training;
        assert_eq!((training["masks"].as_u64(), training["without"].as_array().unwrap().len()), (Some(8), 0));
        assert_eq!(segmenter.header().layers, ["layer1", "layer2", "layer3"]);
    }
}

#[test]
fn masks_have_the_size_of_their_frames_whatever_the_network_sees() {
    let double = |from: &[u8]| -> Vec<u8> {
        (0..4 * from.len()).map(|at| from[at / (2 * SIDES.0) / 2 * SIDES.0 + at % (2 * SIDES.0) / 2]).collect()
    };
    let dataset = Dataset::in_memory();
    let masks: Vec<Vec<u8>> = (0..6).map(|number| double(&scene(number).1)).collect();
    for number in 0..6 {
        let frame = Frame::new(192, 128, 1, double(scene(number).0.pixels())).unwrap();
        dataset.push_frame(&format!("{number}"), frame).unwrap();
    }
    let views: Vec<_> = masks.iter().map(|mask| FrameView::new(mask, 192, 128, 192, PixelFormat::Mono8).ok()).collect();
    let (network, header) = student(Resize::Whole);
    let (names, dataset) = (names(), Arc::new(dataset));
    let frames = Frames { dataset: &dataset, masks: &views, names: &names };
    let segmenter = fit(&network, &header, &config(), &frames, &CancelToken::new(), &mut |_, _| true).unwrap();
    let (large, truth) = (double(scene(41).0.pixels()), double(&scene(41).1));
    let large = FrameView::new(&large, 192, 128, 192, PixelFormat::Mono8).unwrap();
    let mut overlap = MaskOverlap::new(3).unwrap();
    overlap.add(&segmenter.segment(&large).unwrap().classes, &truth).unwrap();
    assert!(overlap.mean_iou() > 0.4, "{} {:?}", overlap.mean_iou(), overlap.iou(1));
}

#[test]
fn predictions_are_the_layer_on_a_sessions_maps() {
    // By hand: maps of a session, 3 × 3 means, enlarged, W·x + b, enlarged to the view, which is the frame's size.
    let scenes = Scenes::new(6);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("segmenter.safetensors");
    let segmenter = learn(&config(), Resize::Whole, &scenes, &[]).unwrap();
    segmenter.save(&path).unwrap();
    let state = read(&path).unwrap();
    let tensor = |name: &str| state.tensors[name].to_tensor().unwrap();
    let (network, header) = student(Resize::Whole);
    let options = SessionOptions { output: Output::Features, ..SessionOptions::default() };
    let session = Session::new(&network, &header.input, options).unwrap();
    let (frame, _) = scene(50);
    let maps = session.feature_maps(&[view_of(&frame)], &["layer1", "layer2", "layer3"]).unwrap();
    let size = maps[0].size();
    let same: Vec<Tensor> = maps
        .iter()
        .map(|map| {
            map.contiguous().avg_pool2d([3, 3], [1, 1], [1, 1], false, true, None::<i64>).upsample_bilinear2d(
                [size[2], size[3]],
                false,
                None::<f64>,
                None::<f64>,
            )
        })
        .collect();
    let cells = Tensor::cat(&same, 1).permute([0, 2, 3, 1]);
    let logits = cells.linear(&tensor("segment.weight"), Some(&tensor("segment.bias"))).permute([0, 3, 1, 2]);
    let all =
        logits.contiguous().upsample_bilinear2d([64, 96], false, None::<f64>, None::<f64>).softmax(1, Kind::Float);
    let (confidence, classes) = all.max_dim(1, false);
    let found = segmenter.segment(&view_of(&frame)).unwrap();
    let classes: Vec<u8> = Vec::try_from(classes.to_kind(Kind::Uint8).view([-1])).unwrap();
    let confidence: Vec<f32> = Vec::try_from(confidence.view([-1])).unwrap();
    assert_eq!(found.classes, classes);
    assert!(found.confidence.iter().zip(&confidence).all(|(a, b)| (a - b).abs() < 1e-4));
}

#[test]
fn what_is_saved_is_opened_and_a_hostile_file_is_refused() {
    let scenes = Scenes::new(6);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("segmenter.safetensors");
    let mut config = config();
    config.parse("range=fixed range.low=0 range.high=250").unwrap();
    let segmenter = learn(&config, Resize::Letterbox, &scenes, &[]).unwrap();
    assert_eq!(segmenter.input().range, Range::fixed(0.0, 250.0), "the range of what was learned travels with it");
    segmenter.save(&path).unwrap();
    let options = SessionOptions::default();
    let opened = Segmenter::open(&path, options).unwrap();
    assert_eq!(opened.header(), segmenter.header());
    assert_eq!((opened.input().resize, opened.input().range), (Resize::Letterbox, Range::fixed(0.0, 250.0)));
    assert_eq!(opened.student().provenance["teacher"], "none");
    let (frame, _) = scene(9);
    assert_eq!(opened.segment(&view_of(&frame)).unwrap(), segmenter.segment(&view_of(&frame)).unwrap());

    // Other files say what they are, and this one too.
    let other = folder.path().join("student.safetensors");
    let (network, header) = student(Resize::Whole);
    seed::model::student_file::save_student(&other, &network, &header).unwrap();
    let refused = |path: &Path, words: &str| {
        let error = Segmenter::open(path, options).err().unwrap();
        assert!(error.kind() == ErrorKind::Format && error.message().contains(words), "{error}");
    };
    refused(&other, "the file holds a student; seed_session_open");
    for error in [
        Session::open(&path, options).err().unwrap(),
        AnomalyDetector::open(&path, options).err().unwrap(),
        seed::infer::Classifier::open(&path, options).err().unwrap(),
    ] {
        assert!(error.message().contains("a segmenter; seed_segmenter_open opens it"), "{error}");
    }

    let sound = read(&path).unwrap();
    let write = |change: &dyn Fn(&mut seed::model::weights::StateDict)| {
        let mut state = sound.clone();
        change(&mut state);
        write_safetensors(&path, &state.tensors.into_iter().collect::<Vec<_>>(), &state.metadata).unwrap();
    };
    let header = |change: &dyn Fn(&mut Value)| {
        let mut value: Value = serde_json::from_str(&sound.metadata["segmenter"]).unwrap();
        change(&mut value);
        write(&|state| drop(state.metadata.insert("segmenter".into(), value.to_string())));
    };
    for (words, text) in [("is not sound", "{"), ("is not sound", "{\"names\":[]}")] {
        write(&|state| drop(state.metadata.insert("segmenter".into(), text.into())));
        refused(&path, words);
    }
    header(&|value| value["names"] = json!(["a", "b"]));
    refused(&path, "expected [2, 448]");
    header(&|value| value["names"] = json!(["a", "a", "b"]));
    refused(&path, "named");
    header(&|value| value["layers"] = json!(["layer9"]));
    refused(&path, "no feature map \"layer9\"");
    header(&|value| value["layers"] = json!([]));
    refused(&path, "there are 0 layers");
    header(&|value| value["more"] = json!(1));
    refused(&path, "is not sound");
    write(&|state| drop(state.tensors.remove("segment.bias")));
    refused(&path, "segment.bias is missing");
    write(&|state| {
        let bytes = &mut state.tensors.get_mut("segment.weight").unwrap().bytes;
        bytes[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    });
    refused(&path, "segment.weight holds NaN");
    write(&|state| {
        let copy = state.tensors["segment.bias"].clone();
        state.tensors.insert("segment.more".into(), copy);
    });
    refused(&path, "segment.more is unknown");
    write(&|state| {
        let weight = state.tensors.remove("segment.weight").unwrap();
        state.tensors.insert("segment.bias".into(), weight);
    });
    refused(&path, "segment.weight is missing");
}

#[test]
fn frames_without_a_mask_and_ignored_pixels_are_left_aside() {
    let mut scenes = Scenes::new(7);
    // What the mask of the last frame says is wrong, and of the one before it is unknown.
    scenes.masks[6].iter_mut().for_each(|class| *class = 2 - *class);
    scenes.masks[5].iter_mut().for_each(|class| *class = 255);
    let with = learn(&config(), Resize::Whole, &scenes, &[6]).unwrap();
    let without = learn(&config(), Resize::Whole, &scenes, &[5, 6]).unwrap();
    assert_eq!(with.header().training["masks"], 6);
    assert_eq!(with.header().training["cells"], without.header().training["cells"]);
    // A class without a pixel is never given, and a warning says so.
    for mask in &mut scenes.masks {
        mask.iter_mut().filter(|class| **class == 2).for_each(|class| *class = 255);
    }
    let two = learn(&config(), Resize::Whole, &scenes, &[6]).unwrap();
    assert!(two.warnings().text().contains("[\"bar\"]"), "{}", two.warnings().text());
    let (frame, _) = scene(41);
    assert!(!two.segment(&view_of(&frame)).unwrap().classes.contains(&2));
}

#[test]
fn the_middle_alone_is_judged_where_the_student_sees_no_more() {
    let scenes = Scenes::new(6);
    let segmenter = learn(&config(), Resize::Centre, &scenes, &[]).unwrap();
    assert!(segmenter.warnings().text().contains("the middle of a frame"));
    let (frame, _) = scene(3);
    let found = segmenter.segment(&view_of(&frame)).unwrap();
    let corner = [0, SIDES.0 - 1, SIDES.0 * (SIDES.1 - 1)];
    assert!(corner.iter().all(|&at| found.classes[at] == 0 && (found.confidence[at] - 1.0 / 3.0).abs() < 1e-6));
    assert!(found.classes.contains(&1) || found.classes.contains(&2));
}

#[test]
fn what_cannot_be_learned_is_refused_and_a_cancel_ends_it() {
    let scenes = Scenes::new(6);
    let (network, header) = student(Resize::Whole);
    let names = names();
    let masks = scenes.views(&[]);
    let run = |config: &Config, masks: &[Option<FrameView<'_>>], names: &[String]| {
        let frames = Frames { dataset: &scenes.dataset, masks, names };
        fit(&network, &header, config, &frames, &CancelToken::new(), &mut |_, _| true).err().unwrap()
    };
    let refused = |error: seed::Error, words: &str| {
        assert!(error.kind() == ErrorKind::InvalidArgument && error.message().contains(words), "{error}");
    };
    refused(run(&config(), &masks[1..], &names), "5 masks for 6 images");
    refused(run(&config(), &[None; 6], &names), "no image has a mask");
    refused(run(&config(), &masks, &names[..2]), "holds the class 2, expected 0 to 1 or 255");
    refused(run(&config(), &masks, &["a".into(), "a".into(), "b".into()]), "two classes are named");
    let flat = vec![0u8; SIDES.0 * SIDES.1];
    let of = |bytes: &'static [u8], width: u32, height: u32, format| {
        Some(FrameView::new(bytes, width, height, width as usize, format).unwrap())
    };
    let one = FrameView::new(&flat, SIDES.0 as u32, SIDES.1 as u32, SIDES.0, PixelFormat::Mono8).unwrap();
    refused(run(&config(), &[Some(one), None, None, None, None, None], &names), "of 1 class");
    let mut wrong = masks.clone();
    wrong[2] = of(&[0; 16], 4, 4, PixelFormat::Mono8);
    refused(run(&config(), &wrong, &names), "is 4 × 4, the frame is 96 × 64 pixels");
    wrong[2] = Some(FrameView::new(&[0; 32], 4, 4, 8, PixelFormat::Mono16).unwrap());
    refused(run(&config(), &wrong, &names), "expected MONO8");
    let mut unknown = config();
    unknown.segment.layers = "layer1, layer7".into();
    refused(run(&unknown, &masks, &names), "no feature map \"layer7\"");

    let frames = Frames { dataset: &scenes.dataset, masks: &masks, names: &names };
    let token = CancelToken::new();
    token.trigger();
    for (token, go_on) in [(token, true), (CancelToken::new(), false)] {
        let ended = fit(&network, &header, &config(), &frames, &token, &mut |_, _| go_on).err().unwrap();
        assert_eq!(ended.kind(), ErrorKind::Cancelled, "{ended}");
    }
    // All frames are read, the layer is being fitted: what was found so far is not given as a segmenter.
    let mut fitting = 0;
    let ended = fit(&network, &header, &config(), &frames, &CancelToken::new(), &mut |done, total| {
        fitting += usize::from(done == total);
        fitting < 3
    });
    assert_eq!(ended.err().unwrap().kind(), ErrorKind::Cancelled);
}

fn scores(
    config: &Config,
    scenes: &Scenes,
    splits: u32,
    progress: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<SegmentScores> {
    let (network, header) = student(Resize::Whole);
    let masks = scenes.views(&[]);
    let masked = Masked { dataset: &scenes.dataset, masks: &masks };
    evaluate(network, &header, config, (masked, 3), splits, &CancelToken::new(), progress)
}

#[test]
fn splits_repeat_and_more_masks_are_better() {
    let scenes = Scenes::new(15);
    let mut told = (0, 0);
    let found = scores(&config(), &scenes, 2, &mut |done, total| {
        told = (done, total);
        true
    })
    .unwrap();
    assert_eq!(told, (30, 30));
    // A mask of another shape is refused wherever its frame goes: that of a frame to be tested on has as many pixels.
    for number in 0..8 {
        let (network, header) = student(Resize::Whole);
        let mut masks = scenes.views(&[]);
        let turned = vec![0u8; SIDES.0 * SIDES.1];
        masks[number] =
            Some(FrameView::new(&turned, SIDES.1 as u32, SIDES.0 as u32, SIDES.1, PixelFormat::Mono8).unwrap());
        let masked = Masked { dataset: &scenes.dataset, masks: &masks };
        let refused = evaluate(network, &header, &config(), (masked, 3), 1, &CancelToken::new(), &mut |_, _| true);
        assert!(refused.unwrap_err().message().contains("the frame is 96 × 64 pixels"));
    }
    assert!(found.mean_iou.mean > 0.45 && found.ious.len() == 3, "{found:?}");
    let mean = found.ious.iter().map(|iou| iou.mean).sum::<f64>() / 3.0;
    assert!((mean - found.mean_iou.mean).abs() < 1e-9);
    assert_eq!(scores(&config(), &scenes, 2, &mut |_, _| true).unwrap(), found);
    let mut few = config();
    few.segment.masks_per_class = 1;
    let fewer = scores(&few, &scenes, 2, &mut |_, _| true).unwrap();
    assert!(fewer.mean_iou.mean < found.mean_iou.mean, "{fewer:?}");
    let kind = |result: Result<SegmentScores>| result.err().map(|error| error.kind());
    assert_eq!(kind(scores(&config(), &scenes, 0, &mut |_, _| true)), Some(ErrorKind::InvalidArgument));
    assert_eq!(kind(scores(&config(), &scenes, 2, &mut |_, _| false)), Some(ErrorKind::Cancelled));
}

#[test]
fn magnetic_tiles_blowholes_are_found_better_than_nothing() {
    let Some(tile) = crate::shared::data("magnetic-tile") else { return };
    let mut files: Vec<_> =
        std::fs::read_dir(tile.join("masks/blowhole")).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let (mut frames, mut masks) = (Vec::new(), Vec::new());
    for file in files.iter().step_by(4) {
        frames.push(tile.join("images/blowhole").join(file.file_stem().unwrap()).with_extension("jpg"));
        let mask = image::open(file).unwrap().to_luma8();
        let (width, height) = mask.dimensions();
        masks.push((
            width,
            height,
            mask.into_raw().into_iter().map(|level| u8::from(level > 127)).collect::<Vec<u8>>(),
        ));
    }
    let dataset = Dataset::from_files(frames).unwrap();
    assert!(masks.len() >= 25, "{}", masks.len());
    let views: Vec<_> = masks
        .iter()
        .map(|(width, height, bytes)| {
            Some(FrameView::new(bytes, *width, *height, *width as usize, PixelFormat::Mono8).unwrap())
        })
        .collect();
    // Even a network of random weights sees dark holes, once their few pixels weigh as much as all others.
    let network = || Network::new(Architecture::ResNet18, Head::None, 3, Device::Cpu).unwrap();
    let input = Input { width: 128, height: 128, ..Input::default() };
    let header = StudentHeader::new(&network(), &input);
    let masked = Masked { dataset: &dataset, masks: &views };
    let mut config = config();
    (config.segment.penalty, config.segment.cells_max) = (100.0, 8000);
    config.set_string("segment.class_weights", "balanced").unwrap();
    let found = evaluate(network(), &header, &config, (masked, 2), 1, &CancelToken::new(), &mut |_, _| true).unwrap();
    eprintln!("magnetic tile, blowholes, random ResNet-18 at 128²: {found:?}");
    // One pixel in 700 is marked: by chance the IoU of their class would be .0015.
    assert!(found.ious[1].mean > 0.03 && found.accuracy.mean > 0.9, "{found:?}");
}
