//! Yesterday's queue: a night's distillation begins with the teacher's embeddings that the last one ended with.
//!
//! A run's queue is a part of its checkpoint. When the night is done, it is moved out of there to `queue.safetensors` in the station's folder,
//! so while a night is under way, however often it is interrupted, the queue that it began with stays as it is. The rows are the teacher's
//! alone, so they serve whether or not the night's student went live.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Work;
use super::files::{read_json, write_json};
use super::folder::Folder;
use crate::config::{Config, Standardise};
use crate::sys::disk::sync;
use crate::train::shared::{SharedQueue, load_queue, lock};
use crate::{Error, ErrorKind, Result, device};

/// What a night's distillation began with, in the file `queue.json` of its work.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Carried {
    /// Rows of an earlier night; 0: none, the queue was filled as that of any run.
    pub rows: u64,
    /// Why an earlier night's queue was not taken; empty where it was or there was none.
    pub left_out: String,
}

/// The part of a run's checkpoint, which is the file of the same name in the station's folder.
const QUEUE: &str = "queue.safetensors";
/// In a checkpoint whose queue holds other rows than the teacher's.
const STANDARDISATION: &str = "standardisation.safetensors";

fn kept(folder: &Folder) -> PathBuf {
    folder.path().join(QUEUE)
}

fn note(folder: &Folder) -> PathBuf {
    folder.work().join("queue.json")
}

/// The queue of the last night that had one, where it fits tonight's run by `config`; what came of it is noted for the report.
///
/// # Errors
/// `Io`, `OutOfMemory`. One that is damaged or does not fit is left out.
pub(super) fn take(work: &Work<'_>, config: &Config) -> Result<Option<SharedQueue>> {
    let path = kept(work.folder);
    let found = match path.exists() {
        true => fitting(&path, work, config),
        false => Ok((None, 0)),
    };
    let ((queue, rows), left_out) = match found {
        Err(error) if matches!(error.kind(), ErrorKind::Format | ErrorKind::Mismatch) => {
            log::warn!("tonight's queue is filled anew: {error}");
            ((None, 0), error.to_string())
        }
        found => (found?, String::new()),
    };
    write_json(&note(work.folder), &Carried { rows, left_out })?;
    Ok(queue)
}

/// The queue and how many of its rows are a teacher's; none where no row is.
fn fitting(path: &Path, work: &Work<'_>, config: &Config) -> Result<(Option<SharedQueue>, u64)> {
    if config.standardise != Standardise::None {
        return Err(Error::mismatch(format!(
            "targets.standardise is \"{}\", and each night finds its own mean of the teacher's embeddings",
            config.standardise.word()
        )));
    }
    let queue = load_queue(path, device::parse(&config.device)?)?;
    let (found, rows) = {
        let queue = lock(&queue)?;
        ((queue.capacity(), queue.width()), queue.len().unsigned_abs())
    };
    let wanted = (config.queue_capacity as i64, work.night.teacher.embedding_dim());
    if found != wanted {
        return Err(Error::mismatch(format!(
            "the queue of the last night has {} rows of {} numbers, tonight's {} of {}",
            found.0, found.1, wanted.0, wanted.1
        )));
    }
    Ok((Some(queue).filter(|_| rows > 0), rows))
}

/// What the night's distillation began with; nothing is known where the note is damaged.
///
/// # Errors
/// `Io`.
pub(super) fn carried(folder: &Folder) -> Result<Carried> {
    match read_json(&note(folder)) {
        Err(error) if error.kind() == ErrorKind::Format => {
            log::warn!("it is not known which queue the night began with: {error}");
            Ok(Carried::default())
        }
        found => Ok(found?.unwrap_or_default()),
    }
}

/// Keeps the queue of the night's run for the next night. Without one, as after a run that diverged before its first checkpoint, that of an
/// earlier night stays, and so it does after a night of standardised targets. The same call again does nothing.
///
/// # Errors
/// `Io`.
pub(super) fn keep(folder: &Folder) -> Result<()> {
    let made = folder.checkpoint().join(QUEUE);
    // Rows that were standardised are another night's targets, not the teacher's.
    if !made.exists() || folder.checkpoint().join(STANDARDISATION).exists() {
        return Ok(());
    }
    let path = kept(folder);
    std::fs::rename(&made, &path).map_err(|error| Error::io("rename to", &path, &error))?;
    sync(folder.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_of_standardised_rows_is_not_kept() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::make(place.path()).unwrap();
        std::fs::create_dir_all(folder.checkpoint()).unwrap();
        for file in [QUEUE, STANDARDISATION] {
            std::fs::write(folder.checkpoint().join(file), "rows").unwrap();
        }
        keep(&folder).unwrap();
        assert!(!kept(&folder).exists() && folder.checkpoint().join(QUEUE).exists());
        std::fs::remove_file(folder.checkpoint().join(STANDARDISATION)).unwrap();
        keep(&folder).unwrap();
        assert!(kept(&folder).exists());
    }

    #[test]
    fn a_damaged_note_keeps_no_night_from_its_end() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::make(place.path()).unwrap();
        folder.make_work().unwrap();
        assert_eq!(carried(&folder).unwrap(), Carried::default());
        let known = Carried { rows: 7, left_out: String::new() };
        write_json(&note(&folder), &known).unwrap();
        assert_eq!(carried(&folder).unwrap(), known);
        std::fs::write(note(&folder), "").unwrap();
        assert_eq!(carried(&folder).unwrap(), Carried::default());
    }
}
