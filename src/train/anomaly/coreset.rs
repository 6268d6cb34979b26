//! Greedy k-centre: few patches that lie near all others (Roth et al., CVPR 2022, algorithm 1; Sener & Savarese, 2018).
//!
//! Again and again the patch that is farthest from all chosen ones is chosen. The largest distance that is left is at most
//! twice that of the best possible choice. Distances are taken after a random projection to 128 numbers, which keeps them
//! to some per cent (Johnson & Lindenstrauss).

use rand_distr::{Distribution, StandardNormal};
use tch::{Device, Kind, Tensor};

use crate::data::random::{Purpose, generator};
use crate::error::{Error, ErrorKind, Result};
use crate::infer::anomaly::nearest;
use crate::sys::memory::collected;

/// Numbers that patches are projected to.
const PROJECTED: i64 = 128;

/// Patches between two questions whether to stop.
const BREATH: usize = 32;

/// When enough is chosen.
pub(super) struct Enough {
    /// Most patches.
    pub count: usize,
    /// Distance at which a patch counts as covered; 0: only its like does.
    pub radius: f64,
}

/// The numbers of the chosen rows of `rows` (N, D), in the order of their choice. With `known` (M, D) chosen before, only
/// what those leave uncovered is chosen. Distances are those of the rows themselves where `known` is given, of their
/// projection where not.
///
/// # Errors
/// `Cancelled` where `stop` says so; `OutOfMemory` or `Torch` from libtorch.
pub(super) fn k_centres(
    rows: &Tensor,
    known: Option<&Tensor>,
    enough: &Enough,
    seed: u64,
    stop: &mut dyn FnMut() -> bool,
) -> Result<Vec<i64>> {
    let _no_grad = tch::no_grad_guard();
    let rows = match known {
        None => project(rows, seed)?,
        Some(_) => rows.shallow_clone(),
    };
    let squares = rows.f_mul(&rows)?.f_sum_dim_intlist([1i64].as_slice(), false, Kind::Float)?; // (N)
    let mut chosen = Vec::new();
    // The squared distance of each row to what is chosen.
    let mut nearest = match known {
        Some(known) => {
            let (distances, _) = nearest::nearest(&rows, known)?;
            distances.f_mul(&distances)?
        }
        None => {
            // The row farthest from the mean opens; a random one would, too, but not the same for the same images in any order.
            let mean = rows.f_mean_dim([0i64].as_slice(), false, Kind::Float)?;
            let away = rows.f_sub(&mean)?;
            away.f_mul(&away)?.f_sum_dim_intlist([1i64].as_slice(), false, Kind::Float)?
        }
    };
    let mut first = known.is_none();
    while chosen.len() < enough.count {
        let (farthest, place) = nearest.f_max_dim(0, false)?;
        let (farthest, place) = (farthest.f_double_value(&[])?, place.f_int64_value(&[])?);
        if !first && farthest <= (enough.radius * enough.radius).max(1e-12) {
            break;
        }
        if chosen.len() % BREATH == 0 && stop() {
            return Err(Error::new(ErrorKind::Cancelled, "choosing the memory was stopped"));
        }
        let centre = rows.f_select(0, place)?; // (D)
        // ‖x − c‖² = ‖x‖² + ‖c‖² − 2·x·c
        let square = squares.f_select(0, place)?;
        let distances = squares.f_add(&square)?.f_sub(&rows.f_mv(&centre)?.f_mul_scalar(2.0)?)?.f_clamp_min(0.0)?;
        nearest = if first { distances } else { nearest.f_minimum(&distances)? };
        // Rounding leaves a little where there is nothing.
        let _same = nearest.f_select(0, place)?.f_zero_()?;
        first = false;
        chosen.push(place);
    }
    Ok(chosen)
}

/// x·G/√128 with G of independent N(0, 1), drawn from `seed`; (N, D) → (N, 128), narrower rows as they are.
fn project(rows: &Tensor, seed: u64) -> Result<Tensor> {
    let dim = rows.size()[1];
    if dim <= PROJECTED {
        return Ok(rows.shallow_clone());
    }
    let mut random = generator(seed, 0, 1, Purpose::Split);
    let scale = 1.0 / (PROJECTED as f32).sqrt();
    let normal = |_| {
        let value: f32 = StandardNormal.sample(&mut random);
        value * scale
    };
    let numbers = collected((0..(dim * PROJECTED) as usize).map(normal), "a random projection")?;
    let matrix = Tensor::f_from_slice(&numbers)?.f_view([dim, PROJECTED])?;
    debug_assert_eq!(rows.device(), Device::Cpu);
    Ok(rows.f_matmul(&matrix)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(rows: &Tensor, chosen: &[i64]) -> f64 {
        let centres = rows.index_select(0, &Tensor::from_slice(chosen));
        super::nearest::nearest(rows, &centres).unwrap().0.max().double_value(&[])
    }

    #[test]
    fn the_farthest_is_chosen_until_all_is_covered() {
        let rows = Tensor::from_slice(&[0.0f32, 0.1, 0.2, 5.0, 5.1, 9.0, 9.0]).view([7, 1]);
        let all = Enough { count: 7, radius: 0.0 };
        let chosen = k_centres(&rows, None, &all, 0, &mut || false).unwrap();
        assert_eq!(chosen.len(), 6, "the second 9.0 is there already: {chosen:?}");
        let three = k_centres(&rows, None, &Enough { count: 3, radius: 0.0 }, 0, &mut || false).unwrap();
        assert!(spread(&rows, &three) < 0.25, "{three:?}");
        let coarse = k_centres(&rows, None, &Enough { count: 7, radius: 0.5 }, 0, &mut || false).unwrap();
        assert_eq!(coarse.len(), 3);
        let stopped = k_centres(&rows, None, &all, 0, &mut || true).unwrap_err();
        assert_eq!(stopped.kind(), ErrorKind::Cancelled);
    }

    #[test]
    fn what_is_covered_adds_nothing() {
        let known = Tensor::from_slice(&[0.0f32, 5.0]).view([2, 1]);
        let rows = Tensor::from_slice(&[0.1f32, 4.9, 7.0, 7.1]).view([4, 1]);
        let added = k_centres(&rows, Some(&known), &Enough { count: 9, radius: 0.5 }, 0, &mut || false).unwrap();
        assert_eq!(added.len(), 1);
        assert!(added[0] >= 2);
    }

    #[test]
    fn a_projection_keeps_the_choice_good() {
        // Two hundred points around twenty places in 512 dimensions.
        let places: Vec<f32> = (0..20 * 512).map(|i| ((i * 2_654_435_761u64 as usize) % 1000) as f32 / 100.0).collect();
        let places = Tensor::from_slice(&places).view([20, 512]);
        let rows = Tensor::cat(&(0..10).map(|i| &places + f64::from(i) * 1e-3).collect::<Vec<_>>(), 0);
        let chosen = k_centres(&rows, None, &Enough { count: 20, radius: 0.0 }, 3, &mut || false).unwrap();
        assert!(spread(&rows, &chosen) < 0.5, "each place has a centre");
    }
}
