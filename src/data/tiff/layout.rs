//! What a TIFF's directory says of its image: samples, planes, and the pieces, strips or tiles, that they lie in.

use super::compression::Compression;
use super::directory::{Directory, Values, damaged, unsupported};
use crate::data::decoded::MAX_BYTES;
use crate::data::frame::MAX_SIDE;
use crate::error::{Error, ErrorKind, Result};

/// What the samples of a pixel are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Photometric {
    /// Grey; `inverted` where 0 is white.
    Grey { inverted: bool },
    /// Red, green, blue; `premultiplied` where a fourth sample, alpha, has been multiplied in.
    Rgb { premultiplied: bool },
    /// Numbers of the colour map's entries.
    Palette,
    /// Four inks.
    Cmyk,
    /// Luma and chroma in JPEG data.
    YCbCr,
}

/// The image, checked: everything that a decoder needs, with nothing in it that is not supported.
pub struct Layout<'a> {
    pub width: u32,
    pub height: u32,
    /// Bits of every sample: 1, 2, 4, 8, 12 or 16.
    pub bits: u32,
    /// Samples of a pixel, those that are not looked at included.
    pub samples: u32,
    pub photometric: Photometric,
    pub compression: Compression<'a>,
    /// Whether each sample has a plane of its own.
    pub planar: bool,
    /// Whether samples are kept as differences to the left neighbour.
    pub differences: bool,
    /// Whether the first bit of a byte is its lowest.
    pub bits_reversed: bool,
    /// Pixels in a row of a piece, and rows of a piece.
    pub piece: (u32, u32),
    offsets: Values<'a>,
    /// Absent where the file does not say how long its pieces are.
    lengths: Option<Values<'a>>,
}

impl<'a> Layout<'a> {
    /// What `directory` says.
    ///
    /// # Errors
    /// `Format` where it contradicts itself or where something is not supported, which is named.
    pub fn of(directory: &Directory<'a>) -> Result<Self> {
        let (width, height) = (directory.one(256, 0)?, directory.one(257, 0)?);
        let side = |side: u64| u32::try_from(side).ok().filter(|side| (1..=MAX_SIDE).contains(side));
        let (Some(width), Some(height)) = (side(width), side(height)) else { return Err(too_large(width, height)) };
        let samples = directory.one(277, 1)?;
        let photometric = photometric(directory, samples)?;
        let bits = bits(directory, samples, photometric)?;
        let samples = samples as u32;
        if (u64::from(width) * u64::from(height)).saturating_mul(u64::from(samples) * u64::from(bits.div_ceil(8)))
            > MAX_BYTES
        {
            return Err(too_large(width.into(), height.into()));
        }
        let compression = Compression::of(directory.one(259, 1)?, directory)?;
        if photometric == Photometric::YCbCr && !matches!(compression, Compression::Jpeg { .. }) {
            return Err(unsupported("a TIFF of YCbCr samples without JPEG compression"));
        }
        if matches!(compression, Compression::Jpeg { .. }) && bits != 8 {
            return Err(unsupported(format!("a TIFF of {bits}-bit samples with JPEG compression")));
        }
        let planar = match directory.one(284, 1)? {
            1 => false,
            2 => samples > 1,
            other => return Err(damaged(format!("planar configuration {other}"))),
        };
        if planar && photometric == Photometric::YCbCr {
            return Err(unsupported("a TIFF of YCbCr colours in planes"));
        }
        let differences = compression.takes_differences()
            && match directory.one(317, 1)? {
                1 => false,
                2 if matches!(bits, 8 | 16) => true,
                2 => return Err(unsupported(format!("a TIFF of {bits}-bit samples with predictor 2"))),
                other => return Err(unsupported(format!("a TIFF with predictor {other}"))),
            };
        let bits_reversed = match directory.one(266, 1)? {
            1 => false,
            2 if matches!(compression, Compression::Jpeg { .. }) => {
                return Err(unsupported("a TIFF of JPEG data with fill order 2"));
            }
            2 => true,
            other => return Err(damaged(format!("fill order {other}"))),
        };
        let tiled = directory.find(322)?.is_some() || directory.find(324)?.is_some();
        let piece = if tiled {
            (directory.one(322, 0)?, directory.one(323, 0)?)
        } else {
            (u64::from(width), directory.one(278, u64::from(height))?.min(u64::from(height)))
        };
        let piece = match (u32::try_from(piece.0), u32::try_from(piece.1)) {
            (Ok(across @ 1..), Ok(down @ 1..)) if u64::from(across) * u64::from(down) <= MAX_BYTES => (across, down),
            _ => return Err(damaged(format!("strips or tiles of {}×{} pixels", piece.0, piece.1))),
        };
        let (offsets, lengths) = if tiled { (324, 325) } else { (273, 279) };
        let offsets = directory.find(offsets)?.ok_or_else(|| damaged("it does not say where its pixels are"))?;
        let lengths = directory.find(lengths)?;
        if lengths.is_none() && compression != Compression::None {
            return Err(damaged("it does not say how long its strips or tiles are"));
        }
        let found = Self {
            width,
            height,
            bits,
            samples,
            photometric,
            compression,
            planar,
            differences,
            bits_reversed,
            piece,
            offsets,
            lengths,
        };
        if (found.row_bytes() as u64).saturating_mul(u64::from(piece.1.min(height))) > MAX_BYTES {
            return Err(damaged(format!("strips or tiles of {}×{} pixels", piece.0, piece.1)));
        }
        let needed = u64::from(found.planes()) * u64::from(found.across()) * u64::from(found.down());
        if (found.offsets.len() as u64) < needed {
            let has = found.offsets.len();
            return Err(damaged(format!("{has} strips or tiles for {width}×{height} pixels, expected {needed}")));
        }
        Ok(found)
    }

    /// Planes that lie one after the other.
    pub fn planes(&self) -> u32 {
        if self.planar { self.samples } else { 1 }
    }

    /// Samples of a pixel in one plane.
    pub fn together(&self) -> u32 {
        if self.planar { 1 } else { self.samples }
    }

    /// Pieces side by side.
    pub fn across(&self) -> u32 {
        self.width.div_ceil(self.piece.0)
    }

    /// Pieces one below the other.
    pub fn down(&self) -> u32 {
        self.height.div_ceil(self.piece.1)
    }

    /// Bytes of a row of a piece.
    pub fn row_bytes(&self) -> usize {
        (u64::from(self.piece.0) * u64::from(self.together()) * u64::from(self.bits)).div_ceil(8) as usize
    }

    /// The bytes of a piece as they lie in the file; those behind its beginning where the file does not say how many there are.
    ///
    /// # Errors
    /// `Format` where the file ends before them.
    pub fn stored(&self, file: &'a [u8], plane: u32, row: u32, column: u32) -> Result<&'a [u8]> {
        let number = (plane as usize * self.down() as usize + row as usize) * self.across() as usize + column as usize;
        let from = self.offsets.at(number).and_then(|offset| file.get(usize::try_from(offset).ok()?..));
        let bytes = match (from, self.lengths.filter(|_| self.compression != Compression::None)) {
            (Some(from), None) => Some(from),
            (Some(from), Some(lengths)) => {
                lengths.at(number).and_then(|length| from.get(..usize::try_from(length).ok()?))
            }
            (None, _) => None,
        };
        bytes.ok_or_else(|| damaged(format!("the file ends before strip or tile {number}")))
    }
}

fn too_large(width: u64, height: u64) -> Error {
    let reason = format!(
        "the TIFF has {width}×{height} pixels: 1 to {MAX_SIDE} pixels a side and at most {MAX_BYTES} bytes decoded are accepted"
    );
    Error::new(ErrorKind::Format, reason)
}

fn photometric(directory: &Directory<'_>, samples: u64) -> Result<Photometric> {
    let extra = directory.find(338)?.and_then(|values| values.at(0));
    let at_least = |least: u64, name: &str| {
        if samples >= least && samples <= least + 4 {
            return Ok(());
        }
        Err(unsupported(format!("a TIFF of {samples} samples a pixel with {name} colours")))
    };
    match directory.one(262, 0)? {
        white @ (0 | 1) => {
            at_least(1, "grey")?;
            if extra == Some(1) {
                return Err(unsupported("a grey TIFF with premultiplied alpha"));
            }
            Ok(Photometric::Grey { inverted: white == 0 })
        }
        2 => at_least(3, "RGB").map(|()| Photometric::Rgb { premultiplied: samples > 3 && extra == Some(1) }),
        3 => at_least(1, "palette").map(|()| Photometric::Palette),
        5 => {
            at_least(4, "CMYK")?;
            match directory.one(332, 1)? {
                1 => Ok(Photometric::Cmyk),
                other => Err(unsupported(format!("a TIFF with ink set {other}"))),
            }
        }
        6 if samples == 3 => Ok(Photometric::YCbCr),
        6 => Err(unsupported(format!("a TIFF of YCbCr colours with {samples} samples a pixel"))),
        8..=10 => Err(unsupported("a TIFF of CIELab colours")),
        32844 | 32845 => Err(unsupported("a TIFF of LogLuv colours")),
        32803 | 34892 => Err(unsupported("a TIFF of a camera's raw samples")),
        other => Err(unsupported(format!("a TIFF with photometric interpretation {other}"))),
    }
}

/// The bits of every sample.
fn bits(directory: &Directory<'_>, samples: u64, photometric: Photometric) -> Result<u32> {
    let found = directory.find(258)?;
    let bits = found.and_then(|values| values.at(0)).unwrap_or(1);
    if found.is_some_and(|values| values.iter().take(samples as usize).any(|own| own != bits)) {
        return Err(unsupported("a TIFF whose samples have different bits"));
    }
    let kinds = directory.find(339)?;
    let kind = kinds.and_then(|values| values.at(0)).unwrap_or(1);
    if kinds.is_some_and(|values| values.iter().take(samples as usize).any(|own| own != kind)) {
        return Err(unsupported("a TIFF whose samples are of different kinds"));
    }
    match kind {
        // "Undefined" is read as whole numbers, as libtiff does.
        1 | 4 => {}
        2 => return Err(unsupported(format!("a TIFF of {bits}-bit signed samples"))),
        3 => return Err(unsupported(format!("a TIFF of {bits}-bit float samples"))),
        5 | 6 => return Err(unsupported("a TIFF of complex samples")),
        other => return Err(damaged(format!("sample format {other}"))),
    }
    let takes = match (bits, photometric) {
        (8, _) => true,
        (1 | 2 | 4, Photometric::Grey { .. } | Photometric::Palette) => samples == 1,
        (12, Photometric::Grey { inverted: false }) => samples == 1,
        (16, Photometric::Grey { inverted }) => !inverted,
        (16, Photometric::Rgb { .. } | Photometric::Cmyk) => true,
        _ => false,
    };
    if !takes {
        let colours = match photometric {
            Photometric::Grey { inverted: true } => "grey where 0 is white",
            Photometric::Grey { inverted: false } => "grey",
            Photometric::Rgb { .. } => "RGB",
            Photometric::Palette => "palette",
            Photometric::Cmyk => "CMYK",
            Photometric::YCbCr => "YCbCr",
        };
        return Err(unsupported(format!("a TIFF of {samples} {bits}-bit samples a pixel ({colours})")));
    }
    Ok(bits as u32)
}
