//! Frames of more than 8 bits in sessions, detectors and classifiers: what sees them by a range gives what it gives for frames that were
//! made levels by hand, and files keep the range of the data set that was learned from.

use std::sync::Arc;

use seed::ErrorKind;
use seed::config::Config;
use seed::data::{Dataset, Frame, FrameView, Input, PixelFormat, Range, RangeKind, RawFrame};
use seed::eval::{DriftReference, Embeddings};
use seed::infer::anomaly::AnomalyDetector;
use seed::infer::{Classifier, Session, SessionOptions};
use seed::model::student_file::{StudentHeader, save_student};
use seed::model::{Architecture, Head, Network};
use seed::train::finetune::{Labelled, Start, finetune};
use seed::train::{CancelToken, Control};
use tch::Device;

const SIDE: usize = 40;

/// Samples of 12 bits between 900 and 1200: stripes across or along that the upper 8 bits hardly show.
fn samples(number: usize, across: bool) -> Vec<u8> {
    let sample = |x: usize, y: usize| {
        let place = if across { x } else { y };
        900 + ((place + number).is_multiple_of(4) as usize * 200 + (x * y + 7 * number) % 97) as u16
    };
    (0..SIDE * SIDE).flat_map(|place| sample(place % SIDE, place / SIDE).to_ne_bytes()).collect()
}

fn view_of(bytes: &[u8]) -> FrameView<'_> {
    FrameView::new(bytes, SIDE as u32, SIDE as u32, 2 * SIDE, PixelFormat::Mono12).unwrap()
}

/// The levels of a frame of 12 bits between two samples, in float64.
fn levels(bytes: &[u8], low: f64, high: f64) -> Vec<u8> {
    let level = |sample: [u8; 2]| {
        let part = (f64::from(u16::from_ne_bytes(sample)) - low) / (high - low);
        (255.0 * part.clamp(0.0, 1.0) + 0.5).floor() as u8
    };
    bytes.as_chunks().0.iter().map(|&sample| level(sample)).collect()
}

fn grey(pixels: &[u8]) -> FrameView<'_> {
    FrameView::new(pixels, SIDE as u32, SIDE as u32, SIDE, PixelFormat::Mono8).unwrap()
}

fn network() -> Network {
    Network::new(Architecture::ResNet10, Head::Projection { hidden: 8, dim: 8 }, 5, Device::Cpu).unwrap()
}

fn view(range: Range) -> Input {
    Input { width: 32, height: 32, range, ..Input::default() }
}

fn near(a: &[f32], b: &[f32]) -> bool {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5)
}

#[test]
fn a_session_with_a_range_sees_what_was_ranged_by_hand() {
    let (low, high) = (920.0, 1210.5);
    let network = network();
    let session = |range, options| Session::new(&network, &view(range), options).unwrap();
    let plain = session(Range::FULL, SessionOptions::default());
    let ranged = session(Range::fixed(low, high), SessionOptions::default());
    let deep: Vec<Vec<u8>> = (0..5).map(|number| samples(number, number % 2 == 0)).collect();
    let flat: Vec<Vec<u8>> = deep.iter().map(|bytes| levels(bytes, low, high)).collect();
    let (deep, flat): (Vec<_>, Vec<_>) =
        (deep.iter().map(|b| view_of(b)).collect(), flat.iter().map(|b| grey(b)).collect());
    let expected = plain.embed(&flat).unwrap();
    assert!(near(&ranged.embed(&deep).unwrap(), &expected));
    assert!(!near(&plain.embed(&deep).unwrap(), &expected), "the upper 8 bits show something else");
    // What the session's own settings say counts.
    let chosen = SessionOptions { range: Some(Range::fixed(low, high)), ..SessionOptions::default() };
    assert!(near(&session(Range::FULL, chosen).embed(&deep).unwrap(), &expected));
    // Bytes for exported students, and feature maps.
    let bytes = |session: &Session, frames: &[FrameView<'_>]| {
        let mut out = vec![0; frames.len() * session.input().view_len()];
        session.preprocess(frames.len(), |i| Ok(frames[i]), &mut out).unwrap();
        out
    };
    assert_eq!(bytes(&ranged, &deep), bytes(&plain, &flat));
    let stage = plain.stages()[0].name.clone();
    let map = |session: &Session, frames: &[FrameView<'_>]| -> Vec<f32> {
        session.feature_maps(frames, &[&stage]).unwrap()[0].flatten(0, -1).try_into().unwrap()
    };
    assert!(near(&map(&ranged, &deep), &map(&plain, &flat)));
    // Each frame by its own percentiles.
    let by_frame = session(Range::of_frame(0.0, 100.0), SessionOptions::default());
    let own: Vec<Frame> = deep
        .iter()
        .map(|frame| RawFrame::copy_of(frame, Vec::new()).unwrap().to_frame(&Range::of_frame(0.0, 100.0)).unwrap())
        .collect();
    let own: Vec<FrameView<'_>> = own.iter().map(|frame| grey(frame.pixels())).collect();
    assert!(near(&by_frame.embed(&deep).unwrap(), &plain.embed(&own).unwrap()));
    // A data set is seen by the session's range, unless it has its own, of which the session warns.
    let dataset = Arc::new(Dataset::in_memory());
    for (number, frame) in deep.iter().enumerate() {
        dataset.push(&number.to_string(), frame).unwrap();
    }
    let rows = |session: &Session| session.embed_dataset(&dataset, 2, 1, &mut |_, _| true).unwrap();
    assert!(near(&rows(&ranged), &expected));
    assert!(!near(&rows(&plain), &expected) && plain.warnings().list().is_empty());
    dataset.set_range(Range::fixed(low, high)).unwrap();
    assert!(near(&rows(&plain), &expected) && near(&rows(&ranged), &expected));
    assert!(plain.warnings().list()[0].contains("range of its own") && ranged.warnings().list().is_empty());
    let unmeasured = view(Range { kind: RangeKind::Dataset, ..Range::FULL });
    let refused = Session::new(&network, &unmeasured, SessionOptions::default()).err().unwrap();
    assert!(refused.message().contains("measured first"), "{refused}");
}

#[test]
fn files_keep_the_range_and_old_ones_have_the_full_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("student.safetensors");
    let network = network();
    let range = Range { gamma: 0.7, ..Range::fixed(850.25, 1290.0) };
    let opened = |options| Session::open(&path, options).unwrap();
    for range in [range, Range::of_frame(0.5, 99.5), Range::FULL] {
        save_student(&path, &network, &StudentHeader::new(&network, &view(range))).unwrap();
        assert_eq!(opened(SessionOptions::default()).input().range, range);
        let other = SessionOptions { range: Some(Range::fixed(1.0, 2.0)), ..SessionOptions::default() };
        assert_eq!(opened(other).input().range, Range::fixed(1.0, 2.0));
    }
    let text = std::fs::read(&path).unwrap();
    assert!(!text.windows(7).any(|word| word == b"\"range\""), "a file of the full range says nothing, as old ones do");
    let unmeasured = view(Range { kind: RangeKind::Dataset, ..Range::FULL });
    assert!(save_student(&path, &network, &StudentHeader::new(&network, &unmeasured)).is_err());
    // A drift reference belongs to sessions that see by its range.
    let session = |range| Session::new(&network, &view(range), SessionOptions::default()).unwrap();
    let rows = session(range).embed(&vec![view_of(&samples(1, true)); 40]).unwrap();
    let rows: Vec<f32> = rows.iter().enumerate().map(|(i, value)| value + (i as f32 * 0.37).sin() * 0.1).collect();
    let drift = DriftReference::new(&Embeddings::new(&rows, 8).unwrap()).unwrap();
    drift.belong_to(session(range).input()).unwrap();
    let file = folder.path().join("drift.safetensors");
    drift.save(&file).unwrap();
    let loaded = DriftReference::load(&file).unwrap();
    loaded.belong_to(session(range).input()).unwrap();
    let refused = loaded.belong_to(session(Range::FULL).input()).unwrap_err();
    assert!(refused.kind() == ErrorKind::Mismatch && refused.message().contains("range.low=850.25"), "{refused}");
}

fn config(pairs: &str) -> Config {
    let mut config = Config::default();
    config.parse("device=cpu precision=fp32 workers=1").unwrap();
    config.parse(pairs).unwrap();
    config
}

#[test]
fn a_detector_keeps_the_range_of_its_good_parts() {
    let deep = Dataset::in_memory();
    for number in 0..20 {
        deep.push(&number.to_string(), &view_of(&samples(number, true))).unwrap();
    }
    let measured = Range { kind: RangeKind::Dataset, ..Range::of_frame(0.0, 100.0) };
    let range = deep.set_range(measured).unwrap();
    let (low, high) = (range.low, range.high);
    assert!((900.0..910.0).contains(&low) && (1190.0..1200.0).contains(&high), "{range:?}");
    let flat = Dataset::in_memory();
    for number in 0..20 {
        flat.push(&number.to_string(), &grey(&levels(&samples(number, true), low, high))).unwrap();
    }
    let config = config("anomaly.memory_min=0 anomaly.held_out=0.5 anomaly.false_alarm_rate=0.2");
    let fit = |dataset: &Dataset| {
        let options = SessionOptions::of(&config, seed::infer::Output::Features).unwrap();
        AnomalyDetector::fit(&network(), &view(Range::FULL), &config, options, dataset, &mut |_, _| true).unwrap()
    };
    let (detector, by_hand) = (fit(&deep), fit(&flat));
    assert_eq!(detector.threshold().score, by_hand.threshold().score);
    let unseen = samples(77, false);
    let found = detector.judge(&[view_of(&unseen)], true).unwrap().remove(0);
    let expected = by_hand.judge(&[grey(&levels(&unseen, low, high))], true).unwrap().remove(0);
    assert!((found.score - expected.score).abs() < 1e-4 * expected.score && near(&found.map, &expected.map));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("detector.safetensors");
    detector.save(&path).unwrap();
    let opened = AnomalyDetector::open(&path, SessionOptions::default()).unwrap();
    let again = opened.judge(&[view_of(&unseen)], true).unwrap().remove(0);
    assert!((again.score - found.score).abs() < 1e-4 * found.score);
    let other = SessionOptions { range: Some(Range::FULL), ..SessionOptions::default() };
    let dark = AnomalyDetector::open(&path, other).unwrap().judge(&[view_of(&unseen)], false).unwrap().remove(0);
    assert!((dark.score - found.score).abs() > 1e-2 * found.score, "{} and {}", dark.score, found.score);
    // Further parts are seen by the same range or not at all.
    let progress = &mut |_: usize, _: usize| true;
    opened.add(&deep, &config, &CancelToken::new(), progress).unwrap();
    deep.set_range(Range::fixed(0.0, 4095.0)).unwrap();
    let refused = opened.add(&deep, &config, &CancelToken::new(), progress).unwrap_err();
    assert!(refused.kind() == ErrorKind::Mismatch && refused.message().contains("range.high=4095"), "{refused}");
}

#[test]
fn a_classifier_keeps_the_range_of_its_labelled_frames() {
    let (low, high) = (900.0, 1200.0);
    let dataset = |deep: bool| {
        let dataset = Dataset::in_memory();
        for number in 0..24 {
            let bytes = samples(number, number % 2 == 0);
            let name = number.to_string();
            match deep {
                true => dataset.push(&name, &view_of(&bytes)).unwrap(),
                false => dataset.push(&name, &grey(&levels(&bytes, low, high))).unwrap(),
            };
        }
        Arc::new(dataset)
    };
    let labels: Vec<i32> = (0..24).map(|number| number % 2).collect();
    let names = ["across".to_owned(), "along".to_owned()];
    let fit = |dataset: &Arc<Dataset>, config: &Config| {
        let network = network();
        let start = Start::student(&network, &StudentHeader::new(&network, &view(Range::FULL))).unwrap();
        let images = Labelled { dataset, labels: &labels, names: &names };
        finetune(config, start, None, &images, &CancelToken::new(), |_| Control::Continue).unwrap().0
    };
    let by_hand = fit(&dataset(false), &config(""));
    let unseen = samples(51, false);
    let expected = by_hand.classify(&[grey(&levels(&unseen, low, high))]).unwrap();
    // The range is the data set's, or the configuration's where that has none.
    let ranged = dataset(true);
    ranged.set_range(Range::fixed(low, high)).unwrap();
    let other = config("range=fixed range.low=0 range.high=4095");
    let own = config("range=fixed range.low=900 range.high=1200");
    for classifier in [fit(&ranged, &config("")), fit(&ranged, &other), fit(&dataset(true), &own)] {
        assert_eq!(classifier.input().range, Range::fixed(low, high));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("classifier.safetensors");
        classifier.save(&path).unwrap();
        for classifier in [classifier, Classifier::open(&path, SessionOptions::default()).unwrap()] {
            let found = classifier.classify(&[view_of(&unseen)]).unwrap();
            assert!(near(found.of(0), expected.of(0)), "{:?}, expected {:?}", found.of(0), expected.of(0));
        }
    }
}
