//! A run whose images are mixed in pairs ([`Mixup`]).

use tch::Tensor;

use super::distill::Distillation;
use crate::config::{Config, MethodName};
use crate::distill::Targets;
use crate::distill::mixup::Mixup;
use crate::{Error, ErrorKind, Result};

/// Whether the run can be asked about mixtures.
///
/// # Errors
/// `Unsupported` where it cannot.
pub(super) fn check(config: &Config, targets: &Targets) -> Result<()> {
    if config.mixup <= 0.0 {
        return Ok(());
    }
    let why = match targets {
        Targets::Teacher(_) if config.method != MethodName::KMeans => return Ok(()),
        Targets::Teacher(_) => "the clusters of method k_means are those of single images".to_owned(),
        Targets::Own { .. } => {
            format!("method {} learns without a teacher who could say what a mixture is", config.method)
        }
        Targets::Bank(_) | Targets::Images(_) => format!("the {} knows single images only", targets.who()),
    };
    Err(Error::new(ErrorKind::Unsupported, format!("mixup is {}, but {why}: set it to 0", config.mixup)))
}

impl Distillation {
    /// The mixtures of a step's `images`, the views of one batch, each (B,C,H,W): the same pairs in all of them. None in a step that mixes none.
    pub(super) fn mixed(&self, images: &[Tensor]) -> Result<Option<Vec<Tensor>>> {
        let rows = images.first().map_or(0, |views| views.size()[0]);
        match Mixup::of_step(self.config.mixup, self.config.seed, self.step, rows) {
            Some(mixup) => images.iter().map(|views| mixup.of(views)).collect::<Result<_>>().map(Some),
            None => Ok(None),
        }
    }
}
