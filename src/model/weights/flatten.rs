//! From the object of a checkpoint to named tensors.

use std::collections::BTreeMap;

use super::pickle::{Unpickled, Value};
use super::storage::StridedView;

/// Deepest nesting of dictionaries that is followed.
const MAXIMUM_DEPTH: usize = 16;
/// Most entries that are looked at; a dictionary that is reached in many ways counts each time.
const MAXIMUM_ENTRIES: usize = 1 << 20;

/// Every tensor under its dotted name. Dictionaries with keys that are no text (an optimiser's state) hold no weights of a
/// network and are left out, as is everything that is no tensor.
pub(super) fn named_views(object: &Unpickled) -> Result<BTreeMap<String, StridedView>, String> {
    let mut walk = Walk { object, entries: 0, found: BTreeMap::new() };
    walk.collect(&object.value, "", 0)?;
    if walk.found.is_empty() {
        return Err(match &object.value {
            Value::Inert(name) => {
                format!("it holds an object of {name}, not weights; save model.state_dict() instead of the model")
            }
            _ => "no tensor with a name in it; expected a state_dict".to_owned(),
        });
    }
    Ok(walk.found)
}

struct Walk<'a> {
    object: &'a Unpickled,
    entries: usize,
    found: BTreeMap<String, StridedView>,
}

impl Walk<'_> {
    fn collect(&mut self, value: &Value, name: &str, depth: usize) -> Result<(), String> {
        self.entries += 1;
        if self.entries > MAXIMUM_ENTRIES {
            return Err(format!("more than {MAXIMUM_ENTRIES} entries"));
        }
        match value {
            Value::Tensor(view) if !name.is_empty() => {
                self.found.insert(name.to_owned(), (**view).clone());
            }
            Value::Dict(node) if depth < MAXIMUM_DEPTH => {
                for pair in self.object.arena.items(*node).chunks_exact(2) {
                    let [Value::Text(key), value] = pair else { continue };
                    let full = if name.is_empty() { key.to_string() } else { format!("{name}.{key}") };
                    self.collect(value, &full, depth + 1)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}
