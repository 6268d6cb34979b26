//! Targets without what all images have in common: the teacher's unit rows t, less their mean over the data set, brought back to length 1.
//!
//! ```text
//! t' = W·(t − μ)/‖·‖         μ mean of the t of a data set's whole frames
//! W = I                      "centre"
//! W = U·(Λ + ε·λ̄)^−½·Uᵀ      "whiten": U·Λ·Uᵀ is their covariance, λ̄ the mean of its eigenvalues, ε .1
//! ```
//!
//! Frames of one station are alike, so a teacher's embeddings of them lie close together: most of ‖s − t‖² is then learned by a student that
//! gives μ for every image. PHI-S (Ranzinger et al., "PHI-S: distribution balancing for label-free multi-teacher distillation", ICLR 2025)
//! rotates t − μ and divides it by one number; every loss of unit rows here stays the same under both, so between unit rows "centre" is PHI-S.

use tch::{Device, Kind, Tensor};

use crate::model::unit_rows;
use crate::model::weights::{HostTensor, StateDict};
use crate::torch::{ExactFloat32, copy_to};
use crate::{Error, Result};

/// ε: how much of the mean variance every direction has at least. Few frames say little of directions in which they hardly differ.
const SHRINKAGE: f64 = 0.1;

/// Below this variance of a whole unit row, rows differ by rounding (float16's, of a bank, is about 1e-7).
const LEAST_VARIANCE: f64 = 1e-6;

/// μ, and W where there is one; both float32 on the run's device.
#[derive(Debug)]
pub struct Standardisation {
    mean: Tensor,
    map: Option<Tensor>,
}

/// Sums over a teacher's rows, in float64 on the CPU.
#[derive(Debug)]
pub struct Moments {
    rows: i64,
    sum: Tensor,
    products: Option<Tensor>,
    squares: f64,
}

impl Moments {
    /// Of rows of `dim`; with their products, if they are to be whitened: 8·dim² bytes.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn new(dim: i64, whiten: bool) -> Result<Self> {
        let zeros = |size: &[i64]| Tensor::f_zeros(size, (Kind::Double, Device::Cpu));
        let products = if whiten { Some(zeros(&[dim, dim])?) } else { None };
        Ok(Self { rows: 0, sum: zeros(&[dim])?, products, squares: 0.0 })
    }

    /// Adds `rows` (n,dim).
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn add(&mut self, rows: &Tensor) -> Result<()> {
        let rows = copy_to(rows, Device::Cpu)?.f_to_kind(Kind::Double)?;
        self.sum = self.sum.f_add(&rows.f_sum_dim_intlist([0i64].as_slice(), false, None)?)?;
        if let Some(products) = &self.products {
            self.products = Some(products.f_addmm(&rows.f_tr()?, &rows)?);
        }
        self.squares += rows.f_mul(&rows)?.f_sum(None)?.f_double_value(&[])?;
        self.rows += rows.size()[0];
        Ok(())
    }

    /// What these rows make of a row, on `device`.
    ///
    /// # Errors
    /// `InvalidArgument` where all rows are the same, so that nothing is left of them; those of libtorch.
    pub fn finish(&self, device: Device) -> Result<Standardisation> {
        let rows = self.rows.max(1) as f64;
        let mean = self.sum.f_div_scalar(rows)?;
        let variance = self.squares / rows - mean.f_dot(&mean)?.f_double_value(&[])?;
        if self.rows < 2 || variance < LEAST_VARIANCE {
            return Err(Error::invalid(format!(
                "targets.standardise takes away the mean of what the teacher says, but it says the same of all images ({} images, variance {:.1e}), \
                 and nothing would be left: give other images, or set it to \"none\"",
                self.rows,
                variance.max(0.0)
            )));
        }
        let map = match &self.products {
            None => None,
            Some(products) => {
                let covariance = products.f_div_scalar(rows)?.f_sub(&mean.f_outer(&mean)?)?;
                let (values, vectors) = covariance.f_linalg_eigh("L")?;
                let least = SHRINKAGE * variance / mean.size()[0] as f64;
                let scales = values.f_clamp_min(0.0)?.f_add_scalar(least)?.f_rsqrt()?;
                Some(vectors.f_mul(&scales)?.f_matmul(&vectors.f_tr()?)?)
            }
        };
        let placed = |tensor: &Tensor| copy_to(&tensor.f_to_kind(Kind::Float)?, device);
        Ok(Standardisation { mean: placed(&mean)?, map: map.as_ref().map(placed).transpose()? })
    }
}

impl Standardisation {
    /// t' of `rows` (n,C), which are float32 on its device: unit rows. One that is the mean is all zeros.
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn of(&self, rows: &Tensor) -> Result<Tensor> {
        let centred = rows.f_sub(&self.mean)?;
        match &self.map {
            None => unit_rows(&centred),
            Some(map) => {
                let _exact = ExactFloat32::enter()?;
                unit_rows(&centred.f_matmul(map)?)
            }
        }
    }

    /// μ, and W where there is one: handles.
    pub fn tensors(&self) -> Vec<Tensor> {
        std::iter::once(&self.mean).chain(&self.map).map(Tensor::shallow_clone).collect()
    }

    /// What a checkpoint keeps.
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn to_state(&self) -> Result<StateDict> {
        let mut state = StateDict { tensors: Default::default(), metadata: Default::default() };
        state.tensors.insert("mean".to_owned(), HostTensor::from_tensor(&self.mean)?);
        if let Some(map) = &self.map {
            state.tensors.insert("map".to_owned(), HostTensor::from_tensor(map)?);
        }
        Ok(state)
    }

    /// The reverse of [`to_state`](Self::to_state), for rows of `dim` on `device`.
    ///
    /// # Errors
    /// `Mismatch` for other sizes, or a map where none is wanted; those of libtorch.
    pub fn from_state(state: &StateDict, dim: i64, whiten: bool, device: Device) -> Result<Self> {
        let found = |name: &str, size: &[i64]| {
            let tensor = state.tensors.get(name).map(HostTensor::to_tensor).transpose()?;
            match tensor.filter(|tensor| tensor.size() == size && tensor.kind() == Kind::Float) {
                Some(tensor) => Ok(copy_to(&tensor, device)?),
                None => Err(Error::mismatch(format!(
                    "the standardisation of the targets has no {name} of {size:?} float32 numbers"
                ))),
            }
        };
        let map = if whiten { Some(found("map", &[dim, dim])?) } else { None };
        Ok(Self { mean: found("mean", &[dim])?, map })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distill::loss::tests::random;

    /// Rows that lie close together, as those of one station do.
    fn alike(rows: i64) -> Tensor {
        unit_rows(&(random(rows, 1) * 0.2 + random(1, 2) * 3.0).to_kind(Kind::Float)).unwrap()
    }

    fn fitted(rows: &Tensor, whiten: bool) -> Standardisation {
        let mut moments = Moments::new(rows.size()[1], whiten).unwrap();
        let half = rows.size()[0] / 2;
        moments.add(&rows.narrow(0, 0, half)).unwrap();
        moments.add(&rows.narrow(0, half, rows.size()[0] - half)).unwrap();
        moments.finish(Device::Cpu).unwrap()
    }

    #[test]
    fn the_mean_is_taken_away_and_rows_are_unit_rows() {
        let rows = alike(64);
        let mean_cosine = |rows: &Tensor| rows.matmul(&rows.tr()).mean(Kind::Double).double_value(&[]);
        assert!(mean_cosine(&rows) > 0.9);
        let found = fitted(&rows, false).of(&rows).unwrap();
        let wanted = &rows - rows.mean_dim([0i64].as_slice(), true, Kind::Float);
        let wanted = &wanted / wanted.norm_scalaropt_dim(2, [1i64].as_slice(), true);
        assert!((&found - wanted).abs().max().double_value(&[]) < 1e-5);
        assert!(mean_cosine(&found).abs() < 0.05, "{}", mean_cosine(&found));
    }

    #[test]
    fn whitening_gives_all_directions_what_torch_cov_and_the_inverse_square_root_give() {
        let rows = alike(256);
        let dim = rows.size()[1];
        let found = fitted(&rows, true);
        let covariance = rows.to_kind(Kind::Double).tr().cov(0, None::<Tensor>, None::<Tensor>);
        let ridge = covariance.trace().double_value(&[]) / dim as f64 * SHRINKAGE;
        let covariance = covariance + Tensor::eye(dim, (Kind::Double, Device::Cpu)) * ridge;
        // W·Σ·W = I is what an inverse square root is.
        let map = found.map.as_ref().unwrap().to_kind(Kind::Double);
        let apart = map.matmul(&covariance).matmul(&map) - Tensor::eye(dim, (Kind::Double, Device::Cpu));
        assert!(apart.abs().max().double_value(&[]) < 1e-4, "{}", apart.abs().max().double_value(&[]));
        assert!((&map - map.tr()).abs().max().double_value(&[]) < 1e-3);
    }

    #[test]
    fn the_state_comes_back_and_another_is_refused() {
        let rows = alike(32);
        let (dim, centre, whiten) = (rows.size()[1], fitted(&rows, false), fitted(&rows, true));
        for (own, whitened) in [(&centre, false), (&whiten, true)] {
            let back = Standardisation::from_state(&own.to_state().unwrap(), dim, whitened, Device::Cpu).unwrap();
            assert_eq!(own.of(&rows).unwrap(), back.of(&rows).unwrap());
        }
        let state = centre.to_state().unwrap();
        assert!(Standardisation::from_state(&state, dim + 1, false, Device::Cpu).is_err());
        assert!(Standardisation::from_state(&state, dim, true, Device::Cpu).is_err());
    }

    #[test]
    fn equal_rows_leave_nothing() {
        let rows = alike(1).repeat([8, 1]);
        let mut moments = Moments::new(rows.size()[1], false).unwrap();
        moments.add(&rows).unwrap();
        let told = moments.finish(Device::Cpu).unwrap_err().to_string();
        assert!(told.contains("same of all images"), "{told}");
    }
}
