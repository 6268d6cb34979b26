//! What the machine has.

use std::ffi::{CString, c_char};

use once_cell::sync::OnceCell;

use super::border::catch;
use super::error::seed_error;
use super::pointers::{check_out, check_size, fill_text, put, text};
use crate::{Error, device, machine};

/// Memory of this process and of a device, in bytes. Set struct_size to sizeof(seed_memory) first.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct seed_memory {
    /// sizeof(seed_memory).
    pub struct_size: usize,
    /// Main memory that this process holds now.
    pub process_bytes: u64,
    /// The most that it has held so far.
    pub process_peak_bytes: u64,
    /// Free on the device; of main memory what can be had without swapping. A container's own limit is not seen.
    pub device_free_bytes: u64,
    /// All of the device.
    pub device_total_bytes: u64,
    /// Taken on the device by this process's tensors; for "cpu", process_bytes.
    pub device_taken_bytes: u64,
}

/// The version of the libtorch that is loaded, such as "2.11.0+cu130"; static text. NULL where none can be used.
#[unsafe(no_mangle)]
pub extern "C" fn seed_libtorch_version() -> *const c_char {
    static VERSION: OnceCell<CString> = OnceCell::new();
    let mut found = std::ptr::null();
    super::border::catch_void(|| {
        let version = VERSION.get_or_try_init(|| -> crate::Result<CString> {
            CString::new(device::libtorch_version()?).map_err(|_| Error::invalid("the version holds a NUL"))
        });
        found = version.map_or(std::ptr::null(), |text| text.as_ptr());
    });
    found
}

/// The number of CUDA devices that can be used, "cuda:0" and on; 0 where there is none or libtorch_cuda was not found.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_device_count(out: *mut u32) -> *mut seed_error {
    // SAFETY: passed on from the C caller, as in every function of this file.
    catch(|| unsafe {
        check_out("out", out)?;
        put(out, machine::cuda_count()?);
        Ok(())
    })
}

/// The product name of `device` ("cpu", "cuda:N" or "auto"), by the rule of seed_config_get_string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_device_name(
    device: *const c_char,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe { fill_text(&machine::name(text("device", device)?)?, buffer, capacity, length) })
}

/// How memory is used by this process and on `device` ("cpu", "cuda:N" or "auto").
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_memory_use(device: *const c_char, memory: *mut seed_memory) -> *mut seed_error {
    catch(|| unsafe {
        check_out("memory", memory)?;
        check_size::<seed_memory>("seed_memory", (*memory).struct_size)?;
        let found = machine::memory(text("device", device)?)?;
        put(
            memory,
            seed_memory {
                struct_size: size_of::<seed_memory>(),
                process_bytes: found.process,
                process_peak_bytes: found.process_peak,
                device_free_bytes: found.device_free,
                device_total_bytes: found.device_total,
                device_taken_bytes: found.device_taken,
            },
        );
        Ok(())
    })
}
