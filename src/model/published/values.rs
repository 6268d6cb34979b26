//! Where not only names differ: tensors that are joined, and numbers that mean the same in another network.

use std::collections::BTreeMap;

use tch::{Kind, Tensor};

use super::fit::fits;
use super::layout::Layout;
use super::outline::{Family, Outline};
use super::positions::with_class_position;
use super::target::Target;
use crate::error::Result;
use crate::model::weights::HostTensor;

/// Added to a variance by timm's MobileNetV3 and by torchvision's.
const TIMM_EPSILON: f64 = 1e-5;
const TORCHVISION_EPSILON: f64 = 1e-3;

/// Thirds by name and place, with the file's names.
pub(super) type Thirds = BTreeMap<(String, usize), (String, HostTensor)>;

/// Puts query, key and value one below the other, (D, …) each → (3D, …). Where one is missing or of another shape, those that
/// are there keep the file's names, so that an error shows them.
pub(super) fn join_thirds(mut thirds: Thirds, ours: &mut BTreeMap<String, HostTensor>) {
    while let Some(((name, _), _)) = thirds.first_key_value() {
        let name = name.clone();
        let found: Vec<(String, HostTensor)> =
            (0..3).filter_map(|third| thirds.remove(&(name.clone(), third))).collect();
        match found.as_slice() {
            [(_, query), (_, key), (_, value)]
                if [key, value].iter().all(|part| part.shape == query.shape && part.dtype == query.dtype)
                    && !query.shape.is_empty() =>
            {
                let mut shape = query.shape.clone();
                // The three tensors' bytes are in memory, so three times the first side cannot overflow.
                shape[0] *= 3;
                let bytes = [&*query.bytes, &*key.bytes, &*value.bytes].concat();
                ours.insert(name, HostTensor { dtype: query.dtype, shape, bytes });
            }
            _ => ours.extend(found),
        }
    }
}

/// The tensors with our shapes, and with values that make our network compute what the file's own does.
pub(super) fn adapted(
    outline: &Outline,
    layout: Layout,
    mut tensors: BTreeMap<String, HostTensor>,
) -> Result<BTreeMap<String, HostTensor>> {
    for (name, tensor) in &mut tensors {
        let Some(expected) = outline.shape(name) else { continue };
        let target = Target { name: name.clone(), third: None };
        if name != "pos_embed" && tensor.shape != expected && fits(&target, &tensor.shape, expected) {
            tensor.shape = expected.to_vec();
        }
    }
    if outline.family == Family::Transformer
        && let Some(positions) = tensors.remove("pos_embed")
    {
        tensors.insert("pos_embed".to_owned(), with_class_position(positions)?);
    }
    // By name: SEED's own MobileNetV3 is of the family, but not with torchvision's constant.
    if layout == Layout::TimmBlocks && outline.architecture.name().starts_with("mobilenet_v3") {
        change_epsilon(&mut tensors)?;
    }
    Ok(tensors)
}

/// timm's MobileNetV3 normalises by √(v+10⁻⁵), torchvision's by √(v+10⁻³); the weight takes the ratio over:
/// γ' = γ·√((v+10⁻³)/(v+10⁻⁵)).
fn change_epsilon(tensors: &mut BTreeMap<String, HostTensor>) -> Result<()> {
    let norms: Vec<String> =
        tensors.keys().filter_map(|name| Some(name.strip_suffix(".running_var")?.to_owned())).collect();
    for norm in norms {
        let (weight, variance) = (format!("{norm}.weight"), format!("{norm}.running_var"));
        let (Some(gamma), Some(spread)) = (tensors.get(&weight), tensors.get(&variance)) else { continue };
        if gamma.shape != spread.shape {
            continue;
        }
        let double = |tensor: &HostTensor| -> Result<Tensor> { Ok(tensor.to_tensor()?.f_to_kind(Kind::Double)?) };
        let spread = double(spread)?;
        let (here, there) = (spread.f_add_scalar(TORCHVISION_EPSILON)?, spread.f_add_scalar(TIMM_EPSILON)?);
        let made = double(gamma)?.f_mul(&here.f_div(&there)?.f_sqrt()?)?.f_to_kind(Kind::Float)?;
        tensors.insert(weight, HostTensor::from_tensor(&made)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::weights::HostType;

    fn row(values: &[f32]) -> HostTensor {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        HostTensor { dtype: HostType::F32, shape: vec![values.len()], bytes }
    }

    #[test]
    fn thirds_are_joined_in_their_order_and_only_whole() {
        let third =
            |name: &str, place, value: f32| ((name.to_owned(), place), (format!("{name}{place}"), row(&[value])));
        let thirds = [third("a", 2, 3.0), third("a", 0, 1.0), third("a", 1, 2.0), third("b", 1, 4.0)];
        let mut ours = BTreeMap::new();
        join_thirds(thirds.into_iter().collect(), &mut ours);
        assert_eq!(ours, BTreeMap::from([("a".to_owned(), row(&[1.0, 2.0, 3.0])), ("b1".to_owned(), row(&[4.0]))]));
    }

    #[test]
    fn the_weight_takes_over_what_the_epsilon_changes() {
        let names = ["n.weight", "n.running_var"].map(str::to_owned);
        let mut tensors: BTreeMap<_, _> = names.into_iter().zip([row(&[2.0, -1.0]), row(&[0.0, 0.5])]).collect();
        change_epsilon(&mut tensors).unwrap();
        let found = Vec::<f32>::try_from(tensors["n.weight"].to_tensor().unwrap()).unwrap();
        for (found, gamma, variance) in [(found[0], 2.0f64, 0.0f64), (found[1], -1.0, 0.5)] {
            let (ours, theirs) = (f64::from(found) / (variance + 1e-3).sqrt(), gamma / (variance + 1e-5).sqrt());
            assert!((ours / theirs - 1.0).abs() < 1e-6, "{ours} {theirs}");
        }
    }
}
