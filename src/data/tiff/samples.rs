//! Rows of a TIFF's samples → bytes: depth, byte order, differences to the left neighbour, and colours.

use super::layout::{Layout, Photometric};
use crate::error::Result;
use crate::sys::memory::room;

/// Adds up samples that are kept as differences to the same sample of the pixel before (predictor 2), row by row.
pub fn add_up(rows: &mut [u8], row_bytes: usize, together: usize, bits: u32, little: bool) {
    for row in rows.chunks_exact_mut(row_bytes.max(1)) {
        if bits == 8 {
            for i in together..row.len() {
                row[i] = row[i].wrapping_add(row[i - together]);
            }
            continue;
        }
        let of = if little { u16::from_le_bytes } else { u16::from_be_bytes };
        let bytes = if little { u16::to_le_bytes } else { u16::to_be_bytes };
        let samples = row.as_chunks_mut::<2>().0;
        for i in together..samples.len() {
            samples[i] = bytes(of(samples[i]).wrapping_add(of(samples[i - together])));
        }
    }
}

/// Reads samples as bytes: the upper 8 bits of a deep one, and of a shallow one its level, or its number in a palette.
pub struct Reader {
    bits: u32,
    little: bool,
    /// What a sample of 1, 2 or 4 bits is multiplied with.
    factor: u8,
    inverted: bool,
}

impl Reader {
    /// For the samples of `layout`.
    pub fn new(layout: &Layout<'_>, little: bool) -> Self {
        let factor = match (layout.photometric, layout.bits) {
            (Photometric::Palette, _) => 1,
            (_, 1) => 255,
            (_, 2) => 85,
            (_, 4) => 17,
            _ => 1,
        };
        let inverted = layout.photometric == Photometric::Grey { inverted: true };
        Self { bits: layout.bits, little, factor, inverted }
    }

    /// Whether a row's bytes are the samples.
    pub fn is_plain(&self) -> bool {
        self.bits == 8 && !self.inverted
    }

    /// Sample `i` of a row of 12 or 16 bits, all of them.
    pub fn deep(&self, row: &[u8], i: usize) -> u16 {
        let byte = |at: usize| u16::from(row[at]);
        match (self.bits, self.little) {
            (12, _) if i.is_multiple_of(2) => byte(i / 2 * 3) << 4 | byte(i / 2 * 3 + 1) >> 4,
            (12, _) => (byte(i / 2 * 3 + 1) & 15) << 8 | byte(i / 2 * 3 + 2),
            (_, true) => u16::from_le_bytes([row[2 * i], row[2 * i + 1]]),
            (_, false) => u16::from_be_bytes([row[2 * i], row[2 * i + 1]]),
        }
    }

    /// Sample `i` of a row, of 12 or 16 bits the upper 8.
    pub fn at(&self, row: &[u8], i: usize) -> u8 {
        let level = match self.bits {
            8 => row[i],
            16 => row[2 * i + usize::from(self.little)],
            12 if i.is_multiple_of(2) => row[i / 2 * 3],
            12 => row[i / 2 * 3 + 1] << 4 | row[i / 2 * 3 + 2] >> 4,
            bits => {
                let (bits, at) = (bits as usize, i * bits as usize);
                (row[at / 8] >> (8 - bits - at % 8) & ((1u16 << bits) - 1) as u8) * self.factor
            }
        };
        if self.inverted { 255 - level } else { level }
    }
}

/// Looks up each byte in a palette of red, green and blue; a number behind its end is black, as in PIL.
pub fn look_up(numbers: &[u8], palette: &[[u8; 3]]) -> Result<Vec<u8>> {
    let mut pixels = room(numbers.len() * 3, "a frame")?;
    for &number in numbers {
        pixels.extend(palette.get(usize::from(number)).copied().unwrap_or_default());
    }
    Ok(pixels)
}

/// Makes three bytes of each four: `convert` is given them. The memory is the same.
pub fn four_to_three(pixels: &mut Vec<u8>, convert: impl Fn([u8; 4]) -> [u8; 3]) {
    let count = pixels.len() / 4;
    for i in 0..count {
        let four = [pixels[4 * i], pixels[4 * i + 1], pixels[4 * i + 2], pixels[4 * i + 3]];
        pixels[3 * i..3 * i + 3].copy_from_slice(&convert(four));
    }
    pixels.truncate(count * 3);
}

/// Red, green and blue of four inks, as PIL computes them.
pub fn of_inks([cyan, magenta, yellow, black]: [u8; 4]) -> [u8; 3] {
    let light = 255 - i32::from(black);
    [cyan, magenta, yellow].map(|ink| {
        let product = i32::from(ink) * light + 128;
        (light - ((product + (product >> 8)) >> 8)) as u8
    })
}

/// The colour before alpha was multiplied in, as PIL computes it.
pub fn divided([red, green, blue, alpha]: [u8; 4]) -> [u8; 3] {
    let whole = |level: u8| match alpha {
        0 => 0,
        _ => (u32::from(level) * 255 / u32::from(alpha)).min(255) as u8,
    };
    [red, green, blue].map(whole)
}
