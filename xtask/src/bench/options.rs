//! The words after a bench's name.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use crate::{Outcome, root};

/// What every bench takes, with a word about it.
pub const COMMON: &[(&str, &str)] = &[
    ("--rounds", "how often each side runs, in turn"),
    ("--python", "a Python with PyTorch 2.11; else one is made in third_party/bench-venv"),
    ("--markdown", "a file that the table is appended to, with date and machine"),
    ("--device", "cpu (as it comes) or cuda:N, for both sides"),
];

/// `--name value` pairs.
pub struct Options(BTreeMap<String, String>);

impl Options {
    /// Refuses names that are neither in `own` nor common, and names without a value.
    pub fn parse(words: &[String], own: &[&str]) -> Outcome<Self> {
        let mut pairs = BTreeMap::new();
        let mut words = words.iter();
        while let Some(name) = words.next() {
            if !own.contains(&name.as_str()) && !COMMON.iter().any(|(common, _)| common == name) {
                return Err(format!("no option {name}; there are {} and those of all benches", own.join(", ")));
            }
            let value = words.next().ok_or_else(|| format!("{name} needs a value"))?;
            pairs.insert(name.clone(), value.clone());
        }
        Ok(Self(pairs))
    }

    /// What was given for `name`.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// What was given for `name`, or `default`.
    pub fn or<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        self.text(name).unwrap_or(default)
    }

    /// The number given for `name`, or `default`.
    pub fn number<T: FromStr>(&self, name: &str, default: T) -> Outcome<T> {
        match self.text(name) {
            None => Ok(default),
            Some(word) => word.parse().map_err(|_| format!("{name} is {word}, expected a number")),
        }
    }

    /// How often each side runs, at least once.
    pub fn rounds(&self, default: usize) -> Outcome<usize> {
        Ok(self.number("--rounds", default)?.max(1))
    }

    /// The device of both sides.
    pub fn device(&self) -> &str {
        self.or("--device", "cpu")
    }
}

/// The folder of the PyTorch reference and the real images.
pub fn shared() -> PathBuf {
    std::env::var_os("SEED_SHARED").map_or_else(|| root().join("../shared"), PathBuf::from)
}

/// The file of the PyTorch reference.
pub fn oracle() -> Outcome<PathBuf> {
    let path = shared().join("oracle/seed_torch.py");
    if path.exists() {
        return Ok(path);
    }
    Err(format!("the PyTorch reference is not at {}; set SEED_SHARED", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_names_and_absent_values_are_refused() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let options = Options::parse(&words("--steps 7 --rounds 2"), &["--steps"]).unwrap();
        assert_eq!((options.number("--steps", 1), options.rounds(3)), (Ok(7), Ok(2)));
        assert!(Options::parse(&words("--stpes 7"), &["--steps"]).is_err());
        assert!(Options::parse(&words("--steps"), &["--steps"]).is_err());
    }
}
