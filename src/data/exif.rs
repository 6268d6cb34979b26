//! The orientation that an image's file names, 1 to 8, and how pixels are turned by it (EXIF 2.32, tag 274; the same as TIFF 6.0's).
//!
//! JPEG keeps EXIF in segments APP1, PNG in a chunk eXIf, WebP in a chunk EXIF; what stands in it has the form of a TIFF. As in PIL's
//! `ImageOps.exif_transpose` EXIF that cannot be read turns nothing. XMP is not looked at.

use super::decoded::UPRIGHT;
use super::raw::RawFrame;
use super::tiff;
use crate::error::Result;
use crate::sys::memory::filled;

/// What stands before EXIF in a JPEG, and in some files of WebP.
const MARK: &[u8] = b"Exif\0\0";

/// The orientation of EXIF's bytes.
pub(super) fn of_exif(exif: &[u8]) -> u8 {
    let exif = exif.strip_prefix(MARK).unwrap_or(exif);
    tiff::orientation(exif)
}

/// The orientation of a JPEG: of the first segment with EXIF that stands before its pixels.
pub(super) fn of_jpeg(bytes: &[u8]) -> u8 {
    let mut rest = bytes.get(2..).unwrap_or_default();
    loop {
        match rest {
            // Fill bytes.
            [0xFF, 0xFF, ..] => rest = &rest[1..],
            // Markers without a length.
            [0xFF, 0x01 | 0xD0..=0xD8, behind @ ..] => rest = behind,
            // Scans and the end.
            [0xFF, 0xD9 | 0xDA, ..] => return UPRIGHT,
            [0xFF, marker, high, low, behind @ ..] => {
                let length = usize::from(u16::from_be_bytes([*high, *low])).saturating_sub(2);
                let Some((segment, after)) = behind.split_at_checked(length) else { return UPRIGHT };
                if *marker == 0xE1 && segment.starts_with(MARK) {
                    return of_exif(segment);
                }
                rest = after;
            }
            _ => return UPRIGHT,
        }
    }
}

/// The orientation of a PNG: of its chunk eXIf, before or behind the pixels.
pub(super) fn of_png(bytes: &[u8]) -> u8 {
    let mut rest = bytes.get(8..).unwrap_or_default();
    while let [l0, l1, l2, l3, k0, k1, k2, k3, behind @ ..] = rest {
        let length = u32::from_be_bytes([*l0, *l1, *l2, *l3]) as usize;
        if [*k0, *k1, *k2, *k3] == *b"eXIf" {
            return behind.get(..length).map_or(UPRIGHT, of_exif);
        }
        // Behind the content stands a checksum.
        rest = behind.get(length.saturating_add(4)..).unwrap_or_default();
    }
    UPRIGHT
}

/// Whether width and height change places.
pub(super) fn is_turned_aside(orientation: u8) -> bool {
    (5..=8).contains(&orientation)
}

/// The frame, turned upright.
///
/// # Errors
/// `OutOfMemory`.
pub(super) fn upright(frame: RawFrame, orientation: u8) -> Result<RawFrame> {
    if !(2..=8).contains(&orientation) {
        return Ok(frame);
    }
    let (width, height, format, bits) = (frame.width(), frame.height(), frame.format(), frame.bits());
    let bytes = frame.into_bytes();
    let bytes = match bytes.len() / (width as usize * height as usize) {
        1 => turned::<1>(&bytes, width, height, orientation)?,
        2 => turned::<2>(&bytes, width, height, orientation)?,
        3 => turned::<3>(&bytes, width, height, orientation)?,
        // Colours of two bytes: the only pixel that is longer, since files of floats are refused.
        _ => turned::<6>(&bytes, width, height, orientation)?,
    };
    let (width, height) = if is_turned_aside(orientation) { (height, width) } else { (width, height) };
    Ok(RawFrame::of_parts(width, height, format, bits, bytes))
}

/// Pixels of `N` bytes, turned.
fn turned<const N: usize>(pixels: &[u8], width: u32, height: u32, orientation: u8) -> Result<Vec<u8>> {
    let (w, h) = (width as usize, height as usize);
    // Where the pixel lies that comes to (x, y).
    let from: fn(usize, usize, usize, usize) -> (usize, usize) = match orientation {
        2 => |x, y, w, _| (w - 1 - x, y),
        3 => |x, y, w, h| (w - 1 - x, h - 1 - y),
        4 => |x, y, _, h| (x, h - 1 - y),
        5 => |x, y, _, _| (y, x),
        6 => |x, y, _, h| (y, h - 1 - x),
        7 => |x, y, w, h| (w - 1 - y, h - 1 - x),
        8 => |x, y, w, _| (w - 1 - y, x),
        _ => |x, y, _, _| (x, y),
    };
    let new_w = if is_turned_aside(orientation) { h } else { w };
    let source = pixels.as_chunks::<N>().0;
    let mut turned = filled(0u8, pixels.len(), "a frame")?;
    for (i, place) in turned.as_chunks_mut::<N>().0.iter_mut().enumerate() {
        let (x, y) = from(i % new_w, i / new_w, w, h);
        *place = source[y * w + x];
    }
    Ok(turned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exif_that_ends_early_or_is_none_turns_nothing() {
        let tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        let jpeg = [&b"\xFF\xD8\xFF\xE1\0\x22Exif\0\0"[..], tiff, b"\xFF\xD9"].concat();
        assert_eq!((of_exif(tiff), of_jpeg(&jpeg)), (6, 6));
        let told: Vec<u8> = (0..jpeg.len() - 2).map(|length| of_jpeg(&jpeg[..length])).collect();
        assert!(told[..jpeg.len() - 2].iter().all(|&orientation| orientation == 1), "{told:?}");
        for broken in [&b""[..], b"MM\0*", b"no exif at all", b"Exif\0\0"] {
            assert_eq!(of_exif(broken), 1);
        }
        // 9 is no orientation.
        let mut other = tiff.to_vec();
        other[19] = 9;
        assert_eq!(of_exif(&other), 1);
        assert_eq!(of_png(b"\x89PNG\r\n\x1a\n\xFF\xFF\xFF\xFFeXIf"), 1);
    }
}
