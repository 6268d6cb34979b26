//! The frame store: what is kept, what is found again, who may come in, and what hostile files get.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use crate::skipped::skip;
use seed::data::{Encoding, FrameView, PixelFormat, Range, RawFrame};
use seed::store::{Entry, Filter, Keep, Labelled, Store, StoreOptions, check, repair};
use seed::{Error, ErrorKind};

const NOW: Duration = Duration::ZERO;
const PATIENT: Duration = Duration::from_secs(60);

/// 12×10 grey pixels that say which frame they are.
fn pixels(number: u64) -> Vec<u8> {
    (0..120).map(|i| (number.wrapping_mul(31).wrapping_add(i * i * 7) % 251) as u8).collect()
}

fn view(pixels: &[u8]) -> FrameView<'_> {
    FrameView::new(pixels, 12, 10, 12, PixelFormat::Mono8).unwrap()
}

fn push(store: &Store, number: u64, entry: Entry) -> Option<i64> {
    store.push(&view(&pixels(number)), entry, PATIENT).unwrap()
}

fn all(store: &Store) -> Vec<i64> {
    store.list(&Filter::default()).unwrap()
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("line.seed");
    (folder, path)
}

#[test]
fn what_was_pushed_is_found_again_after_opening_again() {
    let (_folder, path) = folder();
    let store = Store::open(&path, &StoreOptions::default()).unwrap();
    let entry = Entry {
        name: "camera 1".to_owned(),
        time_us: Some(1_700_000_000_000_000),
        metadata: r#"{"part": 17}"#.to_owned(),
        embedding: Some(vec![3.0, 0.0, 4.0]),
        label: Some((2, "crack".to_owned())),
    };
    let id = push(&store, 5, entry).unwrap();
    let plain = push(&store, 6, Entry::default()).unwrap();
    assert_eq!((id, plain), (1, 2));
    drop(store);
    let store = Store::open(&path, &StoreOptions::default()).unwrap();
    assert_eq!(all(&store), [1, 2]);
    assert_eq!(store.load(1).unwrap().pixels(), pixels(5));
    let record = store.record(1).unwrap();
    assert_eq!(
        (record.name.as_str(), record.time_us, record.width, record.height),
        ("camera 1", 1_700_000_000_000_000, 12, 10)
    );
    assert_eq!((record.channels, record.bits, record.encoding.as_str()), (1, 8, "png"));
    assert_eq!((record.label, record.metadata.as_str()), (Some((2, "crack".to_owned())), r#"{"part": 17}"#));
    assert_eq!(store.embedding(1).unwrap(), Some(vec![0.6, 0.0, 0.8]));
    assert_eq!(store.embedding(2).unwrap(), None);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as i64;
    assert!((now - 60_000_000..=now).contains(&store.record(2).unwrap().time_us));
    assert_eq!(push(&store, 7, Entry::default()), Some(3), "a closed store goes on with the next number");
    assert_eq!(store.record(99).unwrap_err().kind(), ErrorKind::InvalidArgument);
}

#[test]
fn every_format_and_depth_is_kept() {
    let (_folder, path) = folder();
    let store = Store::open(&path, &StoreOptions::default()).unwrap();
    let bytes: Vec<u8> = (0..6 * 4 * 16u32).map(|i| (i * 37 % 256) as u8).collect();
    for (format, bits, channels) in [
        (PixelFormat::Mono16, 16, 1),
        (PixelFormat::Bgr8, 8, 3),
        (PixelFormat::Rgba8, 8, 3),
        (PixelFormat::PlanarF32, 8, 3),
    ] {
        let view = FrameView::new(&bytes, 6, 4, 26, format).unwrap();
        let id = store.push(&view, Entry::default(), NOW).unwrap().unwrap();
        store.flush().unwrap();
        let record = store.record(id).unwrap();
        assert_eq!((record.bits, record.channels), (bits, channels), "{format:?}");
        assert_eq!(store.load(id).unwrap(), view.to_frame().unwrap(), "{format:?}");
    }
    let deep = image::load_from_memory(&store.encoded(1).unwrap()).unwrap().into_luma16();
    assert_eq!(deep.as_raw()[..2], [0, 1].map(|i| u16::from_ne_bytes([bytes[2 * i], bytes[2 * i + 1]])));
    // A padded frame that ends with its last pixel, not with its last stride.
    assert!(store.push(&FrameView { bytes: &bytes[..5], ..view(&bytes) }, Entry::default(), NOW).is_err());
    assert_eq!(store.stats().unwrap().stored, 4);
}

#[test]
fn samples_of_every_depth_come_back_with_their_bits() {
    let (_folder, path) = folder();
    let store = Store::open(&path, &StoreOptions::default()).unwrap();
    let words = |most: u16| -> Vec<u8> {
        (0..6 * 4 * 3u32)
            .flat_map(|i| ((i.wrapping_mul(2_654_435_761) % u32::from(most)) as u16).to_ne_bytes())
            .collect()
    };
    let cases = [
        (PixelFormat::Mono10, 10, words(1024)),
        (PixelFormat::Mono12, 12, words(4096)),
        (PixelFormat::Mono14, 14, words(16384)),
        (PixelFormat::Mono16, 16, words(65535)),
        (PixelFormat::Mono10p, 10, words(65535)),
        (PixelFormat::Mono12p, 12, words(65535)),
        (PixelFormat::Mono12Packed, 12, words(65535)),
        (PixelFormat::BayerGb12, 12, words(4096)),
        (PixelFormat::BayerRg8, 8, words(65535)),
        (PixelFormat::Rgb16, 16, words(65535)),
    ];
    let range = Range::fixed(100.0, 900.0);
    for (format, bits, bytes) in &cases {
        let stride = format.row_bytes(6) as usize;
        let view = FrameView::new(bytes, 6, 4, stride, *format).unwrap();
        let pushed = RawFrame::copy_of(&view, Vec::new()).unwrap();
        let id = store.push(&view, Entry::default(), NOW).unwrap().unwrap();
        store.flush().unwrap();
        let record = store.record(id).unwrap();
        assert_eq!((record.bits, record.channels), (*bits, u32::from(pushed.channels())), "{format:?}");
        let dataset = store.dataset(Some(&[id])).unwrap();
        let back = dataset.load_raw(0).unwrap();
        assert_eq!((*back).clone(), pushed, "{format:?}");
        assert_eq!(*dataset.load_by(0, &range).unwrap(), pushed.to_frame(&range).unwrap(), "{format:?}");
        // A file that is pushed as it is keeps them, too.
        let again = store.push_encoded(&store.encoded(id).unwrap(), Entry::default(), NOW).unwrap().unwrap();
        store.flush().unwrap();
        assert_eq!(store.record(again).unwrap().bits, *bits, "{format:?}");
    }
    let floats: Vec<u8> = [0.5f32; 4].iter().flat_map(|number| number.to_ne_bytes()).collect();
    let view = FrameView::new(&floats, 2, 2, 8, PixelFormat::MonoF32).unwrap();
    let refused = store.push(&view, Entry::default(), NOW).unwrap_err();
    assert!(refused.kind() == ErrorKind::Unsupported && refused.message().contains("not floats"), "{refused}");
    let count = store.stats().unwrap().pushed;
    assert_eq!(count, 2 * cases.len() as u64);
}

#[test]
fn files_are_stored_as_they_are_and_broken_ones_are_counted() {
    let (_folder, path) = folder();
    let options = StoreOptions { encoding: Encoding::Jpeg { quality: 90 }, ..StoreOptions::default() };
    let store = Store::open(&path, &options).unwrap();
    push(&store, 1, Entry::default()).unwrap();
    store.flush().unwrap();
    let jpeg = store.encoded(1).unwrap();
    assert_eq!(store.record(1).unwrap().encoding, "jpeg");
    assert!(jpeg.starts_with(&[0xFF, 0xD8]));
    let again = store.push_encoded(&jpeg, Entry::default(), NOW).unwrap().unwrap();
    store.push_encoded(&jpeg[..jpeg.len() / 2], Entry::default(), NOW).unwrap().unwrap();
    store.push_encoded(b"no image at all", Entry::default(), NOW).unwrap().unwrap();
    assert!(store.push_encoded(b"", Entry::default(), NOW).is_err());
    store.flush().unwrap();
    assert_eq!(store.encoded(again).unwrap(), jpeg);
    let stats = store.stats().unwrap();
    assert_eq!((stats.pushed, stats.stored, stats.failed, stats.frames), (4, 2, 2, 2));
}

#[test]
fn a_line_that_does_not_wait_drops_and_counts() {
    let (_folder, path) = folder();
    let options = StoreOptions { queue_frames: 2, ..StoreOptions::default() };
    let store = Store::open(&path, &options).unwrap();
    let pixels = vec![7; 1000 * 1000];
    let view = FrameView::new(&pixels, 1000, 1000, 1000, PixelFormat::Mono8).unwrap();
    let taken = (0..200).filter(|_| store.push(&view, Entry::default(), NOW).unwrap().is_some()).count() as u64;
    store.flush().unwrap();
    let stats = store.stats().unwrap();
    assert!(stats.dropped > 0, "200 pushes in a row find the queue of two full");
    assert_eq!((stats.pushed, stats.stored, stats.dropped), (200, taken, 200 - taken));
    assert_eq!((stats.queue_frames, stats.queue_bytes), (0, 0));
    // Who waits loses nothing.
    let before = stats.dropped;
    assert!((0..20).all(|_| store.push(&view, Entry::default(), PATIENT).unwrap().is_some()));
    assert_eq!(store.stats().unwrap().dropped, before);
}

#[test]
fn the_newest_stay_within_count_and_bytes() {
    let (_folder, path) = folder();
    let store = Store::open(&path, &StoreOptions { max_frames: 10, ..StoreOptions::default() }).unwrap();
    for number in 0..35 {
        push(&store, number, Entry::default()).unwrap();
    }
    store.flush().unwrap();
    assert_eq!(all(&store), (26..=35).collect::<Vec<_>>());
    let each = store.stats().unwrap().bytes / 10;
    drop(store);
    let store = Store::open(&path, &StoreOptions { max_bytes: each * 5, ..StoreOptions::default() }).unwrap();
    push(&store, 36, Entry::default()).unwrap();
    store.flush().unwrap();
    let stats = store.stats().unwrap();
    assert!(stats.bytes <= each * 5 && stats.frames >= 3, "{stats:?}");
    assert_eq!(all(&store).last(), Some(&36));
    drop(store);
    let store = Store::open(&path, &StoreOptions { max_bytes: 300, ..StoreOptions::default() }).unwrap();
    push(&store, 37, Entry::default()).unwrap();
    store.flush().unwrap();
    assert_eq!(store.stats().unwrap().failed, 1, "a frame larger than the store");
}

#[test]
fn old_frames_go_and_labelled_ones_stay() {
    let (_folder, path) = folder();
    let options = StoreOptions { max_age: Some(Duration::from_secs(3600)), ..StoreOptions::default() };
    let store = Store::open(&path, &options).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as i64;
    let at = |ago: i64, label| Entry { time_us: Some(now - ago * 1_000_000), label, ..Entry::default() };
    push(&store, 1, at(7200, None));
    push(&store, 2, at(7200, Some((0, String::new()))));
    push(&store, 3, at(60, None));
    store.flush().unwrap();
    assert_eq!(all(&store), [2, 3]);
    assert_eq!(store.stats().unwrap().evicted, 1);
}

#[test]
fn the_reservoir_is_uniform_and_the_same_every_time() {
    let run = |seed: u64, frames: u64| {
        let (_folder, path) = folder();
        let options = StoreOptions { max_frames: 20, keep: Keep::Reservoir, seed, ..StoreOptions::default() };
        let mut store = Store::open(&path, &options).unwrap();
        let mut names = Vec::new();
        for number in 0..frames {
            push(&store, number, Entry { name: number.to_string(), ..Entry::default() });
            if number == frames / 2 {
                drop(store);
                store = Store::open(&path, &options).unwrap();
            }
        }
        store.flush().unwrap();
        let stats = store.stats().unwrap();
        assert_eq!(stats.frames, 20);
        for id in all(&store) {
            let name = store.record(id).unwrap().name;
            assert_eq!(store.load(id).unwrap().pixels(), pixels(name.parse().unwrap()));
            names.push(name.parse::<u64>().unwrap());
        }
        names
    };
    assert_eq!(run(1, 300), run(1, 300));
    assert_ne!(run(1, 300), run(2, 300));
    // 40 samples of 20 from 200: each tenth of the stream should have 80 of the 800; a χ² of 9 degrees beyond 27.9 has p = .001.
    let mut tenths = [0f64; 10];
    for seed in 0..40 {
        run(seed, 200).iter().for_each(|&number| tenths[number as usize / 20] += 1.0);
    }
    let chi2: f64 = tenths.iter().map(|count| (count - 80.0).powi(2) / 80.0).sum();
    assert!(chi2 < 27.9, "{chi2}: {tenths:?}");
}

#[test]
fn a_reservoir_by_bytes_does_not_prefer_small_frames() {
    let (_folder, path) = folder();
    let noise: Vec<u8> = (0..40_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 23) as u8).collect();
    let options = StoreOptions { max_bytes: 400_000, keep: Keep::Reservoir, ..StoreOptions::default() };
    let store = Store::open(&path, &options).unwrap();
    let large = FrameView::new(&noise, 200, 200, 200, PixelFormat::Mono8).unwrap();
    for number in 0..600 {
        // Every second frame is a hundred times smaller than the other.
        match number % 2 {
            0 => store.push(&large, Entry::default(), PATIENT).unwrap(),
            _ => push(&store, number, Entry::default()),
        };
    }
    store.flush().unwrap();
    let widths: Vec<u32> = all(&store).into_iter().map(|id| store.record(id).unwrap().width).collect();
    let large = widths.iter().filter(|&&width| width == 200).count();
    // About ten of each; small ones would fill the room that large ones do not fit into if size decided.
    assert!((6..=11).contains(&large) && widths.len() - large <= 24, "{large} large of {}", widths.len());
}

#[test]
fn novel_frames_stay_and_equal_ones_share_a_place() {
    let (_folder, path) = folder();
    let options = StoreOptions { max_frames: 8, keep: Keep::Novel, ..StoreOptions::default() };
    let mut store = Store::open(&path, &options).unwrap();
    let angle = |degrees: f32| {
        let (sin, cos) = degrees.to_radians().sin_cos();
        Entry { embedding: Some(vec![cos, sin]), name: degrees.to_string(), ..Entry::default() }
    };
    assert!(store.push(&view(&pixels(0)), Entry::default(), NOW).unwrap_err().message().contains("no embedding"));
    // Hundreds of frames within one degree, and a few far from them and from each other, all unlike in the first half.
    for number in 0..300u64 {
        let degrees = if number % 40 == 7 { 20.0 + number as f32 / 2.0 } else { number as f32 / 300.0 };
        push(&store, number, angle(degrees));
        if number == 150 {
            drop(store);
            store = Store::open(&path, &options).unwrap();
        }
    }
    store.flush().unwrap();
    let names: Vec<f32> = all(&store).into_iter().map(|id| store.record(id).unwrap().name.parse().unwrap()).collect();
    let far: Vec<f32> = names.iter().copied().filter(|&degrees| degrees > 1.0).collect();
    // Eight far ones and one of those that are nearly equal are one too many for eight places.
    let pushed = [23.5, 43.5, 63.5, 83.5, 103.5, 123.5, 143.5, 163.5];
    assert!(far.iter().all(|degrees| pushed.contains(degrees)), "{names:?}");
    assert!(far.len() >= 7, "{names:?}");
    let wrong = store.push(&view(&pixels(0)), Entry { embedding: Some(vec![1.0]), ..Entry::default() }, NOW);
    assert_eq!(wrong.unwrap_err().kind(), ErrorKind::Mismatch);
    for bad in [vec![0.0, 0.0], vec![f32::NAN, 1.0]] {
        let bad = Entry { embedding: Some(bad), ..Entry::default() };
        assert!(store.push(&view(&pixels(0)), bad, NOW).is_err());
    }
}

#[test]
fn a_network_can_embed_what_comes_without() {
    let (_folder, path) = folder();
    let options = StoreOptions { max_frames: 3, keep: Keep::Novel, ..StoreOptions::default() };
    let store = Store::open(&path, &options).unwrap();
    let embed = |frames: &[FrameView<'_>]| {
        let rows = frames.iter().map(|frame| {
            let frame = frame.to_frame()?;
            let mean = frame.pixels().iter().map(|&v| f32::from(v)).sum::<f32>() / frame.pixels().len() as f32 / 200.0;
            if mean > 1.0 { Err(Error::invalid("too bright")) } else { Ok([mean.cos(), mean.sin()]) }
        });
        Ok(rows.collect::<seed::Result<Vec<_>>>()?.concat())
    };
    store.embed_by(Some((2, Arc::new(embed)))).unwrap();
    for level in [10, 11, 100, 12, 190, 10, 11] {
        let pixels = vec![level; 120];
        store.push(&view(&pixels), Entry::default(), PATIENT).unwrap().unwrap();
        store.flush().unwrap();
    }
    let levels: Vec<u8> = all(&store).into_iter().map(|id| store.load(id).unwrap().pixels()[0]).collect();
    assert_eq!(levels, [10, 100, 190]);
    assert!(store.embedding(all(&store)[0]).unwrap().is_some());
    store.push(&view(&[255; 120]), Entry::default(), NOW).unwrap();
    store.flush().unwrap();
    assert_eq!(store.stats().unwrap().failed, 1);
}

#[test]
fn labels_come_later_and_choose_frames() {
    let (_folder, path) = folder();
    let store = Store::open(&path, &StoreOptions { max_frames: 6, ..StoreOptions::default() }).unwrap();
    for number in 0..6 {
        push(&store, number, Entry { time_us: Some(number as i64 * 10), ..Entry::default() });
    }
    // No flush: a label waits for its frame.
    store.set_label(2, Some((0, "good".to_owned()))).unwrap();
    store.set_label(4, Some((1, "crack".to_owned()))).unwrap();
    store.set_label(5, Some((1, String::new()))).unwrap();
    store.set_label(5, None).unwrap();
    assert_eq!(store.set_label(77, None).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert!(store.set_label(1, Some((-1, String::new()))).is_err());
    let list = |filter: Filter| store.list(&filter).unwrap();
    assert_eq!(list(Filter { labelled: Labelled::Yes, ..Filter::default() }), [2, 4]);
    assert_eq!(list(Filter { labelled: Labelled::No, ..Filter::default() }), [1, 3, 5, 6]);
    assert_eq!(list(Filter { labelled: Labelled::As(1), ..Filter::default() }), [4]);
    assert_eq!(list(Filter { time_us: (20, 40), ..Filter::default() }), [3, 4, 5]);
    assert_eq!(list(Filter { ids: (2, 5), last: Some(2), ..Filter::default() }), [4, 5]);
    assert_eq!(store.labels(&[4, 1, 2]).unwrap(), [Some(1), None, Some(0)]);
    assert!(store.labels(&[4, 99]).is_err());
    // Labelled frames are the last to go.
    for number in 6..20 {
        push(&store, number, Entry::default());
    }
    store.flush().unwrap();
    assert_eq!(all(&store), [2, 4, 17, 18, 19, 20]);
    for id in [17, 18, 19, 20] {
        store.set_label(id, Some((0, String::new()))).unwrap();
    }
    push(&store, 30, Entry::default());
    store.flush().unwrap();
    assert_eq!((all(&store), store.stats().unwrap().passed_over), (vec![2, 4, 17, 18, 19, 20], 1));
    push(&store, 31, Entry { label: Some((3, String::new())), ..Entry::default() });
    store.flush().unwrap();
    assert_eq!(all(&store), [4, 17, 18, 19, 20, 22]);
    store.remove(&[17, 18, 500]).unwrap();
    assert_eq!(all(&store), [4, 19, 20, 22]);
}

#[test]
fn a_data_set_is_a_snapshot_and_reads_what_is_there() {
    let (_folder, path) = folder();
    let store = Store::open(&path, &StoreOptions { max_frames: 4, ..StoreOptions::default() }).unwrap();
    assert_eq!(store.dataset(None).unwrap_err().kind(), ErrorKind::InvalidArgument);
    for number in 0..4 {
        let name = if number == 2 { "two".to_owned() } else { String::new() };
        push(&store, number, Entry { name, ..Entry::default() });
    }
    store.flush().unwrap();
    let dataset = store.dataset(None).unwrap();
    assert_eq!(
        (dataset.len(), dataset.name(2).unwrap(), dataset.name(3).unwrap()),
        (4, "two".to_owned(), "frame 4".to_owned())
    );
    let identity = dataset.identity();
    let chosen = store.dataset(Some(&[4, 2])).unwrap();
    assert_eq!(chosen.load(0).unwrap().pixels(), pixels(3));
    assert_ne!(chosen.identity(), identity);
    assert!(store.dataset(Some(&[1, 40])).is_err());
    assert_eq!(dataset.load(1).unwrap().pixels(), pixels(1));
    push(&store, 4, Entry::default());
    push(&store, 5, Entry::default());
    store.flush().unwrap();
    // Frames 1 and 2 have gone: the first was never read, the second is in the data set's cache.
    assert_eq!(dataset.len(), 4);
    assert!(dataset.load(0).unwrap_err().message().contains("no frame 1"));
    assert_eq!(dataset.load(1).unwrap().pixels(), pixels(1));
    assert_eq!(dataset.skipped().len(), 1);
    assert_eq!(dataset.identity(), identity);
    drop(store);
    assert_eq!(dataset.load(3).unwrap().pixels(), pixels(3), "the data set lives on");
}

#[test]
fn one_writes_and_others_read() {
    let (_folder, path) = folder();
    let store = Store::open(&path, &StoreOptions::default()).unwrap();
    push(&store, 0, Entry::default());
    store.flush().unwrap();
    let error = Store::open(&path, &StoreOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.message().contains(&std::process::id().to_string()), "{error}");
    let reader = Store::open_to_read(&path).unwrap();
    assert_eq!(all(&reader), [1]);
    push(&store, 1, Entry::default());
    store.flush().unwrap();
    assert_eq!((all(&reader), reader.stats().unwrap().frames), (vec![1, 2], 2));
    assert_eq!(reader.load(2).unwrap().pixels(), pixels(1));
    for error in [reader.flush().unwrap_err(), reader.remove(&[1]).unwrap_err(), reader.set_label(1, None).unwrap_err()]
    {
        assert!(error.message().contains("opened to read"), "{error}");
    }
    assert!(reader.push(&view(&pixels(1)), Entry::default(), NOW).is_err());
    drop(store);
    assert!(Store::open(&path, &StoreOptions::default()).is_ok(), "the lock goes with the writer");
    assert_eq!(Store::open_to_read(Path::new("/no/such/store")).unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(Store::open(Path::new("/no/such/store"), &StoreOptions::default()).unwrap_err().kind(), ErrorKind::Io);
}

#[test]
fn threads_push_and_read_at_once() {
    let (_folder, path) = folder();
    let store = Store::open(&path, &StoreOptions { queue_frames: 4, ..StoreOptions::default() }).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..3u64 {
            let store = &store;
            scope.spawn(move || {
                for number in 0..40 {
                    let number = thread * 40 + number;
                    push(store, number, Entry { name: number.to_string(), ..Entry::default() }).unwrap();
                }
            });
        }
        for _ in 0..30 {
            for id in all(&store) {
                let number = store.record(id).unwrap().name.parse().unwrap();
                assert_eq!(store.load(id).unwrap().pixels(), pixels(number));
            }
        }
    });
    store.flush().unwrap();
    assert_eq!(all(&store), (1..=120).collect::<Vec<_>>());
}

#[test]
fn sqlite3_opens_it_and_may_set_labels_meanwhile() {
    if Command::new("sqlite3").arg("--version").output().is_err() {
        return skip("sqlite3 is not installed");
    }
    let (folder, path) = folder();
    let store = Store::open(&path, &StoreOptions { max_frames: 3, ..StoreOptions::default() }).unwrap();
    (0..3).for_each(|number| assert!(push(&store, number, Entry::default()).is_some()));
    store.flush().unwrap();
    let ask = |sql: &str| {
        let output = Command::new("sqlite3").arg(&path).arg(sql).output().unwrap();
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(ask("SELECT count(*), min(width), max(encoding) FROM frame"), "3|12|png");
    let picture = folder.path().join("two.png");
    ask(&format!("SELECT writefile('{}', file) FROM image WHERE id = 2", picture.display()));
    assert_eq!(image::open(&picture).unwrap().into_luma8().into_raw(), pixels(1));
    ask("UPDATE frame SET label = 1, label_text = 'dent' WHERE id = 1");
    assert_eq!(store.labels(&[1]).unwrap(), [Some(1)]);
    // The writer sees what another program did: the labelled frame stays, and deleted ones leave room.
    ask("DELETE FROM frame WHERE id = 3; DELETE FROM image WHERE id = 3");
    (3..5).for_each(|number| assert!(push(&store, number, Entry::default()).is_some()));
    store.flush().unwrap();
    assert_eq!((all(&store), store.stats().unwrap().frames), (vec![1, 4, 5], 3));
    assert_eq!(ask("PRAGMA integrity_check"), "ok");
}

#[test]
fn bad_options_are_refused() {
    let (_folder, path) = folder();
    let good = StoreOptions::default();
    for (options, word) in [
        (StoreOptions { max_frames: 0, ..good.clone() }, "max_frames"),
        (StoreOptions { queue_frames: 0, ..good.clone() }, "queue_frames"),
        (StoreOptions { queue_bytes: 0, ..good.clone() }, "queue_bytes"),
        (StoreOptions { encoding: Encoding::Jpeg { quality: 0 }, ..good.clone() }, "quality"),
        (StoreOptions { keep: Keep::Novel, ..good.clone() }, "max_frames"),
    ] {
        let error = Store::open(&path, &options).unwrap_err();
        assert!(error.kind() == ErrorKind::InvalidArgument && error.message().contains(word), "{error}");
    }
    assert!(!path.exists());
    let store = Store::open(&path, &good).unwrap();
    push(&store, 0, Entry::default());
    drop(store);
    let novel = StoreOptions { keep: Keep::Novel, max_frames: 10, ..good };
    assert_eq!(Store::open(&path, &novel).unwrap_err().kind(), ErrorKind::Mismatch);
}

/// A store of 20 frames, closed; 1 and 3 are labelled.
fn sample(path: &Path) {
    let store = Store::open(path, &StoreOptions::default()).unwrap();
    for number in 0..20 {
        let noise: Vec<u8> =
            (0..160_000u64).map(|i| ((i + number * 7919).wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let view = FrameView::new(&noise, 400, 400, 400, PixelFormat::Mono8).unwrap();
        store.push(&view, Entry { embedding: Some(vec![1.0, number as f32]), ..Entry::default() }, PATIENT).unwrap();
    }
    store.set_label(3, Some((5, "five".to_owned()))).unwrap();
    store.flush().unwrap();
}

#[test]
fn files_that_are_no_store_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("text"), "this is not a data base, but it is long enough to be looked at as one".repeat(10)).unwrap();
    fs::create_dir(at("folder")).unwrap();
    let good = at("good");
    sample(&good);
    let bytes = fs::read(&good).unwrap();
    fs::write(at("short"), &bytes[..bytes.len() / 2]).unwrap();
    fs::write(at("head"), &bytes[..700]).unwrap();
    let with_sql = |name: &str, sql: &str| {
        fs::copy(&good, at(name)).unwrap();
        let other = rusqlite::Connection::open(at(name)).unwrap();
        other.execute_batch(sql).unwrap();
    };
    with_sql("foreign", "PRAGMA application_id = 7");
    with_sql("newer", "PRAGMA user_version = 9");
    with_sql("dropped", "DROP TABLE image");
    with_sql("altered", "ALTER TABLE frame ADD COLUMN x TEXT");
    with_sql("view", "DROP TABLE image; CREATE VIEW image AS SELECT 1 AS id, randomblob(99) AS file");
    for (name, kind) in [
        ("text", ErrorKind::Format),
        ("folder", ErrorKind::Io),
        ("head", ErrorKind::Format),
        ("foreign", ErrorKind::Format),
        ("newer", ErrorKind::Mismatch),
        ("dropped", ErrorKind::Format),
        ("altered", ErrorKind::Format),
        ("view", ErrorKind::Format),
    ] {
        let before = fs::read(at(name)).ok();
        for error in
            [Store::open_to_read(&at(name)).unwrap_err(), Store::open(&at(name), &StoreOptions::default()).unwrap_err()]
        {
            assert_eq!(error.kind(), kind, "{name}: {error}");
            assert!(error.message().contains(name), "{name}: {error}");
        }
        assert_eq!(fs::read(at(name)).ok(), before, "{name} is left as it was");
    }
    // Half a store opens or does not; whatever is asked of it is answered, and never with another frame's pixels.
    if let Ok(store) = Store::open_to_read(&at("short")) {
        for id in 1..=20 {
            let _ = store.load(id).map_err(|error| assert_ne!(error.kind(), ErrorKind::Internal));
        }
    }
}

#[test]
fn hostile_values_are_errors_and_triggers_do_not_run() {
    let (_folder, path) = folder();
    sample(&path);
    let other = rusqlite::Connection::open(&path).unwrap();
    other
        .execute_batch(
            "UPDATE frame SET bytes = -5 WHERE id = 1;
             UPDATE frame SET crc32 = crc32 + 1 WHERE id = 2;
             UPDATE frame SET width = 1 << 40 WHERE id = 3;
             UPDATE embedding SET vector = x'0102' WHERE id = 4;
             UPDATE embedding SET vector = x'0000c07f0000c07f' WHERE id = 5;
             UPDATE image SET file = zeroblob(100000) WHERE id = 6;
             DELETE FROM image WHERE id = 7;
             UPDATE frame SET label = -9 WHERE id = 8;
             CREATE TRIGGER evil AFTER INSERT ON frame BEGIN DELETE FROM frame; DELETE FROM image; END;",
        )
        .unwrap();
    drop(other);
    let reader = Store::open_to_read(&path).unwrap();
    for (error, kind) in [
        (reader.encoded(1).unwrap_err(), ErrorKind::Format),
        (reader.encoded(2).unwrap_err(), ErrorKind::Format),
        (reader.record(3).unwrap_err(), ErrorKind::Format),
        (reader.embedding(4).unwrap_err(), ErrorKind::Format),
        (reader.embedding(5).unwrap_err(), ErrorKind::Format),
        (reader.encoded(6).unwrap_err(), ErrorKind::Format),
        (reader.encoded(7).unwrap_err(), ErrorKind::InvalidArgument),
    ] {
        assert_eq!(error.kind(), kind, "{error}");
    }
    assert!(reader.load(9).is_ok());
    let novel = StoreOptions { keep: Keep::Novel, max_frames: 100, ..StoreOptions::default() };
    assert_eq!(Store::open(&path, &novel).unwrap_err().kind(), ErrorKind::Format);
    drop(reader);
    let copy = path.with_extension("far");
    fs::copy(&path, &copy).unwrap();
    let other = rusqlite::Connection::open(&copy).unwrap();
    other.execute_batch("UPDATE frame SET id = 9223372036854775807 WHERE id = 20").unwrap();
    drop(other);
    let error = Store::open(&copy, &StoreOptions::default()).unwrap_err();
    assert!(error.kind() == ErrorKind::Format && error.message().contains("number"), "{error}");
    // Sums of sizes that are below zero are no sizes.
    let error = Store::open(&path, &StoreOptions::default()).map(|store| {
        push(&store, 1, Entry::default());
        store.flush()
    });
    assert!(matches!(&error, Ok(Ok(()))) || error.is_err());
    assert!(
        Store::open_to_read(&path).unwrap().list(&Filter::default()).unwrap().len() >= 20,
        "the trigger did not run"
    );
}

#[test]
fn damage_is_found_and_the_rest_is_saved() {
    let (folder, path) = folder();
    sample(&path);
    let mut quiet = |_: u64, _: u64| true;
    let sound = check(&path, &mut quiet).unwrap();
    assert_eq!((sound.frames, sound.problems), (20, 0), "{sound:?}");
    // One bit within an image, which SQLite cannot notice, and a page of another image torn out.
    let mut bytes = fs::read(&path).unwrap();
    let length = bytes.len();
    bytes[length / 2] ^= 1;
    bytes[length * 3 / 4 / 16384 * 16384..][..16384].fill(0xAA);
    let damaged = folder.path().join("damaged.seed");
    fs::write(&damaged, &bytes).unwrap();
    let found = check(&damaged, &mut quiet).unwrap();
    assert!(found.problems >= 2, "{found:?}");
    let new = folder.path().join("new.seed");
    let salvage = repair(&damaged, &new, &mut quiet).unwrap();
    assert_eq!((salvage.saved + salvage.lost, salvage.list_damaged), (20, false), "{salvage:?}");
    assert!((1..=3).contains(&salvage.lost), "{salvage:?}");
    assert_eq!(check(&new, &mut quiet).unwrap().problems, 0);
    let (old, saved) = (Store::open_to_read(&path).unwrap(), Store::open(&new, &StoreOptions::default()).unwrap());
    assert_eq!(all(&saved).len() as u64, salvage.saved);
    for id in all(&saved) {
        assert_eq!(saved.encoded(id).unwrap(), old.encoded(id).unwrap());
        assert_eq!(saved.record(id).unwrap(), old.record(id).unwrap());
        assert_eq!(saved.embedding(id).unwrap(), old.embedding(id).unwrap());
    }
    assert_eq!(push(&saved, 1, Entry::default()), Some(21));
    assert!(repair(&damaged, &new, &mut quiet).unwrap_err().message().contains("exists"));
    assert_eq!(check(&path, &mut |_, _| false).unwrap_err().kind(), ErrorKind::Cancelled);
}
