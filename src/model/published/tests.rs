//! Transformers by their names and shapes alone, and the messages for what does not fit. Networks that can be built are
//! tested with their numbers in tests/model/layouts.rs.

use std::collections::BTreeMap;

use super::*;
use crate::model::weights::HostType;
use crate::model::{Head, Network};

/// Tensors whose every number is that of the tensor, so that one can be told from another.
fn numbered(shapes: &[(String, Vec<usize>)]) -> BTreeMap<String, HostTensor> {
    let tensor = |number: usize, shape: &[usize]| HostTensor {
        dtype: HostType::F32,
        shape: shape.to_vec(),
        bytes: (number as f32).to_le_bytes().repeat(shape.iter().product()),
    };
    shapes.iter().enumerate().map(|(number, (name, shape))| (name.clone(), tensor(number, shape))).collect()
}

/// A case of tests/golden/transformers.txt: name, tensors of the file, tensors that must come of it.
type Case = (String, Vec<(String, Vec<usize>)>, BTreeMap<String, Vec<usize>>);

fn transformers() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in include_str!("../../../tests/golden/transformers.txt").lines() {
        if let Some(case) = line.strip_prefix("# ") {
            cases.push((case.to_owned(), Vec::new(), BTreeMap::new()));
            continue;
        }
        let case = cases.last_mut().unwrap();
        let (name, sides) = line.trim_start_matches("= ").rsplit_once(' ').unwrap();
        let shape = sides.split(',').map(|side| side.parse().unwrap()).collect();
        match line.starts_with("= ") {
            true => drop(case.2.insert(name.to_owned(), shape)),
            false => case.1.push((name.to_owned(), shape)),
        }
    }
    cases
}

#[test]
fn transformers_of_timm_and_hugging_face_get_dinos_names_and_shapes() {
    let cases = transformers();
    assert_eq!(cases.len(), 6);
    for (case, theirs, expected) in cases {
        // The outline does not depend on which architecture it is said to be.
        let outline = Outline::new(Architecture::ResNet18, expected.clone());
        for prefix in ["", "module.backbone."] {
            let file: Vec<(String, Vec<usize>)> =
                theirs.iter().map(|(name, shape)| (format!("{prefix}{name}"), shape.clone())).collect();
            let shapes: Shapes<'_> = file.iter().map(|(name, shape)| (name.as_str(), shape.as_slice())).collect();
            let fit = fit::best(&outline, &shapes, Side::Teacher).unwrap();
            assert!(fit.is_whole(), "{case}: {fit:?}");
            assert!(fit.prefix.starts_with(prefix), "{case}: {fit:?}");
            assert!(case.starts_with(fit.layout_name) || fit.layout_name == "dino" && case == "timm.vit", "{fit:?}");
            let (tensors, _) = named(&outline, &fit, numbered(&file)).unwrap();
            let tensors = values::adapted(&outline, fit.layout, tensors).unwrap();
            let found: BTreeMap<_, _> =
                tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shape.clone())).collect();
            assert_eq!(found, expected, "{case}");
        }
    }
}

#[test]
fn query_key_and_value_come_in_this_order() {
    let (_, theirs, expected) = transformers().remove(0);
    let outline = Outline::new(Architecture::ResNet18, expected);
    let shapes: Shapes<'_> = theirs.iter().map(|(name, shape)| (name.as_str(), shape.as_slice())).collect();
    let fit = fit::best(&outline, &shapes, Side::Teacher).unwrap();
    let (tensors, _) = named(&outline, &fit, numbered(&theirs)).unwrap();
    for block in 0..2 {
        let number = |part: &str| {
            let name = format!("encoder.layer.{block}.attention.attention.{part}.bias");
            theirs.iter().position(|(theirs, _)| theirs.ends_with(&name)).unwrap() as f32
        };
        let found = tensors[&format!("blocks.{block}.attn.qkv.bias")].to_tensor().unwrap();
        let found = Vec::<f32>::try_from(found).unwrap();
        assert_eq!([found[0], found[12], found[24]], ["query", "key", "value"].map(number));
    }
}

fn state(architecture: Architecture, head: Head, rename: impl Fn(&str) -> String) -> StateDict {
    let network = Network::blank(architecture, head, tch::Device::Cpu).unwrap();
    let tensors = network.to_state().unwrap().into_iter().map(|(name, tensor)| (rename(&name), tensor));
    StateDict { tensors: tensors.collect(), ..StateDict::default() }
}

#[test]
fn a_file_of_another_network_is_named() {
    let file = state(Architecture::ResNet18, Head::None, |name| format!("module.{name}"));
    let error = published(Architecture::ResNet10, file, Side::Teacher).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Mismatch);
    let expected = "the weights are those of resnet18 under \"module.\", not of resnet10: weights do not fit resnet10";
    assert!(error.message().starts_with(expected), "{error}");
    assert!(error.message().contains("unexpected: layer1.1."), "{error}");

    let file = state(Architecture::MobileNetV3Small, Head::None, str::to_owned);
    let error = published(Architecture::ResNet18, file, Side::Teacher).unwrap_err();
    assert!(error.message().contains("no weights of resnet18 among"), "{error}");
    assert!(error.message().ends_with("the weights are those of mobilenet_v3_small"), "{error}");
}

#[test]
fn the_side_decides_between_two_of_one_architecture() {
    let mut file = state(Architecture::ResNet10, Head::None, |name| format!("module.student.{name}"));
    let teacher = state(Architecture::ResNet10, Head::None, |name| format!("module.teacher.{name}"));
    file.tensors.extend(teacher.tensors);
    for (side, prefix) in [(Side::Student, "module.student."), (Side::Teacher, "module.teacher.")] {
        let found = published(Architecture::ResNet10, file.clone(), side).unwrap();
        assert_eq!((found.prefix.as_str(), found.aside.len()), (prefix, found.state.tensors.len()));
    }
}

#[test]
fn a_misspelt_key_is_shown_with_its_nearest() {
    let mut file = state(Architecture::ResNet10, Head::None, str::to_owned);
    let moved = file.tensors.remove("layer2.0.conv1.weight").unwrap();
    file.tensors.insert("layer2.0.cnv1.weight".to_owned(), moved);
    let error = published(Architecture::ResNet10, file, Side::Student).unwrap_err();
    let expected = "1 missing: layer2.0.conv1.weight [128, 64, 3, 3] (nearest in the file: layer2.0.cnv1.weight)";
    assert!(error.message().contains(expected), "{error}");
    assert!(!error.message().contains("the weights are those"), "{error}");
}

#[test]
fn numbers_that_are_none_are_refused() {
    let mut file = state(Architecture::ResNet10, Head::None, str::to_owned);
    let bytes = &mut file.tensors.get_mut("bn1.bias").unwrap().bytes;
    bytes[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    let error = published(Architecture::ResNet10, file, Side::Teacher).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Format);
    assert!(error.message().starts_with("bn1.bias holds NaN"), "{error}");
}

#[test]
fn what_is_left_aside_is_told_by_modules() {
    let names = ["module.encoder_k.a.b", "module.encoder_k.c", "module.queue", "loss.w"].map(str::to_owned);
    assert_eq!(groups("module.encoder_q.", &names), "encoder_k (2), loss, queue");
}
