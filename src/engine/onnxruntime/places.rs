//! Where ONNX Runtime's library is looked for: the place that the settings name, then SEED_ONNXRUNTIME, then beside libseed, then by the
//! loader. The first that is found is taken or refused; a place that somebody named is never passed over.

use std::ffi::{CStr, OsString, c_char};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::sys::loaded::file_of;

/// What files are called that hold the library; versions follow the name.
const NAME: &str = "libonnxruntime.so";

/// What the loader is asked for.
pub(super) const BY_LOADER: [&str; 2] = ["libonnxruntime.so.1", NAME];

/// Places below a folder.
const BELOW: [&str; 4] = ["", "lib", "onnxruntime", "onnxruntime/lib"];

/// The variable that names a file or folder.
pub const VARIABLE: &str = "SEED_ONNXRUNTIME";

/// A file to open.
pub(super) struct Place {
    pub file: PathBuf,
    /// Who named it.
    pub how: &'static str,
}

/// The file that is named, or lies beside the library; None where only the loader is left to ask.
///
/// # Errors
/// `Io` where a place that was named holds no such library.
pub(super) fn find(setting: &str) -> Result<Option<Place>> {
    if !setting.is_empty() {
        return named(Path::new(setting), "by the setting \"engine.library\"").map(Some);
    }
    if let Some(place) = variable() {
        return named(Path::new(&place), "by SEED_ONNXRUNTIME").map(Some);
    }
    Ok(own_folder().and_then(|folder| in_folder(&folder)).map(|file| Place { file, how: "beside libseed" }))
}

/// Whether somebody named a place.
pub fn is_named(setting: &str) -> bool {
    !setting.is_empty() || variable().is_some()
}

unsafe extern "C" {
    // The crate libc does not name it.
    fn secure_getenv(name: *const c_char) -> *const c_char;
}

fn variable() -> Option<OsString> {
    // SAFETY: the environment's own text, copied at once. A program with more rights than its caller does not get it.
    unsafe {
        let text = secure_getenv(c"SEED_ONNXRUNTIME".as_ptr());
        (!text.is_null() && *text != 0).then(|| OsString::from_vec(CStr::from_ptr(text).to_bytes().to_vec()))
    }
}

fn named(place: &Path, how: &'static str) -> Result<Place> {
    let wrong = |reason: &str| {
        let place = place.display();
        Error::new(ErrorKind::Io, format!("ONNX Runtime is looked for in {place}, named {how}, which {reason}"))
    };
    let about = std::fs::metadata(place).map_err(|error| wrong(&format!("cannot be read: {error}")))?;
    let file = match (about.is_dir(), about.is_file()) {
        (true, _) => in_folder(place).ok_or_else(|| wrong(&format!("is a folder without a {NAME}")))?,
        (_, true) => place.to_owned(),
        _ => return Err(wrong("is neither a file nor a folder")),
    };
    // A name without a slash would be the loader's to look for.
    let file = file.canonicalize().map_err(|error| wrong(&format!("cannot be read: {error}")))?;
    Ok(Place { file, how })
}

/// The library in `folder` or a usual place below it: of several versions the one with the plainest name, then the newest.
fn in_folder(folder: &Path) -> Option<PathBuf> {
    BELOW.iter().find_map(|below| {
        let entries = std::fs::read_dir(folder.join(below)).ok()?;
        let files = entries.filter_map(|entry| {
            let path = entry.ok()?.path();
            let version = path.file_name()?.to_str()?.strip_prefix(NAME)?.to_owned();
            let numbers: Option<Vec<u64>> = version.split('.').skip(1).map(|part| part.parse().ok()).collect();
            (version.is_empty() || version.starts_with('.')).then_some(())?;
            path.is_file().then_some((version.is_empty(), numbers?, path))
        });
        files.max().map(|(_, _, path)| path)
    })
}

/// The folder that this library lies in.
fn own_folder() -> Option<PathBuf> {
    file_of(own_folder as *const libc::c_void)?.canonicalize().ok()?.parent().map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gives_its_plainest_or_newest_library() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(in_folder(folder.path()), None);
        let touch = |name: &str| std::fs::write(folder.path().join(name), "").unwrap();
        touch("libonnxruntime.sorry");
        touch("libonnxruntime_providers_shared.so");
        touch("libonnxruntime.so.1.9.0-beta");
        assert_eq!(in_folder(folder.path()), None);
        let found = || in_folder(folder.path()).unwrap().file_name().unwrap().to_str().unwrap().to_owned();
        touch("libonnxruntime.so.1.9.0");
        touch("libonnxruntime.so.1.32.0");
        assert_eq!(found(), "libonnxruntime.so.1.32.0");
        touch("libonnxruntime.so");
        assert_eq!(found(), "libonnxruntime.so");
        std::fs::create_dir_all(folder.path().join("onnxruntime/lib")).unwrap();
        std::fs::rename(folder.path().join(found()), folder.path().join("onnxruntime/lib/libonnxruntime.so")).unwrap();
        assert_eq!(found(), "libonnxruntime.so.1.32.0", "what lies in the folder itself comes first");
    }

    #[test]
    fn what_is_named_is_there_or_refused() {
        let folder = tempfile::tempdir().unwrap();
        for (place, words) in
            [(folder.path(), "is a folder without a libonnxruntime.so"), (Path::new("/dev/null"), "neither a file")]
        {
            let error = find(place.to_str().unwrap()).err().unwrap();
            assert!(error.kind() == ErrorKind::Io && error.message().contains(words), "{error}");
            assert!(error.message().contains("engine.library"), "{error}");
        }
        assert!(find("/nowhere/at/all").err().unwrap().message().contains("/nowhere/at/all"));
    }
}
