//! Embeddings as points of a plane: principal components, or t-SNE for who is near whom.
//!
//! ```text
//! rows (N, D) → at most max_points of them → unit rows X (n, D) ─┬─ PCA: the two leading directions of X − mean
//!                                                                └─ t-SNE: neighbours by cosine → (n, 2), begun at PCA
//! ```
//!
//! PCA's signs are scikit-learn's: the largest loading of a component is positive. t-SNE is Barnes–Hut (van der Maaten, "Accelerating
//! t-SNE using tree-based algorithms", JMLR 2014, θ = ½) of the crate bhtsne over exact neighbours, begun at PCA as scikit-learn
//! does, on one thread: the same embeddings give the same map.
//!
//! ```
//! use seed::eval::{Embeddings, MapConfig, MapMethod, embedding_map};
//! let rows = [1.0, 0.0, 0.8, 0.6, 0.0, 1.0];
//! let config = MapConfig { method: MapMethod::Pca, ..MapConfig::default() };
//! let map = embedding_map(&Embeddings::new(&rows, 2)?, &[], &config)?;
//! assert_eq!(map.points().len(), 3);
//! # Ok::<(), seed::Error>(())
//! ```

use bhtsne::{Neighbor, tSNE};
use tch::{Kind, Tensor};

use super::Embeddings;
use super::neighbours::nearest;
use crate::data::random::{Purpose, generator, shuffle};
use crate::error::{Error, Result};
use crate::sys::memory::spare;

/// The most points of a map: the report holds one line for each, and its reader sees no more.
pub const MOST_POINTS: usize = 5000;
/// With fewer rows t-SNE has no neighbourhoods to keep, and PCA is drawn.
const FEWEST_FOR_TSNE: usize = 10;
/// Accuracy of Barnes–Hut; scikit-learn's.
const THETA: f64 = 0.5;
/// Steps of t-SNE; scikit-learn's.
const STEPS: usize = 1000;

/// How points come onto the plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapMethod {
    /// The two principal components.
    Pca,
    /// t-SNE.
    Tsne,
}

/// Settings of a map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MapConfig {
    /// How.
    pub method: MapMethod,
    /// Rows that are drawn; of more, a random part.
    pub max_points: usize,
    /// About how many neighbours count, of t-SNE; a third of the rows at most.
    pub perplexity: f64,
    /// Of the random part.
    pub seed: u64,
}

impl Default for MapConfig {
    fn default() -> Self {
        Self { method: MapMethod::Tsne, max_points: 2000, perplexity: 30.0, seed: 0 }
    }
}

/// Points of a plane.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbeddingMap {
    method: MapMethod,
    total: usize,
    rows: Vec<u32>,
    points: Vec<[f64; 2]>,
    explained: Option<[f64; 2]>,
}

impl EmbeddingMap {
    /// How it was made; PCA where t-SNE was asked for and there were too few rows or all were alike.
    pub fn method(&self) -> MapMethod {
        self.method
    }

    /// Rows that were given.
    pub fn total(&self) -> usize {
        self.total
    }

    /// The rows that are on the map, ascending.
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// A point for each of [`rows`](Self::rows).
    pub fn points(&self) -> &[[f64; 2]] {
        &self.points
    }

    /// The shares of the variance that both components of PCA carry; None for t-SNE.
    pub fn explained(&self) -> Option<[f64; 2]> {
        self.explained
    }
}

/// The map of `embeddings`. `labels` are the rows' classes, −1 for none, or empty: where a part is drawn, the largest classes give
/// up most, so that a rare one stays.
///
/// # Errors
/// `InvalidArgument` for settings out of bounds or as many labels as there are not rows; `Torch` or `OutOfMemory` from libtorch.
pub fn embedding_map(embeddings: &Embeddings<'_>, labels: &[i32], config: &MapConfig) -> Result<EmbeddingMap> {
    if !(1..=MOST_POINTS).contains(&config.max_points) {
        return Err(Error::invalid(format!("max_points is {}, expected 1 to {MOST_POINTS}", config.max_points)));
    }
    if !(1.0..=1000.0).contains(&config.perplexity) {
        return Err(Error::invalid(format!("perplexity is {}, expected 1 to 1000", config.perplexity)));
    }
    if !labels.is_empty() && labels.len() != embeddings.len() {
        return Err(Error::invalid(format!("{} labels for {} embeddings", labels.len(), embeddings.len())));
    }
    let chosen = choose(embeddings.len(), labels, config.max_points, config.seed)?;
    let values = embeddings.select(&chosen)?;
    let part = Embeddings::new(&values, embeddings.dim())?;
    let unit = part.unit_rows()?;
    let (plane, explained) = principal(&unit, part.dim())?;
    let near = match config.method {
        MapMethod::Tsne => neighbourhood(&part, &plane, config.perplexity)?,
        MapMethod::Pca => None,
    };
    let rows = chosen.iter().map(|&row| row as u32).collect();
    Ok(match near {
        Some(points) => {
            EmbeddingMap { method: MapMethod::Tsne, total: embeddings.len(), rows, points, explained: None }
        }
        None => EmbeddingMap {
            method: MapMethod::Pca,
            total: embeddings.len(),
            rows,
            points: plane,
            explained: Some(explained),
        },
    })
}

/// At most `most` of `count` rows, ascending. Every class gives all of its rows or as many as any other that is cut.
fn choose(count: usize, labels: &[i32], most: usize, seed: u64) -> Result<Vec<usize>> {
    // An order of all rows, and the rows of each class, in vectors that grow by doubling.
    spare(count.saturating_mul(4 * size_of::<usize>()), "the rows of a map")?;
    if count <= most {
        return Ok((0..count).collect());
    }
    let mut order: Vec<usize> = (0..count).collect();
    shuffle(&mut generator(seed, 0, 0, Purpose::Split), &mut order);
    let mut classes: std::collections::BTreeMap<i32, Vec<usize>> = Default::default();
    for row in order {
        classes.entry(labels.get(row).copied().unwrap_or(-1)).or_default().push(row);
    }
    let mut by_size: Vec<Vec<usize>> = classes.into_values().collect();
    by_size.sort_by_key(Vec::len);
    let (mut chosen, mut left) = (Vec::new(), by_size.len());
    for rows in by_size {
        let share = (most - chosen.len()) / left;
        chosen.extend(rows.into_iter().take(share));
        left -= 1;
    }
    chosen.sort_unstable();
    Ok(chosen)
}

/// The two leading principal components of `unit` (n, D) as points, and their shares of the variance.
fn principal(unit: &[f32], dim: usize) -> Result<(Vec<[f64; 2]>, [f64; 2])> {
    let count = unit.len() / dim;
    let rows = Tensor::f_from_slice(unit)?.f_to_kind(Kind::Double)?.f_view([count as i64, dim as i64])?; // (n,D)
    let centred = &rows - rows.f_mean_dim(0i64, true, Kind::Double)?;
    // The eigenvectors of the smaller of XᵀX and XXᵀ say those of the other.
    let wide = dim > count;
    let square = if wide { centred.f_matmul(&centred.tr())? } else { centred.tr().f_matmul(&centred)? };
    let (values, vectors) = square.f_linalg_eigh("L")?; // ascending
    let total = square.f_trace()?.f_double_value(&[])?;
    let (mut points, mut explained) = (vec![[0.0; 2]; count], [0.0; 2]);
    for component in 0..2.min(count.min(dim)) {
        let place = count.min(dim) as i64 - 1 - component as i64;
        let vector = vectors.f_select(1, place)?;
        let loadings = if wide { centred.tr().f_matmul(&vector)? } else { vector };
        let length = loadings.f_norm()?.f_double_value(&[])?;
        let value = values.f_double_value(&[place])?;
        // Of rows that are all alike nothing is left but rounding.
        if !(total > 1e-12 * count as f64 && length > 0.0 && value > 1e-12 * total) {
            break;
        }
        let loadings = loadings / length;
        let largest = loadings.f_abs()?.f_argmax(0, false)?;
        let sign = loadings.f_index_select(0, &largest.f_view([1])?)?.f_double_value(&[0])?.signum();
        let along: Vec<f64> = Vec::try_from(centred.f_matmul(&loadings)? * sign)?;
        points.iter_mut().zip(along).for_each(|(point, along)| point[component] = along);
        explained[component] = (value / total).clamp(0.0, 1.0);
    }
    Ok((points, explained))
}

/// t-SNE from `plane` on, or None where there is nothing for it to do.
fn neighbourhood(rows: &Embeddings<'_>, plane: &[[f64; 2]], perplexity: f64) -> Result<Option<Vec<[f64; 2]>>> {
    let count = plane.len();
    let deviation = (plane.iter().map(|point| point[0] * point[0]).sum::<f64>() / count as f64).sqrt();
    if count < FEWEST_FOR_TSNE || deviation == 0.0 {
        return Ok(None);
    }
    let perplexity = perplexity.min((count - 1) as f64 / 3.0);
    let found = nearest(rows, ((3.0 * perplexity) as usize).clamp(1, count - 1))?;
    let near = |(indices, cosines): (&[u32], &[f32])| {
        // |a − b| of unit rows.
        let distance = |cosine: f32| (2.0 - 2.0 * f64::from(cosine)).max(0.0).sqrt();
        let pairs = indices.iter().zip(cosines);
        pairs.map(|(&index, &cosine)| Neighbor { index: index as usize, distance: distance(cosine) }).collect()
    };
    let neighbours: Vec<Vec<Neighbor<f64>>> = found.rows().map(near).collect();
    // scikit-learn's start: PCA, with a deviation of 1e-4 along the first component.
    let start: Vec<f64> = plane.iter().flatten().map(|value| value / deviation * 1e-4).collect();
    // On one thread: sums in parallel would differ in their last digits from call to call, and the cores are the application's.
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .map_err(|error| Error::internal("cannot start a thread for t-SNE", error))?;
    let points = pool.install(|| {
        tSNE::<f64, [f64; 2], 2>::new(plane)
            .perplexity(perplexity)
            .epochs(STEPS)
            .initial_embedding(start)
            .barnes_hut_with_neighbors(THETA, &neighbours)
            .embedding()
    });
    let (points, _) = points.as_chunks::<2>();
    let finite = points.iter().flatten().all(|value| value.is_finite());
    Ok(finite.then(|| points.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_keeps_rare_classes_and_is_the_same_again() {
        let labels: Vec<i32> = (0..1000)
            .map(|i| {
                if i < 5 {
                    1
                } else if i < 40 {
                    -1
                } else {
                    0
                }
            })
            .collect();
        let choose = |count, labels: &[i32], most, seed| choose(count, labels, most, seed).unwrap();
        let chosen = choose(1000, &labels, 100, 3);
        let of = |class| chosen.iter().filter(|&&row| labels[row] == class).count();
        assert_eq!((chosen.len(), of(1), of(-1), of(0)), (100, 5, 35, 60));
        assert!(
            chosen.is_sorted() && chosen == choose(1000, &labels, 100, 3) && chosen != choose(1000, &labels, 100, 4)
        );
        assert_eq!(choose(1000, &[], 10, 0).len(), 10);
        let many: Vec<i32> = (0..1000).collect();
        assert_eq!(choose(1000, &many, 10, 0).len(), 10);
    }

    #[test]
    fn rows_that_are_few_or_alike_have_a_map() {
        for method in [MapMethod::Pca, MapMethod::Tsne] {
            let config = MapConfig { method, ..MapConfig::default() };
            for (values, dim) in [(vec![1.0], 1), (vec![0.3; 60], 3), (vec![0.0; 60], 3), (vec![1.0, 0.0, 0.0, 1.0], 2)]
            {
                let map = embedding_map(&Embeddings::new(&values, dim).unwrap(), &[], &config).unwrap();
                assert_eq!((map.method(), map.points().len()), (MapMethod::Pca, values.len() / dim));
                assert!(map.points().iter().flatten().all(|value| value.is_finite()), "{map:?}");
            }
        }
        // Two places, each with many rows.
        let twice: Vec<f32> = (0..40).flat_map(|i| if i % 2 == 0 { [1.0, 0.0] } else { [0.0, 1.0] }).collect();
        let map = embedding_map(&Embeddings::new(&twice, 2).unwrap(), &[], &MapConfig::default()).unwrap();
        assert!(map.points().iter().flatten().all(|value| value.is_finite()));
    }

    #[test]
    fn settings_have_bounds() {
        let rows = Embeddings::new(&[1.0, 2.0], 1).unwrap();
        let good = MapConfig::default();
        for config in [
            MapConfig { max_points: 0, ..good },
            MapConfig { max_points: MOST_POINTS + 1, ..good },
            MapConfig { perplexity: f64::NAN, ..good },
            MapConfig { perplexity: 0.5, ..good },
        ] {
            assert!(embedding_map(&rows, &[], &config).is_err());
        }
        assert!(embedding_map(&rows, &[1], &good).is_err());
    }
}
