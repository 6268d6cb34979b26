//! Writing a checkpoint atomically.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::format::{Contents, ENDING, FileRecord, MANIFEST, part_of};
use crate::model::weights;
use crate::sys::disk::{self, sync};
use crate::sys::{hash, memory_file};
use crate::{Error, Result};

/// Writes `contents` to the folder `path`, replacing the checkpoint there in one rename. On any error, a full disk
/// included, the old checkpoint stays as it was and nothing half-written is left behind.
pub fn save(path: &Path, contents: &Contents) -> Result<()> {
    let path = &disk::resolved(path)?;
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    memory_file::on_disk(path, "a checkpoint is a folder")?;
    let name = path.file_name().ok_or_else(|| {
        Error::invalid(format!("the checkpoint's path is \"{}\", expected the name of a folder", path.display()))
    })?;
    let old = fs::metadata(path).ok();
    if old.as_ref().is_some_and(|old| !old.is_dir()) {
        return Err(Error::invalid(format!("{} is no folder; give a checkpoint a path of its own", path.display())));
    }
    if old.is_some()
        && !path.join(MANIFEST).exists()
        && fs::read_dir(path).is_ok_and(|mut files| files.next().is_some())
    {
        return Err(Error::invalid(format!(
            "{} exists and is no checkpoint; it is left as it is, give another path",
            path.display()
        )));
    }
    for state in contents.parts.values() {
        weights::check_finite(&state.tensors).map_err(|error| error.context(path.display()))?;
    }
    fs::create_dir_all(&parent).map_err(|error| Error::io("create", &parent, &error))?;
    remove_leftovers(&parent, name);
    let draft = parent.join(draft_name(name));
    let written = write_folder(&draft, contents)
        .and_then(|()| old.map_or(Ok(()), |old| keep_owners_and_modes(&draft, path, &old)))
        .and_then(|()| exchange(&draft, path));
    // After the exchange the draft's name holds the old checkpoint; after an error, what was half written.
    if draft.exists()
        && let Err(error) = fs::remove_dir_all(&draft)
    {
        log::warn!("cannot remove {}: {error}", draft.display());
    }
    written?;
    sync(&parent)
}

/// `.NAME.draft-PID`, hidden, and told apart by process so that two runs do not trip over each other.
fn draft_name(name: &std::ffi::OsStr) -> OsString {
    let mut draft = OsString::from(".");
    draft.push(name);
    draft.push(format!(".draft-{}", std::process::id()));
    draft
}

/// Drafts of processes that were killed while saving.
fn remove_leftovers(parent: &Path, name: &std::ffi::OsStr) {
    let prefix = format!(".{}.draft-", name.to_string_lossy());
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let entry_name = entry.file_name().to_string_lossy().into_owned();
        let Some(owner) = entry_name.strip_prefix(&prefix).and_then(|pid| pid.parse::<i32>().ok()) else { continue };
        // SAFETY: signal 0 only asks whether the process exists.
        let alive = unsafe { libc::kill(owner, 0) } == 0;
        if (!alive || owner.unsigned_abs() == std::process::id())
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            log::warn!("cannot remove the unfinished checkpoint {}: {error}", entry.path().display());
        }
    }
}

fn write_folder(draft: &Path, contents: &Contents) -> Result<()> {
    fs::create_dir(draft).map_err(|error| Error::io("create", draft, &error))?;
    let mut manifest = contents.manifest.clone();
    manifest.files.clear();
    for (part, state) in &contents.parts {
        let name = format!("{part}{ENDING}");
        debug_assert_eq!(part_of(&name), Some(part.as_str()));
        let file = draft.join(&name);
        let tensors: Vec<_> = state.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        weights::write_borrowed(&file, &tensors, &state.metadata)?;
        manifest.files.insert(name, record(&file)?);
    }
    let json = serde_json::to_vec_pretty(&manifest)
        .map_err(|error| Error::new(crate::ErrorKind::Internal, format!("the manifest cannot be written: {error}")))?;
    let file = draft.join(MANIFEST);
    let write = || -> std::io::Result<()> {
        let mut output = File::create(&file)?;
        output.write_all(&json)?;
        output.sync_all()
    };
    write().map_err(|error| Error::io("write", &file, &error))?;
    sync(draft)
}

/// Gives the new folder and its files owner and permissions of the old ones.
fn keep_owners_and_modes(draft: &Path, path: &Path, old: &fs::Metadata) -> Result<()> {
    let failed = |error: std::io::Error| Error::io("set the permissions of", draft, &error);
    for entry in fs::read_dir(draft).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if let Ok(old) = fs::symlink_metadata(path.join(entry.file_name()))
            && old.is_file()
        {
            File::open(entry.path()).and_then(|new| disk::keep_owner_and_mode(&new, &old)).map_err(failed)?;
        }
    }
    // Last: without the right to write in the folder its files could not be removed where the exchange fails.
    File::open(draft).and_then(|new| disk::keep_owner_and_mode(&new, old)).map_err(failed)
}

/// Size and hash of a file, as they lie on disk.
pub(super) fn record(path: &Path) -> Result<FileRecord> {
    let (bytes, sha256) = hash::of_file(path)?;
    Ok(FileRecord { bytes, sha256 })
}

/// Puts `draft` in the place of `path`. Where something stands there the two names are exchanged in one system call
/// (renameat2, Linux 3.15); on file systems without it the old one steps aside first, and `load` looks for it there.
fn exchange(draft: &Path, path: &Path) -> Result<()> {
    if !path.exists() {
        return fs::rename(draft, path).map_err(|error| Error::io("rename to", path, &error));
    }
    if disk::exchange(draft, path).is_ok() {
        return Ok(());
    }
    let old = aside(path);
    if old.exists() {
        fs::remove_dir_all(&old).map_err(|error| Error::io("remove", &old, &error))?;
    }
    fs::rename(path, &old).map_err(|error| Error::io("rename", path, &error))?;
    fs::rename(draft, path).map_err(|error| Error::io("rename to", path, &error))?;
    fs::remove_dir_all(&old).map_err(|error| Error::io("remove", &old, &error))
}

/// Where the old checkpoint stands while the new one takes its place, on file systems without exchange.
pub(super) fn aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".old");
    PathBuf::from(name)
}
