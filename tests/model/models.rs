//! The networks against torchvision: keys, parameter counts, numbers in both modes (tests/golden/make_models.py made them),
//! and what must hold of every network: gradients everywhere, replayable randomness, one result in both memory formats.

use crate::hashed::{between, images, key_line, read_golden, read_keys, relative};
use seed::model::{Architecture, Fused, Head, Mode, Narrow, Network, Width};
use tch::{Device, Kind, Tensor};

const CLASSES: i64 = 10;
const NOISE: u64 = 77;
const TOLERANCE: f64 = 1e-4;

/// Weights of variance gain/fan-in; the gains are make_models.py's.
pub fn fill(network: &Network) {
    let _guard = tch::no_grad_guard();
    let gain = match network.architecture() {
        Architecture::MobileNetV2 | Architecture::MobileNetV3Large | Architecture::SeedMobileNetV3Large => 1.5,
        Architecture::EfficientNetB1
        | Architecture::EfficientNetB2
        | Architecture::TfEfficientNetB1
        | Architecture::TfEfficientNetB2 => 1.7,
        Architecture::EfficientNetB3 | Architecture::TfEfficientNetB3 => 1.8,
        _ => 2.0,
    };
    for (number, (name, mut tensor)) in network.tensors().into_iter().enumerate() {
        let shape = tensor.size();
        let (low, high) = if name.ends_with("num_batches_tracked") {
            continue;
        } else if shape.len() > 1 {
            let bound = (3.0 * gain / shape[1..].iter().product::<i64>() as f64).sqrt() as f32;
            (-bound, bound)
        } else if name.ends_with("running_var") || name.ends_with("weight") {
            (0.5, 1.5)
        } else {
            (-0.2, 0.2)
        };
        tensor.copy_(&between(number as u32, &shape, low, high));
    }
}

fn classifier(architecture: Architecture) -> Network {
    Network::new(architecture, Head::Classifier { classes: CLASSES }, 0, Device::Cpu).unwrap()
}

/// The architectures that make_models.py has: all convolutional ones but the two widest, which take 1.5 and 2.3 GB and differ from
/// ResNet-50w2 in one number, and of the narrow ones those of every kind and width once. tests/model/vits.rs has the others.
fn checked() -> impl Iterator<Item = Architecture> {
    let names: Vec<String> = read_keys("torchvision_keys.txt").into_keys().collect();
    let of_table = |found: &&Architecture| !matches!(found, Architecture::Narrow(..) | Architecture::ViT(_));
    let missing =
        Architecture::all().iter().filter(of_table).filter(|found| !names.iter().any(|name| name == found.name()));
    assert_eq!(missing.collect::<Vec<_>>(), [&Architecture::ResNet50W4, &Architecture::ResNet50W5]);
    assert!(names.len() >= 28);
    names.into_iter().map(|name| Architecture::parse(&name).unwrap())
}

#[test]
fn keys_and_shapes_are_torchvisions() {
    let expected = read_keys("torchvision_keys.txt");
    for architecture in checked() {
        let tensors = classifier(architecture).tensors();
        let found: Vec<String> = tensors.iter().map(|(name, tensor)| key_line(name, &tensor.size())).collect();
        assert_eq!(found, expected[architecture.name()], "{architecture}");
    }
}

/// Counts by torchvision with 1000 classes and other widths: `sum(p.numel() for p in model.parameters())` of the models that
/// make_models.py builds.
#[test]
fn narrow_networks_have_torchvisions_sizes() {
    use Narrow::{MobileNetV2, MobileNetV3Large, MobileNetV3Small, ResNet10, ResNet18, ResNet34, ResNet50};
    let counts = [
        (ResNet10, [438_456, 1_487_240, 3_147_352]),
        (ResNet18, [831_096, 3_055_880, 6_675_352]),
        (ResNet34, [1_464_248, 5_584_776, 12_362_584]),
        (ResNet50, [1_993_976, 6_917_640, 14_771_992]),
        (MobileNetV2, [1_519_112, 1_968_680, 2_636_424]),
        (MobileNetV3Small, [374_272, 917_264, 1_653_920]),
        (MobileNetV3Large, [617_000, 1_734_576, 3_377_576]),
    ];
    for (network, counts) in counts {
        for (width, expected) in [Width::Quarter, Width::Half, Width::ThreeQuarters].into_iter().zip(counts) {
            let architecture = Architecture::Narrow(network, width);
            let head = Head::Classifier { classes: 1000 };
            let found = Network::new(architecture, head, 0, Device::Cpu).unwrap();
            assert_eq!(found.parameter_count(), expected, "{architecture}");
            let head = Network::new(architecture, Head::None, 0, Device::Cpu).unwrap();
            assert_eq!(head.features(&images(0, 1, 64, 64), Mode::Eval).unwrap().size(), [1, found.feature_dim()]);
        }
    }
}

#[test]
fn outputs_are_torchvisions() {
    let golden = read_golden("models.safetensors");
    let mut worst = Vec::new();
    for architecture in checked() {
        let network = classifier(architecture);
        fill(&network);
        let mut check = |what: &str, found: &Tensor| {
            // Of the deepest networks training is not stored: float32 itself is too rough for it. Of timm's it is not either.
            let Some(expected) = golden.get(&format!("{architecture}.{what}")) else {
                assert!(
                    matches!(
                        architecture.name(),
                        "resnet101"
                            | "resnet152"
                            | "tf_efficientnet_b0"
                            | "tf_efficientnet_b1"
                            | "tf_efficientnet_b2"
                            | "tf_efficientnet_b3"
                            | "tf_efficientnet_lite0"
                    ),
                    "{architecture} {what}"
                );
                return;
            };
            let error = relative(found, expected);
            worst.push((error, format!("{architecture} {what}")));
        };
        let _guard = tch::no_grad_guard();
        check("eval", &network.forward(&images(0, 2, 96, 96), Mode::Eval).unwrap());
        check("odd", &network.forward(&images(1, 1, 75, 101), Mode::Eval).unwrap());
        check("features", &network.features(&images(0, 2, 96, 96), Mode::Eval).unwrap().get(1));
        check("train", &network.forward(&images(2, 4, 64, 64), Mode::Train { noise: NOISE }).unwrap());
        for part in ["running_mean", "running_var"] {
            let buffers = network.buffers();
            let sums = buffers.iter().filter(|(name, _)| name.ends_with(part)).map(|(_, t)| t.sum(Kind::Double));
            check(part, &Tensor::stack(&sums.collect::<Vec<_>>(), 0).to_kind(Kind::Float));
        }
        for (name, count) in network.buffers().iter().filter(|(name, _)| name.ends_with("num_batches_tracked")) {
            assert_eq!(count.int64_value(&[]), 1, "{architecture} {name}");
        }
    }
    let failed: Vec<_> = worst.iter().filter(|(error, _)| error.is_nan() || *error > TOLERANCE).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn parameter_counts_are_the_published_ones() {
    let counts = [
        (Architecture::ResNet18, 11_689_512, 11_504_832),
        (Architecture::ResNet101, 44_549_160, 46_958_784),
        (Architecture::ResNet152, 60_192_808, 62_602_432),
        (Architecture::EfficientNetB1, 7_794_184, 8_316_832),
        (Architecture::ResNet34, 21_797_672, 21_612_992),
        (Architecture::ResNet50, 25_557_032, 27_966_656),
        (Architecture::MobileNetV2, 3_504_872, 4_027_520),
        (Architecture::MobileNetV3Small, 2_542_856, 2_698_656),
        (Architecture::MobileNetV3Large, 5_483_032, 6_005_680),
        (Architecture::EfficientNetB0, 5_288_548, 5_811_196),
        (Architecture::EfficientNetB2, 9_109_994, 9_865_218),
        (Architecture::EfficientNetB3, 12_233_232, 13_253_800),
    ];
    for (architecture, classes, projection) in counts {
        let count = |head| Network::new(architecture, head, 0, Device::Cpu).unwrap().parameter_count();
        assert_eq!(count(Head::Classifier { classes: 1000 }), classes, "{architecture}");
        assert_eq!(count(Head::Projection { hidden: 0, dim: 128 }), projection, "{architecture}");
    }
}

#[test]
fn swavs_wide_resnet_has_its_published_size() {
    let count = |head| Network::new(Architecture::ResNet50W2, head, 0, Device::Cpu).unwrap().parameter_count();
    assert_eq!(count(Head::None), 93_907_072);
    assert_eq!(count(Head::NormedProjection { layers: 2, hidden: 8192, dim: 128 }), 128_534_784);
}

#[test]
fn gradients_reach_every_parameter() {
    for architecture in checked().filter(|network| network.feature_dim() <= 2048) {
        let head = Head::Projection { hidden: 32, dim: 16 };
        let network = Network::new(architecture, head, 3, Device::Cpu).unwrap();
        let out = network.forward(&images(0, 4, 64, 64), Mode::Train { noise: 1 }).unwrap();
        assert_eq!(out.size(), [4, 16]);
        (&out * &out).sum(Kind::Float).backward();
        for (name, parameter) in network.parameters() {
            let gradient = parameter.grad();
            assert!(gradient.defined(), "{architecture} {name} has no gradient");
            let sum = gradient.abs().sum(Kind::Double).double_value(&[]);
            assert!(sum.is_finite() && sum > 0.0, "{architecture} {name} has a gradient of {sum}");
        }
    }
}

#[test]
fn a_seed_gives_the_same_network_and_a_head_does_not_change_the_backbone() {
    let new = |head, seed| Network::new(Architecture::MobileNetV3Small, head, seed, Device::Cpu).unwrap().parameters();
    let head = Head::Projection { hidden: 0, dim: 8 };
    let (first, again, other, bare) = (new(head, 5), new(head, 5), new(head, 6), new(Head::None, 5));
    assert!(first.iter().zip(&again).all(|(a, b)| a == b));
    assert!(first.iter().zip(&other).any(|(a, b)| a != b));
    assert!(first.iter().zip(&bare).all(|(a, b)| a == b));
    assert_eq!(first.len(), bare.len() + 4);
}

#[test]
fn initial_weights_follow_torchvisions_distributions() {
    let std = |network: &Network, wanted: &str| {
        let (_, tensor) = network.parameters().into_iter().find(|(name, _)| name == wanted).unwrap();
        tensor.std(true).double_value(&[])
    };
    let close = |found: f64, expected: f64| assert!((found / expected - 1.0).abs() < 0.05, "{found} {expected}");
    let resnet = Network::new(Architecture::ResNet18, Head::Classifier { classes: 1000 }, 1, Device::Cpu).unwrap();
    close(std(&resnet, "layer4.1.conv2.weight"), (2.0f64 / (512.0 * 9.0)).sqrt());
    close(std(&resnet, "fc.weight"), 1.0 / (3.0f64 * 512.0).sqrt());
    close(std(&resnet, "fc.bias"), 1.0 / (3.0f64 * 512.0).sqrt());
    let mobile = Network::new(Architecture::MobileNetV2, Head::Classifier { classes: 1000 }, 1, Device::Cpu).unwrap();
    close(std(&mobile, "features.14.conv.1.0.weight"), (2.0f64 / (576.0 * 9.0)).sqrt());
    close(std(&mobile, "classifier.1.weight"), 0.01);
    let head = Head::Classifier { classes: 1000 };
    let efficient = Network::new(Architecture::EfficientNetB0, head, 1, Device::Cpu).unwrap();
    close(std(&efficient, "classifier.1.weight"), 1.0 / (3.0f64 * 1000.0).sqrt());
    let head = Head::Projection { hidden: 300, dim: 128 };
    let projected = Network::new(Architecture::EfficientNetB0, head, 1, Device::Cpu).unwrap();
    close(std(&projected, "projection.0.weight"), 1.0 / (3.0f64 * 1280.0).sqrt());
    close(std(&projected, "projection.2.weight"), 1.0 / (3.0f64 * 300.0).sqrt());
}

#[test]
fn training_noise_is_replayed_by_its_key_and_leaves_torchs_generator_alone() {
    for architecture in [Architecture::EfficientNetB0, Architecture::MobileNetV2] {
        let network = classifier(architecture);
        let batch = images(0, 8, 64, 64);
        let _guard = tch::no_grad_guard();
        let forward = |noise| network.forward(&batch, Mode::Train { noise }).unwrap();
        tch::manual_seed(1);
        let untouched = Tensor::rand([4], (Kind::Float, Device::Cpu));
        tch::manual_seed(1);
        let (first, again, other) = (forward(1), forward(1), forward(2));
        assert_eq!(Tensor::rand([4], (Kind::Float, Device::Cpu)), untouched);
        assert_eq!(first, again, "{architecture}");
        assert_ne!(first, other, "{architecture}");
    }
}

#[test]
fn channels_last_gives_the_same_outputs() {
    for architecture in checked().filter(|network| network.feature_dim() <= 2048) {
        let network = classifier(architecture);
        fill(&network);
        let planar = images(0, 2, 64, 64);
        let interleaved = planar.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]);
        assert_ne!(planar.stride(), interleaved.stride());
        let expected = network.forward(&planar, Mode::Eval).unwrap();
        let parameters = network.parameters();
        network.to_channels_last().unwrap();
        let found = network.forward(&interleaved, Mode::Eval).unwrap();
        let error = relative(&found, &expected);
        assert!(error < TOLERANCE, "{architecture} {error}");
        // Handles taken before still are the network's parameters.
        for ((name, before), (_, after)) in parameters.iter().zip(network.parameters()) {
            assert_eq!(before.stride(), after.stride(), "{name}");
            assert!(after.requires_grad(), "{name}");
            if let [_, input, _, width] = after.size()[..] {
                assert_eq!(after.stride()[1..], [1, width * input, input], "{name}");
            }
        }
    }
}

#[test]
fn images_that_do_not_fit_are_refused_before_anything_is_written() {
    let network = classifier(Architecture::ResNet18);
    let train = Mode::Train { noise: 0 };
    let refused = |images: &Tensor, mode| {
        let error = network.forward(images, mode).err().unwrap();
        assert_eq!(error.kind(), seed::ErrorKind::InvalidArgument, "{error}");
    };
    let options = (Kind::Float, Device::Cpu);
    refused(&Tensor::zeros([3, 64, 64], options), Mode::Eval);
    refused(&Tensor::zeros([1, 1, 64, 64], options), Mode::Eval);
    refused(&Tensor::zeros([0, 3, 64, 64], options), Mode::Eval);
    refused(&Tensor::zeros([1, 3, 64, 64], (Kind::Uint8, Device::Cpu)), Mode::Eval);
    refused(&Tensor::zeros([1, 3, 64, 64], (Kind::Double, Device::Cpu)), Mode::Eval);
    refused(&Tensor::new(), Mode::Eval);
    refused(&Tensor::zeros([1, 3, 32, 32], options), train);
    assert!(network.buffers().iter().all(|(name, t)| !name.ends_with("tracked") || t.int64_value(&[]) == 0));
    assert!(network.forward(&Tensor::zeros([1, 3, 32, 33], options), train).is_ok());
    assert!(network.forward(&Tensor::zeros([1, 3, 1, 1], options), Mode::Eval).is_ok());
}

#[test]
fn a_deep_copy_is_equal_and_shares_nothing() {
    let network = Network::new(Architecture::MobileNetV3Small, Head::None, 2, Device::Cpu).unwrap();
    network.to_channels_last().unwrap();
    let copy = network.deep_copy().unwrap();
    assert_eq!((copy.architecture(), copy.head()), (network.architecture(), network.head()));
    for ((name, a), (_, b)) in network.tensors().iter().zip(copy.tensors()) {
        assert_eq!(*a, b, "{name}");
        assert_eq!((a.stride(), a.requires_grad()), (b.stride(), b.requires_grad()), "{name}");
        assert_ne!(a.data_ptr(), b.data_ptr(), "{name}");
    }
    let before = network.features(&images(0, 2, 64, 64), Mode::Eval).unwrap();
    let _moved = copy.features(&images(0, 2, 64, 64), Mode::Train { noise: 0 }).unwrap();
    assert_eq!(network.features(&images(0, 2, 64, 64), Mode::Eval).unwrap(), before);
    assert_ne!(copy.features(&images(0, 2, 64, 64), Mode::Eval).unwrap(), before);
}

#[test]
fn feature_maps_are_torchvisions() {
    let golden = read_golden("anomaly.safetensors");
    for (architecture, names) in [
        (Architecture::ResNet10, &["layer1", "layer2", "layer3", "layer4"][..]),
        (Architecture::ResNet50, &["layer1", "layer2", "layer3", "layer4"]),
        (Architecture::MobileNetV2, &["features.1", "features.3", "features.6", "features.13", "features.17"]),
        (Architecture::MobileNetV3Small, &["features.1", "features.3", "features.8", "features.11"]),
        (Architecture::EfficientNetB0, &["features.1", "features.2", "features.3", "features.5", "features.7"]),
    ] {
        let network = classifier(architecture);
        fill(&network);
        let program = Fused::new(&network, Kind::Float, 1, 75, 101).unwrap();
        let stages = program.stages();
        assert_eq!(stages.iter().map(|stage| stage.name.as_str()).collect::<Vec<_>>(), names, "{architecture}");
        let images = images(5, 1, 75, 101);
        let twice = Tensor::cat(&[&images, &images], 0).contiguous();
        // All in one pass, then each alone, which ends earlier; two images go through one after the other.
        let all = program.maps(&twice, stages).unwrap();
        for (stage, map) in stages.iter().zip(&all) {
            let alone = program.maps(&images, std::slice::from_ref(stage)).unwrap();
            let sides = [75i64, 101].map(|side| (side + stage.stride - 1) / stage.stride);
            assert_eq!(alone[0].size(), [1, stage.channels, sides[0], sides[1]], "{architecture} {}", stage.name);
            for (what, axis) in [("rows", 2i64), ("columns", 1)] {
                let expected = &golden[&format!("{architecture}.{}.{what}", stage.name)];
                for map in [map.select(0, 1), alone[0].select(0, 0)] {
                    let found = map.mean_dim([axis].as_slice(), false, Kind::Float);
                    let error = relative(&found, expected);
                    assert!(error < TOLERANCE, "{architecture} {} {what}: {error:e}", stage.name);
                }
            }
        }
    }
}
