//! The stage that judges: both students and the teacher on tonight's held-out frames, the classifiers on the reference.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::distil::DIVERGED;
use super::files::{read_json, write_json};
use super::folder::{Folder, Place};
use super::progress::{NightProgress, NightStage};
use super::{Stage, Work, chosen};
use crate::config::Config;
use crate::data::{Dataset, EncodedImage};
use crate::eval::{Embeddings, Fidelity, Judgement, nearest};
use crate::gate::{Criterion, Finding, GateConfig, Trial};
use crate::infer::{Classifier, Output, Session, SessionOptions};
use crate::train::{Control, in_background};
use crate::{ErrorKind, Result, device};

/// Frames that the report shows the neighbours of.
const SHOWN: usize = 6;
/// Neighbours that it shows.
const NEIGHBOURS: usize = 5;

/// What was found, in the file `evaluation.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Evaluation {
    /// SHA-256 of the candidate; empty where there is none.
    pub student: String,
    /// Why the candidate cannot even be compared; the rest is empty then.
    pub unfit: Option<String>,
    /// What the gate says.
    pub gate: Option<Gate>,
    /// Of the live classifier on the reference, where it knows the same classes.
    pub old_classifier: Option<Judgement>,
    /// Of the new one.
    pub new_classifier: Option<Judgement>,
    /// Frames with their neighbours by teacher and new student.
    pub sheet: Vec<Shown>,
}

/// The verdict; recall is absent where there is no reference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Gate {
    pub passes: bool,
    pub kl: Criterion,
    pub overlap: Criterion,
    pub recall: Option<Criterion>,
    pub recall_decides: bool,
    pub latency: Criterion,
    pub frames: usize,
    pub reference: usize,
    pub old: Fidelity,
    pub new: Fidelity,
}

/// A frame and its nearest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shown {
    pub frame: EncodedImage,
    pub by_teacher: Vec<EncodedImage>,
    pub by_student: Vec<EncodedImage>,
}

impl Evaluation {
    fn unfit(reason: String) -> Self {
        Self {
            student: String::new(),
            unfit: Some(reason),
            gate: None,
            old_classifier: None,
            new_classifier: None,
            sheet: Vec::new(),
        }
    }

    /// That of the night.
    pub fn read(folder: &Folder) -> Result<Self> {
        let path = folder.evaluation();
        read_json(&path)?.ok_or_else(|| crate::Error::format(&path, "it is missing; remove the folder it should be in"))
    }

    /// Whether the candidate is to become live.
    pub fn passes(&self) -> bool {
        self.gate.as_ref().is_some_and(|gate| gate.passes)
    }
}

/// Why the distillation failed for good, where it did.
pub(super) fn diverged(work: &Work<'_>) -> Result<Option<String>> {
    read_json(&work.folder.work().join(DIVERGED))
}

pub(super) fn run(work: &Work<'_>, observe: &mut dyn FnMut(&NightProgress) -> Control) -> Result<Stage> {
    let judge = |report: &mut dyn FnMut(NightProgress) -> Control| judge(work, report);
    let found = match work.night.config.nice {
        0 => judge(&mut |progress| observe(&progress)),
        nice => in_background(nice, judge, |progress| observe(&progress)),
    };
    match found {
        Ok(found) => {
            write_json(&work.folder.evaluation(), &found)?;
            Ok(Stage::Done)
        }
        Err(error) if error.kind() == ErrorKind::Cancelled => Ok(Stage::Cancelled),
        Err(error) => Err(error),
    }
}

fn judge(work: &Work<'_>, report: &mut dyn FnMut(NightProgress) -> Control) -> Result<Evaluation> {
    if let Some(reason) = diverged(work)? {
        return Ok(Evaluation::unfit(reason));
    }
    let (config, folder) = (work.night.config, work.folder);
    let student = folder.candidate().student_hash()?;
    if student == work.begun.from {
        return Ok(Evaluation::unfit("the new student is the old one: nothing was learned".to_owned()));
    }
    let options = session_options(config)?;
    let old = Session::open(&folder.live().student(), options)?;
    let new = match Session::open(&folder.candidate().student(), options) {
        Err(error) if error.kind() == ErrorKind::Format => return Ok(Evaluation::unfit(error.message().to_owned())),
        opened => opened?,
    };
    let teacher = Session::of_teacher(&work.night.teacher, &config.view, options)?;
    let mut part = Part { work, report, last: std::time::Instant::now(), last_done: 0 };

    let compared = present(work, &work.frames.compared)?;
    let frames = chosen::dataset(work.night.store, &compared)?;
    let queue = chosen::dataset(work.night.store, &spread(&work.frames.learned, work.night.options.queue))?;
    let (images, classes) = work.frames.reference.clone();
    let left = chosen::still_there(work.night.store, &images)?;
    let reference: Vec<EncodedImage> = left.iter().map(|&i| images[i].clone()).collect();
    let labels: Vec<i64> = left.iter().map(|&i| i64::from(classes[i])).collect();
    let classified: Vec<i32> = left.iter().map(|&i| classes[i]).collect();
    let reference = match labels.iter().any(|label| Some(label) != labels.first()) {
        true => Some(chosen::dataset(work.night.store, &reference)?),
        false => None,
    };

    let rows = new.embed_dataset(&frames, CHUNK, workers(config), &mut |done, total| part.go_on(done, total))?;
    if rows.iter().any(|value| !value.is_finite()) {
        return Ok(Evaluation::unfit("the new student gives numbers that are not finite".to_owned()));
    }
    let gate = gate_of(work, compared.len());
    let trial = Trial {
        old: &old,
        new: &new,
        teacher: &teacher,
        frames: &frames,
        queue: &queue,
        reference: reference.as_ref().map(|reference| (reference, labels.as_slice())),
    };
    let found = trial.find(&gate, &mut |done, total| part.go_on(done, total))?;
    let names = &work.frames.classes;
    let mut classifier = |place: Place| -> Result<Option<Judgement>> {
        let (Some(reference), true) = (&reference, place.classifier().exists()) else { return Ok(None) };
        let options = SessionOptions { output: Output::Logits, ..options };
        let classifier = Classifier::open(&place.classifier(), options)?;
        if &classifier.header().names != names {
            return Ok(None);
        }
        let mut go_on = |done, total| part.go_on(done, total);
        classifier.judge(reference, &classified, CHUNK, workers(config), &mut go_on).map(Some)
    };
    let (old_classifier, new_classifier) = (classifier(folder.live())?, classifier(folder.candidate())?);
    let sheet = sheet(&found, &compared, teacher.dim())?;
    let gate = Some(verdict(&found, &gate, reference.as_ref()));
    Ok(Evaluation { student, unfit: None, gate, old_classifier, new_classifier, sheet })
}

/// Images that are embedded at once.
const CHUNK: usize = 32;

fn workers(config: &Config) -> usize {
    usize::try_from(config.workers).unwrap_or(0)
}

/// Embeddings on the configured device in the configured precision.
pub(super) fn session_options(config: &Config) -> Result<SessionOptions> {
    let device = device::parse(&config.device)?;
    let precision = match config.precision.as_str() {
        "auto" => None,
        chosen => Some(device::precision(chosen, device)?),
    };
    Ok(SessionOptions { device, precision, output: Output::Embedding })
}

/// The gate's settings at the temperatures of the distillation; with few frames, fewer neighbours.
fn gate_of(work: &Work<'_>, frames: usize) -> GateConfig {
    let (options, config) = (work.night.options, work.night.config);
    let mut gate = GateConfig { batch: CHUNK, workers: workers(config), ..options.gate.clone() };
    gate.fidelity.temperature_student = config.temperature_student;
    gate.fidelity.temperature_teacher = config.temperature_teacher;
    gate.fidelity.k = gate.fidelity.k.min(frames / 4).max(1);
    gate
}

fn present(work: &Work<'_>, images: &[EncodedImage]) -> Result<Vec<EncodedImage>> {
    let left = chosen::still_there(work.night.store, images)?;
    Ok(left.iter().map(|&i| images[i].clone()).collect())
}

/// `count` of `images`, evenly.
fn spread(images: &[EncodedImage], count: u64) -> Vec<EncodedImage> {
    let count = usize::try_from(count).unwrap_or(usize::MAX).min(images.len());
    (0..count).map(|i| images[i * images.len() / count].clone()).collect()
}

fn verdict(found: &Finding, gate: &GateConfig, reference: Option<&Arc<Dataset>>) -> Gate {
    let verdict = found.verdict;
    Gate {
        passes: verdict.passes,
        kl: verdict.kl,
        overlap: verdict.overlap,
        recall: reference.map(|_| verdict.recall),
        recall_decides: reference.is_some() && verdict.reference >= gate.min_reference,
        latency: verdict.latency,
        frames: verdict.frames,
        reference: verdict.reference,
        old: found.old,
        new: found.new,
    }
}

fn sheet(found: &Finding, compared: &[EncodedImage], dim: usize) -> Result<Vec<Shown>> {
    let k = NEIGHBOURS.min(found.frames.len().saturating_sub(1));
    let [by_teacher, _, by_student] = &found.rows;
    let (teacher, student) =
        (nearest(&Embeddings::new(by_teacher, dim)?, k)?, nearest(&Embeddings::new(by_student, dim)?, k)?);
    let image = |place: usize| compared[found.frames[place]].clone();
    let of = |indices: &[u32]| indices.iter().map(|&place| image(place as usize)).collect::<Vec<_>>();
    let rows: Vec<_> = teacher.rows().zip(student.rows()).map(|((t, _), (s, _))| (of(t), of(s))).collect();
    let shown = SHOWN.min(rows.len());
    let chosen = (0..shown).map(|i| i * rows.len() / shown);
    Ok(chosen
        .map(|i| Shown { frame: image(i), by_teacher: rows[i].0.clone(), by_student: rows[i].1.clone() })
        .collect())
}

/// Reports one embedding after another.
struct Part<'a, 'b> {
    work: &'a Work<'a>,
    report: &'b mut dyn FnMut(NightProgress) -> Control,
    last: std::time::Instant,
    last_done: usize,
}

impl Part<'_, '_> {
    /// Whether to go on.
    fn go_on(&mut self, done: usize, total: usize) -> bool {
        let seconds = self.last.elapsed().as_secs_f64().max(1e-9);
        let images_per_second = done.saturating_sub(self.last_done) as f64 / seconds;
        (self.last, self.last_done) = (std::time::Instant::now(), done);
        let left = (total - done.min(total)) as f64;
        let progress = NightProgress {
            images_per_second,
            eta_seconds: if images_per_second > 0.0 { left / images_per_second } else { 0.0 },
            ..self.work.progress(NightStage::Evaluate, done as u64, total as u64)
        };
        (self.report)(progress) == Control::Continue && !self.work.cancel.wait().1
    }
}
