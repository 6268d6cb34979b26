//! Convolutions of every channel by itself: a vector of channels at a time, some pixels side by side.

use super::Lanes;
use crate::engine::embedded::program::Activation;

/// A layer and what it is run on. Pixels lie `pitch` numbers apart in input and output, images as `image_pitch` says.
pub struct DepthwiseCall<'a> {
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
    /// Rows and columns of the kernel.
    pub kernel: [usize; 2],
    /// Step of the kernel.
    pub stride: usize,
    /// Zeros above and on the left.
    pub before: [usize; 2],
    /// (taps, pitch).
    pub weights: &'a [f32],
    /// (pitch).
    pub bias: &'a [f32],
    /// Bounds of the results.
    pub bounds: [f32; 2],
    /// What is applied to the results after they are written, where it is more than the bounds.
    pub activation: Option<Activation>,
    /// The kernel that applies it.
    pub activate: unsafe fn(Activation, *const f32, *mut f32, usize),
}

// SAFETY: the pointers are to memory that outlives the call; who writes what is the matter of those who run kernels.
unsafe impl Sync for DepthwiseCall<'_> {}

/// A row of an image's outputs.
#[inline(always)]
pub unsafe fn row<L: Lanes>(call: &DepthwiseCall<'_>, image: usize, row: usize) {
    let [height, width] = call.size;
    let [left, stride, columns] = [call.before[1], call.stride, call.columns];
    let [rows_of_kernel, columns_of_kernel] = call.kernel;
    let corner = row * stride;
    // The part of the kernel that lies inside of the image.
    let top = call.before[0].saturating_sub(corner);
    let bottom = rows_of_kernel.min((height + call.before[0]).saturating_sub(corner));
    // Pixels whose kernel lies inside from left to right.
    let begin = left.div_ceil(stride).min(columns);
    let end = match (width + left).checked_sub(columns_of_kernel) {
        Some(last) => (last / stride + 1).clamp(begin, columns),
        None => begin,
    };
    // SAFETY: pixels and taps inside of the image, by the bounds above.
    unsafe {
        let first_row = (corner + top).wrapping_sub(call.before[0]);
        let input = call.input.add(image * call.image_pitch[0] + first_row * width * call.pitch);
        let output = call.output.add(image * call.image_pitch[1] + row * columns * call.pitch);
        let place = Place { input, output, top, bottom };
        for column in (0..begin).chain(end..columns) {
            let from = left.saturating_sub(column * stride);
            let to = columns_of_kernel.min((width + left).saturating_sub(column * stride));
            pixel::<L>(call, &place, column, from, to);
        }
        match (columns_of_kernel, stride) {
            (3, 1) => inside::<L, 3, 1>(call, &place, begin, end),
            (3, 2) => inside::<L, 3, 2>(call, &place, begin, end),
            (5, 1) => inside::<L, 5, 1>(call, &place, begin, end),
            (5, 2) => inside::<L, 5, 2>(call, &place, begin, end),
            _ => (begin..end).for_each(|column| pixel::<L>(call, &place, column, 0, columns_of_kernel)),
        }
        if let Some(activation) = call.activation {
            (call.activate)(activation, output, output, columns * call.pitch);
        }
    }
}

/// A row of inputs, the first that the kernel reads, a row of outputs, and the rows of the kernel that count.
struct Place {
    input: *const f32,
    output: *mut f32,
    top: usize,
    bottom: usize,
}

/// Pixels side by side.
const PIXELS: usize = 4;

/// The columns `begin` to `end`, at each of which the kernel lies inside. It has `KERNEL` columns and moves by `STRIDE`.
#[inline(always)]
unsafe fn inside<L: Lanes, const KERNEL: usize, const STRIDE: usize>(
    call: &DepthwiseCall<'_>,
    place: &Place,
    begin: usize,
    end: usize,
) {
    let pitch = call.pitch;
    let line = call.size[1] * pitch;
    let whole = begin + (end - begin) / PIXELS * PIXELS;
    // SAFETY: the kernel lies inside at each of these columns.
    unsafe {
        let [low, high] = call.bounds.map(|bound| L::splat(bound));
        for column in (begin..whole).step_by(PIXELS) {
            let corner = place.input.add((column * STRIDE - call.before[1]) * pitch);
            let output = place.output.add(column * pitch);
            for channel in (0..pitch).step_by(L::WIDTH) {
                let mut sums = [L::load(call.bias.as_ptr().add(channel)); PIXELS];
                let mut weights = call.weights.as_ptr().add(place.top * KERNEL * pitch + channel);
                let mut input = corner.add(channel);
                for _row in place.top..place.bottom {
                    let mut taps = [L::splat(0.0); KERNEL];
                    for tap in &mut taps {
                        *tap = L::load(weights);
                        weights = weights.wrapping_add(pitch);
                    }
                    // Each input is read once and goes to all the pixels that see it.
                    let mut next = input;
                    for across in 0..(PIXELS - 1) * STRIDE + KERNEL {
                        let value = L::load(next);
                        next = next.wrapping_add(pitch);
                        for (number, sum) in sums.iter_mut().enumerate() {
                            let tap = across.wrapping_sub(number * STRIDE);
                            if tap < KERNEL {
                                *sum = value.mul_add(taps[tap], *sum);
                            }
                        }
                    }
                    input = input.wrapping_add(line);
                }
                for (number, sum) in sums.iter().enumerate() {
                    sum.at_least(low).at_most(high).store(output.add(number * pitch + channel));
                }
            }
        }
        (whole..end).for_each(|column| pixel::<L>(call, place, column, 0, KERNEL));
    }
}

/// The output at `column`, of the columns `from` to `to` of the kernel.
#[inline(always)]
unsafe fn pixel<L: Lanes>(call: &DepthwiseCall<'_>, place: &Place, column: usize, from: usize, to: usize) {
    let pitch = call.pitch;
    let line = call.size[1] * pitch;
    // SAFETY: the caller says which part of the kernel lies inside of the image.
    unsafe {
        let [low, high] = call.bounds.map(|bound| L::splat(bound));
        // The first column that is read, so that the pointer stays inside.
        let left = (column * call.stride + from).wrapping_sub(call.before[1]);
        let corner = place.input.wrapping_add(left.wrapping_mul(pitch));
        for channel in (0..pitch).step_by(L::WIDTH) {
            let mut sum = L::load(call.bias.as_ptr().add(channel));
            for down in place.top..place.bottom {
                let input = corner.wrapping_add((down - place.top) * line + channel);
                let weights = call.weights.as_ptr().add((down * call.kernel[1] + from) * pitch + channel);
                for across in 0..to - from {
                    let weight = L::load(weights.add(across * pitch));
                    sum = L::load(input.wrapping_add(across * pitch)).mul_add(weight, sum);
                }
            }
            sum.at_least(low).at_most(high).store(place.output.add(column * pitch + channel));
        }
    }
}
