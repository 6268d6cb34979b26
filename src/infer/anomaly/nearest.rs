//! Euclidean neighbours in the memory, in blocks, so that patches × memory never lies in memory at once.

use tch::{Kind, Tensor};

use crate::error::Result;

/// Numbers of one block of distances: 32 MiB of float32.
const BLOCK: i64 = 8 << 20;

/// For each of `rows` (N, D) the distance to its nearest row of `memory` (M, D), and that row's number: both (N).
pub(crate) fn nearest(rows: &Tensor, memory: &Tensor) -> Result<(Tensor, Tensor)> {
    let _no_grad = tch::no_grad_guard();
    let (count, held) = (rows.size()[0], memory.size()[0]);
    let squares = memory.f_mul(memory)?.f_sum_dim_intlist([1i64].as_slice(), false, Kind::Float)?; // (M)
    let transposed = memory.f_tr()?;
    let length = (BLOCK / held.max(1)).clamp(1, count.max(1));
    let (mut distances, mut numbers) = (Vec::new(), Vec::new());
    for start in (0..count).step_by(length as usize) {
        let block = rows.f_narrow(0, start, length.min(count - start))?;
        // ‖a − b‖² = ‖a‖² + ‖b‖² − 2·a·b; ‖a‖² does not matter for which is the nearest.
        let (rest, number) = squares.f_sub(&block.f_matmul(&transposed)?.f_mul_scalar(2.0)?)?.f_min_dim(1, false)?;
        // Taken anew from the two rows, since the sum above loses digits where both are close.
        let away = block.f_sub(&memory.f_index_select(0, &number)?)?;
        distances.push(away.f_mul(&away)?.f_sum_dim_intlist([1i64].as_slice(), false, Kind::Float)?.f_sqrt()?);
        numbers.push(number);
        drop(rest);
    }
    Ok((Tensor::f_cat(&distances, 0)?, Tensor::f_cat(&numbers, 0)?))
}
