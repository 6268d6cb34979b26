//! What follows the features: nothing, torchvision's classifier or a projection.

use tch::Tensor;

use super::layers::{Activation, Linear};
use super::noise::RandomDrop;
use super::params::Path;
use super::projection::Projection;
use super::{Architecture, Mode};
use crate::error::{Error, Result};
use crate::torch::fused::{Builder, Value};

/// Widest layer a head may have; a bound on what a damaged configuration can allocate.
const WIDEST: i64 = 1 << 20;

/// Most linear layers of a head.
pub const DEEPEST: i64 = 8;

/// What follows the features.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// Nothing: the output is the features.
    None,
    /// torchvision's classifier (with its dropout in training): logits.
    Classifier {
        /// Number of classes, at least 1.
        classes: i64,
    },
    /// Linear–batch norm–ReLU, again and again, then linear: keys "projection.0", ".1", ".3" of the two layers that the teachers of SwAV and
    /// SimCLR have, ".3", ".4", ".6" and so on of more.
    NormedProjection {
        /// Linear layers, from 2 to [`DEEPEST`].
        layers: i64,
        /// Width of the hidden layers; 0 means the width of the features.
        hidden: i64,
        /// Width of the output, at least 1.
        dim: i64,
    },
    /// One linear layer, key "projection.0": the teachers of MoCo-v1.
    LinearProjection {
        /// Width of the output, at least 1.
        dim: i64,
    },
    /// Linear–ReLU–linear, keys "projection.0" and "projection.2".
    Projection {
        /// Width of the hidden layer; 0 means the width of the features.
        hidden: i64,
        /// Width of the output, at least 1.
        dim: i64,
    },
}

impl Head {
    /// A student's projection of so many linear layers: SEED's two without batch norm, more with it.
    pub fn projection(layers: i64, hidden: i64, dim: i64) -> Head {
        match layers {
            2 => Head::Projection { hidden, dim },
            _ => Head::NormedProjection { layers, hidden, dim },
        }
    }

    /// The head with its widths filled in, or why it cannot be built.
    pub(crate) fn resolved(self, features: i64) -> Result<Head> {
        let check = |what: &str, value: i64| {
            if (1..=WIDEST).contains(&value) {
                Ok(value)
            } else {
                Err(Error::invalid(format!("{what} must lie in 1..={WIDEST}, got {value}")))
            }
        };
        let hidden_width =
            |hidden| check("hidden width of the projection", if hidden == 0 { features } else { hidden });
        Ok(match self {
            Head::None => Head::None,
            Head::Classifier { classes } => Head::Classifier { classes: check("number of classes", classes)? },
            Head::LinearProjection { dim } => {
                Head::LinearProjection { dim: check("embedding width of the projection", dim)? }
            }
            Head::NormedProjection { layers, .. } if !(2..=DEEPEST).contains(&layers) => {
                return Err(Error::invalid(format!("a projection has 2 to {DEEPEST} linear layers, found {layers}")));
            }
            Head::NormedProjection { layers, hidden, dim } => Head::NormedProjection {
                layers,
                hidden: hidden_width(hidden)?,
                dim: check("embedding width of the projection", dim)?,
            },
            Head::Projection { hidden, dim } => Head::Projection {
                hidden: hidden_width(hidden)?,
                dim: check("embedding width of the projection", dim)?,
            },
        })
    }
}

/// The layers of a [`Head`].
pub(crate) enum HeadLayers {
    None,
    Classifier(RandomDrop, Linear),
    /// With dropout before it, none until it is set.
    Projection(RandomDrop, Projection),
}

impl HeadLayers {
    /// `head` must have been [`resolved`](Head::resolved); the keys stand at the network's root.
    pub fn new(root: &mut Path<'_>, architecture: Architecture, head: Head) -> Result<HeadLayers> {
        let features = architecture.feature_dim();
        Ok(match head {
            Head::None => HeadLayers::None,
            Head::Classifier { classes } => {
                let family = architecture.family();
                let dropout = RandomDrop::elements(root, family.classifier_dropout);
                let mut path = root.at(family.classifier_key);
                let linear = Linear::new(&mut path, features, classes, family.classifier_initial)?;
                HeadLayers::Classifier(dropout, linear)
            }
            Head::LinearProjection { dim } => {
                HeadLayers::Projection(RandomDrop::elements(root, 0.0), Projection::linear(root, features, dim)?)
            }
            Head::NormedProjection { layers, hidden, dim } => HeadLayers::Projection(
                RandomDrop::elements(root, 0.0),
                Projection::normed(root, features, layers, hidden, dim)?,
            ),
            Head::Projection { hidden, dim } => {
                HeadLayers::Projection(RandomDrop::elements(root, 0.0), Projection::new(root, features, hidden, dim)?)
            }
        })
    }

    /// Drops `probability` of the features before a projection while it trains; other heads stay as they are.
    pub fn set_dropout(&mut self, probability: f64) {
        if let HeadLayers::Projection(dropout, _) = self {
            dropout.set_probability(probability);
        }
    }

    /// What [`set_dropout`](HeadLayers::set_dropout) set.
    pub fn dropout(&self) -> f64 {
        match self {
            HeadLayers::Projection(dropout, _) => dropout.probability(),
            _ => 0.0,
        }
    }

    /// (B, feature_dim) → (B, output_dim).
    pub fn forward(&self, features: Tensor, mode: Mode) -> Result<Tensor> {
        match self {
            HeadLayers::None => Ok(features),
            HeadLayers::Classifier(dropout, linear) => linear.forward(&dropout.forward(features, mode)?),
            HeadLayers::Projection(dropout, projection) => projection.forward(&dropout.forward(features, mode)?, mode),
        }
    }

    /// Eval mode, where dropout does nothing.
    pub fn lower(&self, builder: &mut Builder, features: Value) -> Result<Value> {
        match self {
            HeadLayers::None => Ok(features),
            HeadLayers::Classifier(_, linear) => linear.lower(builder, features, Activation::Identity),
            HeadLayers::Projection(_, projection) => projection.lower(builder, features),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn widths_out_of_bounds_are_refused() {
        for head in [
            Head::Classifier { classes: 0 },
            Head::Projection { hidden: -1, dim: 8 },
            Head::Projection { hidden: 0, dim: 0 },
            Head::Projection { hidden: 8, dim: i64::MAX },
            Head::LinearProjection { dim: 0 },
            Head::NormedProjection { layers: 1, hidden: 8, dim: 8 },
            Head::NormedProjection { layers: DEEPEST + 1, hidden: 8, dim: 8 },
        ] {
            assert_eq!(head.resolved(512).unwrap_err().kind(), ErrorKind::InvalidArgument);
        }
    }

    #[test]
    fn a_hidden_width_of_zero_is_that_of_the_features() {
        let head = Head::Projection { hidden: 0, dim: 8 }.resolved(512).unwrap();
        assert_eq!(head, Head::Projection { hidden: 512, dim: 8 });
    }
}
