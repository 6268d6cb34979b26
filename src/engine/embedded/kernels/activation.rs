//! Activations. e^x by Cephes' polynomial, erf by formula 7.1.26 of Abramowitz and Stegun, whose error is below 1.5e-7.

use super::Lanes;
use crate::engine::embedded::program::Activation;

/// Bounds of the activations that are nothing else, which kernels apply before they write; none where there is more to do.
pub fn bounds(activation: Activation) -> [f32; 2] {
    match activation {
        Activation::Relu => [0.0, f32::INFINITY],
        Activation::Relu6 => [0.0, 6.0],
        _ => [f32::NEG_INFINITY, f32::INFINITY],
    }
}

/// Whether [`bounds`] is all of it.
pub fn is_bound(activation: Activation) -> bool {
    matches!(activation, Activation::Identity | Activation::Relu | Activation::Relu6)
}

/// Writes act(x) for `count` numbers, whole vectors; `from` and `to` may be the same.
#[inline(always)]
pub unsafe fn all<L: Lanes>(activation: Activation, from: *const f32, to: *mut f32, count: usize) {
    // SAFETY: `count` numbers are read and written, by the contract.
    unsafe {
        let [low, high] = bounds(activation).map(|bound| L::splat(bound));
        match activation {
            Activation::Identity | Activation::Relu | Activation::Relu6 => {
                each::<L>(from, to, count, |x| x.at_least(low).at_most(high));
            }
            Activation::Hardswish => each::<L>(from, to, count, |x| x.mul(hard_sigmoid(x))),
            Activation::Hardsigmoid => each::<L>(from, to, count, |x| hard_sigmoid(x)),
            Activation::Silu => each::<L>(from, to, count, |x| x.mul(sigmoid(x))),
            Activation::Sigmoid => each::<L>(from, to, count, |x| sigmoid(x)),
            Activation::Gelu => each::<L>(from, to, count, |x| gelu(x)),
        }
    }
}

#[inline(always)]
unsafe fn each<L: Lanes>(from: *const f32, to: *mut f32, count: usize, f: impl Fn(L) -> L) {
    let mut place = 0;
    while place < count {
        // SAFETY: `count` is a multiple of the width.
        unsafe { f(L::load(from.add(place))).store(to.add(place)) };
        place += L::WIDTH;
    }
}

#[inline(always)]
unsafe fn hard_sigmoid<L: Lanes>(x: L) -> L {
    // SAFETY: no pointers.
    unsafe {
        let shifted = x.add(L::splat(3.0)).at_least(L::splat(0.0)).at_most(L::splat(6.0));
        shifted.mul(L::splat(1.0 / 6.0))
    }
}

#[inline(always)]
unsafe fn sigmoid<L: Lanes>(x: L) -> L {
    // SAFETY: no pointers.
    unsafe {
        let one = L::splat(1.0);
        one.div(one.add(exp(L::splat(0.0).sub(x))))
    }
}

/// ½·(x + |x|·erf(|x|/√2))
#[inline(always)]
unsafe fn gelu<L: Lanes>(x: L) -> L {
    // SAFETY: no pointers.
    unsafe {
        let size = x.larger(L::splat(0.0).sub(x));
        let z = size.mul(L::splat(std::f32::consts::FRAC_1_SQRT_2));
        let one = L::splat(1.0);
        let t = one.div(z.mul_add(L::splat(0.327_591_1), one));
        let mut sum = L::splat(1.061_405_4);
        for coefficient in [-1.453_152_1, 1.421_413_8, -0.284_496_72, 0.254_829_6] {
            sum = sum.mul_add(t, L::splat(coefficient));
        }
        let erf = one.sub(sum.mul(t).mul(exp(L::splat(0.0).sub(z.mul(z)))));
        size.mul_add(erf, x).mul(L::splat(0.5))
    }
}

/// e^x, to some 1e-7 of it; between 2⁻¹²⁶ and 2¹²⁷.
#[inline(always)]
pub unsafe fn exp<L: Lanes>(x: L) -> L {
    // SAFETY: no pointers.
    unsafe {
        let x = x.at_least(L::splat(-87.3)).at_most(L::splat(88.0));
        let whole = x.mul(L::splat(std::f32::consts::LOG2_E)).round();
        // ln 2 in two parts, the first of few digits, so that whole·ln 2 is exact.
        let rest = whole.mul_add(L::splat(-0.693_359_4), x);
        let rest = whole.mul_add(L::splat(2.121_944_4e-4), rest);
        let mut sum = L::splat(1.987_569_1e-4);
        for coefficient in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_66, 0.5] {
            sum = sum.mul_add(rest, L::splat(coefficient));
        }
        let sum = sum.mul_add(rest.mul(rest), rest).add(L::splat(1.0));
        sum.mul(whole.power_of_two())
    }
}
