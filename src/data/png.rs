//! PNG files, written here because each encoder at hand compresses in vectors that end the process where they cannot grow. This is the
//! crate `png`'s fast compression, byte for byte: rows less the row above, in codes that suit them; where that does not make the
//! frame smaller, the frame as it is.
//!
//! ```text
//! signature · IHDR (width, height, depth, colour) · [sBIT] · IDAT (zlib of height rows: filter, bytes) · IEND
//! chunk = length u32 · kind · content · CRC-32 of kind and content, big endian
//! ```
//!
//! Samples of 9 to 15 bits lie in the upper bits of 16, and `sBIT` says how many are real, as the specification has it (section 11.3.2.7):
//! other programs see the picture as bright as it is, and whoever reads the chunk gets the samples back.

use std::io::{self, Cursor, Write};

use fdeflate::{Compressor, StoredOnlyCompressor};

use super::pixel_format::PixelFormat;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::memory::{filled, reserve, room};

/// What stands before the compressed rows at least: signature, the whole IHDR, IDAT's length and kind.
const HEAD: usize = 8 + 25 + 8;
/// The most that an sBIT chunk takes.
const BITS: usize = 12 + 3;
/// What stands behind them: a checksum, and IEND.
const TAIL: usize = 4 + 12;
/// The longest block of bytes that are stored as they are, with its mark.
const BLOCK: usize = u16::MAX as usize + 5;
/// A row that is kept less the row above it.
const UP: u8 = 2;
/// A row that is kept as it is.
const PLAIN: u8 = 0;

/// The file of `height` rows of `width` pixels, `Mono8` or `Rgb8`, or `Mono16` or `Rgb16` in the machine's order with `bits` significant ones.
///
/// # Errors
/// `OutOfMemory`.
pub(super) fn encode(pixels: &[u8], width: u32, height: u32, format: PixelFormat, bits: u8) -> Result<Vec<u8>> {
    let (depth, channels) = (if format.bits() > 8 { 16 } else { 8 }, format.channels());
    let length = format.row_bytes(width) as usize;
    debug_assert_eq!(pixels.len(), length * height as usize);
    let rows = || pixels.chunks_exact(length.max(1));
    let head = head(width, height, depth, channels, bits)?;
    // Samples of two bytes come the other way round on this side of the file.
    let up = (depth == 16).then(|| 16 - u32::from(bits));
    let (mut line, mut above) = (filled(UP, 1 + length, "a row of a PNG")?, filled(0u8, length, "a row of a PNG")?);
    let mut own = filled(0u8, length, "a row of a PNG")?;

    let mut compressor = Compressor::new(Growing::of(&head)?).map_err(|error| failed(&error))?;
    for row in rows() {
        copy_row(row, up, &mut own);
        line[1..]
            .iter_mut()
            .zip(own.iter().zip(&above))
            .for_each(|(less, (own, above))| *less = own.wrapping_sub(*above));
        compressor.write_data(&line).map_err(|error| failed(&error))?;
        std::mem::swap(&mut own, &mut above);
    }
    let made = compressor.finish().map_err(|error| failed(&error))?;
    if let Some(error) = made.refused {
        return Err(error);
    }
    let plain = StoredOnlyCompressor::<()>::compressed_size((length + 1) * height as usize);
    if made.bytes.len() - head.len() <= plain {
        return ended(made.bytes, head.len());
    }

    drop(made);
    // The size is one block short where it is a multiple of blocks.
    let mut file = room(head.len() + plain + BLOCK + TAIL, "a PNG file")?;
    file.extend_from_slice(&head);
    let mut place = Cursor::new(file);
    place.set_position(head.len() as u64);
    let mut compressor = StoredOnlyCompressor::new(place).map_err(|error| failed(&error))?;
    for row in rows() {
        copy_row(row, up, &mut own);
        compressor.write_data(&[PLAIN]).and_then(|()| compressor.write_data(&own)).map_err(|error| failed(&error))?;
    }
    ended(compressor.finish().map_err(|error| failed(&error))?.into_inner(), head.len())
}

/// How many bits of a sample are real as the file's sBIT chunk says, where it says so of all channels alike.
pub(super) fn significant_bits(file: &[u8], channels: usize) -> Option<u8> {
    let mut rest = file.get(8..)?;
    loop {
        let (length, behind) = rest.split_first_chunk::<4>()?;
        let length = u32::from_be_bytes(*length) as usize;
        match behind.get(..4)? {
            // It stands before both.
            b"IDAT" | b"PLTE" => return None,
            b"sBIT" => {
                // Alpha's stand behind the colours'.
                let bits = behind.get(4..4 + length)?.get(..channels)?;
                return bits.iter().all(|own| *own == bits[0]).then_some(bits[0]);
            }
            // Length, kind and checksum are four bytes each.
            _ => rest = rest.get(length.checked_add(12)?..)?,
        }
    }
}

fn failed(error: &io::Error) -> Error {
    Error::internal("cannot encode as PNG", error)
}

/// Copies a row; samples of two bytes are turned round and moved up by so many bits.
fn copy_row(row: &[u8], up: Option<u32>, own: &mut [u8]) {
    let Some(up) = up else { return own.copy_from_slice(row) };
    for (place, sample) in own.as_chunks_mut::<2>().0.iter_mut().zip(row.as_chunks::<2>().0) {
        *place = (u16::from_ne_bytes(*sample) << up).to_be_bytes();
    }
}

/// Signature and IHDR, sBIT where not all bits are real, and IDAT's beginning with no length yet.
fn head(width: u32, height: u32, depth: u8, channels: u8, bits: u8) -> Result<Vec<u8>> {
    let mut head = room(HEAD + BITS, "a PNG file")?;
    head.extend(b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR");
    head.extend(width.to_be_bytes());
    head.extend(height.to_be_bytes());
    // Colour is 0 for grey, 2 for red, green and blue; compression, filters and interlacing are the only one, the usual ones and none.
    head.extend([depth, channels - 1, 0, 0, 0]);
    head.extend(crc32fast::hash(&head[12..29]).to_be_bytes());
    if bits < depth {
        head.extend([0, 0, 0, channels]);
        let from = head.len();
        head.extend(b"sBIT");
        head.extend((0..channels).map(|_| bits));
        head.extend(crc32fast::hash(&head[from..]).to_be_bytes());
    }
    head.extend(b"\0\0\0\0IDAT");
    Ok(head)
}

/// The file with IDAT's length, its checksum and its end; IDAT's content begins at `head`.
fn ended(mut file: Vec<u8>, head: usize) -> Result<Vec<u8>> {
    reserve(&mut file, TAIL, "a PNG file")?;
    let too_long = || Error::new(ErrorKind::Unsupported, "a frame of more than 4 GiB is not kept as PNG");
    let length = u32::try_from(file.len() - head).map_err(|_| too_long())?;
    file[head - 8..head - 4].copy_from_slice(&length.to_be_bytes());
    file.extend(crc32fast::hash(&file[head - 4..]).to_be_bytes());
    file.extend(b"\0\0\0\0IEND\xae\x42\x60\x82");
    Ok(file)
}

/// Takes what the compressor writes, which panics where its writer fails at the end: an error is kept for later.
struct Growing {
    bytes: Vec<u8>,
    refused: Option<Error>,
}

impl Growing {
    fn of(head: &[u8]) -> Result<Self> {
        let mut bytes = room(1 << 16, "a PNG file")?;
        bytes.extend_from_slice(head);
        Ok(Self { bytes, refused: None })
    }
}

impl Write for Growing {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        if self.refused.is_none() && self.bytes.capacity() - self.bytes.len() < more.len() {
            // By a half: a file is about as large as its frame, and the memory for twice of it may not be there.
            let room = more.len().max(self.bytes.capacity() / 2);
            self.refused = reserve(&mut self.bytes, room, "a PNG file").err();
        }
        if self.refused.is_none() {
            self.bytes.extend_from_slice(more);
        }
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use image::codecs::png::{CompressionType, FilterType, PngEncoder};
    use image::{ExtendedColorType, ImageEncoder};

    use super::*;

    #[test]
    fn files_are_those_of_the_crate_png() {
        let noise = |i: usize| ((i as u32).wrapping_mul(2_654_435_761) >> 23) as u8;
        let smooth = |i: usize| (i / 9) as u8;
        for (format, colour, pixel) in [
            (PixelFormat::Mono8, ExtendedColorType::L8, 1),
            (PixelFormat::Mono16, ExtendedColorType::L16, 2),
            (PixelFormat::Rgb8, ExtendedColorType::Rgb8, 3),
            (PixelFormat::Rgb16, ExtendedColorType::Rgb16, 6),
        ] {
            for (width, height) in [(1, 1), (7, 5), (300, 200), (1, 999), (30_000, 2), (65_534, 1)] {
                for of in [noise as fn(usize) -> u8, smooth] {
                    let pixels: Vec<u8> = (0..(width * height) as usize * pixel).map(of).collect();
                    let mut theirs = Vec::new();
                    PngEncoder::new_with_quality(&mut theirs, CompressionType::Fast, FilterType::Up)
                        .write_image(&pixels, width, height, colour)
                        .unwrap();
                    let ours = encode(&pixels, width, height, format, format.bits()).unwrap();
                    assert!(ours == theirs, "{width}×{height} {format:?}: {} and {} bytes", ours.len(), theirs.len());
                }
            }
        }
    }
}
