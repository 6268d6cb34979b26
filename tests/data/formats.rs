//! A matrix of image files: each is read with PIL's values, or refused with the reason that is stated beside it. Nothing is read with
//! other values. tests/golden/make_formats.py makes the files, with libjpeg-turbo's cjpeg among others, and asks PIL.

use std::path::PathBuf;
use std::sync::Arc;

use seed::data::decode::{decode_by, decode_bytes, decode_described};
use seed::data::{Dataset, EncodedImage, EncodedImages, Exif, FileOptions, Frame, Range};
use seed::{ErrorKind, Result};
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// What stands beside a file.
#[derive(Deserialize)]
struct Case {
    name: String,
    length: usize,
    /// Width and height.
    size: Option<(u32, u32)>,
    /// Of the (H, W, 3) bytes.
    sha256: Option<String>,
    /// A part of the reason.
    refused: Option<String>,
    /// The same of the pixels as they are stored, where the file names an orientation.
    stored_size: Option<(u32, u32)>,
    stored: Option<String>,
    /// Of a file whose values may differ by rounding: how many bytes of PIL's stand behind it, then these.
    values: Option<usize>,
    #[serde(skip)]
    pixels: Vec<u8>,
}

/// By how much the levels of a lossy WebP may differ from libwebp's: none was found to.
const WEBP: u8 = 0;

/// The files of the matrix, each with what stands beside it.
fn matrix() -> Vec<(Case, Vec<u8>)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/formats.bin");
    let whole = fdeflate::decompress_to_vec(&std::fs::read(path).unwrap()).unwrap();
    let (length, rest) = whole.split_first_chunk::<4>().unwrap();
    let (index, mut files) = rest.split_at(u32::from_le_bytes(*length) as usize);
    let cases: Vec<Case> = serde_json::from_slice(index).unwrap();
    let mut take = |length: usize| {
        let (file, behind) = files.split_at(length);
        files = behind;
        file.to_vec()
    };
    cases
        .into_iter()
        .map(|mut case| {
            let mut file = take(case.length + case.values.unwrap_or(0));
            case.pixels = file.split_off(case.length);
            (case, file)
        })
        .collect()
}

fn sha256(frame: &Frame) -> String {
    let mut hash = Sha256::new();
    if frame.channels() == 1 {
        frame.pixels().iter().for_each(|&grey| hash.update([grey; 3]));
    } else {
        hash.update(frame.pixels());
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is wrong with this outcome, if anything is.
fn wrong(case: &Case, outcome: &Result<Frame>) -> Option<String> {
    match (&case.refused, outcome) {
        (None, Ok(frame)) if case.values.is_some() => {
            let bytes: Vec<u8> = match frame.channels() {
                1 => frame.pixels().iter().flat_map(|&grey| [grey; 3]).collect(),
                _ => frame.pixels().to_vec(),
            };
            if bytes.len() != case.pixels.len() || case.size != Some((frame.width(), frame.height())) {
                return Some(format!("{frame:?}, expected {:?}", case.size));
            }
            let most = bytes.iter().zip(&case.pixels).map(|(own, pil)| own.abs_diff(*pil)).max();
            most.filter(|&most| most > WEBP).map(|most| format!("differs by {most} levels"))
        }
        (None, Ok(frame)) => {
            let same =
                case.sha256.as_deref() == Some(&sha256(frame)) && case.size == Some((frame.width(), frame.height()));
            (!same).then(|| format!("{frame:?} has not PIL's values"))
        }
        (None, Err(error)) => Some(format!("refused: {error}")),
        (Some(reason), Ok(_)) => Some(format!("read, expected an error with {reason:?}")),
        (Some(reason), Err(error)) => {
            let named = error.kind() == ErrorKind::Format && error.message().contains(reason.as_str());
            (!named).then(|| format!("{error}, expected {reason:?}"))
        }
    }
}

fn assert_all(outcomes: impl Iterator<Item = (String, Option<String>)>) {
    let wrong: Vec<String> =
        outcomes.filter_map(|(name, wrong)| wrong.map(|wrong| format!("{name}: {wrong}"))).collect();
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_file_is_read_with_pils_values_or_refused_by_name() {
    let matrix = matrix();
    for kind in ["jpeg", "tiff", "png", "bmp", "webp", "pnm"] {
        let of = |refused: bool| {
            let own = |case: &&(Case, Vec<u8>)| case.0.name.starts_with(kind) && case.0.refused.is_some() == refused;
            matrix.iter().filter(own).count()
        };
        println!("{kind}: {} to be read, {} to be refused", of(false), of(true));
        assert!(of(false) > 30 && of(true) > 3, "the matrix has lost its files of {kind}");
    }
    assert_all(matrix.iter().map(|(case, file)| {
        let outcome = decode_bytes("it", file);
        (case.name.clone(), wrong(case, &outcome))
    }));
}

#[test]
fn pixels_are_turned_as_the_file_says_or_stay_as_they_are_stored() {
    let ignore = FileOptions { exif: Exif::Ignore, ..FileOptions::default() };
    let (matrix, mut turned) = (matrix(), 0);
    for (case, file) in matrix.iter().filter(|(case, _)| case.stored.is_some()) {
        let stored = decode_by("it", file, &ignore).unwrap().frame.into_frame(&Range::FULL).unwrap();
        assert_eq!(case.stored_size, Some((stored.width(), stored.height())), "{}", case.name);
        if case.values.is_none() {
            assert_eq!(case.stored.as_deref(), Some(sha256(&stored).as_str()), "{}", case.name);
        }
        turned += u32::from(case.stored != case.sha256);
    }
    // Seven orientations each: of JPEG in three files, of TIFF in three, of PNG in four and two single ones, of WebP in two.
    assert_eq!(turned, 7 * 12 + 2);
}

/// A store's images.
struct Files(Vec<Vec<u8>>);

impl EncodedImages for Files {
    fn read(&self, key: i64) -> Result<Vec<u8>> {
        Ok(self.0[key as usize].clone())
    }
}

#[test]
fn folders_stores_and_bytes_give_the_same() {
    let matrix = matrix();
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> = (0..matrix.len()).map(|i| folder.path().join(format!("{i}.png"))).collect();
    matrix.iter().zip(&paths).for_each(|((_, file), path)| std::fs::write(path, file).unwrap());
    let from_files = Dataset::from_files(paths).unwrap();
    let image = |(i, (case, file)): (usize, &(Case, Vec<u8>))| EncodedImage {
        key: i as i64,
        name: case.name.clone(),
        bytes: file.len() as u64,
    };
    let images = matrix.iter().enumerate().map(image).collect();
    let store: Arc<dyn EncodedImages> = Arc::new(Files(matrix.iter().map(|(_, file)| file.clone()).collect()));
    let from_store = Dataset::from_encoded(images, &store).unwrap();
    let refused = matrix.iter().filter(|(case, _)| case.refused.is_some()).count();
    for dataset in [&from_files, &from_store] {
        assert_all(matrix.iter().enumerate().map(|(i, (case, _))| {
            let outcome = dataset.load(i).map(|frame| Frame::clone(&frame));
            (case.name.clone(), wrong(case, &outcome))
        }));
        // Each is counted and named, with its reason.
        assert_eq!(dataset.skipped().len(), refused);
        assert!(dataset.skipped().iter().all(|skipped| !skipped.reason.is_empty()));
    }
}

#[test]
fn a_jpeg_is_broken_at_every_scale_or_at_none() {
    use seed::data::scale::Reading;
    for (case, file) in matrix().iter().filter(|(case, _)| case.name.starts_with("jpeg/")) {
        let image = EncodedImage { key: 0, name: case.name.clone(), bytes: file.len() as u64 };
        let store: Arc<dyn EncodedImages> = Arc::new(Files(vec![file.clone()]));
        for scale in [2, 4, 8] {
            let dataset = Dataset::from_encoded(vec![image.clone()], &store).unwrap();
            let outcome = dataset.load_scaled(0, &Range::FULL, |_, _| Reading { scale, keep: false });
            match (&case.refused, outcome) {
                (None, Ok(frame)) => {
                    let (width, height) = case.size.unwrap();
                    let sides = (frame.frame.width(), frame.frame.height());
                    // What is turned is decoded at a scale that divides its sides.
                    let turned = case.stored.is_some() && case.stored != case.sha256;
                    let fits = |scale: &u32| width % scale == 0 && height % scale == 0;
                    let scale = if turned {
                        [8, 4, 2, 1].into_iter().filter(|s| *s <= scale).find(fits).unwrap()
                    } else {
                        scale
                    };
                    assert_eq!((frame.scale, sides), (scale, (width.div_ceil(scale), height.div_ceil(scale))));
                    assert_eq!((frame.width, frame.height), (width, height));
                }
                (Some(reason), Err(error)) => {
                    assert!(error.message().contains(reason.as_str()), "{}: {error}", case.name)
                }
                (_, outcome) => panic!("{} at 1/{scale}: {outcome:?}", case.name),
            }
        }
    }
}

#[test]
fn what_a_file_keeps_is_told() {
    let matrix = matrix();
    let told = |name: &str| {
        let (_, file) = matrix.iter().find(|(case, _)| case.name == name).unwrap();
        let decoded = decode_described("it", file).unwrap();
        (decoded.encoding, decoded.channels, decoded.bits)
    };
    assert_eq!(told("jpeg/grey"), ("jpeg", 1, 8));
    assert_eq!(told("jpeg/cmyk"), ("jpeg", 3, 8));
    assert_eq!(told("png/grey-16"), ("png", 1, 16));
    assert_eq!(told("png/rgba"), ("png", 3, 8));
    assert_eq!(told("tiff/grey-12-lzw"), ("tiff", 1, 12));
    assert_eq!(told("bmp/24"), ("bmp", 3, 8));
    assert_eq!(told("webp/rgba-lossless-4"), ("webp", 3, 8));
    assert_eq!(
        (told("pnm/p5-4095"), told("pnm/p6-1000"), told("pnm/p4")),
        (("pnm", 1, 12), ("pnm", 3, 16), ("pnm", 1, 8))
    );
}

#[test]
fn deep_samples_of_a_pnm_are_kept() {
    let (_, file) = matrix().into_iter().find(|(case, _)| case.name == "pnm/p5-4095").unwrap();
    let raw = decode_described("it", &file).unwrap().frame;
    let samples = &file[file.len() - 2 * 37 * 29..];
    let stored: Vec<f64> = samples.chunks_exact(2).map(|two| f64::from(u16::from_be_bytes([two[0], two[1]]))).collect();
    assert!((0..stored.len()).all(|i| raw.sample(i) == stored[i]));
    assert_eq!(raw.bits(), 12);
}

/// A JPEG of 64 × 48 pixels turned by each orientation, decoded smaller, against the same one as it is stored.
#[test]
fn a_smaller_frame_is_turned_as_the_whole_one() {
    use seed::data::scale::Reading;
    let matrix = matrix();
    let scaled = |name: &str, exif: Exif| {
        let (_, file) = matrix.iter().find(|(case, _)| case.name == name).unwrap();
        let image = EncodedImage { key: 0, name: name.to_owned(), bytes: file.len() as u64 };
        let store: Arc<dyn EncodedImages> = Arc::new(Files(vec![file.clone()]));
        let dataset = Dataset::from_encoded(vec![image], &store).unwrap();
        dataset.set_reading(FileOptions { exif, ..FileOptions::default() }).unwrap();
        let frame = dataset.load_scaled(0, &Range::FULL, |_, _| Reading { scale: 4, keep: true }).unwrap();
        // From the cache it is the same.
        assert_eq!(
            dataset.load_scaled(0, &Range::FULL, |_, _| Reading { scale: 4, keep: true }).unwrap().frame,
            frame.frame
        );
        frame.frame
    };
    let upright = scaled("jpeg/orientation-1-of-64x48", Exif::Apply);
    let pixel = |frame: &Frame, x: u32, y: u32| frame.pixels()[(y * frame.width() + x) as usize * 3..][..3].to_vec();
    for orientation in 2..=8 {
        let name = format!("jpeg/orientation-{orientation}-of-64x48");
        assert_eq!(scaled(&name, Exif::Ignore), upright);
        let turned = scaled(&name, Exif::Apply);
        let (w, h) = (upright.width() - 1, upright.height() - 1);
        // Where the four corners of what is stored come to.
        let to = |x: u32, y: u32| match orientation {
            2 => (w - x, y),
            3 => (w - x, h - y),
            4 => (x, h - y),
            5 => (y, x),
            6 => (h - y, x),
            7 => (h - y, w - x),
            _ => (y, w - x),
        };
        for (x, y) in [(0, 0), (w, 0), (0, h), (w, h), (3, 5)] {
            let (to_x, to_y) = to(x, y);
            assert_eq!(pixel(&turned, to_x, to_y), pixel(&upright, x, y), "{orientation} ({x}, {y})");
        }
    }
}

/// Two pages of a TIFF: of 37 × 29 pixels each, the second the first upside down.
fn two_pages() -> (Vec<u8>, Frame) {
    let (_, file) = matrix().into_iter().find(|(case, _)| case.name == "tiff/two-pages").unwrap();
    let first = decode_bytes("it", &file).unwrap();
    (file, first)
}

fn upside_down(frame: &Frame) -> Frame {
    let row = frame.width() as usize * usize::from(frame.channels());
    let pixels = frame.pixels().chunks_exact(row).rev().flatten().copied().collect();
    Frame::new(frame.width(), frame.height(), frame.channels(), pixels).unwrap()
}

#[test]
fn the_pages_of_a_tiff_are_chosen_or_become_frames_of_their_own() {
    let (file, first) = two_pages();
    let second = upside_down(&first);
    let of = |page: u64| decode_by("it", &file, &FileOptions { page, ..FileOptions::default() });
    assert!(of(1).unwrap().has_more_pages && !of(2).unwrap().has_more_pages);
    assert_eq!(of(2).unwrap().frame.into_frame(&Range::FULL).unwrap(), second);
    let error = of(3).err().unwrap();
    assert!(error.message().contains("has 2 pages, page 3 was asked for"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let (_, png) = matrix().into_iter().find(|(case, _)| case.name == "png/rgb").unwrap();
    std::fs::write(folder.path().join("a.png"), &png).unwrap();
    std::fs::write(folder.path().join("b.tif"), &file).unwrap();
    std::fs::write(folder.path().join("c.png"), &png).unwrap();
    std::fs::write(folder.path().join("d.tif"), &file[..file.len() / 2]).unwrap();
    let dataset = Dataset::from_folder(folder.path()).unwrap();
    let names = |dataset: &Dataset| (0..dataset.len()).map(|i| dataset.name(i).unwrap()).collect::<Vec<_>>();
    let pixels = |i: usize| Frame::clone(&dataset.load(i).unwrap());
    assert_eq!(names(&dataset), ["a.png", "b.tif", "c.png", "d.tif"]);
    assert!((dataset.warnings().list().is_empty(), pixels(1)) == (true, first.clone()));
    pixels(1);
    assert_eq!(dataset.warnings().list().len(), 1, "it is said once that there are more");
    let usual = dataset.identity();

    dataset.set_reading(FileOptions { page: 0, ..FileOptions::default() }).unwrap();
    assert_eq!(names(&dataset), ["a.png", "b.tif", "b.tif#2", "c.png", "d.tif", "d.tif#2"]);
    assert_eq!((pixels(1), pixels(2), pixels(3)), (first.clone(), second.clone(), pixels(0)));
    assert!(dataset.load(4).is_ok() && dataset.load(5).is_err() && dataset.skipped()[0].name == "d.tif#2");
    let all = dataset.identity();
    let part = dataset.subset(&[2]).unwrap();
    assert_eq!((part.name(0).unwrap(), Frame::clone(&part.load(0).unwrap())), ("b.tif#2".to_owned(), second.clone()));
    assert!(part.set_reading(FileOptions::default()).unwrap_err().message().contains("whole data set"));

    dataset.set_reading(FileOptions { page: 2, ..FileOptions::default() }).unwrap();
    assert_eq!((names(&dataset).len(), pixels(1)), (4, second.clone()));
    assert!(!dataset.is_skipped(3), "what was broken is looked at anew");
    let chosen = dataset.identity();
    dataset.set_reading(FileOptions::default()).unwrap();
    assert_eq!((pixels(1), dataset.identity() == usual), (first.clone(), true));
    dataset.set_reading(FileOptions { exif: Exif::Ignore, page: 1 }).unwrap();
    let identities = std::collections::BTreeSet::from([usual, all, chosen, dataset.identity()]);
    assert_eq!(identities.len(), 4);

    let pushed = Dataset::in_memory();
    assert_eq!((pushed.push_encoded("x.tif", &file).unwrap(), pushed.len()), (0, 1));
    pushed.set_reading(FileOptions { page: 0, ..FileOptions::default() }).unwrap();
    assert_eq!((pushed.push_encoded("y.tif", &file).unwrap(), pushed.len()), (1, 3));
    assert_eq!(
        (names(&pushed), Frame::clone(&pushed.load(2).unwrap())),
        (["x.tif", "y.tif", "y.tif#2"].map(str::to_owned).to_vec(), second)
    );
    assert!(pushed.push_encoded("z.tif", &file[..file.len() - 60]).is_err() && pushed.len() == 3);
}

#[test]
fn directories_in_a_circle_end() {
    let (file, _) = two_pages();
    // PIL writes "II": the first directory's offset at 4; behind its entries stands that of the next one.
    let number = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
    let first = number(4);
    let next = first + 2 + 12 * usize::from(u16::from_le_bytes(file[first..first + 2].try_into().unwrap()));
    let mut circle = file.clone();
    circle[next..next + 4].copy_from_slice(&(first as u32).to_le_bytes());
    let dataset = Dataset::in_memory();
    dataset.set_reading(FileOptions { page: 0, ..FileOptions::default() }).unwrap();
    dataset.push_encoded("circle", &circle).unwrap();
    assert_eq!(dataset.len(), 1);
}
