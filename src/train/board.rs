//! A run's reports as scalars for TensorBoard, where "tensorboard_folder" names a place.

use std::path::Path;

use crate::Result;
use crate::events::EventFile;

/// The event file of a run, if there is one.
#[derive(Debug, Default)]
pub struct Board {
    file: Option<EventFile>,
    failed: bool,
}

impl Board {
    /// Begins an event file in `folder` for the steps from `first` on, unless there is one or none is wanted (no folder). What a
    /// run that was killed wrote of these steps no longer counts: it will be written again.
    pub fn open(&mut self, folder: impl AsRef<Path>, first: u64) -> Result<()> {
        let folder = folder.as_ref();
        if !folder.as_os_str().is_empty() && self.file.is_none() && !self.failed {
            self.file = Some(EventFile::create(folder, first)?);
        }
        Ok(())
    }

    /// Writes those of the values that are finite: what was not measured is NaN. A full disk ends the file, not the run.
    pub fn show(&mut self, step: u64, values: &[(&str, f64)]) {
        let Some(file) = &mut self.file else { return };
        let measured: Vec<(&str, f64)> = values.iter().copied().filter(|(_, value)| value.is_finite()).collect();
        if measured.is_empty() {
            return;
        }
        if let Err(error) = file.scalars(step, &measured) {
            log::warn!("the run goes on without its event file: {error}");
            *self = Board { file: None, failed: true };
        }
    }
}
