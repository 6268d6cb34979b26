//! A student that starts from earlier weights instead of random ones: ImageNet's, another student's, a checkpoint of SEED's.
//!
//! The backbone is always taken. The head is taken where the file's has the same layers and widths, and else stays as it is: most
//! earlier weights have a classifier, or a projection to another teacher's width.

use std::path::Path;

use serde::Serialize;

use super::load;
use super::published::published;
use super::weights::{self, Side, StateDict};
use super::{Load, Network, fold_stem};
use crate::data::Input;
use crate::error::Result;

/// What [`start_from`] did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InitialWeights {
    /// Whose names the file had; see [`Published`](super::Published).
    pub layout: &'static str,
    /// What was taken off each name.
    pub prefix: String,
    /// Whether the head was taken as well.
    pub head: bool,
    /// Number of tensors that were copied.
    pub loaded: usize,
    /// Of these, how many came in another floating-point type than float32.
    pub converted: usize,
    /// Batch norms' counters that the file lacks and that start at 0.
    pub defaulted: Vec<String>,
    /// The file's tensors that were not used, heads among them.
    pub ignored: Vec<String>,
    /// What a caller should know about the file.
    pub warnings: Vec<String>,
}

/// Puts the weights of a file into `network`: all or nothing. Those of three channels are folded to one for a grey network;
/// `input` has the mean and deviation that they were trained with.
///
/// # Errors
/// Those of [`weights::read_side`] and [`published`]; they name the file, and the network is as it was.
pub fn start_from(network: &Network, path: &Path, input: &Input) -> Result<InitialWeights> {
    let state = weights::read_side(path, Side::Student)?;
    start_from_state(network, state, input).map_err(|error| error.context(path.display()))
}

fn start_from_state(network: &Network, state: StateDict, input: &Input) -> Result<InitialWeights> {
    let mut found = published(network.architecture(), state, Side::Student)?;
    found.state = fold_stem(network, found.state, input)?;
    let head = load::check(network, &found.state, Load::Everything).is_ok();
    let scope = if head { Load::Everything } else { Load::BackboneOnly };
    let report = network.load(&found.state, scope)?;
    log::info!(
        "{} tensors were taken over, {}",
        report.loaded,
        if head { "the head among them" } else { "and the head stayed as it was" }
    );
    let ignored = found.aside.into_iter().chain(report.ignored).collect();
    Ok(InitialWeights {
        warnings: found.warnings.list(),
        layout: found.layout,
        prefix: found.prefix,
        head: head && network.head() != super::Head::None,
        loaded: report.loaded,
        converted: report.converted,
        defaulted: report.defaulted,
        ignored,
    })
}
