//! A Bayer mosaic → (H, W, 3) samples, by bilinear interpolation.
//!
//! ```text
//! at red:           G = (left + right + up + down + 2)/4      B = (the four diagonal ones + 2)/4      and so at blue
//! at green beside red:  R = (left + right + 1)/2    B = (up + down + 1)/2                        and so beside blue
//! ```
//!
//! All divisions round down. Beyond a border lies the mirror image of the frame about its outermost pixels (−1 is 1, W is W − 2), which
//! keeps the pattern of colours. Inside these are the values of OpenCV's `cvtColor` by `COLOR_BayerRGGB2RGB` and its kind.

use crate::error::{Error, Result};

/// Appends the colours of a mosaic of (`width`, `height`) samples of `N` bytes, each at least 2, to `pixels`, which has room for them.
/// `row` gives the rows, `red` is the place of the first red pixel; `number` and `bytes` say how a sample lies in its bytes.
pub(super) fn demosaic<'a, const N: usize>(
    (width, height): (usize, usize),
    red: (usize, usize),
    row: impl Fn(usize) -> &'a [[u8; N]],
    number: impl Fn([u8; N]) -> u32,
    bytes: impl Fn(u32) -> [u8; N],
    pixels: &mut Vec<u8>,
) -> Result<()> {
    if width < 2 || height < 2 {
        return Err(Error::invalid(format!(
            "a mosaic of {width}×{height} pixels has not all colours, expected 2×2 at least"
        )));
    }
    for y in 0..height {
        let rows = [row(y.abs_diff(1)), row(y), row(if y + 1 < height { y + 1 } else { y - 1 })];
        let in_red_row = y % 2 == red.1;
        let mut pixel = |left: usize, x: usize, right: usize| {
            let at = |row: usize, column: usize| number(rows[row][column]);
            let own = at(1, x);
            let across = at(1, left) + at(1, right);
            let down = at(0, x) + at(2, x);
            let colours = match (x % 2 == red.0, in_red_row) {
                (true, true) => [own, (across + down + 2) / 4, corners(&at, left, right)],
                (false, false) => [corners(&at, left, right), (across + down + 2) / 4, own],
                (false, true) => [across.div_ceil(2), own, down.div_ceil(2)],
                (true, false) => [down.div_ceil(2), own, across.div_ceil(2)],
            };
            colours.into_iter().for_each(|colour| pixels.extend(bytes(colour)));
        };
        pixel(1, 0, 1);
        (1..width - 1).for_each(|x| pixel(x - 1, x, x + 1));
        pixel(width - 2, width - 1, width - 2);
    }
    Ok(())
}

/// The mean of the four diagonal neighbours.
fn corners(at: &impl Fn(usize, usize) -> u32, left: usize, right: usize) -> u32 {
    (at(0, left) + at(0, right) + at(2, left) + at(2, right) + 2) / 4
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of one colour is that colour everywhere, borders and corners included.
    #[test]
    fn one_colour_stays_one() {
        let colour = [200u8, 90, 17];
        for (width, height) in [(2, 2), (2, 5), (7, 4), (5, 2)] {
            for red in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                let channel = |x: usize, y: usize| match (x % 2 == red.0, y % 2 == red.1) {
                    (true, true) => 0,
                    (false, false) => 2,
                    _ => 1,
                };
                let rows: Vec<Vec<[u8; 1]>> =
                    (0..height).map(|y| (0..width).map(|x| [colour[channel(x, y)]]).collect()).collect();
                let mut pixels = Vec::new();
                demosaic((width, height), red, |y| &rows[y], |[s]| s.into(), |s| [s as u8], &mut pixels).unwrap();
                assert_eq!(pixels, colour.repeat(width * height), "{width}×{height} {red:?}");
            }
        }
        let refused = demosaic((1, 9), (0, 0), |_| &[[0u8]], |[s]| s.into(), |s| [s as u8], &mut Vec::new());
        assert!(refused.unwrap_err().message().contains("1×9"));
    }
}
