//! Folders of links to images, so that a bench can have as many as it wants.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Outcome, root};

/// A folder of `count` links to the images below `source`, with its class folders: spread evenly over the images where
/// there are more, again from the first where there are fewer. It is made anew in target/bench-images.
pub fn folder(source: &Path, count: usize) -> Outcome<PathBuf> {
    let source = source.canonicalize().map_err(|error| format!("no images in {}: {error}", source.display()))?;
    let mut images = Vec::new();
    collect(&source, &mut images)?;
    images.sort();
    if images.is_empty() {
        return Err(format!("no JPEG or PNG images below {}", source.display()));
    }
    let name = source.to_string_lossy().replace('/', "-");
    let folder = root().join("target/bench-images").join(format!("{}-{count}", name.trim_matches('-')));
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|error| format!("cannot remove {}: {error}", folder.display()))?;
    }
    for i in 0..count {
        let image = &images[if count <= images.len() { i * images.len() / count } else { i % images.len() }];
        let class = image.parent().and_then(|parent| parent.strip_prefix(&source).ok()).unwrap_or(Path::new(""));
        let class = folder.join(if class.as_os_str().is_empty() { Path::new("images") } else { class });
        fs::create_dir_all(&class).map_err(|error| format!("cannot create {}: {error}", class.display()))?;
        let end = image.extension().unwrap_or_default().to_string_lossy();
        link(image, &class.join(format!("{i:06}.{end}")))?;
    }
    Ok(folder)
}

fn collect(folder: &Path, images: &mut Vec<PathBuf>) -> Outcome {
    let entries = fs::read_dir(folder).map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        let end = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        if path.is_dir() {
            collect(&path, images)?;
        } else if matches!(end.as_str(), "jpg" | "jpeg" | "png") {
            images.push(path);
        }
    }
    Ok(())
}

#[cfg(unix)]
fn link(image: &Path, place: &Path) -> Outcome {
    std::os::unix::fs::symlink(image, place).map_err(|error| format!("cannot link {}: {error}", place.display()))
}

#[cfg(not(unix))]
fn link(image: &Path, place: &Path) -> Outcome {
    fs::copy(image, place).map(drop).map_err(|error| format!("cannot copy {}: {error}", place.display()))
}
