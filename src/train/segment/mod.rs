//! Dense transfer: a linear segmentation head on a student's feature maps, from few masks.
//!
//! ```text
//! frames with masks → cells (N, D), shares q (N, K), weights w (N) → logistic regression
//! L(W, b) = Σ_i w_i·Σ_c a_c·q_ic·(−log softmax(W·x_i + b)_c) / Σ_i w_i·Σ_c a_c·q_ic + ½·λ·‖W‖² / Σ_i …      a: the classes' weights
//! ```
//!
//! The backbone stays as it is. Features are brought to mean 0 and deviation 1 for the fit, and the layer back to features as they are; it
//! is convex, in float64 by L-BFGS. λ is the setting's, or the best on a fifth of the masks.

pub mod cells;
pub mod protocol;

use std::sync::Arc;

use serde_json::json;
use tch::Tensor;

use self::cells::{Cells, Masked, Source};
use super::cancel::CancelToken;
use super::finetune::linear::{Linear, Problem, Scale};
use super::finetune::split::split;
use super::pace::counted;
use crate::config::{ClassWeights, Config, FinetuneConfig};
use crate::data::{Dataset, FrameView, Input, Tile};
use crate::error::{Error, ErrorKind, Result};
use crate::eval::overlap::check_classes;
use crate::infer::anomaly::{prepare, stages};
use crate::infer::classifier::check_names;
use crate::infer::segmenter::{Segmenter, SegmenterHeader};
use crate::infer::{Session, SessionOptions};
use crate::model::Network;
use crate::model::student_file::StudentHeader;

/// Values of the penalty that are tried, strongest first.
const PENALTIES: [f64; 5] = [1e4, 1e3, 1e2, 1e1, 1e0];

/// The penalty where too few masks are there to choose one.
const USUAL_PENALTY: f64 = 100.0;

/// Masks from which on a fifth of them chooses the penalty.
const FEWEST_TO_CHOOSE: usize = 5;

/// Strides of the maps that are taken where none is named.
const STRIDES: [i64; 3] = [4, 8, 16];

/// Frames and their masks, as [`fit`] learns from them.
pub struct Frames<'a> {
    /// All frames.
    pub dataset: &'a Arc<Dataset>,
    /// A mask for each of them, or none.
    pub masks: &'a [Option<FrameView<'a>>],
    /// The classes' names by the masks' numbers, at least two; class 0 is the background.
    pub names: &'a [String],
}

/// Makes a segmenter of a copy of the backbone of `network`, whose images are made as `header` says, by the settings "segment.…", "seed",
/// "device", "precision", "duty_cycle" and "nice" of `config`. `progress` is told how many frames of how many went through the backbone, and
/// stops it by returning false; frames that are broken are left out.
///
/// # Errors
/// `InvalidArgument` for masks or names that do not fit, masks of fewer than two classes, or an unknown feature map; `Unsupported` for a
/// backbone that has none; `Cancelled`; `Mismatch` where the network gives NaN; those of [`Session::new`].
pub fn fit(
    network: &Network,
    header: &StudentHeader,
    config: &Config,
    frames: &Frames<'_>,
    cancel: &CancelToken,
    progress: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<Segmenter> {
    config.validate()?;
    check_names(frames.names)?;
    check_classes(frames.names.len())?;
    let masked = Masked { dataset: frames.dataset, masks: frames.masks };
    let chosen = masked.check(frames.names.len())?;
    let (parts, device) = parts(network, header, config, frames.dataset)?;
    let work = |told: &mut dyn FnMut(usize, usize) -> bool| learn(parts, config, masked, frames.names, &chosen, told);
    let made = counted(config, device, cancel, work, &mut |done, total| progress(done, total) && !cancel.wait().1)?;
    Ok(made.with_provenance(header.provenance.clone()))
}

/// A session of the backbone, the backbone and its header, and where it computes.
fn parts(
    network: &Network,
    header: &StudentHeader,
    config: &Config,
    dataset: &Dataset,
) -> Result<((Session, Network, StudentHeader), tch::Device)> {
    let options = SessionOptions::of(config, crate::infer::Output::Features)?;
    // The range of what is learned is the segmenter's from now on.
    let input = header.input;
    let roi = options.roi.unwrap_or(input.roi);
    let input = dataset.seen_by(&Input { range: options.range.unwrap_or(input.range), roi, ..input })?;
    let input = config.tile.seen(&input);
    Ok((prepare(network, &input, SessionOptions { range: None, roi: None, ..options })?, options.device))
}

/// The maps that `config` names.
fn layers(session: &Session, config: &Config) -> Vec<String> {
    let named = &config.segment.layers;
    if !named.is_empty() {
        return named.split(',').map(|name| name.trim().to_owned()).collect();
    }
    session.stages().iter().filter(|stage| STRIDES.contains(&stage.stride)).map(|stage| stage.name.clone()).collect()
}

/// Learns from the masks of the frames `chosen`.
fn learn(
    (session, network, student): (Session, Network, StudentHeader),
    config: &Config,
    masked: Masked<'_>,
    names: &[String],
    chosen: &[usize],
    told: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<Segmenter> {
    let settings = &config.segment;
    let classes = names.len();
    let layers = layers(&session, config);
    let stages = stages(&session, &layers)?;
    let most = usize::try_from(settings.cells_max).unwrap_or(usize::MAX);
    let of_frame = (most / chosen.len()).max(1);
    let tile = &config.tile;
    let source = Source { session: &session, stages: &stages, tile, classes, of_frame, seed: config.seed };
    // A fifth of the masks chooses the penalty.
    let labels: Vec<i32> = (0..masked.masks.len()).map(|number| masked.main_class(number, classes)).collect();
    let held_out = if settings.penalty == 0.0 && chosen.len() >= FEWEST_TO_CHOOSE { 0.2 } else { 0.0 };
    let parts = split(&labels, chosen, classes, &FinetuneConfig { held_out, ..FinetuneConfig::default() }, config.seed);
    let (mut done, total) = (0, chosen.len());
    let mut counted = |count: usize| {
        done += count;
        if told(done, total) { Ok(()) } else { Err(stopped()) }
    };
    let mut all = source.cells(masked, &parts.train, &mut counted)?;
    let judged = source.cells(masked, &parts.held_out, &mut counted)?;
    let mut stop = || !told(total, total);
    let penalty = match settings.penalty {
        0.0 if !judged.is_empty() && !all.is_empty() => {
            chosen_penalty(&all, &judged, classes, settings.class_weights, &mut stop)?
        }
        0.0 => USUAL_PENALTY,
        penalty => penalty,
    };
    all.append(&judged)?;
    if all.is_empty() {
        return Err(masked.dataset.nothing_to_read());
    }
    let sums = all.of_classes(classes);
    let present = sums.iter().filter(|&&sum| sum > 0.0).count();
    if present < 2 {
        return Err(Error::invalid(format!("the masks are of {present} class, expected at least 2 of {names:?}")));
    }
    let (problem, scale) = problem(&all, classes, settings.class_weights)?;
    let layer = solved(&problem, penalty, None, &mut stop)?.unscaled(&scale)?;
    let without: Vec<&String> = names.iter().zip(&sums).filter(|(_, sum)| **sum == 0.0).map(|(name, _)| name).collect();
    let training = json!({
        "library": concat!("libseed ", env!("CARGO_PKG_VERSION")),
        "masks": all.masks,
        "cells": all.len(),
        "penalty": penalty,
        "class_weights": settings.class_weights,
        "share": sums.iter().map(|sum| sum / sums.iter().sum::<f64>()).collect::<Vec<_>>(),
        "without": without,
    });
    let layers = stages.iter().map(|stage| stage.name.clone()).collect();
    let bias = unlearned(&layer.bias, &sums)?;
    let tile = if tile.is_none() { Tile::default() } else { *tile };
    let header = SegmenterHeader { names: names.to_vec(), layers, tile, training };
    Segmenter::of((session, network, student), header, (&layer.weight, &bias))
}

/// b, far below the others for a class that was never seen: nothing says when it should be given.
fn unlearned(bias: &Tensor, sums: &[f64]) -> Result<Tensor> {
    let low: Vec<f64> = sums.iter().map(|&sum| if sum > 0.0 { 0.0 } else { -1e6 }).collect();
    Ok(bias.f_add(&Tensor::f_from_slice(&low)?)?)
}

/// The weight of each class: 1, or so that all that occur weigh alike.
fn class_weights(cells: &Cells, classes: usize, kind: ClassWeights) -> Vec<f64> {
    if kind == ClassWeights::None {
        return vec![1.0; classes];
    }
    let sums = cells.of_classes(classes);
    let present = sums.iter().filter(|&&sum| sum > 0.0).count() as f64;
    let total: f64 = sums.iter().sum();
    sums.iter().map(|&sum| if sum > 0.0 { total / (present * sum) } else { 0.0 }).collect()
}

/// The problem on features of deviation 1, and their scale.
fn problem(cells: &Cells, classes: usize, kind: ClassWeights) -> Result<(Problem, Scale)> {
    let (features, shares, weights) = cells.tensors()?;
    let scale = Scale::of(&features)?;
    let of_classes = class_weights(cells, classes, kind);
    Ok((Problem::of_shares(&scale.apply(&features)?, &shares, &weights, &of_classes)?, scale))
}

/// The penalty of [`PENALTIES`] whose layer, learned from `learned`, has the lowest loss on `judged`. Of equals the stronger one.
fn chosen_penalty(
    learned: &Cells,
    judged: &Cells,
    classes: usize,
    kind: ClassWeights,
    stop: &mut dyn FnMut() -> bool,
) -> Result<f64> {
    let (problem, scale) = problem(learned, classes, kind)?;
    let (features, shares, weights) = judged.tensors()?;
    let other =
        Problem::of_shares(&scale.apply(&features)?, &shares, &weights, &class_weights(learned, classes, kind))?;
    let (mut best, mut from) = ((f64::INFINITY, PENALTIES[0]), None::<Linear>);
    for penalty in PENALTIES {
        let layer = solved(&problem, penalty, from.as_ref(), stop)?;
        let loss = other.loss_of(&layer)?;
        if loss < best.0 {
            best = (loss, penalty);
        }
        from = Some(layer);
    }
    Ok(best.1)
}

/// The layer at the minimum; what was found before `stop` asked for an end is none.
fn solved(problem: &Problem, penalty: f64, from: Option<&Linear>, stop: &mut dyn FnMut() -> bool) -> Result<Linear> {
    match problem.solve(penalty, from, stop)? {
        (layer, false) => Ok(layer),
        (_, true) => Err(stopped()),
    }
}

fn stopped() -> Error {
    Error::new(ErrorKind::Cancelled, "learning from masks was stopped")
}
