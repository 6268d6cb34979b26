//! Back to the student before.

use std::path::Path;

use super::files::exchange;
use super::folder::Folder;
use super::lock::lock_folder;
use super::state::State;
use crate::config::Config;
use crate::infer::LiveSession;
use crate::sys::disk::sync;
use crate::{Error, Result};

/// Exchanges the live student, with its classifier, and the one before, in the folder and on the `line`, which computes as `config` says; the same call again
/// exchanges them back. A night under way is dropped: it started from a student that is not live any more. Its frames are new
/// again.
///
/// # Errors
/// `InvalidArgument` where the folder has no previous student, `Busy` while a night runs there, those of
/// [`LiveSession::successor`]; nothing was changed then.
pub fn restore(path: &Path, config: &Config, line: Option<&LiveSession>) -> Result<()> {
    std::fs::metadata(path).map_err(|error| Error::io("open", path, &error))?;
    let folder = Folder::known(path);
    if State::read(&folder)?.is_none() {
        return Err(Error::invalid(format!("{} is no station's folder: it has no night.json", path.display())));
    }
    let _lock = lock_folder(&folder.lock())?;
    // Read again: it may have changed before the lock was had.
    let state = State::read(&folder)?;
    let (live, previous) = (folder.live(), folder.previous());
    if !previous.exists() {
        return Err(Error::invalid(format!(
            "{} has no previous student: none has been replaced so far",
            path.display()
        )));
    }
    let next = line.map(|line| line.successor(&previous.student(), config)).transpose()?;
    exchange(live.path(), previous.path())?;
    if let (Some(line), Some(next)) = (line, next) {
        line.replace(next);
    }
    sync(folder.path())?;
    if let Some(mut state) = state.filter(|state| state.begun.is_some()) {
        state.drop_night(&folder)?;
        folder.remove_work();
    }
    Ok(())
}
