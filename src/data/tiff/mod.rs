//! TIFF and BigTIFF → [`Decoded`], with PIL's values.
//!
//! ```text
//! directory of the page → layout → for each plane and strip or tile: unpack → add up differences → bytes → colours
//! ```
//!
//! Read: strips and tiles, samples together or in planes, none, PackBits, LZW, deflate and JPEG compression, predictor 2; grey of 1, 2, 4,
//! 8, 12 and 16 bits, palettes, RGB and CMYK of 8 and 16 bits, YCbCr in JPEG, alpha (dropped, and divided out where it was multiplied
//! in). Grey and RGB of more than 8 bits stay so; of CMYK and of RGB with alpha multiplied in the upper 8 are read. Everything else is refused by name. The orientation is told, not applied.
//!
//! All memory is reserved: the pixels, and one strip or tile at a time.

mod compression;
mod directory;
mod layout;
mod samples;

pub(super) use self::directory::{is_tiff, pages};

use self::compression::Compression;
use self::directory::{Directory, damaged};
use self::layout::{Layout, Photometric};
use self::samples::{Reader, add_up, divided, four_to_three, look_up, of_inks};
use super::decoded::{Decoded, deep_grey_if_all_are, grey_if_all_are};
use super::jpeg::{self, Colours};
use crate::error::Result;
use crate::sys::memory::{filled, reserve, room};

/// The orientation that the first directory names; 1 where it names none or cannot be read.
pub(super) fn orientation(bytes: &[u8]) -> u8 {
    let directory = if is_tiff(bytes) { Directory::first(bytes).ok() } else { None };
    let named = directory.and_then(|directory| directory.one(274, 1).ok());
    named.map_or(1, known_orientation)
}

fn known_orientation(named: u64) -> u8 {
    if (1..=8).contains(&named) { named as u8 } else { 1 }
}

/// Image `page` of the file, from 1 on.
///
/// # Errors
/// `Format` where the file is damaged, has no such page, or uses something that is not read, which is named; `OutOfMemory`.
pub(super) fn decode(bytes: &[u8], page: u64) -> Result<Decoded> {
    let directory = Directory::of_page(bytes, page)?;
    let (orientation, has_more_pages) = (known_orientation(directory.one(274, 1)?), directory.has_next());
    let decoded = decode_page(&directory)?;
    Ok(Decoded { orientation, has_more_pages, ..decoded })
}

fn decode_page(directory: &Directory<'_>) -> Result<Decoded> {
    let layout = Layout::of(directory)?;
    let palette =
        if layout.photometric == Photometric::Palette { palette(directory, layout.bits)? } else { Vec::new() };
    let kept = match layout.photometric {
        Photometric::Grey { .. } | Photometric::Palette => 1,
        Photometric::Rgb { premultiplied: false } | Photometric::YCbCr => 3,
        Photometric::Rgb { premultiplied: true } | Photometric::Cmyk => 4,
    };
    let reader = Reader::new(&layout, directory.little);
    let (width, height) = (layout.width, layout.height);
    if layout.bits > 8 && kept != 4 {
        let samples = read(directory, &layout, kept, |row, i| reader.deep(row, i).to_ne_bytes())?;
        let (channels, bits) = (kept as u8, layout.bits as u8);
        let frame = deep_grey_if_all_are(width, height, channels, bits, samples)?;
        return Ok(Decoded::new(frame, "tiff", channels, bits));
    }
    let mut pixels = read(directory, &layout, kept, |row, i| [reader.at(row, i)])?;
    match layout.photometric {
        Photometric::Palette => pixels = look_up(&pixels, &palette)?,
        Photometric::Cmyk => four_to_three(&mut pixels, of_inks),
        Photometric::Rgb { premultiplied: true } => four_to_three(&mut pixels, divided),
        _ => {}
    }
    let channels = if matches!(layout.photometric, Photometric::Grey { .. }) { 1 } else { 3 };
    let frame = grey_if_all_are(width, height, channels, pixels)?.into();
    Ok(Decoded::new(frame, "tiff", channels, if layout.bits > 8 { 16 } else { 8 }))
}

/// (H, W, `kept`) samples of `N` bytes: the first `kept` of every pixel, which `at` finds in a row.
fn read<const N: usize>(
    directory: &Directory<'_>,
    layout: &Layout<'_>,
    kept: usize,
    at: impl Fn(&[u8], usize) -> [u8; N],
) -> Result<Vec<u8>> {
    let (width, height) = (layout.width as usize, layout.height as usize);
    let (piece_w, piece_h) = (layout.piece.0 as usize, layout.piece.1 as usize);
    let (together, row_bytes) = (layout.together() as usize, layout.row_bytes());
    let reader = Reader::new(layout, directory.little);
    let mut pixels = filled(0u8, width * height * kept * N, "a frame")?;
    let mut piece = Piece::default();
    // Planes behind the colours are alpha and the like.
    for plane in 0..layout.planes().min(kept as u32) {
        for row in 0..layout.down() {
            let top = row as usize * piece_h;
            let rows = piece_h.min(height - top);
            for column in 0..layout.across() {
                let left = column as usize * piece_w;
                let columns = piece_w.min(width - left);
                let stored = layout.stored(directory.bytes, plane, row, column)?;
                let found = piece.samples(stored, directory, layout, rows)?;
                for y in 0..rows {
                    let from = &found[y * row_bytes..][..row_bytes];
                    let place = &mut pixels[((top + y) * width + left) * kept * N..][..columns * kept * N];
                    if together == kept && reader.is_plain() && !layout.planar {
                        place.copy_from_slice(&from[..columns * kept]);
                        continue;
                    }
                    for (x, pixel) in place.as_chunks_mut::<N>().0.chunks_exact_mut(kept).enumerate() {
                        if layout.planar {
                            pixel[plane as usize] = at(from, x);
                            continue;
                        }
                        for (i, sample) in pixel.iter_mut().enumerate() {
                            *sample = at(from, x * together + i);
                        }
                    }
                }
            }
        }
    }
    Ok(pixels)
}

/// Memory for one strip or tile, used again for the next.
#[derive(Default)]
struct Piece {
    turned: Vec<u8>,
    unpacked: Vec<u8>,
}

impl Piece {
    /// The first `rows` rows of samples that `stored` holds.
    fn samples<'a>(
        &'a mut self,
        stored: &'a [u8],
        directory: &Directory<'_>,
        layout: &Layout<'_>,
        rows: usize,
    ) -> Result<&'a [u8]> {
        let row_bytes = layout.row_bytes();
        let length = rows.checked_mul(row_bytes).ok_or_else(|| damaged("a strip or tile is too large"))?;
        let mut stored = stored;
        if layout.compression == Compression::None {
            stored = stored.get(..length).ok_or_else(|| damaged("the file ends before its pixels"))?;
        }
        if layout.bits_reversed {
            self.turned.clear();
            reserve(&mut self.turned, stored.len(), "a strip of a TIFF")?;
            self.turned.extend(stored.iter().map(|byte| byte.reverse_bits()));
            stored = &self.turned;
        }
        match layout.compression {
            Compression::None => return Ok(stored),
            Compression::Jpeg { tables } => self.unpacked = of_jpeg(stored, tables, layout, rows)?,
            compression => {
                if self.unpacked.len() != length {
                    self.unpacked = filled(0u8, length, "a strip of a TIFF")?;
                }
                compression.unpack(stored, &mut self.unpacked)?;
            }
        }
        if layout.differences {
            add_up(&mut self.unpacked, row_bytes, layout.together() as usize, layout.bits, directory.little);
        }
        Ok(&self.unpacked)
    }
}

/// The samples of a strip or tile that is a JPEG; its tables may stand elsewhere.
fn of_jpeg(stored: &[u8], tables: &[u8], layout: &Layout<'_>, rows: usize) -> Result<Vec<u8>> {
    let whole;
    let mut file = stored;
    if let [0xFF, 0xD8, tables @ .., 0xFF, 0xD9] = tables {
        let image = stored.strip_prefix(&[0xFF, 0xD8]).ok_or_else(|| damaged("a strip or tile is not a JPEG"))?;
        let mut joined = room(2 + tables.len() + image.len(), "a strip of a TIFF")?;
        joined.extend_from_slice(&[0xFF, 0xD8]);
        joined.extend_from_slice(tables);
        joined.extend_from_slice(image);
        whole = joined;
        file = &whole;
    }
    let header = jpeg::header(file)?;
    let together = layout.together();
    if header.width != layout.piece.0 || (header.height as usize) < rows || u32::from(header.components) != together {
        return Err(damaged(format!(
            "a strip or tile is a JPEG of {}×{}×{}, expected {}×{rows}×{together}",
            header.width, header.height, header.components, layout.piece.0
        )));
    }
    let colours =
        if layout.photometric == Photometric::YCbCr && !layout.planar { Colours::YCbCr } else { Colours::Raw };
    jpeg::samples(file, header, 1, colours, header.components)
}

/// Red, green and blue of each entry; 16 bits become 8 by `>> 8`, as in PIL.
fn palette(directory: &Directory<'_>, bits: u32) -> Result<Vec<[u8; 3]>> {
    let count = 1usize << bits;
    let map = directory.find(320)?.filter(|map| map.len() >= 3 * count);
    let map = map.ok_or_else(|| damaged(format!("its colour map has no {count} entries")))?;
    let entry = |i: usize| [0, 1, 2].map(|channel| (map.at(channel * count + i).unwrap_or(0) >> 8) as u8);
    let mut palette = room(count, "a palette")?;
    palette.extend((0..count).map(entry));
    Ok(palette)
}
