//! What a caller should know although nothing failed: a student that collapses, a threshold that no score can reach, a setting
//! that has no effect.
//!
//! An object keeps one list. Each text is logged and kept once, so that a warning of every step does not fill the log.
//!
//! ```
//! let warnings = seed::warnings::Warnings::default();
//! warnings.add("the queue holds 1024 rows, but the data set has 12 images");
//! warnings.add("the queue holds 1024 rows, but the data set has 12 images");
//! assert_eq!(warnings.list().len(), 1);
//! ```

use std::sync::{Arc, Mutex, PoisonError};

/// An object keeps at most this many warnings; later ones reach the log alone.
pub const MAX_WARNINGS: usize = 64;

/// The warnings of one object, in the order in which they arose. Clones share one list.
#[derive(Debug, Clone, Default)]
pub struct Warnings(Arc<Mutex<Vec<String>>>);

impl Warnings {
    /// Logs `text` and keeps it, unless it is known already.
    pub fn add(&self, text: impl AsRef<str> + Into<String>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What is known allocates nothing: some warnings come with every frame.
        if kept.iter().any(|known| known == text.as_ref()) {
            return;
        }
        let text = text.into();
        log::warn!("{text}");
        if kept.len() < MAX_WARNINGS {
            kept.push(text);
        }
    }

    /// Keeps what another object has logged already, such as what was found in a file.
    pub fn keep(&self, known: impl IntoIterator<Item = String>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for text in known {
            if kept.len() < MAX_WARNINGS && !kept.contains(&text) {
                kept.push(text);
            }
        }
    }

    /// Drops what does not hold any more.
    pub fn forget(&self, text: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|kept| kept != text);
    }

    /// All warnings so far.
    pub fn list(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All warnings so far, one a line: a line break inside a warning becomes a space.
    pub fn text(&self) -> String {
        self.list().iter().map(|warning| warning.replace(['\n', '\r'], " ")).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_warning_is_kept_once_and_their_number_is_bounded() {
        let warnings = Warnings::default();
        warnings.clone().add("two\nlines");
        warnings.add("two\nlines");
        assert_eq!(warnings.text(), "two lines");
        warnings.add("gone");
        warnings.forget("gone");
        warnings.keep(["two\nlines".to_owned(), "three".to_owned()]);
        assert_eq!(warnings.list().len(), 2);
        (0..2 * MAX_WARNINGS).for_each(|number| warnings.add(number.to_string()));
        assert_eq!(warnings.list().len(), MAX_WARNINGS);
    }
}
