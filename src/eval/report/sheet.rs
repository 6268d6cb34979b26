//! Sheets of nearest neighbours: each query with what one or more networks find nearest to it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::thumbnail;
use image::{ExtendedColorType, ImageBuffer, Luma, Rgb};

use super::html::escape;
use crate::data::Frame;
use crate::error::{Error, ErrorKind, Result};

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
    /// `Internal` where the encoder fails, which it does not for a sound frame.
    pub fn new(key: u64, frame: &Frame, caption: &str) -> Result<Self> {
        let jpeg = STANDARD.encode(encode(frame)?);
        Ok(Self { key, caption: caption.to_owned(), jpeg })
    }

    fn to_html(&self, shared: bool) -> String {
        let caption = escape(&self.caption);
        let (class, mark) = if shared { (" class=\"shared\"", "<b title=\"found by all\">✓</b>") } else { ("", "") };
        format!(
            "<li{class}><span><img src=\"data:image/jpeg;base64,{}\" alt=\"{caption}\"/>{mark}</span><small title=\"{caption}\">{caption}</small></li>",
            self.jpeg
        )
    }
}

fn encode(frame: &Frame) -> Result<Vec<u8>> {
    let (width, height) = (frame.width(), frame.height());
    let longest = width.max(height);
    let fitted = |side: u32| {
        if longest <= SIDE { side } else { (u64::from(side) * u64::from(SIDE) / u64::from(longest)).max(1) as u32 }
    };
    let (small_width, small_height) = (fitted(width), fitted(height));
    let broken = || Error::new(ErrorKind::Internal, format!("{frame:?} is not as large as it says"));
    let (pixels, colour) = if frame.channels() == 1 {
        let whole = ImageBuffer::<Luma<u8>, _>::from_raw(width, height, frame.pixels()).ok_or_else(broken)?;
        (thumbnail(&whole, small_width, small_height).into_raw(), ExtendedColorType::L8)
    } else {
        let whole = ImageBuffer::<Rgb<u8>, _>::from_raw(width, height, frame.pixels()).ok_or_else(broken)?;
        (thumbnail(&whole, small_width, small_height).into_raw(), ExtendedColorType::Rgb8)
    };
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, QUALITY)
        .encode(&pixels, small_width, small_height, colour)
        .map_err(|error| Error::new(ErrorKind::Internal, format!("cannot encode a thumbnail of {frame:?}: {error}")))?;
    Ok(jpeg)
}

/// A query and the thumbnails of each column, nearest first.
#[derive(Clone, Debug)]
pub struct SheetRow {
    /// What was searched for.
    pub query: Thumbnail,
    /// One list for each column of the sheet.
    pub neighbours: Vec<Vec<Thumbnail>>,
}

impl SheetRow {
    /// Whether every column has it; with one column nothing is shared.
    fn is_shared(&self, key: u64) -> bool {
        self.neighbours.len() > 1 && self.neighbours.iter().all(|side| side.iter().any(|other| other.key == key))
    }

    /// How many of the first column's thumbnails all columns have, and how many it has.
    fn shared(&self) -> (usize, usize) {
        let first = self.neighbours.first().map_or(&[][..], Vec::as_slice);
        (first.iter().filter(|thumbnail| self.is_shared(thumbnail.key)).count(), first.len())
    }
}

#[derive(Clone, Debug)]
pub(super) struct Sheet {
    title: String,
    columns: Vec<String>,
    rows: Vec<SheetRow>,
}

impl Sheet {
    pub fn new(title: &str, columns: &[&str], rows: Vec<SheetRow>) -> Result<Self> {
        if let Some(row) = rows.iter().position(|row| row.neighbours.len() != columns.len()) {
            return Err(Error::invalid(format!(
                "row {row} of the sheet {title:?} has {} lists of neighbours, expected one for each of {} columns",
                rows[row].neighbours.len(),
                columns.len()
            )));
        }
        Ok(Self { title: title.to_owned(), columns: columns.iter().map(|&name| name.to_owned()).collect(), rows })
    }

    pub fn to_html(&self) -> String {
        let mut out = format!("<figure class=\"sheet\">\n<figcaption>{}</figcaption>\n", escape(&self.title));
        let comparing = self.columns.len() > 1;
        if comparing {
            let (shared, all) =
                self.rows.iter().map(SheetRow::shared).fold((0, 0), |sum, row| (sum.0 + row.0, sum.1 + row.1));
            let names = self.columns.join(" and ");
            out += &format!(
                "<p class=\"note\"><b class=\"mark\">✓</b> found by {}: {shared} of {all} neighbours on this sheet</p>\n",
                escape(&names)
            );
        }
        out += "<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">query</th>";
        for name in &self.columns {
            out += &format!("<th scope=\"col\">{}</th>", escape(name));
        }
        out += "</tr></thead>\n<tbody>\n";
        for row in &self.rows {
            out += &format!("<tr><th scope=\"row\"><ul class=\"query\">{}</ul></th>", row.query.to_html(false));
            for side in &row.neighbours {
                let thumbnails: String =
                    side.iter().map(|thumbnail| thumbnail.to_html(row.is_shared(thumbnail.key))).collect();
                out += &format!("<td><ol>{thumbnails}</ol></td>");
            }
            out += "</tr>\n";
        }
        out + "</tbody>\n</table></div></figure>\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(key: u64, width: u32, height: u32) -> Thumbnail {
        let pixels = (0..width * height).map(|i| (i % 251) as u8).collect();
        Thumbnail::new(key, &Frame::new(width, height, 1, pixels).unwrap(), "a <b>").unwrap()
    }

    fn size(thumbnail: &Thumbnail) -> (u32, u32) {
        let picture = image::load_from_memory(&STANDARD.decode(&thumbnail.jpeg).unwrap()).unwrap();
        (picture.width(), picture.height())
    }

    #[test]
    fn thumbnails_keep_their_shape_and_small_ones_their_size() {
        assert_eq!(size(&grey(0, 640, 480)), (96, 72));
        assert_eq!(size(&grey(0, 5, 2000)), (1, 96));
        assert_eq!(size(&grey(0, 32, 20)), (32, 20));
        let colour = Frame::new(200, 100, 3, vec![200; 60_000]).unwrap();
        assert_eq!(size(&Thumbnail::new(0, &colour, "").unwrap()), (96, 48));
    }

    #[test]
    fn what_both_sides_found_is_marked_on_both() {
        let side = |keys: [u64; 2]| keys.map(|key| grey(key, 8, 8)).to_vec();
        let row = SheetRow { query: grey(9, 8, 8), neighbours: vec![side([1, 2]), side([3, 1])] };
        assert_eq!(row.shared(), (1, 2));
        let html = Sheet::new("s", &["student", "teacher"], vec![row.clone()]).unwrap().to_html();
        assert_eq!(html.matches("class=\"shared\"").count(), 2);
        assert!(html.contains("1 of 2 neighbours") && html.contains("a &lt;b&gt;") && !html.contains("<b>"));
        assert!(Sheet::new("s", &["student"], vec![row]).is_err());
    }
}
