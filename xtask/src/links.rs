//! Links of the package's pages: those that lead to what is packed lead there, the others become plain words.
//!
//! A page says `[finetune.cpp](../examples/cpp/finetune.cpp)` for where it lies in the repository. In the package the file may lie
//! elsewhere (seed.hpp is in include/), or not at all (CONTRIBUTING.md). Inline links are all that the pages use; fenced blocks
//! and code spans are left alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::Outcome;

/// A link: the byte where it begins, its words, its target, and the byte behind it.
#[derive(Debug, PartialEq)]
struct Link<'a> {
    begin: usize,
    words: &'a str,
    target: &'a str,
    end: usize,
}

/// The page `text`, which lies at `from` in the repository and goes to `to` in the package, with its links led to where `packed` (place
/// in the repository → place in the package) has their targets.
pub fn lead(text: &str, from: &Path, to: &Path, packed: &BTreeMap<PathBuf, PathBuf>) -> String {
    let mut led = String::with_capacity(text.len());
    let mut done = 0;
    for link in links(text) {
        let (file, fragment) = split(link.target);
        if file.is_empty() || is_elsewhere(file) {
            continue;
        }
        led.push_str(&text[done..link.begin]);
        let known = below(from.parent().unwrap_or(Path::new("")), file).and_then(|file| packed.get(&file));
        match known {
            Some(place) => {
                let way = way(to.parent().unwrap_or(Path::new("")), place);
                led += &format!("[{}]({}{fragment})", link.words, way.display());
            }
            None => led.push_str(link.words),
        }
        done = link.end;
    }
    led + &text[done..]
}

/// What is wrong with the links of all pages below `prefix`: targets that are not there, and headings that a page does not have.
pub fn check(prefix: &Path, pages: &[PathBuf]) -> Outcome {
    let read =
        |page: &Path| fs::read_to_string(page).map_err(|error| format!("cannot read {}: {error}", page.display()));
    let mut wrong = Vec::new();
    for page in pages {
        let text = read(page)?;
        for link in links(&text) {
            let (file, fragment) = split(link.target);
            if is_elsewhere(file) {
                continue;
            }
            let target = if file.is_empty() { page.clone() } else { page.with_file_name("").join(file) };
            let name = page.strip_prefix(prefix).unwrap_or(page).display();
            if !target.exists() {
                wrong.push(format!("{name}: there is no {}", link.target));
            } else if target.extension().is_some_and(|end| end == "md")
                && !fragment.is_empty()
                && !headings(&read(&target)?).iter().any(|heading| fragment[1..] == *heading)
            {
                wrong.push(format!("{name}: {} has no such heading", link.target));
            }
        }
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(format!("links of the package that lead nowhere:\n{}", wrong.join("\n")))
    }
}

fn is_elsewhere(target: &str) -> bool {
    target.contains("://") || target.starts_with("mailto:")
}

/// A target's file and its fragment, `#` included.
fn split(target: &str) -> (&str, &str) {
    target.split_at(target.find('#').unwrap_or(target.len()))
}

/// `target`, relative to `folder`, without dots; none where it leads out of the repository.
fn below(folder: &Path, target: &str) -> Option<PathBuf> {
    let mut found = PathBuf::new();
    for part in folder.join(target).components() {
        match part {
            Component::Normal(name) => found.push(name),
            Component::ParentDir if !found.pop() => return None,
            Component::ParentDir | Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(found)
}

/// The relative way from a folder to a file, both below one root.
fn way(folder: &Path, file: &Path) -> PathBuf {
    let (from, to): (Vec<_>, Vec<_>) = (folder.components().collect(), file.components().collect());
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n(Component::ParentDir, from.len() - common);
    up.chain(to[common..].iter().copied()).collect()
}

/// The inline links of a page, outside of fenced blocks and code spans.
fn links(text: &str) -> Vec<Link<'_>> {
    let mut found = Vec::new();
    let (mut fenced, mut at) = (false, 0);
    for line in text.split_inclusive('\n') {
        let begin = at;
        at += line.len();
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            found.extend(links_of(line).map(|link| Link { begin: link.begin + begin, end: link.end + begin, ..link }));
        }
    }
    found
}

fn links_of(line: &str) -> impl Iterator<Item = Link<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let mut open = None;
        while let Some(character) = line[at..].chars().next() {
            let here = at;
            at += character.len_utf8();
            match (character, open) {
                ('`', _) => at = line[at..].find('`').map_or(line.len(), |length| at + length + 1),
                ('[', _) => open = Some(here),
                (']', Some(begin)) => {
                    let rest = line[at..].strip_prefix('(');
                    if let Some((target, _)) = rest.and_then(|rest| rest.split_once(')')) {
                        at += target.len() + 2;
                        return Some(Link { begin, words: &line[begin + 1..here], target, end: at });
                    }
                    open = None;
                }
                _ => {}
            }
        }
        None
    })
}

/// The headings' anchors, as GitHub makes them.
fn headings(text: &str) -> Vec<String> {
    let mut fenced = false;
    let heading = |line: &str| {
        fenced ^= line.trim_start().starts_with("```");
        let words = line.trim_start_matches('#');
        (!fenced && words.len() < line.len() && words.starts_with(' ')).then(|| {
            let kept = words.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.map(|c| if c == ' ' { '-' } else { c }).flat_map(char::to_lowercase).collect()
        })
    };
    text.lines().filter_map(heading).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# A page\n[one](../include/seed.h), [two](b.md#part-2) and [three](../src/lib.rs); [four](https://a.b/c).\n\
                        ```cpp\n[](const Progress &progress) {}\n```\n`[x](y.md)` [`five`](#a-page)[six](../../out.md)\n";

    #[test]
    fn links_lead_to_what_is_packed_and_the_others_are_words() {
        let packed = [("include/seed.h", "include/seed.h"), ("docs/b.md", "share/doc/docs/b.md")];
        let packed = packed.iter().map(|(from, to)| (PathBuf::from(from), PathBuf::from(to))).collect();
        let led = lead(PAGE, Path::new("docs/a.md"), Path::new("share/doc/docs/a.md"), &packed);
        assert_eq!(
            led,
            "# A page\n[one](../../../include/seed.h), [two](b.md#part-2) and three; [four](https://a.b/c).\n\
             ```cpp\n[](const Progress &progress) {}\n```\n`[x](y.md)` [`five`](#a-page)six\n"
        );
    }

    #[test]
    fn a_link_that_leads_nowhere_is_found() {
        let folder = std::env::temp_dir().join(format!("xtask-links-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let page = folder.join("a.md");
        fs::write(folder.join("b.md"), "# B\n## Part 2: `more`\n```\n# no heading\n```\n").unwrap();
        for (text, wrong) in [
            ("[a](b.md) [b](b.md#part-2-more) [c](#d)\n# D\n", None),
            ("[a](c.md)", Some("a.md: there is no c.md")),
            ("[a](b.md#no-heading)", Some("a.md: b.md#no-heading has no such heading")),
            ("[a](#d)", Some("a.md: #d has no such heading")),
            ("```\n[a](c.md)\n```\n", None),
        ] {
            fs::write(&page, text).unwrap();
            let found = check(&folder, std::slice::from_ref(&page));
            match wrong {
                None => assert_eq!(found, Ok(()), "{text}"),
                Some(words) => assert!(found.unwrap_err().contains(words), "{text}"),
            }
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
