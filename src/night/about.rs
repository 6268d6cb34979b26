//! `about.json` beside a student: which night made it.

use serde::{Deserialize, Serialize};

use super::files::read_json;
use super::folder::Place;
use crate::{ErrorKind, Result};

/// Which night made a student, in the file `about.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct About {
    /// 0: it is the one that the first night started from.
    pub night: u64,
    /// The night that made the classifier beside it, where there is one: an earlier one, where a night had too few labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classifier: Option<u64>,
}

/// What is known about a place; none where it has no such file or one that says nothing.
pub(super) fn about(place: &Place) -> Result<Option<About>> {
    match read_json(&place.about()) {
        Err(error) if error.kind() == ErrorKind::Format => {
            log::warn!("it is not known which night made {}: {error}", place.path().display());
            Ok(None)
        }
        found => found,
    }
}

/// The night that made the student of a place, if that is known.
pub(super) fn night_of(place: &Place) -> Result<Option<u64>> {
    Ok(about(place)?.map(|about| about.night))
}
