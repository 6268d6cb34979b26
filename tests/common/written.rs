//! Image files for tests: by the crate `image`, by libseed's own encoder of JPEG, and plain TIFFs.

use std::io::Cursor;

use image::{ColorType, DynamicImage, ImageFormat};
use seed::data::{Encoding, FrameView, PixelFormat, RawFrame};

/// The file of a picture. JPEG has quality 75 and is grey or coloured; TIFF is not compressed.
pub fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let image = image.into();
    match format {
        ImageFormat::Jpeg => jpeg(&image, 75),
        ImageFormat::Tiff => tiff(&image),
        _ => {
            let mut bytes = Vec::new();
            image.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
            bytes
        }
    }
}

/// A baseline JPEG of a picture that is grey or red, green and blue.
pub fn jpeg(image: &DynamicImage, quality: u8) -> Vec<u8> {
    let (format, channels) =
        if image.color() == ColorType::L8 { (PixelFormat::Mono8, 1) } else { (PixelFormat::Rgb8, 3) };
    assert!(matches!(image.color(), ColorType::L8 | ColorType::Rgb8));
    let (width, height) = (image.width(), image.height());
    let view = FrameView::new(image.as_bytes(), width, height, width as usize * channels, format).unwrap();
    RawFrame::copy_of(&view, Vec::new()).unwrap().encode(Encoding::Jpeg { quality }).unwrap()
}

/// A TIFF in strips of 16 rows, in the machine's byte order.
fn tiff(image: &DynamicImage) -> Vec<u8> {
    let colour = image.color();
    let samples = u32::from(colour.channel_count());
    let bits = u32::from(colour.bits_per_pixel()) / samples;
    let row = (image.width() * u32::from(colour.bytes_per_pixel())) as usize;
    let strips: Vec<&[u8]> = image.as_bytes().chunks(16 * row).collect();
    let mut file = if cfg!(target_endian = "little") { b"II\x2A\0".to_vec() } else { b"MM\0\x2A".to_vec() };
    file.extend([0; 4]);
    let mut places = Vec::new();
    for strip in &strips {
        places.push(file.len() as u32);
        file.extend_from_slice(strip);
        file.resize(file.len().next_multiple_of(2), 0);
    }
    let long = |file: &mut Vec<u8>, values: &[u32]| {
        let at = file.len() as u32;
        values.iter().for_each(|value| file.extend(value.to_ne_bytes()));
        // One value stands in the directory itself.
        if let [value] = values { *value } else { at }
    };
    let lengths: Vec<u32> = strips.iter().map(|strip| strip.len() as u32).collect();
    let (places, lengths) = (long(&mut file, &places), long(&mut file, &lengths));
    let depth = long(&mut file, &vec![bits; samples as usize]);
    let photometric = if colour.has_color() { 2 } else { 1 };
    let count = strips.len() as u32;
    let entries = [
        (256u16, 1, image.width()),
        (257, 1, image.height()),
        (258, samples, depth),
        (259, 1, 1),
        (262, 1, photometric),
        (273, count, places),
        (277, 1, samples),
        (278, 1, 16),
        (279, count, lengths),
    ];
    let directory = file.len() as u32;
    file[4..8].copy_from_slice(&directory.to_ne_bytes());
    file.extend((entries.len() as u16).to_ne_bytes());
    for (tag, count, value) in entries {
        file.extend(tag.to_ne_bytes());
        file.extend(4u16.to_ne_bytes());
        file.extend(count.to_ne_bytes());
        file.extend(value.to_ne_bytes());
    }
    file.extend([0; 4]);
    file
}
