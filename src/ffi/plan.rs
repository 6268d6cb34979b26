//! `seed_config_preset` and `seed_config_plan`: settings that fit.

use std::ffi::c_char;
use std::sync::Arc;

use super::border::catch;
use super::config::seed_config;
use super::dataset::seed_dataset;
use super::error::seed_error;
use super::handle::{with, with_mut};
use super::pointers::text;
use super::teacher::{seed_teacher, seeing};
use crate::model::Architecture;
use crate::recipe::{Plan, Wish};

/// Sets what the preset `name` says, whatever it was: "paper" for comparisons with the paper, "site" for a student from random weights
/// on some thousand frames, "site_from_weights" for one that starts from weights of its own; "moco_v2", "simclr" and "swav" for these
/// methods, which have no teacher, at their published sizes. docs/distil.md has the values. What is set afterwards counts.
///
/// Errors: SEED_ERROR_CONFIG for another name, listing them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_config_preset(config: *mut seed_config, name: *const c_char) -> *mut seed_error {
    catch(|| unsafe {
        let name = text("name", name)?;
        with_mut(config, |config| config.preset(name))
    })
}

/// Fits the settings of `config` to a run that is to take `seconds`: the preset "site" or, where `from_weights` is not 0,
/// "site_from_weights"; then both networks are measured on this machine for a moment (about a hundredth of the time, ten seconds at
/// most), and size of the images, batch, views, queue, warm-up and epochs follow. What was set in `config` by its key before is kept. The
/// reasons go to the log. Make the student with `config` afterwards, since the plan decides on the size of its images. Where "view_count" is above 0 afterwards, the plan is that the teacher's embeddings are kept in a bank first (seed_bank_fill).
///
/// Errors: SEED_ERROR_INVALID_ARGUMENT for an empty data set or a time below a second, SEED_ERROR_UNSUPPORTED for a stored teacher;
/// `config` is as it was then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_config_plan(
    config: *mut seed_config,
    dataset: *const seed_dataset,
    teacher: *const seed_teacher,
    architecture: *const c_char,
    from_weights: i32,
    seconds: f64,
) -> *mut seed_error {
    catch(|| unsafe {
        let wish = Wish {
            architecture: Architecture::parse(text("architecture", architecture)?)?,
            from_weights: from_weights != 0,
            seconds,
        };
        let dataset = with(dataset, |dataset| Ok(Arc::clone(dataset)))?;
        let teacher = seeing(teacher, "seed_config_plan")?;
        with_mut(config, |config| {
            *config = Plan::new(config, &dataset, &teacher, &wish)?.config;
            Ok(())
        })
    })
}
