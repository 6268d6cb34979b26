//! Whether today's frames are still those that a student was made for, without labels and without its teacher.
//!
//! ```text
//! E(X, R) = 2·mean |x−r| − mean_{i≠j} |x_i−x_j| − mean_{i≠j} |r_i−r_j|          (energy distance; expected 0 for equal sources)
//! p = (1 + #{b : E(S_b, R∖S_b) ≥ E(X, R)}) / (B + 1)       S_b: m of the reference's n rows, drawn without replacement
//! ```
//!
//! X (m, C) are the student's unit embeddings of a batch, R (n, C) those of a reference sample from good days, and |·| the length after
//! whitening: |v|² = vᵀ (Σ + ε·λ̄·1)⁻¹ v with Σ the covariance of R, λ̄ the mean of its eigenvalues and ε = max(.1, C/n). Without it the two or three
//! directions in which good frames differ the most, brightness for one, drown all others. ε keeps the directions that n rows cannot tell
//! from chance from being blown up; without it new rows of the same source look farther away than R's own.
//!
//! Energy distance (Székely and Rizzo 2013, "Energy statistics") is 0 only for equal distributions and has no bandwidth to choose,
//! unlike MMD. The threshold comes from the reference itself: what batches of m of its own rows reach in one of a hundred cases.
//! Frames that follow one another are more alike than the reference's; take batches over some time, or expect more false alarms.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Mutex, PoisonError};

use tch::{Kind, Tensor};

use super::Embeddings;
use super::bootstrap::quantile;
use super::drift_input::DriftInput;
use crate::data::Input;
use crate::data::random::{Purpose, below, generator};
use crate::error::{Error, Result};
use crate::sys::memory::{collected, filled, room};

/// B.
const DRAWS: u64 = 999;

/// Rows of a reference that are used: all distances between them are kept, 64 MiB.
pub const MAX_REFERENCE: usize = 4096;

/// The share of the reference's own batches that are above the threshold.
const FALSE_ALARMS: f64 = 0.01;

/// A sample of the student's embeddings from good days.
pub struct DriftReference {
    dim: usize,
    /// (n, C), length 1.
    rows: Vec<f32>,
    /// (C, C): row vectors times this are white.
    whitening: Vec<f64>,
    /// (n, C), white.
    white: Vec<f64>,
    /// (n, n), between white rows.
    distances: Vec<f32>,
    /// Sums of the rows of `distances`.
    sums: Vec<f64>,
    /// 1 − cosine of each row to its nearest other, ascending.
    nearest: Vec<f64>,
    /// How the frames became the network's input, where that is known.
    pub(super) input: Mutex<Option<DriftInput>>,
    /// By batch size: E of the reference's own batches, ascending.
    null: Mutex<BTreeMap<usize, Vec<f64>>>,
}

/// What a batch says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DriftSignal {
    /// E(X, R).
    pub energy: f64,
    /// What one of a hundred batches of the reference's own rows exceeds.
    pub threshold: f64,
    /// p, from 1/1000 on.
    pub p_value: f64,
    /// Mean of 1 − cosine to the nearest reference row.
    pub nearest: f64,
    /// The same of the reference's own rows.
    pub nearest_reference: f64,
    /// Share of the batch's frames that are farther from the reference than 99 % of its own rows.
    pub outside: f64,
    /// Whether the energy is above the threshold.
    pub raised: bool,
}

impl DriftReference {
    /// Of a student's embeddings; of more than [`MAX_REFERENCE`] rows, as many at even distances are used.
    ///
    /// # Errors
    /// `InvalidArgument` for fewer than 20 rows; `Torch` or `OutOfMemory` from libtorch.
    pub fn new(embeddings: &Embeddings<'_>) -> Result<Self> {
        let (found, dim) = (embeddings.len(), embeddings.dim());
        if found < 20 {
            return Err(Error::invalid(format!(
                "the reference has {found} rows, expected at least 20, better some hundreds"
            )));
        }
        let n = found.min(MAX_REFERENCE);
        let unit = embeddings.unit_rows()?;
        let mut rows = room(n * dim, "a drift reference")?;
        (0..n).for_each(|i| rows.extend_from_slice(&unit[i * found / n * dim..][..dim]));
        let table = matrix(&rows, dim)?;
        let cosines = numbers(&table.f_matmul(&table.f_transpose(0, 1)?)?)?;
        let mut nearest = room(n, "the reference's distances")?;
        nearest.extend(cosines.chunks_exact(n).enumerate().map(|(i, row)| {
            let others = row.iter().enumerate().filter(|&(j, _)| j != i);
            1.0 - others.map(|(_, &cosine)| cosine).fold(-1.0, f64::max)
        }));
        drop(cosines);
        nearest.sort_unstable_by(f64::total_cmp);
        let whitening = whitening(&table)?;
        let white = table.f_matmul(&whitening)?;
        let distances = lengths(&white, &white)?;
        let mut distances = collected(distances.iter().map(|&distance| distance as f32), "the reference's distances")?;
        // A row is at no distance from itself but for rounding, which the root makes visible.
        (0..n).for_each(|i| distances[i * n + i] = 0.0);
        let (whitening, white) = (numbers(&whitening)?, numbers(&white)?);
        let mut sums = room(n, "the reference's distances")?;
        sums.extend(distances.chunks_exact(n).map(|row| row.iter().map(|&d| f64::from(d)).sum::<f64>()));
        let (input, null) = (Mutex::new(None), Mutex::new(BTreeMap::new()));
        Ok(Self { dim, rows, whitening, white, distances, sums, nearest, input, null })
    }

    /// Notes that the embeddings are of frames seen by `input`, which the file keeps. A reference that knows it already is
    /// compared instead.
    ///
    /// # Errors
    /// `Mismatch` where its frames were seen in another way: then every batch would be far from it.
    pub fn belong_to(&self, input: &Input) -> Result<()> {
        let new = DriftInput::of(input);
        let mut input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        match *input {
            Some(own) if own != new => Err(Error::mismatch(format!(
                "the reference is of frames seen as {own}, the session sees {new}: make a reference of its embeddings"
            ))),
            _ => {
                *input = Some(new);
                Ok(())
            }
        }
    }

    /// How the frames became the network's input, where that is known.
    pub fn input(&self) -> Option<DriftInput> {
        *self.input.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// n.
    pub fn len(&self) -> usize {
        self.sums.len()
    }

    /// Always false; there to go with [`len`](Self::len).
    pub fn is_empty(&self) -> bool {
        self.sums.is_empty()
    }

    /// C.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// (n, C), length 1: what [`new`](Self::new) makes the same reference of.
    pub fn rows(&self) -> &[f32] {
        &self.rows
    }

    /// What a batch of the student's embeddings says. The first batch of a size takes the longest: the threshold of this size is
    /// found then.
    ///
    /// # Errors
    /// `Mismatch` for another width; `InvalidArgument` for fewer than 2 rows or more than half of the reference's; `Torch` or
    /// `OutOfMemory` from libtorch.
    pub fn signal(&self, batch: &Embeddings<'_>) -> Result<DriftSignal> {
        let (m, n) = (batch.len(), self.len());
        if batch.dim() != self.dim {
            return Err(Error::mismatch(format!(
                "the batch's embeddings are {} wide, the reference's {}: both must come from one student",
                batch.dim(),
                self.dim
            )));
        }
        if m < 2 || m > n / 2 {
            return Err(Error::invalid(format!(
                "the batch has {m} rows, expected 2 to {}, half of the reference's",
                n / 2
            )));
        }
        let table = matrix(&batch.unit_rows()?, self.dim)?;
        let to_reference = numbers(&table.f_matmul(&matrix(&self.rows, self.dim)?.f_transpose(0, 1)?)?)?;
        let back = |rows: &[f64]| Tensor::f_from_slice(rows)?.f_view([-1, self.dim as i64]);
        let white = table.f_matmul(&back(&self.whitening)?)?;
        let cross: f64 = lengths(&white, &back(&self.white)?)?.iter().sum();
        let within = lengths(&white, &white)?;
        let own: f64 = within.iter().enumerate().filter(|(place, _)| place / m != place % m).map(|(_, d)| d).sum();
        let energy = statistic(cross, own, self.sums.iter().sum(), m, n);
        let mut nearest: Vec<f64> = room(m, "the batch's distances")?;
        nearest.extend(to_reference.chunks_exact(n).map(|row| 1.0 - row.iter().copied().fold(-1.0, f64::max)));
        let far = quantile(&self.nearest, 0.99);
        let mut null = self.null.lock().unwrap_or_else(PoisonError::into_inner);
        let null = match null.entry(m) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(self.own_batches(m)?),
        };
        let above = null.len() - null.partition_point(|&own| own < energy);
        let threshold = quantile(null, 1.0 - FALSE_ALARMS);
        Ok(DriftSignal {
            energy,
            threshold,
            p_value: (1 + above) as f64 / (1 + null.len()) as f64,
            nearest: nearest.iter().sum::<f64>() / m as f64,
            nearest_reference: self.nearest.iter().sum::<f64>() / n as f64,
            outside: nearest.iter().filter(|&&distance| distance > far).count() as f64 / m as f64,
            raised: energy > threshold,
        })
    }

    /// E(S, R∖S) of [`DRAWS`] batches S of m of the reference's rows, ascending.
    fn own_batches(&self, m: usize) -> Result<Vec<f64>> {
        let n = self.len();
        let total: f64 = self.sums.iter().sum();
        let mut order = collected(0..n, "the order of the reference's rows")?;
        let mut found: Vec<f64> = room(DRAWS as usize, "the reference's own batches")?;
        found.extend((0..DRAWS).map(|number| {
            // The first m of a shuffle; which order it starts from does not matter to the draw's chances, but it must be
            // the same each time, so that equal references give equal thresholds.
            let mut rng = generator(0, m as u64, number, Purpose::Resample);
            for i in 0..m {
                order.swap(i, i + below(&mut rng, (n - i) as u64) as usize);
            }
            let chosen = &order[..m];
            let to_all: f64 = chosen.iter().map(|&i| self.sums[i]).sum();
            let row = |i: usize| &self.distances[i * n..][..n];
            let within: f64 = chosen.iter().map(|&i| chosen.iter().map(|&j| f64::from(row(i)[j])).sum::<f64>()).sum();
            let cross = to_all - within;
            statistic(cross, within, total - 2.0 * cross - within, m, n - m)
        }));
        found.sort_unstable_by(f64::total_cmp);
        Ok(found)
    }
}

impl std::fmt::Debug for DriftReference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DriftReference({}×{})", self.len(), self.dim)
    }
}

/// E out of the three sums of lengths, between m and n rows, among the m, and among the n.
fn statistic(cross: f64, first: f64, second: f64, m: usize, n: usize) -> f64 {
    let (m, n) = (m as f64, n as f64);
    2.0 * cross / (m * n) - first / (m * (m - 1.0)) - second / (n * (n - 1.0))
}

/// (C, C): V · diag(1/√(λ + ε·λ̄)) of the covariance V·diag(λ)·Vᵀ of the rows (n, C).
fn whitening(rows: &Tensor) -> Result<Tensor> {
    let _guard = tch::no_grad_guard();
    let (n, dim) = (rows.size()[0] as f64, rows.size()[1] as f64);
    let (values, vectors) = rows
        .f_transpose(0, 1)?
        .f_cov(1, None::<Tensor>, None::<Tensor>)?
        .f_view([dim as i64, dim as i64])?
        .f_linalg_eigh("L")?;
    let values = values.f_clamp_min(0.0)?;
    let mean = values.f_mean(Kind::Double)?.f_double_value(&[])?;
    // Rows that are all equal have no covariance.
    let floor = ((dim / n).max(0.1) * mean).max(1e-12);
    Ok(vectors.f_mul(&values.f_add_scalar(floor)?.f_rsqrt()?)?)
}

/// |a_i − b_j| of all rows, row after row.
fn lengths(a: &Tensor, b: &Tensor) -> Result<Vec<f64>> {
    let _guard = tch::no_grad_guard();
    let squares = |rows: &Tensor| rows.f_square()?.f_sum_dim_intlist([1i64].as_slice(), true, Kind::Double);
    let products = a.f_matmul(&b.f_transpose(0, 1)?)?;
    let squares = squares(a)?.f_add(&squares(b)?.f_transpose(0, 1)?)?.f_sub(&products.f_mul_scalar(2.0)?)?;
    numbers(&squares.f_clamp_min(0.0)?.f_sqrt()?)
}

/// (N, C) in float64.
fn matrix(rows: &[f32], dim: usize) -> Result<Tensor> {
    Ok(Tensor::f_from_slice(rows)?.f_view([-1, dim as i64])?.f_to_kind(Kind::Double)?)
}

/// All numbers, row after row.
fn numbers(tensor: &Tensor) -> Result<Vec<f64>> {
    let mut values = filled(0.0, tensor.numel(), "distances")?;
    let count = values.len();
    tensor.f_to_kind(Kind::Double)?.f_contiguous()?.f_copy_data(&mut values, count)?;
    Ok(values)
}
