//! The region of interest: everything is as if the frames had been cut to it before. Cut by hand here, row by row.

use std::sync::Arc;

use seed::ErrorKind;
use seed::config::{Config, DetectorKind, Precision};
use seed::data::augment::Crop;
use seed::data::random::{Purpose, generator};
use seed::data::render::{frame_levels, render};
use seed::data::{
    Dataset, Encoding, Frame, FrameView, Input, Loader, PixelFormat, RawFrame, Resize, Roi, Scratch, ViewConfig,
    ViewParams,
};
use seed::eval::DriftInput;
use seed::infer::anomaly::AnomalyDetector;
use seed::infer::{Session, SessionOptions};
use seed::model::student_file::{StudentHeader, load_student, save_student};
use seed::model::{Architecture, Head, Network};
use tch::{Device, Kind, Tensor};

const WIDTH: u32 = 150;
const HEIGHT: u32 = 110;
const ROI: Roi = Roi { x: 37, y: 21, width: 96, height: 64 };

/// A frame of grey or colour whose surroundings of the region differ from it, and from frame to frame.
fn frame(number: usize, channels: u8) -> Frame {
    let level = |x: u32, y: u32, c: u32| {
        let inside = (ROI.x..ROI.x + ROI.width).contains(&x) && (ROI.y..ROI.y + ROI.height).contains(&y);
        let shade = 110.0 + 20.0 * ((x as f32 / 30.0 + number as f32).sin() + (y as f32 / 25.0 + c as f32).cos());
        if inside { shade as u8 } else { (x * 7 + y * 13 * (number as u32 + 1) + c) as u8 }
    };
    let pixels = (0..WIDTH * HEIGHT)
        .flat_map(|at| (0..u32::from(channels)).map(move |c| level(at % WIDTH, at / WIDTH, c)))
        .collect();
    Frame::new(WIDTH, HEIGHT, channels, pixels).unwrap()
}

/// The region of a frame, cut out by hand.
fn cut(frame: &Frame) -> Frame {
    let channels = usize::from(frame.channels());
    let row = |y: u32| {
        let begin = (y * WIDTH + ROI.x) as usize * channels;
        &frame.pixels()[begin..begin + ROI.width as usize * channels]
    };
    let pixels = (ROI.y..ROI.y + ROI.height).flat_map(row).copied().collect();
    Frame::new(ROI.width, ROI.height, frame.channels(), pixels).unwrap()
}

fn view_of(frame: &Frame) -> FrameView<'_> {
    let (width, channels) = (frame.width(), usize::from(frame.channels()));
    let format = if channels == 1 { PixelFormat::Mono8 } else { PixelFormat::Rgb8 };
    FrameView::new(frame.pixels(), width, frame.height(), width as usize * channels, format).unwrap()
}

fn input(roi: Roi) -> Input {
    Input { width: 96, height: 64, roi, ..Input::default() }
}

fn dataset(frames: impl Iterator<Item = Frame>) -> Dataset {
    let dataset = Dataset::in_memory();
    for (number, frame) in frames.enumerate() {
        dataset.push_frame(&format!("frame {number}"), frame).unwrap();
    }
    dataset
}

/// Two sessions may compute in pieces of other sizes, which rounds otherwise.
fn assert_near(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1e-6f32, |most, x| most.max(x.abs()));
    let most = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(most <= 5e-3 * scale, "{what}: {most} of {scale}");
}

#[test]
fn images_are_those_of_the_frame_that_was_cut() {
    let mut scratch = Scratch::new();
    for (channels, resize) in
        [1, 3].into_iter().flat_map(|channels| Resize::ALL.iter().map(move |&resize| (channels, resize)))
    {
        for (width, height) in [(96, 64), (40, 40), (120, 31)] {
            let of = |roi| Input { width, height, resize, ..input(roi) };
            let whole = frame(2, channels);
            let (mut own, mut expected) = (vec![0u8; of(ROI).view_len()], vec![1u8; of(ROI).view_len()]);
            frame_levels(&whole, &of(ROI), &mut own, &mut scratch).unwrap();
            frame_levels(&cut(&whole), &of(Roi::NONE), &mut expected, &mut scratch).unwrap();
            assert!(own == expected, "{channels} {resize} {width}×{height}");
        }
        // Views drawn at random: the same crops, moved, and the same numbers.
        let config = |roi| ViewConfig::from(Input { resize, ..input(roi) });
        for number in 0..20 {
            let random = || generator(3, 0, number, Purpose::View);
            let within = ViewParams::sample(&config(ROI), WIDTH, HEIGHT, &mut random());
            let of_cut = ViewParams::sample(&config(Roi::NONE), ROI.width, ROI.height, &mut random());
            let Crop { left, top, width, height } = of_cut.crop;
            assert_eq!(within.crop, Crop { left: left + ROI.x, top: top + ROI.y, width, height });
            let whole = frame(1, channels);
            let (mut own, mut expected) = (vec![0f32; input(ROI).view_len()], vec![1f32; input(ROI).view_len()]);
            render(&whole, &within, &config(ROI), &mut own, &mut scratch).unwrap();
            render(&cut(&whole), &of_cut, &config(Roi::NONE), &mut expected, &mut scratch).unwrap();
            assert!(own == expected, "view {number}");
        }
    }
}

#[test]
fn a_large_jpeg_is_decoded_smaller_and_cut_where_it_should_be() {
    // A smooth picture, so that a JPEG at 1/4 and the whole one show nearly the same; a shift of a pixel would show.
    let (width, height) = (1000u32, 800u32);
    let level = |at: u32, side: u32| (f64::from(at) / f64::from(side) * 255.0) as u8;
    let pixels = (0..width * height).flat_map(|at| [level(at % width, width), level(at / width, height), 90]).collect();
    let whole = Frame::new(width, height, 3, pixels).unwrap();
    let jpeg = RawFrame::from(whole.clone()).encode(Encoding::Jpeg { quality: 95 }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("large.jpg"), &jpeg).unwrap();
    let dataset = Arc::new(Dataset::from_folder(folder.path()).unwrap());
    let roi = Roi { x: 203, y: 101, width: 601, height: 515 };
    let input = Input { width: 32, height: 32, roi, ..Input::default() };
    let batch = Loader::frames(dataset, input, 1, 1).unwrap().next().unwrap().unwrap();
    let (mut levels, mut scratch) = (vec![0u8; input.view_len()], Scratch::new());
    frame_levels(&whole, &input, &mut levels, &mut scratch).unwrap();
    let found = batch.views[0]
        .pixels
        .iter()
        .enumerate()
        .map(|(at, x)| (f64::from(*x) * input.std[at % 3] + input.mean[at % 3]) * 255.0);
    let most = found.zip(&levels).map(|(a, &b)| (a - f64::from(b)).abs()).fold(0.0, f64::max);
    // A pixel of the view is 19 of the frame, 5 levels.
    assert!(most <= 2.0, "{most}");
    let of = |x: u32, axis: u32| (f64::from(x) + 0.5) * f64::from([roi.width, roi.height][axis as usize]) / 32.0;
    let expected = (f64::from(roi.x) + of(0, 0)) / f64::from(width) * 255.0;
    assert!((f64::from(levels[0]) - expected).abs() < 2.0, "{} {expected}", levels[0]);
}

#[test]
fn sessions_see_the_region_however_frames_come() {
    let network = Network::new(Architecture::ResNet10, Head::Projection { hidden: 8, dim: 8 }, 5, Device::Cpu).unwrap();
    let session = |roi: Roi| Session::new(&network, &input(roi), SessionOptions::default()).unwrap();
    let (within, plain) = (session(ROI), session(Roi::NONE));
    let frames: Vec<Frame> = (0..3).map(|number| frame(number, 3)).collect();
    let cuts: Vec<Frame> = frames.iter().map(cut).collect();
    let rows = |session: &Session, frames: &[Frame]| {
        let views: Vec<FrameView<'_>> = frames.iter().map(view_of).collect();
        session.embed(&views).unwrap()
    };
    let expected = rows(&plain, &cuts);
    assert_near(&rows(&within, &frames), &expected, "frames");
    let other = rows(&plain, &frames);
    assert!(other.iter().zip(&expected).any(|(a, b)| (a - b).abs() > 0.05), "what lies outside would change it");
    let images = Arc::new(dataset(frames.iter().cloned()));
    assert_near(&within.embed_dataset(&images, 2, 1, &mut |_, _| true).unwrap(), &expected, "a data set");
    let bytes: Vec<u8> = frames.iter().flat_map(|frame| frame.pixels().to_vec()).collect();
    let tensor = Tensor::from_slice(&bytes).view([3, HEIGHT.into(), WIDTH.into(), 3]);
    let found = within.embed_tensor(&tensor).unwrap();
    assert_near(&Vec::<f32>::try_from(found.view([-1])).unwrap(), &expected, "a tensor");

    // What the student's file says holds, and what the options say before that.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("student.safetensors");
    save_student(&path, &network, &StudentHeader::new(&network, &input(ROI))).unwrap();
    assert_eq!(load_student(&path).unwrap().1.input.roi, ROI);
    assert_near(&rows(&Session::open(&path, SessionOptions::default()).unwrap(), &frames), &expected, "a file");
    let whole = SessionOptions { roi: Some(Roi::NONE), ..SessionOptions::default() };
    assert_near(&rows(&Session::open(&path, whole).unwrap(), &cuts), &expected, "the options");
    assert!(DriftInput::of(&input(ROI)) != DriftInput::of(&input(Roi::NONE)));
    assert!(DriftInput::of(&input(ROI)).to_string().contains("96×64 pixels at (37, 21)"));

    // A frame that does not hold the region is refused by its place, in a data set by its name.
    let small = frame(0, 3);
    let small = Frame::new(100, 50, 3, small.pixels()[..15_000].to_vec()).unwrap();
    let error = within.embed(&[view_of(&frames[0]), view_of(&small)]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(
        error.message().contains("frame 1") && error.message().contains("not inside of a frame of 100×50"),
        "{error}"
    );
    let error = within.embed_dataset(&Arc::new(dataset([small].into_iter())), 1, 1, &mut |_, _| true).unwrap_err();
    assert!(error.message().contains("not inside of a frame of 100×50"), "{error}");
    let tiny = Tensor::zeros([1, 20, 20, 3], (Kind::Uint8, Device::Cpu));
    assert_eq!(within.embed_tensor(&tiny).unwrap_err().kind(), ErrorKind::InvalidArgument);
}

#[test]
fn detectors_judge_the_region_and_nothing_beside_it() {
    let network = Network::new(Architecture::ResNet10, Head::None, 5, Device::Cpu).unwrap();
    for kind in [DetectorKind::PatchCore, DetectorKind::Stfpm] {
        let mut config = Config { device: "cpu".into(), precision: Precision::Fp32, ..Config::default() };
        (config.anomaly.memory_share, config.anomaly.memory_min) = (0.05, 0);
        (config.anomaly.kind, config.anomaly.held_out, config.anomaly.epochs) = (kind, 0.5, 2);
        let fit = |roi: Roi, good: &Dataset| {
            let options = SessionOptions { roi: Some(roi), ..SessionOptions::default() };
            AnomalyDetector::fit(&network, &input(Roi::NONE), &config, options, good, &mut |_, _| true).unwrap()
        };
        let within = fit(ROI, &dataset((0..12).map(|number| frame(number, 1))));
        let plain = fit(Roi::NONE, &dataset((0..12).map(|number| cut(&frame(number, 1)))));
        let threshold = |of: &AnomalyDetector| [of.threshold().score];
        assert_near(&threshold(&within), &threshold(&plain), "thresholds");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("detector.safetensors");
        within.save(&path).unwrap();
        let again = AnomalyDetector::open(&path, SessionOptions::default()).unwrap();
        let bad = frame(40, 1);
        let [found, opened] =
            [&within, &again].map(|detector| detector.judge(&[view_of(&bad)], true).unwrap().remove(0));
        let expected = plain.judge(&[view_of(&cut(&bad))], true).unwrap().remove(0);
        assert_near(&[found.score, opened.score], &[expected.score; 2], "scores");
        assert_near(&opened.map, &found.map, "maps of the file");
        assert_eq!(found.map.len(), (WIDTH * HEIGHT) as usize);
        let (mut within, mut of_cuts) = (Vec::new(), Vec::new());
        for (at, &heat) in found.map.iter().enumerate() {
            let (x, y) = ((at as u32 % WIDTH).wrapping_sub(ROI.x), (at as u32 / WIDTH).wrapping_sub(ROI.y));
            if x < ROI.width && y < ROI.height {
                within.push(heat);
                of_cuts.push(expected.map[(y * ROI.width + x) as usize]);
            } else {
                assert_eq!(heat, 0.0, "{kind} at {at}");
            }
        }
        assert_near(&within, &of_cuts, "maps");
    }
}

#[test]
fn a_region_that_is_none_is_refused() {
    let mut config = Config::default();
    config.parse("roi.x=37 roi.y=21 roi.width=96 roi.height=64").unwrap();
    assert_eq!((config.view.input.roi, config.chosen_roi().unwrap()), (ROI, Some(ROI)));
    assert!(Config::default().chosen_roi().unwrap().is_none());
    let error = config.parse("roi.height=0").unwrap_err();
    assert!(error.kind() == ErrorKind::Config && error.message().contains("roi.height 0"), "{error}");
    assert!(config.parse("roi.x=32768").is_err());
    assert!(config.parse("roi.width=-1").is_err());
    assert_eq!(config.view.input.roi, ROI);
    // A configuration without one is written as it always was.
    assert!(!serde_json::to_string(&Input::default()).unwrap().contains("roi"));
}
