//! The one call: a data set, a teacher, an architecture and a time in; a student's file and a report out.
//!
//! What it needs on the way lies in the folder, so that a call that was cancelled or killed is gone on with by the same call:
//!
//! | file | what |
//! |---|---|
//! | `student.safetensors` | the student, when it is done |
//! | `report.html` | how good it is, when it is done |
//! | `work/plan.json` | the settings that were decided on, and of what run |
//! | `work/bank` | the teacher's embeddings |
//! | `work/checkpoint` | the run |
//! | `work/lock` | held while a call works there |
//!
//! `work` is removed at the end.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::head;
use super::measure::Cost;
use super::page;
use super::plan::{Plan, Wish};
use super::request::Request;
use crate::config::{Config, QueueFill, Standardise};
use crate::distill::Targets;
use crate::distill::bank::Bank;
use crate::model::provenance::{Provenance, SharedProvenance};
use crate::model::student_file::{StudentHeader, save_student};
use crate::model::{Head, Network, start_from};
use crate::sys::disk::write_whole;
use crate::sys::file_lock::{Attempt, FileLock};
use crate::sys::memory_file;
use crate::train::probe::{Looks, learned_images};
use crate::train::shared::{SharedNetwork, with_lock};
use crate::train::{CancelToken, Control, Distillation, Outcome, fill_bank};
use crate::warnings::Warnings;
use crate::{Error, ErrorKind, Result, device};

/// What a call is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(i32)]
pub enum Stage {
    /// Both networks are measured.
    Plan = 1,
    /// The teacher sees the views.
    Bank = 2,
    /// The student learns.
    Distil = 3,
    /// The student is judged and the report written.
    Report = 4,
}

/// One report of a call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// Rows of the bank, or steps, that are done, and how many there are; 0 of 0 in the other stages.
    pub done: u64,
    /// As above.
    pub total: u64,
    /// Seconds since the call began.
    pub elapsed_seconds: f64,
    /// Estimated seconds to the end of the stage; NaN where it is not known.
    pub eta_seconds: f64,
    /// Images a second; 0 where it is not known.
    pub images_per_second: f64,
    /// Mean loss since the report before; NaN outside of the run.
    pub loss: f64,
    /// What the run's probe has found so far.
    pub looks: Option<Looks>,
}

/// What came of a call.
pub struct Distilled {
    /// Finished, or cancelled: then the same call goes on.
    pub outcome: Outcome,
    /// The student; sessions can be made of it.
    pub student: SharedNetwork,
    /// What it comes from.
    pub provenance: SharedProvenance,
    /// Steps made.
    pub steps: u64,
    /// What the probe has found; none where there were too few frames.
    pub looks: Option<Looks>,
    /// How good the student is on the data set; none of a call that was cancelled.
    pub figures: Option<page::Figures>,
    /// What the caller should know although nothing failed.
    pub warnings: Warnings,
    /// The settings of the run.
    pub config: Config,
    /// Seconds that the call took.
    pub seconds: f64,
}

/// The plan as it lies in the folder.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    format: String,
    /// Of what run it is.
    run: Identity,
    settings: Config,
    bank: bool,
    reasons: Vec<String>,
    cost: Cost,
}

/// What must be the same for a call to go on where another stopped.
#[derive(Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct Identity {
    architecture: String,
    weights: String,
    teacher: String,
    dataset: String,
}

const FORMAT: &str = "libseed.distil.1";
const STUDENT: &str = "student.safetensors";
const REPORT: &str = "report.html";
/// Seconds that the report takes at most of the time, as a share of it.
const REPORTING: f64 = 0.03;

/// Distils. `observe` is told what is being done, on this thread, and can stop it; `cancel` too, from any thread. Both leave the work
/// in the folder, and the same call goes on with it.
///
/// # Errors
/// `InvalidArgument` for an empty data set, a time out of bounds or a student without a folder; `Busy` where another call works in
/// the folder; `Mismatch` where the folder holds unfinished work of another run; `Io`, `OutOfMemory`; those of the networks.
pub fn distil(
    request: &Request,
    cancel: &CancelToken,
    mut observe: impl FnMut(&Progress) -> Control,
) -> Result<Distilled> {
    let began = Instant::now();
    request.wish().check(&request.dataset)?;
    memory_file::on_disk(&request.folder, "a student and its report are written to a folder")?;
    let work = request.folder.join("work");
    std::fs::create_dir_all(&work).map_err(|error| Error::io("create", &work, &error))?;
    let _lock = match FileLock::attempt(&work.join("lock"))? {
        Attempt::Taken(lock) => lock,
        Attempt::HeldBy(process) => {
            return Err(Error::new(
                ErrorKind::Busy,
                format!(
                    "{}: another call works there, in process {process}; give another folder",
                    request.folder.display()
                ),
            ));
        }
    };
    let mut report = |stage, done, total, more: &dyn Fn(&mut Progress)| {
        let mut progress = Progress {
            stage,
            done,
            total,
            elapsed_seconds: began.elapsed().as_secs_f64(),
            eta_seconds: f64::NAN,
            images_per_second: 0.0,
            loss: f64::NAN,
            looks: None,
        };
        more(&mut progress);
        observe(&progress)
    };
    let warnings = Warnings::default();
    let identity = request.identity()?;
    let (student, provenance) = request.student()?;
    let result = |outcome, steps, looks, figures, config: &Config| Distilled {
        outcome,
        student: Arc::clone(&student),
        provenance: Arc::clone(&provenance),
        steps,
        looks,
        figures,
        warnings: warnings.clone(),
        // Its checkpoint lies in a folder that is not the caller's.
        config: Config { checkpoint_path: request.config.checkpoint_path.clone(), ..config.clone() },
        seconds: began.elapsed().as_secs_f64(),
    };
    let cancelled = |steps, looks, config: &Config| result(Outcome::Cancelled, steps, looks, None, config);

    if report(Stage::Plan, 0, 0, &|_| ()) == Control::Stop || cancel.wait().1 {
        return Ok(cancelled(0, None, &request.config));
    }
    let path = work.join("plan.json");
    let (mut plan, resumed) = match read_plan(&path, &identity)? {
        Some(plan) => (plan, true),
        None => (Plan::new(&request.config, &request.dataset, &request.teacher, &request.wish())?, false),
    };
    plan.config.view.input = request.dataset.seen_by(&plan.config.view.input)?;
    plan.config.checkpoint_path = work.join("checkpoint").to_string_lossy().into_owned();
    let judged = page::Judged::new(request, &plan)?;
    let before = judged.rows_of(&student)?;

    let targets: Targets = match plan.bank {
        false => Arc::clone(&request.teacher).into(),
        true => {
            if !resumed {
                write_plan(&path, &identity, &plan)?;
            }
            let bank = work.join("bank");
            let filled =
                fill_bank(&bank, &plan.config, &request.teacher, &request.dataset, None, cancel, |progress| {
                    report(Stage::Bank, progress.rows, progress.total_rows, &|shown| {
                        shown.eta_seconds = progress.eta_seconds;
                        shown.images_per_second = progress.rows_per_second;
                    })
                })?;
            if filled != Outcome::Finished {
                return Ok(cancelled(0, None, &plan.config));
            }
            Arc::new(Bank::open(&bank)?).into()
        }
    };
    if !Path::new(&plan.config.checkpoint_path).exists() {
        if request.weights.is_some() && plan.config.embedding_dim == 0 {
            head::fit(request, &plan.config, &student)?;
        }
        // The bank is there and frames are in memory: now a step shows what it takes.
        let learned = learned_images(&plan.config, request.dataset.len()).len();
        let an_image = trial(request, &student, &targets, &plan, cancel)?;
        let rest = request.seconds * (1.0 - REPORTING) - began.elapsed().as_secs_f64();
        if let Some(an_image) = an_image {
            plan.refit(&request.config, learned, rest, an_image)?;
        }
        write_plan(&path, &identity, &plan)?;
    }

    let mut run = Distillation::new(
        plan.config.clone(),
        Arc::clone(&student),
        targets,
        None,
        Some(Arc::clone(&request.dataset)),
    )?
    .recorded_in(Arc::clone(&provenance))
    .probed_by(Arc::clone(&request.teacher));
    if Path::new(&plan.config.checkpoint_path).exists() {
        run.resume(Path::new(&plan.config.checkpoint_path))?;
    }
    let mut curve = page::Curve::default();
    let outcome = run.run(None, cancel, |progress| {
        curve.add(progress);
        report(Stage::Distil, progress.step, progress.total_steps, &|shown| {
            shown.eta_seconds = progress.eta_seconds;
            shown.images_per_second = progress.images_per_second;
            shown.loss = progress.loss;
            shown.looks = progress.looks;
        })
    })?;
    let (steps, looks) = (run.step(), run.looks());
    for warning in run.warnings().list() {
        warnings.add(warning);
    }
    if outcome != Outcome::Finished {
        return Ok(cancelled(steps, looks, &plan.config));
    }
    report(Stage::Report, 0, 0, &|shown| shown.looks = looks);
    let mut found = judged.figures(&before, &student)?;
    // The probe goes by the teacher alone. Where folders tell classes apart, they have the last word on more frames than it had.
    if found.0.recall.is_some() && run.take_the_other()? {
        let other = judged.figures(&before, &student)?;
        match other.0.better_than(&found.0) {
            Some(why) => {
                warnings.add(why);
                found = other;
            }
            None => _ = run.take_the_other()?,
        }
    }
    let (figures, after, teacher) = found;
    let looks = run.looks();
    drop(run);
    with_lock(&student, |network| {
        let header = StudentHeader::new(network, &plan.config.view.input);
        let header = StudentHeader { provenance: provenance.to_value(), ..header };
        save_student(&request.folder.join(STUDENT), network, &header)
    })?;
    figures.warnings().into_iter().for_each(|warning| warnings.add(warning));
    judged
        .page(&plan, &figures, (&after, &teacher), looks.as_ref(), &curve, &warnings)?
        .write(&request.folder.join(REPORT))?;
    // Both results are whole on the disk: what is left over here is of no use to anyone.
    if let Err(error) = std::fs::remove_dir_all(&work) {
        log::warn!("cannot remove {}: {error}", work.display());
    }
    Ok(result(outcome, steps, looks, Some(figures), &plan.config))
}

impl Request {
    fn wish(&self) -> Wish {
        let from_weights = self.weights.is_some();
        Wish { architecture: self.architecture, from_weights, seconds: self.seconds }
    }

    fn identity(&self) -> Result<Identity> {
        let weights = match &self.weights {
            None => String::new(),
            Some(path) => crate::sys::hash::of_file(path)?.1,
        };
        Ok(Identity {
            architecture: self.architecture.name().to_owned(),
            weights,
            teacher: self.teacher.identity()?,
            dataset: self.dataset.identity(),
        })
    }

    /// A new student; without a head where the run is to give it one.
    fn student(&self) -> Result<(SharedNetwork, SharedProvenance)> {
        let config = &self.config;
        config.validate()?;
        let head = match config.embedding_dim {
            0 => Head::None,
            dim => Head::projection(config.projection_layers as i64, config.projection_hidden as i64, dim as i64),
        };
        let (channels, device) = (i64::from(config.view.input.channels), device::parse(&config.device)?);
        let network = Network::with_channels(self.architecture, head, channels, config.seed, device)?;
        let provenance = Arc::new(Provenance::default());
        if let Some(path) = &self.weights {
            let initial = start_from(&network, path, &config.view.input)?;
            let file = path.file_name().map(|name| name.to_string_lossy().into_owned());
            provenance.set_initial_weights(
                json!({ "file": file, "layout": initial.layout, "prefix": initial.prefix, "head": initial.head }),
            )?;
        }
        Ok((Arc::new(Mutex::new(network)), provenance))
    }
}

/// Seconds an image takes in the run itself: some steps of a copy. None where it was cancelled meanwhile.
fn trial(
    request: &Request,
    student: &SharedNetwork,
    targets: &Targets,
    plan: &Plan,
    cancel: &CancelToken,
) -> Result<Option<f64>> {
    let mut config = plan.config.clone();
    config.checkpoint_path.clear();
    config.tensorboard_folder.clear();
    config.probe.images = 0;
    config.steps = 1 << 40;
    config.queue_fill = QueueFill::Noise;
    config.standardise = Standardise::None; // asks about many images, once
    let copy = Arc::new(Mutex::new(with_lock(student, |student| student.deep_copy())?));
    let dataset = Some(Arc::clone(&request.dataset));
    let mut run = Distillation::new(config, copy, targets.clone(), None, dataset)?;
    let batch = plan.config.batch_size as f64;
    let guess = plan.cost.of_image(!plan.bank, device::parse(&plan.config.device)?) * batch;
    let steps = ((request.seconds / 200.0).clamp(0.1, 3.0) / guess).clamp(3.0, 1000.0) as u64;
    // The first steps make the program of the teacher and fill the loader.
    if run.run(Some(steps.div_ceil(4)), cancel, |_| Control::Continue)? == Outcome::Cancelled {
        return Ok(None);
    }
    let lap = Instant::now();
    if run.run(Some(steps), cancel, |_| Control::Continue)? == Outcome::Cancelled {
        return Ok(None);
    }
    Ok(Some(lap.elapsed().as_secs_f64() / (steps as f64 * batch)))
}

fn write_plan(path: &Path, run: &Identity, plan: &Plan) -> Result<()> {
    let kept = json!({
        "format": FORMAT,
        "run": run,
        "settings": plan.config,
        "bank": plan.bank,
        "reasons": plan.reasons,
        "cost": plan.cost,
    });
    write_whole(path, kept.to_string().as_bytes())
}

/// The plan of an earlier call that was not finished.
fn read_plan(path: &Path, run: &Identity) -> Result<Option<Plan>> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("read", path, &error)),
    };
    let kept: Kept = serde_json::from_slice(&text).map_err(|error| Error::format(path, error))?;
    if kept.format != FORMAT {
        return Err(Error::format(path, format!("the format is {:?}, expected {FORMAT:?}", kept.format)));
    }
    if kept.run != *run {
        return Err(Error::mismatch(format!(
            "{} holds unfinished work of another run (other frames, teacher, architecture or weights); remove it or give another folder",
            path.parent().unwrap_or(path).display()
        )));
    }
    let Kept { settings: config, bank, reasons, cost, .. } = kept;
    Ok(Some(Plan { config, bank, reasons, cost }))
}
