//! By which range a run sees the samples of its frames.

use super::Distillation;
use crate::Result;
use crate::config::Config;
use crate::data::{Dataset, Range};

impl Distillation {
    /// Which samples of frames become which levels: as the data set says, or where it says nothing as the configuration.
    pub fn range(&self) -> Range {
        self.config.view.input.range
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
