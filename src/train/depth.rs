//! By which range a run sees the samples of its frames.

use super::Distillation;
use crate::Result;
use crate::config::Config;
use crate::data::{Dataset, Input};

impl Distillation {
    /// How frames are seen: by the range that the data set has, or where it has none the configuration.
    pub fn input(&self) -> &Input {
        &self.config.view.input
    }
}

/// The settings of a run that sees the images of `dataset`, or its caller's own where there is none.
///
/// # Errors
/// `InvalidArgument` for a range that is to be measured first.
pub(super) fn seeing(mut config: Config, dataset: Option<&Dataset>) -> Result<Config> {
    match dataset {
        Some(dataset) => config.view.input = dataset.seen_by(&config.view.input)?,
        None => config.view.input.range.check_measured()?,
    }
    Ok(config)
}
