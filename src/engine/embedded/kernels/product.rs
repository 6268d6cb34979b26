//! Convolutions and linear layers as products of pixels and weights, without a matrix of the pixels being made.
//!
//! ```text
//! out[pixel, o] = act(bias[o] + other[pixel, o] + Σ over taps t, Σ over k < run: in[place(pixel, t) + k] · weight[t, k, o])
//! ```
//!
//! A tap is a place of the kernel; `run` numbers follow each other there: a pixel's channels, or, of packed images, a whole row of the
//! kernel. Sums of some pixels times some vectors of outputs, a tile, stay in registers from the first product to the last. A sum is added
//! up in the same order wherever its pixel lies in a tile, so rows do not depend on how work is divided.

use super::Lanes;
use crate::engine::embedded::program::Activation;

/// Where a convolution reads.
#[derive(Debug, Clone, Copy)]
pub struct Taps<'a> {
    /// Rows and columns that each tap lies behind the first.
    pub offsets: &'a [[usize; 2]],
    /// Pixels of the kernel's first place, of output 0, before the image's first: above, on the left.
    pub before: [usize; 2],
    /// Step of the kernel.
    pub stride: usize,
    /// Rows and columns of the input.
    pub size: [usize; 2],
    /// Columns of the output.
    pub columns: usize,
    /// Whether a tap may lie outside of the input, where there are zeros.
    pub outside: bool,
}

/// A layer and what it is run on. Pitches are numbers from one pixel, row or image to the next.
pub struct ProductCall<'a> {
    /// First pixel of the first image.
    pub input: *const f32,
    /// Of images and pixels of the input.
    pub input_pitch: [usize; 2],
    /// None: output pixel p reads input pixel p.
    pub taps: Option<Taps<'a>>,
    /// Numbers that follow each other at a tap.
    pub run: usize,
    /// `run` zeros.
    pub zeros: *const f32,
    /// First pixel of the first image.
    pub output: *mut f32,
    /// Of images and pixels of the output.
    pub output_pitch: [usize; 2],
    /// What is added, or null.
    pub other: *const f32,
    /// Of images and pixels of it.
    pub other_pitch: [usize; 2],
    /// Bias of all vectors, or null.
    pub bias: *const f32,
    /// Bounds of the results.
    pub bounds: [f32; 2],
    /// What is applied to the results after they are written, where it is more than the bounds.
    pub activation: Option<Activation>,
    /// The kernel that applies it.
    pub activate: unsafe fn(Activation, *const f32, *mut f32, usize),
}

// SAFETY: the pointers are to memory that outlives the call; who writes what is the matter of those who run kernels.
unsafe impl Sync for ProductCall<'_> {}

/// Some vectors of outputs, and the weights that they need.
#[derive(Debug, Clone, Copy)]
pub struct Panel {
    /// Its first vector.
    pub first: usize,
    /// How many.
    pub vectors: usize,
    /// (taps · run, vectors · lanes).
    pub weights: *const f32,
    /// From one row of them to the next.
    pub pitch: usize,
}

/// The outputs `from` to `to` of an image, of a panel of `VECTORS` vectors.
#[inline(always)]
pub unsafe fn rows<L: Lanes, const VECTORS: usize>(
    call: &ProductCall<'_>,
    panel: Panel,
    image: usize,
    from: usize,
    to: usize,
) {
    // Sums that fit into the registers beside a row of weights and a number of the input; of few vectors, as many as hide the time that
    // a sum takes.
    // SAFETY: by this function's contract, which is `tiles`'.
    unsafe {
        match (L::MANY, VECTORS) {
            (true, 1 | 2) => tiles::<L, 12, VECTORS>(call, panel, image, from, to),
            (true, 3) => tiles::<L, 8, VECTORS>(call, panel, image, from, to),
            (true, _) => tiles::<L, 6, VECTORS>(call, panel, image, from, to),
            (false, 1) => tiles::<L, 8, VECTORS>(call, panel, image, from, to),
            (false, 2) => tiles::<L, 6, VECTORS>(call, panel, image, from, to),
            (false, _) => tiles::<L, 4, VECTORS>(call, panel, image, from, to),
        }
    }
}

#[inline(always)]
unsafe fn tiles<L: Lanes, const PIXELS: usize, const VECTORS: usize>(
    call: &ProductCall<'_>,
    panel: Panel,
    image: usize,
    from: usize,
    to: usize,
) {
    let mut pixel = from;
    while pixel < to {
        let left = to - pixel;
        // SAFETY: by this function's contract; `count` pixels are there.
        unsafe {
            match left {
                1 => tile::<L, 1, VECTORS>(call, panel, image, pixel, 1),
                2..=3 if PIXELS > 3 => tile::<L, 3, VECTORS>(call, panel, image, pixel, left),
                _ => tile::<L, PIXELS, VECTORS>(call, panel, image, pixel, left.min(PIXELS)),
            }
        }
        pixel += left.min(match left {
            1 => 1,
            2..=3 if PIXELS > 3 => 3,
            _ => PIXELS,
        });
    }
}

/// The outputs of `count` pixels from `pixel` on, at most `PIXELS`; what is computed beyond them is dropped.
#[inline(always)]
unsafe fn tile<L: Lanes, const PIXELS: usize, const VECTORS: usize>(
    call: &ProductCall<'_>,
    panel: Panel,
    image: usize,
    pixel: usize,
    count: usize,
) {
    // SAFETY: taps that are inside of the image, and zeros in place of others; outputs of pixels that there are.
    unsafe {
        let input = call.input.add(image * call.input_pitch[0]);
        let mut sums = [[L::splat(0.0); VECTORS]; PIXELS];
        if !call.bias.is_null() {
            for vector in 0..VECTORS {
                let bias = L::load(call.bias.add((panel.first + vector) * L::WIDTH));
                for sum in &mut sums {
                    sum[vector] = bias;
                }
            }
        }
        let mut weights = panel.weights;
        match &call.taps {
            None => {
                let mut places = [input; PIXELS];
                for (number, place) in places.iter_mut().enumerate() {
                    *place = input.add((pixel + number.min(count - 1)) * call.input_pitch[1]);
                }
                add::<L, PIXELS, VECTORS>(&mut sums, &places, call.run, &mut weights, panel.pitch);
            }
            Some(taps) => {
                // Rows and columns may lie before the image; wrapped around they are larger than any inside.
                let mut corners = [[0usize; 2]; PIXELS];
                let (mut row, mut column) = (pixel / taps.columns, pixel % taps.columns);
                for (number, corner) in corners.iter_mut().enumerate() {
                    *corner = [
                        (row * taps.stride).wrapping_sub(taps.before[0]),
                        (column * taps.stride).wrapping_sub(taps.before[1]),
                    ];
                    if number + 1 < count {
                        column += 1;
                        if column == taps.columns {
                            (row, column) = (row + 1, 0);
                        }
                    }
                }
                for &[down, across] in taps.offsets {
                    let mut places = [call.zeros; PIXELS];
                    for (place, corner) in places.iter_mut().zip(&corners) {
                        let (y, x) = (corner[0].wrapping_add(down), corner[1].wrapping_add(across));
                        if !taps.outside || (y < taps.size[0] && x < taps.size[1]) {
                            *place = input.add((y * taps.size[1] + x) * call.input_pitch[1]);
                        }
                    }
                    add::<L, PIXELS, VECTORS>(&mut sums, &places, call.run, &mut weights, panel.pitch);
                }
            }
        }
        let [low, high] = call.bounds.map(|bound| L::splat(bound));
        let first = panel.first * L::WIDTH;
        let output = call.output.add(image * call.output_pitch[0] + pixel * call.output_pitch[1] + first);
        let other = call.other.wrapping_add(image * call.other_pitch[0] + pixel * call.other_pitch[1] + first);
        for (number, sums) in sums.iter().enumerate() {
            if number < count {
                let to = output.add(number * call.output_pitch[1]);
                for (vector, &sum) in sums.iter().enumerate() {
                    let mut value = sum;
                    if !call.other.is_null() {
                        value = value.add(L::load(other.add(number * call.other_pitch[1] + vector * L::WIDTH)));
                    }
                    value.at_least(low).at_most(high).store(to.add(vector * L::WIDTH));
                }
                if let Some(activation) = call.activation {
                    (call.activate)(activation, to, to, VECTORS * L::WIDTH);
                }
            }
        }
    }
}

/// Adds `run` products to each sum.
#[inline(always)]
unsafe fn add<L: Lanes, const PIXELS: usize, const VECTORS: usize>(
    sums: &mut [[L; VECTORS]; PIXELS],
    places: &[*const f32; PIXELS],
    run: usize,
    weights: &mut *const f32,
    pitch: usize,
) {
    let mut held = *sums;
    let mut row_of = *weights;
    for k in 0..run {
        // SAFETY: `run` numbers at each place, `run` rows of weights.
        unsafe {
            let mut row = [L::splat(0.0); VECTORS];
            for (vector, weights) in row.iter_mut().enumerate() {
                *weights = L::load(row_of.add(vector * L::WIDTH));
            }
            for (sums, place) in held.iter_mut().zip(places) {
                let value = L::splat(*place.add(k));
                for (sum, &weights) in sums.iter_mut().zip(&row) {
                    *sum = value.mul_add(weights, *sum);
                }
            }
            row_of = row_of.add(pitch);
        }
    }
    *sums = held;
    *weights = row_of;
}
