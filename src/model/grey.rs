//! Weights of a network with three channels for one that takes grey images.
//!
//! A grey frame has the level g in every channel, so a filter of the first layer sees `Σ_c w_c·(g − m_c)/s_c`. With the grey
//! view's x = (g − m)/s ([`Input::grey_normal`]) this is
//!
//! ```text
//! w·x + b,   w = Σ_c w_c·s/s_c,   b = Σ_c Σ_taps w_c·(m − m_c)/s_c       w: (O, 1, k, k), b: (O)
//! ```
//!
//! b goes into the first norm (running mean − b), or a Vision Transformer's patch bias (+ b). Where all m_c are equal, b is 0
//! and the folded network equals the other one on grey frames. Where they differ it does so too in a Vision Transformer,
//! which has no borders; in a convolutional network the first layer pads with zeros, which stand for the colour m_c there and for
//! grey here, so the outermost pixels of its map differ, and what follows from them.

use tch::{Kind, Tensor};

use super::Network;
use super::weights::{HostTensor, StateDict};
use crate::data::Input;
use crate::error::{Error, Result};

/// `state`, in the names of `network`, with its first layer folded to one channel where the network has one and the state three;
/// any other state comes back unchanged. `input` has the mean and deviation that the weights were trained with.
///
/// # Errors
/// `Config` where `input` is out of bounds; `Mismatch` where the first layer's norm or bias is missing or misshapen.
pub fn fold_stem(network: &Network, mut state: StateDict, input: &Input) -> Result<StateDict> {
    let (weight_key, shift_key, sign) = network.architecture().family().stem;
    let three = |tensor: &HostTensor| matches!(*tensor.shape.as_slice(), [_, 3, _, _]);
    let Some(weight) = state.tensors.get(weight_key).filter(|weight| network.channels() == 1 && three(weight)) else {
        return Ok(state);
    };
    input.check()?;
    let _no_grad = tch::no_grad_guard();
    let weight = weight.to_tensor().map_err(|error| error.context(weight_key))?.f_to_kind(Kind::Double)?; // (O,3,k,k)
    let outputs = weight.size()[0];
    let [red, green, blue] = input.colours_of_grey();
    let column = |values: [f64; 3]| Tensor::f_from_slice(&values)?.f_view([1, 3, 1, 1]);
    let scales = column([red.0, green.0, blue.0])?;
    let shifts = column([red.1, green.1, blue.1])?;
    let folded = weight.f_mul(&scales)?.f_sum_dim_intlist([1i64].as_slice(), true, Kind::Double)?; // (O,1,k,k)
    let shift = weight.f_mul(&shifts)?.f_sum_dim_intlist([1i64, 2, 3].as_slice(), false, Kind::Double)?; // (O)
    let old = state.tensors.get(shift_key).filter(|found| found.shape == [outputs as usize]).ok_or_else(|| {
        Error::mismatch(format!(
            "the first layer cannot be folded to one channel: {shift_key} [{outputs}] is missing or of another shape"
        ))
    })?;
    let old = old.to_tensor().map_err(|error| error.context(shift_key))?.f_to_kind(Kind::Double)?;
    let new = old.f_add(&shift.f_mul_scalar(sign)?)?;
    let host = |tensor: Tensor| HostTensor::from_tensor(&tensor.f_to_kind(Kind::Float)?.f_contiguous()?);
    state.tensors.insert(weight_key.to_owned(), host(folded)?);
    state.tensors.insert(shift_key.to_owned(), host(new)?);
    log::info!("{weight_key} of three channels was folded to one for a grey network");
    Ok(state)
}
