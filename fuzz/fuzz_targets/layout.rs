//! Any names and shapes as the weights of some network: prefixes, layouts, heads, and the search for the network they are of.
//!
//! As a section of tests/golden/layouts.txt: a first line that names the architecture, then lines `name side,side,…`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seed::ErrorKind;
use seed::model::weights::{HostTensor, HostType, Side, StateDict};
use seed::model::{Architecture, published};

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let (first, names) = text.split_once('\n').unwrap_or((&text, ""));
    let all = Architecture::all();
    // Where the first line names none, its length chooses one.
    let named = first.split(' ').find_map(|word| all.iter().find(|architecture| architecture.name() == word));
    let architecture = *named.unwrap_or(&all[first.len() % all.len()]);
    let tensors = names.lines().take(2000).filter_map(|line| {
        let (name, sides) = line.rsplit_once(' ')?;
        let shape = sides.split(',').filter(|side| !side.is_empty()).map(|side| side.parse().ok());
        // Without bytes: names and shapes decide, and numbers would only take memory.
        let shape = shape.collect::<Option<_>>()?;
        Some((name.to_owned(), HostTensor { dtype: HostType::F32, shape, bytes: Vec::new() }))
    });
    let state = StateDict { tensors: tensors.collect(), ..StateDict::default() };
    let side = if first.len().is_multiple_of(2) { Side::Teacher } else { Side::Student };
    if let Err(error) = published(architecture, state, side) {
        let expected = [ErrorKind::Mismatch, ErrorKind::InvalidArgument, ErrorKind::OutOfMemory];
        assert!(expected.contains(&error.kind()), "{:?}: {error}", error.kind());
        assert!(error.message().len() < 1 << 20, "a message of {} bytes", error.message().len());
    }
});
