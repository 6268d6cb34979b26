//! `cargo xtask settings`: docs/settings.md from the list of keys, the fields behind them and their defaults.
//!
//! A key's kind, bounds and place stand in src/config/key.rs and its like, its default and its sentence at the field: once each.

use std::collections::BTreeMap;
use std::fs;

use crate::{Outcome, root};

const PAGE: &str = "docs/settings.md";

/// A part of the configuration: the file of its keys, the file of its fields, and how keys name it.
struct Part {
    title: &'static str,
    about: &'static str,
    keys: &'static str,
    fields: &'static str,
    /// What stands before a field in a key's place.
    place: &'static str,
    /// Its field in a checkpoint's settings; empty where each key is one.
    whole: &'static str,
}

const PARTS: [Part; 16] = [
    Part {
        title: "Runs and sessions",
        about: "",
        keys: "src/config/key.rs",
        fields: "src/config.rs",
        place: "c.",
        whole: "",
    },
    Part {
        title: "Images",
        about: "[abi.md](abi.md#resize-what-the-network-sees-of-a-frame) explains `resize`.",
        keys: "src/config/key.rs",
        fields: "src/data/input.rs",
        place: "c.view.input.",
        whole: "view",
    },
    Part {
        title: "Views",
        about: "The random views of a training step. The defaults are MoCo-v2's.",
        keys: "src/config/key.rs",
        fields: "src/data/augment.rs",
        place: "c.view.",
        whole: "view",
    },
    Part {
        title: "Depth",
        about: "[abi.md](abi.md#cameras-with-more-than-8-bits) has the details.",
        keys: "src/config/range.rs",
        fields: "src/data/range.rs",
        place: "c.view.input.range.",
        whole: "view",
    },
    Part {
        title: "Image files",
        about: "[abi.md](abi.md#image-files) has the details.",
        keys: "src/config/key.rs",
        fields: "src/data/files.rs",
        place: "c.files.",
        whole: "files",
    },
    Part {
        title: "Region of interest",
        about: "[abi.md](abi.md#region-of-interest) has the details.",
        keys: "src/config/key.rs",
        fields: "src/data/roi.rs",
        place: "c.view.input.roi.",
        whole: "view",
    },
    Part {
        title: "Tiles",
        about: "[anomaly.md](anomaly.md#frames-larger-than-the-networks-input) says what they do.",
        keys: "src/config/tile.rs",
        fields: "src/data/tiles.rs",
        place: "c.tile.",
        whole: "tile",
    },
    Part {
        title: "The probe",
        about: "[distil.md](distil.md#the-probe-does-the-run-work) explains it.",
        keys: "src/config/probe.rs",
        fields: "src/config/probe.rs",
        place: "c.probe.",
        whole: "probe",
    },
    Part {
        title: "Engines",
        about: "[engines.md](engines.md) has the details.",
        keys: "src/config/engine.rs",
        fields: "src/config/engine.rs",
        place: "c.engine.",
        whole: "engine",
    },
    Part {
        title: "Single methods",
        about: "[distil.md](distil.md#methods) describes all methods.",
        keys: "src/config/methods.rs",
        fields: "src/config/methods.rs",
        place: "c.methods.",
        whole: "methods",
    },
    Part {
        title: "Fine-tuning",
        about: "[finetune.md](finetune.md) has the details.",
        keys: "src/config/finetune.rs",
        fields: "src/config/finetune.rs",
        place: "c.finetune.",
        whole: "finetune",
    },
    Part {
        title: "Linear probe by SGD",
        about: "[finetune.md](finetune.md#protocols) explains how to use it.",
        keys: "src/config/linear.rs",
        fields: "src/config/linear.rs",
        place: "c.linear.",
        whole: "linear",
    },
    Part {
        title: "Anomaly detection",
        about: "[anomaly.md](anomaly.md) has the details.",
        keys: "src/config/anomaly.rs",
        fields: "src/config/anomaly.rs",
        place: "c.anomaly.",
        whole: "anomaly",
    },
    Part {
        title: "Segmentation",
        about: "[segment.md](segment.md) has the details.",
        keys: "src/config/segment.rs",
        fields: "src/config/segment.rs",
        place: "c.segment.",
        whole: "segment",
    },
    Part {
        title: "Small patches",
        about: "[distil.md](distil.md#small-patches) says what they cost and which methods do not support them.",
        keys: "src/config/small.rs",
        fields: "src/config/small.rs",
        place: "c.small.",
        whole: "small",
    },
    Part {
        title: "Patch similarity",
        about: "[distil.md](distil.md#patch-similarity) says what it learns and what it costs.",
        keys: "src/config/patch.rs",
        fields: "src/config/patch.rs",
        place: "c.patch.",
        whole: "patch",
    },
];

/// Files of the constants and choices that the list uses.
const CONSTANTS: [&str; 10] = [
    "src/config/words.rs",
    "src/config/methods.rs",
    "src/config/finetune.rs",
    "src/config/anomaly.rs",
    "src/data/augment.rs",
    "src/data/files.rs",
    "src/data/frame.rs",
    "src/data/geometry.rs",
    "src/data/range.rs",
    "src/data/tiles.rs",
];

/// Writes the page, or compares it.
pub fn run(check: bool) -> Outcome {
    let path = root().join(PAGE);
    let page = page(&|file| {
        let path = root().join(file);
        fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))
    })?;
    if !check {
        return fs::write(&path, page).map_err(|error| format!("cannot write {}: {error}", path.display()));
    }
    match fs::read_to_string(&path) {
        Ok(found) if found == page => Ok(()),
        _ => Err(format!("{PAGE} is not what the list of settings gives: run cargo xtask settings")),
    }
}

fn page(read: &dyn Fn(&str) -> Outcome<String>) -> Outcome<String> {
    let mut text = "# Settings\n\n\
         <!-- Made by `cargo xtask settings` from src/config; change it there. -->\n\n\
         Set these keys with `seed_config_set_int`, `_float`, `_string` or `seed_config_parse`. Unknown keys are refused with the nearest known key,\n\
         values out of bounds with the bounds. Defaults are the paper's if the paper gives them; [distil.md](distil.md) has presets for stations.\n\n\
         A resumed run must have the same settings, except for those marked \"free\", which control where and how fast it works, but not what it\n\
         computes.\n"
        .to_owned();
    let mut constants = String::new();
    for file in CONSTANTS {
        constants += &read(file)?;
    }
    let free = words(between(&read("src/config/free.rs")?, "FREE_SETTINGS: [&str; ", "];", "the free settings")?);
    for part in &PARTS {
        let (keys, fields) = (read(part.keys)?, read(part.fields)?);
        let (sentences, defaults) = (sentences(&fields), defaults(&fields)?);
        text += &format!("\n## {}\n", part.title);
        if !part.about.is_empty() {
            text += &format!("\n{}\n", part.about);
        }
        text += "\n| key | default | values | what it does | |\n|---|---|---|---|---|\n";
        for row in keys.lines().filter_map(|line| Row::of(line, part.place)) {
            let field = row.field.split('[').next().unwrap_or(row.field);
            let lacks = |what: &str| format!("{}: {field} of the key {} has no {what}", part.fields, row.key);
            let (kind, sentence) = sentences.get(field).ok_or_else(|| lacks("sentence"))?;
            let default = defaults.get(field).ok_or_else(|| lacks("default"))?;
            let default = element(default, row.field).ok_or_else(|| lacks("such element"))?;
            let default =
                value(&default, &constants).ok_or_else(|| lacks(&format!("default that I can read: {default}")))?;
            let values = row
                .values(kind, &constants)
                .ok_or_else(|| lacks(&format!("bounds that I can read: {}", row.bounds)))?;
            let stands_for = if part.whole.is_empty() { field } else { part.whole };
            let is_free = free.iter().any(|name| name == stands_for);
            let mark = if is_free { "free" } else { "" };
            text += &format!("| `{}` | {default} | {values} | {} | {mark} |\n", row.key, plain(sentence));
        }
    }
    Ok(text)
}

/// A row of the list.
struct Row<'a> {
    key: &'a str,
    kind: &'a str,
    /// The field, with the element of an array where it is one.
    field: &'a str,
    bounds: &'a str,
}

impl<'a> Row<'a> {
    /// `    ("key", Slot::Kind(|c| &mut c.field, bounds)),`, where the field lies in `place`.
    fn of(line: &'a str, place: &str) -> Option<Self> {
        let rest = line.trim().strip_prefix("(\"")?;
        let (key, rest) = rest.split_once("\", Slot::")?;
        let (kind, rest) = rest.split_once("(|c| &mut ")?;
        let rest = rest.strip_suffix(")),")?;
        let (field, bounds) = rest.split_once(", ").unwrap_or((rest, ""));
        let field = field.strip_prefix(place)?;
        (!field.contains('.')).then_some(Self { key, kind, field, bounds })
    }

    /// `kind` is the field's type.
    fn values(&self, kind: &str, constants: &str) -> Option<String> {
        match self.kind {
            "Text" => Some("text".to_owned()),
            "Word" => Some(quoted(&words(choices(kind, constants)?))),
            _ => {
                let (low, high) = self.bounds.split_once(", ")?;
                Some(format!("{} to {}", value(low, constants)?, value(high, constants)?))
            }
        }
    }
}

/// The type and the sentence of each public field, by its name.
fn sentences(source: &str) -> BTreeMap<String, (String, String)> {
    let mut found = BTreeMap::new();
    let mut sentence = String::new();
    for line in source.lines().map(str::trim) {
        if let Some(words) = line.strip_prefix("/// ") {
            sentence += if sentence.is_empty() { "" } else { " " };
            sentence += words;
        } else if let Some((name, kind)) = line.strip_prefix("pub ").and_then(|rest| rest.split_once(": ")) {
            if !sentence.is_empty() {
                let kind = kind.trim_end_matches(',').to_owned();
                found.entry(name.to_owned()).or_insert_with(|| (kind, std::mem::take(&mut sentence)));
            }
        } else if !line.starts_with("#[") {
            sentence.clear();
        }
    }
    found
}

/// What each field is by default, as the source has it.
fn defaults(source: &str) -> Outcome<BTreeMap<String, String>> {
    let body = source
        .split_once("impl Default for ")
        // Of the function's result first, then of the value.
        .and_then(|(_, rest)| rest.split_once("Self {")?.1.split_once("Self {"))
        .and_then(|(_, rest)| rest.split_once('}'))
        .ok_or("a part of the configuration has no defaults")?
        .0;
    // A small part has all of it in one line.
    let fields = body.replace("], ", "],\n").replace("\n            ", "\n");
    let mut found = BTreeMap::new();
    for line in fields.lines().flat_map(|line| if line.contains('[') { vec![line] } else { line.split(", ").collect() })
    {
        if let Some((name, value)) = line.trim().trim_end_matches(',').split_once(": ") {
            found.insert(name.to_owned(), value.to_owned());
        }
    }
    Ok(found)
}

/// Of `[a, b, c]` the element that `field[1]` asks for; otherwise all of it.
fn element(default: &str, field: &str) -> Option<String> {
    let Some((_, number)) = field.split_once('[') else { return Some(default.to_owned()) };
    let number: usize = number.trim_end_matches(']').parse().ok()?;
    default.trim_matches(['[', ']']).split(", ").nth(number).map(str::to_owned)
}

/// A value of the source as a person writes it.
fn value(source: &str, constants: &str) -> Option<String> {
    let source = source.trim();
    if source == "String::new()" {
        return Some("none".to_owned());
    }
    if let Some(text) = source.strip_prefix('"') {
        return text.split('"').next().map(str::to_owned);
    }
    if let Some((kind, chosen)) = source.split_once("::").filter(|(kind, _)| *kind != "i64") {
        let rest = choices(kind, constants)?.split_once(&format!(" {chosen} = "))?.1;
        return words(rest).into_iter().next();
    }
    if source == "i64::MAX as u64" {
        return Some("2⁶³ − 1".to_owned());
    }
    if let Some(power) = source.strip_prefix("1 << ") {
        let digits = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
        let power: Option<String> = power.chars().map(|digit| Some(digits[digit.to_digit(10)? as usize])).collect();
        return Some(format!("2{}", power?));
    }
    if let Some((above, below)) = source.split_once(" / ") {
        return Some(format!("{}/{}", above.trim_end_matches(".0"), below.trim_end_matches(".0")));
    }
    if source.starts_with(|c: char| c.is_ascii_uppercase()) {
        let rest = constants.split_once(&format!("const {source}: "))?.1;
        return value(rest.split_once("= ")?.1.split(';').next()?, constants);
    }
    let number = source.replace('_', "");
    number.parse::<f64>().ok()?;
    Some(number.strip_suffix(".0").unwrap_or(&number).replace('-', "−").replace("e−", "e-"))
}

/// The lines of the enum `name` that say its words.
fn choices<'a>(name: &str, constants: &'a str) -> Option<&'a str> {
    constants.split_once(&format!("pub enum {name} {{"))?.1.split("    }\n").next()
}

/// The quoted words of a list.
fn words(list: &str) -> Vec<String> {
    list.lines()
        .map(|line| line.split("//").next().unwrap_or(""))
        .flat_map(|line| line.split('"').skip(1).step_by(2))
        .map(str::to_owned)
        .collect()
}

fn quoted(words: &[String]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

fn between<'a>(text: &'a str, start: &str, end: &str, what: &str) -> Outcome<&'a str> {
    let rest = text.split_once(start).ok_or_else(|| format!("{what} are not where they were"))?.1;
    Ok(rest.split_once(end).ok_or_else(|| format!("{what} have no end"))?.0)
}

/// A sentence of the source without its links to other items; a bar would end the cell.
fn plain(sentence: &str) -> String {
    sentence.replace("[`", "`").replace("`]", "`").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_row_with_its_default_bounds_and_sentence() {
        let page = page(&|file| Ok(fs::read_to_string(root().join(file)).unwrap())).unwrap();
        for row in [
            "| `batch_size` | 256 | 1 to 65536 | Images a step, B. |  |",
            "| `queue_capacity` | 65536 | 1 to 2²⁸ |",
            "| `device` | auto | text |",
            "| `resize` | whole | `whole`, `letterbox`, `centre` |",
            "| `view.crop_ratio_min` | 3/4 | 0.01 to 100 |",
            "| `mean.g` | 0.456 | −10 to 10 |",
            "| `probe.every` | 0.05 | 0.001 to 1 |",
            "| `finetune.patience` | 8 | 0 to 1000000 |",
            "| `anomaly.confidence` | 0 | 0 to 0.999999 |",
        ] {
            assert!(page.contains(row), "{row} is not in\n{page}");
        }
        let files: std::collections::BTreeSet<&str> = PARTS.iter().map(|part| part.keys).collect();
        let keys: usize = files
            .into_iter()
            .map(|file| fs::read_to_string(root().join(file)).unwrap().matches("\", Slot::").count())
            .sum();
        assert_eq!(page.lines().filter(|line| line.starts_with("| `")).count(), keys);
        assert!(page.lines().any(|line| line.starts_with("| `nice`") && line.ends_with("| free |")));
        assert!(page.lines().any(|line| line.starts_with("| `seed`") && !line.ends_with("| free |")));
    }
}
