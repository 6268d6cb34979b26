//! BMP → [`Decoded`], with PIL's values.
//!
//! Read: headers of OS/2 1 and Windows 3 to 5, rows from below or from above, 1, 4 and 8 bits with a palette, runs (RLE4, RLE8), 16 bits
//! of 5-5-5 or 5-6-5, 24 bits, 32 bits with masks of whole bytes. A level of 5 or 6 bits becomes `level · 255 / 31` or `/ 63`, rounded
//! down, as in PIL. Everything else is refused by name. Only the pixels are allocated, and of runs one byte for each pixel.

use super::decoded::{Decoded, MAX_BYTES, grey_if_all_are};
use super::frame::MAX_SIDE;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::memory::{filled, room};

/// Bytes before the header of the image.
const FILE_HEADER: usize = 14;

/// Whether these are the first bytes of a BMP.
pub(super) fn is_bmp(bytes: &[u8]) -> bool {
    bytes.starts_with(b"BM")
}

struct Header {
    width: u32,
    height: u32,
    bits: u32,
    compression: u32,
    /// Entries of the palette as the file says; 0 for as many as there are numbers.
    colours: u32,
    /// Whether the first row is the uppermost.
    from_above: bool,
    /// Where the palette begins.
    palette: usize,
    /// Bytes of a palette's entry.
    entry: usize,
    /// Where the pixels begin.
    pixels: usize,
    masks: [u32; 3],
}

/// The image in the file.
///
/// # Errors
/// `Format` where the file is damaged, or uses something that is not read, which is named; `OutOfMemory`.
pub(super) fn decode(bytes: &[u8]) -> Result<Decoded> {
    let header = Header::of(bytes)?;
    let (width, height) = (header.width as usize, header.height as usize);
    let pixels = match (header.bits, header.compression) {
        (8, 1) | (4, 2) => {
            let numbers = runs(bytes.get(header.pixels..).unwrap_or_default(), &header)?;
            let palette = header.palette(bytes)?;
            pixels_of(&header, |y, place| {
                let row = numbers[y * width..][..width].iter();
                row.zip(place.as_chunks_mut::<3>().0)
                    .for_each(|(&number, pixel)| *pixel = palette[usize::from(number)]);
            })?
        }
        (1 | 4 | 8 | 16 | 24 | 32, 0) | (16 | 24 | 32, 3) => {
            let (row_bytes, stride) =
                ((width * header.bits as usize).div_ceil(8), (width * header.bits as usize).div_ceil(32) * 4);
            let stored = bytes.get(header.pixels..).unwrap_or_default();
            if stored.len() < (height - 1) * stride + row_bytes {
                return Err(damaged("the file ends before its pixels"));
            }
            let row = |y: usize| &stored[y * stride..][..row_bytes];
            plain(bytes, &header, row)?
        }
        (bits, 0 | 3) => return Err(unsupported(format!("a BMP of {bits} bits a pixel"))),
        (bits, 1 | 2) => return Err(unsupported(format!("a BMP of {bits} bits a pixel in runs"))),
        (_, 4) => return Err(unsupported("a BMP with JPEG compression")),
        (_, 5) => return Err(unsupported("a BMP with PNG compression")),
        (_, other) => return Err(unsupported(format!("a BMP with compression {other}"))),
    };
    let frame = grey_if_all_are(header.width, header.height, 3, pixels)?;
    Ok(Decoded::new(frame.into(), "bmp", 3, 8))
}

impl Header {
    fn of(bytes: &[u8]) -> Result<Self> {
        let short = |at: usize| bytes.get(at..at + 2).map(|b| u32::from(b[0]) | u32::from(b[1]) << 8);
        let long = |at: usize| bytes.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let early = || damaged("the file ends in its header");
        let pixels = long(10).ok_or_else(early)? as usize;
        let size = long(FILE_HEADER).ok_or_else(early)?;
        if !matches!(size, 12 | 40 | 52 | 56 | 64 | 108 | 124) {
            return Err(unsupported(format!("a BMP with a header of {size} bytes")));
        }
        let behind = FILE_HEADER + size as usize;
        if bytes.len() < behind {
            return Err(early());
        }
        // All of it is there now.
        let short = |at: usize| short(FILE_HEADER + at).unwrap_or(0);
        let long = |at: usize| long(FILE_HEADER + at).unwrap_or(0);
        let (width, height, from_above, bits, compression, colours, entry) = if size == 12 {
            (i64::from(short(4)), u64::from(short(6)), false, short(10), 0, 0, 3)
        } else {
            let rows = i64::from(long(8).cast_signed());
            let width = i64::from(long(4).cast_signed());
            (width, rows.unsigned_abs(), rows < 0, short(14), long(16), long(32), 4)
        };
        let sides = 1..=i64::from(MAX_SIDE);
        let (in_bounds, size_in_bytes) = (
            sides.contains(&width) && sides.contains(&(height as i64)),
            width.unsigned_abs().saturating_mul(height).saturating_mul(u64::from(bits.div_ceil(8).max(3))),
        );
        if !in_bounds || size_in_bytes > MAX_BYTES {
            let reason = format!(
                "the BMP has {width}×{height} pixels: 1 to {MAX_SIDE} pixels a side and at most {MAX_BYTES} bytes decoded are accepted"
            );
            return Err(Error::new(ErrorKind::Format, reason));
        }
        if size == 64 && compression > 2 {
            return Err(unsupported(format!("an OS/2 BMP with compression {compression}")));
        }
        let mut masks = match bits {
            16 => [0x7C00, 0x3E0, 0x1F],
            _ => [0xFF_0000, 0xFF00, 0xFF],
        };
        let mut palette = behind;
        if compression == 3 {
            // They stand behind 40 bytes, whether the header ends there or not.
            let mask = |at: usize| {
                bytes.get(FILE_HEADER + 40 + at..)?.first_chunk::<4>().map(|mask| u32::from_le_bytes(*mask))
            };
            let own = [0, 4, 8].map(mask);
            let [Some(red), Some(green), Some(blue)] = own else { return Err(early()) };
            // Masks of nothing but zeros mean the usual order, as in PIL.
            if [red, green, blue] != [0; 3] || bits != 32 {
                masks = [red, green, blue];
            }
            if size == 40 {
                palette += 12;
            }
        }
        let count = if colours == 0 && bits <= 8 { 1 << bits } else { colours };
        // Some programs say that the pixels begin where their palette is.
        let pixels = if bits <= 8 && pixels <= behind { palette + entry * count as usize } else { pixels };
        let pixels = if pixels == 0 { palette } else { pixels };
        let (width, height) = (width as u32, height as u32);
        Ok(Self { width, height, bits, compression, colours: count, from_above, palette, entry, pixels, masks })
    }

    /// Red, green and blue of every number; those behind the palette's end are black, as in PIL.
    fn palette(&self, bytes: &[u8]) -> Result<Vec<[u8; 3]>> {
        let mut palette = filled([0u8; 3], 256, "a palette")?;
        let stored = bytes.get(self.palette..).unwrap_or_default().chunks_exact(self.entry);
        for (colour, stored) in palette.iter_mut().zip(stored).take(self.colours as usize) {
            *colour = [stored[2], stored[1], stored[0]];
        }
        Ok(palette)
    }
}

/// (H, W, 3) bytes; `fill` is given the number of a stored row and its place.
fn pixels_of(header: &Header, mut fill: impl FnMut(usize, &mut [u8])) -> Result<Vec<u8>> {
    let (width, height) = (header.width as usize, header.height as usize);
    let mut pixels = filled(0u8, width * height * 3, "a frame")?;
    for (y, place) in pixels.chunks_exact_mut(width * 3).enumerate() {
        fill(if header.from_above { y } else { height - 1 - y }, place);
    }
    Ok(pixels)
}

/// The pixels of rows that are no runs.
fn plain<'a>(bytes: &[u8], header: &Header, row: impl Fn(usize) -> &'a [u8]) -> Result<Vec<u8>> {
    let bits = header.bits as usize;
    if bits <= 8 {
        let palette = header.palette(bytes)?;
        return pixels_of(header, |y, place| {
            let row = row(y);
            for (x, pixel) in place.as_chunks_mut::<3>().0.iter_mut().enumerate() {
                let number = row[x * bits / 8] >> (8 - bits - x * bits % 8) & ((1u16 << bits) - 1) as u8;
                *pixel = palette[usize::from(number)];
            }
        });
    }
    if bits == 16 {
        let most = match header.masks {
            [0x7C00, 0x3E0, 0x1F] => [31, 31, 31],
            [0xF800, 0x7E0, 0x1F] => [31, 63, 31],
            masks => return Err(unsupported(format!("a 16-bit BMP with the masks {masks:x?}"))),
        };
        return pixels_of(header, |y, place| {
            for (stored, pixel) in row(y).as_chunks::<2>().0.iter().zip(place.as_chunks_mut::<3>().0) {
                let stored = u32::from(u16::from_le_bytes(*stored));
                *pixel = [0, 1, 2].map(|i| {
                    let level = (stored & header.masks[i]) >> header.masks[i].trailing_zeros();
                    (level * 255 / most[i]) as u8
                });
            }
        });
    }
    let byte = |mask: u32| (0..bits / 8).find(|byte| mask == 0xFF << (8 * byte));
    let [Some(red), Some(green), Some(blue)] = header.masks.map(byte) else {
        return Err(unsupported(format!("a {bits}-bit BMP with the masks {:x?}", header.masks)));
    };
    pixels_of(header, |y, place| {
        for (stored, pixel) in row(y).chunks_exact(bits / 8).zip(place.as_chunks_mut::<3>().0) {
            *pixel = [stored[red], stored[green], stored[blue]];
        }
    })
}

/// The numbers that runs give, (H, W), in the order in which they are stored. What is jumped over is 0. A run behind the end of its
/// row is cut, as in PIL.
fn runs(stored: &[u8], header: &Header) -> Result<Vec<u8>> {
    let (width, total) = (header.width as usize, header.width as usize * header.height as usize);
    let narrow = header.bits == 4;
    let mut numbers: Vec<u8> = room(total, "a frame")?;
    let mut rest = stored;
    // The place in the row, which may be its end.
    let mut x = 0;
    while numbers.len() < total {
        let [count, second, behind @ ..] = rest else { break };
        rest = behind;
        let left = total - numbers.len();
        match (*count, *second) {
            (0, 0) => {
                let ahead = numbers.len().next_multiple_of(width);
                numbers.resize(ahead, 0);
                x = 0;
            }
            (0, 1) => break,
            (0, 2) => {
                let [right, up, behind @ ..] = rest else { break };
                rest = behind;
                let jump = usize::from(*right) + usize::from(*up) * width;
                numbers.resize(numbers.len() + jump.min(left), 0);
                x = numbers.len() % width;
            }
            (0, count) => {
                let count = usize::from(count);
                if x + count > width {
                    return Err(damaged("a run of pixels is longer than its row"));
                }
                let length = if narrow { count.div_ceil(2) } else { count };
                let Some(own) = rest.get(..length) else { break };
                if narrow {
                    numbers.extend(own.iter().flat_map(|byte| [byte >> 4, byte & 15]).take(count));
                } else {
                    numbers.extend_from_slice(own);
                }
                x += count;
                rest = rest.get(length.next_multiple_of(2)..).unwrap_or_default();
            }
            (count, value) => {
                let count = usize::from(count).min(width - x);
                let pair = if narrow { [value >> 4, value & 15] } else { [value; 2] };
                numbers.extend((0..count).map(|i| pair[i % 2]));
                x += count;
            }
        }
    }
    if numbers.len() < total {
        return Err(damaged(format!("its runs give {} of {total} pixels", numbers.len())));
    }
    Ok(numbers)
}

fn damaged(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Format, format!("damaged BMP: {what}"))
}

fn unsupported(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Format, format!("{what} is not supported"))
}
