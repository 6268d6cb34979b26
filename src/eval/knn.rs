//! Weighted kNN: how well labels follow from neighbours, without training anything.
//!
//! ```text
//! votes(c) = Σ_{j in the k nearest of q in the gallery, label(j) = c} exp(cos(q, j) / τ)        prediction = argmax votes
//! ```
//!
//! The protocol of Wu et al. 2018 ("Unsupervised Feature Learning via Non-Parametric Instance Discrimination", k = 200,
//! τ = .07), which SEED uses with k = 10 on backbone features; method.md §6. Equal votes go to the smaller label.
//!
//! Inspection data is unbalanced, so beside the accuracy there is the balanced recall: the mean over classes of the share of
//! their queries that got the right label.
//!
//! ```
//! use seed::eval::{Embeddings, classify};
//! let (gallery, query) = ([1.0, 0.0, 0.0, 1.0], [0.2, 0.9]);
//! let predicted = classify(&Embeddings::new(&gallery, 2)?, &[5, 3], &Embeddings::new(&query, 2)?, 1, 0.07)?;
//! assert_eq!(predicted, [3]);
//! # Ok::<(), seed::Error>(())
//! ```

use std::collections::BTreeMap;

use super::{Embeddings, Neighbours, nearest, nearest_to};
use crate::data::random::{Purpose, generator, shuffle};
use crate::error::{Error, Result};
use crate::sys::memory::{room, spare};

/// The most splits that are made. Beyond some tens more splits tell nothing new, and a slip must not compute for a week.
pub const MAX_SPLITS: u32 = 10_000;

/// How [`evaluate_splits`] votes and splits.
#[derive(Clone, Debug, PartialEq)]
pub struct KnnConfig {
    /// Neighbours that vote, 1 to the size of the gallery.
    pub k: usize,
    /// τ, above 0: the smaller, the more the very nearest decide.
    pub temperature: f64,
    /// How many random splits into gallery and queries are made, 1 to [`MAX_SPLITS`].
    pub splits: u32,
    /// Share of the images in the gallery, between 0 and 1; the others are queries.
    pub gallery_fraction: f64,
    /// Which splits: equal seeds give equal splits of equally many images, so that networks can be compared.
    pub seed: u64,
}

impl Default for KnnConfig {
    fn default() -> Self {
        Self { k: 10, temperature: 0.07, splits: 5, gallery_fraction: 2.0 / 3.0, seed: 0 }
    }
}

/// What became of the queries of one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassRecall {
    /// The label.
    pub label: i64,
    /// Queries of this class, at least 1.
    pub queries: u64,
    /// How many of them got this label.
    pub hits: u64,
}

impl ClassRecall {
    /// Share of hits, in [0, 1].
    pub fn recall(&self) -> f64 {
        self.hits as f64 / self.queries as f64
    }
}

/// Predictions compared with the truth.
#[derive(Clone, Debug, PartialEq)]
pub struct KnnScore {
    /// Share of queries with the right label, in [0, 1].
    pub accuracy: f64,
    /// Mean recall of the classes that occur among the queries, in [0, 1].
    pub balanced_recall: f64,
    /// Those classes, by label.
    pub classes: Vec<ClassRecall>,
    /// How many queries of the first label got the second; pairs that never occur are absent.
    pub confusion: BTreeMap<(i64, i64), u64>,
}

/// Mean and sample standard deviation (n − 1; 0 for a single value).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// The standard deviation.
    pub deviation: f64,
}

impl Spread {
    /// Of a few numbers; NaN for none.
    pub fn of(values: &[f64]) -> Self {
        if values.is_empty() {
            return Self { mean: f64::NAN, deviation: f64::NAN };
        }
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Self { mean, deviation: (squares / (count - 1.0).max(1.0)).sqrt() }
    }
}

/// Scores of several random splits.
#[derive(Clone, Debug, PartialEq)]
pub struct SplitScores {
    /// Over the splits.
    pub accuracy: Spread,
    /// Over the splits.
    pub balanced_recall: Spread,
    /// One by one.
    pub splits: Vec<KnnScore>,
}

/// The labels that the gallery gives to the queries.
///
/// # Errors
/// `InvalidArgument` for labels below 0 or not as many as gallery rows, k out of 1..=gallery rows, a temperature that is not
/// above 0; and those of [`nearest_to`].
pub fn classify(
    gallery: &Embeddings<'_>,
    gallery_labels: &[i64],
    queries: &Embeddings<'_>,
    k: usize,
    temperature: f64,
) -> Result<Vec<i64>> {
    check_labels("gallery", gallery_labels, gallery)?;
    check_temperature(temperature)?;
    vote(&nearest_to(queries, gallery, k)?, gallery_labels, temperature)
}

/// The label that each row's `k` nearest among the other rows give it, for sets that are too small to be split.
///
/// # Errors
/// As [`classify`]; k is at most the number of rows − 1.
pub fn leave_one_out(embeddings: &Embeddings<'_>, labels: &[i64], k: usize, temperature: f64) -> Result<Vec<i64>> {
    check_labels("data set", labels, embeddings)?;
    check_temperature(temperature)?;
    vote(&nearest(embeddings, k)?, labels, temperature)
}

pub(crate) fn check_temperature(temperature: f64) -> Result<()> {
    if temperature > 0.0 && temperature.is_finite() {
        return Ok(());
    }
    Err(Error::invalid(format!("temperature is {temperature}, expected a number above 0")))
}

/// For each query the label with the most votes of its neighbours; `labels` are the gallery's.
fn vote(neighbours: &Neighbours, labels: &[i64], temperature: f64) -> Result<Vec<i64>> {
    spare(neighbours.len() * size_of::<i64>(), "the classes by kNN")?;
    let mut votes: BTreeMap<i64, f64> = BTreeMap::new();
    let predicted = neighbours.rows().map(|(indices, similarities)| {
        votes.clear();
        // The nearest comes first. Its similarity is taken from all exponents, which changes no ratio and lets no
        // temperature overflow.
        let nearest = similarities.first().map_or(0.0, |&similarity| f64::from(similarity));
        for (&index, &similarity) in indices.iter().zip(similarities) {
            let vote = ((f64::from(similarity) - nearest) / temperature).exp();
            // Indices are rows of the gallery, and there is a label for each.
            *votes.entry(labels[index as usize]).or_default() += vote;
        }
        // Ascending labels and a strict comparison: equal votes go to the smaller label.
        votes.iter().fold((0, -1.0), |best, (&label, &vote)| if vote > best.1 { (label, vote) } else { best }).0
    });
    Ok(predicted.collect())
}

/// Compares predictions with the truth.
///
/// # Errors
/// `InvalidArgument` where both are not equally long and at least 1.
pub fn score(predicted: &[i64], truth: &[i64]) -> Result<KnnScore> {
    if predicted.len() != truth.len() || truth.is_empty() {
        return Err(Error::invalid(format!(
            "{} predictions for {} labels, expected equally many and at least one",
            predicted.len(),
            truth.len()
        )));
    }
    let mut confusion: BTreeMap<(i64, i64), u64> = BTreeMap::new();
    let mut counts: BTreeMap<i64, (u64, u64)> = BTreeMap::new();
    for (&predicted, &truth) in predicted.iter().zip(truth) {
        *confusion.entry((truth, predicted)).or_default() += 1;
        let (queries, hits) = counts.entry(truth).or_default();
        *queries += 1;
        *hits += u64::from(predicted == truth);
    }
    let classes: Vec<ClassRecall> =
        counts.into_iter().map(|(label, (queries, hits))| ClassRecall { label, queries, hits }).collect();
    let hits: u64 = classes.iter().map(|class| class.hits).sum();
    Ok(KnnScore {
        accuracy: hits as f64 / truth.len() as f64,
        balanced_recall: classes.iter().map(ClassRecall::recall).sum::<f64>() / classes.len() as f64,
        classes,
        confusion,
    })
}

/// [`classify`], then [`score`].
///
/// # Errors
/// Those of both.
pub fn evaluate(
    gallery: &Embeddings<'_>,
    gallery_labels: &[i64],
    queries: &Embeddings<'_>,
    query_labels: &[i64],
    k: usize,
    temperature: f64,
) -> Result<KnnScore> {
    check_labels("query", query_labels, queries)?;
    score(&classify(gallery, gallery_labels, queries, k, temperature)?, query_labels)
}

/// Scores over random splits of one labelled set into gallery and queries. Rows whose label is −1 are left out, and so are rows of
/// zeros, which broken images have; the splits of the others are the same with and without them.
///
/// # Errors
/// `InvalidArgument` where no split or more than [`MAX_SPLITS`] are asked for, the fraction leaves gallery or queries empty, a label is
/// below −1, or as [`evaluate`].
pub fn evaluate_splits(embeddings: &Embeddings<'_>, labels: &[i64], config: &KnnConfig) -> Result<SplitScores> {
    check_count("data set", labels, embeddings)?;
    check_lowest("data set", labels, -1)?;
    let mut labelled = room(labels.len(), "the labels of a data set")?;
    let rows = labels.iter().zip(embeddings.rows());
    labelled.extend(rows.map(|(&label, row)| label >= 0 && row.iter().any(|&value| value != 0.0)));
    if !(1..=MAX_SPLITS).contains(&config.splits) {
        return Err(Error::invalid(format!("the number of splits is {}, expected 1 to {MAX_SPLITS}", config.splits)));
    }
    let cut = gallery_size(embeddings.len(), config.gallery_fraction)?;
    let mut splits = Vec::new();
    for split in 0..config.splits {
        spare(2 * embeddings.len() * size_of::<usize>(), "a split of the images")?;
        let order = split_order(embeddings.len(), split, config.seed);
        let (gallery, queries) = order.split_at(cut);
        let kept = |part: &[usize]| part.iter().copied().filter(|&i| labelled[i]).collect::<Vec<usize>>();
        let (gallery, queries) = (&kept(gallery), &kept(queries));
        if gallery.is_empty() || queries.is_empty() {
            return Err(Error::invalid(format!(
                "split {split} has {} labelled images in the gallery and {} queries, expected at least one each",
                gallery.len(),
                queries.len()
            )));
        }
        let labels_of = |part: &[usize]| part.iter().map(|&i| labels[i]).collect::<Vec<i64>>();
        let (gallery_rows, query_rows) = (embeddings.select(gallery)?, embeddings.select(queries)?);
        splits.push(evaluate(
            &Embeddings::new(&gallery_rows, embeddings.dim())?,
            &labels_of(gallery),
            &Embeddings::new(&query_rows, embeddings.dim())?,
            &labels_of(queries),
            config.k,
            config.temperature,
        )?);
    }
    let spread = |of: fn(&KnnScore) -> f64| Spread::of(&splits.iter().map(of).collect::<Vec<f64>>());
    Ok(SplitScores {
        accuracy: spread(|score| score.accuracy),
        balanced_recall: spread(|score| score.balanced_recall),
        splits,
    })
}

/// The order whose first part is the gallery of split number `split`; the same for every network.
pub fn split_order(images: usize, split: u32, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..images).collect();
    shuffle(&mut generator(seed, u64::from(split), 0, Purpose::Split), &mut order);
    order
}

fn gallery_size(images: usize, fraction: f64) -> Result<usize> {
    // A third of a multiple of three must not fall short of it by rounding.
    let cut = (images as f64 * fraction + 1e-9).floor();
    if !(cut >= 1.0 && cut < images as f64) {
        return Err(Error::invalid(format!(
            "a gallery fraction of {fraction} splits {images} images into {cut} and the rest, expected at least one each"
        )));
    }
    Ok(cut as usize)
}

fn check_labels(what: &str, labels: &[i64], embeddings: &Embeddings<'_>) -> Result<()> {
    check_count(what, labels, embeddings)?;
    check_lowest(what, labels, 0)
}

fn check_count(what: &str, labels: &[i64], embeddings: &Embeddings<'_>) -> Result<()> {
    if labels.len() != embeddings.len() {
        return Err(Error::invalid(format!(
            "the {what} has {} labels for {} embeddings, expected one each",
            labels.len(),
            embeddings.len()
        )));
    }
    Ok(())
}

fn check_lowest(what: &str, labels: &[i64], lowest: i64) -> Result<()> {
    match labels.iter().position(|&label| label < lowest) {
        Some(place) => {
            let found = labels[place];
            Err(Error::invalid(format!("label {place} of the {what} is {found}, expected {lowest} or more")))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_votes_go_to_the_smaller_label() {
        let gallery = [1.0, 0.0, 1.0, 0.0];
        let gallery = Embeddings::new(&gallery, 2).unwrap();
        let query = gallery;
        assert_eq!(classify(&gallery, &[7, 2], &query, 2, 0.07).unwrap(), [2, 2]);
        assert_eq!(classify(&gallery, &[2, 7], &query, 2, 0.07).unwrap(), [2, 2]);
    }

    #[test]
    fn no_temperature_overflows() {
        let gallery = [1.0, 0.0, 0.6, 0.8, 0.0, 1.0];
        let gallery = Embeddings::new(&gallery, 2).unwrap();
        for temperature in [1e-300, 1e-4, 1e300] {
            assert_eq!(classify(&gallery, &[0, 1, 1], &gallery, 1, temperature).unwrap(), [0, 1, 1]);
        }
        for temperature in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(classify(&gallery, &[0, 1, 1], &gallery, 1, temperature).is_err());
        }
    }

    #[test]
    fn a_row_does_not_vote_for_itself() {
        let rows = [1.0, 0.0, 0.9, 0.1, 0.0, 1.0];
        let rows = Embeddings::new(&rows, 2).unwrap();
        assert_eq!(leave_one_out(&rows, &[0, 1, 2], 1, 0.07).unwrap(), [1, 0, 1]);
        assert!(leave_one_out(&rows, &[0, 1, 2], 3, 0.07).is_err());
        assert!(leave_one_out(&rows, &[0, 1], 1, 0.07).is_err());
    }

    #[test]
    fn balanced_recall_is_the_mean_over_present_classes() {
        let score = score(&[0, 0, 0, 4, 4], &[0, 0, 0, 0, 9]).unwrap();
        assert_eq!(score.accuracy, 0.6);
        assert_eq!(score.balanced_recall, (0.75 + 0.0) / 2.0);
        assert_eq!(score.classes[1], ClassRecall { label: 9, queries: 1, hits: 0 });
        assert_eq!(score.confusion, BTreeMap::from([((0, 0), 3), ((0, 4), 1), ((9, 4), 1)]));
    }

    #[test]
    fn splits_are_of_the_images_not_of_the_embeddings() {
        assert_eq!(split_order(30, 1, 4), split_order(30, 1, 4));
        assert_ne!(split_order(30, 1, 4), split_order(30, 2, 4));
        let images = |n| gallery_size(n, 2.0 / 3.0).unwrap();
        assert!((2..5000).all(|n| images(n) == 2 * n / 3));
        assert!(gallery_size(10, 1.0).is_err());
        assert!(gallery_size(10, f64::NAN).is_err());
        assert!(gallery_size(1, 0.5).is_err());
    }

    #[test]
    fn rows_without_a_label_or_an_image_change_nothing() {
        // Two directions; every third row is unlabelled and points the wrong way, every fifth is broken.
        let (mut rows, mut labels) = (Vec::new(), Vec::new());
        for i in 0..90i64 {
            let (class, turn) = (i % 2, i as f32 * 1e-3);
            let row = if class == 0 { [1.0, turn] } else { [turn, 1.0] };
            rows.extend(if i % 5 == 0 {
                [0.0, 0.0]
            } else if i % 3 == 0 {
                [row[1], row[0]]
            } else {
                row
            });
            labels.push(if i % 5 != 0 && i % 3 == 0 { -1 } else { class });
        }
        let found = evaluate_splits(&Embeddings::new(&rows, 2).unwrap(), &labels, &KnnConfig::default()).unwrap();
        assert_eq!((found.accuracy.mean, found.balanced_recall.mean), (1.0, 1.0));
        let asked: u64 = found.splits.iter().flat_map(|split| &split.classes).map(|class| class.queries).sum();
        assert!(asked > 0 && asked < 5 * 30, "{asked}");
        assert!(evaluate_splits(&Embeddings::new(&rows, 2).unwrap(), &[-1; 90], &KnnConfig::default()).is_err());
    }

    #[test]
    fn labels_are_checked_by_name() {
        let rows = [1.0, 0.0, 0.0, 1.0, 0.5, 0.5];
        let rows = Embeddings::new(&rows, 2).unwrap();
        let config = KnnConfig { k: 1, ..KnnConfig::default() };
        let error = evaluate_splits(&rows, &[0, -2, 0], &config).unwrap_err();
        assert!(error.message().starts_with("label 1 of the data set is -2"), "{error}");
        assert!(classify(&rows, &[0, -1, 0], &rows, 1, 0.07).is_err(), "a gallery votes by its labels");
        assert!(evaluate_splits(&rows, &[0, 0], &config).is_err());
        for splits in [0, MAX_SPLITS + 1] {
            assert!(evaluate_splits(&rows, &[0, 0, 0], &KnnConfig { splits, ..config.clone() }).is_err());
        }
        assert_eq!(evaluate_splits(&rows, &[i64::MAX; 3], &config).unwrap().accuracy.mean, 1.0);
    }

    #[test]
    fn spread_is_the_sample_deviation() {
        assert_eq!(Spread::of(&[1.0, 3.0]), Spread { mean: 2.0, deviation: 2f64.sqrt() });
        assert_eq!(Spread::of(&[5.0]).deviation, 0.0);
        let none = Spread::of(&[]);
        assert!(none.mean.is_nan() && none.deviation.is_nan());
    }
}
