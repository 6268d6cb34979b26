//! Judging vectors: kNN, neighbours, agreement. Plain functions over the application's memory.

use super::border::catch;
use super::error::seed_error;
use super::pointers::{answer_size, array, check_out, check_size, product, put};
use crate::eval::knn::{check_temperature, classify};
use crate::eval::neighbours::check_k;
use crate::eval::{
    Embeddings, Heat, KnnConfig, agreement, auroc, evaluate_splits, nearest, nearest_to, region_overlap,
};
use crate::sys::memory::{room, spare};
use crate::{Error, Result};

/// What seed_knn_evaluate found. Set struct_size to sizeof(seed_knn_result) first.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct seed_knn_result {
    /// sizeof(seed_knn_result).
    pub struct_size: usize,
    /// Share of queries with the right class, mean over the splits.
    pub accuracy_mean: f64,
    /// Its standard deviation.
    pub accuracy_deviation: f64,
    /// Mean of the classes' recalls, mean over the splits.
    pub balanced_recall_mean: f64,
    /// Its standard deviation.
    pub balanced_recall_deviation: f64,
}

/// Weighted kNN (votes exp(similarity/.07)) over `splits` (1 to 10,000) random splits of `count` vectors of `dim` floats into 2/3
/// gallery and 1/3 queries. `labels` are class numbers from 0, or -1 for none. Vectors without a label are left out, and so are those
/// of zeros, which broken images have. The splits depend on `seed`, `count` and nothing else, so different networks are judged on
/// the same ones.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_knn_evaluate(
    embeddings: *const f32,
    count: usize,
    dim: usize,
    labels: *const i64,
    k: usize,
    splits: u32,
    seed: u64,
    result: *mut seed_knn_result,
) -> *mut seed_error {
    // SAFETY: passed on from the C caller, as in every function of this file.
    catch(|| unsafe {
        check_out("result", result)?;
        check_size::<seed_knn_result>("seed_knn_result", (*result).struct_size)?;
        let embeddings = vectors("embeddings", embeddings, count, dim)?;
        let config = KnnConfig { k, splits, seed, ..KnnConfig::default() };
        let scores = evaluate_splits(&embeddings, array("labels", labels, count)?, &config)?;
        put(
            result,
            seed_knn_result {
                struct_size: size_of::<seed_knn_result>(),
                accuracy_mean: scores.accuracy.mean,
                accuracy_deviation: scores.accuracy.deviation,
                balanced_recall_mean: scores.balanced_recall.mean,
                balanced_recall_deviation: scores.balanced_recall.deviation,
            },
        );
        Ok(())
    })
}

/// The classes that weighted kNN gives `query_count` vectors by `gallery_count` others, all of `dim` floats: of the `k` nearest of the gallery by
/// cosine each votes exp(similarity/temperature) for its class, a number from 0 in `gallery_labels`. query_count numbers into `buffer`, equal
/// votes to the smaller one. NULL asks for the size; too small a buffer is left alone; `*length` receives the numbers needed. The usual
/// protocols on ImageNet: k 10, or k 200 with a temperature of .07, the training images as the gallery.
///
/// Errors: SEED_ERROR_INVALID_ARGUMENT for a label below 0, k above the gallery, a temperature that is not above 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_knn_classify(
    queries: *const f32,
    query_count: usize,
    gallery: *const f32,
    gallery_labels: *const i64,
    gallery_count: usize,
    dim: usize,
    k: usize,
    temperature: f64,
    buffer: *mut i64,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        // Before the size is answered, as in seed_neighbours.
        check_k(k, gallery_count, "embeddings to choose from")?;
        check_temperature(temperature)?;
        if !answer_size(product("the result", query_count, 1)?, buffer, capacity, length)? {
            return Ok(());
        }
        let queries = vectors("queries", queries, query_count, dim)?;
        let labels = array("gallery_labels", gallery_labels, gallery_count)?;
        let gallery = vectors("gallery", gallery, gallery_count, dim)?;
        let found = classify(&gallery, labels, &queries, k, temperature)?;
        std::ptr::copy_nonoverlapping(found.as_ptr(), buffer, found.len().min(query_count));
        Ok(())
    })
}

/// The `k` nearest of each of `count` vectors of `dim` floats by cosine, itself left out, nearest first: count·k numbers
/// into `buffer`. NULL asks for the size; too small a buffer is left alone; `*length` receives the numbers needed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_neighbours(
    embeddings: *const f32,
    count: usize,
    dim: usize,
    k: usize,
    buffer: *mut u32,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        // Before the size is answered: the caller takes that much memory.
        check_k(k, count.saturating_sub(1), "other embeddings")?;
        let needed = product("the result", count, k)?;
        if !answer_size(needed, buffer, capacity, length)? {
            return Ok(());
        }
        let found = nearest(&vectors("embeddings", embeddings, count, dim)?, k)?;
        std::ptr::copy_nonoverlapping(found.indices().as_ptr(), buffer, needed.min(found.indices().len()));
        Ok(())
    })
}

/// The `k` nearest of `gallery_count` vectors for each of `query_count` others, all of `dim` floats, by cosine, nearest
/// first: query_count·k numbers of gallery vectors into `indices` and, unless it is NULL, as many cosines into
/// `similarities`. `indices` NULL asks for the size; too small a buffer is left alone; `*length` receives the numbers needed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_neighbours_in(
    queries: *const f32,
    query_count: usize,
    gallery: *const f32,
    gallery_count: usize,
    dim: usize,
    k: usize,
    indices: *mut u32,
    similarities: *mut f32,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        let gallery = array("gallery", gallery, product("gallery", gallery_count, dim)?)?;
        nearest_into(queries, query_count, gallery, dim, k, Places { indices, similarities, capacity, length })
    })
}

/// Where neighbours are written to, by the rule of seed_neighbours_in.
pub(super) struct Places {
    pub indices: *mut u32,
    pub similarities: *mut f32,
    pub capacity: usize,
    pub length: *mut usize,
}

/// The nearest rows of `gallery` for `count` queries.
///
/// # Safety
/// `queries` holds count·dim floats; `places` is as seed_neighbours_in says.
pub(super) unsafe fn nearest_into(
    queries: *const f32,
    count: usize,
    gallery: &[f32],
    dim: usize,
    k: usize,
    places: Places,
) -> Result<()> {
    // Before the size is answered, as in seed_neighbours.
    check_k(k, gallery.len().checked_div(dim).unwrap_or(0), "embeddings to choose from")?;
    let needed = product("the result", count, k)?;
    // SAFETY: by contract.
    unsafe {
        if !answer_size(needed, places.indices, places.capacity, places.length)? {
            return Ok(());
        }
        if !places.similarities.is_null() {
            check_out("similarities", places.similarities)?;
        }
        let queries = vectors("queries", queries, count, dim)?;
        let gallery = Embeddings::new(gallery, dim).map_err(|error| error.context("gallery"))?;
        let found = nearest_to(&queries, &gallery, k)?;
        let length = needed.min(found.indices().len());
        std::ptr::copy_nonoverlapping(found.indices().as_ptr(), places.indices, length);
        if !places.similarities.is_null() {
            std::ptr::copy_nonoverlapping(found.similarities().as_ptr(), places.similarities, length);
        }
    }
    Ok(())
}

/// How well a student keeps its teacher's neighbourhoods: the share of each image's `k` nearest by the teacher that are
/// among its k nearest by the student, mean over `count` images, 0 to 1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_agreement(
    student: *const f32,
    student_dim: usize,
    teacher: *const f32,
    teacher_dim: usize,
    count: usize,
    k: usize,
    share: *mut f64,
) -> *mut seed_error {
    catch(|| unsafe {
        check_out("share", share)?;
        let student = nearest(&vectors("student", student, count, student_dim)?, k)?;
        let teacher = nearest(&vectors("teacher", teacher, count, teacher_dim)?, k)?;
        put(share, agreement(&teacher, &student)?);
        Ok(())
    })
}

/// AUROC: how often a positive image scores higher than a negative one, ties counting half. `positives` holds 1 (or anything
/// but 0) for a positive and 0 for a negative, `count` of both.
///
/// Errors: SEED_ERROR_INVALID_ARGUMENT when there is no positive or no negative, or a score is NaN.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_auroc(
    scores: *const f32,
    positives: *const u8,
    count: usize,
    value: *mut f64,
) -> *mut seed_error {
    catch(|| unsafe {
        check_out("value", value)?;
        let (scores, positives) = (array("scores", scores, count)?, array("positives", positives, count)?);
        // AUROC sorts a copy of the scores.
        spare(count.saturating_mul(16), "the scores of AUROC")?;
        let mut truths = room(count, "the truths of AUROC")?;
        truths.extend(positives.iter().map(|&is| is != 0));
        let found = auroc(scores, &truths);
        let reason = "AUROC needs a positive, a negative and scores that are numbers";
        put(value, found.ok_or_else(|| Error::invalid(reason))?);
        Ok(())
    })
}

/// PRO, per-region overlap: how much of each defect heat maps cover, whatever the defect's size, as the normalised area under
/// the curve over false-positive rates up to `limit` (usual: 0.3). `scores` and `masks` (0: good pixel) hold the pixels of
/// `count` images one after the other, row after row; `widths` and `heights` their sides.
///
/// Errors: SEED_ERROR_INVALID_ARGUMENT when there is no defect or no good pixel, or a score is NaN.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_region_overlap(
    scores: *const f32,
    masks: *const u8,
    widths: *const u32,
    heights: *const u32,
    count: usize,
    limit: f64,
    value: *mut f64,
) -> *mut seed_error {
    catch(|| unsafe {
        check_out("value", value)?;
        let (widths, heights) = (array("widths", widths, count)?, array("heights", heights, count)?);
        let mut sizes = room(count, "the images' sizes")?;
        let mut total = 0usize;
        for (&width, &height) in widths.iter().zip(heights) {
            let pixels = product("an image", width as usize, height as usize)?;
            total = total.checked_add(pixels).ok_or_else(|| Error::invalid("the images have too many pixels"))?;
            sizes.push((width as usize, pixels));
        }
        let (mut scores, mut masks) = (array("scores", scores, total)?, array("masks", masks, total)?);
        // PRO sorts all pixels with their regions, in a vector that grows by doubling.
        spare(total.saturating_mul(40), "the pixels of PRO")?;
        let mut images = room(count, "the heat maps")?;
        for (width, pixels) in sizes {
            let (own, rest) = scores.split_at(pixels);
            let (mask, rest_of_masks) = masks.split_at(pixels);
            (scores, masks) = (rest, rest_of_masks);
            images.push(Heat { scores: own, mask, width });
        }
        let reason = "PRO needs a defect, a good pixel, scores that are numbers and a limit in (0, 1]";
        put(value, region_overlap(&images, limit).ok_or_else(|| Error::invalid(reason))?);
        Ok(())
    })
}

pub(super) unsafe fn vectors<'a>(name: &str, pointer: *const f32, count: usize, dim: usize) -> Result<Embeddings<'a>> {
    // SAFETY: by contract of the C functions.
    let numbers = unsafe { array(name, pointer, product(name, count, dim)?) }?;
    Embeddings::new(numbers, dim).map_err(|error| error.context(name))
}
