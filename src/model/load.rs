//! Weights into a network and out of it.
//!
//! Loading first compares every key, shape and type, then converts every tensor, and only then writes: a file that does
//! not fit changes nothing.

use std::collections::HashSet;

use tch::{Kind, Tensor};

use super::names::nearest;
use super::params::{Entry, Role};
use super::vit::square_grid;
use super::weights::{HostTensor, HostType, StateDict};
use super::{Architecture, Head, Network};
use crate::error::{Error, Result};
use crate::sys::memory::{filled, room};
use crate::torch::each_on_host;

/// How many misfits of one sort an error lists.
const LISTED: usize = 10;

/// Which part of a network must be in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// Backbone and head.
    Everything,
    /// The backbone; the network's head stays as it is and the file's is not looked at.
    BackboneOnly,
}

/// What a successful load did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Number of tensors copied.
    pub loaded: usize,
    /// Keys of heads in the file that this network has no use for.
    pub ignored: Vec<String>,
    /// `num_batches_tracked` counters that the file lacks (torch before 0.4.1) and that start at 0.
    pub defaulted: Vec<String>,
    /// Number of tensors converted to float32 from another floating-point type.
    pub converted: usize,
}

pub(crate) fn load(network: &Network, state: &StateDict, scope: Load) -> Result<LoadReport> {
    let plan = plan(network, state, scope)?;
    let _guard = tch::no_grad_guard();
    let staged: Vec<Tensor> = plan.copies.iter().map(|&(entry, found)| stage(entry, found)).collect::<Result<_>>()?;
    for ((entry, _), values) in plan.copies.iter().zip(&staged) {
        entry.tensor.shallow_clone().f_copy_(values)?;
    }
    for entry in &plan.defaulted {
        let _same = entry.tensor.shallow_clone().f_zero_()?;
    }
    Ok(LoadReport {
        loaded: plan.copies.len(),
        ignored: plan.ignored,
        defaulted: plan.defaulted.iter().map(|entry| entry.name.clone()).collect(),
        converted: plan.copies.iter().filter(|(entry, found)| is_float(entry) && found.dtype != HostType::F32).count(),
    })
}

/// The checks of [`load`] alone: nothing is written.
pub(crate) fn check(network: &Network, state: &StateDict, scope: Load) -> Result<()> {
    plan(network, state, scope).map(drop)
}

/// What will be copied where; made only if everything fits.
struct Plan<'a> {
    copies: Vec<(&'a Entry, &'a HostTensor)>,
    defaulted: Vec<&'a Entry>,
    ignored: Vec<String>,
}

fn plan<'a>(network: &'a Network, state: &'a StateDict, scope: Load) -> Result<Plan<'a>> {
    let architecture = network.architecture();
    let mut plan = Plan { copies: Vec::new(), defaulted: Vec::new(), ignored: Vec::new() };
    let mut misfits = Misfits::default();
    let mut wanted = HashSet::new();
    for entry in network.entries() {
        if scope == Load::BackboneOnly && head_of(architecture, &entry.name).is_some() {
            continue;
        }
        wanted.insert(entry.name.as_str());
        match state.tensors.get(&entry.name) {
            None if entry.name.ends_with(".num_batches_tracked") => plan.defaulted.push(entry),
            None => misfits.missing.push((&entry.name, entry.tensor.size())),
            Some(found) => match misfit(entry, found) {
                None => plan.copies.push((entry, found)),
                Some(reason) => misfits.unequal.push((&entry.name, reason)),
            },
        }
    }
    let own = match (scope, network.head()) {
        (Load::BackboneOnly, _) | (_, Head::None) => None,
        (_, Head::Classifier { .. }) => Some(HeadKind::Classifier),
        (_, Head::Projection { .. } | Head::NormedProjection { .. } | Head::LinearProjection { .. }) => {
            Some(HeadKind::Projection)
        }
    };
    for (name, found) in &state.tensors {
        if wanted.contains(name.as_str()) {
            continue;
        }
        let head = head_of(architecture, name);
        if head.is_some() && head != own {
            plan.ignored.push(name.clone());
        } else {
            misfits.unexpected.push((name, &found.shape));
        }
    }
    if misfits.is_empty() { Ok(plan) } else { Err(misfits.into_error(architecture)) }
}

/// The two kinds of head whose keys are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HeadKind {
    Classifier,
    Projection,
}

fn head_of(architecture: Architecture, name: &str) -> Option<HeadKind> {
    let below = |module: &str| name.strip_prefix(module).is_some_and(|rest| rest.starts_with('.'));
    if below("projection") {
        Some(HeadKind::Projection)
    } else if below(architecture.family().classifier_key) {
        Some(HeadKind::Classifier)
    } else {
        None
    }
}

fn is_float(entry: &Entry) -> bool {
    // The counters are the only tensors that are not float32.
    entry.role == Role::Parameter || !entry.name.ends_with(".num_batches_tracked")
}

/// Why `found` cannot become `entry`, if it cannot.
fn misfit(entry: &Entry, found: &HostTensor) -> Option<String> {
    let expected = entry.tensor.size();
    let same_shape = same(&expected, &found.shape);
    let floating = matches!(found.dtype, HostType::F32 | HostType::F64 | HostType::F16 | HostType::BF16);
    let integer = matches!(found.dtype, HostType::I64 | HostType::I32);
    if is_float(entry) {
        if !same_shape {
            Some(format!("expected {expected:?}, found {:?}{}", found.shape, why_no_grid(&entry.name, &found.shape)))
        } else if !floating {
            Some(format!("expected a floating-point type, found {:?}", found.dtype))
        } else {
            None
        }
    } else if found.shape.iter().any(|&side| side != 1) {
        Some(format!("expected one number, found {:?}", found.shape))
    } else if !integer {
        Some(format!("expected an integer type, found {:?}", found.dtype))
    } else {
        None
    }
}

/// What a person cannot see in the shape of a Vision Transformer's positions.
fn why_no_grid(name: &str, found: &[usize]) -> String {
    match *found {
        [1, count, _] if name == "pos_embed" && square_grid(count).is_none() => format!(
            ": {count} positions are no square grid of patches, with the class token's or without; \
             images that are not square are taken all the same, but positions must be those of a square one"
        ),
        _ => String::new(),
    }
}

fn same(expected: &[i64], found: &[usize]) -> bool {
    let equal = |(&side, &other): (&i64, &usize)| usize::try_from(side) == Ok(other);
    expected.len() == found.len() && expected.iter().zip(found).all(equal)
}

/// The values of `found` with the shape, type and device of `entry`, beside it in memory.
fn stage(entry: &Entry, found: &HostTensor) -> Result<Tensor> {
    let values = found.to_tensor().map_err(|error| error.context(&entry.name))?;
    let kind = if is_float(entry) { Kind::Float } else { Kind::Int64 };
    let values = values.f_to_kind(kind)?.f_reshape(entry.tensor.size())?;
    Ok(values.f_to_device(entry.tensor.device())?)
}

/// Everything that keeps a file from fitting.
#[derive(Default)]
struct Misfits<'a> {
    missing: Vec<(&'a str, Vec<i64>)>,
    unexpected: Vec<(&'a str, &'a [usize])>,
    unequal: Vec<(&'a str, String)>,
}

impl Misfits<'_> {
    fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.unequal.is_empty()
    }

    fn into_error(self, architecture: Architecture) -> Error {
        let mut parts = Vec::new();
        if !self.missing.is_empty() {
            let list = listed(&self.missing, |(name, shape)| {
                // A tensor of the same shape is more probably the one that is missed.
                let equal = self.unexpected.iter().filter(|(_, found)| same(shape, found)).map(|&(other, _)| other);
                let near = nearest(name, equal);
                let near = near.or_else(|| nearest(name, self.unexpected.iter().map(|&(other, _)| other)));
                let hint = near.map(|near| format!(" (nearest in the file: {near})")).unwrap_or_default();
                format!("{name} {shape:?}{hint}")
            });
            parts.push(format!("{} missing: {list}", self.missing.len()));
        }
        if !self.unexpected.is_empty() {
            let list = listed(&self.unexpected, |(name, shape)| format!("{name} {shape:?}"));
            parts.push(format!("{} unexpected: {list}", self.unexpected.len()));
        }
        if !self.unequal.is_empty() {
            let list = listed(&self.unequal, |(name, reason)| format!("{name} ({reason})"));
            parts.push(format!("{} of another shape or type: {list}", self.unequal.len()));
        }
        let names = self.missing.iter().map(|(name, _)| *name).chain(self.unexpected.iter().map(|(name, _)| *name));
        let mut names = names.chain(self.unequal.iter().map(|(name, _)| *name));
        let hint = if names.all(|name| head_of(architecture, name).is_some()) {
            "; the backbone fits, so load the backbone only to keep the network's own head"
        } else {
            ""
        };
        Error::mismatch(format!("weights do not fit {architecture}: {}{hint}", parts.join("; ")))
    }
}

fn listed<T>(items: &[T], show: impl Fn(&T) -> String) -> String {
    let mut shown: Vec<String> = items.iter().take(LISTED).map(show).collect();
    if items.len() > LISTED {
        shown.push(format!("and {} more", items.len() - LISTED));
    }
    shown.join(", ")
}

pub(crate) fn to_state(network: &Network) -> Result<Vec<(String, HostTensor)>> {
    let _guard = tch::no_grad_guard();
    let mut state = room(network.entries().len(), "a table of weights")?;
    let entries = network.entries();
    let tensors: Vec<Tensor> = entries.iter().map(|entry| entry.tensor.shallow_clone()).collect();
    each_on_host(&tensors, |number, values| {
        let entry = &entries[number];
        state.push((entry.name.clone(), to_host(entry, &values)?));
        Ok(())
    })?;
    Ok(state)
}

/// The numbers of `entry`, which are `values` on the host.
fn to_host(entry: &Entry, values: &Tensor) -> Result<HostTensor> {
    let (dtype, kind) = if is_float(entry) { (HostType::F32, Kind::Float) } else { (HostType::I64, Kind::Int64) };
    let values = values.f_detach()?.f_to_kind(kind)?.f_contiguous()?;
    let elements = values.numel();
    let mut bytes = filled(0u8, elements * kind.elt_size_in_bytes(), "a tensor of weights")?;
    values.f_copy_data_u8(&mut bytes, elements)?;
    // A tensor's sides are never negative.
    let shape = values.size().iter().map(|&side| side as usize).collect();
    Ok(HostTensor { dtype, shape, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_known_by_their_keys() {
        use Architecture::{MobileNetV2, MobileNetV3Small, ResNet50};
        assert_eq!(head_of(ResNet50, "fc.weight"), Some(HeadKind::Classifier));
        assert_eq!(head_of(ResNet50, "fc.2.weight"), Some(HeadKind::Classifier));
        assert_eq!(head_of(ResNet50, "fcn.weight"), None);
        assert_eq!(head_of(MobileNetV2, "classifier.1.bias"), Some(HeadKind::Classifier));
        assert_eq!(head_of(MobileNetV3Small, "classifier.0.bias"), None);
        assert_eq!(head_of(MobileNetV3Small, "classifier.3.bias"), Some(HeadKind::Classifier));
        assert_eq!(head_of(MobileNetV2, "projection.2.bias"), Some(HeadKind::Projection));
    }
}
