//! Which settings the caller has chosen, so that a plan changes only the others.

use std::collections::BTreeSet;

/// The keys that were set by name. It is no setting itself: configurations that differ in nothing else are equal.
#[derive(Debug, Clone, Default)]
pub struct Chosen(BTreeSet<String>);

impl Chosen {
    /// Notes that `key` was set.
    pub(super) fn insert(&mut self, key: &str) {
        if !self.0.contains(key) {
            self.0.insert(key.to_owned());
        }
    }

    /// Forgets the keys that `keep` does not want.
    pub(super) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.0.retain(|key| keep(key));
    }

    /// Whether `key` was set.
    pub fn contains(&self, key: &str) -> bool {
        self.0.contains(key)
    }
}

impl PartialEq for Chosen {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
