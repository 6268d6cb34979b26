//! Frames of more than 8 bits: what every format holds, which levels a range makes of it, and what files and data sets keep.
//! tests/golden/make_depth.py makes the frames with NumPy, OpenCV and Pillow.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use seed::ErrorKind;
use seed::data::decode::{decode_bytes, decode_described};
use seed::data::scale::Reading;
use seed::data::{Dataset, Encoding, Frame, FrameView, Input, Loader, PixelFormat, Range, RangeKind, RawFrame};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    frames: Vec<Case>,
    ranges: Vec<Ranged>,
    files: Vec<File>,
}

/// A frame in memory, what it holds and its levels by the full range.
#[derive(Deserialize)]
struct Case {
    name: String,
    format: i32,
    width: u32,
    height: u32,
    stride: usize,
    bytes: String,
    bits: u8,
    channels: u8,
    samples: Vec<f64>,
    levels: String,
}

/// A frame and its levels by some ranges.
#[derive(Deserialize)]
struct Ranged {
    name: String,
    format: i32,
    width: u32,
    height: u32,
    bytes: String,
    cases: Vec<Levels>,
}

#[derive(Deserialize)]
struct Levels {
    range: Range,
    levels: String,
}

/// A file and what others read of it.
#[derive(Deserialize)]
struct File {
    name: String,
    bytes: String,
    bits: u8,
    channels: u8,
    samples: Vec<f64>,
}

fn golden() -> Golden {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/depth.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn bytes(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap()
}

fn samples(frame: &RawFrame) -> Vec<f64> {
    let count = frame.width() as usize * frame.height() as usize * usize::from(frame.channels());
    (0..count).map(|i| frame.sample(i)).collect()
}

/// Red, green and blue of each pixel.
fn colours(frame: &Frame) -> Vec<u8> {
    match frame.channels() {
        1 => frame.pixels().iter().flat_map(|&level| [level; 3]).collect(),
        _ => frame.pixels().to_vec(),
    }
}

fn same(frame: &Frame, levels: &[u8], channels: u8) -> bool {
    if channels == 1 { frame.pixels() == levels } else { colours(frame) == levels }
}

#[test]
fn every_format_holds_what_others_put_into_it() {
    let cases = golden().frames;
    assert_eq!(cases.len(), 9 * 5 + 8 * 3);
    for case in cases {
        let name = format!("{} {}×{}", case.name, case.width, case.height);
        let (buffer, levels) = (bytes(&case.bytes), bytes(&case.levels));
        let format = PixelFormat::from_code(case.format).unwrap();
        let view = FrameView::new(&buffer, case.width, case.height, case.stride, format).unwrap();
        let raw = RawFrame::copy_of(&view, vec![9; 3]).unwrap();
        assert_eq!((raw.bits(), raw.channels()), (case.bits, case.channels), "{name}");
        assert_eq!(samples(&raw), case.samples, "{name}");
        assert_eq!(RawFrame::copy_of(&raw.view(), Vec::new()).unwrap(), raw, "{name}");
        for frame in [view.to_frame().unwrap(), raw.to_frame(&Range::FULL).unwrap()] {
            assert!(same(&frame, &levels, case.channels), "{name}: {:?}, expected {levels:?}", frame.pixels());
        }
        // One byte less, one column more, a stride that is too short, and strides without end.
        let refused = |length: usize, width, stride| {
            let error = FrameView::new(&buffer[..length], width, case.height, stride, format).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{name}");
        };
        refused(buffer.len() - 1, case.width, case.stride);
        refused(buffer.len(), case.width + 8, case.stride);
        refused(buffer.len(), case.width, format.row_bytes(case.width) as usize - 1);
        refused(buffer.len(), u32::MAX, usize::MAX);
        if case.height > 1 {
            refused(buffer.len(), case.width, usize::MAX);
            refused(buffer.len(), case.width, usize::MAX / 2);
        }
    }
}

#[test]
fn levels_are_those_of_the_formula() {
    for frame in golden().ranges {
        let buffer = bytes(&frame.bytes);
        let format = PixelFormat::from_code(frame.format).unwrap();
        let stride = format.row_bytes(frame.width) as usize;
        let view = FrameView::new(&buffer, frame.width, frame.height, stride, format).unwrap();
        let raw = RawFrame::copy_of(&view, Vec::new()).unwrap();
        for case in frame.cases {
            let (name, levels) = (format!("{} {:?}", frame.name, case.range), bytes(&case.levels));
            let (mut spare, channels) = (Vec::new(), raw.channels());
            for found in [
                raw.to_frame(&case.range).unwrap(),
                raw.clone().into_frame(&case.range).unwrap(),
                view.to_frame_by(&case.range, Vec::new(), &mut spare).unwrap(),
            ] {
                assert!(same(&found, &levels, channels), "{name}");
            }
            let text = serde_json::to_string(&case.range).unwrap();
            assert_eq!(serde_json::from_str::<Range>(&text).unwrap(), case.range, "{text}");
        }
    }
}

/// A ramp of 4096 samples, one of each, 64 a row.
fn ramp() -> Vec<u8> {
    (0..4096u16).flat_map(u16::to_ne_bytes).collect()
}

#[test]
fn twelve_bits_have_256_levels() {
    let distinct = |frame: &Frame| frame.pixels().iter().collect::<std::collections::BTreeSet<_>>().len();
    let buffer = ramp();
    for format in [PixelFormat::Mono16, PixelFormat::Mono12] {
        let view = FrameView::new(&buffer, 64, 64, 128, format).unwrap();
        let by = |range: &Range| distinct(&view.to_frame_by(range, Vec::new(), &mut Vec::new()).unwrap());
        assert_eq!(by(&Range::FULL), if format == PixelFormat::Mono12 { 256 } else { 16 });
        assert_eq!(by(&Range::fixed(0.0, 4095.0)), 256);
        assert_eq!(by(&Range::of_frame(0.0, 100.0)), 256);
    }
    // 300 grey levels in the dark of a data set of two.
    let dark: Vec<u8> = (0..600u16).map(|i| 1000 + i / 2).flat_map(u16::to_ne_bytes).collect();
    let dataset = Dataset::in_memory();
    for name in ["a", "b"] {
        dataset.push(name, &FrameView::new(&dark, 30, 20, 60, PixelFormat::Mono12).unwrap()).unwrap();
    }
    assert!(distinct(&dataset.load(0).unwrap()) < 21);
    let measured = Range { kind: RangeKind::Dataset, ..Range::of_frame(0.0, 100.0) };
    let found = dataset.set_range(measured).unwrap();
    assert_eq!((found.kind, found.low, found.high), (RangeKind::Fixed, 1000.0, 1299.0));
    assert_eq!(dataset.range(), Some(found));
    assert_eq!(distinct(&dataset.load(1).unwrap()), 256);
}

#[test]
fn what_makes_no_levels_is_refused() {
    let frame = |format, samples: &[u16]| {
        let buffer: Vec<u8> = samples.iter().flat_map(|sample| sample.to_ne_bytes()).collect();
        FrameView::new(&buffer, samples.len() as u32, 1, buffer.len(), format).unwrap().to_frame()
    };
    for (format, most) in [(PixelFormat::Mono10, 1023), (PixelFormat::Mono12, 4095), (PixelFormat::Mono14, 16383)] {
        assert!(frame(format, &[0, most]).is_ok());
        let error = frame(format, &[0, 1, most + 1]).unwrap_err();
        assert!(error.message().contains(&format!("pixel (2, 0) is {}", most + 1)), "{error}");
        assert!(error.message().contains("Mono16"), "{error}");
    }
    assert!(frame(PixelFormat::BayerRg12, &[1, 2]).unwrap_err().message().contains("2×1"));
    let floats = |numbers: &[f32]| {
        let buffer: Vec<u8> = numbers.iter().flat_map(|number| number.to_ne_bytes()).collect();
        let view = FrameView::new(&buffer, numbers.len() as u32, 1, buffer.len(), PixelFormat::MonoF32).unwrap();
        RawFrame::copy_of(&view, Vec::new())
    };
    for (number, words) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (f32::NEG_INFINITY, "-inf")] {
        let error = floats(&[0.0, number]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert_eq!(error.message(), format!("pixel (1, 0) is {words}, expected a finite number"));
    }
    // Numbers that the full range clamps are told, unless a range was set.
    let dataset = Dataset::in_memory();
    dataset.push_raw("large", floats(&[0.5, 300.0]).unwrap()).unwrap();
    dataset.load_by(0, &Range::fixed(0.0, 300.0)).unwrap();
    assert!(dataset.warnings().list().is_empty());
    assert_eq!(dataset.load(0).unwrap().pixels(), [128, 255]);
    assert!(dataset.warnings().text().contains("grey floats outside [0, 1]"));
    // Any finite numbers are taken, and a frame of one number divides by nothing.
    let wide = floats(&[f32::MIN, 0.0, f32::MAX]).unwrap();
    assert_eq!(wide.to_frame(&Range::of_frame(0.0, 100.0)).unwrap().pixels(), [0, 128, 255]);
    let flat = floats(&[7.5; 4]).unwrap();
    assert_eq!(flat.to_frame(&Range::of_frame(1.0, 99.0)).unwrap().pixels(), [0; 4]);
    assert_eq!(
        floats(&[3.0, 3.0, 3.0, 9.0]).unwrap().to_frame(&Range::of_frame(0.0, 50.0)).unwrap().pixels(),
        [0, 0, 0, 255]
    );
    let bad = |range: Range, words: &str| {
        let error = flat.to_frame(&range).unwrap_err();
        assert!(error.message().contains(words), "{error}");
        assert_eq!(Dataset::in_memory().set_range(range).unwrap_err().kind(), error.kind());
    };
    let nan = f64::NAN;
    for range in
        [Range::fixed(5.0, 5.0), Range::fixed(5.0, 4.0), Range::fixed(nan, 1.0), Range::fixed(0.0, f64::INFINITY)]
    {
        bad(range, "expected numbers with low < high");
    }
    for (low, high) in [(50.0, 50.0), (-1.0, 99.0), (0.0, 100.5), (nan, 99.0), (0.0, nan)] {
        bad(Range::of_frame(low, high), "expected 0 ≤ low < high ≤ 100");
    }
    for gamma in [0.0, -1.0, nan, 1000.0] {
        bad(Range { gamma, ..Range::FULL }, "range.gamma");
    }
    bad(Range { kind: RangeKind::Dataset, ..Range::FULL }, "");
    for text in [
        r#"{"kind":"fixed","low":1,"high":1,"gamma":1}"#,
        r#"{"kind":"some","gamma":1}"#,
        r#"{"kind":"full","gamma":1,"x":2}"#,
    ] {
        assert!(serde_json::from_str::<Range>(text).is_err(), "{text}");
    }
}

#[test]
fn percentiles_of_a_data_set_need_one_depth_and_two_samples() {
    let dataset = Dataset::in_memory();
    let measured = Range { kind: RangeKind::Dataset, ..Range::of_frame(1.0, 99.0) };
    let refused = |words: &str| {
        let error = dataset.set_range(measured).unwrap_err();
        assert!(error.message().contains(words), "{error}");
        assert_eq!(dataset.range(), None);
    };
    refused("is empty");
    let buffer = ramp();
    dataset.push("flat", &FrameView::new(&[7; 16], 4, 4, 4, PixelFormat::Mono8).unwrap()).unwrap();
    refused("are both 7");
    dataset.push("deep", &FrameView::new(&buffer, 64, 64, 128, PixelFormat::Mono12).unwrap()).unwrap();
    refused("image deep: one frame has 8 bits");
    // What a fixed one says is in each frame's own samples.
    dataset.set_range(Range::fixed(0.0, 14.0)).unwrap();
    assert_eq!(dataset.load(0).unwrap().pixels(), [128; 16]);
}

#[test]
fn a_range_is_a_data_sets_own_and_part_of_its_identity() {
    let buffer = ramp();
    let dataset = Dataset::in_memory();
    dataset.push("ramp", &FrameView::new(&buffer, 64, 64, 128, PixelFormat::Mono12).unwrap()).unwrap();
    let plain = dataset.identity();
    let full = dataset.load(0).unwrap();
    let range = Range::fixed(100.0, 355.0);
    // Without a range of its own it is read by whoever asks.
    let asked = dataset.load_by(0, &range).unwrap();
    assert_eq!(asked.pixels()[100..356], (0..=255).collect::<Vec<u8>>());
    assert_eq!(dataset.seen_by(&Input { range, ..Input::default() }).unwrap().range, range);
    assert!(Arc::ptr_eq(&asked, &dataset.load_by(0, &range).unwrap()), "it is kept");
    dataset.set_range(range).unwrap();
    assert_eq!(dataset.load(0).unwrap(), asked);
    assert_eq!(dataset.load_by(0, &Range::FULL).unwrap(), asked, "its own counts");
    assert_eq!(dataset.subset(&[0]).unwrap().load(0).unwrap(), asked);
    assert_ne!(dataset.identity(), plain);
    dataset.set_range(Range::fixed(100.0, 356.0)).unwrap();
    let other = dataset.identity();
    dataset.set_range(range).unwrap();
    assert_ne!(dataset.identity(), other);
    // A loader shows the same as the ranged frame does.
    let view = Input { width: 16, height: 16, ..Input::default() };
    let levels = Dataset::in_memory();
    levels.push_frame("ramp", (*asked).clone()).unwrap();
    let batch = |dataset: Dataset, view: &Input| {
        let mut loader = Loader::views(Arc::new(dataset), (*view).into(), 3, 2, 0..2, 1).unwrap();
        loader.next().unwrap().unwrap().views[0].pixels.clone()
    };
    let expected = batch(levels, &view);
    assert_eq!(batch(dataset.subset(&[0]).unwrap(), &view), expected);
    dataset.set_range(Range::FULL).unwrap();
    assert_eq!((dataset.load(0).unwrap(), dataset.identity()), (full, plain));
    let unset = Dataset::in_memory();
    unset.push("ramp", &FrameView::new(&buffer, 64, 64, 128, PixelFormat::Mono12).unwrap()).unwrap();
    assert_eq!(batch(unset, &Input { range, ..view }), expected);
}

#[test]
fn frames_of_8_bits_have_ranges_too() {
    let pixels: Vec<u8> = (0..=255).collect();
    let dataset = Dataset::in_memory();
    dataset.push("grey", &FrameView::new(&pixels, 16, 16, 16, PixelFormat::Mono8).unwrap()).unwrap();
    let shared = dataset.load(0).unwrap();
    assert!(Arc::ptr_eq(&shared, &dataset.load(0).unwrap()));
    dataset.set_range(Range { gamma: 0.5, ..Range::fixed(20.0, 180.0) }).unwrap();
    let expected: Vec<u8> =
        (0..256).map(|s| (255.0 * ((f64::from(s) - 20.0) / 160.0).clamp(0.0, 1.0).sqrt() + 0.5) as u8).collect();
    assert_eq!(dataset.load(0).unwrap().pixels(), expected);
    dataset.set_range(Range { gamma: 2.0, ..Range::FULL }).unwrap();
    let expected: Vec<u8> = (0..256).map(|s| (f64::from(s * s) / 255.0 + 0.5) as u8).collect();
    assert_eq!(dataset.load(0).unwrap().pixels(), expected);
}

#[test]
fn files_keep_their_depth() {
    let files = golden().files;
    assert_eq!(files.len(), 7);
    let folder = tempfile::tempdir().unwrap();
    for file in &files {
        let content = bytes(&file.bytes);
        let decoded = decode_described(&file.name, &content).unwrap();
        let frame = decoded.frame;
        assert_eq!(
            (frame.bits(), frame.channels(), decoded.bits),
            (file.bits, file.channels, file.bits),
            "{}",
            file.name
        );
        assert_eq!(samples(&frame), file.samples, "{}", file.name);
        let upper: Vec<u8> = file.samples.iter().map(|&sample| (sample as u32 >> (file.bits - 8)) as u8).collect();
        assert!(same(&decode_bytes(&file.name, &content).unwrap(), &upper, file.channels), "{}", file.name);
        // From a folder and as pushed bytes, by a range.
        std::fs::write(folder.path().join(&file.name), &content).unwrap();
        let pushed = Dataset::in_memory();
        pushed.push_raw(&file.name, frame.clone()).unwrap();
        let range = Range::fixed(300.0, 9000.0);
        pushed.set_range(range).unwrap();
        let folder = Dataset::from_files(vec![folder.path().join(&file.name)]).unwrap();
        folder.set_range(range).unwrap();
        let expected = frame.to_frame(&range).unwrap();
        assert_eq!((&*pushed.load(0).unwrap(), &*folder.load(0).unwrap()), (&expected, &expected), "{}", file.name);
        assert_eq!(*folder.load_raw(0).unwrap(), frame);
        let scaled = folder.load_scaled(0, &Range::FULL, |_, _| Reading { scale: 8, keep: true }).unwrap();
        assert_eq!(*scaled.frame, expected, "kept by range");
    }
}

#[test]
fn png_gives_every_sample_and_its_bits_back() {
    for case in golden().frames {
        if case.bits > 16 {
            continue;
        }
        let buffer = bytes(&case.bytes);
        let format = PixelFormat::from_code(case.format).unwrap();
        let view = FrameView::new(&buffer, case.width, case.height, case.stride, format).unwrap();
        let raw = RawFrame::copy_of(&view, Vec::new()).unwrap();
        let file = raw.encode(Encoding::Png).unwrap();
        let read = decode_described("it", &file).unwrap();
        let name = format!("{} {}×{}", case.name, case.width, case.height);
        // A single pixel of a mosaic or of colour may be grey.
        if read.frame.channels() == raw.channels() {
            assert_eq!((samples(&read.frame), read.bits), (case.samples, case.bits), "{name}");
        }
        // To others the samples lie in the upper bits.
        let theirs = image::load_from_memory(&file).unwrap();
        let first = if case.bits == 8 {
            u32::from(theirs.to_rgb8()[(0, 0)].0[0])
        } else {
            theirs.to_rgb16()[(0, 0)].0[0].into()
        };
        let up = if case.bits == 8 { 0 } else { 16 - case.bits };
        assert_eq!(first, (raw.sample(0) as u32) << up, "{name}");
        let chunk = file.windows(4).position(|kind| kind == b"sBIT");
        assert_eq!(chunk.map(|at| file[at + 4]), (9..16).contains(&case.bits).then_some(case.bits), "{name}");
    }
}
