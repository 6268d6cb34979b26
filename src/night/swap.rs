//! The stage that exchanges: the candidate becomes live, what was live becomes the previous one.
//!
//! ```text
//! night/candidate ⇄ live      one system call: student, classifier and about.json together
//! night/candidate ⇄ previous  or a rename where there is none; what is left in candidate is removed
//! ```
//!
//! Students are told apart by their hashes, so whichever of these steps was the last, the next call sees what is left to do.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::evaluate::Evaluation;
use super::files::{exchange, link_or_copy, write_json};
use super::folder::{Folder, Place};
use super::{Stage, Work};
use crate::disk::sync;
use crate::model::Network;
use crate::model::student_file::{StudentHeader, save_student};
use crate::{Error, Result};

/// What runs on the line, a session say. It is told twice, so that nothing that can fail comes after the files were exchanged.
pub trait Station {
    /// Makes ready what is in the file of a student, and refuses what does not fit.
    ///
    /// # Errors
    /// Whatever keeps it from running this student.
    fn prepare(&mut self, student: &Path) -> Result<()>;

    /// Runs what was prepared last.
    fn go_live(&mut self);
}

/// Which night made a student, in the file `about.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct About {
    /// 0: it is the one that the first night started from.
    pub night: u64,
}

pub(super) fn run(work: &Work<'_>, station: Option<&mut dyn Station>) -> Result<Stage> {
    let evaluation = Evaluation::read(work.folder)?;
    if !evaluation.passes() {
        return Ok(Stage::Done);
    }
    let (folder, from) = (work.folder, work.begun.from.as_str());
    let (live, candidate) = (folder.live(), folder.candidate());
    let exchanged = live.student_hash()? == evaluation.student;
    let next = if exchanged { &live } else { &candidate };
    let mut station = station;
    if let Some(station) = &mut station {
        station.prepare(&next.student())?;
    }
    if !exchanged {
        complete(&candidate, &live, work.begun.number)?;
        exchange(candidate.path(), live.path())?;
        sync(folder.path()).and_then(|()| sync(&folder.work()))?;
    }
    if let Some(station) = &mut station {
        station.go_live();
    }
    keep_previous(folder, from)?;
    Ok(Stage::Done)
}

/// What goes live beside the student: the classifier of the night, or else the one there is.
fn complete(candidate: &Place, live: &Place, night: u64) -> Result<()> {
    if !candidate.classifier().exists() && live.classifier().exists() {
        link_or_copy(&live.classifier(), &candidate.classifier())?;
    }
    write_json(&candidate.about(), &About { night })?;
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
    write_json(&candidate.about(), &About { night: 0 })?;
    sync(candidate.path())?;
    std::fs::rename(candidate.path(), live.path()).map_err(|error| Error::io("rename to", live.path(), &error))?;
    sync(folder.path())
}
