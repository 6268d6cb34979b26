//! From a storage's bytes and a strided view of it to contiguous rows.

use super::{HostTensor, HostType};

/// A tensor may repeat elements of its storage (stride 0), but not blow a small file up: at most this many times the
/// storage, plus a mebibyte.
const MAXIMUM_EXPANSION: usize = 64;
const FREE_EXPANSION: usize = 1 << 20;

/// Most dimensions that a tensor of a network has.
const MAXIMUM_DIMENSIONS: usize = 16;

/// A view of a storage, as a checkpoint describes it; nothing of it is trusted yet.
#[derive(Debug, Clone)]
pub(super) struct StridedView {
    pub dtype: HostType,
    pub key: String,
    pub offset: i64,
    pub shape: Vec<i64>,
    pub strides: Vec<i64>,
}

impl StridedView {
    /// The elements in row-major order, out of `storage`. The error says what does not fit.
    pub fn gather(&self, storage: &[u8]) -> Result<HostTensor, String> {
        let size = self.dtype.size();
        if self.shape.len() != self.strides.len() || self.shape.len() > MAXIMUM_DIMENSIONS {
            return Err(format!("{} sides with {} strides", self.shape.len(), self.strides.len()));
        }
        let unsigned = |numbers: &[i64]| numbers.iter().map(|&n| usize::try_from(n)).collect::<Result<Vec<_>, _>>();
        let (Ok(shape), Ok(strides), Ok(offset)) =
            (unsigned(&self.shape), unsigned(&self.strides), usize::try_from(self.offset))
        else {
            return Err(format!("negative shape {:?}, strides {:?} or offset {}", self.shape, self.strides, self.offset));
        };
        let available = storage.len() / size;
        let count = shape.iter().try_fold(1usize, |count, &side| count.checked_mul(side));
        let bytes = count.and_then(|count| count.checked_mul(size));
        let limit = storage.len().saturating_mul(MAXIMUM_EXPANSION).saturating_add(FREE_EXPANSION);
        let Some((count, bytes)) = count.zip(bytes).filter(|&(_, bytes)| bytes <= limit) else {
            return Err(format!("shape {shape:?} is too large for a storage of {available} elements"));
        };
        if count == 0 {
            return Ok(HostTensor { dtype: self.dtype, shape, bytes: Vec::new() });
        }
        // The farthest element that the view reaches; sides are at least 1 here.
        let last = shape.iter().zip(&strides).try_fold(offset, |place, (&side, &stride)| {
            (side - 1).checked_mul(stride).and_then(|step| place.checked_add(step))
        });
        if last.is_none_or(|last| last >= available) {
            return Err(format!(
                "shape {shape:?} with strides {strides:?} from {offset} reaches outside its storage of {available} elements"
            ));
        }
        let mut output = Vec::with_capacity(bytes);
        let mut index = vec![0usize; shape.len()];
        // Rows of the last side are copied whole where they are contiguous.
        let (row, row_stride) = match (shape.last(), strides.last()) {
            (Some(&side), Some(&stride)) => (side, stride),
            _ => (1, 1),
        };
        loop {
            let place = index.iter().zip(&strides).fold(offset, |place, (&i, &stride)| place + i * stride);
            if row_stride == 1 {
                output.extend_from_slice(&storage[place * size..(place + row) * size]);
            } else {
                for i in 0..row {
                    let start = (place + i * row_stride) * size;
                    output.extend_from_slice(&storage[start..start + size]);
                }
            }
            if !advance(&mut index, &shape) {
                break;
            }
        }
        Ok(HostTensor { dtype: self.dtype, shape, bytes: output })
    }
}

/// The next row's index, all sides but the last; false after the last row.
fn advance(index: &mut [usize], shape: &[usize]) -> bool {
    for side in (0..shape.len().saturating_sub(1)).rev() {
        index[side] += 1;
        if index[side] < shape[side] {
            return true;
        }
        index[side] = 0;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(offset: i64, shape: &[i64], strides: &[i64]) -> StridedView {
        StridedView { dtype: HostType::U8, key: "0".to_owned(), offset, shape: shape.to_vec(), strides: strides.to_vec() }
    }

    #[test]
    fn strides_are_followed() {
        let storage: Vec<u8> = (0..12).collect();
        assert_eq!(view(0, &[3, 4], &[4, 1]).gather(&storage).unwrap().bytes, storage);
        assert_eq!(view(0, &[4, 3], &[1, 4]).gather(&storage).unwrap().bytes, [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]);
        assert_eq!(view(5, &[], &[]).gather(&storage).unwrap().bytes, [5]);
        assert_eq!(view(2, &[2, 3], &[0, 2]).gather(&storage).unwrap().bytes, [2, 4, 6, 2, 4, 6]);
        assert_eq!(view(0, &[0, 3], &[3, 1]).gather(&storage).unwrap().bytes, [] as [u8; 0]);
    }

    #[test]
    fn what_reaches_outside_is_refused() {
        let storage = [0u8; 12];
        for bad in [
            view(1, &[3, 4], &[4, 1]),
            view(-1, &[1], &[1]),
            view(0, &[-1], &[1]),
            view(0, &[2], &[-1]),
            view(0, &[2], &[i64::MAX]),
            view(i64::MAX, &[2], &[i64::MAX]),
            view(0, &[i64::MAX, i64::MAX], &[0, 0]),
            view(0, &[1 << 40], &[0]),
            view(0, &[2, 2], &[1]),
            view(12, &[1], &[1]),
        ] {
            assert!(bad.gather(&storage).is_err(), "{bad:?}");
        }
    }
}
