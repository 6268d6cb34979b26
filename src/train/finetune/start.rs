//! What fine-tuning starts from: a student, or an earlier classifier whose classes are kept.

use serde_json::Value;
use tch::{Kind, Tensor};

use super::linear::Linear;
use crate::data::Input;
use crate::infer::Classifier;
use crate::model::student_file::StudentHeader;
use crate::model::weights::{HostTensor, StateDict};
use crate::model::{Head, Load, Network};
use crate::{Error, Result};

/// A network of its own, without a classifier, and the classes that are known already.
pub struct Start {
    /// Backbone, with the student's projection where it comes from one.
    pub(super) network: Network,
    pub(super) input: Input,
    pub(super) provenance: Value,
    /// Names and rows of the classes of an earlier classifier, on features as they are.
    pub(super) known: Option<(Vec<String>, Linear)>,
}

impl Start {
    /// From a copy of a student.
    ///
    /// # Errors
    /// `InvalidArgument` where it has a classifier; `OutOfMemory` or `Torch` from libtorch.
    pub fn student(network: &Network, header: &StudentHeader) -> Result<Self> {
        if let Head::Classifier { .. } = network.head() {
            return Err(Error::invalid("this network has a classifier already; start from it as a classifier"));
        }
        let (input, provenance) = (header.input, header.provenance.clone());
        Ok(Self { network: network.deep_copy()?, input, provenance, known: None })
    }

    /// An equal start that shares nothing, for a run of its own.
    pub(super) fn copy(&self) -> Result<Self> {
        let known = self.known.as_ref().map(|(names, rows)| {
            let rows = Linear { weight: rows.weight.shallow_clone(), bias: rows.bias.shallow_clone() };
            (names.clone(), rows)
        });
        let (input, provenance) = (self.input, self.provenance.clone());
        Ok(Self { network: self.network.deep_copy()?, input, provenance, known })
    }

    /// From a copy of an earlier classifier: its backbone, and the weights of its classes. Its projection is gone.
    ///
    /// # Errors
    /// `OutOfMemory` or `Torch` from libtorch.
    pub fn classifier(earlier: &Classifier) -> Result<Self> {
        let own = earlier.network()?;
        let network = with_head(&own, Head::None, Vec::new())?;
        let (weight, bias) = classifier_keys(&own);
        let state: StateDict = state_of(&own)?;
        let tensor = |key: &str| -> Result<Tensor> {
            let found = state.tensors.get(key).ok_or_else(|| Error::mismatch(format!("the classifier lacks {key}")))?;
            Ok(found.to_tensor()?.f_to_kind(Kind::Double)?)
        };
        let rows = Linear { weight: tensor(&weight)?, bias: tensor(&bias)? };
        let header = earlier.header();
        let known = Some((header.names.clone(), rows));
        Ok(Self { network, input: *earlier.input(), provenance: header.training.clone(), known })
    }

    /// The rows to start the fit of the classes `names` from: those of the known classes as they are, zeros for new ones,
    /// whose bias is the lowest of the known ones, so that a new class does not win before it has learned anything.
    ///
    /// # Errors
    /// `Mismatch` where the known classes are not the first of `names`, in their order.
    pub(super) fn rows(&self, names: &[String]) -> Result<Option<Linear>> {
        let Some((known, rows)) = &self.known else { return Ok(None) };
        if !names.starts_with(known) {
            return Err(Error::mismatch(format!(
                "the classes are {names:?}, but the earlier classifier knows {known:?}: keep these first, in this order, \
                 and put new ones after them"
            )));
        }
        let (new, dim) = ((names.len() - known.len()) as i64, rows.weight.size()[1]);
        let options = (Kind::Double, rows.weight.device());
        let weight = Tensor::f_cat(&[rows.weight.shallow_clone(), Tensor::f_zeros([new, dim], options)?], 0)?;
        let lowest = rows.bias.f_min()?.f_view([1])?.f_expand([new], false)?;
        Ok(Some(Linear { weight, bias: Tensor::f_cat(&[rows.bias.shallow_clone(), lowest], 0)? }))
    }
}

/// torchvision's names of the classifier's weight and bias.
fn classifier_keys(network: &Network) -> (String, String) {
    let key = network.architecture().family().classifier_key;
    (format!("{key}.weight"), format!("{key}.bias"))
}

pub(super) fn state_of(network: &Network) -> Result<StateDict> {
    Ok(StateDict { tensors: network.to_state()?.into_iter().collect(), metadata: Default::default() })
}

/// A network on the CPU with the backbone of `network` and another head, whose tensors are `of_head`.
fn with_head(network: &Network, head: Head, of_head: Vec<(String, HostTensor)>) -> Result<Network> {
    let backbone = network.blank_like(Head::None, tch::Device::Cpu)?;
    backbone.load(&state_of(network)?, Load::BackboneOnly)?;
    let mut state = state_of(&backbone)?;
    state.tensors.extend(of_head);
    let whole = network.blank_like(head, tch::Device::Cpu)?;
    whole.load(&state, Load::Everything)?;
    Ok(whole)
}

/// The network that serves: the backbone of `network` with the linear layer as torchvision's classifier, on the CPU.
pub(super) fn with_classifier(network: &Network, layer: &Linear) -> Result<Network> {
    let (weight, bias) = classifier_keys(network);
    let float = |tensor: &Tensor| -> Result<HostTensor> {
        HostTensor::from_tensor(&tensor.f_detach()?.f_to_device(tch::Device::Cpu)?.f_to_kind(Kind::Float)?)
    };
    let classes = layer.bias.size()[0];
    let of_head = vec![(weight, float(&layer.weight)?), (bias, float(&layer.bias)?)];
    with_head(network, Head::Classifier { classes }, of_head)
}
