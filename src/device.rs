//! Where the work runs: "cpu", "cuda:N" or "auto".
//!
//! The library links libtorch's CPU part only. libtorch_cuda is loaded here, at run time, where it can be found; it must
//! come before the first CUDA query of the process, because libtorch keeps its hooks from then on.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use once_cell::sync::OnceCell;
use tch::{Cuda, Device, Kind};

use crate::config::Precision;
use crate::sys::loaded::file_of;
use crate::{Error, ErrorKind, Result, torch};

/// The file name of libtorch's CUDA part.
const CUDA_PART: &str = "libtorch_cuda.so";

static READY: OnceCell<()> = OnceCell::new();

/// Prepares libtorch once for the process: checks its version, loads its CUDA part where there is one, and keeps a reserve
/// of memory for it.
///
/// Errors: `Mismatch` when the libtorch that was loaded is not the one of the headers.
pub fn initialise() -> Result<()> {
    let ready = READY.get_or_try_init(|| {
        let found = libtorch_version()?;
        if found.split('+').next() != Some(torch::LIBTORCH_VERSION) {
            return Err(Error::mismatch(format!(
                "libseed was built for libtorch {}, but {found} is loaded; put libtorch {0} beside libseed or first in \
                     the loader's path",
                torch::LIBTORCH_VERSION
            )));
        }
        torch::keep_reserve()
    });
    ready.copied()
}

/// The version of the libtorch that this process has loaded, such as "2.11.0". Loads libtorch's CUDA part first: libtorch lists its build
/// settings with those of CUDA, and would believe ever after that there is none.
///
/// # Errors
/// `Torch` where libtorch does not say its version.
pub fn libtorch_version() -> Result<String> {
    cuda_part();
    torch::runtime_version()
}

/// What came of the search for libtorch's CUDA part.
enum CudaPart {
    /// The file that was loaded.
    Loaded(PathBuf),
    /// A file that is there and cannot be loaded, and the loader's reason.
    Refused(PathBuf, String),
    /// There is none.
    Absent,
}

impl CudaPart {
    /// Why no CUDA device can be used.
    fn reason(&self) -> String {
        match self {
            CudaPart::Loaded(file) => {
                format!("{} is loaded, but finds no device; nvidia-smi should list the card", file.display())
            }
            CudaPart::Refused(file, reason) => format!("{} cannot be loaded: {reason}", file.display()),
            CudaPart::Absent => {
                "libtorch_cuda.so was not found beside libtorch_cpu.so, by SEED_LIBTORCH or by the loader".to_owned()
            }
        }
    }
}

/// Opens libtorch_cuda.so from `SEED_LIBTORCH`, from beside libtorch_cpu.so, or by the loader's path, once a process. Its absence is no
/// error: "auto" then means the CPU and "cuda" says why it cannot be had.
fn cuda_part() -> &'static CudaPart {
    static PART: OnceCell<CudaPart> = OnceCell::new();
    PART.get_or_init(|| {
        let mut places: Vec<PathBuf> = Vec::new();
        if let Some(folder) = std::env::var_os("SEED_LIBTORCH") {
            let folder = PathBuf::from(folder);
            places.push(folder.join("lib").join(CUDA_PART));
            places.push(folder.join(CUDA_PART));
        }
        places.extend(libtorch_folder().map(|folder| folder.join(CUDA_PART)));
        places.push(PathBuf::from(CUDA_PART));
        let mut refused = None;
        for place in places {
            // A bare name is for the loader to find; a path that is not there needs no try.
            let bare = place.components().count() == 1;
            if !bare && !place.exists() {
                continue;
            }
            let stranger = libtorch_folder().zip(place.parent()).and_then(|(cpu, cuda)| misfit(&cpu, cuda));
            let Err(reason) = stranger.map_or_else(|| load(&place), Err) else {
                log::info!("loaded {}", place.display());
                return CudaPart::Loaded(place);
            };
            // The loader names the file that is missing: this one, or one that it needs.
            if bare && reason.starts_with(&format!("{CUDA_PART}: cannot open")) {
                continue;
            }
            log::warn!("no CUDA: {} cannot be loaded: {reason}", place.display());
            refused.get_or_insert((place, reason));
        }
        refused.map_or(CudaPart::Absent, |(place, reason)| CudaPart::Refused(place, reason))
    })
}

/// Loads a library for the life of the process; the loader's reason where it cannot.
fn load(file: &Path) -> std::result::Result<(), String> {
    let name = CString::new(file.as_os_str().as_encoded_bytes()).map_err(|_| "its path holds a NUL".to_owned())?;
    // SAFETY: dlopen runs libtorch_cuda's initialisers, which register its kernels; that is its purpose. The handle
    // is kept for the life of the process, since kernels cannot be unregistered. Its names are its own: to make them everybody's
    // (RTLD_GLOBAL) would do the same to libtorch_cpu, which it needs, and a program with another libtorch would find ours.
    let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    if !handle.is_null() {
        return Ok(());
    }
    // SAFETY: dlerror returns NULL or text that is valid until this thread's next dl call.
    let reason = unsafe { libc::dlerror() };
    if reason.is_null() {
        return Err("the loader does not say why".to_owned());
    }
    // SAFETY: as above.
    Err(unsafe { std::ffi::CStr::from_ptr(reason) }.to_string_lossy().into_owned())
}

unsafe extern "C" {
    fn aoti_torch_abi_version() -> u64;
}

/// The build that the libtorch with libraries in `folder` says to be, such as "2.11.0+cu128": in the file build-version of the archives
/// of pytorch.org, in version.py of Python's packages.
fn build_of(folder: &Path) -> Option<String> {
    let above = folder.parent()?;
    if let Ok(text) = std::fs::read_to_string(above.join("build-version")) {
        return Some(text.trim().to_owned());
    }
    let text = std::fs::read_to_string(above.join("version.py")).ok()?;
    let version = text.lines().find_map(|line| line.strip_prefix("__version__ = "))?;
    Some(version.trim_matches(['\'', '"', ' ']).to_owned())
}

/// Why libtorch's CUDA part in `cuda` cannot go with its CPU part in `cpu`, where both say what they are: parts of two builds of one
/// version load together, and crash where their classes differ.
fn misfit(cpu: &Path, cuda: &Path) -> Option<String> {
    let (cpu, cuda) = (build_of(cpu)?, build_of(cuda)?);
    if cpu == cuda && !cpu.ends_with("+cpu") {
        return None;
    }
    Some(format!("it is of libtorch {cuda} and libtorch_cpu.so of {cpu}; all parts must come from one build with CUDA"))
}

/// The folder that the loaded libtorch_cpu.so lies in.
fn libtorch_folder() -> Option<PathBuf> {
    // A function of the libtorch that this library is linked with, which need not be among everybody's names.
    file_of(aoti_torch_abi_version as *const libc::c_void)?.parent().map(PathBuf::from)
}

/// The device that `name` means: "cpu", "cuda", "cuda:N", or "auto" (the first CUDA device, else the CPU).
///
/// Errors: `InvalidArgument` for another name, `Device` for a CUDA device that is not there.
pub fn parse(name: &str) -> Result<Device> {
    initialise()?;
    let index = match name {
        "cpu" => return Ok(Device::Cpu),
        "auto" if Cuda::device_count() > 0 => return Ok(Device::Cuda(0)),
        "auto" => return Ok(Device::Cpu),
        "cuda" => Some(0),
        _ => name.strip_prefix("cuda:").and_then(|number| number.parse::<usize>().ok()),
    };
    let Some(index) = index else {
        return Err(Error::invalid(format!("device is \"{name}\", expected \"auto\", \"cpu\" or \"cuda:N\"")));
    };
    let count = Cuda::device_count();
    if count <= 0 {
        return Err(Error::new(
            ErrorKind::Device,
            format!(
                "device \"{name}\" asked for, but no CUDA device can be used: {}; use \"auto\" or \"cpu\"",
                cuda_part().reason()
            ),
        ));
    }
    if index >= usize::try_from(count).unwrap_or(0) {
        return Err(Error::new(
            ErrorKind::Device,
            format!("device \"{name}\" asked for, but only {count} CUDA devices exist, cuda:0 to cuda:{}", count - 1),
        ));
    }
    Ok(Device::Cuda(index))
}

/// The number format of the networks' forward passes on `device`. Loss and master weights are float32 always. "auto" is bfloat16 where
/// the device computes in it: CUDA from compute capability 8.0 on (below, tensor cores know float16 alone, whose gradients underflow
/// without a scale of the loss), CPUs with AVX512-BF16.
pub fn precision(chosen: Precision, device: Device) -> Kind {
    match chosen {
        Precision::Bf16 => Kind::BFloat16,
        Precision::Auto if has_bfloat16(device) => Kind::BFloat16,
        Precision::Fp32 | Precision::Auto => Kind::Float,
    }
}

fn has_bfloat16(device: Device) -> bool {
    match device {
        // An error here is a device that does not work, which the next operation tells.
        Device::Cuda(index) => initialise().and_then(|()| torch::has_bfloat16(index)).unwrap_or(false),
        #[cfg(target_arch = "x86_64")]
        _ => std::arch::is_x86_feature_detected!("avx512bf16"),
        #[cfg(not(target_arch = "x86_64"))]
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        assert_eq!(parse("cpu").unwrap(), Device::Cpu);
        assert_eq!(parse("gpu").unwrap_err().kind(), ErrorKind::InvalidArgument);
        assert_eq!(parse("cuda:-1").unwrap_err().kind(), ErrorKind::InvalidArgument);
        assert_eq!(parse("cuda:4096").unwrap_err().kind(), ErrorKind::Device);
    }
}
