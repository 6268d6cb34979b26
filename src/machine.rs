//! What this machine has: the names and the memory of its devices, and the memory of this process.

use std::ffi::{CStr, CString, c_char, c_int};
use std::path::Path;

use tch::{Cuda, Device};

use crate::{Error, ErrorKind, Result, device, torch};

/// Memory, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// Main memory that this process holds now.
    pub process: u64,
    /// The most that it has held so far.
    pub process_peak: u64,
    /// Free on the device; of main memory what can be had without swapping. A container's own limit is not seen.
    pub device_free: u64,
    /// All of the device.
    pub device_total: u64,
    /// Taken on the device by this process's tensors; of the CPU, `process`.
    pub device_taken: u64,
}

/// How many CUDA devices can be used.
///
/// # Errors
/// Those of [`device::initialise`].
pub fn cuda_count() -> Result<u32> {
    device::initialise()?;
    Ok(u32::try_from(Cuda::device_count()).unwrap_or(0))
}

/// The product name of a device, as its maker writes it.
///
/// # Errors
/// Those of [`device::parse`]; `Device` where the driver does not tell.
pub fn name(device: &str) -> Result<String> {
    match device::parse(device)? {
        Device::Cuda(index) => cuda_name(index),
        _ => Ok(cpu_name().unwrap_or_else(|| std::env::consts::ARCH.to_owned())),
    }
}

/// How memory is used, here and on a device.
///
/// # Errors
/// Those of [`device::parse`]; `Io` where the system does not tell.
pub fn memory(device: &str) -> Result<Memory> {
    let status = read("/proc/self/status")?;
    let process = kibibytes(&status, "VmRSS:")?;
    let mut memory = Memory { process, process_peak: kibibytes(&status, "VmHWM:")?, ..Memory::default() };
    if let Device::Cuda(index) = device::parse(device)? {
        let found = torch::device_memory(index)?;
        (memory.device_free, memory.device_total, memory.device_taken) = (found.free, found.total, found.taken);
    } else {
        let all = read("/proc/meminfo")?;
        memory.device_free = kibibytes(&all, "MemAvailable:")?;
        memory.device_total = kibibytes(&all, "MemTotal:")?;
        memory.device_taken = process;
    }
    Ok(memory)
}

fn cpu_name() -> Option<String> {
    let text = read("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The driver knows the name; its library is there where a CUDA device is. It counts devices as libtorch does: both go by
/// CUDA_VISIBLE_DEVICES.
fn cuda_name(index: usize) -> Result<String> {
    type GetDevice = unsafe extern "C" fn(*mut c_int, c_int) -> c_int;
    type GetName = unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int;
    let failed = |what: &str| Error::new(ErrorKind::Device, format!("cuda:{index}: {what}"));
    let ordinal = c_int::try_from(index).map_err(|_| failed("there is no such device"))?;
    let symbol = |library: *mut libc::c_void, name: &CStr| {
        // SAFETY: an open library and a NUL-terminated name.
        let place = unsafe { libc::dlsym(library, name.as_ptr()) };
        if place.is_null() { Err(failed("the driver lacks a function")) } else { Ok(place) }
    };
    let file = CString::from(c"libcuda.so.1");
    // SAFETY: libtorch has loaded this library and initialised the driver when it counted devices; it is never unloaded.
    // The functions have these signatures since CUDA 2.0 and write at most what they are told.
    unsafe {
        let library = libc::dlopen(file.as_ptr(), libc::RTLD_NOW);
        if library.is_null() {
            return Err(failed("the driver's library libcuda.so.1 cannot be loaded"));
        }
        let get_device: GetDevice = std::mem::transmute(symbol(library, c"cuDeviceGet")?);
        let get_name: GetName = std::mem::transmute(symbol(library, c"cuDeviceGetName")?);
        let (mut handle, mut text) = (0, [0 as c_char; 256]);
        if get_device(&mut handle, ordinal) != 0 || get_name(text.as_mut_ptr(), text.len() as c_int - 1, handle) != 0 {
            return Err(failed("the driver does not tell the name"));
        }
        Ok(CStr::from_ptr(text.as_ptr()).to_string_lossy().into_owned())
    }
}

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| Error::io("read", Path::new(path), &error))
}

/// The bytes that the line beginning with `key` tells, in kB.
fn kibibytes(text: &str, key: &str) -> Result<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok())
        .and_then(|number| number.checked_mul(1024))
        .ok_or_else(|| Error::new(ErrorKind::Io, format!("the system does not tell {key}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_has_a_name_and_memory() {
        assert!(!name("cpu").unwrap().is_empty());
        let before = memory("cpu").unwrap();
        let touched = vec![1u8; 64 << 20];
        let after = memory("cpu").unwrap();
        assert!(after.process >= before.process + (48 << 20), "{before:?} {after:?}");
        assert!(after.process_peak >= after.process);
        assert!(after.device_free < after.device_total && after.process < after.device_total);
        assert_eq!(touched.iter().map(|&byte| u64::from(byte)).sum::<u64>(), 64 << 20);
        assert_eq!(memory("gpu").unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
}
