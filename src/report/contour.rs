//! Where a grid of numbers crosses a level, by marching squares, as the `d` of an SVG path.

/// The largest value of each block of pixels, so that the grid's longest side is at most `side`: (width, height, values).
pub(super) fn reduced(values: &[f32], width: usize, height: usize, side: usize) -> (usize, usize, Vec<f32>) {
    let longest = width.max(height);
    let fit = |own: usize| if longest <= side { own } else { (own * side / longest).max(1) };
    let (small_width, small_height) = (fit(width), fit(height));
    let mut small = vec![f32::NEG_INFINITY; small_width * small_height];
    for (y, row) in values.chunks_exact(width).enumerate() {
        let line = y * small_height / height * small_width;
        for (x, &value) in row.iter().enumerate() {
            let place = &mut small[line + x * small_width / width];
            *place = place.max(value);
        }
    }
    (small_width, small_height, small)
}

/// The outline of what is at least `level`, in pixels of a grid whose first value lies at (½, ½). What is at the border is
/// closed along it.
pub(super) fn outline(values: &[f32], width: usize, height: usize, level: f32) -> String {
    // Outside of the grid all is below the level.
    let value = |x: usize, y: usize| {
        let inside = (1..=width).contains(&x) && (1..=height).contains(&y);
        if inside { f64::from(values[(y - 1) * width + x - 1]) } else { f64::from(level) - 1.0 }
    };
    let level = f64::from(level);
    let mut path = String::new();
    for y in 0..=height {
        for x in 0..=width {
            let corners = [value(x, y), value(x + 1, y), value(x + 1, y + 1), value(x, y + 1)];
            let above = corners.map(|corner| corner >= level);
            // Where the level is crossed on edge `i`, from corner i to the next one.
            let crossing = |i: usize| {
                let (a, b) = (corners[i], corners[(i + 1) % 4]);
                let t = (level - a) / (b - a);
                let (dx, dy) = [(t, 0.0), (1.0, t), (1.0 - t, 1.0), (0.0, 1.0 - t)][i];
                (x as f64 + dx - 0.5, y as f64 + dy - 0.5)
            };
            let crossed: Vec<usize> = (0..4).filter(|&i| above[i] != above[(i + 1) % 4]).collect();
            let pairs: &[(usize, usize)] = match crossed[..] {
                [a, b] => &[(a, b)],
                // A saddle: the mean says whether the high corners are joined.
                [_, _, _, _] if (corners.iter().sum::<f64>() >= 4.0 * level) == above[0] => &[(0, 1), (2, 3)],
                [_, _, _, _] => &[(3, 0), (1, 2)],
                _ => &[],
            };
            for &(from, to) in pairs {
                let ((x0, y0), (x1, y1)) = (crossing(from), crossing(to));
                path += &format!("M{x0:.1} {y0:.1}L{x1:.1} {y1:.1}");
            }
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The length of all segments.
    fn length(path: &str) -> f64 {
        let segment = |text: &str| {
            let numbers: Vec<f64> = text.split([' ', 'L']).map(|number| number.parse().unwrap()).collect();
            (numbers[2] - numbers[0]).hypot(numbers[3] - numbers[1])
        };
        path.split('M').skip(1).map(segment).sum()
    }

    #[test]
    fn a_disc_has_its_circumference() {
        let (size, radius) = (101usize, 30.0f32);
        let disc: Vec<f32> =
            (0..size * size).map(|i| radius - ((i % size) as f32 - 50.0).hypot((i / size) as f32 - 50.0)).collect();
        let found = length(&outline(&disc, size, size, 0.0));
        assert!((found / (2.0 * std::f64::consts::PI * 30.0) - 1.0).abs() < 0.02, "{found}");
    }

    #[test]
    fn what_touches_the_border_is_closed_and_nothing_has_no_outline() {
        let whole = length(&outline(&[1.0; 16], 4, 4, 0.5));
        assert!((whole - 14.0).abs() < 3.0, "{whole}");
        assert_eq!(outline(&[0.0; 16], 4, 4, 0.5), "");
        // Two corners that touch: two outlines or one, but closed.
        assert!(length(&outline(&[1.0, 0.0, 0.0, 1.0], 2, 2, 0.5)) > 4.0);
    }

    #[test]
    fn reducing_keeps_the_peaks() {
        let mut values = vec![0.0; 1000 * 10];
        values[9 * 1000 + 777] = 5.0;
        let (width, height, small) = reduced(&values, 1000, 10, 100);
        assert_eq!((width, height, small.iter().filter(|&&value| value == 5.0).count()), (100, 1, 1));
        assert_eq!(reduced(&[1.0, 2.0], 2, 1, 100), (2, 1, vec![1.0, 2.0]));
    }
}
