//! Names of images: different files always have different names, the same on every system.
//!
//! A name that is not UTF-8 is written with `\xNN` for each byte that is none, and `\x5C` for a backslash before an `x`.

use std::path::Path;

use crate::error::Result;
use crate::sys::memory::{STRIDE, spare};

/// For messages.
pub(super) const NAMES: &str = "the names of a data set's images";

/// Names and paths are small, but there may be millions of them.
pub(super) fn enough_for_names(already: usize) -> Result<()> {
    if already.is_multiple_of(STRIDE) { spare(0, NAMES) } else { Ok(()) }
}

/// The path below `root` with `/` between its parts, so that names and order are the same on every system.
pub(super) fn relative_name(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).unwrap_or(path);
    let parts: Vec<_> = below.components().map(|part| escaped(part.as_os_str().as_encoded_bytes())).collect();
    parts.join("/")
}

/// `bytes` as text in which no two names are the same: see the module's notes.
pub(super) fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(&chunk.valid().replace("\\x", "\\x5Cx"));
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_differ_stay_different() {
        let names: [&[u8]; 7] = [
            b"kl\xe4sse",
            b"kl\xe5sse",
            "kl\u{e4}sse".as_bytes(),
            b"kl\\xE4sse",
            b"kl\\x5CxE4sse",
            b"kl\xff\\x",
            b"kl\\a",
        ];
        let escaped: Vec<String> = names.iter().map(|name| escaped(name)).collect();
        assert_eq!(escaped[..4], ["kl\\xE4sse", "kl\\xE5sse", "kl\u{e4}sse", "kl\\x5CxE4sse"]);
        assert_eq!(escaped[6], "kl\\a", "a backslash alone stays");
        let different: std::collections::BTreeSet<&String> = escaped.iter().collect();
        assert_eq!(different.len(), names.len());
    }
}
