//! Weights into networks and out again, and the teacher and student made from them.

use std::collections::BTreeMap;
use std::sync::Arc;

use seed::ErrorKind;
use seed::model::weights::{HostTensor, HostType, StateDict};
use seed::model::{Architecture, Head, Load, Mode, Network, Student, Teacher};
use tch::{Device, Kind, Tensor};

const SMALL: Architecture = Architecture::MobileNetV3Small;
const CLASSIFIER: Head = Head::Classifier { classes: 10 };
const PROJECTION: Head = Head::Projection { hidden: 24, dim: 16 };

fn network(architecture: Architecture, head: Head, seed: u64) -> Network {
    Network::new(architecture, head, seed, Device::Cpu).unwrap()
}

fn state_of(network: &Network) -> StateDict {
    StateDict { tensors: network.to_state().unwrap().into_iter().collect(), metadata: BTreeMap::new() }
}

fn images(batch: i64) -> Tensor {
    Tensor::linspace(-2.0, 2.0, batch * 3 * 64 * 64, (Kind::Float, Device::Cpu)).reshape([batch, 3, 64, 64]).sin()
}

fn same(a: &Network, b: &Network) -> bool {
    a.tensors() == b.tensors()
}

#[test]
fn a_state_goes_round() {
    // The largest differ from others in depth and width only, which tests/model/models.rs checks; tests/model/vits.rs has transformers.
    let convolutional = Architecture::all().iter().filter(|network| !matches!(network, Architecture::ViT(_)));
    for &architecture in convolutional.filter(|network| network.feature_dim() <= 2048) {
        let from = network(architecture, PROJECTION, 1);
        let _moved = from.features(&images(2), Mode::Train { noise: 0 }).unwrap();
        from.to_channels_last().unwrap();
        let to = network(architecture, PROJECTION, 2);
        let report = to.load(&state_of(&from), Load::Everything).unwrap();
        assert_eq!(report.loaded, from.tensors().len());
        assert!(report.ignored.is_empty() && report.defaulted.is_empty());
        assert!(same(&from, &to), "{architecture}");
        assert!(to.parameters().iter().all(|(_, parameter)| parameter.requires_grad() && parameter.is_leaf()));
    }
}

#[test]
fn a_classifier_is_left_aside_where_another_head_is_wanted() {
    let file = state_of(&network(SMALL, CLASSIFIER, 1));
    let bare = network(SMALL, Head::None, 2);
    let report = bare.load(&file, Load::Everything).unwrap();
    assert_eq!(report.ignored, ["classifier.3.bias", "classifier.3.weight"]);

    let projected = network(SMALL, PROJECTION, 3);
    let head_before = projected.parameters().pop().unwrap().1.copy();
    let error = projected.load(&file, Load::Everything).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Mismatch);
    assert!(error.message().contains("projection.0.weight [24, 1024]"), "{error}");
    assert!(error.message().contains("backbone only"), "{error}");
    let report = projected.load(&file, Load::BackboneOnly).unwrap();
    assert_eq!(report.ignored.len(), 2);
    assert_eq!(projected.parameters().pop().unwrap().1, head_before);
    let (from, to) = (bare.features(&images(2), Mode::Eval), projected.features(&images(2), Mode::Eval));
    assert_eq!(from.unwrap(), to.unwrap());
}

#[test]
fn a_file_without_a_classifier_fits_a_network_without_a_head() {
    let mut file = state_of(&network(Architecture::MobileNetV2, CLASSIFIER, 1));
    file.tensors.retain(|name, _| !name.starts_with("classifier."));
    let bare = network(Architecture::MobileNetV2, Head::None, 2);
    assert!(bare.load(&file, Load::Everything).unwrap().ignored.is_empty());
}

#[test]
fn misfits_are_all_named_and_nothing_is_written() {
    let mut file = state_of(&network(SMALL, CLASSIFIER, 1));
    let moved = file.tensors.remove("features.0.0.weight").unwrap();
    file.tensors.insert("features.0.0.weigth".to_owned(), moved);
    file.tensors.get_mut("classifier.3.bias").unwrap().shape = vec![5, 2];
    file.tensors.get_mut("classifier.3.weight").unwrap().dtype = HostType::I32;
    let target = network(SMALL, CLASSIFIER, 2);
    let before = target.deep_copy().unwrap();
    let error = target.load(&file, Load::Everything).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Mismatch);
    for part in [
        "1 missing: features.0.0.weight [16, 3, 3, 3] (nearest in the file: features.0.0.weigth)",
        "1 unexpected: features.0.0.weigth [16, 3, 3, 3]",
        "classifier.3.bias (expected [10], found [5, 2])",
        "classifier.3.weight (expected a floating-point type, found I32)",
    ] {
        assert!(error.message().contains(part), "{part}\nis not in\n{error}");
    }
    assert!(same(&before, &target));

    let error = target.load(&state_of(&network(Architecture::ResNet18, Head::None, 0)), Load::Everything).unwrap_err();
    assert!(error.message().contains("and 200 more") && error.message().len() < 4000, "{error}");
}

#[test]
fn bytes_that_contradict_the_shape_change_nothing() {
    let mut file = state_of(&network(SMALL, Head::None, 1));
    // The last tensor in the network's order, so that everything before it has been looked at.
    file.tensors.get_mut("classifier.0.bias").unwrap().bytes.pop();
    let target = network(SMALL, Head::None, 2);
    let before = target.deep_copy().unwrap();
    let error = target.load(&file, Load::Everything).unwrap_err();
    assert!(error.message().contains("classifier.0.bias"), "{error}");
    assert!(same(&before, &target));
}

#[test]
fn counters_may_be_missing_and_other_floats_are_converted() {
    let from = network(SMALL, Head::None, 1);
    let mut file = state_of(&from);
    file.tensors.retain(|name, _| !name.ends_with("num_batches_tracked"));
    let name = "features.1.block.1.fc1.weight";
    let half = file.tensors[name].to_tensor().unwrap().to_kind(Kind::Half);
    let mut bytes = vec![0; half.numel() * 2];
    half.copy_data_u8(&mut bytes, half.numel());
    let shape = file.tensors[name].shape.clone();
    file.tensors.insert(name.to_owned(), HostTensor { dtype: HostType::F16, shape, bytes });

    let to = network(SMALL, Head::None, 2);
    let _moved = to.features(&images(2), Mode::Train { noise: 0 }).unwrap();
    let report = to.load(&file, Load::Everything).unwrap();
    assert_eq!(report.converted, 1);
    assert_eq!(report.defaulted.len(), to.buffers().len() / 3);
    assert!(to.buffers().iter().all(|(name, t)| !name.ends_with("tracked") || t.int64_value(&[]) == 0));
    let (_, loaded) = to.parameters().into_iter().find(|(key, _)| key == name).unwrap();
    assert_eq!(loaded.kind(), Kind::Float);
    assert_eq!(loaded, half.to_kind(Kind::Float));
}

#[test]
fn a_teacher_is_frozen() {
    let teacher = Teacher::new(network(SMALL, PROJECTION, 1)).unwrap();
    let before = teacher.to_state().unwrap();
    let embeddings = teacher.embed(&images(3)).unwrap();
    assert_eq!((embeddings.size(), teacher.embedding_dim()), (vec![3, 16], 16));
    assert!(!embeddings.requires_grad());
    let lengths: Vec<f64> = Vec::try_from(embeddings.norm_scalaropt_dim(2, [1i64], false)).unwrap();
    assert!(lengths.iter().all(|length| (length - 1.0).abs() < 1e-6), "{lengths:?}");
    assert!(teacher.to_state().unwrap() == before);
    // The thread's grad mode is as it was: a product with something that needs a gradient needs one.
    assert!((Tensor::ones([1], (Kind::Float, Device::Cpu)).set_requires_grad(true) * 2.0).requires_grad());
}

#[test]
fn a_teacher_keeps_the_files_projection_and_drops_its_classifier() {
    let moco = network(Architecture::ResNet18, PROJECTION, 1);
    let rename = |name: &str| match name.strip_prefix("projection.") {
        Some(rest) => format!("module.encoder_q.fc.{rest}"),
        None => format!("module.encoder_q.{name}"),
    };
    let mut file = state_of(&moco);
    file.tensors = file.tensors.into_iter().map(|(name, tensor)| (rename(&name), tensor)).collect();
    let queue = HostTensor { dtype: HostType::I64, shape: vec![1], bytes: vec![0; 8] };
    file.tensors.insert("module.queue_ptr".to_owned(), queue);
    let teacher = Teacher::from_state(Architecture::ResNet18, file, Device::Cpu).unwrap();
    assert_eq!(teacher.head().unwrap(), PROJECTION);
    assert_eq!(teacher.embed(&images(2)).unwrap(), Teacher::new(moco).unwrap().embed(&images(2)).unwrap());

    let file = state_of(&network(Architecture::MobileNetV2, CLASSIFIER, 1));
    let teacher = Teacher::from_state(Architecture::MobileNetV2, file, Device::Cpu).unwrap();
    assert_eq!((teacher.head().unwrap(), teacher.embedding_dim()), (Head::None, 1280));
    assert_eq!(teacher.report().ignored, ["classifier.1.bias", "classifier.1.weight"]);
}

#[test]
fn a_teacher_serves_several_threads() {
    let teacher = Arc::new(Teacher::new(network(SMALL, Head::None, 1)).unwrap().into_channels_last().unwrap());
    let expected = teacher.embed(&images(2)).unwrap();
    let workers: Vec<_> = (0..3)
        .map(|_| {
            let teacher = Arc::clone(&teacher);
            std::thread::spawn(move || teacher.embed(&images(2)).unwrap())
        })
        .collect();
    for worker in workers {
        assert_eq!(worker.join().unwrap(), expected);
    }
}

#[test]
fn a_student_starts_anew_or_from_its_own_weights() {
    let student = Student::new(SMALL, 24, 16, 4, Device::Cpu).unwrap();
    let embedded = student.embed(&images(2), Mode::Eval).unwrap();
    assert!(embedded.requires_grad());
    let again = Student::from_state(SMALL, state_of(student.network()), Device::Cpu).unwrap();
    assert_eq!(again.network().head(), PROJECTION);
    assert_eq!(again.embed(&images(2), Mode::Eval).unwrap(), embedded);
    assert_eq!(again.features(&images(2), Mode::Eval).unwrap().size(), [2, 1024]);

    let error = Student::from_state(SMALL, state_of(&network(SMALL, CLASSIFIER, 0)), Device::Cpu).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Mismatch);
    assert!(Student::from_network(network(SMALL, Head::None, 0)).is_err());
}
