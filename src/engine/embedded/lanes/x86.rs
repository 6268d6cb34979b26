//! AVX2 with FMA, and AVX-512.

use std::arch::x86_64::*;

use super::Lanes;

/// Eight numbers: AVX2 and FMA.
#[derive(Clone, Copy)]
pub struct Avx2(__m256);

/// Sixteen numbers: AVX-512 F.
#[derive(Clone, Copy)]
pub struct Avx512(__m512);

/// [`Lanes`] by the intrinsics of one width.
// SAFETY, of all functions: the caller vouches for the CPU and for pointers to `WIDTH` numbers, as the trait demands.
macro_rules! lanes {
    (
        $lanes:ident, $width:literal, $many:literal, $set:ident, $load:ident, $store:ident, $add:ident, $sub:ident, $mul:ident,
        $div:ident, $fma:ident, $max:ident, $min:ident,
        larger($a:ident, $b:ident) = $larger:expr,
        round($r:ident) = $round:expr,
        power_of_two($p:ident) = $power:expr
    ) => {
        impl Lanes for $lanes {
            const WIDTH: usize = $width;
            const MANY: bool = $many;

            #[inline(always)]
            unsafe fn splat(value: f32) -> Self {
                Self(unsafe { $set(value) })
            }
            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                Self(unsafe { $load(from) })
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                unsafe { $store(to, self.0) }
            }
            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                Self(unsafe { $add(self.0, other.0) })
            }
            #[inline(always)]
            unsafe fn sub(self, other: Self) -> Self {
                Self(unsafe { $sub(self.0, other.0) })
            }
            #[inline(always)]
            unsafe fn mul(self, other: Self) -> Self {
                Self(unsafe { $mul(self.0, other.0) })
            }
            #[inline(always)]
            unsafe fn div(self, other: Self) -> Self {
                Self(unsafe { $div(self.0, other.0) })
            }
            #[inline(always)]
            unsafe fn mul_add(self, factor: Self, term: Self) -> Self {
                Self(unsafe { $fma(self.0, factor.0, term.0) })
            }
            // The instructions give their second operand where one of the two is NaN.
            #[inline(always)]
            unsafe fn at_least(self, low: Self) -> Self {
                Self(unsafe { $max(low.0, self.0) })
            }
            #[inline(always)]
            unsafe fn at_most(self, high: Self) -> Self {
                Self(unsafe { $min(high.0, self.0) })
            }
            #[inline(always)]
            unsafe fn larger(self, other: Self) -> Self {
                let ($a, $b) = (self.0, other.0);
                Self(unsafe { $larger })
            }
            #[inline(always)]
            unsafe fn round(self) -> Self {
                let $r = self.0;
                Self(unsafe { $round })
            }
            #[inline(always)]
            unsafe fn power_of_two(self) -> Self {
                let $p = self.0;
                Self(unsafe { $power })
            }
        }
    };
}

/// To the nearest whole number, without an exception's flag.
const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;

lanes! {
    Avx2, 8, false, _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_add_ps, _mm256_sub_ps, _mm256_mul_ps,
    _mm256_div_ps, _mm256_fmadd_ps, _mm256_max_ps, _mm256_min_ps,
    larger(a, b) = _mm256_blendv_ps(_mm256_max_ps(a, b), a, _mm256_cmp_ps::<_CMP_UNORD_Q>(a, a)),
    round(a) = _mm256_round_ps::<NEAREST>(a),
    power_of_two(a) = _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_add_epi32(
        _mm256_cvtps_epi32(a),
        _mm256_set1_epi32(127)
    )))
}

lanes! {
    Avx512, 16, true, _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_add_ps, _mm512_sub_ps, _mm512_mul_ps,
    _mm512_div_ps, _mm512_fmadd_ps, _mm512_max_ps, _mm512_min_ps,
    larger(a, b) = _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_UNORD_Q>(a, a), _mm512_max_ps(a, b), a),
    round(a) = _mm512_roundscale_ps::<NEAREST>(a),
    power_of_two(a) = _mm512_castsi512_ps(_mm512_slli_epi32::<23>(_mm512_add_epi32(
        _mm512_cvtps_epi32(a),
        _mm512_set1_epi32(127)
    )))
}
