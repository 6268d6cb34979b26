//! Presets: named sets of values for settings, each from a source.
//!
//! | preset | for |
//! |---|---|
//! | `paper` | comparisons with the paper: 200 epochs of many images, 224², a queue of 65,536 rows that starts as noise |
//! | `site` | a few thousand frames of one station and minutes to hours, a student from random weights |
//! | `site_from_weights` | the same, a student that starts from weights of its own (ImageNet's, an earlier student's) |
//! | `moco_v2` | learning without a teacher as He et al., 2020, and Chen et al., 2020, do it, at their sizes |
//! | `simclr` | the same of Chen et al., 2020 |
//! | `swav` | the same of Caron et al., 2020 |
//!
//! A preset sets every key of its list, whatever it was before; what the caller sets afterwards counts.

use super::{Config, Value};
use crate::error::{Error, ErrorKind, Result};

/// The names of the presets.
pub const PRESETS: [&str; 6] = ["paper", "site", "site_from_weights", "moco_v2", "simclr", "swav"];

/// A value as the tables below write it.
enum Set {
    Int(i64),
    Float(f64),
    Word(&'static str),
}

use Set::{Float, Int, Word};

/// Fang et al., 2021, §4.1; views of MoCo-v2 (Chen et al., 2020), whose blur is PIL's; frames as ImageNet's protocol has them; dropout before the
/// projection of EfficientNets and MobileNetV3 as in SEED's released code.
const PAPER: &[(&str, Set)] = &[
    ("image_width", Int(224)),
    ("image_height", Int(224)),
    ("resize", Word("centre")),
    ("batch_size", Int(256)),
    ("epochs", Int(200)),
    ("view_count", Int(0)),
    ("learning_rate", Float(0.03)),
    ("momentum", Float(0.9)),
    ("weight_decay", Float(1e-4)),
    ("method", Word("seed")),
    ("optimiser", Word("sgd")),
    ("warmup_steps", Int(0)),
    ("clip_norm", Float(0.0)),
    ("batch_norm", Word("batch")),
    ("queue_capacity", Int(65_536)),
    ("queue.fill", Word("noise")),
    ("temperature_student", Float(0.2)),
    ("temperature_teacher", Float(0.01)),
    ("view.crop_scale_min", Float(0.2)),
    ("view.crop_scale_max", Float(1.0)),
    ("view.jitter_probability", Float(0.8)),
    ("view.brightness", Float(0.4)),
    ("view.contrast", Float(0.4)),
    ("view.saturation", Float(0.4)),
    ("view.hue", Float(0.1)),
    ("view.grey_probability", Float(0.2)),
    ("view.blur_probability", Float(0.5)),
    ("view.blur_reach", Float(1.0)),
    ("view.flip_probability", Float(0.5)),
    ("student.head_dropout", Float(0.2)),
    ("small.count", Int(0)),
    ("probe.keep_best", Int(0)),
];

/// What docs/results.md found on inspection frames: milder views than the paper's, of which a bank holds sixteen, a small queue of
/// real embeddings, wider student and narrower teacher temperatures than for a million images.
const SITE: &[(&str, Set)] = &[
    ("image_width", Int(96)),
    ("image_height", Int(96)),
    ("resize", Word("whole")),
    ("batch_size", Int(32)),
    ("epochs", Int(160)),
    ("view_count", Int(16)),
    ("learning_rate", Float(0.2)),
    ("momentum", Float(0.9)),
    ("weight_decay", Float(1e-4)),
    ("optimiser", Word("sgd")),
    ("warmup_steps", Int(20)),
    ("clip_norm", Float(0.0)),
    ("batch_norm", Word("batch")),
    ("queue_capacity", Int(1024)),
    ("queue.fill", Word("dataset")),
    ("temperature_student", Float(0.1)),
    ("temperature_teacher", Float(0.02)),
    ("view.crop_scale_min", Float(0.8)),
    ("view.crop_scale_max", Float(1.0)),
    ("view.jitter_probability", Float(0.8)),
    ("view.brightness", Float(0.1)),
    ("view.contrast", Float(0.1)),
    ("view.saturation", Float(0.4)),
    ("view.hue", Float(0.1)),
    ("view.grey_probability", Float(0.2)),
    ("view.blur_probability", Float(0.0)),
    ("view.blur_reach", Float(0.05)),
    ("view.flip_probability", Float(0.5)),
    ("student.head_dropout", Float(0.0)),
    ("small.count", Int(0)),
    ("probe.keep_best", Int(1)),
];

/// What differs from [`PAPER`], whose views and rates are MoCo-v2's (Chen et al., "Improved baselines with momentum contrastive learning",
/// 2020; its released code).
const MOCO: &[(&str, Set)] =
    &[("method", Word("moco_v2")), ("moco_v2.momentum", Float(0.999)), ("student.head_dropout", Float(0.0))];

/// The same for SimCLR (Chen et al., "A simple framework for contrastive learning of visual representations", ICML 2020, appendix B): the
/// learning rate is per 256 images, and rises over ten epochs where "warmup_steps" is not set.
const SIMCLR: &[(&str, Set)] = &[
    ("method", Word("simclr")),
    ("optimiser", Word("lars")),
    ("learning_rate", Float(0.3)),
    ("weight_decay", Float(1e-6)),
    ("temperature_student", Float(0.1)),
    ("view.crop_scale_min", Float(0.08)),
    ("view.brightness", Float(0.8)),
    ("view.contrast", Float(0.8)),
    ("view.saturation", Float(0.8)),
    ("view.hue", Float(0.2)),
    ("view.blur_reach", Float(0.05)),
    ("student.head_dropout", Float(0.0)),
];

/// The same for SwAV (Caron et al., "Unsupervised learning of visual features by contrasting cluster assignments", NeurIPS 2020, appendix A,
/// for batches of 256): two large views and six small ones, a queue from the sixteenth pass on. Of 30,000 images and more it has the
/// published 3000 prototypes.
const SWAV: &[(&str, Set)] = &[
    ("method", Word("swav")),
    ("optimiser", Word("lars")),
    ("learning_rate", Float(0.6)),
    ("weight_decay", Float(1e-6)),
    ("temperature_student", Float(0.1)),
    ("view.crop_scale_min", Float(0.14)),
    ("view.brightness", Float(0.8)),
    ("view.contrast", Float(0.8)),
    ("view.saturation", Float(0.8)),
    ("view.hue", Float(0.2)),
    ("student.head_dropout", Float(0.0)),
    ("small.count", Int(6)),
    ("small.size", Int(96)),
    ("small.crop_scale_min", Float(0.05)),
    ("small.crop_scale_max", Float(0.14)),
    ("swav.prototypes", Int(0)),
    ("swav.queue", Int(3840)),
    ("swav.queue_epoch", Int(15)),
    ("swav.frozen_epochs", Int(1)),
];

/// What differs from [`SITE`] where the student knows something already: a lower learning rate with a longer warm-up and a bound on
/// the gradient, since the head is new and its first gradients would undo the backbone; and its own statistics of batch norm, since
/// those of a few small images make another network of it.
const FROM_WEIGHTS: &[(&str, Set)] = &[
    ("learning_rate", Float(0.05)),
    ("warmup_steps", Int(200)),
    ("clip_norm", Float(1.0)),
    ("batch_norm", Word("running")),
];

/// Sets what the preset `name` says in `config`.
///
/// # Errors
/// `Config` for a name that is none of [`PRESETS`]; nothing is changed then.
pub(super) fn apply(config: &mut Config, name: &str) -> Result<()> {
    let lists: &[&[(&str, Set)]] = match name {
        "paper" => &[PAPER],
        "site" => &[SITE],
        "site_from_weights" => &[SITE, FROM_WEIGHTS],
        "moco_v2" => &[PAPER, MOCO],
        "simclr" => &[PAPER, SIMCLR],
        "swav" => &[PAPER, SWAV],
        _ => {
            let names = PRESETS.join(", ");
            return Err(Error::new(
                ErrorKind::Config,
                format!("there is no preset \"{name}\", expected one of {names}"),
            ));
        }
    };
    for (key, set) in lists.iter().copied().flatten() {
        config.put(
            key,
            &match *set {
                Int(number) => Value::Int(number),
                Float(number) => Value::Float(number),
                Word(text) => Value::Text(text.to_owned()),
            },
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_sets_keys_that_exist_and_gives_a_sound_configuration() {
        for name in PRESETS {
            let mut config = Config::default();
            config.preset(name).unwrap();
            config.validate().unwrap();
        }
        let mut config = Config::default();
        let error = config.preset("papr").unwrap_err();
        assert!(error.message().contains("paper, site, site_from_weights"), "{error}");
        assert_eq!(config, Config::default());
    }

    #[test]
    fn a_preset_is_no_choice_of_the_callers() {
        let mut config = Config::default();
        config.set_int("epochs", 7).unwrap();
        config.preset("site").unwrap();
        assert_eq!(config.epochs, 160);
        assert!(config.chosen.contains("epochs") && !config.chosen.contains("batch_size"));
    }
}
