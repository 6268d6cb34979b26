//! Which feature maps of teacher and student a run with patch similarity compares.

use crate::config::Config;
use crate::distill::Targets;
use crate::model::{Architecture, PatchMap, Teacher};
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
        match targets {
            _ if config.patch.weight <= 0.0 => Ok(None),
            Targets::Teacher(teacher) => PatchMaps::of_teacher(config, teacher, student),
            Targets::Own { .. } => Err(refused(
                config,
                format!("method {} learns without a teacher whose patches could be learned", config.method),
            )),
            Targets::Bank(_) | Targets::Images(_) => {
                Err(refused(config, format!("the {} has embeddings of whole views and no feature maps", targets.who())))
            }
        }
    }

    /// Those of a run with this teacher in the loop; none where it has no patch loss.
    ///
    /// # Errors
    /// Those of [`of_run`](PatchMaps::of_run).
    pub fn of_teacher(config: &Config, teacher: &Teacher, student: Architecture) -> Result<Option<PatchMaps>> {
        if config.patch.weight <= 0.0 {
            return Ok(None);
        }
        let found = teacher.architecture().map_err(|_| {
            let kind = teacher.name();
            refused(
                config,
                format!(
                    "a teacher of kind {kind} gives embeddings and no feature maps; only one that libseed loads as a network does"
                ),
            )
        })?;
        PatchMaps::of_networks(config, found, student).map(Some)
    }

    /// Those that `config` says of two networks.
    ///
    /// # Errors
    /// `InvalidArgument` where a network has no such map, or one of a single patch.
    fn of_networks(config: &Config, teacher: Architecture, student: Architecture) -> Result<PatchMaps> {
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

/// The refusal of a patch loss where there is nothing to learn it of.
fn refused(config: &Config, why: String) -> Error {
    let weight = config.patch.weight;
    Error::new(ErrorKind::Unsupported, format!("patch.weight is {weight}, but {why}: set it to 0"))
}
