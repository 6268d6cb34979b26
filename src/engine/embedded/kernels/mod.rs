//! The kernels: each written once over [`Lanes`], compiled once for each set of instructions.

mod activation;
mod depthwise;
mod maps;
mod product;
mod tokens;

pub use activation::{bounds, is_bound};
pub use depthwise::DepthwiseCall;
pub use maps::PoolCall;
pub use product::{Panel, ProductCall, Taps};

#[cfg(target_arch = "aarch64")]
use super::lanes::Neon;
#[cfg(target_arch = "x86_64")]
use super::lanes::{Avx2, Avx512};
use super::lanes::{Lanes, Portable};
use super::program::Activation;

/// Outputs `from` to `to` of an image, of a panel.
pub type ProductKernel = unsafe fn(&ProductCall<'_>, Panel, usize, usize, usize);

/// The kernels of one set of instructions.
///
/// All of them may be called only on a CPU that has these. Their pointers are to what their documentation says, and what they write nobody
/// else uses meanwhile.
pub struct Kernels {
    /// Numbers in a vector.
    pub lanes: usize,
    /// Whether there are 32 registers.
    pub many: bool,
    /// Of panels of 1, 2, 3 and 4 vectors: [`product::rows`].
    pub product: [ProductKernel; 4],
    /// [`depthwise::row`].
    pub depthwise: unsafe fn(&DepthwiseCall<'_>, usize, usize),
    /// [`activation::all`].
    pub activate: unsafe fn(Activation, *const f32, *mut f32, usize),
    /// [`maps::largest`].
    pub largest: unsafe fn(&PoolCall, usize, usize),
    /// [`maps::mean`].
    pub mean: unsafe fn(*const f32, *mut f32, [usize; 3], usize, usize),
    /// [`maps::scale`].
    pub scale: unsafe fn(*const f32, *mut f32, *const f32, usize, usize),
    /// [`tokens::norm`].
    pub norm: unsafe fn(*const f32, *mut f32, [*const f32; 2], f32, [usize; 3]),
    /// [`tokens::softmax`].
    pub softmax: unsafe fn(*mut f32, usize, usize, f32),
}

/// A table of kernels. SAFETY, of all functions: what each is called with is vouched for by its caller, by the contract of [`Kernels`].
macro_rules! kernels {
    ($(#[$features:meta])* $table:ident, $module:ident, $lanes:ty) => {
        mod $module {
            use super::*;

            $(#[$features])*
            unsafe fn product<const VECTORS: usize>(call: &ProductCall<'_>, panel: Panel, image: usize, from: usize, to: usize) {
                unsafe { product::rows::<$lanes, VECTORS>(call, panel, image, from, to) }
            }
            $(#[$features])*
            unsafe fn depthwise(call: &DepthwiseCall<'_>, image: usize, row: usize) {
                unsafe { depthwise::row::<$lanes>(call, image, row) }
            }
            $(#[$features])*
            unsafe fn activate(activation: Activation, from: *const f32, to: *mut f32, count: usize) {
                unsafe { activation::all::<$lanes>(activation, from, to, count) }
            }
            $(#[$features])*
            unsafe fn largest(call: &PoolCall, image: usize, row: usize) {
                unsafe { maps::largest::<$lanes>(call, image, row) }
            }
            $(#[$features])*
            unsafe fn mean(from: *const f32, to: *mut f32, sides: [usize; 3], first: usize, count: usize) {
                unsafe { maps::mean::<$lanes>(from, to, sides, first, count) }
            }
            $(#[$features])*
            unsafe fn scale(from: *const f32, to: *mut f32, factors: *const f32, pixels: usize, pitch: usize) {
                unsafe { maps::scale::<$lanes>(from, to, factors, pixels, pitch) }
            }
            $(#[$features])*
            unsafe fn norm(from: *const f32, to: *mut f32, weights: [*const f32; 2], eps: f32, sides: [usize; 3]) {
                unsafe { tokens::norm::<$lanes>(from, to, weights, eps, sides) }
            }
            $(#[$features])*
            unsafe fn softmax(row: *mut f32, count: usize, pitch: usize, scale: f32) {
                unsafe { tokens::softmax::<$lanes>(row, count, pitch, scale) }
            }

            pub static KERNELS: Kernels = Kernels {
                lanes: <$lanes as Lanes>::WIDTH,
                many: <$lanes as Lanes>::MANY,
                product: [product::<1>, product::<2>, product::<3>, product::<4>],
                depthwise,
                activate,
                largest,
                mean,
                scale,
                norm,
                softmax,
            };
        }
        pub use $module::KERNELS as $table;
    };
}

kernels!(PORTABLE, portable, Portable);
#[cfg(target_arch = "x86_64")]
kernels!(
    #[target_feature(enable = "avx2,fma")]
    AVX2,
    avx2,
    Avx2
);
#[cfg(target_arch = "x86_64")]
kernels!(
    #[target_feature(enable = "avx512f")]
    AVX512,
    avx512,
    Avx512
);
#[cfg(target_arch = "aarch64")]
kernels!(
    #[target_feature(enable = "neon")]
    NEON,
    neon,
    Neon
);
