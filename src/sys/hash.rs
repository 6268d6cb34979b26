//! SHA-256 in lower-case hexadecimal: what tells files, networks, data sets and runs from each other.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::files;
use crate::error::{Error, Result};

/// Of `bytes`.
pub(crate) fn of(bytes: &[u8]) -> String {
    text(Sha256::new_with_prefix(bytes))
}

/// How many bytes the file has, and the hash of them.
pub(crate) fn of_file(path: &Path) -> Result<(u64, String)> {
    let (mut file, _) = files::open(path)?;
    let mut hash = Sha256::new();
    let bytes = std::io::copy(&mut file, &mut hash).map_err(|error| Error::io("read", path, &error))?;
    Ok((bytes, text(hash)))
}

/// Of all that `hash` was given.
pub(crate) fn text(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    /// FIPS 180-2, B.1.
    #[test]
    fn the_standards_example() {
        assert_eq!(super::of(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
