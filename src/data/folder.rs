//! Image files below a folder, told by their extension, whatever can be read of it.

use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::broken::{Broken, Skipped};
use super::decode::EXTENSIONS;
use super::name::{NAMES, enough_for_names, relative_name};
use super::source::absolute;
use crate::error::{Error, Result};
use crate::sys::memory::push;

/// Name and path of each image below `root`, sorted by name, and the folders that could not be searched.
pub(super) fn images_below(root: &Path) -> Result<(Vec<(String, PathBuf)>, Broken)> {
    std::fs::read_dir(root).map_err(|error| Error::io("search the folder", root, &error))?;
    let root = absolute(root);
    let root = root.as_path();
    let hidden =
        |entry: &walkdir::DirEntry| entry.depth() > 0 && entry.file_name().as_encoded_bytes().starts_with(b".");
    let mut found = Vec::new();
    let mut others = 0usize;
    let mut broken = Broken::default();
    for entry in WalkDir::new(root).follow_links(true).into_iter().filter_entry(|entry| !hidden(entry)) {
        match entry {
            Ok(entry) if entry.file_type().is_dir() => {}
            Ok(entry) if is_image(entry.path()) => {
                enough_for_names(found.len())?;
                push(&mut found, (relative_name(root, entry.path()), entry.into_path()), NAMES)?;
            }
            Ok(_) => others += 1,
            Err(error) => {
                let name = error.path().map_or_else(|| "?".to_owned(), |path| relative_name(root, path));
                log::warn!("skipping {name}: {error}");
                broken.folders.push(Skipped { name, reason: error.to_string() });
            }
        }
    }
    if found.is_empty() {
        return Err(Error::invalid(format!(
            "no image below {}: looked for files ending in {}, found {others} other files, {} unreadable entries",
            root.display(),
            EXTENSIONS.join(", "),
            broken.folders.len()
        )));
    }
    found.sort_unstable();
    Ok((found, broken))
}

fn is_image(path: &Path) -> bool {
    path.extension()
        .and_then(|end| end.to_str())
        .is_some_and(|end| EXTENSIONS.contains(&end.to_ascii_lowercase().as_str()))
}
