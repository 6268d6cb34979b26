//! Views of JPEGs that are decoded at 1/2, 1/4 or 1/8 of their sides, against views of the whole frames.

use std::path::Path;
use std::sync::Arc;

use crate::written;
use image::{DynamicImage, Rgb, RgbImage};
use seed::data::decode::decode_file;
use seed::data::scale::Reading;
use seed::data::{Batch, Dataset, FrameView, Input, Loader, PixelFormat, Range, Resize, ViewConfig};

/// A camera's frame: shading, stripes of many widths, edges and a little noise.
fn picture(width: u32, height: u32, shift: u32) -> RgbImage {
    let mut state = 12_345u32 + shift;
    RgbImage::from_fn(width, height, |x, y| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = (state >> 28) as f32 - 8.0;
        let (u, v) = ((x + shift) as f32 / width as f32, y as f32 / height as f32);
        let stripes = 40.0 * (u * u * 300.0).sin() + 30.0 * (v * 90.0 + u * 20.0).cos();
        let patch = if (x / 37 + y / 53 + shift).is_multiple_of(5) { 35.0 } else { 0.0 };
        let level = |base: f32, share: f32| (base + share * stripes + patch + noise).clamp(0.0, 255.0) as u8;
        Rgb([level(110.0 + 60.0 * u, 1.0), level(100.0 + 50.0 * v, 0.8), level(90.0, 0.5)])
    })
}

fn write_jpeg(path: &Path, picture: DynamicImage) {
    std::fs::write(path, written::jpeg(&picture, 92)).unwrap();
}

/// Two in colour and one grey, of sides that 8 does not divide.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_jpeg(&folder.path().join("a.jpg"), picture(1605, 1203, 0).into());
    write_jpeg(&folder.path().join("b.jpg"), picture(1201, 1607, 9).into());
    let grey = DynamicImage::ImageLuma8(DynamicImage::from(picture(1399, 1001, 4)).to_luma8());
    write_jpeg(&folder.path().join("c.jpg"), grey);
    folder
}

fn config(side: u32) -> ViewConfig {
    Input { width: side, height: side, mean: [0.0; 3], std: [1.0; 3], ..Input::default() }.into()
}

/// The same images, whole, in memory.
fn whole(dataset: &Dataset) -> Arc<Dataset> {
    let memory = Dataset::in_memory();
    for i in 0..dataset.len() {
        let frame = dataset.load(i).unwrap();
        let format = if frame.channels() == 1 { PixelFormat::Mono8 } else { PixelFormat::Rgb8 };
        let stride = frame.width() as usize * usize::from(frame.channels());
        let view = FrameView::new(frame.pixels(), frame.width(), frame.height(), stride, format).unwrap();
        memory.push(&dataset.name(i).unwrap(), &view).unwrap();
    }
    Arc::new(memory)
}

fn batches(loader: Loader) -> Vec<Batch> {
    loader.map(Result::unwrap).collect()
}

fn views(dataset: &Arc<Dataset>, side: u32, workers: usize) -> Vec<Batch> {
    batches(Loader::views(Arc::clone(dataset), config(side), 3, 6, 0..5, workers).unwrap())
}

/// Mean and largest difference in levels.
fn difference(a: &[Batch], b: &[Batch]) -> (f32, f32) {
    assert_eq!(a.len(), b.len());
    let pairs = || a.iter().zip(b).flat_map(|(a, b)| a.views[0].pixels.iter().zip(&b.views[0].pixels));
    let levels = || pairs().map(|(a, b)| (a - b).abs() * 255.0);
    (levels().sum::<f32>() / levels().count() as f32, levels().fold(0.0, f32::max))
}

#[test]
fn scaled_views_are_close_to_whole_ones() {
    let folder = folder();
    let dataset = Arc::new(Dataset::from_folder(folder.path()).unwrap());
    let memory = whole(&dataset);
    // At 224² each view has its own scale, at 96² all views of an image share 1/2, at 32² they share 1/8.
    for side in [224, 96, 32] {
        let (mean, worst) = difference(&views(&dataset, side, 1), &views(&memory, side, 1));
        println!("views at {side}²: mean {mean:.3} worst {worst:.1}");
        assert!(mean > 0.0, "nothing was scaled");
        assert!(mean < 0.6 && worst < 20.0, "views at {side}²: mean {mean} worst {worst}");
        for resize in [Resize::Whole, Resize::Letterbox, Resize::Centre] {
            let input = Input { resize, ..config(side).input };
            let frames = |dataset: &Arc<Dataset>| batches(Loader::frames(Arc::clone(dataset), input, 3, 1).unwrap());
            let (mean, worst) = difference(&frames(&dataset), &frames(&memory));
            println!("{resize:?} at {side}²: mean {mean:.3} worst {worst:.1}");
            assert!(mean > 0.0 && mean < 0.6 && worst < 20.0, "{resize:?} at {side}²: mean {mean} worst {worst}");
        }
    }
}

#[test]
fn scaled_views_depend_neither_on_the_cache_nor_on_the_workers() {
    let folder = folder();
    let open = |bytes: usize| {
        let dataset = Dataset::from_folder(folder.path()).unwrap();
        dataset.set_cache_bytes(bytes);
        Arc::new(dataset)
    };
    for side in [224, 96] {
        let kept = open(usize::MAX);
        let first = views(&kept, side, 1);
        assert!(first == views(&kept, side, 1), "from the cache, at {side}²");
        assert!(first == views(&open(0), side, 1), "without a cache, at {side}²");
        assert!(first == views(&open(3_000_000), side, 4), "with four workers and a small cache, at {side}²");
        // Whole frames in the cache are not what a scaled view is drawn from.
        let warm = open(usize::MAX);
        (0..3).for_each(|i| _ = warm.load(i).unwrap());
        assert!(first == views(&warm, side, 4), "beside whole frames, at {side}²");
    }
}

#[test]
fn load_gives_whole_frames_and_scaled_ones_say_what_they_are() {
    let folder = folder();
    let dataset = Dataset::from_folder(folder.path()).unwrap();
    for scale in [8, 1, 2, 4] {
        for (i, (width, height, channels)) in
            [(1605, 1203, 3), (1201, 1607, 3), (1399, 1001, 1)].into_iter().enumerate()
        {
            let scaled = dataset
                .load_scaled(i, &Range::FULL, |w, h| {
                    assert_eq!((w, h), (width, height));
                    Reading { scale, keep: true }
                })
                .unwrap();
            assert_eq!((scaled.width, scaled.height, scaled.scale), (width, height, scale));
            let sides = (scaled.frame.width(), scaled.frame.height(), scaled.frame.channels());
            assert_eq!(sides, (width.div_ceil(scale), height.div_ceil(scale), channels));
            let frame = dataset.load(i).unwrap();
            assert_eq!((frame.width(), frame.height()), (width, height));
        }
    }
    // Other formats and pushed frames have but one size.
    let png = folder.path().join("d.png");
    picture(900, 900, 1).save(&png).unwrap();
    let dataset = Dataset::from_files(vec![png]).unwrap();
    assert_eq!(dataset.load_scaled(0, &Range::FULL, |_, _| Reading { scale: 8, keep: true }).unwrap().scale, 1);
}

#[test]
fn what_is_broken_does_not_depend_on_the_scale() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.jpg");
    write_jpeg(&path, picture(160, 120, 0).into());
    let sound = std::fs::read(&path).unwrap();
    let quarter = |_: u32, _: u32| Reading { scale: 4, keep: true };
    let mut broken = 0;
    for step in 0..400 {
        let mut bytes = sound.clone();
        match step {
            0..40 => bytes.truncate(sound.len() * step / 40),
            _ => bytes[(step * 7919) % sound.len()] ^= 1 << (step % 8),
        }
        std::fs::write(&path, bytes).unwrap();
        let fresh = || Dataset::from_files(vec![path.clone()]).unwrap();
        let scaled = fresh().load_scaled(0, &Range::FULL, quarter);
        let expected = decode_file(&path);
        assert_eq!(fresh().load(0).is_ok(), expected.is_ok(), "step {step}: {expected:?}");
        assert_eq!(scaled.is_ok(), expected.is_ok(), "step {step}: {scaled:?} and {expected:?}");
        match scaled {
            Ok(frame) => assert_eq!(frame.scale, 4),
            Err(error) => {
                assert_eq!(error.message(), expected.unwrap_err().message());
                broken += 1;
            }
        }
    }
    println!("of 400 damaged files {broken} are broken");
    assert!(broken >= 40, "{broken} broken");
}
