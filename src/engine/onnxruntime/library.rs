//! ONNX Runtime's library: found, opened once for each file, and kept for the life of the process.
//!
//! It is not closed again: its threads, its static objects and what it registers at the end of the process belong to its code.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::ptr::{NonNull, null_mut};
use std::sync::{Mutex, PoisonError};

use super::api::{Api, Base, Logger, Opaque, VERSION, lossy};
use super::places::{BY_LOADER, Place, find};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::loaded::file_of;

/// Severities (`OrtLoggingLevel`).
const WARNING: c_int = 2;
const ERROR: c_int = 3;

/// ONNX Runtime in this process.
pub struct Library {
    pub(super) api: Api,
    pub(super) environment: NonNull<Opaque>,
    /// Describes memory of the host.
    pub(super) memory: NonNull<Opaque>,
    /// Where it was opened.
    pub path: PathBuf,
    /// "1.32.0".
    pub version: String,
    /// Execution providers that it was built with: "CPUExecutionProvider".
    pub providers: Vec<String>,
}

// SAFETY: ONNX Runtime allows its environment and what describes memory to be used by several threads at once; neither is changed or
// released. The rest is never changed.
unsafe impl Send for Library {}
unsafe impl Sync for Library {}

impl std::fmt::Debug for Library {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ONNX Runtime {} in {}", self.version, self.path.display())
    }
}

/// Those that are open.
static OPEN: Mutex<Vec<&'static Library>> = Mutex::new(Vec::new());

impl Library {
    /// The library in `setting`, a file or folder; empty: wherever [`super::places`] finds it.
    ///
    /// # Errors
    /// `Io` where a named place has none, `Unsupported` where there is none at all, `Mismatch` for a file that is none or too old. All
    /// name the file and, where it tells, its version.
    pub fn open(setting: &str) -> Result<&'static Library> {
        let Some(place) = find(setting)? else { return by_loader() };
        let name = CString::new(place.file.as_os_str().as_bytes()).map_err(|_| Error::invalid("a path holds a NUL"))?;
        let handle = load(&name).map_err(|reason| refused(&place, format!("cannot be loaded: {reason}")))?;
        opened(handle, &place)
    }
}

fn by_loader() -> Result<&'static Library> {
    let mut reasons = Vec::new();
    for name in BY_LOADER {
        let text = CString::new(name).map_err(|error| Error::internal("a library's name", error))?;
        match load(&text) {
            Ok(handle) => return opened(handle, &Place { file: name.into(), how: "by the loader" }),
            Err(reason) => reasons.push(reason),
        }
    }
    Err(Error::new(
        ErrorKind::Unsupported,
        format!(
            "ONNX Runtime was not found: neither \"engine.library\" nor SEED_ONNXRUNTIME names it, it is not beside libseed, and the loader \
             says: {}; set one of the two to libonnxruntime.so or its folder",
            reasons.join("; ")
        ),
    ))
}

fn refused(place: &Place, reason: impl std::fmt::Display) -> Error {
    let (file, how) = (place.file.display(), place.how);
    Error::new(ErrorKind::Mismatch, format!("{file}, found {how} as ONNX Runtime, {reason}"))
}

/// Loads a library for the life of the process; the loader's reason where it cannot.
fn load(name: &CStr) -> std::result::Result<NonNull<c_void>, String> {
    // SAFETY: this runs the library's initialisers, as its user asks for. Its names stay its own (RTLD_LOCAL).
    let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    NonNull::new(handle).ok_or_else(|| {
        // SAFETY: dlerror returns NULL or text that is valid until this thread's next dl call.
        let reason = unsafe { libc::dlerror() };
        if reason.is_null() { "the loader does not say why".to_owned() } else { unsafe { lossy(reason) } }
    })
}

/// The library of a handle, if it is one.
fn opened(handle: NonNull<c_void>, place: &Place) -> Result<&'static Library> {
    let refuse = |reason: &str| refused(place, reason);
    // SAFETY: a handle of the loader's.
    let address = unsafe { libc::dlsym(handle.as_ptr(), c"OrtGetApiBase".as_ptr()) };
    if address.is_null() {
        return Err(refuse("is another library: it has no OrtGetApiBase"));
    }
    let path = file_of(address).map_or_else(|| place.file.clone(), |path| path.canonicalize().unwrap_or(path));
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = open.iter().find(|known| known.path == path) {
        return Ok(known);
    }
    // SAFETY: a library that has a function of this name is taken at its word, as any that is linked is.
    let base = unsafe {
        let base = std::mem::transmute::<*mut c_void, unsafe extern "C" fn() -> *const Base>(address)();
        base.as_ref().ok_or_else(|| refuse("gives no functions"))?
    };
    let (Some(get_api), Some(get_version)) = (base.get_api, base.get_version) else {
        return Err(refuse("gives no functions"));
    };
    // SAFETY: as above. The version is asked for first, since a library that is too old prints what it is asked for in vain.
    let (version, places) = unsafe {
        let version = get_version();
        let version = if version.is_null() { String::new() } else { lossy(version) };
        let minor = version.strip_prefix("1.").and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
        if minor.is_none_or(|minor| minor < VERSION) {
            let told = if version.is_empty() {
                "of a version that it does not tell".to_owned()
            } else {
                format!("version {version:?}")
            };
            return Err(refuse(&format!("is {told}; expected 1.{VERSION} or a later 1.x")));
        }
        (version, get_api(VERSION))
    };
    // SAFETY: as above.
    let api = unsafe { places.as_ref().and_then(|places| Api::of(places)) };
    let api = api.ok_or_else(|| refuse(&format!("is version {version} but lacks functions of version 1.{VERSION}")))?;
    let made = environment(&api).and_then(|environment| Ok((environment, memory(&api)?, providers(&api)?)));
    let (environment, memory, providers) =
        made.map_err(|error| refuse(&format!("version {version}, does not start: {error}")))?;
    log::info!("ONNX Runtime {version} of {}, found {}: {}", path.display(), place.how, providers.join(", "));
    let library = Box::leak(Box::new(Library { api, environment, memory, path, version, providers }));
    open.push(library);
    Ok(library)
}

fn environment(api: &Api) -> Result<NonNull<Opaque>> {
    let mut made = null_mut();
    let logger: Logger = log_message;
    // SAFETY: places and texts live through the calls. The environment is kept for the life of the process.
    unsafe {
        let name = c"libseed".as_ptr();
        api.check((api.create_env_with_custom_logger)(logger, null_mut(), WARNING, name, &mut made))?;
        api.check((api.disable_telemetry_events)(made))?;
    }
    NonNull::new(made).ok_or_else(|| Error::new(ErrorKind::Mismatch, "it makes no environment"))
}

fn memory(api: &Api) -> Result<NonNull<Opaque>> {
    let mut made = null_mut();
    // SAFETY: a valid place. OrtArenaAllocator is 1, OrtMemTypeDefault is 0.
    api.check(unsafe { (api.create_cpu_memory_info)(1, 0, &mut made) })?;
    NonNull::new(made).ok_or_else(|| Error::new(ErrorKind::Mismatch, "it describes no memory"))
}

fn providers(api: &Api) -> Result<Vec<String>> {
    let (mut texts, mut count) = (null_mut::<*mut c_char>(), 0);
    // SAFETY: valid places; the list and its texts are the library's until they are released, once.
    unsafe {
        api.check((api.get_available_providers)(&mut texts, &mut count))?;
        let many = if texts.is_null() { 0 } else { usize::try_from(count).unwrap_or(0) };
        let found = (0..many).map(|i| *texts.add(i)).filter(|text| !text.is_null()).map(|text| lossy(text)).collect();
        api.check((api.release_available_providers)(texts, count))?;
        Ok(found)
    }
}

/// Warnings and errors of ONNX Runtime go to the log instead of standard error. It may be called on any thread.
unsafe extern "C" fn log_message(
    _: *mut c_void,
    severity: c_int,
    _: *const c_char,
    _: *const c_char,
    _: *const c_char,
    message: *const c_char,
) {
    if message.is_null() {
        return;
    }
    // Nothing may unwind into the library; what a logger panics with is lost.
    _ = std::panic::catch_unwind(|| {
        // SAFETY: the library's text, which lives through the call.
        let message = unsafe { lossy(message) };
        // What fails comes back as an error as well.
        let level = if severity >= ERROR { log::Level::Warn } else { log::Level::Info };
        log::log!(level, "ONNX Runtime: {}", message.trim());
    });
}
