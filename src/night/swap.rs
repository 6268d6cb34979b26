//! The stage that exchanges: the candidate becomes live, what was live becomes the previous one.
//!
//! ```text
//! night/candidate ⇄ live      one system call: student, classifier and about.json together
//! night/candidate ⇄ previous  or a rename where there is none; what is left in candidate is removed
//! ```
//!
//! Students are told apart by their hashes, so whichever of these steps was the last, the next call sees what is left to do.

use super::about::{About, about, night_of};
use super::evaluation::Evaluation;
use super::files::{exchange, link_or_copy, remove_file, write_json};
use super::folder::{Folder, Place};
use super::state::Begun;
use super::{Stage, Work};
use crate::infer::LiveSession;
use crate::model::Network;
use crate::model::student_file::{StudentHeader, save_student};
use crate::sys::disk::sync;
use crate::sys::hash;
use crate::{Error, ErrorKind, Result};

pub(super) fn run(work: &Work<'_>, line: Option<&LiveSession>) -> Result<Stage> {
    let evaluation = Evaluation::settled(work)?;
    if !evaluation.passes() {
        return Ok(Stage::Done);
    }
    let (folder, from) = (work.folder, work.begun.from.as_str());
    let (live, candidate) = (folder.live(), folder.candidate());
    let exchanged = live.student_hash()? == evaluation.student;
    let next = if exchanged { &live } else { &candidate };
    // Nothing that can fail may come after the files were exchanged.
    let prepared = line.map(|line| line.successor(&next.student(), work.night.config)).transpose()?;
    if !exchanged {
        if evaluation.classifier_left_out.is_some() {
            remove_file(&candidate.classifier())?;
        }
        complete(&candidate, &live, work.begun.number)?;
        exchange(candidate.path(), live.path())?;
        sync(folder.path()).and_then(|()| sync(&folder.work()))?;
    }
    if let (Some(line), Some(prepared)) = (line, prepared) {
        line.replace(prepared);
    }
    keep_previous(folder, from)?;
    Ok(Stage::Done)
}

/// Why what was found cannot be acted on any more, now that the student of the hash `live` is. Of a night of another version it may
/// not even be readable.
pub(super) fn hindrance(folder: &Folder, begun: &Begun, live: &str) -> Result<Option<String>> {
    let was_exchanged = live != begun.from;
    let known = match Evaluation::read(folder) {
        Err(error) if error.kind() == ErrorKind::Format && was_exchanged => {
            night_of(&folder.live())? == Some(begun.number)
        }
        Err(error) if error.kind() == ErrorKind::Format => return Ok(Some(error.to_string())),
        found => found?.student == live || !was_exchanged,
    };
    Ok((!known).then(|| "the live student is another".to_owned()))
}

/// What goes live beside the student: the classifier of the night, or else the one there is. That has a network of its own, so
/// it answers as before.
fn complete(candidate: &Place, live: &Place, night: u64) -> Result<()> {
    let mut classifier = Some(night).filter(|_| candidate.classifier().exists());
    if live.classifier().exists() {
        if classifier.is_none() {
            link_or_copy(&live.classifier(), &candidate.classifier())?;
        }
        // It may have come there by a call that was cut short.
        if hash::of_file(&live.classifier())? == hash::of_file(&candidate.classifier())? {
            classifier = about(live)?.and_then(|about| about.classifier);
        }
    }
    write_json(&candidate.about(), &About { night, classifier })?;
    sync(candidate.path())
}

/// Moves what was live, and lies under the candidate's name now, to its place.
fn keep_previous(folder: &Folder, from: &str) -> Result<()> {
    let (candidate, previous) = (folder.candidate(), folder.previous());
    if !candidate.exists() || candidate.student_hash()? != from {
        return Ok(());
    }
    if previous.exists() {
        exchange(candidate.path(), previous.path())?;
    } else {
        std::fs::rename(candidate.path(), previous.path())
            .map_err(|error| Error::io("rename to", previous.path(), &error))?;
    }
    sync(folder.path())
}

/// Makes the first live student of a folder.
pub(super) fn install_first(folder: &Folder, network: &Network, header: &StudentHeader) -> Result<()> {
    folder.remove_work();
    folder.make_work()?;
    let (candidate, live) = (folder.candidate(), folder.live());
    save_student(&candidate.student(), network, header)?;
    write_json(&candidate.about(), &About { night: 0, classifier: None })?;
    sync(candidate.path())?;
    std::fs::rename(candidate.path(), live.path()).map_err(|error| Error::io("rename to", live.path(), &error))?;
    sync(folder.path())
}
