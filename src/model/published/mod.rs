//! Weights as others publish them, brought to our names.
//!
//! ```text
//! file → state dict → place and layout (fit) → our names (layout) → our values (values) → head (beside) → whole or an error
//! ```
//!
//! Checkpoints wrap the network in trainers and parallel containers and put other things beside it: a key encoder, a queue,
//! prototypes, the other of teacher and student. The network is what lies under the prefix, and in the [`Layout`], that gives the
//! most of its tensors. What was recognised, taken off and left aside is said in the log, in a line each.
//!
//! ```
//! use seed::model::weights::{Side, StateDict};
//! use seed::model::{Architecture, Head, Network, published};
//! let network = Network::new(Architecture::MobileNetV3Small, Head::None, 1, tch::Device::Cpu)?;
//! let moco = network.to_state()?.into_iter().map(|(name, tensor)| (format!("module.encoder_q.{name}"), tensor));
//! let state = StateDict { tensors: moco.collect(), ..StateDict::default() };
//! let found = published(Architecture::MobileNetV3Small, state, Side::Teacher)?;
//! assert_eq!((found.layout, found.prefix.as_str()), ("torchvision", "module.encoder_q."));
//! assert!(found.state.tensors.contains_key("features.0.0.weight"));
//! # Ok::<(), seed::Error>(())
//! ```

mod beside;
mod fit;
mod hugging_face;
mod layout;
mod mobilenet_v2;
mod outline;
mod positions;
mod seed;
mod target;
mod timm;
mod transformer;
mod values;

use std::collections::BTreeMap;

use self::beside::Beside;
use self::fit::{Fit, MOST_TENSORS};
use self::outline::Outline;
use super::load;
use super::weights::{HostTensor, Side, StateDict};
use super::{Architecture, DEEPEST, Head, Load, Network};
use crate::error::{Error, ErrorKind, Result};
use crate::warnings::Warnings;

pub(crate) use self::fit::every_best;
pub(crate) use self::outline::Shapes;

/// Weights under our names, and what was done to get there.
#[derive(Debug)]
pub struct Published {
    /// The network that was asked for; of a Vision Transformer's teacher with the grid of positions that the file has.
    pub architecture: Architecture,
    /// The backbone, whole, and its head if the file has one that can be built.
    pub state: StateDict,
    /// Whose names the file has: "torchvision", "dino", "timm", "hugging_face", "dinov2_training", "mobilenet_v2_port" or
    /// "seed".
    pub layout: &'static str,
    /// What was taken off each name; empty or ending in a dot.
    pub prefix: String,
    /// The file's names of the tensors that were not used.
    pub aside: Vec<String>,
    /// What a caller should know: tensors that were not understood.
    pub warnings: Warnings,
}

/// The tensors of `state` that are one network of that architecture, under our names. Where it holds two networks of the
/// architecture, the one that `side` asks for.
///
/// # Errors
/// `Mismatch` where the file does not hold the whole backbone, or holds another: it lists the keys that are missing,
/// unexpected and of another shape with the nearest match, and names the architecture whose weights they are, if it is known.
/// `Format` for NaN and infinite numbers.
pub fn published(architecture: Architecture, state: StateDict, side: Side) -> Result<Published> {
    if state.tensors.len() > MOST_TENSORS {
        let found = state.tensors.len();
        return Err(Error::mismatch(format!(
            "{found} tensors, more than any network has; at most {MOST_TENSORS} are read"
        )));
    }
    let outline = Outline::of(&Network::shape_only(architecture, Head::None, 3)?);
    let shapes: Shapes<'_> =
        state.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.shape.as_slice())).collect();
    let Some(fit) = fit::best(&outline, &shapes, side) else {
        let examples: Vec<&str> = state.tensors.keys().take(5).map(String::as_str).collect();
        let hint = fit::hint(architecture, &shapes)?.map(|hint| format!("; {hint}")).unwrap_or_default();
        return Err(Error::mismatch(format!(
            "no weights of {architecture} among {} tensors (the first are: {}){hint}",
            state.tensors.len(),
            examples.join(", ")
        )));
    };
    // The hint needs all tensors, which are about to be consumed; a whole network needs no hint.
    let hint = if fit.is_whole() { None } else { fit::hint(architecture, &shapes)? };
    let warnings = Warnings::default();
    let moco = fit.is_moco_v1(&outline, &shapes);
    let (tensors, mut aside) = named(&outline, &fit, state.tensors)?;
    let mut tensors = values::adapted(&outline, fit.layout, tensors)?;
    let architecture = positions::settle(architecture, side, &mut tensors)?;
    if moco {
        let key = format!("{}{}", fit.prefix, architecture.family().classifier_key);
        beside::check_linear(&tensors, &key, architecture.feature_dim())?;
    }
    let head = beside::settle_projection(&mut tensors, architecture.feature_dim());
    if !head.is_empty() {
        let layers = head.join(", ");
        warnings.add(format!("the projection head ({layers}) cannot be built and is left aside: features are used"));
    }
    aside.extend(head);
    let state = StateDict { tensors, metadata: state.metadata };
    let network = Network::shape_only(architecture, Head::None, 3)?;
    load::check(&network, &state, Load::Everything).map_err(|error| match hint {
        Some(hint) => Error::mismatch(format!("{hint}, not of {architecture}: {}", error.message())),
        None => error,
    })?;
    check_finite(&state)?;
    let layout = fit.layout_name;
    log::info!("the names are those of {layout} for {architecture}");
    if !fit.prefix.is_empty() {
        log::info!("the prefix \"{}\" was taken off {} names", fit.prefix, state.tensors.len());
    }
    if !aside.is_empty() {
        log::info!("{} tensors were left aside: {}", aside.len(), groups(&fit.prefix, &aside));
    }
    let strangers: Vec<String> = aside.iter().filter(|name| !fit.knows(&outline, name)).cloned().collect();
    if !strangers.is_empty() {
        let count = strangers.len();
        let shown = groups(&fit.prefix, &strangers);
        warnings.add(format!("{count} tensors of the file were not understood and are not used: {shown}"));
    }
    Ok(Published { architecture, state, layout, prefix: fit.prefix, aside, warnings })
}

/// As [`published`] for a teacher, the weights alone.
///
/// # Errors
/// Those of [`published`].
pub fn published_names(architecture: Architecture, state: StateDict) -> Result<StateDict> {
    Ok(published(architecture, state, Side::Teacher)?.state)
}

/// Refuses numbers that are none: one NaN makes every embedding NaN.
fn check_finite(state: &StateDict) -> Result<()> {
    for (name, tensor) in &state.tensors {
        if !tensor.is_finite()? {
            return Err(Error::new(ErrorKind::Format, format!("{name} holds NaN or infinite numbers")));
        }
    }
    Ok(())
}

/// Tensors under our names, and the names of those that are left aside.
type Named = (BTreeMap<String, HostTensor>, Vec<String>);

/// The tensors below the place that was found, under our names.
fn named(outline: &Outline, fit: &Fit, tensors: BTreeMap<String, HostTensor>) -> Result<Named> {
    let (mut ours, mut thirds, mut aside) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    for (name, tensor) in tensors {
        let Some(rest) = name.strip_prefix(&fit.prefix) else {
            aside.push(name);
            continue;
        };
        let target = fit.layout.target(outline, rest);
        let known = target.as_ref().is_some_and(|target| outline.has(&target.name));
        match (target, beside::beside(outline.family, rest)) {
            (_, Some(Beside::Projection(layer))) if !known => {
                ours.insert(format!("projection.{layer}"), tensor);
            }
            (_, Some(Beside::Aside)) if !known => aside.push(name),
            (Some(target::Target { name: ours, third: Some(third) }), _) => {
                thirds.insert((ours, third), (rest.to_owned(), tensor));
            }
            (Some(target), _) => {
                // MoCo-v1's head stands where a classifier would.
                let target = match fit.head_of_moco_v1(outline, &target) {
                    Some(name) => target::Target { name, third: None },
                    None => target,
                };
                // Two of theirs for one of ours (a network saved twice under one prefix): neither can be preferred.
                if ours.insert(target.name.clone(), tensor).is_some() {
                    return Err(Error::mismatch(format!("two tensors of the file are {}; one is {name}", target.name)));
                }
            }
            // The check that follows calls it unexpected.
            (None, _) => drop(ours.insert(rest.to_owned(), tensor)),
        }
    }
    values::join_thirds(thirds, &mut ours);
    Ok((ours, aside))
}

/// How many tensors lie under each module that has nothing in common with the prefix, as "encoder_k (161), queue".
fn groups(prefix: &str, names: &[String]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for name in names {
        let mut rest = name.as_str();
        for part in prefix.split_terminator('.') {
            match rest.strip_prefix(part).and_then(|rest| rest.strip_prefix('.')) {
                Some(inner) => rest = inner,
                None => break,
            }
        }
        *counts.entry(rest.split('.').next().unwrap_or(rest)).or_default() += 1;
    }
    let shown = counts.iter().take(12).map(|(module, &count)| match count {
        1 => (*module).to_owned(),
        count => format!("{module} ({count})"),
    });
    let mut shown: Vec<String> = shown.collect();
    if counts.len() > shown.len() {
        shown.push(format!("and {} more", counts.len() - shown.len()));
    }
    shown.join(", ")
}

/// The head in a state under our names, if it has one.
pub(crate) fn projection_of(state: &StateDict) -> Option<Head> {
    let rows = |name: &str| match state.tensors.get(name)?.shape.as_slice() {
        &[rows, _] => i64::try_from(rows).ok(),
        _ => None,
    };
    let hidden = rows("projection.0.weight")?;
    let normed = (2..=DEEPEST)
        .rev()
        .find_map(|layers| Some((layers, rows(&format!("projection.{}.weight", 3 * (layers - 1)))?)));
    match normed {
        Some((layers, dim)) => Some(Head::NormedProjection { layers, hidden, dim }),
        None => match rows("projection.2.weight") {
            Some(dim) => Some(Head::Projection { hidden, dim }),
            None => Some(Head::LinearProjection { dim: hidden }),
        },
    }
}

#[cfg(test)]
mod tests;
