//! ONNX Runtime's C API: a table of functions whose places never change (onnxruntime_c_api.h, `struct OrtApi`, which only grows at its
//! end). Only those that are used here are named, by their places.

use std::ffi::{CStr, c_char, c_int, c_void};

use crate::error::{Error, ErrorKind, Result};

/// An object of ONNX Runtime's.
#[repr(C)]
pub(super) struct Opaque {
    _private: [u8; 0],
}

/// What a function answers: NULL where it went well.
type Status = *mut Opaque;

/// What a program is told of.
pub(super) type Logger =
    unsafe extern "C" fn(*mut c_void, c_int, *const c_char, *const c_char, *const c_char, *const c_char);

/// What the library exports.
#[repr(C)]
pub(super) struct Base {
    pub get_api: Option<unsafe extern "C" fn(u32) -> *const Places>,
    pub get_version: Option<unsafe extern "C" fn() -> *const c_char>,
}

/// Version of the table, and of the oldest ONNX Runtime that has it: 1.17.
pub(super) const VERSION: u32 = 17;

/// So many functions the table of that version has at least.
const COUNT: usize = 217;

/// The table itself.
#[repr(C)]
pub(super) struct Places([*const c_void; COUNT]);

/// The functions, each of which is there.
macro_rules! table {
    ($($(#[$about:meta])* $name:ident: $place:literal ($($argument:ty),*) $(-> $result:ty)?;)+) => {
        pub(super) struct Api {
            $($(#[$about])* pub $name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)+
        }

        impl Api {
            /// The functions of a table; None where one of them is missing.
            ///
            /// # Safety
            /// `places` is a table of at least [`VERSION`], which lives as long as the process.
            pub unsafe fn of(places: &Places) -> Option<Api> {
                $(if places.0[$place].is_null() {
                    return None;
                })+
                // SAFETY: the table's definition says what is at each place.
                Some(Api { $($name: unsafe { std::mem::transmute::<*const c_void, unsafe extern "C" fn($($argument),*) $(-> $result)?>(places.0[$place]) },)+ })
            }
        }
    };
}

table! {
    /// (status) → one of [`INVALID_ARGUMENT`] and its like.
    get_error_code: 1 (*const Opaque) -> c_int;
    get_error_message: 2 (*const Opaque) -> *const c_char;
    /// (logger, its argument, least severity, name, out)
    create_env_with_custom_logger: 4 (Logger, *mut c_void, c_int, *const c_char, *mut *mut Opaque) -> Status;
    disable_telemetry_events: 6 (*const Opaque) -> Status;
    /// (environment, model, its length, options, out)
    create_session_from_array: 8 (*const Opaque, *const c_void, usize, *const Opaque, *mut *mut Opaque) -> Status;
    /// (session, options, names of inputs, inputs, count, names of outputs, count, outputs)
    run: 9 (*mut Opaque, *const Opaque, *const *const c_char, *const *const Opaque, usize, *const *const c_char, usize, *mut *mut Opaque) -> Status;
    create_session_options: 10 (*mut *mut Opaque) -> Status;
    set_session_graph_optimization_level: 23 (*mut Opaque, c_int) -> Status;
    set_intra_op_num_threads: 24 (*mut Opaque, c_int) -> Status;
    set_inter_op_num_threads: 25 (*mut Opaque, c_int) -> Status;
    /// (memory, numbers, bytes, sides, count, type, out)
    create_tensor_with_data: 49 (*const Opaque, *mut c_void, usize, *const i64, usize, c_int, *mut *mut Opaque) -> Status;
    /// (allocator's type, memory's type, out)
    create_cpu_memory_info: 69 (c_int, c_int, *mut *mut Opaque) -> Status;
    release_status: 93 (*mut Opaque);
    release_session: 95 (*mut Opaque);
    release_value: 96 (*mut Opaque);
    release_session_options: 100 (*mut Opaque);
    get_available_providers: 125 (*mut *mut *mut c_char, *mut c_int) -> Status;
    release_available_providers: 126 (*mut *mut c_char, c_int) -> Status;
    /// (options, key, value)
    add_session_config_entry: 130 (*mut Opaque, *const c_char, *const c_char) -> Status;
    append_tensorrt: 170 (*mut Opaque, *const Opaque) -> Status;
    create_tensorrt_options: 171 (*mut *mut Opaque) -> Status;
    release_tensorrt_options: 174 (*mut Opaque);
    append_cuda: 204 (*mut Opaque, *const Opaque) -> Status;
    create_cuda_options: 205 (*mut *mut Opaque) -> Status;
    release_cuda_options: 208 (*mut Opaque);
    /// (options, provider, keys, values, count)
    append_provider: 216 (*mut Opaque, *const c_char, *const *const c_char, *const *const c_char, usize) -> Status;
}

/// Codes of a status (`OrtErrorCode`).
const INVALID_ARGUMENT: c_int = 2;
const NOT_IMPLEMENTED: c_int = 9;

impl Api {
    /// What a status says.
    ///
    /// # Errors
    /// Its text where it is one; `OutOfMemory` where that says so, else `Device` for what failed while it ran, `Unsupported` for what the
    /// library does not know, and `Mismatch` for what does not fit it.
    pub fn check(&self, status: Status) -> Result<()> {
        if status.is_null() {
            return Ok(());
        }
        // SAFETY: a status of this library's, read and then released, once.
        let (code, text) = unsafe {
            let (code, text) = ((self.get_error_code)(status), (self.get_error_message)(status));
            let text = if text.is_null() { "it does not say why".to_owned() } else { lossy(text) };
            (self.release_status)(status);
            (code, text)
        };
        let memory = ["bad_alloc", "Failed to allocate", "out of memory", "BFCArena"];
        let kind = match code {
            _ if memory.iter().any(|words| text.contains(words)) => ErrorKind::OutOfMemory,
            INVALID_ARGUMENT => ErrorKind::Mismatch,
            NOT_IMPLEMENTED => ErrorKind::Unsupported,
            _ => ErrorKind::Device,
        };
        Err(Error::new(kind, format!("ONNX Runtime: {}", text.trim())))
    }
}

/// Text of the library's.
///
/// # Safety
/// `text` ends with 0.
pub(super) unsafe fn lossy(text: *const c_char) -> String {
    // SAFETY: as above.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
