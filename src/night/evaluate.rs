//! The stage that judges: both students and the teacher on tonight's held-out frames, the classifiers on the reference.

use super::classifiers::{Reference, not_better_than_chance, of_its_fit};
use super::evaluation::{Evaluation, Gate, Nearest, diverged};
use super::files::write_json;
use super::progress::{NightProgress, NightStage};
use super::shown::ShownFrames;
use super::{Stage, Work, chosen};
use crate::config::Config;
use crate::data::EncodedImage;
use crate::eval::{Embeddings, nearest};
use crate::gate::{Finding, GateConfig, Trial};
use crate::infer::{Output, Session, SessionOptions};
use crate::train::{Control, in_background};
use crate::{ErrorKind, Result};

/// Frames that the report shows the neighbours of.
const SHOWN: usize = 6;
/// Neighbours that it shows.
const NEIGHBOURS: usize = 5;

pub(super) fn run(work: &Work<'_>, observe: &mut dyn FnMut(&NightProgress) -> Control) -> Result<Stage> {
    let judge = |report: &mut dyn FnMut(NightProgress) -> Control| judge(work, report);
    let found = match work.night.config.nice {
        0 => judge(&mut |progress| observe(&progress)),
        nice => in_background(nice, judge, |progress| observe(&progress)),
    };
    match found {
        Ok(found) => {
            write_json(&work.folder.evaluation(), &found.or_unfit()?)?;
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
    let teacher = Session::of_teacher(&work.night.teacher, &config.view.input, options)?;
    let mut part = Part { work, report, last: std::time::Instant::now(), last_done: 0 };

    let compared = present(work, &work.frames.compared)?;
    let frames = chosen::dataset(work.night.store, &compared)?;
    let queue = chosen::dataset(work.night.store, &spread(&work.frames.learned, work.night.options.queue))?;
    let (images, classes) = &work.frames.reference;
    let left = chosen::still_there(work.night.store, images)?;
    let known: Vec<EncodedImage> = left.iter().map(|&i| images[i].clone()).collect();
    let classes: Vec<i32> = left.iter().map(|&i| classes[i]).collect();
    let labels: Vec<i64> = classes.iter().map(|&class| i64::from(class)).collect();
    let reference = match classes.iter().any(|class| Some(class) != classes.first()) {
        true => Some(chosen::dataset(work.night.store, &known)?),
        false => None,
    };

    match new.embed_dataset(&frames, CHUNK, workers(config), &mut |done, total| part.go_on(done, total)) {
        // NaN, with the frame for which it came.
        Err(error) if error.kind() == ErrorKind::Mismatch => {
            return Ok(Evaluation::unfit(format!("the new student cannot be used: {}", error.message())));
        }
        embedded => {
            // Weights that have become nothing: every frame looks broken to whoever compares rows.
            if embedded?.iter().all(|&number| number == 0.0) {
                return Ok(Evaluation::unfit(
                    "the new student cannot be used: it gives zeros for every frame".to_owned(),
                ));
            }
        }
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
    let mut evaluation =
        Evaluation { student, sheet: sheet(&found, &compared, teacher.dim())?, ..Evaluation::default() };
    let mut verdict = verdict(&found, &gate);
    let mut answered = None;
    if let Some(images) = reference.as_ref().filter(|_| !found.known.is_empty()) {
        let share = work.night.options.held_out;
        let unseen: Vec<bool> = known.iter().map(|image| chosen::is_held_out(work.seed, image.key, share)).collect();
        let reference = Reference { images, classes: &classes, unseen: &unseen, names: &work.frames.classes };
        let mut go_on = |done, total| part.go_on(done, total);
        let of_old = reference.by_live(&folder.live(), options, &gate, &mut go_on)?;
        let of_new = match reference.by_new(&folder.candidate(), options, &gate, &mut go_on) {
            Err(error) if error.kind() == ErrorKind::Format => {
                return Ok(Evaluation::unfit(format!("the new classifier cannot be used: {}", error.message())));
            }
            found => found?,
        };
        if let Some(new) = &of_new {
            evaluation.classifier_left_out = not_better_than_chance(&[Some(&new.judgement), new.held_out.as_ref()])?;
        }
        if let (Some(old), Some(new)) = (&of_old, &of_new)
            && let Some((criterion, decides)) = reference.compare(old, new, &gate)
        {
            (verdict.classifier, verdict.classifier_decides) = (Some(criterion), decides);
            verdict.passes &= criterion.holds;
        }
        evaluation.old_classifier = of_old.map(|old| old.judgement);
        evaluation.new_classifier = of_new.as_ref().map(|new| new.judgement.clone());
        answered = of_new;
    } else {
        let known = match of_its_fit(&folder.candidate(), options) {
            Err(error) if error.kind() == ErrorKind::Format => {
                return Ok(Evaluation::unfit(format!("the new classifier cannot be used: {}", error.message())));
            }
            known => known?,
        };
        if let Some(held_out) = known {
            evaluation.classifier_left_out = not_better_than_chance(&[held_out.as_ref()])?;
        }
    }
    ShownFrames::choose(&found, &compared, &known, &classes, answered.as_ref(), teacher.dim())?.save(folder)?;
    Ok(Evaluation { gate: Some(verdict), ..evaluation })
}

/// Images that are embedded at once.
const CHUNK: usize = 32;

fn workers(config: &Config) -> usize {
    usize::try_from(config.workers).unwrap_or(0)
}

/// Embeddings on the configured device in the configured precision.
pub(super) fn session_options(config: &Config) -> Result<SessionOptions> {
    SessionOptions::of(config, Output::Embedding)
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

fn verdict(found: &Finding, gate: &GateConfig) -> Gate {
    let (verdict, has_reference) = (found.verdict, !found.known.is_empty());
    Gate {
        passes: verdict.passes,
        kl: verdict.kl,
        overlap: verdict.overlap,
        recall: has_reference.then_some(verdict.recall),
        recall_decides: has_reference && verdict.reference >= gate.min_reference,
        classifier: None,
        classifier_decides: false,
        latency: verdict.latency,
        latency_unclear: verdict.latency_unclear,
        frames: verdict.frames,
        reference: verdict.reference,
        old: found.old,
        new: found.new,
    }
}

fn sheet(found: &Finding, compared: &[EncodedImage], dim: usize) -> Result<Vec<Nearest>> {
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
        .map(|i| Nearest { frame: image(i), by_teacher: rows[i].0.clone(), by_student: rows[i].1.clone() })
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
