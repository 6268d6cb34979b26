//! What must hold between settings.

use std::path::Path;

use super::Config;
use crate::data::tiles::MIN_SIDE;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::memory_file;

impl Config {
    /// Checks what no single key shows.
    pub fn validate(&self) -> Result<()> {
        for (low_key, low, high_key, high) in [
            ("view.crop_scale_min", self.view.crop_scale_min, "view.crop_scale_max", self.view.crop_scale_max),
            ("view.crop_ratio_min", self.view.crop_ratio_min, "view.crop_ratio_max", self.view.crop_ratio_max),
            ("view.blur_sigma_min", self.view.blur_sigma_min, "view.blur_sigma_max", self.view.blur_sigma_max),
            ("small.crop_scale_min", self.small.crop_scale_min, "small.crop_scale_max", self.small.crop_scale_max),
            ("linear.crop_scale_min", self.linear.crop_scale_min, "linear.crop_scale_max", self.linear.crop_scale_max),
        ] {
            if low > high {
                return Err(Error::new(
                    ErrorKind::Config,
                    format!("{low_key} is {low}, above {high_key}, which is {high}; expected min ≤ max"),
                ));
            }
        }
        for (key, path) in [
            ("checkpoint_path", &self.checkpoint_path),
            ("finetune.checkpoint_path", &self.finetune.checkpoint_path),
            ("anomaly.checkpoint_path", &self.anomaly.checkpoint_path),
            ("tensorboard_folder", &self.tensorboard_folder),
        ] {
            memory_file::on_disk(Path::new(path), &format!("{key} outlives the process"))?;
        }
        if self.view.input.channels == 2 {
            return Err(Error::new(ErrorKind::Config, "image_channels is 2, expected 3 or 1"));
        }
        self.view.input.roi.check()?;
        self.tile.check()?;
        let tile = self.view.tile;
        if tile != 0 && tile < MIN_SIDE {
            return Err(Error::new(
                ErrorKind::Config,
                format!("view.tile is {tile}, expected {MIN_SIDE} or more, or 0 for views of whole frames"),
            ));
        }
        self.view.input.range.check()
    }
}
