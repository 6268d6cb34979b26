//! `seed_embeddings`: embeddings of a teacher that ran elsewhere, one an image.

use std::ffi::c_char;
use std::path::Path;
use std::sync::Arc;

use super::border::catch;
use super::error::seed_error;
use super::handle::{Guarded, free, handle, with};
use super::pointers::{array, check_out, product, put, put_new, text};
use crate::distill::ImageEmbeddings;

/// A table of embeddings, one row an image, that a teacher made elsewhere. Never changes; teachers and trainers hold what they use. All
/// functions may be called from several threads at once.
pub struct seed_embeddings(pub(super) Guarded<Arc<ImageEmbeddings>>);
handle!(seed_embeddings, Arc<ImageEmbeddings>);

/// Reads embeddings from a file: .npy, (N, D) of float16, float32 or float64, row i for image i of the data set; or
/// safetensors with a tensor "embeddings" (N, D). With "names" in the metadata of a safetensors file, a JSON list of N names
/// as seed_dataset_name has them, rows are found by name, in any order, and may be more than the data set's. Lengths of
/// rows do not matter. Which one it is shows in the file's content. The caller frees the embeddings.
///
/// Errors: SEED_ERROR_IO, SEED_ERROR_FORMAT for a damaged or hostile file or another table.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_embeddings_load(path: *const c_char, out: *mut *mut seed_embeddings) -> *mut seed_error {
    // SAFETY: passed on from the C caller, as in every function of this file.
    catch(|| unsafe {
        let path = Path::new(text("path", path)?);
        put_new(out, || Ok(Arc::new(ImageEmbeddings::load(path)?)))
    })
}

/// Takes a copy of `count` embeddings of `dim` floats, row after row; row i is image i's. The caller frees the embeddings.
///
/// Errors: SEED_ERROR_INVALID_ARGUMENT when there is none or `dim` is out of bounds (1 to 65536).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_embeddings_new(
    rows: *const f32,
    count: usize,
    dim: usize,
    out: *mut *mut seed_embeddings,
) -> *mut seed_error {
    catch(|| unsafe {
        let numbers = array("rows", rows, product("rows", count, dim)?)?;
        put_new(out, || Ok(Arc::new(ImageEmbeddings::new(numbers, dim)?)))
    })
}

/// The number of rows.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_embeddings_count(embeddings: *const seed_embeddings, out: *mut usize) -> *mut seed_error {
    catch(|| unsafe {
        check_out("out", out)?;
        put(out, with(embeddings, |embeddings| Ok(embeddings.len()))?);
        Ok(())
    })
}

/// The width of a row; set "embedding_dim" to it before making the student.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_embeddings_dim(embeddings: *const seed_embeddings, out: *mut i64) -> *mut seed_error {
    catch(|| unsafe {
        check_out("out", out)?;
        put(out, with(embeddings, |embeddings| Ok(embeddings.dim()))?);
        Ok(())
    })
}

/// Releases embeddings. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_embeddings_free(embeddings: *mut seed_embeddings) {
    free(embeddings)
}
