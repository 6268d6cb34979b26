//! Settings written as pairs `key=value` in one text, with quotes around values that need them.

use super::key::slot;
use super::{Config, Slot, wrong_kind};
use crate::error::{Error, ErrorKind, Result};

impl Config {
    /// Changes settings by pairs `key=value` with whitespace or commas between them: `"steps=200 learning_rate=0.1"`. A value that
    /// holds either is put in double quotes, in which `\"` and `\\` stand for a quote and a backslash.
    ///
    /// # Errors
    /// `Config` for a pair that is none, an unknown key or a bad value, and what [`Config::validate`] finds; then nothing has
    /// changed.
    pub fn parse(&mut self, text: &str) -> Result<()> {
        let mut changed = self.clone();
        let mut rest = text.trim_start_matches(is_between);
        while !rest.is_empty() {
            let (key, value, left) = pair(rest)?;
            changed.set_text(key, &value)?;
            rest = left;
        }
        changed.validate()?;
        *self = changed;
        Ok(())
    }

    /// Sets a key of any kind to what `text` says.
    fn set_text(&mut self, key: &str, text: &str) -> Result<()> {
        match slot(key)? {
            Slot::Word(_) | Slot::Text(_) => self.set_string(key, text),
            Slot::Int(..) | Slot::Side(..) | Slot::Float(..) => match (text.parse::<i128>(), text.parse::<f64>()) {
                (Ok(whole), _) => self.set_whole(key, whole),
                (_, Ok(float)) => self.set_float(key, float),
                _ => Err(wrong_kind(key, "a number", &format!("\"{text}\""))),
            },
        }
    }
}

fn is_between(character: char) -> bool {
    character.is_whitespace() || character == ','
}

/// Key and value of the pair that `text` begins with, and what follows it.
fn pair(text: &str) -> Result<(&str, String, &str)> {
    let no_pair = |reason: &str| {
        let shown: String = text.chars().take(40).collect();
        Error::new(
            ErrorKind::Config,
            format!("{reason} at \"{shown}\"; expected key=value, with whitespace or commas between pairs"),
        )
    };
    let end = text.find(|c| is_between(c) || c == '=').unwrap_or(text.len());
    let (key, rest) = text.split_at(end);
    let value = rest.trim_start().strip_prefix('=').ok_or_else(|| no_pair("there is no ="))?.trim_start();
    if key.is_empty() {
        return Err(no_pair("there is no key before ="));
    }
    let Some(quoted) = value.strip_prefix('"') else {
        let end = value.find(is_between).unwrap_or(value.len());
        if end == 0 {
            return Err(no_pair("there is no value"));
        }
        return Ok((key, value[..end].to_owned(), value[end..].trim_start_matches(is_between)));
    };
    let (mut found, mut characters) = (String::new(), quoted.char_indices());
    while let Some((place, character)) = characters.next() {
        match character {
            '"' => {
                let rest = &quoted[place + 1..];
                if rest.starts_with(|c| !is_between(c)) {
                    return Err(no_pair("something follows the quote"));
                }
                return Ok((key, found, rest.trim_start_matches(is_between)));
            }
            '\\' => match characters.next() {
                Some((_, escaped @ ('"' | '\\'))) => found.push(escaped),
                _ => return Err(no_pair("a backslash stands before neither a quote nor a backslash")),
            },
            other => found.push(other),
        }
    }
    Err(no_pair("the quote is not closed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_change_settings_together() {
        let mut config = Config::default();
        let text = "steps=200, learning_rate = 0.1\n\tdevice=cpu,checkpoint_path=\"a b, \\\"c\\\\\",batch_size=1e1,";
        config.parse(text).unwrap();
        assert_eq!((config.steps, config.learning_rate, config.batch_size), (200, 0.1, 10));
        assert_eq!((config.device.as_str(), config.checkpoint_path.as_str()), ("cpu", "a b, \"c\\"));
        config.parse(" , \n").unwrap();
        config.parse("checkpoint_path=\"\"").unwrap();
        assert_eq!(config.checkpoint_path, "");
        let before = config.clone();
        for (text, words) in [
            ("epochs=3 steps", "there is no ="),
            ("epochs=3 =4", "no key"),
            ("epochs=", "there is no value"),
            ("epochs=three", "epochs takes a number, found \"three\""),
            ("epochs=3 stepps=4", "the nearest known key is \"steps\""),
            ("epochs=3 device=\"cpu", "not closed"),
            ("epochs=3 device=\"cpu\"x", "follows the quote"),
            ("epochs=3 view.crop_scale_min=.9 view.crop_scale_max=.5", "expected min"),
        ] {
            let error = config.parse(text).unwrap_err();
            assert!(error.kind() == ErrorKind::Config && error.message().contains(words), "{error}");
            assert_eq!(config, before, "a refused text changes nothing");
        }
    }
}
