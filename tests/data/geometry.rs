//! How a frame becomes the network's input: the three values of "resize" against Pillow (golden/make_geometry.py), what training
//! draws under each, what a defect at a border changes, and what files mean that do not say it.

use std::path::Path;

use base64::Engine;
use seed::ErrorKind;
use seed::config::{Config, Precision, Value as Setting};
use seed::data::augment::Crop;
use seed::data::random::{Purpose, generator};
use seed::data::render::{frame_levels, render, render_frame};
use seed::data::{Dataset, Frame, FrameView, Input, PixelFormat, Resize, Scratch, ViewConfig, ViewParams};
use seed::infer::anomaly::{Anomaly, AnomalyDetector};
use seed::infer::{Classifier, ClassifierHeader, Session, SessionOptions};
use seed::model::student_file::{StudentHeader, load_student, save_student};
use seed::model::weights::{read, write_safetensors};
use seed::model::{Architecture, Head, Network};
use serde_json::Value;
use tch::Device;

const ALL: [Resize; 3] = [Resize::Whole, Resize::Letterbox, Resize::Centre];

fn view(width: u32, height: u32, resize: Resize) -> Input {
    Input { width, height, resize, ..Input::default() }
}

fn bytes(value: &Value) -> Vec<u8> {
    base64::engine::general_purpose::STANDARD.decode(value.as_str().unwrap()).unwrap()
}

#[test]
fn the_geometries_are_pillows() {
    let golden: Value = serde_json::from_str(include_str!("../golden/geometry.json")).unwrap();
    let number = |value: &Value| u32::try_from(value.as_u64().unwrap()).unwrap();
    let mut scratch = Scratch::new();
    let mut seen = std::collections::BTreeMap::new();
    for case in golden["cases"].as_array().unwrap() {
        let frame = &golden["frames"][case["frame"].as_str().unwrap()];
        let [width, height, channels] = ["width", "height", "channels"].map(|key| number(&frame[key]));
        let frame = Frame::new(width, height, channels as u8, bytes(&frame["pixels"])).unwrap();
        let resize = Resize::parse("resize", case["resize"].as_str().unwrap()).unwrap();
        let view = view(number(&case["width"]), number(&case["height"]), resize);
        let mut found = vec![0u8; view.view_len()];
        frame_levels(&frame, &view, &mut found, &mut scratch).unwrap();
        let expected = bytes(&case["pixels"]);
        assert_eq!(found.len(), expected.len());
        let differences = || found.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b));
        let mean = differences().map(f64::from).sum::<f64>() / found.len() as f64;
        let label = format!("{} {} {}×{}", case["frame"], case["resize"], view.width, view.height);
        // Pillow rounds after each of its two passes in another way, which is one level where something is resized. The whole
        // frame of a centre crop is rounded before the crop there.
        assert!(differences().all(|apart| apart <= 1) && mean < 0.3, "{label}: mean {mean}");
        *seen.entry(resize.word()).or_insert(0) += 1;
        // Normalised, they are the same levels.
        let mut numbers = vec![0f32; view.view_len()];
        render_frame(&frame, &view, &mut numbers, &mut scratch).unwrap();
        let level = |(at, x): (usize, &f32)| ((f64::from(*x) * view.std[at % 3] + view.mean[at % 3]) * 255.0).round();
        assert!(numbers.iter().enumerate().map(level).zip(&found).all(|(a, &b)| a == f64::from(b)), "{label}");
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [("centre", 16), ("letterbox", 24), ("whole", 24)]);
}

#[test]
fn the_padding_is_the_mean_colour() {
    let (mut scratch, frame) = (Scratch::new(), Frame::new(40, 10, 1, vec![200; 400]).unwrap());
    for channels in [3, 1] {
        let view = Input { channels, ..view(32, 32, Resize::Letterbox) };
        let mut out = vec![f32::NAN; view.view_len()];
        render_frame(&frame, &view, &mut out, &mut scratch).unwrap();
        let row = view.width as usize * channels as usize;
        let (padding, inside) = (&out[..12 * row], &out[12 * row..20 * row]);
        // Half a level of 255, in deviations.
        assert!(padding.iter().chain(&out[20 * row..]).all(|x| x.abs() <= 0.5 / 255.0 / 0.224));
        assert!(inside.iter().all(|&x| x > 1.0), "rows 12 to 20 of 32 show the frame");
    }
    // A mean that is no colour does not overflow.
    let odd = Input { mean: [9.0, -9.0, 0.5], ..view(32, 32, Resize::Letterbox) };
    let mut out = vec![0u8; odd.view_len()];
    frame_levels(&frame, &odd, &mut out, &mut scratch).unwrap();
    assert_eq!(out[..3], [255, 0, 128]);
}

#[test]
fn a_crop_of_scale_and_ratio_one_is_what_a_session_sees() {
    for (width, height) in [(64, 64), (90, 41), (37, 301), (640, 480), (1, 500)] {
        let pixels = (0..width * height).map(|i| (i * 7919 / 13 % 251) as u8).collect();
        let frame = Frame::new(width, height, 1, pixels).unwrap();
        for (view_w, view_h) in [(32, 32), (48, 20)] {
            let input = view(view_w, view_h, Resize::Whole);
            let config = ViewConfig { crop_scale_min: 1.0, crop_ratio_min: 1.0, crop_ratio_max: 1.0, ..input.into() };
            let mut rng = generator(1, 2, 3, Purpose::View);
            let crop = ViewParams::sample(&config, width, height, &mut rng).crop;
            assert_eq!(crop, Crop { left: 0, top: 0, width, height });
            let (mut drawn, mut seen) = (vec![0f32; input.view_len()], vec![1f32; input.view_len()]);
            let params = ViewParams { crop, ..ViewParams::plain(width, height) };
            render(&frame, &params, &config, &mut drawn, &mut Scratch::new()).unwrap();
            render_frame(&frame, &input, &mut seen, &mut Scratch::new()).unwrap();
            assert!(drawn == seen, "{width}×{height} in {view_w}×{view_h}");
        }
    }
}

#[test]
fn ratios_are_relative_to_the_frame_where_it_is_seen_whole() {
    let crop = |resize, (width, height): (u32, u32), index| {
        ViewParams::sample(&view(96, 96, resize).into(), width, height, &mut generator(4, 0, index, Purpose::View))
    };
    let (mut narrowest, mut widest) = (f64::MAX, 0f64);
    for index in 0..2000 {
        // Square frames: every geometry draws the same.
        let square = ALL.map(|resize| crop(resize, (200, 200), index));
        assert!(square[0] == square[1] && square[1] == square[2]);
        // Others: only where the whole frame is seen, the ratio is the frame's own times 3/4 to 4/3.
        let [whole, letterbox, centre] = ALL.map(|resize| crop(resize, (3000, 1000), index));
        assert!(letterbox == centre);
        let ratio = |crop: Crop| f64::from(crop.width) / f64::from(crop.height);
        assert!((0.74..1.35).contains(&ratio(centre.crop)), "{centre:?}");
        (narrowest, widest) = (narrowest.min(ratio(whole.crop)), widest.max(ratio(whole.crop)));
        let share = f64::from(whole.crop.width) * f64::from(whole.crop.height) / 3e6;
        assert!((0.199..=1.0).contains(&share), "{whole:?}");
    }
    assert!((3.0 * 0.74..3.0 * 0.77).contains(&narrowest) && (3.0 * 1.3..3.0 * 1.35).contains(&widest));
}

/// A frame of noise, without and with a white strip of `strip` pixels at one border.
fn frames(width: u32, height: u32, strip: usize) -> Vec<Vec<u8>> {
    let (w, h) = (width as usize, height as usize);
    let plain: Vec<u8> = (0..w * h).map(|i| 60 + (i * 7919 / 13 % 97) as u8).collect();
    let draw = |seen: &dyn Fn(usize, usize) -> bool| -> Vec<u8> {
        plain.iter().enumerate().map(|(i, &level)| if seen(i % w, i / w) { 255 } else { level }).collect()
    };
    let strips: [&dyn Fn(usize, usize) -> bool; 4] =
        [&|x, _| x < strip, &|x, _| x >= w - strip, &|_, y| y < strip, &|_, y| y >= h - strip];
    std::iter::once(plain.clone()).chain(strips.map(draw)).collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn a_defect_at_any_border_changes_embedding_class_and_score() {
    let network = |head| Network::new(Architecture::parse("resnet10_w0.25").unwrap(), head, 3, Device::Cpu).unwrap();
    let options = SessionOptions::default();
    let student = network(Head::Projection { hidden: 16, dim: 16 });
    for resize in ALL {
        let view = view(96, 96, resize);
        let session = Session::new(&student, &view, options).unwrap();
        let header = ClassifierHeader::uncalibrated(vec!["good".into(), "defect".into()]);
        let classifier = Classifier::new(network(Head::Classifier { classes: 2 }), &view, header, options).unwrap();
        for (width, height) in [(224, 224), (352, 180), (120, 400)] {
            let pixels = frames(width, height, if resize == Resize::Centre { 10 } else { 12 });
            let frame = |pixels| FrameView::new(pixels, width, height, width as usize, PixelFormat::Mono8).unwrap();
            let good = Dataset::in_memory();
            for number in 0..4 {
                let good_one = pixels[0].iter().map(|level| level + number).collect();
                good.push_frame(&number.to_string(), Frame::new(width, height, 1, good_one).unwrap()).unwrap();
            }
            let mut config = Config { device: "cpu".into(), precision: Precision::Fp32, ..Config::default() };
            config.anomaly.memory_share = 0.2;
            let detector = AnomalyDetector::fit(&student, &view, &config, options, &good, &mut |_, _| true).unwrap();
            assert_eq!(detector.settings().resize, resize);
            let warned = detector.warnings().text().contains("sees the middle of a frame only");
            assert_eq!(warned, resize == Resize::Centre);
            let all: Vec<FrameView<'_>> = pixels.iter().map(|pixels| frame(pixels)).collect();
            let rows = session.embed(&all).unwrap();
            let verdicts = classifier.classify(&all).unwrap();
            let judged = detector.judge(&all, true).unwrap();
            for strip in 1..5 {
                let label = format!("{resize:?}, {width}×{height}, strip {strip}");
                let apart = 1.0 - cosine(&rows[..16], &rows[strip * 16..][..16]);
                let moved = (verdicts.of(strip)[0] - verdicts.of(0)[0]).abs();
                let score = judged[strip].score - judged[0].score;
                if resize != Resize::Centre {
                    assert!(apart > 1e-4 && moved > 1e-4 && score > 0.1, "{label}: {apart} {moved} {score}");
                    assert!(hottest_is_near(&judged[strip], (width, height), strip), "{label}: the heat map");
                } else if (width, height) == (224, 224) {
                    // What the old geometry does: 12.3 of 224 pixels at each border are outside, of which the filter reaches 2.
                    assert!(apart < 1e-6 && moved < 1e-6 && score.abs() < 1e-4, "{label}: {apart} {moved} {score}");
                }
            }
        }
    }
}

/// Whether the heat map, in the frame's pixels, is hottest in the strip's half of the frame: a letterbox shows 120 columns in 29
/// pixels, fewer than four patches.
fn hottest_is_near(found: &Anomaly, (width, height): (u32, u32), strip: usize) -> bool {
    let (width, height) = (width as usize, height as usize);
    assert_eq!(found.map.len(), width * height);
    let hottest = (0..found.map.len()).max_by(|&a, &b| found.map[a].total_cmp(&found.map[b])).unwrap();
    let (x, y) = (hottest % width, hottest / width);
    match strip {
        1 => x < width / 2,
        2 => x >= width / 2,
        3 => y < height / 2,
        _ => y >= height / 2,
    }
}

#[test]
fn settings_and_files_that_do_not_say_it_mean_the_centre_crop() {
    assert_eq!(Input::default().resize, Resize::Whole);
    assert_eq!(Config::default().get("resize").unwrap(), Setting::Text("whole".into()));
    let written = |resize| serde_json::to_string(&view(8, 8, resize)).unwrap();
    assert!(!written(Resize::Centre).contains("resize") && written(Resize::Whole).contains("\"resize\":\"whole\""));
    for resize in ALL {
        assert_eq!(serde_json::from_str::<Input>(&written(resize)).unwrap().resize, resize);
        let mut config = Config::default();
        config.set_string("resize", resize.word()).unwrap();
        assert_eq!(Config::from_json(&config.to_json().unwrap()).unwrap().view.input.resize, resize);
    }
    assert_eq!(serde_json::from_str::<ViewConfig>("{}").unwrap().input.resize, Resize::Centre);
    // The input's settings stand among the views' in settings of any age, and what is none of them is refused.
    let old = r#"{"width":40,"crop_scale_min":0.5,"mean":[0.1,0.2,0.3],"std":[1.0,1.0,1.0],"device":"workers"}"#;
    let found: ViewConfig = serde_json::from_str(old).unwrap();
    assert_eq!((found.input.width, found.crop_scale_min, found.input.mean), (40, 0.5, [0.1, 0.2, 0.3]));
    assert!(serde_json::from_str::<ViewConfig>(r#"{"width":40,"bogus":1}"#).is_err());
    let error = Config::default().set_string("resize", "stretch").unwrap_err();
    assert_eq!(error.message(), "resize is \"stretch\", expected one of whole, letterbox, centre");
    assert_eq!(Config::default().set_int("resize", 1).unwrap_err().kind(), ErrorKind::Config);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("student.safetensors");
    let student = Network::new(Architecture::MobileNetV3Small, Head::None, 5, Device::Cpu).unwrap();
    let pixels = frames(100, 60, 12).remove(1);
    let embed = |session: Session| {
        session.embed(&[FrameView::new(&pixels, 100, 60, 100, PixelFormat::Mono8).unwrap()]).unwrap()
    };
    let rows = ALL.map(|resize| {
        save_student(&path, &student, &StudentHeader::new(&student, &view(32, 32, resize))).unwrap();
        assert_eq!(load_student(&path).unwrap().1.input.resize, resize);
        embed(Session::open(&path, SessionOptions::default()).unwrap())
    });
    assert!(cosine(&rows[0], &rows[1]) < 0.9999 && cosine(&rows[1], &rows[2]) < 0.9999);
    // Earlier versions wrote the centre crop's file, byte for byte: without the key.
    let old = read(&path).unwrap();
    assert!(!old.metadata.contains_key("resize"));
    save_student(&path, &student, &StudentHeader::new(&student, &view(32, 32, Resize::Whole))).unwrap();
    let mut new = read(&path).unwrap();
    assert_eq!(new.metadata.remove("resize").as_deref(), Some("whole"));
    assert_eq!(new.metadata, old.metadata);
    write_safetensors(&path, &new.tensors.into_iter().collect::<Vec<_>>(), &new.metadata).unwrap();
    assert_eq!(embed(Session::open(&path, SessionOptions::default()).unwrap()), rows[2]);
}

#[test]
fn detectors_of_earlier_versions_judge_whole_frames() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("detector.safetensors");
    let student = Network::new(Architecture::parse("resnet10_w0.25").unwrap(), Head::None, 3, Device::Cpu).unwrap();
    let pixels = frames(120, 80, 12);
    let good = Dataset::in_memory();
    for number in 0..4 {
        let good_one = pixels[0].iter().map(|level| level + number).collect();
        good.push_frame(&number.to_string(), Frame::new(120, 80, 1, good_one).unwrap()).unwrap();
    }
    let mut config = Config { device: "cpu".into(), precision: Precision::Fp32, ..Config::default() };
    config.anomaly.memory_share = 0.2;
    let options = SessionOptions::default();
    let frame = FrameView::new(&pixels[1], 120, 80, 120, PixelFormat::Mono8).unwrap();
    let judge = |path: &Path| {
        let detector = AnomalyDetector::open(path, options).unwrap();
        (detector.settings().resize, detector.judge(&[frame], true).unwrap().remove(0))
    };
    let fit = |resize| {
        AnomalyDetector::fit(&student, &view(64, 64, resize), &config, options, &good, &mut |_, _| true).unwrap()
    };
    for resize in ALL {
        fit(resize).save(&path).unwrap();
        let (found, judged) = judge(&path);
        assert_eq!(found, resize);
        let outside = judged.map.iter().filter(|&&heat| heat == 0.0).count();
        assert_eq!(outside > 0, resize == Resize::Centre, "{resize:?}: {outside} pixels are not judged");
    }
    // As earlier versions wrote it: neither the header nor the settings say it.
    fit(Resize::Whole).save(&path).unwrap();
    let expected = judge(&path);
    let mut file = read(&path).unwrap();
    assert_eq!(file.metadata.remove("resize").as_deref(), Some("whole"));
    assert!(!file.metadata["anomaly"].contains("resize"));
    write_safetensors(&path, &file.tensors.into_iter().collect::<Vec<_>>(), &file.metadata).unwrap();
    assert_eq!(judge(&path), expected);
    assert_eq!(expected.0, Resize::Whole);
}
