//! Where memory ends. This process has an allocator that refuses whatever would be more than a thread is allowed. Each piece of work
//! is done again and again with a little more: it must end with `OutOfMemory` or be done, and be done with what a decoder is said
//! to need. Rust would end the process where something asks for memory that nobody has looked for.
//!
//! That is Rust's memory, so no libtorch (tests/safety/memory.c and faults.c are for that); libjpeg-turbo has an error for it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::{Path, PathBuf};

use image::{DynamicImage, ImageFormat};
use seed::data::decode::decode_bytes;
use seed::data::labels::FolderLabels;
use seed::data::{Dataset, Encoding, Frame, FrameView, PixelFormat, RawFrame};
use seed::eval::{Confusion, Embeddings, MapConfig, MapMethod, embedding_map};
use seed::report::{ClassImages, HeatFigure, MapImages, Report, SheetRow, Thumbnail};
use seed::sys::memory::MARGIN;
use seed::{Error, ErrorKind, Result};
use written::encoded;

#[allow(dead_code)]
#[path = "common/written.rs"]
mod written;

struct Bounded;

#[global_allocator]
static BOUNDED: Bounded = Bounded;

thread_local! {
    /// Of this thread, whose work is bounded and counted: bytes that live, the most there were, the most there may be. None of
    /// them allocates itself.
    static LIVE: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
    static MOST: Cell<usize> = const { Cell::new(usize::MAX) };
}

impl Bounded {
    fn take(bytes: usize) -> bool {
        let live = LIVE.get().wrapping_add(bytes);
        // What another thread made and this one freed may have turned the count below 0.
        if live.cast_signed() > 0 && live > MOST.get() {
            return false;
        }
        LIVE.set(live);
        PEAK.set(if live.cast_signed() > PEAK.get().cast_signed() { live } else { PEAK.get() });
        true
    }
}

// SAFETY: memory comes from `System` and goes back there; nothing here unwinds.
unsafe impl GlobalAlloc for Bounded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !Self::take(layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: by contract of the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        LIVE.set(LIVE.get().wrapping_sub(layout.size()));
        // SAFETY: by contract of the caller.
        unsafe { System.dealloc(block, layout) }
    }
}

/// The most that `work` has beside what is there already.
fn with_at_most<T>(bytes: usize, work: impl FnOnce() -> Result<T>) -> Result<T> {
    MOST.set(LIVE.get().wrapping_add(bytes));
    let outcome = work();
    MOST.set(usize::MAX);
    outcome
}

/// Bytes that `work` takes at most.
fn peak_of<T>(work: impl FnOnce() -> Result<T>) -> usize {
    let before = LIVE.get();
    PEAK.set(before);
    work().map(drop).unwrap();
    PEAK.get().wrapping_sub(before)
}

/// Does `work` with more and more memory, from the margin on, in `steps` steps, and says how many ended without it. Memory that
/// is looked for and not needed counts, so that `most` times what was needed must be enough.
fn ends_well<T>(what: &str, steps: usize, most: f64, work: impl Fn() -> Result<T>) {
    work().map(drop).unwrap(); // whatever is made once
    let needed = peak_of(&work);
    let enough = (needed as f64 * most) as usize + 6 * MARGIN;
    let mut refused = 0;
    for step in 0..=steps {
        let bytes = MARGIN + (enough - MARGIN) * step / steps;
        match with_at_most(bytes, &work) {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::OutOfMemory, "{what} with {bytes} bytes: {error}");
                assert!(step < steps, "{what} needs {needed} bytes and is refused with {bytes}: {error}");
                refused += 1;
            }
        }
    }
    println!("{what}: {needed} bytes, {refused} of {steps} sizes refused");
    assert!(refused > 0, "{what}: memory never ended");
}

/// A picture with something in it for every filter and table.
fn pixels(width: u32, height: u32, channels: u32) -> Vec<u8> {
    let sample = |i: u32| {
        let noise = i.wrapping_mul(2_654_435_761) >> 27;
        (i / channels % width / 3 + i / channels / width * 2 + i % channels * 40 + noise) as u8
    };
    (0..width * height * channels).map(sample).collect()
}

fn picture(width: u32, height: u32, channels: u32) -> DynamicImage {
    let bytes = pixels(width, height, channels);
    match channels {
        1 => DynamicImage::ImageLuma8(image::GrayImage::from_raw(width, height, bytes).unwrap()),
        3 => DynamicImage::ImageRgb8(image::RgbImage::from_raw(width, height, bytes).unwrap()),
        _ => DynamicImage::ImageRgba8(image::RgbaImage::from_raw(width, height, bytes).unwrap()),
    }
}

#[test]
fn decoders_end_well() {
    use ImageFormat::{Bmp, Jpeg, Png, Tiff};
    for (width, height) in [(1500, 1100), (30_000, 40), (16, 9000)] {
        for channels in [1, 3, 4] {
            let picture = picture(width, height, channels);
            for format in [Bmp, Jpeg, Png, Tiff].into_iter().filter(|format| channels < 4 || *format != Jpeg) {
                let file = encoded(picture.clone(), format);
                let what = format!("{format:?} of {width}×{height}×{channels}");
                // What the decoder of PNG takes when nobody looks is less than what was looked for. JPEG is libjpeg-turbo's, in C's
                // memory; BMP and TIFF are read here, and all their memory is reserved.
                if format == Png {
                    let plain = || image::load_from_memory(&file).map_err(|error| Error::invalid(error.to_string()));
                    let (taken, looked_for) = (peak_of(plain), peak_of(|| decode_bytes("it", &file)));
                    println!("{what}: the decoder takes {taken} bytes, {looked_for} are looked for");
                    assert!(taken + MARGIN / 2 < looked_for, "{what}: {taken} of {looked_for} bytes");
                }
                ends_well(&what, 24, 2.5, || decode_bytes("it", &file));
            }
        }
    }
}

#[test]
fn deep_images_end_well() {
    for picture in [
        DynamicImage::ImageRgb8(image::RgbImage::from_raw(900, 800, pixels(900, 800, 3)).unwrap()).into_rgb16().into(),
        DynamicImage::from(picture(900, 800, 1).into_luma16()),
        DynamicImage::from(picture(900, 800, 4).into_rgba16()),
    ] {
        for format in [ImageFormat::Png, ImageFormat::Tiff] {
            let file = encoded(picture.clone(), format);
            ends_well(&format!("{format:?} {:?}", picture.color()), 24, 2.5, || decode_bytes("it", &file));
        }
    }
}

#[test]
fn encoders_end_well() {
    for (width, height, format) in
        [(1500, 1100, PixelFormat::Rgb8), (1600, 1200, PixelFormat::Mono8), (900, 800, PixelFormat::Mono16)]
    {
        let stride = format.row_bytes(width) as usize;
        // Noise does not shrink: the encoder makes a second try then, and has both in memory.
        let noise: Vec<u8> = (0..stride as u32 * height).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for (what, bytes) in [("noise", &noise), ("a picture", &pixels(stride as u32, height, 1))] {
            let view = FrameView::new(bytes, width, height, stride, format).unwrap();
            let raw = RawFrame::copy_of(&view, Vec::new()).unwrap();
            ends_well(&format!("PNG of {what} in {format:?}"), 24, 1.2, || raw.encode(Encoding::Png));
            // Its encoder takes C's memory, which nobody here refuses: a copy at the end is all there is.
            let jpeg = || raw.encode(Encoding::Jpeg { quality: 95 });
            ends_well(&format!("JPEG of {what} in {format:?}"), 24, 3.0, jpeg);
        }
    }
}

/// As [`ends_well`] for a report that `fill` makes and that is written to a file.
fn report_ends_well(what: &str, fill: impl Fn(&mut Report) -> Result<()>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.html");
    let written = |path: &Path| {
        let mut report = Report::new(what);
        fill(&mut report)?;
        report.write(path)
    };
    ends_well(what, 20, 1.2, || written(&path));
    let mut report = Report::new(what);
    fill(&mut report).unwrap();
    ends_well(&format!("the text of {what}"), 24, 3.0, || report.to_html());
    let text = report.to_html().unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    // Writing needs no memory that grows with the page: a look at the margin, and the picture that is being made.
    let taken = peak_of(|| report.write(&path));
    println!("writing {what}, {} bytes, takes {taken}", text.len());
    assert!(taken < 2 * MARGIN, "writing {what} takes {taken} bytes");
}

fn frames(count: usize) -> Vec<Frame> {
    (0..count as u32).map(|i| Frame::new(200 + i, 150, 3, pixels(200 + i, 150, 3)).unwrap()).collect()
}

#[test]
fn sheets_of_pictures_end_well() {
    let frames = frames(9);
    let thumbnail = |i: usize| Thumbnail::new(i as u64, &frames[i % 9], "a picture");
    report_ends_well("a sheet of neighbours", |report| {
        let row = |query: usize| -> Result<SheetRow> {
            let neighbours = vec![(0..9).map(|n| thumbnail(query + n)).collect::<Result<_>>()?];
            Ok(SheetRow { query: thumbnail(query)?, neighbours })
        };
        report.neighbour_sheet("nearest", &["student"], (0..24).map(row).collect::<Result<_>>()?)
    });
    let names: Vec<String> = (0..20).map(|class| format!("class {class}")).collect();
    let labels: Vec<i32> = (0..60_000).map(|i| i % 20).collect();
    let rows: Vec<f32> = (0..120_000).map(|i| (i * 37 % 1009) as f32 - 500.0).collect();
    let answers: Vec<i32> = labels.iter().map(|label| (label * 7 + 1) % 20).collect();
    report_ends_well("a sheet of classes", |report| {
        let images = ClassImages {
            names: &names,
            labels: &labels,
            embeddings: Some(Embeddings::new(&rows, 2)?),
            answers: Some((&answers, None)),
        };
        report.class_sheet("classes", &images, 4, |image, caption| {
            Thumbnail::new(image as u64, &frames[image % 9], caption)
        })
    });
}

#[test]
fn maps_matrices_and_heat_maps_end_well() {
    let rows: Vec<f32> = (0..6000).map(|i| (i * 37 % 1009) as f32 - 500.0).collect();
    let labels: Vec<i32> = (0..2000).map(|i| i % 20).collect();
    let names: Vec<String> = (0..20).map(|class| format!("class {class}")).collect();
    let config = MapConfig { method: MapMethod::Pca, ..MapConfig::default() };
    let map = embedding_map(&Embeddings::new(&rows, 3).unwrap(), &labels, &config).unwrap();
    let (truth, answers): (Vec<usize>, Vec<usize>) = (0..40_000).map(|i| (i % 700, i * 7 % 700)).unzip();
    let confusion = Confusion::of(&answers, &truth, 700).unwrap();
    let many: Vec<String> = (0..700).map(|class| format!("class {class}")).collect();
    let frame = Frame::new(640, 480, 3, pixels(640, 480, 3)).unwrap();
    let heat: Vec<f32> = (0..640 * 480).map(|i| (i % 640 / 10) as f32).collect();
    let mask: Vec<u8> = (0..640 * 480).map(|i| u8::from(i % 640 > 320)).collect();
    report_ends_well("maps, matrices and heat maps", |report| {
        let points = map.rows().iter().map(|row| format!("image number {row} of a folder with a long name")).collect();
        report.map("map", &map, &MapImages { labels: &labels, classes: &names }, points)?;
        report.confusion("matrix", &many, &confusion)?;
        for number in 0..10 {
            let caption = format!("frame {number}");
            report.heat_map("heat", HeatFigure::new(&caption, &frame, &heat, 60.0, Some(30.0), Some(&mask))?)?;
        }
        Ok(())
    });
}

#[test]
fn lists_of_very_many_images_end_well() {
    let files: Vec<PathBuf> = (0..60_000).map(|i| format!("line {}/camera/part {i}.png", i % 30).into()).collect();
    let all = Dataset::from_files(files).unwrap();
    let numbers: Vec<usize> = (0..all.len()).collect();
    ends_well("a part of a data set", 24, 1.6, || all.subset(&numbers));
    ends_well("the labels of a data set", 24, 1.6, || FolderLabels::of(&all));
    let frame = Frame::new(2, 2, 1, vec![0; 4]).unwrap();
    ends_well("pushing frames", 24, 1.6, || {
        let images = Dataset::in_memory();
        for i in 0..20_000 {
            images.push_frame(&format!("frame {i} has a name of its own"), frame.clone())?;
        }
        Ok(images)
    });
}

#[test]
fn a_folder_of_many_images_ends_well() {
    let folder = tempfile::tempdir().unwrap();
    for i in 0..6000 {
        std::fs::write(folder.path().join(format!("a part with a long name, number {i} of this shift.png")), "")
            .unwrap();
    }
    ends_well("a folder", 24, 1.6, || Dataset::from_folder(folder.path()));
}
