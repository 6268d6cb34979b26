//! `seed_segmenter`: a class for each pixel, learned from few masks.

use std::ffi::{c_char, c_void};
use std::path::Path;
use std::sync::Arc;

use super::border::catch;
use super::callback::Asked;
use super::cancel::{seed_cancel_token, seed_count_callback, token};
use super::config::seed_config;
use super::dataset::seed_dataset;
use super::error::seed_error;
use super::handle::{Guarded, free, handle, warnings, with};
use super::image::{Images, seed_image};
use super::pointers::{
    answer_size, array, check_optional, check_out, check_size, fill_text, product, put, put_new, text,
};
use super::student::seed_student;
use crate::data::FrameView;
use crate::eval::MaskOverlap;
use crate::infer::{Output, Segmenter, SessionOptions};
use crate::train::segment::cells::Masked;
use crate::train::segment::protocol::evaluate;
use crate::train::segment::{Frames, fit};
use crate::train::shared::with_lock;
use crate::{Error, ErrorKind, Result};

/// The class of a mask's pixel that is ignored.
pub const SEED_MASK_IGNORED: u8 = 255;

const _: () = assert!(SEED_MASK_IGNORED == crate::eval::overlap::IGNORED);

/// A linear layer on a student's feature maps that says which class each pixel of a frame has. It never changes; all functions may be
/// called from several threads at once.
pub struct seed_segmenter(Guarded<Segmenter>);
handle!(seed_segmenter, Segmenter, |segmenter| segmenter.warnings());

/// Learns from the images of `dataset` that have a mask, on the feature maps of a copy of `student`'s backbone, which stays as it is, by the
/// settings "segment.…", "range", "seed", "device", "precision", "duty_cycle" and "nice" of `config` (docs/segment.md).
///
/// `masks` has `mask_count` views, one for each image of the data set: SEED_PIXEL_MONO8 of the image's own size, each byte a class number
/// below `class_count` or SEED_MASK_IGNORED. Where `data` is NULL, the image has no mask and is skipped. `names` are `class_count` texts,
/// 2 to 255, all different; class 0 is the background. Broken images are left out. The callback counts images; `callback`,
/// `user_data` and `cancel` may be NULL. The caller frees the segmenter.
///
/// Errors: SEED_ERROR_CANCELLED when the callback or the token ended it; SEED_ERROR_INVALID_ARGUMENT for masks or names that do not fit, for
/// masks of one class, and for an unknown feature map; SEED_ERROR_UNSUPPORTED when the backbone has none; SEED_ERROR_MISMATCH for a student
/// that gives NaN.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_segmenter_fit(
    config: *const seed_config,
    student: *const seed_student,
    dataset: *const seed_dataset,
    masks: *const seed_image,
    mask_count: usize,
    names: *const *const c_char,
    class_count: usize,
    callback: seed_count_callback,
    user_data: *mut c_void,
    cancel: *const seed_cancel_token,
    out: *mut *mut seed_segmenter,
) -> *mut seed_error {
    // SAFETY: passed on from the C caller, as in every function of this file.
    catch(|| unsafe {
        let asked = Asked::default();
        let cancel = token(cancel)?;
        let mut progress = asked.going_on(callback, user_data, cancel.clone());
        let config = with(config, |config| Ok(config.clone()))?;
        let dataset = with(dataset, |dataset| Ok(Arc::clone(dataset)))?;
        let masks = &masks_of(masks, mask_count)?;
        let mut texts = Vec::new();
        for (i, &name) in array("names", names, class_count)?.iter().enumerate() {
            texts.push(text(&format!("names[{i}]"), name)?.to_owned());
        }
        put_new(out, || {
            let (network, header) =
                with(student, |student| Ok((with_lock(&student.network, |n| n.deep_copy())?, student.header()?)))?;
            let frames = Frames { dataset: &dataset, masks, names: &texts };
            asked.result(fit(&network, &header, &config, &frames, &cancel, &mut progress))
        })
    })
}

/// Opens a file of seed_segmenter_save. "device", "precision" and, where it is set, "range" come from `config`. The caller frees the segmenter.
///
/// Errors: SEED_ERROR_IO, SEED_ERROR_FORMAT for a file that is damaged, hostile or no segmenter's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_segmenter_open(
    path: *const c_char,
    config: *const seed_config,
    out: *mut *mut seed_segmenter,
) -> *mut seed_error {
    catch(|| unsafe {
        let path = Path::new(text("path", path)?);
        put_new(out, || Segmenter::open(path, with(config, |config| SessionOptions::of(config, Output::Features))?))
    })
}

/// Writes the segmenter to one safetensors file, atomically: backbone with torchvision's key names, layer, classes, feature maps, how images
/// are made, and the student's provenance.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_segmenter_save(segmenter: *const seed_segmenter, path: *const c_char) -> *mut seed_error {
    catch(|| unsafe {
        let path = Path::new(text("path", path)?);
        with(segmenter, |segmenter| segmenter.save(path))
    })
}

/// The number of classes, including the background.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_segmenter_class_count(
    segmenter: *const seed_segmenter,
    out: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        check_out("out", out)?;
        put(out, with(segmenter, |segmenter| Ok(segmenter.header().names.len()))?);
        Ok(())
    })
}

/// What is known about the segmenter as a JSON object, by the rule of seed_config_get_string: "names" of the classes, "layers" (the feature
/// maps), "training" (masks, cells, penalty, share of each class, classes without a pixel), "provenance" of the student and "computes".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_segmenter_describe(
    segmenter: *const seed_segmenter,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        let about = with(segmenter, |segmenter| {
            let header = segmenter.header();
            Ok(serde_json::json!({
                "names": header.names,
                "layers": header.layers,
                "training": header.training,
                "provenance": segmenter.student().provenance,
                "computes": segmenter.describe(),
            }))
        })?;
        let text =
            serde_json::to_string_pretty(&about).map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
        fill_text(&text, buffer, capacity, length)
    })
}

/// The class of each pixel of one image, in its own pixels: width·height bytes, row after row, into `buffer`, by the rule of
/// seed_neighbours. `confidences` (may be NULL) receives as many probabilities of these classes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_segmenter_segment(
    segmenter: *const seed_segmenter,
    image: *const seed_image,
    buffer: *mut u8,
    capacity: usize,
    length: *mut usize,
    confidences: *mut f32,
) -> *mut seed_error {
    catch(|| unsafe {
        let view = Images::new(image, 1)?.view(0)?;
        let needed = product("the mask", view.width as usize, view.height as usize)?;
        check_optional("confidences", confidences)?;
        if !answer_size(needed, buffer, capacity, length)? {
            return with(segmenter, |_| Ok(()));
        }
        with(segmenter, |segmenter| {
            let found = segmenter.segment(&view)?;
            if found.classes.len() != needed {
                return Err(Error::new(ErrorKind::Internal, "the mask has another size than its image"));
            }
            std::ptr::copy_nonoverlapping(found.classes.as_ptr(), buffer, needed);
            if !confidences.is_null() {
                std::ptr::copy_nonoverlapping(found.confidence.as_ptr(), confidences, needed);
            }
            Ok(())
        })
    })
}

/// What you should know about the segmenter although nothing failed, such as classes without a pixel to learn from: one warning a line, each
/// once, by the rule of seed_config_get_string; empty where there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_segmenter_warnings(
    segmenter: *const seed_segmenter,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe { fill_text(&warnings(segmenter)?, buffer, capacity, length) })
}

/// Releases a segmenter. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_segmenter_free(segmenter: *mut seed_segmenter) {
    free(segmenter)
}

/// Intersection over union of `count` pixels: `predicted` and `truth` have a class below `class_count` (1 to 255) for each; true pixels of
/// SEED_MASK_IGNORED count for nothing. Pixels of several images stand one after the other. `ious` (may be NULL) receives a number for each
/// class, NaN for one that neither has; `*mean` receives their mean, NaN where no pixel counts. A plain function over the
/// application's memory; any thread may call.
///
/// Errors: SEED_ERROR_INVALID_ARGUMENT for an unknown class.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_mask_overlap(
    predicted: *const u8,
    truth: *const u8,
    count: usize,
    class_count: usize,
    ious: *mut f64,
    mean: *mut f64,
) -> *mut seed_error {
    catch(|| unsafe {
        check_optional("ious", ious)?;
        check_out("mean", mean)?;
        let mut overlap = MaskOverlap::new(class_count)?;
        overlap.add(array("predicted", predicted, count)?, array("truth", truth, count)?)?;
        if !ious.is_null() {
            for class in 0..class_count {
                ious.add(class).write(overlap.iou(class).unwrap_or(f64::NAN));
            }
        }
        put(mean, overlap.mean_iou());
        Ok(())
    })
}

/// What seed_segmentation_evaluate found. Set struct_size to sizeof(seed_segmentation_result) first.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct seed_segmentation_result {
    /// sizeof(seed_segmentation_result).
    pub struct_size: usize,
    /// Mean IoU over the classes that occur, mean over the splits.
    pub mean_iou_mean: f64,
    /// Its standard deviation.
    pub mean_iou_deviation: f64,
    /// Share of the test frames' pixels that got their class, mean over the splits.
    pub accuracy_mean: f64,
    /// Its standard deviation.
    pub accuracy_deviation: f64,
}

/// How good `student`'s feature maps are for segmentation, over `splits` splits (1 to 10,000): a third of the masks of each class is for
/// testing, where a mask counts as the class that most of its marked pixels have; from the others, at most "segment.masks_per_class" of
/// each class, a segmenter learns as by seed_segmenter_fit. Pixels of all test frames are counted together, in the frames' own sizes.
/// Split i is that of the seed "seed" + i and depends on the masks beside it alone, so that different students are judged on the
/// same frames. `masks` are as for seed_segmenter_fit. `ious` (may be NULL) receives the mean IoU of each of the `class_count` classes, NaN for
/// one that neither masks nor predictions have. The callback counts images; `callback`, `user_data` and `cancel` may be NULL.
///
/// Errors: as seed_segmenter_fit.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_segmentation_evaluate(
    config: *const seed_config,
    student: *const seed_student,
    dataset: *const seed_dataset,
    masks: *const seed_image,
    mask_count: usize,
    class_count: usize,
    splits: u32,
    callback: seed_count_callback,
    user_data: *mut c_void,
    cancel: *const seed_cancel_token,
    result: *mut seed_segmentation_result,
    ious: *mut f64,
) -> *mut seed_error {
    catch(|| unsafe {
        check_out("result", result)?;
        check_optional("ious", ious)?;
        check_size::<seed_segmentation_result>("seed_segmentation_result", (*result).struct_size)?;
        let asked = Asked::default();
        let cancel = token(cancel)?;
        let mut progress = asked.going_on(callback, user_data, cancel.clone());
        let config = with(config, |config| Ok(config.clone()))?;
        let dataset = with(dataset, |dataset| Ok(Arc::clone(dataset)))?;
        let masks = &masks_of(masks, mask_count)?;
        let (network, header) =
            with(student, |student| Ok((with_lock(&student.network, |n| n.deep_copy())?, student.header()?)))?;
        let masked = (Masked { dataset: &dataset, masks }, class_count);
        let found = asked.result(evaluate(network, &header, &config, masked, splits, &cancel, &mut progress))?;
        if !ious.is_null() {
            for (class, iou) in found.ious.iter().enumerate() {
                ious.add(class).write(iou.mean);
            }
        }
        put(
            result,
            seed_segmentation_result {
                struct_size: size_of::<seed_segmentation_result>(),
                mean_iou_mean: found.mean_iou.mean,
                mean_iou_deviation: found.mean_iou.deviation,
                accuracy_mean: found.accuracy.mean,
                accuracy_deviation: found.accuracy.deviation,
            },
        );
        Ok(())
    })
}

/// Views of `count` masks; none where `data` is NULL.
///
/// # Safety
/// As [`seed_image::view`], for each.
unsafe fn masks_of<'a>(masks: *const seed_image, count: usize) -> Result<Vec<Option<FrameView<'a>>>> {
    // SAFETY: by contract.
    let masks = unsafe { array("masks", masks, count) }?;
    let view = |(i, mask): (usize, &seed_image)| match mask.data.is_null() {
        true => Ok(None),
        // SAFETY: by contract.
        false => unsafe { mask.view() }.map(Some).map_err(|error| error.context(format!("mask {i}"))),
    };
    masks.iter().enumerate().map(view).collect()
}
