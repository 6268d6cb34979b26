//! Settings that are one of a few words: an enum inside the library, its word where people and files see it.
//!
//! ```
//! use seed::config::{Config, Optimiser};
//! let mut config = Config::default();
//! config.set_string("optimiser", "lars")?;
//! assert_eq!((config.optimiser, config.optimiser.word()), (Optimiser::Lars, "lars"));
//! assert!(config.set_string("optimiser", "adam").unwrap_err().message().contains("expected one of sgd, lars"));
//! # Ok::<(), seed::Error>(())
//! ```

use crate::error::{Error, ErrorKind, Result};

/// A value that is one of a few words.
pub trait Choice {
    /// Its word.
    fn word(&self) -> &'static str;

    /// Becomes what `word` says; `key` is the setting's name.
    ///
    /// # Errors
    /// `Config` for another word; lists those that there are, and nothing has changed.
    fn set(&mut self, key: &str, word: &str) -> Result<()>;
}

/// The refusal of a word that is none of `words`.
pub fn unknown(key: &str, word: &str, words: impl Iterator<Item = &'static str>) -> Error {
    let words: Vec<&str> = words.collect();
    Error::new(ErrorKind::Config, format!("{key} is \"{word}\", expected one of {}", words.join(", ")))
}

/// Makes an enum whose values are written as words: `Sgd = "sgd",`. `cargo xtask settings` reads these lists.
macro_rules! choice {
    ($(#[$about:meta])* pub enum $name:ident { $($(#[$note:meta])* $value:ident = $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[$note])* #[serde(rename = $word)] $value,)+
        }

        impl $name {
            /// Every value.
            pub const ALL: &'static [$name] = &[$($name::$value),+];

            /// The word that settings and files write.
            pub const fn word(self) -> &'static str {
                match self {
                    $($name::$value => $word,)+
                }
            }

            /// The value of `word`, which `key` was set to.
            ///
            /// # Errors
            /// `Config` for another word; lists those that there are.
            pub fn parse(key: &str, word: &str) -> $crate::error::Result<$name> {
                let found = $name::ALL.iter().find(|value| value.word() == word);
                found.copied().ok_or_else(|| $crate::choice::unknown(key, word, $name::ALL.iter().map(|value| value.word())))
            }
        }

        impl $crate::choice::Choice for $name {
            fn word(&self) -> &'static str {
                $name::word(*self)
            }

            fn set(&mut self, key: &str, word: &str) -> $crate::error::Result<()> {
                *self = $name::parse(key, word)?;
                Ok(())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str($name::word(*self))
            }
        }
    };
}

pub(crate) use choice;
