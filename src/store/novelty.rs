//! Which of the stored frames says least that the others do not say.
//!
//! ```text
//! nearest(i) = max over j ≠ i of e_i·e_j         redundant = argmax over unlabelled i of nearest(i), the youngest of equals
//! ```
//!
//! When the store is full, a new frame comes in and the redundant one goes, which may be the new one. So the largest cosine
//! between two stored frames never grows: the store spreads over what the line shows, and a thousand equal good parts take
//! one place. One frame costs N·D products and a search of N for each frame that had the leaving one as its nearest.

use crate::error::{Error, Result};

/// Lanes of the dot product: float32 sums are not reordered by the compiler, so the order is written out.
const LANES: usize = 16;

/// The cosine of what counts as equal: two equal rows have 1 give or take the rounding of float32, and of equals the youngest
/// shall go, whichever way it rounds.
const EQUAL: f32 = 1.0 - 4e-7;

/// All stored embeddings, (N, D) unit rows.
#[derive(Default)]
pub(super) struct Novelty {
    dim: usize,
    members: Vec<Member>,
    rows: Vec<f32>,
}

#[derive(Clone, Copy)]
struct Member {
    id: i64,
    labelled: bool,
    /// Cosine to the nearest other, and its place; −∞ for the only one.
    cosine: f32,
    nearest: usize,
}

impl Novelty {
    /// How many there are.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Adds the unit row of frame `id`.
    ///
    /// # Errors
    /// `Mismatch` where it is not as wide as the others.
    pub fn insert(&mut self, id: i64, row: &[f32], labelled: bool) -> Result<()> {
        if self.members.is_empty() {
            self.dim = row.len();
        }
        if row.len() != self.dim {
            return Err(Error::mismatch(format!(
                "the embedding of frame {id} is {} wide, those of the store are {}: all must come from one network",
                row.len(),
                self.dim
            )));
        }
        let place = self.members.len();
        let mut new = Member { id, labelled, cosine: f32::NEG_INFINITY, nearest: place };
        for (i, (member, other)) in self.members.iter_mut().zip(self.rows.chunks_exact(self.dim)).enumerate() {
            let cosine = dot(row, other).min(EQUAL);
            if cosine > new.cosine {
                (new.cosine, new.nearest) = (cosine, i);
            }
            if cosine > member.cosine {
                (member.cosine, member.nearest) = (cosine, place);
            }
        }
        self.members.push(new);
        self.rows.extend_from_slice(row);
        Ok(())
    }

    /// The unlabelled frame that is the most like another; of equals the youngest. None where all are labelled.
    pub fn redundant(&self) -> Option<i64> {
        let unlabelled = self.members.iter().filter(|member| !member.labelled);
        unlabelled.max_by(|a, b| a.cosine.total_cmp(&b.cosine).then(a.id.cmp(&b.id))).map(|member| member.id)
    }

    /// Takes frame `id` out; nothing where it is not there.
    pub fn remove(&mut self, id: i64) {
        let Some(place) = self.members.iter().position(|member| member.id == id) else { return };
        let last = self.members.len() - 1;
        self.members.swap_remove(place);
        self.rows.copy_within(last * self.dim.., place * self.dim);
        self.rows.truncate(last * self.dim);
        for i in 0..self.members.len() {
            let nearest = self.members[i].nearest;
            if nearest == place {
                self.search(i);
            } else if nearest == last {
                self.members[i].nearest = place;
            }
        }
    }

    /// Says that frame `id` has, or has no longer, a label.
    pub fn set_labelled(&mut self, id: i64, labelled: bool) {
        if let Some(member) = self.members.iter_mut().find(|member| member.id == id) {
            member.labelled = labelled;
        }
    }

    fn search(&mut self, i: usize) {
        let row = &self.rows[i * self.dim..][..self.dim];
        let (mut cosine, mut nearest) = (f32::NEG_INFINITY, i);
        for (j, other) in self.rows.chunks_exact(self.dim).enumerate() {
            let found = dot(row, other).min(EQUAL);
            if j != i && found > cosine {
                (cosine, nearest) = (found, j);
            }
        }
        (self.members[i].cosine, self.members[i].nearest) = (cosine, nearest);
    }
}

/// Σ aᵢ·bᵢ. It is symmetric to the bit, so two frames agree on their cosine.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; LANES];
    let (whole, rest) = (a.chunks_exact(LANES), a.chunks_exact(LANES).remainder());
    for (x, y) in whole.zip(b.chunks_exact(LANES)) {
        for lane in 0..LANES {
            sums[lane] += x[lane] * y[lane];
        }
    }
    let tail: f32 = rest.iter().zip(b.chunks_exact(LANES).remainder()).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f32>() + tail
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::random::{Purpose, generator, unit};
    use crate::store::record::make_unit;

    fn row(number: u64, dim: usize) -> Vec<f32> {
        let mut rng = generator(3, 0, number, Purpose::Split);
        let mut row: Vec<f32> = (0..dim).map(|_| unit(&mut rng) as f32 - 0.3).collect();
        make_unit(&mut row).unwrap();
        row
    }

    /// The same by its definition, in float64 and without memory of what was found before.
    fn naive(kept: &[(i64, Vec<f32>, bool)]) -> Option<i64> {
        let cosine = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum::<f64>();
        let mut best: Option<(f64, i64)> = None;
        for (id, row, labelled) in kept {
            let others = kept.iter().filter(|other| other.0 != *id);
            let nearest = others.map(|other| cosine(row, &other.1)).fold(f64::NEG_INFINITY, f64::max);
            if !labelled && best.is_none_or(|(most, of)| nearest > most + 1e-6 || (nearest > most - 1e-6 && *id > of)) {
                best = Some((nearest, *id));
            }
        }
        best.map(|(_, id)| id)
    }

    #[test]
    fn the_redundant_one_is_the_definitions() {
        let (mut novelty, mut kept) = (Novelty::default(), Vec::new());
        for number in 0..300i64 {
            let (row, labelled) = (row(number as u64 / 2 * 2 + u64::from(number % 5 == 0), 19), number % 7 == 0);
            novelty.insert(number, &row, labelled).unwrap();
            kept.push((number, row, labelled));
            if number % 11 == 0 {
                novelty.set_labelled(number - 3, true);
                if let Some(one) = kept.iter_mut().find(|one| one.0 == number - 3) {
                    one.2 = true;
                }
            }
            if kept.len() > 60 {
                let goes = novelty.redundant().unwrap();
                assert_eq!(Some(goes), naive(&kept), "after {number}");
                novelty.remove(goes);
                kept.retain(|one| one.0 != goes);
            }
        }
        assert_eq!(novelty.len(), kept.len());
    }

    #[test]
    fn the_youngest_of_equals_goes_and_the_labelled_stay() {
        let mut novelty = Novelty::default();
        assert_eq!(novelty.redundant(), None);
        novelty.insert(1, &[1.0, 0.0], false).unwrap();
        assert_eq!(novelty.redundant(), Some(1));
        novelty.insert(2, &[1.0, 0.0], true).unwrap();
        novelty.insert(3, &[0.0, 1.0], false).unwrap();
        novelty.insert(4, &[1.0, 0.0], false).unwrap();
        assert_eq!(novelty.redundant(), Some(4));
        novelty.remove(4);
        assert_eq!(novelty.redundant(), Some(1));
        novelty.set_labelled(1, true);
        assert_eq!(novelty.redundant(), Some(3));
        assert!(novelty.insert(5, &[1.0], false).is_err());
    }
}
