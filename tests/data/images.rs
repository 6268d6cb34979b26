//! Frames, decoders and data sets: what is read, and what a damaged or hostile input does.

use std::path::{Path, PathBuf};

use crate::alone;
use crate::written::encoded;
use image::{DynamicImage, GrayAlphaImage, GrayImage, ImageBuffer, ImageFormat, Luma, Rgb, RgbImage, RgbaImage};
use seed::ErrorKind;
use seed::data::decode::{decode_bytes, decode_file};
use seed::data::{Dataset, Frame, FrameView, PixelFormat};

/// In the environment of the process that is measured.
const ALONE: &str = "SEED_IMAGES_ALONE";

fn grey() -> GrayImage {
    GrayImage::from_fn(20, 12, |x, y| Luma([(x * 11 + y) as u8]))
}

fn colour() -> RgbImage {
    RgbImage::from_fn(20, 12, |x, y| Rgb([(x * 12) as u8, (y * 20) as u8, 90]))
}

fn refused(bytes: &[u8]) -> String {
    let error = decode_bytes("picture.png", bytes).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Format, "{error}");
    assert!(error.message().starts_with("picture.png: "), "{error}");
    error.message().to_owned()
}

#[test]
fn lossless_files_come_out_as_they_went_in() {
    for format in [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::Tiff] {
        let frame = decode_bytes("g", &encoded(grey(), format)).unwrap();
        assert_eq!((frame.width(), frame.height(), frame.channels()), (20, 12, 1), "{format:?}");
        assert_eq!(frame.pixels(), grey().as_raw().as_slice());
        let frame = decode_bytes("c", &encoded(colour(), format)).unwrap();
        assert_eq!((frame.width(), frame.height(), frame.channels()), (20, 12, 3), "{format:?}");
        assert_eq!(frame.pixels(), colour().as_raw().as_slice());
        let rgba = RgbaImage::from_fn(20, 12, |x, y| image::Rgba([(x * 12) as u8, (y * 20) as u8, 90, x as u8]));
        assert_eq!(decode_bytes("a", &encoded(rgba, format)).unwrap().pixels(), colour().as_raw().as_slice());
    }
    let with_alpha = GrayAlphaImage::from_fn(20, 12, |x, y| image::LumaA([(x * 11 + y) as u8, 7]));
    assert_eq!(
        decode_bytes("la", &encoded(with_alpha, ImageFormat::Png)).unwrap().pixels(),
        grey().as_raw().as_slice()
    );
}

#[test]
fn sixteen_bits_lose_the_lower_eight() {
    for format in [ImageFormat::Png, ImageFormat::Tiff] {
        let deep = ImageBuffer::from_fn(4, 2, |x, y| Luma([0xFFu16.wrapping_add((y * 4 + x) as u16 * 0x1F01)]));
        let expected: Vec<u8> = deep.as_raw().iter().map(|v| (v >> 8) as u8).collect();
        let frame = decode_bytes("d", &encoded(deep, format)).unwrap();
        assert_eq!((frame.channels(), frame.pixels()), (1, expected.as_slice()));
        let deep = ImageBuffer::from_fn(4, 2, |x, y| Rgb([x as u16 * 0x2233, y as u16 * 0x7fff, 0xFEFF]));
        let expected: Vec<u8> = deep.as_raw().iter().map(|v| (v >> 8) as u8).collect();
        assert_eq!(decode_bytes("d", &encoded(deep, format)).unwrap().pixels(), expected);
    }
}

#[test]
fn jpegs_are_close_and_keep_their_channels() {
    let frame = decode_bytes("j", &encoded(grey(), ImageFormat::Jpeg)).unwrap();
    assert_eq!(frame.channels(), 1);
    let worst = frame.pixels().iter().zip(grey().as_raw()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
    assert!(worst < 25, "{worst}");
    assert_eq!(decode_bytes("j", &encoded(colour(), ImageFormat::Jpeg)).unwrap().channels(), 3);
    // Grey by content, whatever it is stored as.
    let stored_as_colour = DynamicImage::ImageLuma8(grey()).to_rgb8();
    let frame = decode_bytes("p", &encoded(stored_as_colour, ImageFormat::Png)).unwrap();
    assert_eq!((frame.channels(), frame.pixels()), (1, grey().as_raw().as_slice()));
}

#[test]
fn palettes_are_looked_up() {
    // A 2×2 BMP of 8 bits with two colours; rows are padded to four bytes and stand upside down.
    let mut bmp = b"BM".to_vec();
    for number in [62u32 + 8, 0, 62, 40, 2, 2] {
        bmp.extend(number.to_le_bytes());
    }
    bmp.extend([1, 0, 8, 0]);
    for number in [0u32, 8, 0, 0, 2, 2] {
        bmp.extend(number.to_le_bytes());
    }
    bmp.extend([3, 2, 1, 0, 30, 20, 10, 0]);
    bmp.extend([1, 0, 0, 0, 0, 1, 0, 0]);
    let frame = decode_bytes("b", &bmp).unwrap();
    assert_eq!(frame.pixels(), [1, 2, 3, 10, 20, 30, 10, 20, 30, 1, 2, 3]);
}

#[test]
fn truncated_files_are_refused() {
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Bmp, ImageFormat::Tiff] {
        let noisy =
            RgbImage::from_fn(64, 48, |x, y| Rgb([(x * y * 31) as u8, (x * 7 + y * y) as u8, (x ^ y) as u8 * 3]));
        let whole = encoded(noisy, format);
        assert!(decode_bytes("w", &whole).is_ok());
        for length in [1, 2, 10, 30, whole.len() / 4, whole.len() / 2, whole.len() * 3 / 4, whole.len() - 40] {
            refused(&whole[..length]);
        }
    }
    // A thumbnail's end marker in an application segment is not the picture's.
    let mut jpeg = encoded(grey(), ImageFormat::Jpeg);
    jpeg.truncate(jpeg.len() - 2);
    let segment = [0xFF, 0xE1, 0, 6, 0xFF, 0xD8, 0xFF, 0xD9];
    jpeg.splice(2..2, segment);
    assert!(refused(&jpeg).contains("truncated"));
    jpeg.extend([0xFF, 0xD9]);
    assert!(decode_bytes("j", &jpeg).is_ok());
}

#[test]
fn huge_claims_allocate_nothing() {
    // The peak is that of the process, in which other tests run meanwhile.
    if std::env::var_os(ALONE).is_none() {
        let output = alone::command(module_path!(), "huge_claims_allocate_nothing").env(ALONE, "1").output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let before = address_space_peak();
    let mut png = encoded(grey(), ImageFormat::Png);
    png[16..24].copy_from_slice(&[0, 0, 0xEA, 0x60, 0, 0, 0xEA, 0x60]);
    refused(&png);
    let mut bmp = encoded(grey(), ImageFormat::Bmp);
    bmp[18..26].copy_from_slice(&[0x60, 0xEA, 0, 0, 0x60, 0xEA, 0, 0]);
    refused(&bmp);
    // Within the sides, above the bytes: 32,000² of three bytes.
    let mut bmp = encoded(colour(), ImageFormat::Bmp);
    bmp[18..26].copy_from_slice(&[0x00, 0x7D, 0, 0, 0x00, 0x7D, 0, 0]);
    let message = refused(&bmp);
    assert!(message.contains("32768 pixels a side"), "{message}");
    // The claims are 3 to 11 GB.
    assert!(address_space_peak() - before < 1 << 20, "{} KiB", address_space_peak() - before);
}

/// The most address space this process has had, in KiB; 0 where the system does not say.
fn address_space_peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:")).unwrap_or("0");
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn other_content_is_refused_whatever_its_name() {
    refused(b"");
    assert!(refused(b"this is a text file, not a picture").contains("not JPEG, PNG, BMP, TIFF, WebP or PNM"));
    refused(b"GIF89a\x01\x00\x01\x00\x80\x00\x00");
    refused(&[0xFF; 4096]);
    // Every single damaged byte of a small file gives an image or an error, never a panic or a hang.
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Bmp, ImageFormat::Tiff] {
        let whole = encoded(DynamicImage::ImageRgb8(colour()).crop_imm(0, 0, 5, 4), format);
        for at in 0..whole.len().min(400) {
            for value in [0x00, 0xFF, whole[at] ^ 0x10] {
                let mut damaged = whole.clone();
                damaged[at] = value;
                let _ = decode_bytes("d", &damaged);
            }
        }
    }
}

#[test]
fn files_that_are_none_are_refused_without_waiting() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(decode_file(folder.path()).unwrap_err().kind(), ErrorKind::Format);
    let error = decode_file(&folder.path().join("absent.png")).unwrap_err();
    assert!(error.kind() == ErrorKind::Io && error.message().contains("absent.png"), "{error}");
    #[cfg(unix)]
    {
        // Opening a pipe would wait for a writer.
        let pipe = folder.path().join("pipe.png");
        let name = std::ffi::CString::new(pipe.to_str().unwrap()).unwrap();
        // SAFETY: a NUL-terminated path that lives through the call.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        assert_eq!(decode_file(&pipe).unwrap_err().kind(), ErrorKind::Format);
    }
}

#[test]
fn every_pixel_format_is_read_with_its_stride() {
    let frame = |bytes: &[u8], stride, format| {
        let frame = FrameView::new(bytes, 2, 2, stride, format).unwrap().to_frame().unwrap();
        (frame.channels(), frame.pixels().to_vec())
    };
    let colours = vec![1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
    // The last row is not padded.
    assert_eq!(frame(&[1, 2, 99, 3, 4], 3, PixelFormat::Mono8), (1, vec![1, 2, 3, 4]));
    let wide: Vec<u8> = [0x01FFu16, 0xFF00, 0xAAAA, 0x0300, 0x00FF].iter().flat_map(|v| v.to_ne_bytes()).collect();
    assert_eq!(frame(&wide, 6, PixelFormat::Mono16), (1, vec![1, 255, 3, 0]));
    assert_eq!(frame(&[1, 2, 3, 4, 5, 6, 0, 7, 8, 9, 10, 11, 12], 7, PixelFormat::Rgb8), (3, colours.clone()));
    assert_eq!(frame(&[3, 2, 1, 6, 5, 4, 0, 9, 8, 7, 12, 11, 10], 7, PixelFormat::Bgr8), (3, colours.clone()));
    let rgba = [1, 2, 3, 0, 4, 5, 6, 0, 7, 8, 9, 0, 10, 11, 12, 0];
    assert_eq!(frame(&rgba, 8, PixelFormat::Rgba8), (3, colours.clone()));
    let bgra = [3, 2, 1, 0, 6, 5, 4, 0, 9, 8, 7, 0, 12, 11, 10, 0];
    assert_eq!(frame(&bgra, 8, PixelFormat::Bgra8), (3, colours));
    let planes = [0.0f32, 1.0, 9e9, 0.5, -1.0, 9e9, 0.0, 0.2, 9e9, 2.0, 0.4, 9e9, 0.1, 0.2, 9e9, 0.3, 1.0];
    let mut numbers = planes;
    let planes: Vec<u8> = planes.iter().flat_map(|v| v.to_ne_bytes()).collect();
    let expected = vec![0, 0, 26, 255, 51, 51, 128, 255, 77, 0, 102, 255];
    assert_eq!(frame(&planes, 12, PixelFormat::PlanarF32), (3, expected));
    let view = |numbers: &[f32]| {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_ne_bytes()).collect();
        let view = FrameView::new(&bytes, 2, 2, 12, PixelFormat::PlanarF32).unwrap();
        (view.is_clamped(), view.to_frame().map_err(|error| error.message().to_owned()))
    };
    assert!(view(&numbers).0, "-1 and 2 are clamped");
    numbers[4] = -0.001; // a filter's swing, less than half a level
    numbers[9] = 1.0;
    assert!(!view(&numbers).0, "padding is nobody's pixel");
    numbers[15] = f32::NAN;
    assert_eq!(view(&numbers).1.unwrap_err(), "the blue of pixel (0, 1) is NaN, expected a number in [0, 1]");
}

#[test]
fn impossible_frames_say_what_was_expected() {
    let refused = |length: usize, width, height, stride, format| {
        let error = FrameView::new(&vec![0; length], width, height, stride, format).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        error.message().to_owned()
    };
    assert!(refused(100, 0, 5, 10, PixelFormat::Mono8).contains("0×5"));
    assert!(refused(100, 5, 0, 10, PixelFormat::Mono8).contains("5×0"));
    assert!(refused(100, u32::MAX, 1, usize::MAX, PixelFormat::Rgba8).contains("32768"));
    assert!(refused(100, 10, 2, 29, PixelFormat::Rgb8).contains("29 bytes, expected at least 30"));
    assert!(refused(59, 10, 2, 30, PixelFormat::Rgb8).contains("59 bytes, expected at least 60"));
    assert!(refused(0, 1, 1, 1, PixelFormat::Mono8).contains("0 bytes"));
    assert!(refused(100, 5, 5, usize::MAX / 2, PixelFormat::Mono8).contains("address space"));
    assert!(refused(71, 2, 3, 8, PixelFormat::PlanarF32).contains("expected at least 72"));
    // The fields are public; a view made around new() is checked when read.
    let forged = FrameView { bytes: &[0; 3], width: 9, height: 9, stride: 9, format: PixelFormat::Mono8, bits: 8 };
    assert!(forged.to_frame().is_err());
    assert!(Frame::new(2, 2, 2, vec![0; 8]).is_err() && Frame::new(2, 2, 3, vec![0; 11]).is_err());
    assert_eq!(PixelFormat::from_code(7).unwrap(), PixelFormat::PlanarF32);
    assert!(PixelFormat::from_code(0).is_err() && PixelFormat::from_code(24).is_err());
}

fn folder(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    folder
}

#[test]
fn a_folder_is_searched_in_depth_and_sorted() {
    let png = encoded(grey(), ImageFormat::Png);
    let root = folder(&[
        ("b/2.PNG", png.clone()),
        ("b/10.tiff", encoded(grey(), ImageFormat::Tiff)),
        ("a.bmp", encoded(colour(), ImageFormat::Bmp)),
        ("b/c/x.jpeg", encoded(grey(), ImageFormat::Jpeg)),
        ("b/.hidden.png", png.clone()),
        (".thumbnails/t.png", png),
        ("notes.txt", b"no image".to_vec()),
    ]);
    let dataset = Dataset::from_folder(root.path()).unwrap();
    let names: Vec<String> = (0..dataset.len()).map(|i| dataset.name(i).unwrap()).collect();
    assert_eq!(names, ["a.bmp", "b/10.tiff", "b/2.PNG", "b/c/x.jpeg"]);
    assert!((0..4).all(|i| dataset.load(i).is_ok()) && dataset.skipped().is_empty());
    assert!(dataset.load(4).unwrap_err().message().contains("holds 4"));
    assert!(dataset.name(usize::MAX).is_err());
}

#[test]
fn folders_without_images_are_clear_errors() {
    let root = folder(&[("notes.txt", b"no image".to_vec())]);
    let error = Dataset::from_folder(root.path()).unwrap_err();
    assert!(error.message().contains("no image below") && error.message().contains("1 other files"), "{error}");
    let error = Dataset::from_folder(&root.path().join("absent")).unwrap_err();
    assert!(error.kind() == ErrorKind::Io && error.message().contains("absent"), "{error}");
    assert_eq!(Dataset::from_folder(&root.path().join("notes.txt")).unwrap_err().kind(), ErrorKind::Io);
    assert!(Dataset::from_files(vec![]).is_err());
}

#[test]
fn broken_images_are_named_once() {
    let mut cut = encoded(colour(), ImageFormat::Jpeg);
    cut.truncate(cut.len() / 2);
    let root = folder(&[
        ("cut.jpg", cut),
        ("empty.png", vec![]),
        ("fine.png", encoded(grey(), ImageFormat::Png)),
        ("text.jpg", b"hello".to_vec()),
    ]);
    let dataset = Dataset::from_folder(root.path()).unwrap();
    for _ in 0..2 {
        let kinds: Vec<bool> = (0..4).map(|i| dataset.load(i).is_ok()).collect();
        assert_eq!(kinds, [false, false, true, false]);
    }
    let skipped = dataset.skipped();
    assert_eq!(skipped.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["cut.jpg", "empty.png", "text.jpg"]);
    assert!(skipped[0].reason.contains("truncated") && skipped[1].reason.contains("empty"), "{skipped:?}");

    let missing = PathBuf::from("/nowhere/at/all.png");
    let dataset = Dataset::from_files(vec![missing, root.path().join("fine.png")]).unwrap();
    assert_eq!(dataset.load(0).unwrap_err().kind(), ErrorKind::Io);
    assert!(dataset.load(1).is_ok() && dataset.skipped()[0].name == "/nowhere/at/all.png");
}

/// Changes the directory of the process, so it runs in one of its own.
#[test]
fn a_relative_path_is_that_of_the_opening() {
    if std::env::var_os("SEED_TEST_ALONE").is_none() {
        let mut command = alone::command(module_path!(), "a_relative_path_is_that_of_the_opening");
        let run = command.env("SEED_TEST_ALONE", "1").output();
        let run = run.unwrap();
        assert!(run.status.success() && String::from_utf8_lossy(&run.stdout).contains("1 passed"), "{run:?}");
        return;
    }
    let root =
        folder(&[("set/a/1.png", encoded(grey(), ImageFormat::Png)), ("2.png", encoded(grey(), ImageFormat::Png))]);
    std::env::set_current_dir(root.path()).unwrap();
    let sets = [
        Dataset::from_folder(Path::new("set")).unwrap(),
        Dataset::from_folder(Path::new("./set/../set")).unwrap(),
        Dataset::from_files(vec![PathBuf::from("2.png")]).unwrap(),
    ];
    let before: Vec<String> = sets.iter().map(Dataset::identity).collect();
    std::env::set_current_dir("/").unwrap();
    assert_eq!(sets.iter().map(|set| set.name(0).unwrap()).collect::<Vec<_>>(), ["a/1.png", "a/1.png", "2.png"]);
    assert_eq!(sets.iter().map(Dataset::identity).collect::<Vec<_>>(), before);
    assert!(sets.iter().all(|set| set.load(0).is_ok()));
}

#[test]
fn what_could_not_be_read_is_asked_for_again() {
    let png = encoded(grey(), ImageFormat::Png);
    let root = folder(&[("set/1.png", png.clone()), ("set/2.png", png.clone())]);
    let (place, away) = (root.path().join("set"), root.path().join("away"));
    let dataset = Dataset::from_folder(&place).unwrap();
    dataset.set_cache_bytes(0);
    let identity = dataset.identity();
    std::fs::rename(&place, &away).unwrap();
    assert_eq!(dataset.load(0).unwrap_err().kind(), ErrorKind::Io);
    assert_eq!((dataset.skipped_count(), dataset.is_skipped(0), dataset.is_skipped(1)), (1, true, false));
    assert_eq!(dataset.identity(), identity, "a file that is away is the file that it was");
    let error = dataset.nothing_to_read();
    assert!(
        error.kind() == ErrorKind::Io && error.message().contains("1 cannot be opened or read, 0 are damaged"),
        "{error}"
    );
    std::fs::rename(&away, &place).unwrap();
    assert!(dataset.load(0).is_ok());
    assert!(dataset.skipped().is_empty() && !dataset.is_skipped(0));
}

#[test]
fn a_damaged_file_is_read_again_when_it_changes() {
    let png = encoded(grey(), ImageFormat::Png);
    let root = folder(&[("1.png", png[..png.len() / 2].to_vec())]);
    let path = root.path().join("1.png");
    let dataset = Dataset::from_folder(root.path()).unwrap();
    let broken = |words: &str| {
        let error = dataset.load(0).unwrap_err();
        assert!(error.kind() == ErrorKind::Format && error.message().contains(words), "{error}");
        assert_eq!(dataset.skipped_count(), 1);
    };
    broken("1.png");
    broken("1.png");
    // Damaged in the same number of bytes, with the time of the change set back.
    let time = std::fs::metadata(&path).unwrap().modified().unwrap();
    let write = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    };
    let mut wrong = png.clone();
    wrong.fill(7);
    write(&wrong);
    broken("not JPEG, PNG, BMP, TIFF, WebP or PNM");
    write(&png);
    assert!(dataset.load(0).is_ok() && dataset.skipped().is_empty());
}

#[test]
fn a_part_tells_the_whole_what_is_broken() {
    let png = encoded(grey(), ImageFormat::Png);
    let root = folder(&[("1.png", png.clone()), ("2.png", b"no image".to_vec()), ("3.png", b"no image".to_vec())]);
    let dataset = Dataset::from_folder(root.path()).unwrap();
    let part = dataset.subset(&[2, 0, 1]).unwrap();
    let smaller = part.subset(&[1, 2]).unwrap();
    assert!(smaller.load(0).is_ok() && smaller.load(1).is_err());
    let names = |set: &Dataset| set.skipped().into_iter().map(|image| image.name).collect::<Vec<_>>();
    assert_eq!([names(&smaller), names(&part), names(&dataset)], [["2.png"], ["2.png"], ["2.png"]]);
    assert!(part.is_skipped(2) && dataset.is_skipped(1));
    std::fs::write(root.path().join("2.png"), png).unwrap();
    assert!(smaller.load(1).is_ok());
    assert!([&smaller, &part, &dataset].iter().all(|set| set.skipped().is_empty()));
}

#[cfg(unix)]
#[test]
fn class_folders_that_are_not_utf8_stay_apart() {
    use std::os::unix::ffi::OsStrExt;
    let root = tempfile::tempdir().unwrap();
    for (folder, file) in [(&b"kl\xe4sse_A"[..], "x.png"), (b"kl\xe5sse_A", "x.png"), (b"kl\\xE4sse_A", "x.png")] {
        let place = root.path().join(std::ffi::OsStr::from_bytes(folder));
        if std::fs::create_dir(&place).is_err() {
            eprintln!("SKIPPED: this file system does not take names that are not UTF-8");
            return;
        }
        std::fs::write(place.join(file), encoded(grey(), ImageFormat::Png)).unwrap();
    }
    let dataset = Dataset::from_folder(root.path()).unwrap();
    let labels = seed::data::labels::FolderLabels::of(&dataset).unwrap();
    assert_eq!(labels.names, ["kl\\x5CxE4sse_A", "kl\\xE4sse_A", "kl\\xE5sse_A"]);
    assert_eq!(labels.labels, [0, 1, 2]);
    assert!((0..3).all(|i| dataset.load(i).is_ok()));
}

#[cfg(unix)]
#[test]
fn names_that_are_not_utf8_load_too() {
    use std::os::unix::ffi::OsStrExt;
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join(std::ffi::OsStr::from_bytes(b"na\xFFme.png"));
    if std::fs::write(&path, encoded(grey(), ImageFormat::Png)).is_err() {
        eprintln!("SKIPPED: this file system does not take names that are not UTF-8");
        return;
    }
    let dataset = Dataset::from_folder(root.path()).unwrap();
    assert_eq!(dataset.name(0).unwrap(), "na\\xFFme.png");
    assert!(dataset.load(0).is_ok());
}

#[cfg(unix)]
#[test]
fn links_in_a_circle_end() {
    let root = folder(&[("a/1.png", encoded(grey(), ImageFormat::Png))]);
    std::os::unix::fs::symlink(root.path(), root.path().join("a/again")).unwrap();
    std::os::unix::fs::symlink("/nowhere", root.path().join("dangling.png")).unwrap();
    let dataset = Dataset::from_folder(root.path()).unwrap();
    assert_eq!((dataset.len(), dataset.name(0).unwrap().as_str()), (1, "a/1.png"));
    assert_eq!(dataset.skipped().len(), 2);
}

#[test]
fn the_cache_keeps_what_its_budget_allows() {
    let png = encoded(grey(), ImageFormat::Png);
    let root = folder(&[("1.png", png.clone()), ("2.png", png.clone()), ("3.png", png)]);
    let dataset = Dataset::from_folder(root.path()).unwrap();
    let kept = |i: usize| std::sync::Arc::ptr_eq(&dataset.load(i).unwrap(), &dataset.load(i).unwrap());
    dataset.set_cache_bytes(2 * 240 + 239);
    assert_eq!([0, 1, 2].map(kept), [true, true, false]);
    dataset.set_cache_bytes(0);
    assert_eq!([0, 1, 2].map(kept), [false, false, false]);
    dataset.set_cache_bytes(usize::MAX);
    assert_eq!([0, 1, 2].map(kept), [true, true, true]);
}

#[test]
fn pushed_frames_are_copies_and_identity_tells_data_sets_apart() {
    let dataset = Dataset::in_memory();
    assert!(dataset.is_empty());
    let mut buffer = vec![7u8; 64];
    fn view(buffer: &[u8], width: u32) -> FrameView<'_> {
        FrameView::new(buffer, width, 4, 16, PixelFormat::Mono8).unwrap()
    }
    assert_eq!(dataset.push("first", &view(&buffer, 16)).unwrap(), 0);
    buffer.fill(9);
    assert_eq!(dataset.load(0).unwrap().pixels()[0], 7);
    let one = dataset.identity();
    assert_eq!((one.len(), one == dataset.identity()), (64, true));
    dataset.push("first", &view(&buffer, 16)).unwrap();
    assert_ne!(one, dataset.identity());

    let narrower = Dataset::in_memory();
    narrower.push("first", &view(&buffer, 15)).unwrap();
    assert_ne!(one, narrower.identity());

    let error = dataset.push("odd", &FrameView { width: 99, ..view(&buffer, 16) }).unwrap_err();
    assert!(error.message().starts_with("odd: ") && dataset.len() == 2, "{error}");
}

/// Real inspection images, where they are at hand.
#[test]
fn real_images_decode() {
    let Some(root) = crate::shared::data("magnetic-tile/images") else { return };
    let dataset = Dataset::from_folder(&root).unwrap();
    assert_eq!(dataset.len(), 1344);
    for i in (0..dataset.len()).step_by(97) {
        assert_eq!(dataset.load(i).unwrap().channels(), 1);
    }
    assert!(dataset.skipped().is_empty());
}
