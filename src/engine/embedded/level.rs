//! The sets of instructions that there are kernels for, and which of them this CPU has.

use super::kernels::{Kernels, PORTABLE};

/// A set of instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// None beyond those that the library is compiled for.
    Portable,
    /// x86 with AVX2 and FMA: every PC since 2013 to 2017.
    Avx2,
    /// x86 with AVX-512 F.
    Avx512,
    /// 64-bit ARM.
    Neon,
}

impl Level {
    /// Those that this CPU has, the fastest last.
    pub fn available() -> Vec<Level> {
        let all = [Level::Portable, Level::Avx2, Level::Avx512, Level::Neon];
        all.into_iter().filter(|level| level.kernels().is_some()).collect()
    }

    /// The fastest that this CPU has.
    pub fn best() -> Level {
        Level::available().pop().unwrap_or(Level::Portable)
    }

    /// What a person calls it.
    pub fn name(self) -> &'static str {
        match self {
            Level::Portable => "portable",
            Level::Avx2 => "AVX2",
            Level::Avx512 => "AVX-512",
            Level::Neon => "NEON",
        }
    }

    /// Its kernels, where the CPU has the instructions: so who has kernels may call them.
    pub(super) fn kernels(self) -> Option<&'static Kernels> {
        match self {
            Level::Portable => Some(&PORTABLE),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => (std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma"))
                .then_some(&super::kernels::AVX2),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => std::is_x86_feature_detected!("avx512f").then_some(&super::kernels::AVX512),
            #[cfg(target_arch = "aarch64")]
            Level::Neon => std::arch::is_aarch64_feature_detected!("neon").then_some(&super::kernels::NEON),
            #[allow(unreachable_patterns)]
            _ => None,
        }
    }
}
