//! `seed_dataset`: a folder of images, a list of files, or frames that the application pushes.

use std::ffi::c_char;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::border::catch;
use super::config::seed_config;
use super::error::seed_error;
use super::handle::{Guarded, free, handle, warnings, with};
use super::image::{fill_image, seed_image};
use super::pointers::{array, check_optional, check_out, fill, fill_text, put, put_new, text};
use crate::Error;
use crate::data::ignored::MAX_CORNERS;
use crate::data::{Dataset, Ignored};

/// Images without labels. Trainers and sessions hold what they use, so it may be freed in any order. All functions may be
/// called from several threads at once, pushing while a trainer reads included.
pub struct seed_dataset(pub(super) Guarded<Arc<Dataset>>);
handle!(seed_dataset, Arc<Dataset>, |dataset| dataset.warnings());

/// Opens every JPEG, PNG, BMP, TIFF, WebP and PNM in `folder` and below, sorted by name. A relative path is resolved now: the process may change
/// its directory later. Files are read when they are needed: a broken one is skipped, counted and named then. What cannot be read (a
/// disk that is away) is asked for again by every later call, and in training in every pass; a damaged file is read again when it has
/// changed. The caller frees the data set with seed_dataset_free.
///
/// Errors: SEED_ERROR_IO when the folder cannot be read, SEED_ERROR_INVALID_ARGUMENT when it holds no image.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_dataset_open_folder(
    folder: *const c_char,
    out: *mut *mut seed_dataset,
) -> *mut seed_error {
    // SAFETY: passed on from the C caller, as in every function of this file.
    catch(|| unsafe { put_new(out, || Ok(Arc::new(Dataset::from_folder(Path::new(text("folder", folder)?))?))) })
}

/// Opens `count` image files by path, in this order; otherwise as seed_dataset_open_folder.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_dataset_open_files(
    paths: *const *const c_char,
    count: usize,
    out: *mut *mut seed_dataset,
) -> *mut seed_error {
    catch(|| unsafe {
        put_new(out, || {
            let mut files = Vec::new();
            for (i, path) in array("paths", paths, count)?.iter().enumerate() {
                files.push(PathBuf::from(text(&format!("paths[{i}]"), *path)?));
            }
            Ok(Arc::new(Dataset::from_files(files)?))
        })
    })
}

/// Makes an empty data set in memory, to be filled by seed_dataset_push.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_dataset_new(out: *mut *mut seed_dataset) -> *mut seed_error {
    catch(|| unsafe { put_new(out, || Ok(Arc::new(Dataset::in_memory()))) })
}

/// Copies an image into the data set, with all bits of its samples, under `name` (UTF-8; NULL: its number). `*index` (may be NULL) receives its number.
/// Works on every data set, one of a folder too.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_dataset_push(
    dataset: *const seed_dataset,
    image: *const seed_image,
    name: *const c_char,
    index: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        check_optional("index", index)?;
        let image = array("image", image, 1)?;
        let frame = image[0].view()?;
        let number = with(dataset, |dataset| {
            if name.is_null() {
                dataset.push(&dataset.len().to_string(), &frame)
            } else {
                dataset.push(text("name", name)?, &frame)
            }
        })?;
        if !index.is_null() {
            put(index, number);
        }
        Ok(())
    })
}

/// Decodes the JPEG, PNG, BMP, TIFF, WebP or PNM in `bytes` and pushes it, as seed_dataset_push. The pixels are kept, not the file. It is
/// read as seed_dataset_set_reading says: upright, and of several pages the first, unless that was called; with page 0 each page is pushed,
/// the second as "NAME#2", and `*index` receives the number of the first.
///
/// Errors: SEED_ERROR_FORMAT when the bytes are no sound image.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_dataset_push_encoded(
    dataset: *const seed_dataset,
    bytes: *const u8,
    length: usize,
    name: *const c_char,
    index: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        check_optional("index", index)?;
        let bytes = array("bytes", bytes, length)?;
        let number = with(dataset, |dataset| {
            let own;
            let name = if name.is_null() {
                own = dataset.len().to_string();
                &own
            } else {
                text("name", name)?
            };
            dataset.push_encoded(name, bytes)
        })?;
        if !index.is_null() {
            put(index, number);
        }
        Ok(())
    })
}

/// The pixels of image `index`, by the rule of seed_image_decode.
///
/// Errors: SEED_ERROR_IO or SEED_ERROR_FORMAT when the image is broken; it is counted as skipped then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_dataset_pixels(
    dataset: *const seed_dataset,
    index: usize,
    image: *mut seed_image,
    buffer: *mut u8,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        let frame = with(dataset, |dataset| dataset.load(index))?;
        fill_image(&frame, image, buffer, capacity, length)
    })
}

/// Says which samples of the data set's images become which of the 256 levels that networks see: by "range", "range.low", "range.high",
/// "range.low_percentile", "range.high_percentile" and "range.gamma" of `config`, whose meaning docs/abi.md and docs/settings.md tell. It holds
/// for all images, those that are pushed later included, and for whoever asks: trainers, banks, seed_session_embed_dataset,
/// seed_dataset_pixels. A student, classifier or detector that learns from the data set keeps the range and sees frames by it.
/// "dataset" reads every image now, measures the percentiles over all of them and is "fixed" from then on; seed_dataset_range tells low
/// and high. Without this call images are seen by the range of whoever asks: a session's, or the configuration's.
///
/// Set it before trainers and banks are made: it is part of what the data set is. Frames that were decoded before are forgotten.
///
/// Errors: SEED_ERROR_CONFIG where low is not below high; of "dataset" SEED_ERROR_INVALID_ARGUMENT where there is no image, images have
/// different bits or there is one sample only between the percentiles, and SEED_ERROR_IO or SEED_ERROR_FORMAT where no image can be read.
/// The data set is as it was then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_dataset_set_range(
    dataset: *const seed_dataset,
    config: *const seed_config,
) -> *mut seed_error {
    catch(|| {
        let range = with(config, |config| Ok(config.view.input.range))?;
        with(dataset, |dataset| dataset.set_range(range).map(|_| ()))
    })
}

/// Says how the data set's image files are read, by "exif" and "page" of `config`: "exif" "apply" turns frames upright as the orientation in
/// their file says, "ignore" takes them as they are stored; "page" N reads page N of each TIFF, 0 makes every page of a TIFF an image of its
/// own, behind each other, called NAME, NAME#2 and so on. Without this call frames are turned and the first page is read; a file with more
/// is a warning of seed_dataset_warnings then. Coordinates, of heat maps and regions say, are those of the turned frame. Images pushed as
/// pixels stay as they are; those pushed encoded afterwards are read so too. Files of other kinds than TIFF have one page, whatever "page" is.
///
/// Set it before images are asked for and before trainers and banks are made: it is part of what the data set is, and page 0, which looks
/// into every TIFF now, numbers the images anew. Frames that were decoded before are forgotten. A page that a file does not have makes
/// it a broken image.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_dataset_set_reading(
    dataset: *const seed_dataset,
    config: *const seed_config,
) -> *mut seed_error {
    catch(|| {
        let files = with(config, |config| Ok(config.files))?;
        with(dataset, |dataset| dataset.set_reading(files))
    })
}

/// Says which pixels of image `index`, or with SIZE_MAX of every image, count for nothing: those of `mask` that are not black. `mask` has 8 bits a
/// sample and the image's size, in its own pixels, turned as the data set reads it; NULL takes back what was set. Several polygons make one mask by
/// seed_polygon_mask. A detector that learns from the data set (seed_anomaly_fit, seed_anomaly_add) sees the mean colour there: nothing that
/// lies there reaches its memory, its threshold, a score or a heat map, which is 0 there. What is ignored of every image it ignores in
/// the images that it judges, and its file keeps it; these must be of the mask's size then. Others take no notice of it.
///
/// Errors: SEED_ERROR_INVALID_ARGUMENT where there is no such image, the mask has deeper samples, is black, or all of it is not; what was set is as it was
/// then. A mask of another size than its image is an error of who learns from it, naming the image.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_dataset_set_ignored(
    dataset: *const seed_dataset,
    index: usize,
    mask: *const seed_image,
) -> *mut seed_error {
    catch(|| unsafe {
        let mask = if mask.is_null() {
            None
        } else {
            Some(Ignored::of_mask(&array("mask", mask, 1)?[0].view()?).map_err(|error| error.context("mask"))?)
        };
        let image = (index != usize::MAX).then_some(index);
        with(dataset, |dataset| dataset.set_ignored(image, mask))
    })
}

/// Draws a polygon as a mask for seed_dataset_set_ignored: 255 for each pixel of a frame of `width` × `height` whose middle lies inside, 0 else,
/// width·height bytes into `buffer` by the rule of seed_neighbours. `corners` are 2·`count` numbers, x and y of each corner in pixels, counted
/// from the left upper corner of the first one; where the polygon crosses itself, inside is what an odd number of edges encloses.
///
/// Errors: SEED_ERROR_INVALID_ARGUMENT for fewer than 3 corners or more than 4096, a number that is NaN or infinite, and where no pixel of
/// the frame lies inside, or every one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_polygon_mask(
    corners: *const f32,
    count: usize,
    width: u32,
    height: u32,
    buffer: *mut u8,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        check_out("length", length)?;
        if count > MAX_CORNERS {
            return Err(Error::invalid(format!("a polygon has {count} corners, expected 3 to {MAX_CORNERS}")));
        }
        let corners = array("corners", corners, 2 * count)?;
        let corners: Vec<[f64; 2]> = corners.as_chunks::<2>().0.iter().map(|at| at.map(f64::from)).collect();
        let mut marks = Ignored::polygon(width, height, &corners)?.into_marks();
        marks.iter_mut().for_each(|mark| *mark *= 255);
        fill(&marks, buffer, capacity, length)
    })
}

/// The range that was set, as pairs that seed_config_parse takes, "range=fixed range.low=96 range.high=3871 range.gamma=1" say, by the rule of
/// seed_config_get_string; empty where none was set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_dataset_range(
    dataset: *const seed_dataset,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        let range = with(dataset, |dataset| Ok(dataset.range()))?;
        fill_text(&range.map_or_else(String::new, |range| range.pairs()), buffer, capacity, length)
    })
}

/// The number of images, broken ones included.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_dataset_count(dataset: *const seed_dataset, out: *mut usize) -> *mut seed_error {
    catch(|| unsafe {
        check_out("out", out)?;
        put(out, with(dataset, |dataset| Ok(dataset.len()))?);
        Ok(())
    })
}

/// The name of image `index`, relative to the folder with '/', into `buffer`: NULL asks for the size; too small a buffer
/// is left alone; `*length` receives the bytes needed, the NUL included. It is UTF-8: of a file's name that is not, each bad byte
/// stands there as a backslash, x and two hexadecimal digits, and so does a backslash before an x: different files always have
/// different names.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_dataset_name(
    dataset: *const seed_dataset,
    index: usize,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe { fill_text(&with(dataset, |dataset| dataset.name(index))?, buffer, capacity, length) })
}

/// How many images, and folders within the folder, could not be used when they were last asked for. An image that can be read
/// again leaves the list.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_dataset_skipped_count(dataset: *const seed_dataset, out: *mut usize) -> *mut seed_error {
    catch(|| unsafe {
        check_out("out", out)?;
        put(out, with(dataset, |dataset| Ok(dataset.skipped_count()))?);
        Ok(())
    })
}

/// Which image was skipped as number `index` of seed_dataset_skipped_count and why, as "name: reason", into `buffer` by
/// the rule of seed_dataset_name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_dataset_skipped(
    dataset: *const seed_dataset,
    index: usize,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        let line = with(dataset, |dataset| {
            let entry = dataset.skipped_at(index).ok_or_else(|| {
                let count = dataset.skipped_count();
                Error::invalid(format!("skipped image {index} was asked for, but only {count} were skipped"))
            })?;
            Ok(format!("{}: {}", entry.name, entry.reason))
        })?;
        fill_text(&line, buffer, capacity, length)
    })
}

/// What you should know about the images although they can be used, such as numbers outside [0, 1] that were clamped: one warning a line,
/// each once, by the rule of seed_config_get_string; empty where there is none. Images that could not be read are told by seed_dataset_skipped.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_dataset_warnings(
    dataset: *const seed_dataset,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe { fill_text(&warnings(dataset)?, buffer, capacity, length) })
}

/// Which images could not be used when they were last asked for: a byte for each image of the data set, 1 for such a one and 0 for
/// others, into `buffer` by the rule of seed_neighbours. After seed_session_embed_dataset these are the rows of zeros, unless another
/// thread has used the data set since.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_dataset_broken(
    dataset: *const seed_dataset,
    buffer: *mut u8,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        let marks = with(dataset, |dataset| dataset.skipped_marks())?;
        fill(&marks, buffer, capacity, length)
    })
}

/// Releases a data set. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_dataset_free(dataset: *mut seed_dataset) {
    free(dataset)
}
