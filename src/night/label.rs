//! The stage that fine-tunes: a classifier out of the candidate and the labels there are.

use super::distil::board_of;
use super::evaluation::diverged;
use super::progress::{NightProgress, NightStage};
use super::{Stage, Work, chosen};
use crate::data::EncodedImage;
use crate::model::student_file::load_student;
use crate::train::finetune::{Labelled, Start, finetune};
use crate::train::{Control, Outcome};
use crate::{ErrorKind, Result};

pub(super) fn run(work: &Work<'_>, observe: &mut dyn FnMut(&NightProgress) -> Control) -> Result<Stage> {
    let place = work.folder.candidate().classifier();
    let (images, classes) = &work.frames.labelled;
    if diverged(work)?.is_some() || !can_learn(classes) {
        return Ok(Stage::Done);
    }
    // Of a class whose few frames have all gone by now, a linear fit knows nothing: better no classifier.
    let left = chosen::still_there(work.night.store, images)?;
    if !can_learn(&left.iter().map(|&i| classes[i]).collect::<Vec<_>>()) {
        log::warn!("no classifier tonight: the store has let go of labelled frames");
        return Ok(Stage::Done);
    }
    let mut config = work.night.config.clone();
    config.tensorboard_folder = board_of(work);
    config.finetune.checkpoint_path = work.folder.finetune_checkpoint().to_string_lossy().into_owned();
    let (network, header) = load_student(&work.folder.candidate().student())?;
    let start = Start::student(&network, &header)?;
    let teacher = (config.finetune.anchor > 0.0).then(|| work.night.teacher.clone());
    let images: &[EncodedImage] = images;
    let dataset = chosen::dataset(work.night.store, images)?;
    let labelled = Labelled { dataset: &dataset, labels: classes, names: &work.frames.classes };
    let made = finetune(&config, start, teacher, &labelled, work.cancel, |progress| {
        observe(&NightProgress {
            loss: progress.loss,
            eta_seconds: progress.eta_seconds,
            ..work.progress(NightStage::Finetune, progress.done, progress.total)
        })
    });
    match made {
        Ok((classifier, Outcome::Finished)) => {
            classifier.save(&place)?;
            Ok(Stage::Done)
        }
        // What it has come to so far is not what the whole fit gives: the next call makes that.
        Ok(_) => Ok(Stage::Cancelled),
        Err(error) if error.kind() == ErrorKind::Cancelled => Ok(Stage::Cancelled),
        Err(error) => Err(error),
    }
}

/// Whether there are two classes at least.
fn can_learn(classes: &[i32]) -> bool {
    classes.iter().any(|class| Some(class) != classes.first())
}
