//! The last stage: a line of the history and a page for people.

use std::sync::Arc;

use super::evaluation::{Evaluation, Gate, Nearest};
use super::history::{self, Line, OldNew, Pair, Values};
use super::shown::ShownFrames;
use super::{Work, charts, chosen, queue};
use crate::data::{EncodedImage, Frame};
use crate::eval::{Judgement, MapConfig, embedding_map};
use crate::gate::Criterion;
use crate::model::student_file::read_about;
use crate::report::{ClassImages, Figure, MapImages, Report, SheetRow, Thumbnail};
use crate::train::{Control, in_background};
use crate::{Error, ErrorKind, Result};

/// Pictures in a column of a class.
const OF_A_CLASS: usize = 4;
/// Points of the map.
const ON_THE_MAP: usize = 500;

/// Writes both; `has_station`: a session was there to be exchanged.
pub(super) fn run(work: &Work<'_>, has_station: bool) -> Result<Line> {
    let evaluation = Evaluation::settled(work)?;
    let line = line(work, &evaluation, has_station)?;
    let nights = history::add(work.folder, &line)?;
    let page = || page(work, &evaluation, &line, &nights);
    let page = match work.night.config.nice {
        0 => page()?,
        // The map takes a second or so.
        nice => in_background(nice, |_| page(), |()| Control::Continue)?,
    };
    page.write(&work.folder.report())?;
    Ok(line)
}

fn line(work: &Work<'_>, evaluation: &Evaluation, has_station: bool) -> Result<Line> {
    let (begun, frames, gate) = (work.begun, work.frames, evaluation.gate.as_ref());
    let live = evaluation.passes();
    let ended = history::now_us();
    let values = |criterion: Criterion| Values { old: criterion.old, new: criterion.new };
    let recall = |judgement: &Option<Judgement>| judgement.as_ref().map(|judgement| judgement.balanced_recall);
    let classifiers = OldNew { old: recall(&evaluation.old_classifier), new: recall(&evaluation.new_classifier) };
    let swapped = match (live, has_station) {
        (false, _) => "none",
        (true, true) => "session and files",
        (true, false) => "files",
    };
    let carried = queue::carried(work.folder)?;
    Ok(Line {
        night: begun.number,
        ended: history::date(ended),
        seconds: (ended - begun.began_us) as f64 / 1e6,
        live,
        reason: reason(evaluation),
        swapped: swapped.to_owned(),
        frames_seen: !gate.is_some_and(Gate::lost_to_load),
        new_frames: frames.new,
        learned_frames: frames.learned.len() as u64,
        older_frames: frames.replayed,
        labelled_frames: frames.labelled.0.len() as u64,
        compared_frames: gate.map_or(0, |gate| gate.frames as u64),
        reference_frames: gate.map_or(0, |gate| gate.reference as u64),
        queue_rows: carried.rows,
        queue_left_out: carried.left_out,
        loss: loss(work, live),
        kl: gate.map(|gate| Pair { old: gate.old.kl, new: gate.new.kl }),
        overlap: gate.map(|gate| Pair { old: gate.old.overlap, new: gate.new.overlap }),
        cosine: gate.map(|gate| Pair { old: gate.old.cosine, new: gate.new.cosine }),
        knn_recall: gate.and_then(|gate| gate.recall).map(values),
        classifier_recall: (classifiers.old.is_some() || classifiers.new.is_some()).then_some(classifiers),
        chance: chance(work, evaluation),
        classifier_left_out: evaluation.classifier_left_out.clone().unwrap_or_default(),
        latency_ms: gate.map(|gate| values(gate.latency)),
    })
}

/// Of the reference, where there is one.
fn chance(work: &Work<'_>, evaluation: &Evaluation) -> Option<f64> {
    let judged = evaluation.new_classifier.as_ref().or(evaluation.old_classifier.as_ref());
    let classes = work.frames.reference.1.iter().collect::<std::collections::BTreeSet<_>>().len();
    let by_classes = (evaluation.gate.as_ref()?.recall.is_some() && classes > 0).then(|| 1.0 / classes as f64);
    judged.map(|judged| judged.confusion.chance()).or(by_classes)
}

/// The loss that stands in the new student's file, wherever that lies by now.
fn loss(work: &Work<'_>, live: bool) -> Option<f64> {
    let place = if live { work.folder.live() } else { work.folder.candidate() };
    read_about(&place.student()).ok()?.provenance["distillation"]["loss"].as_f64()
}

fn reason(evaluation: &Evaluation) -> String {
    if let Some(reason) = &evaluation.unfit {
        return reason.clone();
    }
    let Some(gate) = evaluation.gate.as_ref().filter(|gate| !gate.passes) else { return String::new() };
    if gate.lost_to_load() {
        return "the machine was too busy to time the students; the frames of this night count as new again".to_owned();
    }
    let failed = gate.criteria().into_iter().filter(|(_, one, _)| !one.holds).map(|(name, ..)| name);
    let (worse, unsure): (Vec<&str>, Vec<&str>) = failed.partition(|&name| name == Gate::CLASSIFIER);
    let part = |what: &str, names: &[&str]| {
        (!names.is_empty()).then(|| format!("{what} the old one by: {}", names.join(", ")))
    };
    let parts = [part("not shown to be as good as", &unsure), part("shown to be worse than", &worse)];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn page(work: &Work<'_>, evaluation: &Evaluation, line: &Line, nights: &[Line]) -> Result<Report> {
    let mut page = Report::new(&format!("Night {} of the station", line.night));
    let outcome = if line.live { "The new student is live." } else { "The old student stays live" };
    let why = if line.live { String::new() } else { format!(": {}.", line.reason) };
    page.paragraph(&format!("{outcome}{why} Done {}, after {:.0} s.", line.ended, line.seconds));
    if !line.classifier_left_out.is_empty() {
        page.paragraph(&format!("{}.", capital(&line.classifier_left_out)));
    }
    if !line.queue_left_out.is_empty() {
        page.paragraph(&format!("The queue of the last night was left out and filled anew: {}.", line.queue_left_out));
    }
    page.figures(&figures(line));
    if let Some(gate) = &evaluation.gate {
        table_of_gate(&mut page, gate)?;
    }
    for (name, judgement) in
        [("new classifier", &evaluation.new_classifier), ("live classifier", &evaluation.old_classifier)]
    {
        if let Some(judgement) = judgement {
            let title = format!("Reference frames by the {name}");
            left_out(page.confusion(&title, &work.frames.classes, &judgement.confusion))?;
        }
    }
    left_out(show_frames(&mut page, work))?;
    if !evaluation.sheet.is_empty() {
        page.neighbour_sheet(
            "Nearest held-out frames",
            &["teacher", "new student"],
            pictures(work, &evaluation.sheet)?,
        )?;
    }
    charts::over_time(&mut page, nights, evaluation.gate.as_ref());
    Ok(page)
}

/// A part that what lies on the disk does not suffice for is no reason to lose the rest.
fn left_out(part: Result<()>) -> Result<()> {
    match part {
        Err(error) if matches!(error.kind(), ErrorKind::Format | ErrorKind::InvalidArgument) => {
            log::warn!("the report has a part less: {error}");
            Ok(())
        }
        part => part,
    }
}

/// A sheet of the reference's classes, and a map of all frames that were kept for it.
fn show_frames(page: &mut Report, work: &Work<'_>) -> Result<()> {
    let Some(shown) = ShownFrames::read(work.folder)? else { return Ok(()) };
    let (frames, names) = (&shown.frames, work.frames.classes.as_slice());
    let embeddings = shown.embeddings()?;
    let labels: Vec<i32> = frames.iter().map(|frame| frame.class).collect();
    let answers: Vec<i32> = frames.iter().map(|frame| frame.answer).collect();
    let probabilities: Vec<f32> = frames.iter().map(|frame| frame.probability).collect();
    let answered = answers.iter().any(|&answer| answer >= 0);
    if labels.iter().any(|&label| label >= 0) {
        let images = ClassImages {
            names,
            labels: &labels,
            embeddings: Some(embeddings),
            answers: answered.then_some((&answers, Some(&probabilities))),
        };
        let picture = |place: usize, caption: &str| {
            let image = &frames[place].image;
            let frame = frame_of(work, image)?.ok_or_else(|| Error::new(ErrorKind::Format, "the frame has gone"))?;
            Thumbnail::new(place as u64, &frame, &format!("{caption} · {}", image.name))
        };
        let title = "Reference frames of each class, by the new student";
        left_out(page.class_sheet(title, &images, OF_A_CLASS, picture))?;
    }
    let map = embedding_map(&embeddings, &labels, &MapConfig { max_points: ON_THE_MAP, ..MapConfig::default() })?;
    let points = map.rows().iter().map(|&row| frames[row as usize].image.name.clone()).collect();
    let images = MapImages { labels: &labels, classes: names };
    page.map("Reference and other held-out frames, by the new student", &map, &images, points)
}

fn figures(line: &Line) -> Vec<Figure> {
    let figure = |label: &str, value: String, note: String| Figure { label: label.to_owned(), value, note };
    let mut figures = vec![figure(
        "frames learned from",
        line.learned_frames.to_string(),
        format!("{} of them older ones; {} new in the store", line.older_frames, line.new_frames),
    )];
    if line.queue_rows > 0 {
        let note = "embeddings that the last night ended with, which tonight's distillation began with";
        figures.push(figure("rows of the last queue", line.queue_rows.to_string(), note.to_owned()));
    }
    if let Some(overlap) = line.overlap {
        figures.push(figure(
            "overlap with the teacher",
            format!("{:.3}", overlap.new.value),
            format!("{:.3} before, on {} held-out frames", overlap.old.value, line.compared_frames),
        ));
    }
    if let Some(recall) = line.knn_recall {
        let note = format!("{}{:.3} before, on {} labelled frames", chance_of(line), recall.old, line.reference_frames);
        figures.push(figure("kNN balanced recall", format!("{:.3}", recall.new), note));
    }
    if let Some(OldNew { new: Some(new), old }) = line.classifier_recall {
        let note = chance_of(line) + &old.map_or(String::new(), |old| format!("{old:.3} before"));
        figures.push(figure("classifier's balanced recall", format!("{new:.3}"), note));
    }
    if let Some(latency) = line.latency_ms {
        figures.push(figure("ms a frame", format!("{:.1}", latency.new), format!("{:.1} before", latency.old)));
    }
    figures
}

/// What stands before the figure of before.
fn chance_of(line: &Line) -> String {
    line.chance.map_or(String::new(), |chance| format!("chance is {chance:.3}; "))
}

fn capital(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

fn table_of_gate(page: &mut Report, gate: &Gate) -> Result<()> {
    let row = |(name, one, decides): (&str, Criterion, bool)| {
        let verdict = match (decides, one.holds) {
            (false, _) => "too few images to decide",
            (true, true) => "holds",
            (true, false) if name == Gate::LATENCY && gate.latency_unclear => "the machine was too busy to tell",
            (true, false) => "does not hold",
        };
        let number = |value: f64| format!("{value:.4}");
        let interval = format!("{} to {}", number(one.difference.low), number(one.difference.high));
        [name.to_owned(), number(one.old), number(one.new), interval, number(one.limit), verdict.to_owned()].to_vec()
    };
    let rows: Vec<Vec<String>> = gate.criteria().into_iter().map(row).collect();
    page.table("The gate", &["criterion", "live", "new", "new − live, 95 %", "limit", "verdict"], &rows)
}

/// None where the store has let it go.
fn frame_of(work: &Work<'_>, image: &EncodedImage) -> Result<Option<Arc<Frame>>> {
    match chosen::dataset(work.night.store, std::slice::from_ref(image))?
        .load_by(0, &work.night.config.view.input.range)
    {
        Err(error) if error.kind() == ErrorKind::OutOfMemory => Err(error),
        frame => Ok(frame.ok()),
    }
}

/// Pictures that have gone from the store are left out, and rows whose own frame has.
fn pictures(work: &Work<'_>, sheet: &[Nearest]) -> Result<Vec<SheetRow>> {
    let picture = |image: &EncodedImage| -> Result<Option<Thumbnail>> {
        frame_of(work, image)?.map(|frame| Thumbnail::new(image.key as u64, &frame, &image.name)).transpose()
    };
    let all = |images: &[EncodedImage]| -> Result<Vec<Thumbnail>> {
        images.iter().filter_map(|image| picture(image).transpose()).collect()
    };
    let row = |shown: &Nearest| -> Result<Option<SheetRow>> {
        let Some(query) = picture(&shown.frame)? else { return Ok(None) };
        Ok(Some(SheetRow { query, neighbours: vec![all(&shown.by_teacher)?, all(&shown.by_student)?] }))
    };
    sheet.iter().filter_map(|shown| row(shown).transpose()).collect()
}
