//! The crates that the library consists of, out of `cargo metadata`, and their licences: what each declares, and the texts
//! that it brings.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::{Outcome, cargo, root};

/// How files with a licence begin, in capitals.
const NAMES: [&str; 6] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"];

const HEAD: &str =
    "libseed is MIT or Apache-2.0. Its library contains the crates below, the standard library of Rust (MIT or
Apache-2.0), inline code of libtorch's headers (BSD-3-Clause), SQLite (public domain), and work of the Independent JPEG
Group. libtorch itself is not part of this package; its licence comes with it.
";

/// libseed and what `cargo metadata` knows below it.
pub struct Crates {
    version: String,
    /// Name and version, and the description of the package.
    below: BTreeMap<(String, String), Value>,
}

impl Crates {
    /// Asks cargo, for x86-64 Linux and without what only builds and tests need.
    pub fn read() -> Outcome<Self> {
        let mut command = cargo();
        command.args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--filter-platform",
            "x86_64-unknown-linux-gnu",
        ]);
        let output = command.current_dir(root()).output().map_err(|error| format!("cannot run cargo: {error}"))?;
        if !output.status.success() {
            return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim()));
        }
        let metadata = serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata: {error}"))?;
        Self::of(&metadata)
    }

    fn of(metadata: &Value) -> Outcome<Self> {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let packages: BTreeMap<String, Value> =
            list(&metadata["packages"]).into_iter().map(|package| (word(&package["id"]), package)).collect();
        let nodes: BTreeMap<String, Value> =
            list(&metadata["resolve"]["nodes"]).into_iter().map(|node| (word(&node["id"]), node)).collect();
        let libseed = packages.values().find(|package| package["name"] == "libseed");
        let libseed = libseed.ok_or("cargo metadata does not know libseed")?;
        let mut seen = BTreeSet::new();
        let mut open = vec![word(&libseed["id"])];
        while let Some(id) = open.pop() {
            if !seen.insert(id.clone()) {
                continue;
            }
            for dependency in list(&nodes[&id]["deps"]) {
                // A kind of null is a normal dependency; the others are for building and testing.
                if list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"].is_null()) {
                    open.push(word(&dependency["pkg"]));
                }
            }
        }
        seen.remove(&word(&libseed["id"]));
        let below = seen.iter().filter_map(|id| packages.get(id));
        let below =
            below.map(|package| ((word(&package["name"]), word(&package["version"])), package.clone())).collect();
        Ok(Self { version: word(&libseed["version"]), below })
    }

    /// libseed's own version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The file third-party.txt: a line for each crate, then each text once with the crates that bring it. A crate that
    /// declares nothing is refused.
    pub fn licences(&self) -> Outcome<String> {
        let mut text = HEAD.to_owned() + "\n";
        let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for ((name, version), package) in &self.below {
            let declared = package["license"].as_str().or(package["license_file"].as_str());
            let declared = declared.ok_or_else(|| format!("the crate {name} {version} declares no licence"))?;
            text += &format!("{name} {version}: {declared}");
            if let Some(place) = package["repository"].as_str() {
                text += &format!(" ({place})");
            }
            text += "\n";
            let manifest = word(&package["manifest_path"]);
            for licence in licence_files(Path::new(&manifest))? {
                texts.entry(licence).or_default().push(name.clone());
            }
        }
        for (licence, names) in texts {
            let names: BTreeSet<String> = names.into_iter().collect();
            let names: Vec<String> = names.into_iter().collect();
            text += &format!("\n{}\n{}\n\n{licence}\n", "-".repeat(100), names.join(", "));
        }
        Ok(text)
    }
}

/// The texts beside a crate's manifest.
fn licence_files(manifest: &Path) -> Outcome<Vec<String>> {
    let folder = manifest.parent().ok_or_else(|| format!("{} has no folder", manifest.display()))?;
    let entries = fs::read_dir(folder).map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    let mut texts = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().to_uppercase()).unwrap_or_default();
        if path.is_file() && NAMES.iter().any(|start| name.starts_with(start)) {
            let text = fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
            texts.push(text.replace("\r\n", "\n").trim().to_owned());
        }
    }
    Ok(texts)
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(declared: &str) -> Value {
        let folder = root();
        let package = |name: &str, licence: &str| {
            format!(
                "{{\"id\": \"{name}\", \"name\": \"{name}\", \"version\": \"1.2.3\", \"license\": {licence}, \
                 \"manifest_path\": \"{}/Cargo.toml\"}}",
                folder.display()
            )
        };
        let packages =
            [package("libseed", "\"MIT\""), package("used", declared), package("builder", "null")].join(", ");
        let nodes = "{\"id\": \"libseed\", \"deps\": [{\"pkg\": \"used\", \"dep_kinds\": [{\"kind\": \"dev\"}, {\"kind\": \
                     null}]}, {\"pkg\": \"builder\", \"dep_kinds\": [{\"kind\": \"build\"}]}]}, {\"id\": \"used\", \
                     \"deps\": []}";
        serde_json::from_str(&format!("{{\"packages\": [{packages}], \"resolve\": {{\"nodes\": [{nodes}]}}}}")).unwrap()
    }

    #[test]
    fn what_ships_is_listed_with_its_texts() {
        let crates = Crates::of(&metadata("\"0BSD\"")).unwrap();
        assert_eq!(crates.version(), "1.2.3");
        let text = crates.licences().unwrap();
        assert!(text.contains("used 1.2.3: 0BSD\n") && text.contains("Permission is hereby granted"), "{text}");
        assert!(!text.contains("builder"), "{text}");
    }

    #[test]
    fn a_crate_without_a_licence_is_refused() {
        let error = Crates::of(&metadata("null")).unwrap().licences().unwrap_err();
        assert!(error.contains("used 1.2.3 declares no licence"), "{error}");
    }
}
