//! PBM, PGM and PPM (P1 to P6), as Netpbm's manual pages pbm(5), pgm(5) and ppm(5) define them.
//!
//! ```text
//! P1…P6 · width · height · [maxval] · one blank · samples: digits (P1, P2, P3) | bits (P4) | bytes, or two, high byte first (P5, P6)
//! ```
//!
//! A maxval below 255 is made 8 bits as in PIL: round(255·s / maxval), halves to the even number. One of 2^n − 1 with n from 9 to 16 keeps
//! its n bits; every other one above 255 becomes 16 bits by round(65535·s / maxval). PIL makes colours of more than 8 bits 8 bits;
//! here they keep them. A sample above maxval counts as maxval in P5 and P6, as in PIL, and is damage in P2 and P3. Of several images the
//! first is read. Samples of float (PFM) and PAM are refused by name.

use super::decoded::{Decoded, MAX_BYTES, deep_grey_if_all_are, grey_if_all_are};
use super::frame::MAX_SIDE;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::memory::room;

/// Whether these are the first bytes of a PNM, or of a relative that is refused by name.
pub(super) fn is_pnm(bytes: &[u8]) -> bool {
    matches!(bytes, [b'P', b'1'..=b'7' | b'F' | b'f', blank, ..] if blank.is_ascii_whitespace() || *blank == b'#')
}

/// The first image of the file.
///
/// # Errors
/// `Format` where the file is damaged or too large, or uses something that is not read, which is named; `OutOfMemory`.
pub(super) fn decode(bytes: &[u8]) -> Result<Decoded> {
    let kind = bytes[1];
    match kind {
        b'F' | b'f' => return Err(Error::new(ErrorKind::Format, "a PFM of float samples is not supported")),
        b'7' => return Err(Error::new(ErrorKind::Format, "a PAM is not supported")),
        _ => {}
    }
    let mut text = Text { rest: &bytes[2..] };
    let (width, height) = (text.number("its width")?, text.number("its height")?);
    let is_bits = matches!(kind, b'1' | b'4');
    let most = if is_bits { 1 } else { text.number("its largest sample")? };
    let channels: u8 = if matches!(kind, b'3' | b'6') { 3 } else { 1 };
    let bytes_each = if most > 255 { 2 } else { 1 };
    let count = u64::from(width) * u64::from(height) * u64::from(channels);
    if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) || count * bytes_each > MAX_BYTES {
        let reason = format!(
            "the PNM has {width}×{height} pixels: 1 to {MAX_SIDE} pixels a side and at most {MAX_BYTES} bytes decoded are accepted"
        );
        return Err(Error::new(ErrorKind::Format, reason));
    }
    if !(1..=65_535).contains(&most) {
        return Err(damaged(format!("its largest sample is {most}, expected 1 to 65535")));
    }
    let count = count as usize;
    let scale = Scale::of(most);
    let mut samples = room(count * bytes_each as usize, "a frame")?;
    let mut keep = |sample: u32| match scale.to {
        255 => samples.push(scale.of_sample(sample) as u8),
        _ => samples.extend_from_slice(&(scale.of_sample(sample) as u16).to_ne_bytes()),
    };
    match kind {
        b'1' => (0..count).try_for_each(|_| text.bit().map(|bit| keep(1 - bit)))?,
        b'2' | b'3' => (0..count).try_for_each(|_| match text.number("a sample")? {
            sample if sample > most => Err(damaged(format!("a sample is {sample}, above the largest, {most}"))),
            sample => {
                keep(sample);
                Ok(())
            }
        })?,
        _ => {
            let row = if is_bits { (width as usize).div_ceil(8) } else { width as usize * usize::from(channels) };
            let length = row * bytes_each as usize * height as usize;
            // One blank, whatever it is, stands between header and samples.
            let stored = text.rest.get(1..).and_then(|rest| rest.get(..length)).ok_or_else(ends)?;
            match (is_bits, bytes_each) {
                (true, _) => stored.chunks_exact(row).for_each(|row| {
                    (0..width as usize).for_each(|x| keep(u32::from(1 - (row[x / 8] >> (7 - x % 8) & 1))));
                }),
                (false, 1) => stored.iter().for_each(|&sample| keep(sample.into())),
                (false, _) => {
                    stored.as_chunks::<2>().0.iter().for_each(|&sample| keep(u16::from_be_bytes(sample).into()));
                }
            }
        }
    }
    let frame = match scale.bits {
        8 => grey_if_all_are(width, height, channels, samples)?.into(),
        bits => deep_grey_if_all_are(width, height, channels, bits, samples)?,
    };
    Ok(Decoded::new(frame, "pnm", channels, scale.bits))
}

/// How samples up to `most` become samples of `bits` bits, up to `to`.
struct Scale {
    most: u32,
    to: u32,
    bits: u8,
}

impl Scale {
    fn of(most: u32) -> Self {
        let bits = if most > 255 { (most + 1).ilog2() as u8 } else { 8 };
        match most {
            0..=255 => Self { most, to: 255, bits },
            _ if (most + 1).is_power_of_two() => Self { most, to: most, bits },
            _ => Self { most, to: 65_535, bits: 16 },
        }
    }

    fn of_sample(&self, sample: u32) -> u32 {
        let sample = sample.min(self.most);
        if self.most == self.to {
            return sample;
        }
        (f64::from(sample) / f64::from(self.most) * f64::from(self.to)).round_ties_even() as u32
    }
}

/// What is read in digits.
struct Text<'a> {
    rest: &'a [u8],
}

impl Text<'_> {
    /// Passes over blanks and comments, which go to the end of their line.
    fn skip(&mut self) {
        loop {
            match self.rest {
                [b'#', behind @ ..] => {
                    let end = behind.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
                    self.rest = end.map_or(&[], |end| &behind[end..]);
                }
                [blank, behind @ ..] if blank.is_ascii_whitespace() || *blank == 0x0B => self.rest = behind,
                _ => return,
            }
        }
    }

    fn number(&mut self, what: &str) -> Result<u32> {
        self.skip();
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return match self.rest {
                [] => Err(ends()),
                _ => Err(damaged(format!("{what} is no number"))),
            };
        }
        let (own, rest) = self.rest.split_at(digits);
        self.rest = rest;
        let number =
            own.iter().try_fold(0u32, |number, digit| number.checked_mul(10)?.checked_add(u32::from(digit - b'0')));
        number.ok_or_else(|| damaged(format!("{what} is too large")))
    }

    /// A bit, which needs no blank behind it.
    fn bit(&mut self) -> Result<u32> {
        self.skip();
        match self.rest {
            [bit @ (b'0' | b'1'), rest @ ..] => {
                self.rest = rest;
                Ok(u32::from(bit - b'0'))
            }
            [] => Err(ends()),
            _ => Err(damaged("a sample is neither 0 nor 1")),
        }
    }
}

fn ends() -> Error {
    damaged("the file ends before its pixels do")
}

fn damaged(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Format, format!("damaged PNM: {what}"))
}
