//! How much memory an image file will need, told from its marks alone, before a decoder that reserves nothing is let at it.
//!
//! JPEG: the segments of ITU-T T.81, annex B. PNG: the chunks of its specification, section 5.3.

/// Bytes that a decoder may take to read what stands before the pixels: tables, a directory, a colour profile.
pub(super) const HEADERS: u64 = 4 << 20;

/// Bytes of one coefficient.
const COEFFICIENT: u64 = 2;

/// Bytes of coefficients of a JPEG that must be in memory before the first pixel is made; as far as the file goes.
///
/// A frame that comes in several scans, progressive or one component after the other, is kept as coefficients until its last scan:
/// blocks of 64 in whole units of (8·H_max)×(8·V_max) pixels, H·V of them for each component.
pub(super) fn coefficients_of_jpeg(bytes: &[u8]) -> u64 {
    let mut at = 2;
    let (mut components, mut all, mut in_scans) = (0, 0, false);
    // Searching for the end marker's two bytes alone would find that of an embedded thumbnail.
    while let Some(skipped) = bytes.get(at..).and_then(|rest| rest.iter().position(|&byte| byte == 0xFF)) {
        at += skipped + 1;
        let [marker, rest @ ..] = &bytes[at..] else { break };
        match *marker {
            0xD9 => break,
            // Fill bytes, stuffed zeros of entropy-coded data, and markers without a length.
            0xFF => {}
            0x00 | 0x01 | 0xD0..=0xD8 => at += 1,
            marker => {
                let [high, low, segment @ ..] = rest else { break };
                let length = usize::from(u16::from_be_bytes([*high, *low])).max(2);
                let segment = segment.get(..length - 2).unwrap_or(segment);
                match marker {
                    // Start of frame: precision, height, width, number of components, three bytes for each of them.
                    0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF => {
                        in_scans |= matches!(marker, 0xC2 | 0xC6 | 0xCA | 0xCE);
                        components = segment.get(5).copied().unwrap_or(0);
                        all = all.max(coefficients(segment));
                    }
                    // Start of scan: number of its components.
                    0xDA => in_scans |= segment.first().is_some_and(|&own| own < components),
                    _ => {}
                }
                at += 1 + length;
            }
        }
    }
    if in_scans { all } else { 0 }
}

/// Bytes of a PNG beside its pixels: comments, profiles, previews. A decoder may keep them all.
pub(super) fn beside_of_png(bytes: &[u8]) -> u64 {
    let mut beside = 0;
    let mut rest = bytes.get(8..).unwrap_or_default();
    while let [l0, l1, l2, l3, kind @ ..] = rest {
        let length = u32::from_be_bytes([*l0, *l1, *l2, *l3]) as usize;
        if !kind.starts_with(b"IDAT") {
            beside += length.min(rest.len()) as u64;
        }
        // Length, kind and checksum are four bytes each.
        rest = rest.get(length.saturating_add(12)..).unwrap_or_default();
    }
    beside
}

/// Bytes of all coefficients of the frame that this segment starts; 0 where it is too short to say.
fn coefficients(segment: &[u8]) -> u64 {
    let [_, h0, h1, w0, w1, _, of_components @ ..] = segment else { return 0 };
    let (height, width) = (u16::from_be_bytes([*h0, *h1]), u16::from_be_bytes([*w0, *w1]));
    let factors = || of_components.chunks_exact(3).map(|own| (u64::from(own[1] >> 4), u64::from(own[1] & 15)));
    let most = |of: fn((u64, u64)) -> u64| factors().map(of).max().unwrap_or(1).max(1);
    let units = u64::from(width).div_ceil(8 * most(|own| own.0)) * u64::from(height).div_ceil(8 * most(|own| own.1));
    factors().map(|(across, down)| units * across * down * 64 * COEFFICIENT).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jpeg(marker: u8, of_components: &[u8], scan: u8) -> Vec<u8> {
        let mut bytes = vec![0xFF, 0xD8, 0xFF, marker, 0, 8 + of_components.len() as u8, 8, 0, 100, 0, 50];
        bytes.push(of_components.len() as u8 / 3);
        bytes.extend(of_components);
        bytes.extend([0xFF, 0xDA, 0, 3, scan, 1, 2, 0xFF, 0, 0xFF, 0xD0, 3, 0xFF, 0xD9]);
        bytes
    }

    #[test]
    fn frames_in_several_scans_are_kept_as_coefficients() {
        let (halved, grey) = ([1, 0x22, 0, 2, 0x11, 0, 3, 0x11, 0], [1, 0x11, 0]);
        // 50×100 pixels are 4×7 units of 16×16 pixels and six blocks, or 7×13 of one.
        let kept = |marker, of_components: &[u8], scan| coefficients_of_jpeg(&jpeg(marker, of_components, scan));
        assert_eq!(kept(0xC2, &halved, 3), 4 * 7 * 6 * 64 * 2);
        assert_eq!(kept(0xC0, &halved, 1), 4 * 7 * 6 * 64 * 2);
        assert_eq!(kept(0xC2, &grey, 1), 7 * 13 * 64 * 2);
        assert_eq!(kept(0xC0, &halved, 3), 0);
        assert_eq!(kept(0xC1, &grey, 1), 0);
    }

    #[test]
    fn a_file_that_ends_early_tells_as_much_as_it_has() {
        let whole = jpeg(0xC2, &[1, 0x11, 0], 1);
        let told: Vec<u64> = (0..=whole.len()).map(|length| coefficients_of_jpeg(&whole[..length])).collect();
        assert!(told.is_sorted() && told[0] == 0 && told[whole.len()] == 7 * 13 * 64 * 2, "{told:?}");
        // What follows the end marker, and a thumbnail in a segment, is not the image's.
        let mut longer = jpeg(0xC0, &[1, 0x11, 0], 1);
        longer.extend(&whole);
        assert_eq!(coefficients_of_jpeg(&longer), 0);
        let mut inside = vec![0xFF, 0xD8, 0xFF, 0xE1, 0, whole.len() as u8 + 2];
        inside.extend(&whole);
        assert_eq!(coefficients_of_jpeg(&inside), 0);
    }

    #[test]
    fn chunks_without_pixels_are_counted_even_where_they_lie_about_their_length() {
        let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
        for (kind, length) in [(b"IHDR", 13), (b"iTXt", 1000), (b"IDAT", 500), (b"IEND", 0)] {
            png.extend((length as u32).to_be_bytes());
            png.extend(kind);
            png.resize(png.len() + length + 4, 0);
        }
        assert_eq!(beside_of_png(&png), 1013);
        let at = png.len() - 12;
        png[at..at + 4].fill(0xFF);
        assert_eq!(beside_of_png(&png), 1013 + 12);
        assert_eq!(beside_of_png(&[]), 0);
    }
}
