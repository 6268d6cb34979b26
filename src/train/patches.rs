//! Which feature maps of teacher and student a run with patch similarity compares.

use crate::config::Config;
use crate::distill::Targets;
use crate::model::{Architecture, PatchMap};
use crate::{Error, ErrorKind, Result};

/// The maps of both networks.
#[derive(Debug, Clone)]
pub struct PatchMaps {
    /// The teacher's, on whose grid the patches are compared.
    pub teacher: PatchMap,
    /// The student's.
    pub student: PatchMap,
}

impl PatchMaps {
    /// Those of a run of `config`; none where it has no patch loss.
    ///
    /// # Errors
    /// `InvalidArgument` where a network has no such map, or one of a single patch; `Unsupported` where `targets` have none.
    pub fn of_run(config: &Config, targets: &Targets, student: Architecture) -> Result<Option<PatchMaps>> {
        let weight = config.patch.weight;
        if weight <= 0.0 {
            return Ok(None);
        }
        let refused = |why: String| {
            Err(Error::new(ErrorKind::Unsupported, format!("patch.weight is {weight}, but {why}: set it to 0")))
        };
        match targets {
            Targets::Teacher(teacher) => match teacher.architecture() {
                Ok(teacher) => PatchMaps::of_networks(config, teacher, student).map(Some),
                Err(_) => refused(format!(
                    "a teacher of kind {} gives embeddings and no feature maps; only one that libseed loads as a network does",
                    teacher.name()
                )),
            },
            Targets::Own { .. } => {
                refused(format!("method {} learns without a teacher whose patches could be learned", config.method))
            }
            Targets::Bank(_) | Targets::Images(_) => {
                refused(format!("the {} has embeddings of whole views and no feature maps", targets.who()))
            }
        }
    }

    /// Those that `config` says of two networks.
    ///
    /// # Errors
    /// `InvalidArgument` where a network has no such map, or one of a single patch.
    pub fn of_networks(config: &Config, teacher: Architecture, student: Architecture) -> Result<PatchMaps> {
        let stride = i64::try_from(config.patch.stride).unwrap_or(i64::MAX);
        let map = |architecture| PatchMap::new(architecture, stride).map_err(|error| error.context("patch.stride"));
        let maps = PatchMaps { teacher: map(teacher)?, student: map(student)? };
        let (height, width) = (i64::from(config.view.input.height), i64::from(config.view.input.width));
        for (who, architecture, map) in [("teacher", teacher, &maps.teacher), ("student", student, &maps.student)] {
            let (rows, columns) = map.grid(height, width);
            if rows * columns < 2 {
                return Err(Error::invalid(format!(
                    "patch.weight compares the patches of a view, but views of {width} × {height} pixels give the {who} ({architecture}) a map of one \
                     patch: set a smaller patch.stride, or larger views"
                )));
            }
        }
        Ok(maps)
    }
}
