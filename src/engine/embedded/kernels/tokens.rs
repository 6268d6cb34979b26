//! Layer norm and softmax of rows.

use super::Lanes;
use super::activation::exp;

/// The sum of a vector, always in the same order.
#[inline(always)]
unsafe fn sum<L: Lanes>(vector: L) -> f32 {
    let mut numbers = [0f32; 16];
    // SAFETY: no vector is longer.
    unsafe { vector.store(numbers.as_mut_ptr()) };
    numbers[..L::WIDTH].iter().sum()
}

/// (x − mean)/√(var + eps)·weight + bias of rows. `sides`: rows, numbers of a row, numbers from one to the next. Behind a row's numbers, up to
/// whole vectors, stand zeros; so do they in the weights, and so they stay.
#[inline(always)]
pub unsafe fn norm<L: Lanes>(from: *const f32, to: *mut f32, weights: [*const f32; 2], eps: f32, sides: [usize; 3]) {
    let [rows, count, pitch] = sides;
    // SAFETY: rows of `pitch` numbers, weights as many.
    unsafe {
        for row in 0..rows {
            let (from, to) = (from.add(row * pitch), to.add(row * pitch));
            let mut total = L::splat(0.0);
            for place in (0..pitch).step_by(L::WIDTH) {
                total = total.add(L::load(from.add(place)));
            }
            let mean = sum(total) / count as f32;
            let mut squares = L::splat(0.0);
            let whole = count - count % L::WIDTH;
            for place in (0..whole).step_by(L::WIDTH) {
                let apart = L::load(from.add(place)).sub(L::splat(mean));
                squares = apart.mul_add(apart, squares);
            }
            let mut variance = sum(squares);
            for place in whole..count {
                let apart = *from.add(place) - mean;
                variance += apart * apart;
            }
            let factor = L::splat(1.0 / (variance / count as f32 + eps).sqrt());
            for place in (0..pitch).step_by(L::WIDTH) {
                let apart = L::load(from.add(place)).sub(L::splat(mean)).mul(factor);
                apart.mul_add(L::load(weights[0].add(place)), L::load(weights[1].add(place))).store(to.add(place));
            }
        }
    }
}

/// The softmax of scale·x over a row of `count` numbers; zeros behind them up to `pitch`, whole vectors.
#[inline(always)]
pub unsafe fn softmax<L: Lanes>(row: *mut f32, count: usize, pitch: usize, scale: f32) {
    // SAFETY: a row of `pitch` numbers.
    unsafe {
        let whole = count - count % L::WIDTH;
        let mut most = L::splat(f32::NEG_INFINITY);
        for place in (0..whole).step_by(L::WIDTH) {
            most = most.larger(L::load(row.add(place)));
        }
        let mut numbers = [f32::NEG_INFINITY; 16];
        most.store(numbers.as_mut_ptr());
        let behind = (whole..count).map(|place| *row.add(place));
        let larger = |most: f32, next: f32| if most.is_nan() || most > next { most } else { next };
        let most = numbers[..L::WIDTH].iter().copied().chain(behind).fold(f32::NEG_INFINITY, larger);
        let mut total = L::splat(0.0);
        for place in (0..pitch).step_by(L::WIDTH) {
            let apart = L::load(row.add(place)).sub(L::splat(most)).mul(L::splat(scale));
            exp(apart).store(row.add(place));
            if place >= whole {
                for behind in count.max(place)..(place + L::WIDTH) {
                    *row.add(behind) = 0.0;
                }
            }
            total = total.add(L::load(row.add(place)));
        }
        let share = L::splat(1.0 / sum(total));
        for place in (0..pitch).step_by(L::WIDTH) {
            L::load(row.add(place)).mul(share).store(row.add(place));
        }
    }
}
