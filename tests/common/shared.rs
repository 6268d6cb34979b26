//! Real images, which lie beside the repository in ../shared/data, or in data of the folder that SEED_SHARED names.

use std::path::PathBuf;

/// The folder `name` of the data; None where it is not there, which is said.
pub fn data(name: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("SEED_SHARED").map_or_else(|| PathBuf::from("../shared"), PathBuf::from);
    let folder = shared.join("data").join(name);
    if !folder.is_dir() {
        eprintln!("SKIPPED: no real images in {}", folder.display());
        return None;
    }
    Some(folder)
}
