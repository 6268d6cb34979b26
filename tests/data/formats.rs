//! A matrix of image files: each is read with PIL's values, or refused with the reason that is stated beside it. Nothing is read with
//! other values. tests/golden/make_formats.py makes the files, with libjpeg-turbo's cjpeg among others, and asks PIL.

use std::path::PathBuf;
use std::sync::Arc;

use seed::data::decode::{decode_bytes, decode_described};
use seed::data::{Dataset, EncodedImage, EncodedImages, Frame, Range};
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
}

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
        .map(|case| {
            let file = take(case.length);
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
    for kind in ["jpeg", "tiff", "png", "bmp"] {
        let of = |refused: bool| {
            let own = |case: &&(Case, Vec<u8>)| case.0.name.starts_with(kind) && case.0.refused.is_some() == refused;
            matrix.iter().filter(own).count()
        };
        println!("{kind}: {} to be read, {} to be refused", of(false), of(true));
        assert!(of(false) > 40 && of(true) > 3, "the matrix has lost its files of {kind}");
    }
    assert_all(matrix.iter().map(|(case, file)| {
        let outcome = decode_bytes("it", file);
        (case.name.clone(), wrong(case, &outcome))
    }));
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
                    assert_eq!((frame.scale, sides), (scale, (width.div_ceil(scale), height.div_ceil(scale))));
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
}
