//! The last stage: a line of the history and a page for people.

use super::evaluate::{Evaluation, Gate, Shown};
use super::history::{self, Line, OldNew, Pair, Values};
use super::{Work, chosen};
use crate::Result;
use crate::data::EncodedImage;
use crate::eval::report::Figure;
use crate::eval::{Judgement, Report, SheetRow, Thumbnail};
use crate::gate::Criterion;
use crate::model::student_file::read_about;

/// Writes both; `has_station`: a session was there to be exchanged.
pub(super) fn run(work: &Work<'_>, has_station: bool) -> Result<Line> {
    let evaluation = Evaluation::read(work.folder)?;
    let line = line(work, &evaluation, has_station);
    let nights = history::add(work.folder, &line)?;
    page(work, &evaluation, &line, &nights)?.write(&work.folder.report())?;
    Ok(line)
}

fn line(work: &Work<'_>, evaluation: &Evaluation, has_station: bool) -> Line {
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
    Line {
        night: begun.number,
        ended: history::date(ended),
        seconds: (ended - begun.began_us) as f64 / 1e6,
        live,
        reason: reason(evaluation),
        swapped: swapped.to_owned(),
        new_frames: frames.new,
        learned_frames: frames.learned.len() as u64,
        older_frames: frames.replayed,
        labelled_frames: frames.labelled.0.len() as u64,
        compared_frames: gate.map_or(0, |gate| gate.frames as u64),
        reference_frames: gate.map_or(0, |gate| gate.reference as u64),
        loss: loss(work, live),
        kl: gate.map(|gate| Pair { old: gate.old.kl, new: gate.new.kl }),
        overlap: gate.map(|gate| Pair { old: gate.old.overlap, new: gate.new.overlap }),
        cosine: gate.map(|gate| Pair { old: gate.old.cosine, new: gate.new.cosine }),
        knn_recall: gate.and_then(|gate| gate.recall).map(values),
        classifier_recall: (classifiers.old.is_some() || classifiers.new.is_some()).then_some(classifiers),
        latency_ms: gate.map(|gate| values(gate.latency)),
    }
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
    let failed: Vec<&str> = criteria(gate).into_iter().filter(|(_, one)| !one.holds).map(|(name, _)| name).collect();
    format!("not shown to be as good as the old one by: {}", failed.join(", "))
}

fn criteria(gate: &Gate) -> Vec<(&'static str, Criterion)> {
    let named = [("KL", Some(gate.kl)), ("overlap", Some(gate.overlap)), ("recall", gate.recall)];
    let named = named.into_iter().chain([("latency", Some(gate.latency))]);
    named.filter_map(|(name, criterion)| Some((name, criterion?))).collect()
}

fn page(work: &Work<'_>, evaluation: &Evaluation, line: &Line, nights: &[Line]) -> Result<Report> {
    let mut page = Report::new(&format!("Night {} of the station", line.night));
    let outcome = if line.live { "The new student is live." } else { "The old student stays live" };
    let why = if line.live { String::new() } else { format!(": {}.", line.reason) };
    page.paragraph(&format!("{outcome}{why} Done {}, after {:.0} s.", line.ended, line.seconds));
    page.figures(&figures(line));
    if let Some(gate) = &evaluation.gate {
        table_of_gate(&mut page, gate)?;
    }
    for (name, judgement) in
        [("new classifier", &evaluation.new_classifier), ("live classifier", &evaluation.old_classifier)]
    {
        if let Some(judgement) = judgement {
            let (head, rows) = judgement.confusion.to_table(&work.frames.classes)?;
            let head: Vec<&str> = head.iter().map(String::as_str).collect();
            page.table(&format!("Reference images by the {name}"), &head, &rows)?;
        }
    }
    if !evaluation.sheet.is_empty() {
        page.neighbour_sheet(
            "Nearest held-out frames",
            &["teacher", "new student"],
            pictures(work, &evaluation.sheet)?,
        )?;
    }
    over_time(&mut page, nights);
    Ok(page)
}

fn figures(line: &Line) -> Vec<Figure> {
    let figure = |label: &str, value: String, note: String| Figure { label: label.to_owned(), value, note };
    let mut figures = vec![figure(
        "frames learned from",
        line.learned_frames.to_string(),
        format!("{} of them older ones; {} new in the store", line.older_frames, line.new_frames),
    )];
    if let Some(overlap) = line.overlap {
        figures.push(figure(
            "overlap with the teacher",
            format!("{:.3}", overlap.new.value),
            format!("{:.3} before, on {} held-out frames", overlap.old.value, line.compared_frames),
        ));
    }
    if let Some(recall) = line.knn_recall {
        let note = format!("{:.3} before, on {} labelled frames", recall.old, line.reference_frames);
        figures.push(figure("kNN balanced recall", format!("{:.3}", recall.new), note));
    }
    if let Some(OldNew { new: Some(new), old }) = line.classifier_recall {
        let note = old.map_or(String::new(), |old| format!("{old:.3} before"));
        figures.push(figure("classifier's balanced recall", format!("{new:.3}"), note));
    }
    if let Some(latency) = line.latency_ms {
        figures.push(figure("ms a frame", format!("{:.1}", latency.new), format!("{:.1} before", latency.old)));
    }
    figures
}

fn table_of_gate(page: &mut Report, gate: &Gate) -> Result<()> {
    let rows: Vec<Vec<String>> = criteria(gate)
        .into_iter()
        .map(|(name, one)| {
            let decides = name != "recall" || gate.recall_decides;
            let verdict = match (decides, one.holds) {
                (false, _) => "too few images to decide",
                (true, true) => "holds",
                (true, false) => "does not hold",
            };
            let number = |value: f64| format!("{value:.4}");
            let interval = format!("{} to {}", number(one.difference.low), number(one.difference.high));
            [name.to_owned(), number(one.old), number(one.new), interval, number(one.limit), verdict.to_owned()]
                .to_vec()
        })
        .collect();
    page.table("The gate", &["criterion", "live", "new", "new − live, 95 %", "limit", "verdict"], &rows)
}

/// Pictures that have gone from the store are left out, and rows whose own frame has.
fn pictures(work: &Work<'_>, sheet: &[Shown]) -> Result<Vec<SheetRow>> {
    let store = work.night.store;
    let picture = |image: &EncodedImage| -> Result<Option<Thumbnail>> {
        match chosen::dataset(store, std::slice::from_ref(image))?.load(0) {
            Ok(frame) => Thumbnail::new(image.key as u64, &frame, &image.name).map(Some),
            Err(error) if error.kind() == crate::ErrorKind::OutOfMemory => Err(error),
            Err(_) => Ok(None),
        }
    };
    let all = |images: &[EncodedImage]| -> Result<Vec<Thumbnail>> {
        images.iter().filter_map(|image| picture(image).transpose()).collect()
    };
    let row = |shown: &Shown| -> Result<Option<SheetRow>> {
        let Some(query) = picture(&shown.frame)? else { return Ok(None) };
        Ok(Some(SheetRow { query, neighbours: vec![all(&shown.by_teacher)?, all(&shown.by_student)?] }))
    };
    sheet.iter().filter_map(|shown| row(shown).transpose()).collect()
}

/// Agreement of what was live after each night.
fn over_time(page: &mut Report, nights: &[Line]) {
    type Figures = (&'static str, &'static str, fn(&Line) -> Option<Pair>);
    let charts: [Figures; 2] = [
        ("Overlap with the teacher, night by night", "overlap", |line| line.overlap),
        ("KL to the teacher, night by night", "KL, nats", |line| line.kl),
    ];
    for (chart, label, of) in charts {
        for (series, number) in [
            ("live after the night", (|interval| interval.value) as fn(crate::eval::Interval) -> f64),
            ("95 %, lower end", |interval| interval.low),
            ("95 %, upper end", |interval| interval.high),
        ] {
            let point = |line: &Line| {
                let pair = of(line)?;
                let kept = if line.live { pair.new } else { pair.old };
                Some((line.night as f64, number(kept)))
            };
            let points: Vec<(f64, f64)> = nights.iter().filter_map(point).collect();
            page.curve(chart, "night", label, series, &points);
        }
    }
    let recalls = nights.iter().filter_map(|line| {
        let recall = line.knn_recall?;
        Some((line.night as f64, if line.live { recall.new } else { recall.old }))
    });
    let recalls: Vec<_> = recalls.collect();
    if !recalls.is_empty() {
        page.curve("kNN balanced recall, night by night", "night", "balanced recall", "live after the night", &recalls);
    }
}
