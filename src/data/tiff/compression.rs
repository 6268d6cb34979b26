//! How the bytes of a strip or tile are compressed, and their unpacking into memory that was reserved.

use fdeflate::Decompressor;
use weezl::{BitOrder, LzwStatus};

use super::directory::{Directory, damaged, unsupported};
use crate::error::Result;
use crate::sys::memory::spare;

/// The kinds that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression<'a> {
    None,
    PackBits,
    Lzw,
    Deflate,
    /// `tables` is a JPEG without an image that every strip or tile begins with, or nothing.
    Jpeg {
        tables: &'a [u8],
    },
}

impl<'a> Compression<'a> {
    /// The one with this number.
    ///
    /// # Errors
    /// `Format` where it is not read; says its name.
    pub fn of(number: u64, directory: &Directory<'a>) -> Result<Self> {
        let name = match number {
            1 => return Ok(Self::None),
            5 => return Ok(Self::Lzw),
            7 => {
                let tables = directory.find(347)?.map_or(&[][..], |values| values.bytes());
                return Ok(Self::Jpeg { tables });
            }
            8 | 32946 => return Ok(Self::Deflate),
            32773 => return Ok(Self::PackBits),
            2 => "CCITT modified Huffman",
            3 => "CCITT group 3 fax",
            4 => "CCITT group 4 fax",
            6 => "old-style JPEG",
            34676 | 34677 => "SGILog",
            33003 | 33005 | 34712 => "JPEG 2000",
            34925 => "LZMA",
            50000 => "Zstandard",
            50001 => "WebP",
            50002 | 52546 => "JPEG XL",
            other => return Err(unsupported(format!("a TIFF with compression {other}"))),
        };
        Err(unsupported(format!("a TIFF with {name} compression")))
    }

    /// Whether the predictor's tag means something.
    pub fn takes_differences(self) -> bool {
        matches!(self, Self::Lzw | Self::Deflate)
    }

    /// Fills `place` from `stored`. Neither for bytes as they are nor for JPEG, which need no place or more than one.
    ///
    /// # Errors
    /// `Format` where `stored` is damaged or gives too few bytes; `OutOfMemory`.
    pub fn unpack(self, stored: &[u8], place: &mut [u8]) -> Result<()> {
        // The tables of both are far below the margin.
        spare(0, "decoding a TIFF")?;
        let filled = match self {
            Self::Lzw => unpack_lzw(stored, place)?,
            Self::Deflate => unpack_deflate(stored, place)?,
            _ => unpack_bits(stored, place),
        };
        if filled < place.len() {
            return Err(damaged(format!("a strip or tile has {filled} of {} bytes", place.len())));
        }
        Ok(())
    }
}

fn unpack_lzw(stored: &[u8], place: &mut [u8]) -> Result<usize> {
    if stored.starts_with(&[0]) && stored.get(1).is_some_and(|byte| byte & 1 == 1) {
        return Err(unsupported("a TIFF with old-style LZW compression"));
    }
    let mut decoder = weezl::decode::Decoder::with_tiff_size_switch(BitOrder::Msb, 8);
    let (mut read, mut filled) = (0, 0);
    while filled < place.len() {
        let step = decoder.decode_bytes(&stored[read..], &mut place[filled..]);
        read += step.consumed_in;
        filled += step.consumed_out;
        match step.status {
            Ok(LzwStatus::Ok) => {}
            Ok(LzwStatus::Done | LzwStatus::NoProgress) => break,
            Err(error) => return Err(damaged(format!("LZW: {error}"))),
        }
    }
    Ok(filled)
}

fn unpack_deflate(stored: &[u8], place: &mut [u8]) -> Result<usize> {
    let mut decoder = Decompressor::new();
    let (mut read, mut filled) = (0, 0);
    while !decoder.is_done() {
        let step = decoder.read(&stored[read..], place, filled, true);
        let (consumed, produced) = step.map_err(|error| damaged(format!("deflate: {error:?}")))?;
        read += consumed;
        filled += produced;
        if consumed == 0 && produced == 0 {
            break;
        }
    }
    Ok(filled)
}

/// A byte n: the next n + 1 bytes as they are, or below 0 the next byte 1 − n times; −128 means nothing.
fn unpack_bits(mut stored: &[u8], place: &mut [u8]) -> usize {
    let mut filled = 0;
    while filled < place.len()
        && let [head, rest @ ..] = stored
    {
        let room = &mut place[filled..];
        stored = rest;
        match head.cast_signed() {
            -128 => {}
            count @ 0.. => {
                let length = (count as usize + 1).min(rest.len());
                let taken = length.min(room.len());
                room[..taken].copy_from_slice(&rest[..taken]);
                stored = &rest[length..];
                filled += taken;
            }
            count => {
                let [value, rest @ ..] = rest else { break };
                let taken = (1 + usize::from(count.unsigned_abs())).min(room.len());
                room[..taken].fill(*value);
                stored = rest;
                filled += taken;
            }
        }
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_bits_are_those_of_the_specification() {
        // The example of TIFF 6.0, section 9.
        let packed = [0xFE, 0xAA, 0x02, 0x80, 0x00, 0x2A, 0xFD, 0xAA, 0x03, 0x80, 0x00, 0x2A, 0x22, 0xF7, 0xAA];
        let mut place = [0; 24];
        assert_eq!(unpack_bits(&packed, &mut place), 24);
        let plain = [0xAA, 0xAA, 0xAA, 0x80, 0x00, 0x2A, 0xAA, 0xAA, 0xAA, 0xAA, 0x80, 0x00, 0x2A, 0x22];
        assert_eq!((&place[..14], &place[14..]), (&plain[..], &[0xAA; 10][..]));
        assert_eq!(unpack_bits(&packed[..7], &mut place), 6);
        assert_eq!(unpack_bits(&[5, 1], &mut place), 1);
        assert_eq!(unpack_bits(&[0x80, 0, 7], &mut place), 1);
    }
}
