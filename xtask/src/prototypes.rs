//! The functions and constants of include/seed.h, read back. cbindgen writes a regular header, so no C parser is needed:
//! without comments and directives, what has a parenthesis and is no typedef is a function.

use std::fs;

use crate::{Outcome, root};

/// One function: `seed_error *` `seed_queue_dim` (`const seed_queue *queue`, `size_t *out`).
pub struct Prototype {
    pub returns: String,
    pub name: String,
    /// Each as it is declared, its name last.
    pub parameters: Vec<String>,
}

impl Prototype {
    /// As C declares it, under another name where `name` says so; `(*name)` makes a pointer of it.
    pub fn declaration(&self, name: &str) -> String {
        let parameters = if self.parameters.is_empty() { "void".to_owned() } else { self.parameters.join(", ") };
        let space = if self.returns.ends_with('*') { "" } else { " " };
        format!("{}{space}{name}({parameters})", self.returns)
    }

    /// The names of the parameters, as a call passes them on.
    pub fn arguments(&self) -> String {
        self.parameters.iter().map(|parameter| last_word(parameter)).collect::<Vec<_>>().join(", ")
    }
}

/// The committed header.
pub fn header() -> Outcome<String> {
    fs::read_to_string(root().join("include/seed.h")).map_err(|error| format!("cannot read include/seed.h: {error}"))
}

/// Every function of the header, in its order.
pub fn functions(header: &str) -> Outcome<Vec<Prototype>> {
    let code: String = without_comments(header)
        .lines()
        .filter(|line| !line.starts_with('#') && !line.starts_with("extern \"C\"") && line.trim() != "}")
        .flat_map(|line| [line, "\n"])
        .collect();
    let mut found = Vec::new();
    for statement in code.split(';') {
        let statement = statement.split_whitespace().collect::<Vec<_>>().join(" ");
        if statement.starts_with("typedef") {
            continue;
        }
        let Some((head, rest)) = statement.split_once('(') else { continue };
        let head = head.trim_start_matches("SEED_MUST_USE").trim();
        let name = last_word(head);
        let parameters = rest.strip_suffix(')').filter(|parameters| !parameters.contains('('));
        let (Some(parameters), true) = (parameters, name.starts_with("seed_")) else {
            return Err(format!("include/seed.h: cannot read the function \"{statement}\""));
        };
        found.push(Prototype {
            returns: head[..head.len() - name.len()].trim().to_owned(),
            name: name.to_owned(),
            parameters: parameters.split(',').map(str::trim).filter(|one| *one != "void").map(str::to_owned).collect(),
        });
    }
    Ok(found)
}

/// The names of the header's numbers, such as SEED_ERROR_IO, without its version's.
pub fn constants(header: &str) -> Vec<&str> {
    header
        .lines()
        .filter_map(|line| line.strip_prefix("#define ")?.split_once(' '))
        .filter(|(name, value)| value.parse::<i64>().is_ok() && !name.starts_with("SEED_VERSION_"))
        .map(|(name, _)| name)
        .collect()
}

/// What `#define name NUMBER` says.
pub fn constant(header: &str, name: &str) -> Outcome<i64> {
    let value = header.lines().find_map(|line| line.strip_prefix("#define ")?.strip_prefix(name)?.strip_prefix(' '));
    value.and_then(|value| value.trim().parse().ok()).ok_or_else(|| format!("include/seed.h has no number {name}"))
}

fn without_comments(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("/*") {
        code += before;
        rest = after.split_once("*/").map_or("", |(_, after)| after);
    }
    code + rest
}

fn last_word(text: &str) -> &str {
    let end = text.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(0, |place| place + 1);
    &text[end..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_read_whole() {
        let header = header().unwrap();
        let mut names: Vec<String> = functions(&header).unwrap().into_iter().map(|function| function.name).collect();
        names.sort();
        let listed = fs::read_to_string(root().join("include/seed.sym")).unwrap();
        assert_eq!(names, listed.lines().collect::<Vec<_>>());
        let numbers = constants(&header);
        assert!(numbers.contains(&"SEED_OK") && numbers.contains(&"SEED_ABI_VERSION"), "{numbers:?}");
        assert!(!numbers.contains(&"SEED_MUST_USE") && !numbers.contains(&"SEED_VERSION_MINOR"), "{numbers:?}");
        assert_eq!(constant(&header, "SEED_ERROR_IO").unwrap(), 3);
    }

    #[test]
    fn a_function_is_taken_apart() {
        let header = "typedef void (*seed_f)(int32_t a);\n/* (x) */\nSEED_MUST_USE seed_error *seed_a(const char *const *b,\n\
                      \x20   size_t c);\nconst char *seed_version(void);\n";
        let found = functions(header).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].declaration("seed_a"), "seed_error *seed_a(const char *const *b, size_t c)");
        assert_eq!(found[0].arguments(), "b, c");
        assert_eq!(found[1].declaration("(*x)"), "const char *(*x)(void)");
    }
}
