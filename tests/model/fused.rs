//! Networks as fused programs against the same networks layer by layer: every architecture, trained running statistics,
//! odd sizes, batches that do not divide into pieces.

use seed::model::{Architecture, Fused, Head, Mode, Network, Teacher};
use tch::{Device, Kind, Tensor};

/// A network whose running statistics are those of real activations, so that folding has something to fold.
fn trained(architecture: Architecture) -> Network {
    let network = Network::new(architecture, Head::Projection { hidden: 48, dim: 32 }, 5, Device::Cpu).unwrap();
    let _no_grad = tch::no_grad_guard();
    for step in 0..3 {
        // Random images in [-1, 1], brighter from step to step.
        let images = waves(8, 64, 64, step) + 0.1 * step as f64;
        let _output = network.forward(&images, Mode::Train { noise: step }).unwrap();
    }
    network
}

/// Smooth and different images, (batch, 3, height, width), channels-last.
fn waves(batch: i64, height: i64, width: i64, phase: u64) -> Tensor {
    let count = batch * height * width * 3;
    let values: Vec<f32> = (0..count)
        .map(|i| {
            let (pixel, image) = ((i % (height * width * 3)) as f32, (i / (height * width * 3)) as f32);
            (pixel * (0.013 + 0.007 * image) + phase as f32).sin() + 0.3 * (pixel * 0.71).cos()
        })
        .collect();
    Tensor::from_slice(&values).view([batch, height, width, 3]).permute([0, 3, 1, 2])
}

fn cosine(a: &Tensor, b: &Tensor) -> f64 {
    Tensor::cosine_similarity(a, b, 1, 1e-12).min().double_value(&[])
}

#[test]
fn a_fused_network_is_the_network() {
    // The largest differ from others in depth and width only, which tests/model/models.rs checks; tests/model/vits.rs has transformers.
    let convolutional = Architecture::all().iter().filter(|network| !matches!(network, Architecture::ViT(_)));
    for &architecture in convolutional.filter(|network| network.feature_dim() <= 2048) {
        let network = trained(architecture);
        let _no_grad = tch::no_grad_guard();
        let exact = Fused::new(&network, Kind::Float, 2, 64, 96).unwrap();
        let rough = Fused::new(&network, Kind::BFloat16, 2, 64, 96).unwrap();
        // Five images in pieces of two; then a size that the weights were not packed for.
        for images in [waves(5, 64, 96, 9), waves(3, 50, 33, 4)] {
            let features = network.features(&images, Mode::Eval).unwrap();
            let output = network.forward(&images, Mode::Eval).unwrap();
            let scale = features.abs().max().double_value(&[]);
            let error = (exact.features(&images).unwrap() - &features).abs().max().double_value(&[]) / scale;
            assert!(error < 1e-4, "{architecture}: features differ by {error} of the largest");
            let similarity = cosine(&exact.forward(&images).unwrap(), &output);
            assert!(similarity > 0.99999, "{architecture}: {similarity}");
            let similarity = cosine(&rough.features(&images).unwrap(), &features);
            assert!(similarity > 0.99, "{architecture} in bfloat16: {similarity}");
        }
    }
}

#[test]
fn a_fused_network_is_a_copy() {
    let network = trained(Architecture::MobileNetV3Small);
    let fused = Fused::new(&network, Kind::Float, 4, 64, 64).unwrap();
    let images = waves(4, 64, 64, 1);
    let before = fused.forward(&images).unwrap();
    {
        let _no_grad = tch::no_grad_guard();
        for (_, mut tensor) in network.parameters() {
            let _same = tensor.zero_();
        }
    }
    assert_eq!(before, fused.forward(&images).unwrap());
}

#[test]
fn a_teacher_keeps_its_program() {
    let teacher = Teacher::new(trained(Architecture::ResNet18)).unwrap();
    for (height, width) in [(64, 64), (64, 64), (32, 48)] {
        let images = waves(3, height, width, 2);
        let plain = teacher.embed(&images).unwrap();
        let error = (teacher.embed_fused(&images, Kind::Float).unwrap() - &plain).abs().max().double_value(&[]);
        assert!(error < 1e-5, "{error}");
        assert!(cosine(&teacher.embed_fused(&images, Kind::BFloat16).unwrap(), &plain) > 0.99);
        assert_eq!(
            teacher.embed_fused(&images, Kind::Float).unwrap(),
            teacher.embed_fused(&images, Kind::Float).unwrap()
        );
    }
    assert!(teacher.embed_fused(&Tensor::zeros([3], (Kind::Float, Device::Cpu)), Kind::Float).is_err());
}

#[test]
fn several_threads_run_one_program() {
    let fused = Fused::new(&trained(Architecture::MobileNetV3Small), Kind::Float, 2, 64, 64).unwrap();
    let expected: Vec<Vec<f32>> =
        (0..4).map(|i| Vec::try_from(fused.forward(&waves(3, 64, 64, i)).unwrap().flatten(0, -1)).unwrap()).collect();
    std::thread::scope(|scope| {
        for (i, expected) in expected.iter().enumerate() {
            let fused = &fused;
            scope.spawn(move || {
                for _ in 0..10 {
                    let found = fused.forward(&waves(3, 64, 64, i as u64)).unwrap().flatten(0, -1);
                    assert_eq!(&Vec::<f32>::try_from(found).unwrap(), expected);
                }
            });
        }
    });
}

#[test]
fn misuse_is_an_error() {
    let network = Network::new(Architecture::ResNet18, Head::None, 0, Device::Cpu).unwrap();
    assert!(Fused::new(&network, Kind::Double, 1, 32, 32).is_err());
    let fused = Fused::new(&network, Kind::Float, 1, 32, 32).unwrap();
    assert!(fused.features(&Tensor::zeros([1, 1, 32, 32], (Kind::Float, Device::Cpu))).is_err());
    assert!(fused.features(&Tensor::zeros([0, 3, 32, 32], (Kind::Float, Device::Cpu))).is_err());
}
