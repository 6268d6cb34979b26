//! Small pictures that stand in the page itself.

use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::imageops::thumbnail;
use image::{ImageBuffer, Luma, Rgb};

use super::html::escape;
use crate::data::{Frame, encode_jpeg};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::memory::spare;

/// Longest side of a thumbnail in pixels.
const SIDE: u32 = 96;
/// JPEG quality: small, and textures stay judgeable.
const QUALITY: u8 = 85;

/// A small picture with a caption.
#[derive(Clone, Debug)]
pub struct Thumbnail {
    key: u64,
    caption: String,
    jpeg: String,
}

impl Thumbnail {
    /// Shrinks `frame` to at most 96 pixels a side. `key` says which image it is (its number in the data set): equal keys in
    /// the columns of a row are what the networks share.
    ///
    /// # Errors
    /// `OutOfMemory`; `Internal` where the frame is not as large as it says.
    pub fn new(key: u64, frame: &Frame, caption: &str) -> Result<Self> {
        Ok(Self { key, caption: caption.to_owned(), jpeg: shrink(frame, SIDE)?.to_jpeg()? })
    }

    pub(super) fn key(&self) -> u64 {
        self.key
    }

    pub(super) fn write(&self, shared: bool, out: &mut dyn Write) -> io::Result<()> {
        let caption = escape(&self.caption);
        let (class, mark) = if shared { (" class=\"shared\"", "<b title=\"found by all\">✓</b>") } else { ("", "") };
        write!(
            out,
            "<li{class}><span><img src=\"data:image/jpeg;base64,{}\" alt=\"{caption}\"/>{mark}</span><small title=\"{caption}\">{caption}</small></li>",
            self.jpeg
        )
    }
}

/// A shrunk picture, (height, width, channels) bytes.
pub(super) struct Small {
    pub width: u32,
    pub height: u32,
    pub channels: u8,
    pub pixels: Vec<u8>,
}

impl Small {
    /// As JPEG in base64.
    pub fn to_jpeg(&self) -> Result<String> {
        let jpeg = encode_jpeg(&self.pixels, self.width, self.height, self.channels, QUALITY)?;
        Ok(STANDARD.encode(jpeg))
    }
}

/// `width` × `height` so that the longest is `side`, or as they are where they are no longer.
pub(super) fn fitted(width: u32, height: u32, side: u32) -> (u32, u32) {
    let longest = width.max(height);
    let fit = |own: u32| {
        if longest <= side { own } else { (u64::from(own) * u64::from(side) / u64::from(longest)).max(1) as u32 }
    };
    (fit(width), fit(height))
}

/// `frame` with at most `side` pixels a side.
pub(super) fn shrink(frame: &Frame, side: u32) -> Result<Small> {
    let (width, height) = (frame.width(), frame.height());
    let (small_width, small_height) = fitted(width, height, side);
    spare(0, "a small picture")?;
    let broken = || Error::new(ErrorKind::Internal, format!("{frame:?} is not as large as it says"));
    let pixels = if frame.channels() == 1 {
        let whole = ImageBuffer::<Luma<u8>, _>::from_raw(width, height, frame.pixels()).ok_or_else(broken)?;
        thumbnail(&whole, small_width, small_height).into_raw()
    } else {
        let whole = ImageBuffer::<Rgb<u8>, _>::from_raw(width, height, frame.pixels()).ok_or_else(broken)?;
        thumbnail(&whole, small_width, small_height).into_raw()
    };
    Ok(Small { width: small_width, height: small_height, channels: frame.channels(), pixels })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::decode::decode_bytes;

    fn size(width: u32, height: u32, channels: u8) -> (u32, u32) {
        let pixels = (0..width * height * u32::from(channels)).map(|i| (i % 251) as u8).collect();
        let thumbnail = Thumbnail::new(0, &Frame::new(width, height, channels, pixels).unwrap(), "").unwrap();
        let picture = decode_bytes("it", &STANDARD.decode(&thumbnail.jpeg).unwrap()).unwrap();
        (picture.width(), picture.height())
    }

    #[test]
    fn thumbnails_keep_their_shape_and_small_ones_their_size() {
        assert_eq!(size(640, 480, 1), (96, 72));
        assert_eq!(size(5, 2000, 1), (1, 96));
        assert_eq!(size(32, 20, 1), (32, 20));
        assert_eq!(size(200, 100, 3), (96, 48));
    }
}
