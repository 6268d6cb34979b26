//! How good the student is on frames of the data set, in figures and as a page for people.

use std::sync::Arc;

use tch::{Kind, Tensor};

use super::plan::Plan;
use super::request::Request;
use crate::config::Config;
use crate::data::Dataset;
use crate::data::labels::FolderLabels;
use crate::data::random::{Purpose, generator, shuffle};
use crate::distill::Targets;
use crate::distill::views::for_teacher;
use crate::eval::knn::{KnnConfig, Spread, evaluate_splits};
use crate::eval::{Embeddings, agreement, nearest};
use crate::model::{Mode, unit_rows};
use crate::report::{Figure, Report, SheetRow, Thumbnail};
use crate::sys::memory::{reserve, room};
use crate::train::probe::{Looks, PIECE, host_rows, read};
use crate::train::shared::{SharedNetwork, with_lock};
use crate::warnings::Warnings;
use crate::{Result, device, torch};

/// Frames that are judged: at most, and at least where there are as many.
const MOST: usize = 2000;
const LEAST: usize = 300;
/// Share of the time that the judging may take.
const SHARE: f64 = 0.02;
/// Neighbours that are compared, and that vote.
const NEIGHBOURS: usize = 10;
/// Frames whose neighbours are shown.
const SHOWN: usize = 12;
/// Neighbours that are shown of each.
const BESIDE: usize = 5;

/// The frames that are judged, with what the teacher says of them asked when it is needed.
pub(super) struct Judged<'a> {
    request: &'a Request,
    config: Config,
    /// Numbers of the images, which can be read.
    images: Vec<usize>,
    labels: Option<Vec<i64>>,
    classes: usize,
}

/// What a network gives for the judged frames.
pub(super) struct Rows {
    /// Unit rows: what was distilled.
    embedding: Vec<f32>,
    embedding_dim: usize,
    /// The backbone's, before the head.
    features: Vec<f32>,
    feature_dim: usize,
}

/// How good a student is, before and after, beside its teacher.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// Frames that were judged.
    pub images: usize,
    /// Classes of folders among them; 0 without labels.
    pub classes: usize,
    /// Share of the teacher's ten nearest frames that are the student's too, by the embedding, before and after.
    pub agreement: [f64; 2],
    /// What two spaces that have nothing to do with each other share.
    pub chance: f64,
    /// Balanced 10-NN recall by the embedding: before, after, the teacher's; over five splits. None without labels.
    pub recall: Option<[Spread; 3]>,
    /// The same by the backbone's features.
    pub recall_of_features: Option<[Spread; 3]>,
}

impl<'a> Judged<'a> {
    /// Chooses them.
    pub fn new(request: &'a Request, plan: &Plan) -> Result<Self> {
        let config = &plan.config;
        let dataset = &request.dataset;
        let mut images: Vec<usize> = (0..dataset.len()).collect();
        shuffle(&mut generator(config.seed, 0, 2, Purpose::Probe), &mut images);
        // The teacher is asked twice (embedding and features), the student before and after.
        let a_frame = 2.0 * (plan.cost.teacher + plan.cost.student / 3.0 + plan.cost.view);
        images.truncate(((request.seconds * SHARE / a_frame) as usize).clamp(LEAST, MOST));
        images.sort_unstable();
        images.retain(|&image| dataset.load(image).is_ok());
        let all = FolderLabels::of(dataset)?;
        let labels: Vec<i64> = images.iter().map(|&image| i64::from(all.labels[image])).collect();
        let mut known: Vec<i64> = labels.clone();
        known.sort_unstable();
        known.dedup();
        let usable = known.len() >= 2 && known[0] >= 0;
        Ok(Self {
            request,
            config: config.clone(),
            images,
            labels: usable.then_some(labels),
            classes: if usable { known.len() } else { 0 },
        })
    }

    /// What the student as it is now gives for them.
    pub fn rows_of(&self, student: &SharedNetwork) -> Result<Rows> {
        self.rows(|seen, _| {
            let _no_grad = tch::no_grad_guard();
            with_lock(student, |student| {
                let features = student.features(seen, Mode::Eval)?;
                let embedding = unit_rows(&student.head_forward(features.shallow_clone(), Mode::Eval)?)?;
                Ok((embedding, features))
            })
        })
    }

    fn rows_of_teacher(&self) -> Result<Rows> {
        let targets = Targets::from(Arc::clone(&self.request.teacher));
        self.rows(|seen, images| {
            let seen = for_teacher(seen, &self.config.view.input)?;
            let embedding =
                targets.of_frames(&seen, images, Kind::Float, &|row| self.request.dataset.title(images[row]))?;
            let features = match self.request.teacher.embedder() {
                Some(_) => embedding.shallow_clone(),
                None => self.request.teacher.features(&seen)?,
            };
            Ok((embedding, features))
        })
    }

    fn rows(&self, network: impl Fn(&Tensor, &[usize]) -> Result<(Tensor, Tensor)>) -> Result<Rows> {
        let device = device::parse(&self.config.device)?;
        let mut rows = Rows { embedding: Vec::new(), embedding_dim: 1, features: Vec::new(), feature_dim: 1 };
        for piece in self.images.chunks(PIECE) {
            let (sound, frames) = read(&self.request.dataset, piece, &self.config.view.input)?;
            if sound.len() < piece.len() {
                return Err(crate::Error::new(
                    crate::ErrorKind::Io,
                    "frames that could be read when the call began cannot be read any more",
                ));
            }
            let (embedding, features) = network(&torch::copy_to(&frames, device)?, piece)?;
            for (found, (all, dim)) in [
                (embedding, (&mut rows.embedding, &mut rows.embedding_dim)),
                (features, (&mut rows.features, &mut rows.feature_dim)),
            ] {
                let (numbers, width) = host_rows(&found)?;
                reserve(all, numbers.len(), "embeddings of the judged frames")?;
                all.extend(numbers);
                *dim = width;
            }
        }
        Ok(rows)
    }

    /// Compares the student as it is now with what it was `before` and with the teacher.
    pub fn figures(&self, before: &Rows, student: &SharedNetwork) -> Result<(Figures, Rows, Rows)> {
        let (after, teacher) = (self.rows_of(student)?, self.rows_of_teacher()?);
        let images = self.images.len();
        let k = NEIGHBOURS.min(images.saturating_sub(1)).max(1);
        let shared = |rows: &Rows| -> Result<f64> {
            if images < 2 || rows.embedding.iter().any(|number| !number.is_finite()) {
                return Ok(f64::NAN);
            }
            agreement(&nearest(&teacher.embeddings()?, k)?, &nearest(&rows.embeddings()?, k)?)
        };
        let recall = |of: fn(&Rows) -> Result<Embeddings<'_>>| -> Result<Option<[Spread; 3]>> {
            let Some(labels) = &self.labels else { return Ok(None) };
            let config = KnnConfig { k: k.min((2 * images / 3).max(1)), ..KnnConfig::default() };
            let mut found = [Spread { mean: f64::NAN, deviation: 0.0 }; 3];
            for (place, rows) in [before, &after, &teacher].into_iter().enumerate() {
                found[place] = evaluate_splits(&of(rows)?, labels, &config)?.balanced_recall;
            }
            Ok(Some(found))
        };
        let figures = Figures {
            images,
            classes: self.classes,
            agreement: [shared(before)?, shared(&after)?],
            chance: k as f64 / (images.max(2) - 1) as f64,
            recall: recall(Rows::embeddings)?,
            recall_of_features: recall(Rows::features)?,
        };
        Ok((figures, after, teacher))
    }

    /// The page.
    pub fn page(
        &self,
        plan: &Plan,
        figures: &Figures,
        (after, teacher): (&Rows, &Rows),
        looks: Option<&Looks>,
        curve: &Curve,
        warnings: &Warnings,
    ) -> Result<Report> {
        let name = self.request.architecture.name();
        let mut page = Report::new(&format!("A {name} student of {}", self.request.teacher.name()));
        page.paragraph(&format!(
            "Distilled from {} frames without labels at {}×{}. The figures below are of {} of these frames.",
            self.request.dataset.len(),
            plan.config.view.input.width,
            plan.config.view.input.height,
            figures.images
        ));
        page.figures(&figures.shown());
        for warning in warnings.list() {
            page.paragraph(&format!("Warning: {warning}."));
        }
        page.table("Figures", &["", "student before", "student after", "teacher", "by chance"], &figures.table())?;
        for (step, loss) in &curve.loss {
            page.curve("Loss", "step", "loss", "SEED loss", &[(*step, *loss)]);
        }
        let k = format!("share of the {NEIGHBOURS} nearest");
        for (step, agreement) in &curve.agreement {
            page.curve(
                "Agreement with the teacher on the probe's frames",
                "step",
                &k,
                "student",
                &[(*step, *agreement)],
            );
        }
        if let Some(looks) = looks {
            let held_out = if looks.held_out { "never learned from" } else { "learned from too, since there are few" };
            page.paragraph(&format!(
                "The run was probed on {} frames, {held_out}: {:.3} of the teacher's nearest at the start, {:.3} at the end, by chance \
                 {:.3}.",
                looks.images, looks.start.agreement, looks.last.agreement, looks.chance
            ));
        }
        self.sheet(&mut page, after, teacher)?;
        let reasons: Vec<Vec<String>> = plan.reasons.iter().map(|reason| vec![reason.clone()]).collect();
        page.table("How the settings were chosen", &["decision"], &reasons)?;
        Ok(page)
    }

    fn sheet(&self, page: &mut Report, after: &Rows, teacher: &Rows) -> Result<()> {
        let count = self.images.len();
        if count < 2 || after.embedding.iter().any(|number| !number.is_finite()) {
            return Ok(());
        }
        let k = BESIDE.min(count - 1);
        let (of_teacher, of_student) = (nearest(&teacher.embeddings()?, k)?, nearest(&after.embeddings()?, k)?);
        let dataset: &Dataset = &self.request.dataset;
        let picture = |place: usize| -> Result<Thumbnail> {
            let image = self.images[place];
            Thumbnail::new(
                image as u64,
                &*dataset.load_by(image, &self.config.view.input.range)?,
                &dataset.name(image)?,
            )
        };
        let pictures =
            |indices: &[u32]| indices.iter().map(|&place| picture(place as usize)).collect::<Result<Vec<_>>>();
        let mut rows = room(SHOWN, "a sheet of neighbours")?;
        let (teachers, students): (Vec<_>, Vec<_>) = (of_teacher.rows().collect(), of_student.rows().collect());
        for shown in 0..SHOWN.min(count) {
            let place = shown * count / SHOWN.min(count);
            let neighbours = vec![pictures(teachers[place].0)?, pictures(students[place].0)?];
            rows.push(SheetRow { query: picture(place)?, neighbours });
        }
        page.neighbour_sheet("Nearest frames", &["teacher", "student"], rows)
    }
}

impl Rows {
    fn embeddings(&self) -> Result<Embeddings<'_>> {
        Embeddings::new(&self.embedding, self.embedding_dim)
    }

    fn features(&self) -> Result<Embeddings<'_>> {
        Embeddings::new(&self.features, self.feature_dim)
    }
}

impl Figures {
    /// Why the last student of a run, which these are of, is better than the one that agrees most with its teacher, which `agreeing` are
    /// of; none where it is not by more than the splits' deviation.
    pub(super) fn better_than(&self, agreeing: &Figures) -> Option<String> {
        let ([_, last, _], [_, most, _]) = (self.recall?, agreeing.recall?);
        (last.mean - last.deviation > most.mean + most.deviation).then(|| {
            format!(
                "the last student is kept, which shares {:.3} of the teacher's nearest frames, and not the one that shares {:.3}, since it \
                 tells the folders' {} classes apart better: balanced 10-NN recall {:.3} ± {:.3} instead of {:.3} ± {:.3}",
                self.agreement[1],
                agreeing.agreement[1],
                self.classes,
                last.mean,
                last.deviation,
                most.mean,
                most.deviation
            )
        })
    }

    /// What a caller should know.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut found = Vec::new();
        let [before, after] = self.agreement;
        // A student that began as its teacher cannot agree more with it, but it may become better.
        let improved = self.recall.is_some_and(|[before, after, _]| after.mean > before.mean + after.deviation);
        if after < before && !improved {
            found.push(format!(
                "the student shares {after:.3} of the teacher's nearest frames, {before:.3} before the run: give it more frames or more \
                 time, or start from weights"
            ));
        }
        let Some([before, after, _]) = self.recall else { return found };
        let chance = 1.0 / self.classes.max(1) as f64;
        if after.mean <= chance + after.deviation {
            found.push(format!(
                "the student tells the folders' {} classes apart no better than chance: balanced 10-NN recall {:.3} ± {:.3}, chance \
                 {chance:.3}; give it more time or a larger architecture, and see whether the teacher does better on these frames",
                self.classes, after.mean, after.deviation
            ));
        } else if after.mean < before.mean {
            found.push(format!(
                "the student tells the folders' {} classes apart less well than before: balanced 10-NN recall {:.3} instead of {:.3}",
                self.classes, after.mean, before.mean
            ));
        }
        found
    }

    fn shown(&self) -> Vec<Figure> {
        let figure = |label: &str, value: f64, note: String| Figure {
            label: label.to_owned(),
            value: format!("{value:.3}"),
            note,
        };
        let [before, after] = self.agreement;
        let mut shown = vec![figure(
            "agreement with the teacher",
            after,
            format!("{before:.3} before, {:.3} by chance", self.chance),
        )];
        if let Some([before, after, teacher]) = self.recall {
            let chance = 1.0 / self.classes.max(1) as f64;
            let note = format!("{:.3} before, {chance:.3} by chance, the teacher {:.3}", before.mean, teacher.mean);
            shown.push(figure("balanced 10-NN recall", after.mean, note));
        }
        shown
    }

    fn table(&self) -> Vec<Vec<String>> {
        let number = |value: f64| format!("{value:.3}");
        let [before, after] = self.agreement;
        let mut rows =
            vec![vec!["agreement".to_owned(), number(before), number(after), "1".to_owned(), number(self.chance)]];
        for (what, recall) in [("embedding", &self.recall), ("features", &self.recall_of_features)] {
            if let Some(found) = recall {
                let mut row = vec![format!("balanced 10-NN recall by the {what}, five splits")];
                row.extend(found.iter().map(|spread| format!("{:.3} ± {:.3}", spread.mean, spread.deviation)));
                row.push(number(1.0 / self.classes.max(1) as f64));
                rows.push(row);
            }
        }
        rows
    }
}

/// What a run reported, for the page's charts.
#[derive(Default)]
pub(super) struct Curve {
    loss: Vec<(f64, f64)>,
    agreement: Vec<(f64, f64)>,
}

impl Curve {
    /// Notes a report.
    pub fn add(&mut self, progress: &crate::train::Progress) {
        if progress.loss.is_finite() {
            self.loss.push((progress.step as f64, progress.loss));
        }
        if let Some(looks) = &progress.looks
            && self.agreement.last().is_none_or(|(step, _)| *step < looks.last.step as f64)
        {
            self.agreement.push((looks.last.step as f64, looks.last.agreement));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(agreement: [f64; 2], recall: Option<[(f64, f64); 2]>) -> Figures {
        let spread = |(mean, deviation)| Spread { mean, deviation };
        let recall = recall.map(|[before, after]| [spread(before), spread(after), spread((0.77, 0.03))]);
        Figures { images: 300, classes: 6, agreement, chance: 0.03, recall, recall_of_features: None }
    }

    #[test]
    fn classes_have_the_last_word_where_they_say_something() {
        let start = (0.768, 0.027);
        let agreeing = figures([1.0, 1.0], Some([start, start]));
        let better = figures([1.0, 0.779], Some([start, (0.904, 0.010)]));
        let why = better.better_than(&agreeing).unwrap();
        assert!(why.contains("0.904 ± 0.010 instead of 0.768 ± 0.027"), "{why}");
        assert!(better.warnings().is_empty(), "{:?}", better.warnings());
        // Within the splits' deviation it is chance, and without labels there is nothing to go by.
        assert_eq!(figures([1.0, 0.8], Some([start, (0.80, 0.02)])).better_than(&agreeing), None);
        assert_eq!(figures([1.0, 0.8], None).better_than(&figures([1.0, 1.0], None)), None);
        assert_eq!(figures([1.0, 0.8], None).warnings().len(), 1);
        assert_eq!(figures([1.0, 0.8], Some([start, (0.5, 0.02)])).warnings().len(), 2);
    }
}
