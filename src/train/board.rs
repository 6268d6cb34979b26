//! A run's reports as scalars for TensorBoard, where "tensorboard_folder" names a place.

use std::path::Path;

use super::distill::Distillation;
use crate::Result;
use crate::events::EventFile;

/// The event file of a run.
#[derive(Debug, Default)]
pub(super) struct Board {
    file: Option<EventFile>,
    failed: bool,
}

impl Distillation {
    /// Begins an event file for the steps from here on, unless there is one or none is wanted.
    pub(super) fn open_board(&mut self) -> Result<()> {
        let folder = &self.config.tensorboard_folder;
        if !folder.is_empty() && self.board.file.is_none() && !self.board.failed {
            // What a run that was killed wrote behind the checkpoint's step will be written again.
            self.board.file = Some(EventFile::create(Path::new(folder), self.step + 1)?);
        }
        Ok(())
    }

    /// Another start: the next report begins another file.
    pub(super) fn close_board(&mut self) {
        self.board = Board::default();
    }

    /// Writes values of this step. A full disk ends the file, not the run.
    pub(super) fn show(&mut self, values: &[(&str, f64)]) {
        let Some(file) = &mut self.board.file else { return };
        if let Err(error) = file.scalars(self.step, values) {
            log::warn!("the run goes on without its event file: {error}");
            self.board = Board { file: None, failed: true };
        }
    }
}
