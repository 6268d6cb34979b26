//! The stage that distils on: the live student learns from tonight's frames and some older ones.

use std::path::Path;
use std::sync::{Arc, Mutex};

use super::folder::Folder;
use super::progress::{NightProgress, NightStage};
use super::{Stage, Work, chosen, queue};
use crate::config::Config;
use crate::data::Dataset;
use crate::model::Network;
use crate::model::provenance::Provenance;
use crate::model::student_file::{StudentHeader, load_student, save_student};
use crate::train::shared::with_lock;
use crate::train::{Control, Distillation, Outcome};
use crate::{Error, ErrorKind, Result, device};

/// Steps between two checkpoints at most, where the configuration does not say: some minutes on two cores.
const MOST_BETWEEN: u64 = 200;

/// A candidate that is no student, with the reason, stands for a run that cannot succeed however often it is tried.
pub(super) const DIVERGED: &str = "diverged.json";

pub(super) fn run(work: &Work<'_>, observe: &mut dyn FnMut(&NightProgress) -> Control) -> Result<Stage> {
    let dataset = chosen::dataset(work.night.store, &work.frames.learned)?;
    let config = settings(work, dataset.len());
    let (mut network, header) = load_student(&work.folder.live().student())?;
    network.to_device(device::parse(&config.device)?)?;
    let batch = config.batch_size;
    let provenance = Arc::new(Provenance::of_value(header.provenance.clone()));
    let shared = Arc::new(Mutex::new(network));
    let queue = queue::take(work, &config)?;
    let mut run = Distillation::new(
        config,
        Arc::clone(&shared),
        Arc::clone(&work.night.teacher),
        queue,
        Some(Arc::clone(&dataset)),
    )?
    .recorded_in(Arc::clone(&provenance));
    resume(&mut run, work.folder)?;
    let outcome = run.run(None, work.cancel, |progress| {
        observe(&NightProgress {
            loss: progress.loss,
            images_per_second: progress.images_per_second,
            eta_seconds: progress.eta_seconds,
            ..work.progress(NightStage::Distil, progress.step, progress.total_steps)
        })
    });
    let outcome = match outcome {
        Err(error) if run.has_diverged()? => {
            // No further try ends otherwise: the night goes on to its report, and the old student stays.
            super::files::write_json(&work.folder.work().join(DIVERGED), &error.message())?;
            return Ok(Stage::Done);
        }
        outcome => outcome?,
    };
    if outcome != Outcome::Finished {
        return Ok(Stage::Cancelled);
    }
    let night = serde_json::json!({
        "number": work.begun.number,
        "new_frames": work.frames.new,
        "older_frames": work.frames.replayed,
        "images_in_a_step": batch,
    });
    provenance.set("night", night)?;
    let header = StudentHeader { provenance: provenance.to_value(), ..header };
    with_lock(&shared, |network| save(work.folder, network, &header, &dataset))?;
    Ok(Stage::Done)
}

fn save(folder: &Folder, network: &Network, header: &StudentHeader, dataset: &Dataset) -> Result<()> {
    let skipped = dataset.skipped().len();
    if skipped > 0 {
        log::warn!("{skipped} frames could not be learned from; they are broken or the store has let them go");
    }
    save_student(&folder.candidate().student(), network, header)
}

/// Where the event files of this night are: each night counts its steps from 1, so one folder would show the last night only.
pub(super) fn board_of(work: &Work<'_>) -> String {
    let folder = &work.night.config.tensorboard_folder;
    match folder.is_empty() {
        true => String::new(),
        false => Path::new(folder).join(format!("night-{:04}", work.begun.number)).to_string_lossy().into_owned(),
    }
}

/// The configuration of the night's run: randomness of its own, and a checkpoint in the folder.
fn settings(work: &Work<'_>, images: usize) -> Config {
    let mut config = work.night.config.clone();
    config.seed = (config.seed.wrapping_add(work.begun.number)) & (i64::MAX as u64);
    config.checkpoint_path = work.folder.checkpoint().to_string_lossy().into_owned();
    config.tensorboard_folder = board_of(work);
    if config.checkpoint_every == 0 {
        let steps = match config.steps {
            0 => (images as u64).saturating_mul(config.epochs) / config.batch_size,
            steps => steps,
        };
        config.checkpoint_every = (steps / 20).clamp(1, MOST_BETWEEN);
    }
    config
}

/// Goes on from the checkpoint where there is one. One that is damaged or of another run is no reason to lose the night.
fn resume(run: &mut Distillation, folder: &Folder) -> Result<()> {
    let path = folder.checkpoint();
    let aside = path.with_extension("old");
    if !path.exists() && !aside.exists() {
        return Ok(());
    }
    match run.resume(&path) {
        Err(error) if matches!(error.kind(), ErrorKind::Format | ErrorKind::Mismatch) => {
            log::warn!("tonight's distillation begins anew: {error}");
            std::fs::remove_dir_all(&path).map_err(|error| Error::io("remove", &path, &error))
        }
        resumed => resumed,
    }
}
