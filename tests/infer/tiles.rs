//! Frames larger than the network's input, seen in tiles: small defects, maps without seams, masks and regions, files, bad input.

use seed::ErrorKind;
use seed::config::{Config, DetectorKind};
use seed::data::{Dataset, Frame, FrameView, Ignored, Input, PixelFormat, Roi, Tile};
use seed::export::{ExportInput, export_detector};
use seed::infer::SessionOptions;
use seed::infer::anomaly::{Anomaly, AnomalyDetector};
use seed::model::weights::{read, write_safetensors};
use seed::train::CancelToken;

use crate::alone;
use crate::anomaly::{config, judge, network, part, scratched, view};

const KINDS: [DetectorKind; 2] = [DetectorKind::PatchCore, DetectorKind::Stfpm];
const WIDTH: u32 = 480;
const HEIGHT: u32 = 320;

/// A surface with a grain, a little different each.
fn surface(number: usize) -> Frame {
    let level = |x: u32, y: u32| {
        let shade = 120.0 + 15.0 * ((x as f32 / 90.0 + number as f32).sin() + (y as f32 / 70.0).cos());
        let grain =
            (x.wrapping_mul(7919) ^ y.wrapping_mul(104_729) ^ (number as u32 * 31)).wrapping_mul(2_654_435_761) >> 28;
        (shade + grain as f32) as u8
    };
    let pixels = (0..WIDTH * HEIGHT).map(|at| level(at % WIDTH, at / WIDTH)).collect();
    Frame::new(WIDTH, HEIGHT, 1, pixels).unwrap()
}

/// The same with a bright spot of 5 × 5 pixels: 0.016 % of the frame.
fn spotted(number: usize, (left, top): (u32, u32)) -> Frame {
    let mut pixels = surface(number).into_pixels();
    for (x, y) in (0..5).flat_map(|x| (0..5).map(move |y| (x, y))) {
        pixels[((top + y) * WIDTH + left + x) as usize] = 250;
    }
    Frame::new(WIDTH, HEIGHT, 1, pixels).unwrap()
}

fn dataset(frames: impl Iterator<Item = Frame>) -> Dataset {
    let dataset = Dataset::in_memory();
    for (number, frame) in frames.enumerate() {
        dataset.push_frame(&number.to_string(), frame).unwrap();
    }
    dataset
}

fn view_of(frame: &Frame) -> FrameView<'_> {
    let width = frame.width();
    FrameView::new(frame.pixels(), width, frame.height(), width as usize, PixelFormat::Mono8).unwrap()
}

fn seen(detector: &AnomalyDetector, frame: &Frame) -> Anomaly {
    detector.judge(&[view_of(frame)], true).unwrap().remove(0)
}

fn settings(kind: DetectorKind, size: u32, overlap: f64) -> Config {
    let mut config = config();
    (config.anomaly.kind, config.anomaly.epochs, config.tile) = (kind, 2, Tile { size, overlap });
    config
}

fn fitted(config: &Config, good: &Dataset) -> AnomalyDetector {
    AnomalyDetector::fit(&network(), &view(), config, SessionOptions::default(), good, &mut |_, _| true).unwrap()
}

fn most(numbers: impl Iterator<Item = f32>) -> f32 {
    numbers.fold(0.0, f32::max)
}

/// Two detectors may compute in pieces of other sizes, which rounds otherwise.
fn assert_near(found: &Anomaly, expected: &Anomaly) {
    let near = |a: f32, b: f32, scale: f32| (a - b).abs() <= 5e-3 * scale.max(1e-6);
    assert!(near(found.score, expected.score, expected.score), "{} {}", found.score, expected.score);
    assert_eq!(found.map.len(), expected.map.len());
    let scale = most(expected.map.iter().copied());
    assert!(found.map.iter().zip(&expected.map).all(|(&a, &b)| near(a, b, scale)));
}

#[test]
fn a_small_defect_is_found_in_tiles_and_lost_in_the_whole_frame() {
    let good = dataset((0..12).map(surface));
    let [whole, tiled] = [0, 64].map(|size| fitted(&settings(DetectorKind::PatchCore, size, 0.25), &good));
    let mut missed = 0;
    for (number, place) in [(40, (203, 101)), (41, (10, 300)), (42, (470, 4)), (43, (72, 48))] {
        let bad = spotted(number, place);
        let (found, lost) = (seen(&tiled, &bad), seen(&whole, &bad));
        assert!(found.alarm, "{place:?}: {} of {}", found.score, tiled.threshold().score);
        missed += usize::from(!lost.alarm);
        assert_eq!(found.map.len(), (WIDTH * HEIGHT) as usize);
        let hottest = (0..found.map.len()).max_by(|&a, &b| found.map[a].total_cmp(&found.map[b])).unwrap() as u32;
        let (x, y) = (hottest % WIDTH, hottest / WIDTH);
        assert!(x.abs_diff(place.0 + 2) <= 12 && y.abs_diff(place.1 + 2) <= 12, "{place:?}: hottest at ({x}, {y})");
    }
    // A seventh of good parts may be alarms there: six are held out.
    assert!(missed >= 3, "{missed} of 4 are lost in the whole frame");
    // Frames of one call share batches, and each is judged as if alone.
    let frames: Vec<Frame> = (50..53).map(|number| spotted(number, (number as u32, 77))).collect();
    let views: Vec<FrameView<'_>> = frames.iter().map(view_of).collect();
    for (found, frame) in tiled.judge(&views, true).unwrap().iter().zip(&frames) {
        assert_near(found, &seen(&tiled, frame));
    }
}

/// The frame and what is left of it without its first rows and columns have their tiles at other places. A network sees zeros beside a tile's
/// edges, and of tiles as small as these nearly all of it sees an edge, so the maps differ; half of a tile's overlap, by which edges have next to no
/// weight, halves that at least.
#[test]
fn a_shifted_grid_gives_the_same_map() {
    let good = dataset((0..8).map(surface));
    let apart = |overlap: f64| {
        let detector = fitted(&settings(DetectorKind::PatchCore, 64, overlap), &good);
        let frame = spotted(40, (240, 170));
        // By the largest stride of the maps, so that cells lie at the same pixels.
        let by = 16u32;
        let rows = frame.pixels().chunks_exact(WIDTH as usize).skip(by as usize);
        let pixels = rows.flat_map(|row| &row[by as usize..]).copied().collect();
        let moved = Frame::new(WIDTH - by, HEIGHT - by, 1, pixels).unwrap();
        let (one, other) = (seen(&detector, &frame), seen(&detector, &moved));
        let scale = most(one.map.iter().copied());
        // Where neither has an edge of the frame near.
        let inside = (64..WIDTH - 64).flat_map(|x| (64..HEIGHT - 64).map(move |y| (x, y)));
        let differences = inside.map(|(x, y)| {
            let at = ((y - by) * (WIDTH - by) + x - by) as usize;
            (one.map[(y * WIDTH + x) as usize] - other.map[at]).abs()
        });
        most(differences) / scale
    };
    let (half, none) = (apart(0.5), apart(0.0));
    println!("{half} of the highest heat with an overlap of a half, {none} without");
    assert!(half < 0.3 && none > 1.7 * half, "{half} {none}");
}

#[test]
fn one_tile_as_large_as_the_frame_is_the_frame() {
    for kind in KINDS {
        let good = crate::anomaly::dataset((0..12).map(|number| part(number, false)));
        let [whole, tiled] = [0, 64].map(|size| fitted(&settings(kind, size, 0.5), &good));
        assert!((whole.threshold().score - tiled.threshold().score).abs() <= 5e-3 * whole.threshold().score);
        assert_eq!(whole.memory_size(), tiled.memory_size());
        for pixels in [part(40, false), scratched(41)] {
            assert_near(&judge(&tiled, &pixels), &judge(&whole, &pixels));
        }
    }
}

#[test]
fn masks_and_regions_hold_in_tiles() {
    let roi = Roi { x: 40, y: 30, width: 400, height: 260 };
    // A band across the region, wider than a tile, where every part differs.
    let band = [[150.0, 0.0], [290.0, 0.0], [290.0, 320.0], [150.0, 320.0]];
    let ignored = Ignored::polygon(WIDTH, HEIGHT, &band).unwrap();
    let noisy = |number: usize, frame: Frame| {
        let outside = |x: u32, y: u32| x < roi.x || y < roi.y || x >= roi.x + roi.width || y >= roi.y + roi.height;
        let mut pixels = frame.into_pixels();
        for (at, level) in pixels.iter_mut().enumerate() {
            let (x, y) = (at as u32 % WIDTH, at as u32 / WIDTH);
            if outside(x, y) || (150..290).contains(&x) {
                *level = (x * 37 + y * 91 + number as u32 * 57) as u8;
            }
        }
        Frame::new(WIDTH, HEIGHT, 1, pixels).unwrap()
    };
    for kind in KINDS {
        let good = dataset((0..8).map(|number| noisy(number, surface(number))));
        good.set_ignored(None, Some(ignored.clone())).unwrap();
        let config = settings(kind, 64, 0.25);
        let options = SessionOptions { roi: Some(roi), ..SessionOptions::default() };
        let detector = AnomalyDetector::fit(&network(), &view(), &config, options, &good, &mut |_, _| true).unwrap();
        let clean = seen(&detector, &surface(40));
        let noise = seen(&detector, &noisy(40, surface(40)));
        assert!(clean == noise, "{kind}: not a bit of what is outside counts");
        for (at, &heat) in clean.map.iter().enumerate() {
            let (x, y) = (at as u32 % WIDTH, at as u32 / WIDTH);
            let within = (roi.x..roi.x + roi.width).contains(&x) && (roi.y..roi.y + roi.height).contains(&y);
            let judged = within && !(150..290).contains(&x);
            assert!(heat.is_finite() && (judged || heat == 0.0), "{kind} at ({x}, {y}): {heat}");
            assert!(!judged || kind == DetectorKind::Stfpm || heat > 0.0, "{kind} at ({x}, {y})");
        }
        let bad = seen(&detector, &noisy(40, spotted(40, (60, 250))));
        assert!(kind == DetectorKind::Stfpm || (bad.alarm && !clean.alarm), "{} {}", bad.score, clean.score);
    }
}

#[test]
fn a_file_keeps_the_tiles_and_further_parts_follow_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiled.safetensors");
    for kind in KINDS {
        let good = dataset((0..6).map(surface));
        let config = settings(kind, 64, 0.25);
        let detector = fitted(&config, &good);
        detector.save(&path).unwrap();
        let again = AnomalyDetector::open(&path, SessionOptions::default()).unwrap();
        assert_eq!(again.settings().tile, Tile { size: 64, overlap: 0.25 });
        let bad = spotted(40, (203, 101));
        assert_near(&seen(&again, &bad), &seen(&detector, &bad));
        let error = export_detector(&folder.path().join("a.onnx"), &again, ExportInput::Bytes).unwrap_err();
        assert!(error.kind() == ErrorKind::Unsupported && error.message().contains("tiles"), "{error}");
        if kind == DetectorKind::PatchCore {
            // Whatever the configuration says now.
            let more = dataset((20..24).map(surface));
            again.add(&more, &crate::anomaly::config(), &CancelToken::new(), &mut |_, _| true).unwrap();
            assert_eq!(again.held_out().scores().len(), 3 + 2);
            assert!(seen(&again, &bad).alarm);
        }
        // A frame that holds no tile, among others.
        let small = Frame::new(90, 70, 1, vec![7; 6300]).unwrap();
        let error = again.judge(&[view_of(&bad), view_of(&small)], false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.message().contains("frame 1") && error.message().contains("96×64"), "{error}");
        let mut hostile = read(&path).unwrap();
        let changed = hostile.metadata["anomaly"].replace("\"overlap\":0.25", "\"overlap\":1e9");
        assert!(hostile.metadata.insert("anomaly".to_owned(), changed.clone()).unwrap() != changed);
        let broken = folder.path().join("broken.safetensors");
        write_safetensors(&broken, &hostile.tensors.into_iter().collect::<Vec<_>>(), &hostile.metadata).unwrap();
        let error = AnomalyDetector::open(&broken, SessionOptions::default()).err().unwrap();
        assert!(error.kind() == ErrorKind::Format && error.message().contains("tile.overlap"), "{error}");
    }
    // A file without tiles says nothing of them, as those of earlier versions.
    fitted(&settings(DetectorKind::PatchCore, 0, 0.5), &dataset((0..6).map(surface))).save(&path).unwrap();
    assert!(!read(&path).unwrap().metadata["anomaly"].contains("tile"));
}

#[test]
fn few_parts_give_a_threshold_and_frames_that_hold_no_tile_are_named() {
    // One part, and two: nothing is held out, and the threshold comes of what was learned.
    for (kind, count) in KINDS.into_iter().flat_map(|kind| [(kind, 1), (kind, 2)]) {
        let mut config = settings(kind, 64, 0.25);
        config.anomaly.held_out = 0.0;
        let threshold = fitted(&config, &dataset((0..count).map(surface))).threshold();
        assert!(threshold.score.is_finite() && threshold.score > 0.0 && threshold.rate.is_nan(), "{kind} {count}");
    }
    let good = dataset((0..6).map(surface));
    good.push_frame("small", Frame::new(64, 64, 1, vec![9; 4096]).unwrap()).unwrap();
    for kind in KINDS {
        let config = settings(kind, 64, 0.25);
        let error =
            AnomalyDetector::fit(&network(), &view(), &config, SessionOptions::default(), &good, &mut |_, _| true);
        let error = error.err().unwrap();
        assert!(error.kind() == ErrorKind::InvalidArgument && error.message().contains("small"), "{error}");
    }
    let mut config = Config::default();
    config.parse("tile.size=512 tile.overlap=0.5").unwrap();
    assert_eq!(config.tile, Tile { size: 512, overlap: 0.5 });
    for wrong in ["tile.overlap=0.6", "tile.size=5", "tile.size=40000", "tile.size=-1"] {
        assert_eq!(config.parse(wrong).unwrap_err().kind(), ErrorKind::Config, "{wrong}");
    }
}

/// Set in the process that is measured.
const ALONE: &str = "SEED_TEST_ALONE";

/// The process's peak of resident memory, in bytes.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
}

/// Beside the caller's frame there is one copy of it and its heat map; what tiles need does not grow with their number. SEED_SWEEP takes a
/// line scan of 16,384 × 8,192.
#[test]
fn memory_is_bounded_whatever_the_frames_size() {
    if std::env::var_os(ALONE).is_none() {
        let name = "memory_is_bounded_whatever_the_frames_size";
        let output = alone::command(module_path!(), name).env(ALONE, "1").output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        println!("{said}");
        return;
    }
    let (width, height, size) = match std::env::var_os("SEED_SWEEP") {
        Some(_) => (16_384u32, 8_192u32, 224),
        None => (8_192, 2_048, 128),
    };
    let detector = fitted(&settings(DetectorKind::PatchCore, 64, 0.25), &dataset((0..6).map(surface)));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("detector.safetensors");
    detector.save(&path).unwrap();
    // The same with larger tiles.
    let mut changed = read(&path).unwrap();
    let about = changed.metadata["anomaly"].replace("\"size\":64", &format!("\"size\":{size}"));
    changed.metadata.insert("anomaly".to_owned(), about);
    write_safetensors(&path, &changed.tensors.into_iter().collect::<Vec<_>>(), &changed.metadata).unwrap();
    let detector = AnomalyDetector::open(&path, SessionOptions::default()).unwrap();
    assert_eq!(detector.settings().tile.size, size);
    let pixels: Vec<u8> = (0..width as usize * height as usize)
        .map(|at| ((at.wrapping_mul(2_654_435_761) >> 28) as u8 & 31) + 100)
        .collect();
    let frame = Frame::new(width, height, 1, pixels).unwrap();
    // What is made once.
    let _small =
        seen(&detector, &Frame::new(width, size, 1, frame.pixels()[..(width * size) as usize].to_vec()).unwrap());
    let bytes = frame.pixels().len();
    let grid = detector.settings().tile.grid(&view(), width, height).unwrap();
    for maps in [false, true] {
        let before = peak();
        let started = std::time::Instant::now();
        let judged = detector.judge(&[view_of(&frame)], maps).unwrap().remove(0);
        assert!(judged.score.is_finite() && judged.map.len() == if maps { bytes } else { 0 });
        let more = peak() - before;
        let known = bytes + if maps { 4 * bytes } else { 0 };
        println!(
            "{width}×{height}, {} tiles, maps {maps}: {} MiB more at most, {:.1} s",
            grid.count(),
            more >> 20,
            started.elapsed().as_secs_f32()
        );
        assert!(more < known + (32 << 20), "{more} bytes more for a frame of {bytes}");
        // All tiles as images of the network, which nobody may hold at once.
        assert!(grid.count() * view().view_len() * 4 > 64 << 20);
    }
}

#[test]
fn a_session_of_a_centre_crop_sees_tiles_whole() {
    // Students of ImageNet's protocol see the middle of a frame; of tiles nothing may be lost.
    let input = Input { resize: seed::data::Resize::Centre, ..view() };
    let config = settings(DetectorKind::PatchCore, 64, 0.0);
    let good = dataset((0..6).map(surface));
    let detector =
        AnomalyDetector::fit(&network(), &input, &config, SessionOptions::default(), &good, &mut |_, _| true).unwrap();
    assert!(detector.warnings().list().iter().all(|line| !line.contains("centre")), "{:?}", detector.warnings().list());
    let found = seen(&detector, &spotted(40, (475, 315)));
    assert!(found.alarm && found.map.iter().all(|&heat| heat > 0.0));
}
