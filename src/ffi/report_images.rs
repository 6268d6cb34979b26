//! The parts of a `seed_report` that show images and what was made of them: class sheets, confusion, maps, heat maps.

use std::ffi::c_char;
use std::sync::Arc;

use super::border::catch;
use super::classifier::seed_classifier;
use super::dataset::seed_dataset;
use super::error::seed_error;
use super::eval::vectors;
use super::handle::{with, with_mut};
use super::image::{Images, seed_image};
use super::pointers::check_size;
use super::pointers::{self, array, text};
use super::report::{seed_report, texts, thumbnail_with};
use crate::data::Dataset;
use crate::eval::{Confusion, MapConfig, MapMethod, embedding_map};
use crate::report::{ClassImages, HeatFigure, MapImages};
use crate::sys::memory::gathered;
use crate::{Error, ErrorKind, Result};

/// The two principal components.
pub const SEED_MAP_PCA: i32 = 1;
/// t-SNE: who is near whom.
pub const SEED_MAP_TSNE: i32 = 2;

/// How embeddings come onto a plane. Set struct_size to sizeof(seed_map_options); 0 elsewhere is the default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct seed_map_options {
    /// sizeof(seed_map_options).
    pub struct_size: usize,
    /// Points that are drawn, at most 5000; of more embeddings a random part, of the largest classes least. Default: 2000.
    pub max_points: usize,
    /// About how many neighbours count, of t-SNE, 1 to 1000. Default: 30.
    pub perplexity: f64,
    /// Of the random part.
    pub seed: u64,
    /// SEED_MAP_*. Default: SEED_MAP_TSNE.
    pub method: i32,
    /// 0.
    pub reserved: i32,
}

/// Adds a sheet of pictures of each class of `dataset`, at most `per_class` in each column. `labels` has one class for each image, -1
/// for none; `names` the names of `class_count` classes. With `embeddings` (label_count·dim floats, one row an image) they are those
/// nearest to the mean of their class and those farthest from it, by cosine, else some at even distances. With `classes` (a
/// classifier's answers, -1 for none) those that it took for another class, the surest by `confidences` first. The three may be
/// NULL. Broken images are passed over.
///
/// Errors: SEED_ERROR_INVALID_ARGUMENT when label_count is not the number of images, a class has no name, or the sheet would hold more
/// than 3000 pictures.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_report_add_class_sheet(
    report: *mut seed_report,
    title: *const c_char,
    dataset: *const seed_dataset,
    labels: *const i64,
    label_count: usize,
    names: *const *const c_char,
    class_count: usize,
    embeddings: *const f32,
    dim: usize,
    classes: *const i64,
    confidences: *const f32,
    per_class: usize,
) -> *mut seed_error {
    // SAFETY: passed on from the C caller, as in every function of this file.
    catch(|| unsafe {
        let title = text("title", title)?;
        let dataset = images(dataset, "labels", label_count)?;
        let names = owned(names, class_count)?;
        let rows = if embeddings.is_null() { None } else { Some(vectors("embeddings", embeddings, label_count, dim)?) };
        let shares = if confidences.is_null() { None } else { Some(array("confidences", confidences, label_count)?) };
        let answers = if classes.is_null() { None } else { Some(pointers::labels("classes", classes, label_count)?) };
        let answers = answers.as_ref().map(|answers| (answers.as_slice(), shares));
        let labels = &pointers::labels("labels", labels, label_count)?;
        let of = ClassImages { names: &names, labels, embeddings: rows, answers };
        with_mut(report, |report| {
            report.class_sheet(title, &of, per_class, |image, caption| thumbnail_with(&dataset, image, caption))
        })
    })
}

/// Adds the confusion matrix of a classifier's held-out images: true class by row, answered class by column, with counts,
/// shares of the row, recall and precision. Of more than 60 classes it is a list of the most frequent confusions and each class's recall.
///
/// Errors: SEED_ERROR_INVALID_ARGUMENT when no image was held out.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_report_add_confusion(
    report: *mut seed_report,
    title: *const c_char,
    classifier: *const seed_classifier,
) -> *mut seed_error {
    catch(|| unsafe {
        let header = with(classifier, |classifier| Ok(classifier.header().clone()))?;
        let Some(judgement) = &header.held_out else {
            return Err(Error::invalid("this classifier has no confusion matrix: no image was held out for it"));
        };
        let title = text("title", title)?;
        with_mut(report, |report| report.confusion(title, &header.names, &judgement.confusion))
    })
}

/// Adds the confusion matrix of any answers, as seed_report_add_confusion: `labels` are the true classes of `count` images,
/// `classes` the answers (seed_classifier_classify_dataset), -1 for none in both; images without one are left out.
///
/// Errors: SEED_ERROR_INVALID_ARGUMENT when a class has no name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_report_add_confusion_of(
    report: *mut seed_report,
    title: *const c_char,
    labels: *const i64,
    classes: *const i64,
    count: usize,
    names: *const *const c_char,
    class_count: usize,
) -> *mut seed_error {
    catch(|| unsafe {
        let title = text("title", title)?;
        let names = owned(names, class_count)?;
        let truth = pointers::labels("labels", labels, count)?;
        let answers = pointers::labels("classes", classes, count)?;
        let pairs = || truth.iter().zip(&answers).filter(|&(&truth, &answer)| truth >= 0 && answer >= 0);
        let known = gathered(pairs().map(|(&truth, _)| truth as usize), "labels")?;
        let called = gathered(pairs().map(|(_, &answer)| answer as usize), "classes")?;
        let confusion = Confusion::of(&called, &known, names.len())?;
        with_mut(report, |report| report.confusion(title, &names, &confusion))
    })
}

/// Adds a map of `count` embeddings of `dim` floats: a point for each image, coloured by its class, with its name where the pointer
/// rests. `labels` (-1: none), with `names` of `class_count` classes, and `dataset`, whose images the embeddings are of, may be NULL;
/// `options` NULL is t-SNE of at most 2000 points. Takes seconds for 2000 points; the same input gives the same map. Of rows that are
/// few (below 10) or all alike the principal components are drawn.
///
/// Errors: SEED_ERROR_INVALID_ARGUMENT when `dataset` has not `count` images or a class has no name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_report_add_map(
    report: *mut seed_report,
    title: *const c_char,
    embeddings: *const f32,
    count: usize,
    dim: usize,
    labels: *const i64,
    names: *const *const c_char,
    class_count: usize,
    dataset: *const seed_dataset,
    options: *const seed_map_options,
) -> *mut seed_error {
    catch(|| unsafe {
        let title = text("title", title)?;
        let config = read_options(options)?;
        let rows = vectors("embeddings", embeddings, count, dim)?;
        let dataset = if dataset.is_null() { None } else { Some(images(dataset, "embeddings", count)?) };
        let labels = if labels.is_null() { Vec::new() } else { pointers::labels("labels", labels, count)? };
        let labels = labels.as_slice();
        let names = if labels.is_empty() { Vec::new() } else { owned(names, class_count)? };
        let name_of = |&row: &u32| match &dataset {
            Some(dataset) => dataset.name(row as usize),
            None => Ok(format!("image {row}")),
        };
        let map = embedding_map(&rows, labels, &config)?;
        let points = map.rows().iter().map(name_of).collect::<Result<Vec<String>>>()?;
        let known = MapImages { labels, classes: &names };
        with_mut(report, |report| report.map(title, &map, &known, points))
    })
}

/// Adds a frame and its heat map to the sheet of that title, which stands where it was first named; all of a sheet share one scale of
/// colours. `map` has `pixels` = width·height distances (seed_anomaly_map). `threshold` is that of the score
/// (seed_anomaly_threshold), or NAN or infinite for none: what lies above it is outlined. `mask` (may be NULL) has as many numbers,
/// not 0 where the defect really is, which is outlined on the frame.
///
/// Errors: SEED_ERROR_INVALID_ARGUMENT when `pixels` is not width·height, a distance or the score is not finite, or the sheet has 300
/// heat maps already.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_report_add_heat_map(
    report: *mut seed_report,
    sheet: *const c_char,
    caption: *const c_char,
    image: *const seed_image,
    map: *const f32,
    mask: *const u8,
    pixels: usize,
    score: f64,
    threshold: f64,
) -> *mut seed_error {
    catch(|| unsafe {
        let (sheet, caption) = (text("sheet", sheet)?, text("caption", caption)?);
        let frame = Images::new(image, 1)?.view(0)?.to_frame()?;
        if u64::from(frame.width()) * u64::from(frame.height()) != pixels as u64 {
            return Err(Error::invalid(format!(
                "pixels is {pixels}, expected {}·{}, the image's",
                frame.width(),
                frame.height()
            )));
        }
        let mask = if mask.is_null() { None } else { Some(array("mask", mask, pixels)?) };
        let map = array("map", map, pixels)?;
        let figure = HeatFigure::new(caption, &frame, map, score as f32, Some(threshold as f32), mask)?;
        with_mut(report, |report| report.heat_map(sheet, figure))
    })
}

/// The data set, which has an image for each of `count` `what`.
fn images(dataset: *const seed_dataset, what: &str, count: usize) -> Result<Arc<Dataset>> {
    let dataset = with(dataset, |dataset| Ok(Arc::clone(dataset)))?;
    if dataset.len() != count {
        return Err(Error::invalid(format!("{count} {what} for a data set of {} images", dataset.len())));
    }
    Ok(dataset)
}

unsafe fn owned(names: *const *const c_char, count: usize) -> Result<Vec<String>> {
    // SAFETY: by contract of the C functions.
    Ok(unsafe { texts("names", names, count) }?.into_iter().map(str::to_owned).collect())
}

unsafe fn read_options(options: *const seed_map_options) -> Result<MapConfig> {
    let standard = MapConfig::default();
    if options.is_null() {
        return Ok(standard);
    }
    // SAFETY: by contract of the C function.
    let options = unsafe { array("options", options, 1) }?[0];
    check_size::<seed_map_options>("seed_map_options", options.struct_size)?;
    let method = match options.method {
        0 => standard.method,
        SEED_MAP_PCA => MapMethod::Pca,
        SEED_MAP_TSNE => MapMethod::Tsne,
        other => {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("seed_map_options.method is {other}, expected SEED_MAP_* (1 or 2) or 0"),
            ));
        }
    };
    Ok(MapConfig {
        method,
        max_points: if options.max_points == 0 { standard.max_points } else { options.max_points },
        perplexity: if options.perplexity == 0.0 { standard.perplexity } else { options.perplexity },
        seed: options.seed,
    })
}
