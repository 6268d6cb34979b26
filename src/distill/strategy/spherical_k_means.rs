//! Spherical k-means: unit rows by the directions of their means (Dhillon & Modha, "Concept decompositions for large sparse text data
//! using clustering", Machine Learning 42, 2001), with the start of k-means++ (Arthur & Vassilvitskii, SODA 2007).
//!
//! ```text
//! start    the first centre is any row; each further one is row x with a probability in proportion to min_c ‖x − c‖² = 2 − 2·max_c x·c
//! repeat   label_x = argmax_c x·c; an empty cluster takes the row that lies farthest from its own centre; c = Σ x / ‖Σ x‖
//! until    no label changes
//! ```
//!
//! The mean cosine to the own centre never falls from one pass to the next.

use rand_core::RngCore;
use tch::Tensor;

use crate::data::random::{below, unit};
use crate::distill::loss::BLOCK;
use crate::sys::memory::{filled, gathered, reserve};
use crate::{Error, Result};

/// Passes after which labels that still change are taken as they are.
const PASSES: usize = 100;
/// A row whose cosine with its centre is above this is the centre, but for rounding of float32.
const SAME: f32 = 1.0 - 1e-6;

/// The clusters of some rows.
#[derive(Debug, PartialEq)]
pub struct Clusters {
    /// Of each row, 0 to k − 1.
    pub labels: Vec<i64>,
    /// Clusters that have a row: fewer than k where there are fewer different rows.
    pub used: usize,
    /// Mean cosine of a row and its centre.
    pub cosine: f64,
}

/// Puts unit rows of `width` numbers, row after row in `numbers`, into `k` clusters. None where `go_on` says no before the end.
///
/// # Errors
/// `InvalidArgument` where k is 0 or above the number of rows; `OutOfMemory` or `Torch` from libtorch.
pub fn spherical_k_means(
    numbers: &[f32],
    width: usize,
    k: usize,
    random: &mut impl RngCore,
    go_on: &dyn Fn() -> bool,
) -> Result<Option<Clusters>> {
    let _no_grad = tch::no_grad_guard();
    let count = numbers.len() / width.max(1);
    if k == 0 || k > count {
        return Err(Error::invalid(format!("{k} clusters of {count} rows were asked for, expected 1 to {count}")));
    }
    let rows = Tensor::f_from_slice(numbers)?.f_view([count as i64, width as i64])?; // (n,C)
    let Some(mut centres) = start(&rows, numbers, k, random, go_on)? else { return Ok(None) };
    let k = centres.len() / width; // fewer where there are fewer different rows
    let (mut labels, mut cosines) = (filled(0i64, count, "labels")?, filled(0f32, count, "cosines")?);
    let mut before = filled(0i64, count, "labels")?;
    nearest(&rows, &centres, &mut labels, &mut cosines)?;
    for _ in 0..PASSES {
        fill_empty(&mut labels, &mut cosines, k)?;
        if !go_on() {
            return Ok(None);
        }
        move_centres(numbers, &labels, width, &mut centres)?;
        before.copy_from_slice(&labels);
        nearest(&rows, &centres, &mut labels, &mut cosines)?;
        if before == labels {
            break;
        }
    }
    let mut taken = filled(false, k, "clusters")?;
    labels.iter().for_each(|&label| taken[label as usize] = true);
    let cosine = cosines.iter().map(|&cosine| f64::from(cosine)).sum::<f64>() / count as f64;
    Ok(Some(Clusters { labels, used: taken.iter().filter(|taken| **taken).count(), cosine }))
}

/// The centres (k·C) that k-means++ begins with; fewer where every row is one of them already.
fn start(
    rows: &Tensor,
    numbers: &[f32],
    k: usize,
    random: &mut impl RngCore,
    go_on: &dyn Fn() -> bool,
) -> Result<Option<Vec<f32>>> {
    let (count, width) = (rows.size()[0] as usize, rows.size()[1] as usize);
    let row = |index: usize| &numbers[index * width..(index + 1) * width];
    let mut distances = filled(f64::INFINITY, count, "distances")?;
    let mut cosines = filled(0f32, count, "cosines")?;
    let mut centres = Vec::new();
    reserve(&mut centres, k * width, "the centres of clusters")?;
    let mut chosen = below(random, count as u64) as usize;
    loop {
        centres.extend_from_slice(row(chosen));
        if centres.len() == k * width {
            return Ok(Some(centres));
        }
        if !go_on() {
            return Ok(None);
        }
        rows.f_mv(&Tensor::f_from_slice(row(chosen))?)?.f_copy_data(&mut cosines, count)?;
        for (distance, &cosine) in distances.iter_mut().zip(&cosines) {
            // What is the same row but for rounding is no other.
            let own = if cosine > SAME { 0.0 } else { 2.0 - 2.0 * f64::from(cosine) };
            *distance = distance.min(own);
        }
        let total: f64 = distances.iter().sum();
        let mut left = unit(random) * total;
        let reached = distances.iter().position(|distance| {
            left -= distance;
            *distance > 0.0 && left < 0.0
        });
        // Rounding may leave a rest behind the last row that is no centre.
        let found = reached.or_else(|| distances.iter().rposition(|distance| *distance > 0.0));
        let Some(found) = found else { return Ok(Some(centres)) };
        chosen = found;
    }
}

/// The nearest centre of each row, the first of equally near ones, and its cosine.
fn nearest(rows: &Tensor, centres: &[f32], labels: &mut [i64], cosines: &mut [f32]) -> Result<()> {
    let (_, width) = rows.size2()?;
    let columns = Tensor::f_from_slice(centres)?.f_view([-1, width])?.f_tr()?; // (C,k)
    let pieces = labels.chunks_mut(BLOCK as usize).zip(cosines.chunks_mut(BLOCK as usize));
    for (number, (labels, cosines)) in pieces.enumerate() {
        let block = rows.f_narrow(0, number as i64 * BLOCK, labels.len() as i64)?.f_matmul(&columns)?;
        let (largest, place) = block.f_max_dim(1, false)?;
        place.f_copy_data(labels, labels.len())?;
        largest.f_copy_data(cosines, cosines.len())?;
    }
    Ok(())
}

/// Gives each empty cluster the row that lies farthest from its own centre, of a cluster that has others; none where all rows are centres.
fn fill_empty(labels: &mut [i64], cosines: &mut [f32], k: usize) -> Result<()> {
    let mut counts = filled(0usize, k, "clusters")?;
    labels.iter().for_each(|&label| counts[label as usize] += 1);
    if !counts.contains(&0) {
        return Ok(());
    }
    let mut farthest = gathered((0..labels.len()).filter(|&row| cosines[row] < SAME), "rows")?;
    farthest.sort_unstable_by(|&a, &b| cosines[a].total_cmp(&cosines[b]).then(a.cmp(&b)));
    let mut farthest = farthest.into_iter();
    for cluster in 0..k {
        if counts[cluster] > 0 {
            continue;
        }
        let Some(row) = farthest.find(|&row| counts[labels[row] as usize] > 1) else { return Ok(()) };
        counts[labels[row] as usize] -= 1;
        counts[cluster] = 1;
        (labels[row], cosines[row]) = (cluster as i64, 1.0);
    }
    Ok(())
}

/// Moves each centre (k·C) to the direction of its rows' mean; one without rows, or whose rows cancel, stays.
fn move_centres(numbers: &[f32], labels: &[i64], width: usize, centres: &mut [f32]) -> Result<()> {
    let mut sums = filled(0f64, centres.len(), "the centres of clusters")?;
    for (row, &label) in numbers.chunks_exact(width).zip(labels) {
        let sum = &mut sums[label as usize * width..][..width];
        sum.iter_mut().zip(row).for_each(|(sum, &number)| *sum += f64::from(number));
    }
    for (centre, sum) in centres.chunks_exact_mut(width).zip(sums.chunks_exact(width)) {
        let length = sum.iter().map(|number| number * number).sum::<f64>().sqrt();
        if length > 1e-9 {
            centre.iter_mut().zip(sum).for_each(|(centre, number)| *centre = (number / length) as f32);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;
    use crate::data::random::{Purpose, generator};
    use crate::distill::loss::tests::random;
    use crate::model::unit_rows;

    /// `each` rows around each of `k` directions, in turn: row i belongs to direction i mod k.
    fn bundles(k: i64, each: i64, noise: f64) -> Tensor {
        let directions = random(k, 1).repeat([each, 1]);
        unit_rows(&(directions + random(k * each, 2) * noise).to_kind(Kind::Float)).unwrap()
    }

    fn cluster(rows: &Tensor, k: usize, seed: u64) -> Clusters {
        spherical_k_means(&numbers(rows), 16, k, &mut generator(seed, 0, 0, Purpose::Method), &|| true)
            .unwrap()
            .unwrap()
    }

    fn numbers(rows: &Tensor) -> Vec<f32> {
        Vec::try_from(rows.contiguous().view([-1])).unwrap()
    }

    #[test]
    fn bundles_are_found_whatever_the_seed() {
        let rows = bundles(7, 40, 0.05);
        for seed in 0..10 {
            let found = cluster(&rows, 7, seed);
            assert_eq!(found, cluster(&rows, 7, seed), "the same draw twice");
            assert_eq!(found.used, 7);
            for i in 0..280 {
                for j in 0..i {
                    let together = found.labels[i] == found.labels[j];
                    assert_eq!(together, i % 7 == j % 7, "seed {seed}, rows {i} and {j}");
                }
            }
        }
    }

    #[test]
    fn labels_are_a_fixed_point_of_the_definition_in_float64() {
        let rows = unit_rows(&random(300, 3).to_kind(Kind::Float)).unwrap();
        let found = cluster(&rows, 9, 4);
        let exact = rows.to_kind(Kind::Double);
        let labels = Tensor::from_slice(&found.labels);
        let sums = Tensor::zeros([9, 16], (Kind::Double, tch::Device::Cpu)).index_add(0, &labels, &exact);
        let cosines = exact.matmul(&unit_rows(&sums).unwrap().tr());
        let own = cosines.gather(1, &labels.unsqueeze(1), false).squeeze_dim(1);
        // Each row is at its nearest centre, which is the mean of its rows.
        let lost = (cosines.amax([1i64].as_slice(), false) - &own).max().double_value(&[]);
        assert!(lost < 1e-6, "{lost}");
        assert!((own.mean(None).double_value(&[]) - found.cosine).abs() < 1e-5);
        // One cluster is the mean of all.
        let one = cluster(&rows, 1, 4);
        let mean = exact.mean_dim([0i64].as_slice(), false, None).norm().double_value(&[]);
        assert!((one.cosine - mean).abs() < 1e-5 && one.labels.iter().all(|&label| label == 0));
    }

    #[test]
    fn as_many_clusters_as_rows_and_equal_rows_are_no_special_case() {
        let rows = unit_rows(&random(20, 3).to_kind(Kind::Float)).unwrap();
        let found = cluster(&rows, 20, 0);
        assert!(found.used == 20 && found.cosine > 1.0 - 1e-5);
        let equal = rows.narrow(0, 0, 1).expand([20, 16], false).contiguous();
        let found = cluster(&equal, 6, 0);
        assert_eq!(found.used, 1, "equal images are one cluster");
        let two = Tensor::cat(&[&equal, &rows.narrow(0, 1, 1).expand([5, 16], false)], 0);
        assert_eq!(cluster(&two, 6, 0).used, 2);
    }

    #[test]
    fn an_empty_cluster_takes_the_farthest_row_of_one_that_has_others() {
        let (mut labels, mut cosines) = (vec![0, 0, 0, 2], vec![0.9, 0.1, 0.5, 0.0]);
        fill_empty(&mut labels, &mut cosines, 4).unwrap();
        assert_eq!(labels, [0, 1, 3, 2], "row 3 is alone in its cluster and stays");
        let (mut labels, mut cosines) = (vec![0, 0], vec![1.0, 1.0]);
        fill_empty(&mut labels, &mut cosines, 2).unwrap();
        assert_eq!(labels, [0, 0], "rows that are their centre do not move");
    }

    #[test]
    fn too_many_clusters_are_refused_and_a_stop_ends_it() {
        let rows = unit_rows(&random(5, 3).to_kind(Kind::Float)).unwrap();
        let mut draw = generator(0, 0, 0, Purpose::Method);
        for k in [0, 6] {
            assert!(spherical_k_means(&numbers(&rows), 16, k, &mut draw, &|| true).is_err());
        }
        assert!(spherical_k_means(&numbers(&rows), 16, 3, &mut draw, &|| false).unwrap().is_none());
    }
}
