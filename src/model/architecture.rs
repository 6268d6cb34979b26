//! How a name becomes an architecture, and which images an architecture takes.

use std::fmt;
use std::sync::LazyLock;

use super::Mode;
use super::names::nearest;
pub use super::networks::Architecture;
use crate::error::{Error, Result};

static ALL: LazyLock<Vec<Architecture>> = LazyLock::new(|| Architecture::every().collect());

impl Architecture {
    /// Every architecture, in a fixed order.
    pub fn all() -> &'static [Architecture] {
        &ALL
    }

    /// The architecture of that name; the error names the nearest one and lists all.
    ///
    /// ```
    /// use seed::model::Architecture;
    /// assert_eq!(Architecture::parse("resnet18").unwrap(), Architecture::ResNet18);
    /// assert!(Architecture::parse("resnet35").unwrap_err().message().contains("did you mean resnet34"));
    /// ```
    pub fn parse(name: &str) -> Result<Architecture> {
        if let Some(&found) = ALL.iter().find(|architecture| architecture.name() == name) {
            return Ok(found);
        }
        let names: Vec<&str> = ALL.iter().map(|architecture| architecture.name()).collect();
        let hint =
            nearest(name, names.iter().copied()).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        Err(Error::invalid(format!("unknown architecture {name:?}{hint} (known: {})", names.join(", "))))
    }

    /// Refuses a batch of images that cannot go through: a Vision Transformer takes whole patches, and batch norm needs more
    /// than one value per channel to train.
    ///
    /// # Errors
    /// `InvalidArgument` saying what would fit.
    pub(crate) fn takes(self, height: i64, width: i64) -> bool {
        self.check_size(2, height, width, Mode::Eval).is_ok()
    }

    pub(crate) fn check_size(self, batch: i64, height: i64, width: i64, mode: Mode) -> Result<()> {
        if let Architecture::ViT(vit) = self {
            let patch = vit.patch();
            if height % patch == 0 && width % patch == 0 {
                return Ok(());
            }
            let whole = |side: i64| ((side + patch / 2) / patch).max(1) * patch;
            return Err(Error::invalid(format!(
                "{self} takes images whose height and width are multiples of {patch}, got {height}x{width}; \
                 the nearest is {}x{}",
                whole(height),
                whole(width)
            )));
        }
        // The others halve the image five times, rounding up; the last batch norm sees the smallest map.
        let values = batch.saturating_mul((height - 1) / 32 + 1).saturating_mul((width - 1) / 32 + 1);
        if matches!(mode, Mode::Train { .. }) && values < 2 {
            return Err(Error::invalid(format!(
                "training needs more than one value per channel: {batch} image of {height}x{width} leaves one; \
                 take a larger batch or images larger than 32 pixels"
            )));
        }
        Ok(())
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_parses_to_itself() {
        for &architecture in Architecture::all() {
            assert_eq!(Architecture::parse(architecture.name()).unwrap(), architecture);
        }
    }

    #[test]
    fn names_differ_and_say_what_they_stand_for() {
        let names: std::collections::BTreeSet<_> = Architecture::all().iter().map(|found| found.name()).collect();
        assert_eq!(names.len(), Architecture::all().len());
        for (name, near) in [
            ("resnet18_w.5", "resnet18_w0.5"),
            ("mobilenet_v3_large_0.75", "mobilenet_v3_large_w0.75"),
            ("vit_small_patch16_224", "vit_small_patch16"),
            ("efficientnet_lite0", "tf_efficientnet_lite0"),
            ("vit_base_patch14_dinov3", "vit_base_patch14_dinov2"),
        ] {
            let message = Architecture::parse(name).unwrap_err().message().to_owned();
            assert!(message.contains(&format!("did you mean {near}?")), "{name}: {message}");
        }
    }

    #[test]
    fn a_transformer_takes_whole_patches() {
        let vit = Architecture::parse("vit_small_patch14_dinov2").unwrap();
        assert!(vit.check_size(1, 224, 98, Mode::Train { noise: 0 }).is_ok());
        let message = vit.check_size(1, 225, 96, Mode::Eval).unwrap_err().message().to_owned();
        assert!(message.contains("multiples of 14, got 225x96; the nearest is 224x98"), "{message}");
    }

    #[test]
    fn an_unknown_name_lists_all_and_suggests_one() {
        let message = Architecture::parse("mobilenet_v3").unwrap_err().message().to_owned();
        assert!(message.contains("did you mean mobilenet_v2"), "{message}");
        for architecture in Architecture::all() {
            assert!(message.contains(architecture.name()), "{message}");
        }
    }
}
