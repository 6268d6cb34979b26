//! Feature maps and masks of frames that are seen in tiles: against the same network on the whole frame at its own size.

use std::sync::Arc;

use seed::ErrorKind;
use seed::config::Config;
use seed::data::{Dataset, Frame, FrameView, Input, PixelFormat, Resize, Roi, Tile};
use seed::eval::MaskOverlap;
use seed::infer::{Segmenter, Session, SessionOptions};
use seed::model::{Architecture, Head, Network};
use seed::train::CancelToken;
use seed::train::segment::{Frames, fit};
use tch::{Device, Tensor};

use crate::segment::{SIDES, config, names, scene, student};

fn frame(width: u32, height: u32) -> Frame {
    let level = |x: u32, y: u32| {
        let wave = 40.0 * ((x as f32 / 9.0).sin() + (y as f32 / 7.0).cos()) + 20.0 * ((x * y) as f32 / 900.0).sin();
        (120.0 + wave) as u8
    };
    Frame::new(width, height, 1, (0..width * height).map(|at| level(at % width, at / width)).collect()).unwrap()
}

fn view_of(frame: &Frame) -> FrameView<'_> {
    let width = frame.width();
    FrameView::new(frame.pixels(), width, frame.height(), width as usize, PixelFormat::Mono8).unwrap()
}

fn session(input: Input, tile: Tile) -> Session {
    let network = Network::new(Architecture::ResNet10, Head::None, 7, Device::Cpu).unwrap();
    Session::new(&network, &input, SessionOptions { tile, ..SessionOptions::default() }).unwrap()
}

/// The largest difference by the largest number.
fn apart(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    (a - b).abs().max().double_value(&[]) / b.abs().max().double_value(&[])
}

#[test]
fn stitched_maps_are_those_of_the_whole_frame() {
    let of = |width, height| Input { width, height, ..Input::default() };
    let large = frame(384, 256);
    let whole = session(of(384, 256), Tile::default());
    let stages = ["layer1", "layer2", "layer3"];
    let expected = whole.feature_maps(&[view_of(&large)], &stages).unwrap();
    for (stage, expected) in stages.iter().zip(&expected) {
        let found = |overlap: f64| {
            let tiled = session(of(128, 128), Tile { size: 128, overlap });
            let found = tiled.feature_maps(&[view_of(&large)], &[stage]).unwrap().remove(0);
            let named = tiled.stages_named(&[stage]).unwrap().remove(0);
            let (height, width) = tiled.map_size(&named, 384, 256).unwrap();
            assert_eq!(found.size()[2..], [height as i64, width as i64]);
            apart(&found, expected)
        };
        let (half, none) = (found(0.5), found(0.0));
        println!("{stage}: {half} of the highest number with an overlap of a half, {none} without");
        assert!(half < 0.2 && none > 1.5 * half, "{stage}: {half} {none}");
    }
}

#[test]
fn maps_of_one_tile_and_of_regions() {
    let input = Input { width: 96, height: 64, ..Input::default() };
    let (whole, tiled) = (session(input, Tile::default()), session(input, Tile { size: 128, overlap: 0.5 }));
    let one = frame(192, 128);
    let maps =
        |session: &Session, frame: &Frame| session.feature_maps(&[view_of(frame)], &["layer2"]).unwrap().remove(0);
    assert!(apart(&maps(&tiled, &one), &maps(&whole, &one)) < 5e-3);
    // A region is as if the frame had been cut.
    let roi = Roi { x: 20, y: 10, width: 400, height: 300 };
    let within = session(Input { roi, ..input }, Tile { size: 128, overlap: 0.5 });
    let large = frame(500, 320);
    let rows = large.pixels().chunks_exact(500).skip(10).take(300);
    let cut = Frame::new(400, 300, 1, rows.flat_map(|row| &row[20..420]).copied().collect()).unwrap();
    assert!(apart(&maps(&within, &large), &maps(&tiled, &cut)) < 5e-3);
    assert_eq!(maps(&tiled, &cut).size(), [1, 128, (300i64 * 8 + 127) / 128, (400i64 * 12 + 191) / 192]);
    // Several frames of one size share batches; others are refused, and so are small ones.
    let both = tiled.feature_maps(&[view_of(&cut), view_of(&cut)], &["layer2"]).unwrap().remove(0);
    assert!(apart(&both.narrow(0, 1, 1), &maps(&tiled, &cut)) < 5e-3);
    let error = tiled.feature_maps(&[view_of(&cut), view_of(&one)], &["layer2"]).unwrap_err();
    assert!(error.kind() == ErrorKind::InvalidArgument && error.message().contains("frame 1 is 192×128"), "{error}");
    let error = tiled.feature_maps(&[view_of(&frame(191, 128))], &["layer2"]).unwrap_err();
    assert!(error.kind() == ErrorKind::InvalidArgument && error.message().contains("191×128"), "{error}");
    assert!(tiled.feature_maps(&[], &["layer2"]).is_err());
    // What is embedded is the frame as ever.
    let [a, b] = [&whole, &tiled].map(|session| Tensor::from_slice(&session.embed(&[view_of(&large)]).unwrap()));
    assert!(apart(&b, &a) < 5e-3);
}

/// Nine scenes in one frame, and their masks.
fn nine(number: usize) -> (Frame, Vec<u8>) {
    let (width, height) = SIDES;
    let scenes: Vec<(Frame, Vec<u8>)> = (0..9).map(|i| scene(number * 9 + i)).collect();
    let at = |place: usize| {
        let (x, y) = (place % (3 * width), place / (3 * width));
        (y / height * 3 + x / width, y % height * width + x % width)
    };
    let places = || (0..9 * width * height).map(at);
    let pixels = places().map(|(scene, at)| scenes[scene].0.pixels()[at]).collect();
    let frame = Frame::new(3 * width as u32, 3 * height as u32, 1, pixels).unwrap();
    (frame, places().map(|(scene, at)| scenes[scene].1[at]).collect())
}

fn learned(config: &Config, count: usize) -> seed::Result<Segmenter> {
    let all: Vec<(Frame, Vec<u8>)> = (0..count).map(nine).collect();
    let dataset = Dataset::in_memory();
    let (width, height) = (3 * SIDES.0, 3 * SIDES.1);
    for (number, (frame, _)) in all.iter().enumerate() {
        dataset.push_frame(&format!("{number}"), frame.clone()).unwrap();
    }
    let view = |mask| FrameView::new(mask, width as u32, height as u32, width, PixelFormat::Mono8).ok();
    let masks: Vec<_> = all.iter().map(|(_, mask)| view(mask)).collect();
    let (network, header) = student(Resize::Centre);
    let (dataset, names) = (Arc::new(dataset), names());
    let frames = Frames { dataset: &dataset, masks: &masks, names: &names };
    fit(&network, &header, config, &frames, &CancelToken::new(), &mut |_, _| true)
}

#[test]
fn masks_of_large_frames_are_finer_in_tiles() {
    let of = |size: u32| Config { tile: Tile { size, overlap: 0.25 }, ..config() };
    let (frame, truth) = nine(40);
    let overlap = |segmenter: &Segmenter| {
        let mut overlap = MaskOverlap::new(3).unwrap();
        let found = segmenter.segment(&view_of(&frame)).unwrap();
        assert!(found.confidence.iter().all(|&share| (0.33..=1.0).contains(&share)));
        overlap.add(&found.classes, &truth).unwrap();
        overlap.mean_iou()
    };
    let tiled = learned(&of(64), 3).unwrap();
    let (found, lost) = (overlap(&tiled), overlap(&learned(&of(192), 3).unwrap()));
    println!("mean IoU {found} in tiles, {lost} in one as large as the frame");
    assert!(found > 0.4 && found > lost + 0.05, "{found} {lost}");
    assert!(tiled.warnings().list().is_empty(), "{:?}", tiled.warnings().list());

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("segmenter.safetensors");
    tiled.save(&path).unwrap();
    let again = Segmenter::open(&path, SessionOptions::default()).unwrap();
    assert_eq!(again.header().tile, Tile { size: 64, overlap: 0.25 });
    let [one, other] = [&tiled, &again].map(|segmenter| segmenter.segment(&view_of(&frame)).unwrap());
    let same = one.classes.iter().zip(&other.classes).filter(|(a, b)| a == b).count();
    assert!(same as f64 > 0.999 * one.classes.len() as f64, "{same}");
    // Without the region of interest nothing is known.
    let roi = Roi { x: 50, y: 40, width: 200, height: 100 };
    let within = Segmenter::open(&path, SessionOptions { roi: Some(roi), ..SessionOptions::default() }).unwrap();
    let found = within.segment(&view_of(&frame)).unwrap();
    for (at, (&class, &share)) in found.classes.iter().zip(&found.confidence).enumerate() {
        let (x, y) = (at as u32 % frame.width(), at as u32 / frame.width());
        let seen = (50..250).contains(&x) && (40..140).contains(&y);
        assert!(seen || (class == 0 && (share - 1.0 / 3.0).abs() < 1e-6), "({x}, {y})");
    }
    assert!(found.classes.iter().any(|&class| class > 0));
    let small = Frame::new(90, 64, 1, vec![3; 5760]).unwrap();
    let error = again.segment(&view_of(&small)).unwrap_err();
    assert!(error.kind() == ErrorKind::InvalidArgument && error.message().contains("96×64"), "{error}");
    let error = learned(&of(500), 2).err().unwrap();
    assert!(error.kind() == ErrorKind::InvalidArgument && error.message().contains("frame of 288×192"), "{error}");
}
