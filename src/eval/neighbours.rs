//! Exact nearest neighbours by cosine, in blocks of bounded memory.
//!
//! ```text
//! S = Q̂·Ĝᵀ          Q̂: (b, D) unit rows of a block of queries, Ĝ: (N, D) unit rows of the gallery, S: (b, N)
//! neighbours(i) = the k columns of row i with the largest S, ties by the smaller column
//! ```
//!
//! libtorch multiplies; the selection is ours, because torch's `topk` leaves the order of ties open and agreement with a
//! teacher must not depend on it.
//!
//! ```
//! use seed::eval::{Embeddings, nearest};
//! let embeddings = [1.0, 0.0, 0.0, 1.0, 0.9, 0.1];
//! let neighbours = nearest(&Embeddings::new(&embeddings, 2)?, 1)?;
//! assert_eq!(neighbours.indices(), [2, 2, 0]);
//! # Ok::<(), seed::Error>(())
//! ```

use tch::Tensor;

use super::Embeddings;
use crate::error::{Error, Result};
use crate::sys::memory::{filled, room};

/// Similarities held at once: 16 MiB of float32.
const BLOCK_ELEMENTS: usize = 4 << 20;
/// More queries than this at once make the product no faster.
const BLOCK_ROWS: usize = 1024;

/// The k nearest of each query, nearest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Neighbours {
    k: usize,
    indices: Vec<u32>,
    similarities: Vec<f32>,
}

impl Neighbours {
    /// Neighbours of each query.
    pub fn k(&self) -> usize {
        self.k
    }

    /// Number of queries.
    pub fn len(&self) -> usize {
        self.indices.len() / self.k
    }

    /// Always false; there to go with [`len`](Self::len).
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// (queries, k) row numbers of the gallery.
    pub fn indices(&self) -> &[u32] {
        &self.indices
    }

    /// (queries, k) cosines in [−1, 1], up to rounding.
    pub fn similarities(&self) -> &[f32] {
        &self.similarities
    }

    /// Row numbers and cosines, query by query.
    pub fn rows(&self) -> impl Iterator<Item = (&[u32], &[f32])> {
        self.indices.chunks_exact(self.k).zip(self.similarities.chunks_exact(self.k))
    }
}

/// The `k` nearest of every row among the others.
///
/// # Errors
/// `InvalidArgument` unless 1 ≤ k < N; `Torch` or `OutOfMemory` from libtorch.
pub fn nearest(embeddings: &Embeddings<'_>, k: usize) -> Result<Neighbours> {
    check_k(k, embeddings.len() - 1, "other embeddings")?;
    search(embeddings, embeddings, k, true)
}

/// The `k` nearest rows of `gallery` for every row of `queries`.
///
/// # Errors
/// `InvalidArgument` unless both are equally wide and 1 ≤ k ≤ gallery rows; `Torch` or `OutOfMemory` from libtorch.
pub fn nearest_to(queries: &Embeddings<'_>, gallery: &Embeddings<'_>, k: usize) -> Result<Neighbours> {
    if queries.dim() != gallery.dim() {
        return Err(Error::mismatch(format!(
            "queries are {} wide, the gallery is {}: both must come from the same network",
            queries.dim(),
            gallery.dim()
        )));
    }
    check_k(k, gallery.len(), "embeddings in the gallery")?;
    search(queries, gallery, k, false)
}

/// That `k` neighbours can be had of `available`; to be asked before memory is taken for them.
pub(crate) fn check_k(k: usize, available: usize, what: &str) -> Result<()> {
    if k == 0 || k > available {
        return Err(Error::invalid(format!("k is {k}, expected 1 to {available}, the number of {what}")));
    }
    Ok(())
}

fn search(queries: &Embeddings<'_>, gallery: &Embeddings<'_>, k: usize, skip_self: bool) -> Result<Neighbours> {
    let _guard = tch::no_grad_guard();
    let (columns, dim) = (gallery.len(), gallery.dim());
    let block_rows = (BLOCK_ELEMENTS / columns).clamp(1, BLOCK_ROWS);
    let unit_queries = queries.unit_rows()?;
    let gallery_columns = matrix(&gallery.unit_rows()?, dim)?.f_transpose(0, 1)?; // (D, N)
    let mut similarities = filled(0f32, block_rows.min(queries.len()) * columns, "similarities")?;
    let total = queries.len().saturating_mul(k);
    let mut found = Neighbours { k, indices: room(total, "neighbours")?, similarities: room(total, "neighbours")? };
    let mut best = Best::new(k);
    for (block, rows) in unit_queries.chunks(block_rows * dim).enumerate() {
        let product = matrix(rows, dim)?.f_matmul(&gallery_columns)?; // (b, N)
        let elements = product.numel();
        product.f_copy_data(&mut similarities[..elements], elements)?;
        for (row, of_row) in similarities[..elements].chunks_exact(columns).enumerate() {
            let own = if skip_self { block * block_rows + row } else { usize::MAX };
            best.clear();
            for (column, &similarity) in of_row.iter().enumerate() {
                if column != own {
                    best.offer(similarity, column as u32);
                }
            }
            best.append_to(&mut found);
        }
    }
    Ok(found)
}

/// (N, D) tensor of host rows.
fn matrix(values: &[f32], dim: usize) -> Result<Tensor> {
    Ok(Tensor::f_from_slice(values)?.f_view([-1, dim as i64])?)
}

/// The k best of what was offered, in order of preference.
struct Best {
    k: usize,
    /// Nearest first. For the small k of this module, insertion beats a heap.
    kept: Vec<(f32, u32)>,
}

impl Best {
    fn new(k: usize) -> Self {
        Self { k, kept: Vec::with_capacity(k + 1) }
    }

    fn clear(&mut self) {
        self.kept.clear();
    }

    /// Offers come in ascending order of column, so an equal similarity never displaces an earlier one. Unit rows are
    /// finite, so every two similarities compare.
    fn offer(&mut self, similarity: f32, column: u32) {
        if self.kept.len() == self.k {
            match self.kept.last() {
                Some(&(worst, _)) if similarity > worst => self.kept.pop(),
                _ => return,
            };
        }
        let place = self.kept.partition_point(|&(kept, _)| kept >= similarity);
        self.kept.insert(place, (similarity, column));
    }

    fn append_to(&self, found: &mut Neighbours) {
        found.indices.extend(self.kept.iter().map(|&(_, column)| column));
        found.similarities.extend(self.kept.iter().map(|&(similarity, _)| similarity));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_smaller_number() {
        // Four equal rows and one that differs.
        let values = [1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0];
        let found = nearest(&Embeddings::new(&values, 2).unwrap(), 2).unwrap();
        assert_eq!(found.indices(), [1, 3, 0, 3, 0, 1, 0, 1, 0, 1]);
        assert_eq!(found.similarities()[..2], [1.0, 1.0]);
    }

    #[test]
    fn k_must_fit() {
        let values = [1.0, 0.0, 0.0, 1.0];
        let two = Embeddings::new(&values, 2).unwrap();
        assert!(nearest(&two, 0).is_err());
        assert!(nearest(&two, 2).is_err());
        assert!(nearest_to(&two, &two, 2).is_ok());
        assert!(nearest_to(&two, &two, 3).is_err());
        let one = Embeddings::new(&values[..2], 2).unwrap();
        assert!(nearest(&one, 1).is_err());
        assert!(nearest_to(&two, &Embeddings::new(&values, 4).unwrap(), 1).is_err());
    }
}
