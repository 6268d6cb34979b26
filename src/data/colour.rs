//! Brightness, contrast, saturation, hue and grey on (H, W, C) bytes, level for level as PIL's `ImageEnhance` and
//! torchvision's `adjust_hue` do them.
//!
//! The first three are `blend(a, b, f) = a + f·(b − a)`, cut to 0..=255 and truncated, where b is the image and a is black, the
//! mean of its grey levels, or its grey image. Grey is ITU-R 601-2 luma in 16-bit fixed point. Hue goes through 8-bit HSV.
//! Where C = 1, saturation and hue change nothing, as they change nothing on three equal channels.

use super::augment::{Adjustment, Jitter};

/// Applies the jitter's operations in its order.
pub(super) fn jitter(image: &mut [u8], channels: usize, jitter: &Jitter) {
    for adjustment in jitter.order {
        match adjustment {
            Adjustment::Brightness => blend_with_level(image, 0, jitter.brightness as f32),
            Adjustment::Contrast if jitter.contrast != 1.0 => {
                blend_with_level(image, mean_grey(image, channels), jitter.contrast as f32);
            }
            Adjustment::Saturation if channels == 3 => saturate(image, jitter.saturation as f32),
            Adjustment::Hue if channels == 3 && jitter.hue != 0.0 => turn_hue(image, jitter.hue),
            _ => {}
        }
    }
}

/// Keeps the grey level of each pixel, packed to the front: (H, W, 3) becomes (H, W, 1).
pub(super) fn to_grey(image: &mut Vec<u8>) {
    let pixels = image.len() / 3;
    for i in 0..pixels {
        image[i] = grey(image[3 * i], image[3 * i + 1], image[3 * i + 2]);
    }
    image.truncate(pixels);
}

/// ITU-R 601-2 luma, .299 R + .587 G + .114 B, rounded, in PIL's fixed point.
fn grey(red: u8, green: u8, blue: u8) -> u8 {
    ((u32::from(red) * 19_595 + u32::from(green) * 38_470 + u32::from(blue) * 7_471 + 0x8000) >> 16) as u8
}

/// The cast cuts to 0..=255 and truncates.
fn blend(from: u8, to: u8, factor: f32) -> u8 {
    (f32::from(from) + factor * (f32::from(to) - f32::from(from))) as u8
}

fn blend_with_level(image: &mut [u8], level: u8, factor: f32) {
    if factor == 1.0 {
        return;
    }
    let table: [u8; 256] = std::array::from_fn(|value| blend(level, value as u8, factor));
    for value in image {
        *value = table[usize::from(*value)];
    }
}

/// The mean of the grey levels, to the nearest.
fn mean_grey(image: &[u8], channels: usize) -> u8 {
    let sum: u64 = if channels == 3 {
        image.chunks_exact(3).map(|rgb| u64::from(grey(rgb[0], rgb[1], rgb[2]))).sum()
    } else {
        image.iter().map(|&value| u64::from(value)).sum()
    };
    let pixels = (image.len() / channels).max(1);
    (sum as f64 / pixels as f64 + 0.5) as u8
}

fn saturate(image: &mut [u8], factor: f32) {
    if factor == 1.0 {
        return;
    }
    for rgb in image.chunks_exact_mut(3) {
        let grey = grey(rgb[0], rgb[1], rgb[2]);
        for value in rgb {
            *value = blend(grey, *value, factor);
        }
    }
}

/// Adds a share of the circle to the hue, in 8-bit HSV: the round trip alone changes colours a little.
fn turn_hue(image: &mut [u8], share: f64) {
    // Towards zero and then modulo 256, as numpy casts it.
    let turn = (share * 255.0) as i32 as u8;
    // Sector of the circle and place in it, by hue.
    let sectors: [(usize, f64); 256] = std::array::from_fn(|hue| {
        let sixths = hue as f64 * 6.0 / 255.0;
        ((sixths as usize) % 6, f64::from((sixths - sixths.floor()) as f32))
    });
    for rgb in image.chunks_exact_mut(3) {
        let (red, green, blue) = (rgb[0], rgb[1], rgb[2]);
        let value = red.max(green).max(blue);
        let range = value - red.min(green).min(blue);
        if range == 0 {
            continue;
        }
        let hue = hue_of(red, green, blue, value, f32::from(range)).wrapping_add(turn);
        let saturation = (f64::from(f32::from(range) / f32::from(value)) * 255.0) as u8;
        if saturation == 0 {
            rgb.fill(value);
            continue;
        }
        let saturation = f64::from(f32::from(saturation) / 255.0);
        let (sector, place) = sectors[usize::from(hue)];
        let level = |share: f64| (f64::from(value) * (1.0 - share) + 0.5) as u8;
        let levels = [value, level(saturation), level(saturation * place), level(saturation * (1.0 - place))];
        // A table instead of branches, which noisy images make unpredictable.
        let turned = SECTORS[sector].map(|which| levels[which & 3]);
        rgb.copy_from_slice(&turned);
    }
}

/// Which of value (0), lowest (1), falling (2) and rising (3) level red, green and blue have in each sixth of the circle.
const SECTORS: [[usize; 3]; 6] = [[0, 3, 1], [2, 0, 1], [1, 0, 3], [1, 2, 0], [3, 1, 0], [0, 1, 2]];

/// The hue as a share of 255; `value` is the largest of the three and `range` its distance to the smallest.
fn hue_of(red: u8, green: u8, blue: u8, value: u8, range: f32) -> u8 {
    let (sixths, add, subtract) = if red == value {
        (0.0, blue, green)
    } else if green == value {
        (2.0, red, blue)
    } else {
        (4.0, green, red)
    };
    let below = |channel: u8| f64::from(f32::from(value - channel) / range);
    let sixths = (sixths + below(add) - below(subtract)) as f32;
    let turns = f64::from(sixths) / 6.0 + 1.0;
    let share = (if turns >= 1.0 { turns - 1.0 } else { turns }) as f32;
    (f64::from(share) * 255.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_channel_and_three_equal_ones_come_out_alike() {
        let jittered = Jitter {
            order: [Adjustment::Hue, Adjustment::Contrast, Adjustment::Saturation, Adjustment::Brightness],
            brightness: 1.3,
            contrast: 0.7,
            saturation: 1.4,
            hue: 0.07,
        };
        let mut one: Vec<u8> = (0..=255).collect();
        let mut three: Vec<u8> = one.iter().flat_map(|&v| [v, v, v]).collect();
        jitter(&mut one, 1, &jittered);
        jitter(&mut three, 3, &jittered);
        assert!(three.chunks(3).zip(&one).all(|(rgb, &v)| rgb == [v, v, v]));
        to_grey(&mut three);
        assert_eq!(three, one);
    }

    #[test]
    fn factors_of_one_change_nothing() {
        let mut image: Vec<u8> = (0..=254).collect();
        blend_with_level(&mut image, 77, 1.0);
        saturate(&mut image, 1.0);
        assert_eq!(image, (0..=254).collect::<Vec<u8>>());
    }
}
