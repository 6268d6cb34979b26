//! The table of keys: every setting by its name, with its place in a [`Config`] and its bounds.

use super::{Config, anomaly, engine, finetune, linear, methods, patch, probe, range, segment, small, tile};
use crate::choice::Choice;
use crate::data::MAX_PAGES;
use crate::data::frame::MAX_SIDE;
use crate::error::{Error, ErrorKind, Result};

/// The place of one setting in a [`Config`], with its bounds.
pub enum Slot {
    /// A whole number within bounds.
    Int(fn(&mut Config) -> &mut u64, u64, u64),
    /// A side of the view, in pixels, within bounds.
    Side(fn(&mut Config) -> &mut u32, u32, u32),
    /// A number within bounds.
    Float(fn(&mut Config) -> &mut f64, f64, f64),
    /// One of a few words.
    Word(fn(&mut Config) -> &mut dyn Choice),
    /// Any text.
    Text(fn(&mut Config) -> &mut String),
}

/// Every key that can be set, but for those of the parts below; see [`keys`].
const KEYS: &[(&str, Slot)] = &[
    ("seed", Slot::Int(|c| &mut c.seed, 0, i64::MAX as u64)),
    ("device", Slot::Text(|c| &mut c.device)),
    ("precision", Slot::Word(|c| &mut c.precision)),
    ("output", Slot::Word(|c| &mut c.output)),
    ("batch_size", Slot::Int(|c| &mut c.batch_size, 1, 65_536)),
    ("accumulation_steps", Slot::Int(|c| &mut c.accumulation_steps, 1, 65_536)),
    ("clip_norm", Slot::Float(|c| &mut c.clip_norm, 0.0, 1e9)),
    ("epochs", Slot::Int(|c| &mut c.epochs, 1, 1_000_000)),
    ("view_count", Slot::Int(|c| &mut c.view_count, 0, 1_000_000)),
    ("steps", Slot::Int(|c| &mut c.steps, 0, 1 << 40)),
    ("learning_rate", Slot::Float(|c| &mut c.learning_rate, 0.0, 1000.0)),
    ("momentum", Slot::Float(|c| &mut c.momentum, 0.0, 0.9999)),
    ("weight_decay", Slot::Float(|c| &mut c.weight_decay, 0.0, 1.0)),
    ("optimiser", Slot::Word(|c| &mut c.optimiser)),
    ("warmup_steps", Slot::Int(|c| &mut c.warmup_steps, 0, 1 << 40)),
    ("queue_capacity", Slot::Int(|c| &mut c.queue_capacity, 1, 1 << 28)),
    ("batch_norm", Slot::Word(|c| &mut c.batch_norm)),
    ("method", Slot::Word(|c| &mut c.method)),
    ("targets.standardise", Slot::Word(|c| &mut c.standardise)),
    ("mixup", Slot::Float(|c| &mut c.mixup, 0.0, 1.0)),
    ("queue.fill", Slot::Word(|c| &mut c.queue_fill)),
    ("temperature_student", Slot::Float(|c| &mut c.temperature_student, 1e-6, 100.0)),
    ("temperature_teacher", Slot::Float(|c| &mut c.temperature_teacher, 1e-6, 100.0)),
    ("embedding_dim", Slot::Int(|c| &mut c.embedding_dim, 0, 65_536)),
    ("projection_hidden", Slot::Int(|c| &mut c.projection_hidden, 0, 65_536)),
    ("student.average", Slot::Float(|c| &mut c.student_average, 0.0, 0.9999)),
    ("projection_layers", Slot::Int(|c| &mut c.projection_layers, 2, 8)),
    ("student.head_dropout", Slot::Float(|c| &mut c.head_dropout, 0.0, 0.9)),
    ("workers", Slot::Int(|c| &mut c.workers, 0, 1024)),
    ("cache_mib", Slot::Int(|c| &mut c.cache_mib, 0, 1 << 30)),
    ("duty_cycle", Slot::Float(|c| &mut c.duty_cycle, 0.01, 1.0)),
    ("nice", Slot::Int(|c| &mut c.nice, 0, 19)),
    ("checkpoint_every", Slot::Int(|c| &mut c.checkpoint_every, 0, 1 << 40)),
    ("checkpoint_path", Slot::Text(|c| &mut c.checkpoint_path)),
    ("progress_every", Slot::Int(|c| &mut c.progress_every, 1, 1 << 40)),
    ("tensorboard_folder", Slot::Text(|c| &mut c.tensorboard_folder)),
    ("image_width", Slot::Side(|c| &mut c.view.input.width, 8, 4096)),
    ("image_height", Slot::Side(|c| &mut c.view.input.height, 8, 4096)),
    ("image_channels", Slot::Side(|c| &mut c.view.input.channels, 1, 3)),
    ("resize", Slot::Word(|c| &mut c.view.input.resize)),
    ("exif", Slot::Word(|c| &mut c.files.exif)),
    ("page", Slot::Int(|c| &mut c.files.page, 0, MAX_PAGES)),
    ("roi.x", Slot::Side(|c| &mut c.view.input.roi.x, 0, MAX_SIDE)),
    ("roi.y", Slot::Side(|c| &mut c.view.input.roi.y, 0, MAX_SIDE)),
    ("roi.width", Slot::Side(|c| &mut c.view.input.roi.width, 0, MAX_SIDE)),
    ("roi.height", Slot::Side(|c| &mut c.view.input.roi.height, 0, MAX_SIDE)),
    ("view.tile", Slot::Side(|c| &mut c.view.tile, 0, MAX_SIDE)),
    ("view.crop_scale_min", Slot::Float(|c| &mut c.view.crop_scale_min, 1e-4, 1.0)),
    ("view.crop_scale_max", Slot::Float(|c| &mut c.view.crop_scale_max, 1e-4, 1.0)),
    ("view.crop_ratio_min", Slot::Float(|c| &mut c.view.crop_ratio_min, 0.01, 100.0)),
    ("view.crop_ratio_max", Slot::Float(|c| &mut c.view.crop_ratio_max, 0.01, 100.0)),
    ("view.jitter_probability", Slot::Float(|c| &mut c.view.jitter_probability, 0.0, 1.0)),
    ("view.brightness", Slot::Float(|c| &mut c.view.brightness, 0.0, 10.0)),
    ("view.contrast", Slot::Float(|c| &mut c.view.contrast, 0.0, 10.0)),
    ("view.saturation", Slot::Float(|c| &mut c.view.saturation, 0.0, 10.0)),
    ("view.hue", Slot::Float(|c| &mut c.view.hue, 0.0, 0.5)),
    ("view.grey_probability", Slot::Float(|c| &mut c.view.grey_probability, 0.0, 1.0)),
    ("view.blur_probability", Slot::Float(|c| &mut c.view.blur_probability, 0.0, 1.0)),
    ("view.blur_sigma_min", Slot::Float(|c| &mut c.view.blur_sigma_min, 0.01, 100.0)),
    ("view.blur_sigma_max", Slot::Float(|c| &mut c.view.blur_sigma_max, 0.01, 100.0)),
    ("view.blur_reach", Slot::Float(|c| &mut c.view.blur_reach, 0.01, 1.0)),
    ("view.flip_probability", Slot::Float(|c| &mut c.view.flip_probability, 0.0, 1.0)),
    ("view.device", Slot::Word(|c| &mut c.view.device)),
    ("mean.r", Slot::Float(|c| &mut c.view.input.mean[0], -10.0, 10.0)),
    ("mean.g", Slot::Float(|c| &mut c.view.input.mean[1], -10.0, 10.0)),
    ("mean.b", Slot::Float(|c| &mut c.view.input.mean[2], -10.0, 10.0)),
    ("std.r", Slot::Float(|c| &mut c.view.input.std[0], 1e-4, 100.0)),
    ("std.g", Slot::Float(|c| &mut c.view.input.std[1], 1e-4, 100.0)),
    ("std.b", Slot::Float(|c| &mut c.view.input.std[2], 1e-4, 100.0)),
];

/// Every key that can be set, with its place.
pub fn keys() -> impl Iterator<Item = &'static (&'static str, Slot)> {
    KEYS.iter()
        .chain(range::KEYS)
        .chain(finetune::KEYS)
        .chain(linear::KEYS)
        .chain(anomaly::KEYS)
        .chain(segment::KEYS)
        .chain(tile::KEYS)
        .chain(probe::KEYS)
        .chain(methods::KEYS)
        .chain(small::KEYS)
        .chain(patch::KEYS)
        .chain(engine::KEYS)
}

/// The place of `key`; an unknown one is refused, with the nearest known one.
pub(super) fn slot(key: &str) -> Result<&'static Slot> {
    keys().find(|(name, _)| *name == key).map(|(_, slot)| slot).ok_or_else(|| {
        // Of a word without end the beginning tells enough.
        let beginning: String = key.chars().take(64).collect();
        let nearest =
            keys().map(|(name, _)| *name).min_by_key(|name| strsim::levenshtein(&beginning, name)).unwrap_or("");
        Error::new(ErrorKind::Config, format!("unknown key \"{key}\"; the nearest known key is \"{nearest}\""))
    })
}

/// A setting's number as a size.
///
/// # Errors
/// `InvalidArgument` where this machine has no such sizes.
pub fn to_usize(number: u64) -> Result<usize> {
    usize::try_from(number).map_err(|_| Error::invalid(format!("{number} is too large")))
}

/// The refusal of a value out of bounds.
pub(super) fn out_of_bounds(
    key: &str,
    value: impl std::fmt::Display,
    low: &impl std::fmt::Display,
    high: &impl std::fmt::Display,
) -> Error {
    Error::new(ErrorKind::Config, format!("{key} is {value}, expected {low} to {high}"))
}

/// The refusal of a value of another kind than the key's.
pub(super) fn wrong_kind(key: &str, expected: &str, found: &str) -> Error {
    Error::new(ErrorKind::Config, format!("{key} takes {expected}, found {found}"))
}
