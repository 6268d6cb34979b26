//! Labels of a data set whose images lie in one folder a class.

use std::ffi::c_char;
use std::sync::Arc;

use super::border::catch;
use super::dataset::seed_dataset;
use super::error::seed_error;
use super::handle::with;
use super::pointers::{check_out, fill, fill_text, put};
use crate::data::labels::FolderLabels;
use crate::sys::memory::collected;
use crate::{Error, Result};

fn gathered(labels: Vec<i32>) -> Result<Vec<i64>> {
    collected(labels.into_iter().map(i64::from), "the labels of a data set")
}

fn of(dataset: *const seed_dataset) -> Result<FolderLabels> {
    with(dataset, |dataset| FolderLabels::of(&Arc::clone(dataset)))
}

/// A label for each image of the data set: the number of its class, which is the first folder of its name; −1 for an image
/// outside of all folders. Classes are numbered by their names in order. Into `buffer` by the rule of seed_neighbours.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_dataset_class_labels(
    dataset: *const seed_dataset,
    buffer: *mut i64,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    // SAFETY: passed on from the C caller, as in every function of this file.
    catch(|| unsafe { fill(&gathered(of(dataset)?.labels)?, buffer, capacity, length) })
}

/// How many classes seed_dataset_class_labels tells apart.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_dataset_class_count(dataset: *const seed_dataset, out: *mut usize) -> *mut seed_error {
    catch(|| unsafe {
        check_out("out", out)?;
        put(out, of(dataset)?.names.len());
        Ok(())
    })
}

/// The name of class `index` of seed_dataset_class_labels, its folder's, by the rule of seed_config_get_string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_dataset_class_name(
    dataset: *const seed_dataset,
    index: usize,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        let found = of(dataset)?;
        let name = found.names.get(index).ok_or_else(|| {
            Error::invalid(format!("there is no class {index}, there are {} (numbered from 0)", found.names.len()))
        })?;
        fill_text(name, buffer, capacity, length)
    })
}
