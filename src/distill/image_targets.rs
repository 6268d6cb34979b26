//! Embeddings that were made elsewhere, one an image: a fixed target for all of its views.
//!
//! ```text
//! t(any view of image i) = e_i / ‖e_i‖,   e: (N, D)
//! ```
//!
//! SEED shows one view to both networks, so its target follows the crop. Here it does not: the student is asked to map every
//! crop of an image to what the teacher said of the whole. That is a sound target where views are mild, and worse where
//! they are not (Beyer et al., 2022, "Knowledge distillation: a good teacher is patient and consistent", call it a fixed
//! teacher). A bank keeps the view's own target.
//!
//! Files: .npy, (N, D) of float16, float32 or float64, row i for image i; or safetensors with a tensor `embeddings` (N, D)
//! and, in its metadata, `names`: a JSON list of N names of images, by which rows are found then.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tch::{Kind, Tensor};

use super::npy;
use crate::data::Dataset;
use crate::error::{Error, ErrorKind, Result};
use crate::model::weights;
use crate::sys::files;

/// The widest embedding that is taken.
const MAX_DIM: usize = 65_536;
/// Names of images that an error lists.
const LISTED: usize = 10;

/// A table of embeddings (N, D), with or without the names of its images.
#[derive(Debug)]
pub struct ImageEmbeddings {
    /// (N, D), float32, unit rows; a row of zeros where there was no direction.
    rows: Tensor,
    /// Whether row i is an embedding.
    sound: Vec<bool>,
    /// The row of each name.
    names: Option<BTreeMap<String, usize>>,
    identity: String,
}

// SAFETY: the tensor is only ever read, and a handle's reference count is atomic.
unsafe impl Sync for ImageEmbeddings {}

impl ImageEmbeddings {
    /// Row i of `numbers` (N·`dim`) is image i's.
    ///
    /// # Errors
    /// `InvalidArgument` where the numbers are none or no whole rows.
    pub fn new(numbers: &[f32], dim: usize) -> Result<Self> {
        if !(1..=MAX_DIM).contains(&dim) || numbers.is_empty() || !numbers.len().is_multiple_of(dim) {
            let count = numbers.len();
            return Err(Error::invalid(format!(
                "{count} numbers are no rows of {dim}, expected rows of 1 to {MAX_DIM}"
            )));
        }
        Self::of(&Tensor::f_from_slice(numbers)?.f_view([-1, dim as i64])?, None)
    }

    /// From a .npy or safetensors file; which one it is shows in its content.
    ///
    /// # Errors
    /// `Io`; `Format` for a damaged or hostile file or one without such a table; `OutOfMemory`.
    pub fn load(path: &Path) -> Result<Self> {
        let mut beginning = [0; npy::MAGIC.len()];
        let (file, _) = files::open(path)?;
        let _ = std::os::unix::fs::FileExt::read_at(&file, &mut beginning, 0)
            .map_err(|error| Error::io("read", path, &error))?;
        if &beginning == npy::MAGIC {
            let bytes = files::read(path, isize::MAX as u64)?;
            let table = npy::parse(&bytes).map_err(|reason| Error::format(path, reason))?;
            // Both fit an i64, since their product is the length of a slice; rows of no numbers are refused below.
            let size = [table.rows as i64, table.dim as i64];
            return Self::of(&Tensor::f_from_data_size(table.numbers, &size, table.kind)?, None)
                .map_err(|error| of_the_file(path, error));
        }
        let mut state = weights::read(path)?;
        let found = state.tensors.keys().take(LISTED).cloned().collect::<Vec<_>>().join(", ");
        let table = state
            .tensors
            .remove("embeddings")
            .ok_or_else(|| Error::format(path, format!("no tensor \"embeddings\" in it, but {found}")))?;
        let names = state.metadata.get("names").map(|text| serde_json::from_str::<Vec<String>>(text)).transpose();
        let names = names.map_err(|error| Error::format(path, format!("its \"names\" are no JSON list: {error}")))?;
        Self::of(&table.to_tensor()?, names).map_err(|error| of_the_file(path, error))
    }

    fn of(table: &Tensor, names: Option<Vec<String>>) -> Result<Self> {
        let (count, dim) = match table.size()[..] {
            [count, dim] if count > 0 && (1..=MAX_DIM as i64).contains(&dim) => (count, dim),
            _ => return Err(Error::invalid(format!("embeddings {:?}, expected [N, D], not empty", table.size()))),
        };
        if !matches!(table.kind(), Kind::Half | Kind::BFloat16 | Kind::Float | Kind::Double) {
            return Err(Error::invalid(format!("embeddings of {:?}, expected floating point", table.kind())));
        }
        // In float64, whose range no square of a float32 leaves; a float64 that is beyond float32 counts as infinite.
        let values = table.f_to_kind(Kind::Float)?.f_to_kind(Kind::Double)?;
        let length = values.f_square()?.f_sum_dim_intlist([1i64].as_slice(), true, Kind::Double)?.f_sqrt()?; // (N,1)
        let sound = length.f_isfinite()?.f_logical_and(&length.f_gt(1e-30)?)?;
        let rows = values.f_div(&length)?.f_where_self(&sound, &values.f_zeros_like()?)?.f_to_kind(Kind::Float)?;
        let sound = Vec::<bool>::try_from(&sound.f_view([-1])?)?;

        let mut hash = Sha256::new();
        hash.update(dim.to_le_bytes());
        let mut numbers = vec![0f32; dim as usize];
        for row in 0..count {
            rows.f_select(0, row)?.f_copy_data(&mut numbers, dim as usize)?;
            numbers.iter().for_each(|number| hash.update(number.to_le_bytes()));
        }
        let names = names.map(|names| by_name(names, count)).transpose()?;
        for (name, row) in names.iter().flatten() {
            hash.update((name.len() as u64).to_le_bytes());
            hash.update(name);
            hash.update((*row as u64).to_le_bytes());
        }
        let hash = crate::sys::hash::text(hash);
        Ok(Self { rows, sound, names, identity: format!("embeddings {hash}") })
    }

    /// N.
    pub fn len(&self) -> usize {
        self.sound.len()
    }

    /// Whether there is no row; there always is one.
    pub fn is_empty(&self) -> bool {
        self.sound.is_empty()
    }

    /// D.
    pub fn dim(&self) -> i64 {
        self.rows.size()[1]
    }
}

fn by_name(names: Vec<String>, count: i64) -> Result<BTreeMap<String, usize>> {
    if names.len() as i64 != count {
        return Err(Error::invalid(format!("{} names for {count} embeddings", names.len())));
    }
    let mut rows = BTreeMap::new();
    for (row, name) in names.into_iter().enumerate() {
        if let Some(first) = rows.insert(name.clone(), row) {
            return Err(Error::invalid(format!("rows {first} and {row} both have the name {name:?}")));
        }
    }
    Ok(rows)
}

/// Embeddings, and which row belongs to which image of a data set.
#[derive(Debug)]
pub struct ImageTargets {
    embeddings: Arc<ImageEmbeddings>,
    /// The row of each image; none for one that cannot be read and so is never shown.
    rows: Vec<Option<usize>>,
}

impl ImageTargets {
    /// Finds the row of every image of `dataset`: by its name where the embeddings have names, else by its number. An image
    /// may lack a sound row only where it is broken: then it is never shown.
    ///
    /// # Errors
    /// `Mismatch` where the numbers of rows and images differ, or listing images without an embedding.
    pub fn new(embeddings: Arc<ImageEmbeddings>, dataset: &Dataset) -> Result<Self> {
        let count = dataset.len();
        if embeddings.names.is_none() && embeddings.len() != count {
            return Err(Error::mismatch(format!(
                "{} embeddings for {count} images; give a row an image, or names in a safetensors file",
                embeddings.len()
            )));
        }
        let (mut rows, mut missing, mut listed) = (Vec::with_capacity(count), 0usize, Vec::new());
        for image in 0..count {
            let name = dataset.name(image)?;
            let row = embeddings.names.as_ref().map_or(Some(image), |names| names.get(&name).copied());
            let row = row.filter(|&row| embeddings.sound[row]);
            // What cannot be decoded had no embedding made of it either.
            if row.is_none() && (missing >= LISTED || dataset.load(image).is_ok()) {
                missing += 1;
                if listed.len() < LISTED {
                    listed.push(name);
                }
            }
            rows.push(row);
        }
        if missing > 0 {
            return Err(Error::mismatch(format!(
                "{missing} of {count} images have no embedding, or one of zeros or NaN: {}{}",
                listed.join(", "),
                if missing > listed.len() { ", …" } else { "" }
            )));
        }
        Ok(Self { embeddings, rows })
    }

    /// D.
    pub fn dim(&self) -> i64 {
        self.embeddings.dim()
    }

    /// Images that they belong to.
    pub fn images(&self) -> usize {
        self.rows.len()
    }

    /// A text that is the same as long as the embeddings are.
    pub fn identity(&self) -> &str {
        &self.embeddings.identity
    }

    /// The embeddings of the images that are `shown`, which for a broken image is the one in its place: (B, D) on the CPU.
    ///
    /// # Errors
    /// `Mismatch` for an image that was pushed later, or that was broken and is not any more.
    pub fn targets(&self, shown: &[usize]) -> Result<Tensor> {
        let mut rows = Vec::with_capacity(shown.len());
        for &image in shown {
            let row = self.rows.get(image).copied().flatten().ok_or_else(|| {
                let reason = "it was added or repaired since the run was made; make embeddings of it and a new run";
                Error::new(ErrorKind::Mismatch, format!("image {image} has no embedding: {reason}"))
            })?;
            rows.push(row as i64);
        }
        Ok(self.embeddings.rows.f_index_select(0, &Tensor::f_from_slice(&rows)?)?)
    }
}

/// What is refused in a table is wrong with its file; missing memory, say, is not.
fn of_the_file(path: &Path, error: Error) -> Error {
    match error.kind() {
        ErrorKind::InvalidArgument => Error::format(path, error.message()),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_refused_is_the_files_fault() {
        let path = Path::new("table.npy");
        for (kind, wanted) in [
            (ErrorKind::InvalidArgument, ErrorKind::Format),
            (ErrorKind::OutOfMemory, ErrorKind::OutOfMemory),
            (ErrorKind::Torch, ErrorKind::Torch),
        ] {
            assert_eq!(of_the_file(path, Error::new(kind, "a reason")).kind(), wanted);
        }
    }
}
