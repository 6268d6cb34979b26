//! How much of the teacher's neighbourhood the student has kept.
//!
//! ```text
//! agreement = mean over images i of |T(i) ∩ S(i)| / k        T(i), S(i): the k nearest of i for teacher and student
//! ```
//!
//! It needs no labels and compares spaces of different widths. A student that neighbours at random scores k / (N − 1).

use super::{Embeddings, Neighbours};
use crate::error::{Error, Result};

/// The share of the teacher's neighbours that the student has too, in [0, 1].
///
/// ```
/// use seed::eval::{Embeddings, agreement, nearest};
/// let rows = [1.0, 0.0, 0.9, 0.1, 0.0, 1.0];
/// let neighbours = nearest(&Embeddings::new(&rows, 2)?, 1)?;
/// assert_eq!(agreement(&neighbours, &neighbours)?, 1.0);
/// # Ok::<(), seed::Error>(())
/// ```
///
/// # Errors
/// `InvalidArgument` where both have not the same number of images and neighbours.
pub fn agreement(teacher: &Neighbours, student: &Neighbours) -> Result<f64> {
    if teacher.len() != student.len() || teacher.k() != student.k() {
        return Err(Error::invalid(format!(
            "the teacher has {} neighbours of {} images, the student {} of {}: both must be of the same images",
            teacher.k(),
            teacher.len(),
            student.k(),
            student.len()
        )));
    }
    let shared: usize = teacher
        .rows()
        .zip(student.rows())
        .map(|((of_teacher, _), (of_student, _))| of_teacher.iter().filter(|index| of_student.contains(index)).count())
        .sum();
    Ok(shared as f64 / teacher.indices().len() as f64)
}

/// The mean cosine between the two embeddings of each image, in [−1, 1]: only for spaces that were trained to be the same.
///
/// # Errors
/// `InvalidArgument` where rows or widths differ.
pub fn mean_cosine(teacher: &Embeddings<'_>, student: &Embeddings<'_>) -> Result<f64> {
    if teacher.len() != student.len() || teacher.dim() != student.dim() {
        return Err(Error::invalid(format!(
            "teacher embeddings are {}×{}, student embeddings {}×{}: a cosine needs equal shapes",
            teacher.len(),
            teacher.dim(),
            student.len(),
            student.dim()
        )));
    }
    let cosines: f64 = teacher.rows().zip(student.rows()).map(|(t, s)| cosine(t, s)).sum();
    Ok(cosines / teacher.len() as f64)
}

pub(crate) fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum::<f64>();
    dot(a, b) / (dot(a, a).sqrt() * dot(b, b).sqrt()).max(1e-24)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::nearest;

    #[test]
    fn agreement_counts_shared_neighbours_in_any_order() {
        let teacher = [1.0, 0.0, 0.9, 0.1, 0.5, 0.5, 0.0, 1.0];
        // Rows 2 and 3 change places: the neighbours of 0 and 1 differ by one, those of 2 and 3 too.
        let student = [1.0, 0.0, 0.9, 0.1, 0.0, 1.0, 0.5, 0.5];
        let of = |rows: &[f32], k| nearest(&Embeddings::new(rows, 2).unwrap(), k).unwrap();
        let (t, s) = (of(&teacher, 2), of(&student, 2));
        let naive = (0..4)
            .map(|i| (0..2).filter(|&j| s.indices()[2 * i..2 * i + 2].contains(&t.indices()[2 * i + j])).count())
            .sum::<usize>() as f64
            / 8.0;
        assert_eq!(agreement(&t, &s).unwrap(), naive);
        assert_eq!(agreement(&of(&teacher, 3), &of(&student, 3)).unwrap(), 1.0);
        assert!(agreement(&t, &of(&student, 3)).is_err());
    }

    #[test]
    fn cosine_ignores_length() {
        let (a, b) = ([1.0, 0.0, 0.0, 2.0], [3.0, 0.0, 4.0, 0.0]);
        let left = Embeddings::new(&a, 2).unwrap();
        assert_eq!(mean_cosine(&left, &Embeddings::new(&b, 2).unwrap()).unwrap(), 0.5);
        assert!(mean_cosine(&left, &Embeddings::new(&b, 4).unwrap()).is_err());
    }
}
