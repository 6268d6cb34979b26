//! Where in a checkpoint the state dict lies.
//!
//! Training scripts save a dict with the weights under one key and the optimiser, the arguments and counters beside it. The
//! weights are looked for under [`nests`], in that order, and then at the level itself; a prefix `module.` that all names
//! share comes from DataParallel and is taken off once.

use std::collections::BTreeMap;

use super::Side;
use super::fault::{Checked, Fault};
use super::heap::TensorRef;
use super::heap::{Heap, Node, Value};
use super::limits::{MAX_LAYOUT_DEPTH, MAX_METADATA_TEXT, MAX_NAME};

/// Keys of moving averages of the weights. They come first, since they are what training scripts evaluate and publish: timm's loader
/// prefers them as well (`use_ema=True`).
const AVERAGES: &[&str] = &["state_dict_ema", "model_ema", "ema_state_dict", "params_ema"];

/// Keys under which a state dict is looked for then. A file with several gives the first.
const NESTS: &[&str] = &["state_dict", "model", "model_state_dict", "net", "module", "params", "weights"];

/// And after the sides: parts of a network that some keep by themselves.
const PARTS: &[&str] = &["backbone", "encoder"];

/// Keys of a file that an error lists.
const LISTED: usize = 20;

/// And these after them: DINO saves both, and then the wanted side comes first.
fn sides(side: Side) -> [&'static str; 2] {
    match side {
        Side::Teacher => ["teacher", "student"],
        Side::Student => ["student", "teacher"],
    }
}

fn nests(side: Side) -> impl Iterator<Item = &'static str> {
    let all = AVERAGES.iter().chain(NESTS).copied();
    all.chain(sides(side)).chain(PARTS.iter().copied())
}

/// The tensors of the state dict by name, and the checkpoint's scalars as text.
pub(super) type Found<'a> = (Tensors<'a>, BTreeMap<String, String>);

/// The tensors of a state dict by name.
pub(super) type Tensors<'a> = BTreeMap<String, &'a TensorRef>;

/// Finds the state dict below `root`.
pub(super) fn find(heap: &Heap, root: Value, side: Side) -> Checked<Found<'_>> {
    let (under, mut tensors, metadata) = found(heap, root, side)?;
    if !under.is_empty() {
        log::info!("the state dict was found under {under}");
    }
    if let Some((average, plain)) = average_and_plain(heap, root) {
        log::info!(
            "the file holds {plain} and {average}, its moving average; the moving average is taken, as timm does"
        );
    }
    if !tensors.is_empty() && tensors.keys().all(|name| name.len() > "module.".len() && name.starts_with("module.")) {
        log::info!("the prefix \"module.\" of all {} names was taken off", tensors.len());
        tensors = tensors.into_iter().map(|(name, tensor)| (name["module.".len()..].to_owned(), tensor)).collect();
    }
    Ok((tensors, metadata))
}

/// As [`find`], with the names as they are, and the keys under which they lie, joined by dots.
pub(super) fn found(heap: &Heap, root: Value, side: Side) -> Checked<(String, Tensors<'_>, BTreeMap<String, String>)> {
    let Some(top) = heap.dict(root) else {
        return Err(match heap.node(root) {
            Some(Node::Opaque(name)) => whole_object(name),
            _ => Fault::new(format!("the checkpoint holds {}, not a state dict", heap.describe(root))),
        });
    };
    let mut path = Vec::new();
    let Some(state) = search(heap, top, side, MAX_LAYOUT_DEPTH, &mut path) else {
        // A dict whose "model" is a whole module is the usual reason.
        let object = nests(side).find_map(|nest| match heap.node(entry(heap, top, nest)?) {
            Some(Node::Opaque(name)) => Some(name),
            _ => None,
        });
        return Err(match object {
            Some(name) => whole_object(name),
            None => Fault::new(format!(
                "no tensors were found, neither at the top nor under {}; the file has {}",
                keys(side),
                listed(heap, top)
            )),
        });
    };
    Ok((path.join("."), named(heap, state)?, scalars(heap, top)))
}

/// The keys of a moving average and of the plain weights beside it, where the outermost dict has both.
fn average_and_plain(heap: &Heap, root: Value) -> Option<(&'static str, &'static str)> {
    let top = heap.dict(root)?;
    let has = |key: &&&str| {
        let dict = entry(heap, top, key).and_then(|value| heap.dict(value));
        dict.is_some_and(|dict| !dict.is_empty())
    };
    Some((AVERAGES.iter().find(has)?, NESTS.iter().find(has)?))
}

/// What a dict has under which keys, for a person who looks for the weights.
fn listed(heap: &Heap, dict: &[(Value, Value)]) -> String {
    let short = |text: &str| text.chars().take(60).collect::<String>();
    let shown = dict.iter().take(LISTED).map(|&(key, value)| {
        let name = heap.text(key).map_or_else(|| heap.describe(key), |text| format!("{:?}", short(text)));
        match heap.dict(value) {
            Some(inner) => {
                let names: Vec<String> = inner
                    .iter()
                    .take(3)
                    .filter_map(|&(key, _)| Some(format!("{:?}", short(heap.text(key)?))))
                    .collect();
                let more = if inner.len() > names.len() { ", …" } else { "" };
                format!("{name} (a dict of {}: {}{more})", inner.len(), names.join(", "))
            }
            None => format!("{name} ({})", heap.describe(value)),
        }
    });
    let mut shown: Vec<String> = shown.collect();
    if dict.len() > LISTED {
        shown.push(format!("and {} more", dict.len() - LISTED));
    }
    if shown.is_empty() { "no keys".to_owned() } else { format!("the keys {}", shown.join(", ")) }
}

fn keys(side: Side) -> String {
    nests(side).collect::<Vec<_>>().join(", ")
}

fn whole_object(name: &str) -> Fault {
    Fault::new(format!(
        "it holds a whole pickled object of {name}, which only its own Python code can rebuild; save model.state_dict() instead"
    ))
}

/// The entries of the dict that holds the weights: nested ones win over the level itself, whose tensors may be a loss.
fn search<'a>(
    heap: &'a Heap,
    dict: &'a [(Value, Value)],
    side: Side,
    depth: usize,
    path: &mut Vec<&'static str>,
) -> Option<&'a [(Value, Value)]> {
    if depth > 0 {
        for nest in nests(side) {
            if let Some(inner) = entry(heap, dict, nest).and_then(|value| heap.dict(value)) {
                path.push(nest);
                if let Some(found) = search(heap, inner, side, depth - 1, path) {
                    return Some(found);
                }
                path.pop();
            }
        }
    }
    let is_tensor =
        |&(key, value): &(Value, Value)| heap.text(key).is_some() && matches!(heap.node(value), Some(Node::Tensor(_)));
    dict.iter().any(is_tensor).then_some(dict)
}

/// What stands under a key; the last one counts, as in Python.
fn entry(heap: &Heap, dict: &[(Value, Value)], key: &str) -> Option<Value> {
    dict.iter().rev().find(|&&(candidate, _)| heap.text(candidate) == Some(key)).map(|&(_, value)| value)
}

/// The tensors of a dict. Other values are left out, but not a tensor of a kind that is not understood.
fn named<'a>(heap: &'a Heap, state: &[(Value, Value)]) -> Checked<BTreeMap<String, &'a TensorRef>> {
    let mut tensors = BTreeMap::new();
    for &(key, value) in state {
        let Some(name) = heap.text(key) else { continue };
        if name.len() > MAX_NAME {
            return Err(Fault::new(format!("a tensor's name has {} bytes; at most {MAX_NAME} are read", name.len())));
        }
        match heap.node(value) {
            Some(Node::Tensor(tensor)) => drop(tensors.insert(name.to_owned(), &**tensor)),
            Some(Node::Opaque(kind)) if kind.starts_with("torch.") && kind.contains("_rebuild") => {
                return Err(Fault::new(format!("tensor {name:?} is made by {kind}, which is not read")));
            }
            _ => log::debug!("{name:?} beside the weights is {} and is left out", heap.describe(value)),
        }
    }
    Ok(tensors)
}

/// Short scalars of the outermost dict, which often say the architecture and the epoch.
fn scalars(heap: &Heap, top: &[(Value, Value)]) -> BTreeMap<String, String> {
    let text = |value| match value {
        Value::Bool(value) => Some(value.to_string()),
        Value::Int(value) => Some(value.to_string()),
        Value::Float(value) => Some(value.to_string()),
        _ => heap.text(value).map(str::to_owned),
    };
    let short = |text: &String| text.len() <= MAX_METADATA_TEXT;
    let named = top.iter().filter_map(|&(key, value)| Some((heap.text(key)?.to_owned(), text(value)?)));
    named.filter(|(key, value)| short(key) && short(value)).collect()
}
