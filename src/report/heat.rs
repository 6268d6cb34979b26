//! Heat maps over frames: each frame beside itself under a half-transparent colour map, with the outline of what lies above the
//! threshold and, where it is known, that of the true defect. One scale for all figures of a sheet.

use std::io::{self, Write};

use super::axis::significant;
use super::contour::{outline, reduced};
use super::html::escape;
use super::thumbnail::{Small, shrink};
use crate::data::Frame;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::memory::{collected, room, spare};

/// Longest side of a picture in pixels.
const SIDE: u32 = 288;
/// Longest side of the grid that outlines are drawn on.
const GRID: usize = 96;
/// Figures of one sheet: some 30 kB each.
const MOST_FIGURES: usize = 300;
/// The colour map from the lowest to the highest value, light to dark, so that it can be read without colours.
const COLOURS: [[u8; 3]; 5] = [[255, 226, 122], [255, 172, 51], [245, 98, 42], [201, 23, 47], [122, 10, 60]];
/// How much of the frame the highest value covers.
const COVER: f32 = 0.8;

/// One frame and its heat map.
#[derive(Clone, Debug)]
pub struct HeatFigure {
    caption: String,
    score: f32,
    threshold: Option<f32>,
    frame: Picture,
    map: Vec<f32>,
    grid: (usize, usize, Vec<f32>),
    truth: String,
    has_truth: bool,
}

/// A shrunk frame in three colours.
#[derive(Clone, Debug)]
struct Picture {
    width: u32,
    height: u32,
    jpeg: String,
    colours: Vec<[u8; 3]>,
}

impl HeatFigure {
    /// `map` has a distance for each pixel of `frame`; `threshold` None or infinite: none. `truth` has a number other than 0 for
    /// each defective pixel.
    ///
    /// # Errors
    /// `InvalidArgument` where the sizes differ or a distance or the score is NaN or infinite.
    pub fn new(
        caption: &str,
        frame: &Frame,
        map: &[f32],
        score: f32,
        threshold: Option<f32>,
        truth: Option<&[u8]>,
    ) -> Result<Self> {
        let (width, height) = (frame.width() as usize, frame.height() as usize);
        for (what, count) in [("map", map.len()), ("mask", truth.map_or(width * height, <[u8]>::len))] {
            if count != width * height {
                return Err(Error::invalid(format!(
                    "the {what} of {caption:?} has {count} values, expected {width}·{height}, one for each pixel"
                )));
            }
        }
        if let Some(bad) = map.iter().chain([&score]).find(|value| !value.is_finite()) {
            return Err(Error::invalid(format!(
                "the map or the score of {caption:?} holds {bad}, expected finite numbers"
            )));
        }
        let small = shrink(frame, SIDE)?;
        let (map_width, map_height, small_map) = reduced(map, width, height, SIDE as usize);
        debug_assert_eq!((map_width, map_height), (small.width as usize, small.height as usize));
        let truth_outline = truth.map(|truth| {
            let marks = truth.iter().map(|&mark| f32::from(u8::from(mark != 0)));
            let marks = collected(marks, "the mask of a heat map")?;
            let (width, height, marks) = reduced(&marks, width, height, GRID);
            Ok::<_, Error>(outline(&marks, width, height, 0.5))
        });
        let truth_outline = truth_outline.transpose()?;
        Ok(Self {
            caption: caption.to_owned(),
            score,
            threshold: threshold.filter(|threshold| threshold.is_finite()),
            grid: reduced(map, width, height, GRID),
            frame: Picture::new(&small)?,
            map: small_map,
            has_truth: truth_outline.is_some(),
            truth: truth_outline.unwrap_or_default(),
        })
    }

    fn highest(&self) -> f32 {
        self.map.iter().copied().fold(self.threshold.unwrap_or(f32::NEG_INFINITY), f32::max)
    }

    fn lowest(&self) -> f32 {
        self.map.iter().copied().fold(f32::INFINITY, f32::min)
    }

    fn write(&self, low: f32, high: f32, out: &mut dyn Write) -> io::Result<()> {
        let (width, height) = (self.frame.width, self.frame.height);
        let under = match self.frame.under(&self.map, low, high) {
            Ok(under) => under,
            Err(error) if error.kind() == ErrorKind::OutOfMemory => return Err(io::ErrorKind::OutOfMemory.into()),
            // The JPEG encoder has no reason to fail for a picture of bytes; if it does, the others are still shown.
            Err(error) => return writeln!(out, "<li>{}</li>", escape(error.message())),
        };
        let alarm = self.threshold.is_some_and(|threshold| self.score > threshold);
        let caption = escape(&self.caption);
        let outlined = |class: &str, path: &str| match path {
            "" => String::new(),
            path => format!(
                "<path class=\"{class}\" transform=\"scale({:.4} {:.4})\" d=\"{path}\"/>",
                f64::from(width) / self.grid.0 as f64,
                f64::from(height) / self.grid.1 as f64
            ),
        };
        let picture = |what: &str, jpeg: &str, outlines: [String; 2], out: &mut dyn Write| {
            let [under, over] = outlines;
            write!(
                out,
                "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{what} {caption}\"><image width=\"{width}\" height=\"{height}\" href=\"data:image/jpeg;base64,{jpeg}\"/>{under}{over}</svg>"
            )
        };
        let above = self
            .threshold
            .map_or(String::new(), |threshold| outline(&self.grid.2, self.grid.0, self.grid.1, threshold));
        let verdict = match (self.threshold, alarm) {
            (None, _) => String::new(),
            (Some(threshold), true) => format!(", <b>alarm</b> above {}", significant(threshold)),
            (Some(threshold), false) => format!(", good up to {}", significant(threshold)),
        };
        let twice = |class: &str, path: &str| [outlined(&format!("{class} halo"), path), outlined(class, path)];
        out.write_all(b"<li><div>")?;
        picture("frame", &self.frame.jpeg, twice("truth", &self.truth), out)?;
        picture("heat map of", &under, twice("above", &above), out)?;
        writeln!(
            out,
            "</div><small><span title=\"{caption}\">{caption}</span> score {}{verdict}</small></li>",
            significant(self.score)
        )
    }
}

impl Picture {
    fn new(small: &Small) -> Result<Self> {
        let colours = match small.channels {
            1 => small.pixels.iter().map(|&grey| [grey; 3]).collect(),
            _ => small.pixels.chunks_exact(3).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect(),
        };
        Ok(Self { width: small.width, height: small.height, jpeg: small.to_jpeg()?, colours })
    }

    /// The frame under the colours of `map`.
    fn under(&self, map: &[f32], low: f32, high: f32) -> Result<String> {
        let mixed = self.colours.iter().zip(map).flat_map(|(pixel, &value)| covered(*pixel, value, low, high));
        // A picture of SIDE², its file, and that in base64: together less than the margin.
        spare(0, "a heat map")?;
        let small = Small { width: self.width, height: self.height, channels: 3, pixels: mixed.collect() };
        small.to_jpeg()
    }
}

/// A frame under the colours of its heat map, at its full size: a value at `low` leaves the pixel as it is, one at `high` has the
/// darkest colour. Where either is NaN it is the map's own lowest or highest value.
///
/// # Errors
/// `InvalidArgument` where `map` has not a finite number for each pixel, or a bound is infinite; `OutOfMemory`.
pub fn heat_picture(frame: &Frame, map: &[f32], low: f32, high: f32) -> Result<Frame> {
    let (width, height, channels) = (frame.width(), frame.height(), usize::from(frame.channels()));
    let count = width as usize * height as usize;
    if map.len() != count {
        let found = map.len();
        return Err(Error::invalid(format!(
            "the map has {found} values, expected {width}·{height}, one for each pixel"
        )));
    }
    if let Some(bad) = map.iter().find(|value| !value.is_finite()) {
        return Err(Error::invalid(format!("the map holds {bad}, expected finite numbers")));
    }
    if low.is_infinite() || high.is_infinite() {
        return Err(Error::invalid(format!("the colours go from {low} to {high}, expected finite numbers or NaN")));
    }
    let low = if low.is_nan() { map.iter().copied().fold(f32::INFINITY, f32::min) } else { low };
    let high = if high.is_nan() { map.iter().copied().fold(f32::NEG_INFINITY, f32::max) } else { high };
    // A map that is one number everywhere has no colour anywhere.
    let high = if high > low { high } else { low + low.abs().max(1.0) };
    let mut pixels = room(count * 3, "a heat map")?;
    for (pixel, &value) in frame.pixels().chunks_exact(channels).zip(map) {
        pixels.extend(covered([pixel[0], pixel[channels / 2], pixel[channels - 1]], value, low, high));
    }
    Frame::new(width, height, 3, pixels)
}

/// A pixel under the colour of a value.
fn covered(pixel: [u8; 3], value: f32, low: f32, high: f32) -> [u8; 3] {
    let share = ((value - low) / (high - low)).clamp(0.0, 1.0);
    // Little of the frame where it is quiet, so that its texture is seen.
    let (colour, cover) = (colour(share), COVER * share * share * (3.0 - 2.0 * share));
    std::array::from_fn(|i| (f32::from(pixel[i]) * (1.0 - cover) + f32::from(colour[i]) * cover).round() as u8)
}

/// The colour of a share of the scale, between the two nearest of the map.
fn colour(share: f32) -> [u8; 3] {
    let place = share * (COLOURS.len() - 1) as f32;
    let below = (place as usize).min(COLOURS.len() - 2);
    let part = place - below as f32;
    std::array::from_fn(|i| {
        let (a, b) = (f32::from(COLOURS[below][i]), f32::from(COLOURS[below + 1][i]));
        (a + (b - a) * part).round() as u8
    })
}

#[derive(Clone, Debug)]
pub(super) struct HeatSheet {
    title: String,
    figures: Vec<HeatFigure>,
}

impl HeatSheet {
    pub fn new(title: &str) -> Self {
        Self { title: title.to_owned(), figures: Vec::new() }
    }

    pub fn title(&self) -> &str {
        &self.title
    }

    pub fn add(&mut self, figure: HeatFigure) -> Result<()> {
        if self.figures.len() == MOST_FIGURES {
            return Err(Error::invalid(format!(
                "the sheet {:?} has {MOST_FIGURES} heat maps, the most there may be; begin another one",
                self.title
            )));
        }
        self.figures.push(figure);
        Ok(())
    }

    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let low = self.figures.iter().map(HeatFigure::lowest).fold(f32::INFINITY, f32::min);
        let high = self.figures.iter().map(HeatFigure::highest).fold(f32::NEG_INFINITY, f32::max);
        let threshold = self.figures.iter().filter_map(|figure| figure.threshold).next_back();
        // What is good is never dark: the threshold lies in the lower half, however low all scores of a sheet are.
        let high = threshold.map_or(high, |threshold| high.max(low + 2.0 * (threshold - low)));
        // A map that is one number everywhere has no colour anywhere.
        let high = if high > low { high } else { low + 1.0 };
        writeln!(out, "<figure class=\"heat\">\n<figcaption>{}</figcaption>", escape(&self.title))?;
        write_scale(low, high, threshold, out)?;
        let truth = if self.figures.iter().any(|figure| figure.has_truth) { ", true defects outlined" } else { "" };
        writeln!(
            out,
            "<p class=\"note\">left: the frame{truth}; right: its heat map, what is above the threshold outlined</p>"
        )?;
        out.write_all(b"<ul>\n")?;
        for figure in &self.figures {
            figure.write(low, high, out)?;
        }
        out.write_all(b"</ul></figure>\n")
    }
}

/// The colour map with its ends and the threshold.
fn write_scale(low: f32, high: f32, threshold: Option<f32>, out: &mut dyn Write) -> io::Result<()> {
    const WIDTH: f64 = 300.0;
    let number = significant;
    write!(
        out,
        "<svg class=\"scale\" viewBox=\"0 0 {} 34\" role=\"img\" aria-label=\"colours from {} to {}\">",
        WIDTH + 20.0,
        number(low),
        number(high)
    )?;
    const STEPS: usize = 30;
    for step in 0..STEPS {
        let [r, g, b] = colour((step as f32 + 0.5) / STEPS as f32);
        let width = WIDTH / STEPS as f64;
        write!(
            out,
            "<path fill=\"rgb({r},{g},{b})\" d=\"M{:.1} 2h{:.1}v12h-{1:.1}z\"/>",
            10.0 + step as f64 * width,
            width + 0.3
        )?;
    }
    write!(
        out,
        "<text x=\"10\" y=\"30\">{}</text><text class=\"end\" x=\"{}\" y=\"30\">{}</text>",
        number(low),
        WIDTH + 10.0,
        number(high)
    )?;
    if let Some(threshold) = threshold {
        let share = f64::from((threshold - low) / (high - low)).clamp(0.0, 1.0);
        let x = 10.0 + share * WIDTH;
        write!(
            out,
            "<path class=\"limit\" d=\"M{x:.1} 0V17\"/><text class=\"x\" x=\"{:.1}\" y=\"30\">threshold {}</text>",
            x.clamp(105.0, WIDTH - 85.0),
            number(threshold)
        )?;
    }
    out.write_all(b"</svg>\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::text_of;

    #[test]
    fn a_picture_has_the_frame_where_it_is_quiet_and_the_darkest_colour_where_it_is_not() {
        let frame = Frame::new(3, 1, 3, vec![10, 20, 30, 10, 20, 30, 200, 200, 200]).unwrap();
        let picture = heat_picture(&frame, &[0.0, 2.0, 1.0], f32::NAN, f32::NAN).unwrap();
        let mixed = |pixel: f32, colour: f32| (pixel * 0.2 + colour * 0.8).round() as u8;
        assert_eq!(picture.pixels()[..6], [10, 20, 30, mixed(10.0, 122.0), mixed(20.0, 10.0), mixed(30.0, 60.0)]);
        let above = heat_picture(&frame, &[0.0, 9.0, 1.0], 0.0, 2.0).unwrap();
        assert_eq!(above.pixels(), picture.pixels(), "what lies above the scale has its darkest colour");
        let flat = heat_picture(&frame, &[7.0; 3], f32::NAN, f32::NAN).unwrap();
        assert_eq!(flat.pixels(), frame.pixels());
        assert!(heat_picture(&frame, &[0.0; 2], 0.0, 1.0).is_err());
        assert!(heat_picture(&frame, &[0.0, f32::NAN, 0.0], 0.0, 1.0).is_err());
        assert!(heat_picture(&frame, &[0.0; 3], 0.0, f32::INFINITY).is_err());
    }

    #[test]
    fn sizes_and_values_are_checked() {
        let frame = Frame::new(4, 2, 1, vec![9; 8]).unwrap();
        let figure = |map: &[f32], score, truth| HeatFigure::new("a", &frame, map, score, Some(1.0), truth);
        assert!(figure(&[0.0; 8], 1.0, Some(&[1; 8])).is_ok());
        assert!(figure(&[0.0; 7], 1.0, None).is_err() && figure(&[0.0; 8], 1.0, Some(&[1; 9])).is_err());
        assert!(figure(&[0.0; 8], f32::NAN, None).is_err());
        assert!(figure(&[f32::INFINITY; 8], 1.0, None).is_err());
    }

    #[test]
    fn one_scale_holds_for_a_sheet_and_alarms_are_named() {
        let frame = Frame::new(40, 30, 3, vec![128; 3600]).unwrap();
        let mut sheet = HeatSheet::new("<s>");
        let mut map = vec![0.5; 1200];
        let truth = vec![0; 1200];
        sheet.add(HeatFigure::new("good", &frame, &map, 0.5, Some(2.0), Some(&truth)).unwrap()).unwrap();
        map[600..620].fill(4.0);
        sheet.add(HeatFigure::new("<bad>", &frame, &map, 4.5, Some(2.0), None).unwrap()).unwrap();
        let html = text_of(|out| sheet.write(out));
        assert!(html.contains("colours from 0.500 to 4.00") && html.contains("threshold 2.00"), "{html}");
        assert!(html.contains("score 4.50, <b>alarm</b> above 2.00") && html.contains("score 0.500, good up to 2.00"));
        assert_eq!(html.matches("class=\"above\"").count(), 1, "only one map reaches the threshold");
        assert!(!html.contains("class=\"truth\"") && !html.contains("<bad>"), "an empty mask has no outline");
        text_of(|out| HeatSheet::new("none").write(out));
    }

    #[test]
    fn hot_pixels_change_colour_and_cold_ones_do_not() {
        let small = Small { width: 8, height: 8, channels: 1, pixels: vec![100; 64] };
        let picture = Picture::new(&small).unwrap();
        assert_eq!(colour(1.0), COLOURS[4]);
        let cold = picture.under(&[0.0; 64], 0.0, 1.0).unwrap();
        let grey = Small { channels: 3, pixels: vec![100; 192], ..small }.to_jpeg().unwrap();
        assert_eq!(cold, grey);
        assert_ne!(picture.under(&[1.0; 64], 0.0, 1.0).unwrap(), grey);
    }
}
