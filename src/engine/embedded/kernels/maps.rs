//! Maxima, means and factors of maps.

use super::Lanes;

/// A map and its 3×3 maxima, stride 2, padding 1. Pixels lie `pitch` numbers apart, images as `image_pitch` says.
pub struct PoolCall {
    /// First pixel of the first image.
    pub input: *const f32,
    /// First pixel of the first image.
    pub output: *mut f32,
    /// Of inputs and outputs.
    pub image_pitch: [usize; 2],
    /// Numbers of a pixel, whole vectors.
    pub pitch: usize,
    /// Rows and columns of the input.
    pub size: [usize; 2],
    /// Columns of the output.
    pub columns: usize,
}

// SAFETY: the pointers are to memory that outlives the call; who writes what is the matter of those who run kernels.
unsafe impl Sync for PoolCall {}

/// A row of an image's maxima.
#[inline(always)]
pub unsafe fn largest<L: Lanes>(call: &PoolCall, image: usize, row: usize) {
    let [height, width] = call.size;
    // SAFETY: rows and columns inside of the image.
    unsafe {
        let input = call.input.add(image * call.image_pitch[0]);
        let output = call.output.add(image * call.image_pitch[1] + row * call.columns * call.pitch);
        for column in 0..call.columns {
            for channel in (0..call.pitch).step_by(L::WIDTH) {
                let mut most = L::splat(f32::NEG_INFINITY);
                for y in (2 * row).saturating_sub(1)..(2 * row + 2).min(height) {
                    for x in (2 * column).saturating_sub(1)..(2 * column + 2).min(width) {
                        most = most.larger(L::load(input.add((y * width + x) * call.pitch + channel)));
                    }
                }
                most.store(output.add(column * call.pitch + channel));
            }
        }
    }
}

/// The mean over the rows and columns of a map, of `count` vectors from vector `first` on. `sides` are rows, columns and pitch. Rows are added up
/// first, so that the sums of a large map stay exact.
#[inline(always)]
pub unsafe fn mean<L: Lanes>(from: *const f32, to: *mut f32, sides: [usize; 3], first: usize, count: usize) {
    let [rows, columns, pitch] = sides;
    // SAFETY: vectors inside of the map's pitch.
    unsafe {
        let share = L::splat(1.0 / (rows * columns) as f32);
        let mut vector = first;
        while vector < first + count {
            let together = (first + count - vector).min(4);
            let mut all = [L::splat(0.0); 4];
            for row in 0..rows {
                let mut sums = [L::splat(0.0); 4];
                let line = from.add(row * columns * pitch + vector * L::WIDTH);
                for column in 0..columns {
                    let pixel = line.add(column * pitch);
                    if together == 4 {
                        for (number, sum) in sums.iter_mut().enumerate() {
                            *sum = sum.add(L::load(pixel.add(number * L::WIDTH)));
                        }
                    } else {
                        for (number, sum) in sums.iter_mut().enumerate().take(together) {
                            *sum = sum.add(L::load(pixel.add(number * L::WIDTH)));
                        }
                    }
                }
                for (all, sum) in all.iter_mut().zip(sums) {
                    *all = all.add(sum);
                }
            }
            for (number, all) in all.iter().enumerate().take(together) {
                all.mul(share).store(to.add((vector + number) * L::WIDTH));
            }
            vector += together;
        }
    }
}

/// `pixels` pixels, each times the factors; `from` and `to` may be the same.
#[inline(always)]
pub unsafe fn scale<L: Lanes>(from: *const f32, to: *mut f32, factors: *const f32, pixels: usize, pitch: usize) {
    // SAFETY: whole pixels of whole vectors.
    unsafe {
        for pixel in 0..pixels {
            for channel in (0..pitch).step_by(L::WIDTH) {
                let place = pixel * pitch + channel;
                L::load(from.add(place)).mul(L::load(factors.add(channel))).store(to.add(place));
            }
        }
    }
}
