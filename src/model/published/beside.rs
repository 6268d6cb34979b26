//! What stands below a network's prefix and is not its backbone: projection heads, and what training keeps.
//!
//! MoCo-v2 keeps its projection head at `fc.0` and `fc.2`, SimCLR at `fc.0`, `fc.1` and `fc.3`, SwAV at `projection_head`; here it is
//! `projection`. Only the heads of [`Head`](crate::model::Head) can be built; others (more layers, normalised output) are left
//! aside, and then the embedding is the backbone's features.
//!
//! MoCo-v1's head is one linear layer in the place of the classifier, `fc`. What tells it from a classifier is the prefix: nobody trains
//! classes in an encoder of queries or keys. That layout is known exactly, so a head of other shapes there is an error.

use std::collections::BTreeMap;

use super::outline::{Family, Shapes};
use crate::error::{Error, Result};
use crate::model::weights::{HostTensor, HostType};
use crate::model::{DEEPEST, Head};

/// What a tensor beside the backbone is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Beside {
    /// A layer of a projection head, by its name below `projection.`.
    Projection(String),
    /// A head or a state of training that has no use here.
    Aside,
}

/// Modules that hold projection heads as numbered layers.
const PROJECTIONS: &[&str] = &["projection", "fc", "projection_head", "projector", "head", "mlp_head"];

/// Modules and tensors that are left aside: SwAV's prototypes, MoCo's queue, masks and heads of transformers.
const ASIDE: &[&str] = &[
    "prototypes",
    "queue",
    "queue_ptr",
    "predictor",
    "mask_token",
    "head",
    "head_dist",
    "pooler",
    "dino_head",
    "ibot_head",
    "koleo_loss",
    "center",
    // Of torch's AveragedModel.
    "n_averaged",
];

/// What `name`, which is none of the backbone's, is; `None` for a stranger.
pub(super) fn beside(family: Family, name: &str) -> Option<Beside> {
    let (module, rest) = name.split_once('.').unwrap_or((name, ""));
    if family == Family::Transformer && (module == "classifier" || name == "embeddings.mask_token") {
        return Some(Beside::Aside);
    }
    let numbered = rest.starts_with(|first: char| first.is_ascii_digit());
    if family != Family::Transformer && numbered && PROJECTIONS.contains(&module) {
        return Some(Beside::Projection(rest.to_owned()));
    }
    ASIDE.contains(&module).then_some(Beside::Aside)
}

/// Whether networks under this prefix are MoCo's encoders, whose last layer is a projection and no classifier.
pub(super) fn is_contrastive(prefix: &str) -> bool {
    let last = prefix.strip_suffix('.').and_then(|prefix| prefix.rsplit('.').next());
    matches!(last, Some("encoder_q" | "encoder_k"))
}

/// Refuses a head of MoCo-v1 that is not whole. `key` is where the file has it, for the message.
pub(super) fn check_linear(tensors: &BTreeMap<String, HostTensor>, key: &str, features: i64) -> Result<()> {
    let shape = |leaf: &str| tensors.get(&format!("projection.0.{leaf}")).map(|tensor| tensor.shape.as_slice());
    let said = |shape: Option<&[usize]>| shape.map_or_else(|| "missing".to_owned(), |shape| format!("{shape:?}"));
    match (shape("weight"), shape("bias")) {
        (Some(&[dim, input]), Some(&[rows])) if dim > 0 && dim == rows && i64::try_from(input) == Ok(features) => {
            Ok(())
        }
        (weight, bias) => Err(Error::mismatch(format!(
            "the head {key} of a MoCo-v1 checkpoint is one linear layer: expected {key}.weight [C, {features}] and \
             {key}.bias [C], found {} and {}",
            said(weight),
            said(bias)
        ))),
    }
}

/// Keeps the projection head if it can be built on `features`; takes it out otherwise, and returns the names. A linear layer
/// without bias gets one of zeros, which is the same.
pub(super) fn settle_projection(tensors: &mut BTreeMap<String, HostTensor>, features: i64) -> Vec<String> {
    let layers = tensors.iter().filter_map(|(name, tensor)| Some((name.strip_prefix("projection.")?, &*tensor.shape)));
    let layers: Shapes<'_> = layers.collect();
    if layers.is_empty() {
        return Vec::new();
    }
    let Some(head) = projection(&layers, features) else {
        let names: Vec<String> = layers.keys().map(|layer| format!("projection.{layer}")).collect();
        tensors.retain(|name, _| !name.starts_with("projection."));
        return names;
    };
    let biases = match head {
        Head::NormedProjection { layers, hidden, dim } => {
            (0..layers).map(|layer| (3 * layer, if layer + 1 == layers { dim } else { hidden })).collect()
        }
        Head::Projection { hidden, dim } => vec![(0, hidden), (2, dim)],
        Head::LinearProjection { dim } => vec![(0, dim)],
        Head::None | Head::Classifier { .. } => Vec::new(),
    };
    for (layer, rows) in biases {
        // The widths are sides of tensors that are there.
        let rows = rows as usize;
        let zeros = || HostTensor { dtype: HostType::F32, shape: vec![rows], bytes: vec![0; rows * 4] };
        tensors.entry(format!("projection.{layer}.bias")).or_insert_with(zeros);
    }
    Vec::new()
}

/// The head that has these layers (`0.weight`, …) on `features`, if it is one that can be built.
pub(super) fn projection(layers: &Shapes<'_>, features: i64) -> Option<Head> {
    let matrix = |name: &str| match **layers.get(name)? {
        [rows, columns] => Some((i64::try_from(rows).ok()?, i64::try_from(columns).ok()?)),
        _ => None,
    };
    let numbers = layers.keys().map(|name| name.split('.').next()?.parse::<i64>().ok()).collect::<Option<Vec<_>>>()?;
    // Of the last linear layer: 2 without batch norm between two of them, 3, 6, … with it.
    let last = numbers.iter().copied().max().filter(|&last| last <= 3 * (DEEPEST - 1))?;
    let normed = last % 3 == 0;
    let allowed = |&number: &i64| if normed { number % 3 < 2 } else { number == 0 || number == 2 };
    let (hidden, input) = matrix("0.weight")?;
    if !numbers.iter().all(allowed) || input != features {
        return None;
    }
    if last == 0 {
        return Some(Head::LinearProjection { dim: hidden });
    }
    // Three layers that batch norm does not stand between are another head.
    let norm = |layer: i64| layers.contains_key(&*format!("{}.weight", 3 * layer + 1));
    if last > 3 && !(0..last / 3).all(norm) {
        return None;
    }
    let inner = (1..last / 3).map(|layer| matrix(&format!("{}.weight", 3 * layer)));
    let square = |size: Option<(i64, i64)>| size == Some((hidden, hidden));
    let (dim, width) = matrix(&format!("{last}.weight"))?;
    if width != hidden || !inner.into_iter().all(square) {
        return None;
    }
    Some(match normed {
        true => Head::NormedProjection { layers: last / 3 + 1, hidden, dim },
        false => Head::Projection { hidden, dim },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors(entries: &[(&str, &[usize])]) -> BTreeMap<String, HostTensor> {
        let tensor = |shape: &[usize]| HostTensor {
            dtype: HostType::F32,
            shape: shape.to_vec(),
            bytes: vec![0; 4 * shape.iter().product::<usize>()],
        };
        entries.iter().map(|&(name, shape)| (format!("projection.{name}"), tensor(shape))).collect()
    }

    #[test]
    fn heads_are_told_from_strangers() {
        let projection = |rest: &str| Some(Beside::Projection(rest.to_owned()));
        assert_eq!(beside(Family::ResNet, "fc.0.weight"), projection("0.weight"));
        assert_eq!(beside(Family::ResNet, "projection_head.1.running_mean"), projection("1.running_mean"));
        assert_eq!(beside(Family::ResNet, "prototypes.prototypes0.weight"), Some(Beside::Aside));
        assert_eq!(beside(Family::ResNet, "queue"), Some(Beside::Aside));
        assert_eq!(beside(Family::Transformer, "head.weight"), Some(Beside::Aside));
        assert_eq!(beside(Family::Transformer, "embeddings.mask_token"), Some(Beside::Aside));
        assert_eq!(beside(Family::ResNet, "layer5.0.conv1.weight"), None);
    }

    #[test]
    fn a_head_without_biases_gets_zeros() {
        let mut head = tensors(&[("0.weight", &[4, 8]), ("1.weight", &[4]), ("1.bias", &[4]), ("3.weight", &[2, 4])]);
        assert!(settle_projection(&mut head, 8).is_empty());
        assert_eq!(head["projection.0.bias"].shape, [4]);
        assert_eq!(head["projection.3.bias"].bytes, [0; 8]);
    }

    #[test]
    fn one_linear_layer_is_a_head() {
        let mut head = tensors(&[("0.weight", &[4, 8])]);
        assert!(settle_projection(&mut head, 8).is_empty());
        assert_eq!(head["projection.0.bias"].shape, [4]);
        let layers = Shapes::from([("0.weight", &[4, 8][..]), ("0.bias", &[4])]);
        assert_eq!(projection(&layers, 8), Some(Head::LinearProjection { dim: 4 }));
    }

    #[test]
    fn deep_heads_have_batch_norm_between_layers_of_one_width() {
        let deep = |inner: &[usize], norm: &str| {
            let found = tensors(&[
                ("0.weight", &[4, 8]),
                ("1.weight", &[4]),
                ("3.weight", inner),
                (norm, &[4]),
                ("6.weight", &[2, 4]),
            ]);
            let layers = found.iter().map(|(name, tensor)| (&name["projection.".len()..], &*tensor.shape)).collect();
            projection(&layers, 8)
        };
        assert_eq!(deep(&[4, 4], "4.weight"), Some(Head::NormedProjection { layers: 3, hidden: 4, dim: 2 }));
        assert_eq!(deep(&[5, 4], "4.weight"), None);
        assert_eq!(deep(&[4, 4], "5.weight"), None);
        assert_eq!(deep(&[4, 4], "9.x"), None);
    }

    #[test]
    fn encoders_of_queries_and_keys_have_no_classes() {
        for (prefix, expected) in [("module.encoder_q.", true), ("encoder_k.", true), ("", false), ("module.", false)] {
            assert_eq!(is_contrastive(prefix), expected, "{prefix:?}");
        }
        assert!(!is_contrastive("my_encoder_q.") && !is_contrastive("encoder_q.trunk."));
    }

    #[test]
    fn a_head_of_another_shape_is_taken_out_whole() {
        for (layers, features) in [
            (&[("0.weight", &[4, 8][..]), ("2.weight", &[2, 4])][..], 16),
            (&[("0.weight", &[4, 8]), ("3.weight", &[4, 4]), ("6.weight", &[2, 4])], 8),
            (&[("0.weight", &[4, 8]), ("2.weight", &[2, 5])], 8),
            (&[("0.weight", &[4, 8])], 16),
            (&[("0.weight", &[4, 8]), ("2.bias", &[4])], 8),
            (&[("0.weight", &[4, 8]), ("1.weight", &[4])], 8),
        ] {
            let mut head = tensors(layers);
            assert_eq!(settle_projection(&mut head, features).len(), layers.len());
            assert!(head.is_empty());
        }
    }
}
