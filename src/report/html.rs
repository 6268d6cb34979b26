//! The page around the parts, and escaping.

use std::fmt::{Display, Formatter, Write as _};
use std::io::{self, Write};

const STYLE: &str = include_str!("style.css");

/// Text as it may stand between tags and in quoted attributes. Control characters, which HTML forbids, become spaces, and so do those
/// that turn the direction of writing: one in a file's name would turn around what stands behind it.
pub(super) fn escape(text: &str) -> Escaped<'_> {
    Escaped(text)
}

/// See [`escape`]; it is turned as it is written.
#[derive(Clone, Copy)]
pub(super) struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        let turned = |character: char| match character {
            '&' => Some("&amp;"),
            '<' => Some("&lt;"),
            '>' => Some("&gt;"),
            '"' => Some("&quot;"),
            '\'' => Some("&#39;"),
            control if control.is_control() => Some(" "),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => Some(" "),
            _ => None,
        };
        for character in self.0.chars() {
            match turned(character) {
                Some(text) => out.write_str(text)?,
                None => out.write_char(character)?,
            }
        }
        Ok(())
    }
}

/// What stands before the parts. The policy forbids every fetch, so that a mistake elsewhere cannot make the report call home.
pub(super) fn begin(title: &str, out: &mut dyn Write) -> io::Result<()> {
    let title = escape(title);
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta name=\"color-scheme\" content=\"light dark\"/>\n<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n\
         <body>\n<main>\n<h1>{title}</h1>\n"
    )
}

/// What stands behind them.
pub(super) fn end(out: &mut dyn Write) -> io::Result<()> {
    out.write_all(b"</main>\n</body>\n</html>\n")
}

#[cfg(test)]
mod tests {
    #[test]
    fn nothing_escapes_from_text() {
        let escape = |text: &str| super::escape(text).to_string();
        assert_eq!(escape("<a href=\"x\">'&\u{0}\n"), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;  ");
        assert_eq!(escape("τ = 0.07 — größer"), "τ = 0.07 — größer");
        assert_eq!(escape("gpj.\u{202e}exe\u{2066}"), "gpj. exe ");
    }
}
