//! Circles between files of `src`: no file names another that names it back, directly or through others.
//!
//! A name counts where its path leads through the file: `use super::queue::Queue`, `crate::distill::queue::Queue`. What a file takes from a
//! module around it (`super::Network`) does not: that module is the front of its room, whose business it is to name all in it. Tests
//! at the end of a file do not count either.

use std::collections::{BTreeMap, BTreeSet};

/// A module by its path from the crate's root; the root itself is empty.
type Module = Vec<String>;

/// Circles that stand: the files of each, and why.
const EXCEPTIONS: [(&[&str], &str); 2] = [
    (
        &["ffi/border", "ffi/error", "ffi/handle", "ffi/init"],
        "an error is a handle, and a handle's failure is an error",
    ),
    (
        &["train/distill", "train/looking", "train/losses", "train/record", "train/strategies", "train/world"],
        "parts of one run: each file has a part's state and what the run does with it",
    ),
];

/// What is wrong with `files`, their paths below src with their sources: circles that are no exception, and exceptions that are no circle.
pub fn violations(files: &[(String, String)]) -> Vec<String> {
    let found = circles(files);
    let excused = |circle: &[String]| EXCEPTIONS.iter().any(|(files, _)| circle == *files);
    let mut wrong: Vec<String> = found
        .iter()
        .filter(|circle| !excused(circle))
        .map(|circle| format!("these files name each other in a circle: {}", circle.join(", ")))
        .collect();
    let stands = |files: &[&str]| found.iter().any(|circle| circle == files);
    wrong.extend(EXCEPTIONS.iter().filter(|(files, _)| !stands(files)).map(|(files, _)| {
        format!(
            "xtask/src/circles.rs: {} are no circle any more, or another one; change the exception",
            files.join(", ")
        )
    }));
    wrong
}

/// The groups of files that name each other, each sorted.
fn circles(files: &[(String, String)]) -> Vec<Vec<String>> {
    let modules: BTreeSet<Module> = files.iter().map(|(path, _)| module(path)).collect();
    let edges: BTreeMap<Module, BTreeSet<Module>> = files
        .iter()
        .map(|(path, source)| {
            let own = module(path);
            let named = paths(source).into_iter().filter_map(|path| resolve(&own, &path, &modules));
            let named = named.filter(|other| !own.starts_with(other)).collect();
            (own, named)
        })
        .collect();
    let reach: BTreeMap<&Module, BTreeSet<&Module>> =
        edges.keys().map(|from| (from, reachable(from, &edges))).collect();
    let mut found: BTreeSet<Vec<String>> = BTreeSet::new();
    for (from, to) in &reach {
        let circle = to.iter().filter(|other| reach.get(**other).is_some_and(|back| back.contains(*from)));
        let circle: Vec<String> = circle.map(|module| module.join("/")).collect();
        if circle.len() > 1 {
            found.insert(circle);
        }
    }
    found.into_iter().collect()
}

fn reachable<'a>(from: &Module, edges: &'a BTreeMap<Module, BTreeSet<Module>>) -> BTreeSet<&'a Module> {
    let mut seen = BTreeSet::new();
    let mut open: Vec<&Module> = edges.get(from).into_iter().flatten().collect();
    while let Some(next) = open.pop() {
        if seen.insert(next) {
            open.extend(edges.get(next).into_iter().flatten());
        }
    }
    seen
}

/// "distill/bank/mod.rs" is the module `distill::bank`.
fn module(path: &str) -> Module {
    let path = path.trim_end_matches(".rs");
    path.strip_suffix("/mod").unwrap_or(path).split('/').map(str::to_owned).collect()
}

/// The deepest file that `path`, which stands in the file of `own`, leads through.
fn resolve(own: &Module, path: &[String], modules: &BTreeSet<Module>) -> Option<Module> {
    let mut base = own.clone();
    let mut rest = path;
    match rest.first()?.as_str() {
        "crate" => (base, rest) = (Module::new(), &rest[1..]),
        "self" => rest = &rest[1..],
        "super" => {
            while rest.first().is_some_and(|word| word == "super") {
                base.pop();
                rest = &rest[1..];
            }
        }
        _ => {}
    }
    let start = base.len();
    for word in rest {
        base.push(word.clone());
        if !modules.contains(&base) {
            base.pop();
            break;
        }
    }
    (base.len() > start).then_some(base)
}

/// Every path that a source names: those of its `use` items, and what begins with `crate`, `super` or `self` elsewhere.
fn paths(source: &str) -> Vec<Vec<String>> {
    let source = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or("");
    let code: String = source.lines().map(|line| line.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    let mut rest = code.as_str();
    while let Some(place) = rest.find("use ") {
        let starts_a_word = rest[..place].chars().next_back().is_none_or(|c| !c.is_alphanumeric() && c != '_');
        rest = &rest[place + "use ".len()..];
        if let (true, Some(end)) = (starts_a_word, rest.find(';')) {
            tree(&mut Vec::new(), &rest[..end], &mut found);
            rest = &rest[end..];
        }
    }
    for start in ["crate::", "super::", "self::"] {
        for (place, _) in code.match_indices(start) {
            if code[..place].chars().next_back().is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':') {
                let path: String =
                    code[place..].chars().take_while(|c| c.is_alphanumeric() || "_:".contains(*c)).collect();
                found.push(path.split("::").filter(|word| !word.is_empty()).map(str::to_owned).collect());
            }
        }
    }
    found
}

/// The paths of a tree of imports: `a::{b, c::{d, e as f}}` is a::b, a::c::d and a::c::e.
fn tree(before: &mut Vec<String>, text: &str, found: &mut Vec<Vec<String>>) {
    let text = text.trim();
    let depth = before.len();
    let (path, group) = match (text.find('{'), text.rfind('}')) {
        (Some(open), Some(close)) => (&text[..open], Some(&text[open + 1..close])),
        _ => (text.split(" as ").next().unwrap_or(text), None),
    };
    before.extend(path.split("::").map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned));
    match group {
        None => found.push(before.clone()),
        Some(group) => {
            let (mut level, mut start) = (0usize, 0);
            for (place, c) in group.char_indices() {
                match c {
                    '{' => level += 1,
                    '}' => level = level.saturating_sub(1),
                    ',' if level == 0 => {
                        tree(before, &group[start..place], found);
                        start = place + 1;
                    }
                    _ => {}
                }
            }
            if !group[start..].trim().is_empty() {
                tree(before, &group[start..], found);
            }
        }
    }
    before.truncate(depth);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(files: &[(&str, &str)]) -> Vec<Vec<String>> {
        circles(&files.iter().map(|&(path, source)| (path.to_owned(), source.to_owned())).collect::<Vec<_>>())
    }

    #[test]
    fn circles_are_found_through_groups_and_other_files() {
        let found = of(&[
            ("data/mod.rs", "mod a;\nmod b;\nmod c;\npub use a::A;"),
            ("data/a.rs", "use super::{b::{self, B}, d::D};"),
            ("data/b.rs", "fn f() -> crate::data::c::C { }"),
            ("data/c.rs", "pub(super) use super::a as other;\n"),
            ("data/d.rs", "use super::A;\nuse crate::error::Result;"),
        ]);
        assert_eq!(found, [["data/a", "data/b", "data/c"]]);
    }

    #[test]
    fn comments_tests_and_the_module_around_a_file_do_not_count() {
        let found = of(&[
            ("data/mod.rs", "pub use self::a::A;"),
            ("data/a.rs", "use super::lock;\n// use super::b::B;\nuse super::b::B;"),
            ("data/b.rs", "fn house_of(x: u8) {}\n#[cfg(test)]\nmod tests {\n    use super::super::a::A;\n}\n"),
        ]);
        assert!(found.is_empty(), "{found:?}");
    }
}
