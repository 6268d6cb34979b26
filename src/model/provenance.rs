//! Where a student comes from: a JSON object that goes with it into every file.
//!
//! | key | written by | what |
//! |---|---|---|
//! | `library` | libseed | name and version of the library that made the student |
//! | `initial_weights` | libseed | the file of weights that the student started from |
//! | `distillation` | a run | teacher, images, steps, loss and the settings that shape the numbers |
//! | any other | the application | scores, a line's name, a batch's number … |
//!
//! Nothing in the library depends on it. No time and no path is written, so that the same run gives the same file; who wants
//! a date sets one.
//!
//! ```
//! use seed::model::provenance::Provenance;
//! let provenance = Provenance::default();
//! provenance.set("knn", serde_json::json!(0.96))?;
//! assert_eq!(provenance.to_value()["knn"], 0.96);
//! assert!(provenance.set("library", serde_json::json!("mine")).is_err());
//! # Ok::<(), seed::Error>(())
//! ```

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};

/// Bytes that a provenance may take as JSON: files carry it, and programs read it whole.
pub const MAX_PROVENANCE: usize = 256 << 10;

/// Keys that the library writes itself.
const OWN: [&str; 3] = ["library", "initial_weights", "distillation"];

/// A provenance that student, runs and application share.
pub type SharedProvenance = Arc<Provenance>;

/// A JSON object that several may write to.
#[derive(Debug)]
pub struct Provenance {
    object: Mutex<Map<String, Value>>,
}

impl Default for Provenance {
    /// That of a new student: it names the library's version.
    fn default() -> Self {
        let library = json!(concat!("libseed ", env!("CARGO_PKG_VERSION")));
        Self { object: Mutex::new(Map::from_iter([("library".to_owned(), library)])) }
    }
}

impl Provenance {
    /// That of a file. What is no object is kept under the key "value".
    pub fn of_value(value: Value) -> Self {
        let object = match value {
            Value::Object(object) => object,
            other => Map::from_iter([("value".to_owned(), other)]),
        };
        Self { object: Mutex::new(object) }
    }

    /// Sets a key of the application's; null removes it.
    ///
    /// # Errors
    /// `InvalidArgument` for an empty key, one of the library's own, or more than [`MAX_PROVENANCE`] bytes in all; nothing is
    /// changed then.
    pub fn set(&self, key: &str, value: Value) -> Result<()> {
        if key.is_empty() || OWN.contains(&key) {
            return Err(Error::invalid(format!(
                "{key:?} cannot be set: the key is {}",
                if key.is_empty() { "empty" } else { "the library's own" }
            )));
        }
        self.write(key, value)
    }

    /// Notes what weights the student started from.
    pub(crate) fn set_initial_weights(&self, record: Value) -> Result<()> {
        self.write("initial_weights", record)
    }

    /// Notes what a run did.
    pub(crate) fn set_distillation(&self, record: Value) -> Result<()> {
        self.write("distillation", record)
    }

    fn write(&self, key: &str, value: Value) -> Result<()> {
        let mut object = self.object.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = object.clone();
        match value {
            Value::Null => drop(changed.remove(key)),
            value => drop(changed.insert(key.to_owned(), value)),
        }
        let changed = Value::Object(changed);
        provenance_text(&changed)?;
        if let Value::Object(changed) = changed {
            *object = changed;
        }
        Ok(())
    }

    /// A copy as it is now.
    pub fn to_value(&self) -> Value {
        Value::Object(self.object.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// A provenance as a file has it.
pub(super) fn provenance_text(provenance: &Value) -> Result<String> {
    let text = serde_json::to_string(provenance)
        .map_err(|error| Error::invalid(format!("the provenance cannot be written as JSON: {error}")))?;
    if text.len() > MAX_PROVENANCE {
        return Err(Error::invalid(format!(
            "the provenance has {} bytes as JSON, at most {MAX_PROVENANCE} go into a file",
            text.len()
        )));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_much_is_refused_and_null_removes() {
        let provenance = Provenance::default();
        provenance.set("scores", json!({ "knn": 0.9 })).unwrap();
        let before = provenance.to_value();
        let error = provenance.set("log", json!("x".repeat(MAX_PROVENANCE))).unwrap_err();
        assert!(error.message().contains("at most 262144"), "{error}");
        assert_eq!(provenance.to_value(), before);
        provenance.set("scores", Value::Null).unwrap();
        assert_eq!(provenance.to_value(), Provenance::default().to_value());
        assert!(provenance.set("", json!(1)).is_err());
        assert!(provenance.set("distillation", json!(1)).is_err());
    }

    #[test]
    fn what_is_no_object_is_kept() {
        assert_eq!(Provenance::of_value(json!([1])).to_value(), json!({ "value": [1] }));
    }
}
