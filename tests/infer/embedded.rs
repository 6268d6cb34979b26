//! The embedded engine against libtorch: every architecture, every set of instructions that this CPU has, odd sizes, batches of any size;
//! the same bits for any number of threads.

use crate::pictures::{levels, normalised, students, trained};
use seed::ErrorKind;
use seed::config::{EngineConfig, EngineName};
use seed::data::Input;
use seed::engine::Engine;
use seed::engine::embedded::{Activation, Embedded, Level, Operation, Program, Step};
use seed::infer::{EmbeddedNetwork, EngineChoice, Output, Session, SessionOptions};
use seed::model::{Architecture, Fused, Head, Network};
use tch::{Device, Kind, Tensor};

const HEAD: Head = Head::Projection { hidden: 48, dim: 32 };

/// Images (B, 3, H, W), and the same as views (B, H, W, 3).
fn images(batch: i64, height: i64, width: i64) -> (Tensor, Vec<f32>) {
    let images = normalised(&levels(batch, height, width), &[0.5, 0.45, 0.4], &[0.2, 0.22, 0.25]);
    let views = Vec::<f32>::try_from(images.permute([0, 2, 3, 1]).contiguous().flatten(0, -1)).unwrap();
    (images.contiguous(), views)
}

fn input(height: i64, width: i64) -> Input {
    Input { width: width as u32, height: height as u32, ..Input::default() }
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    tensor.contiguous().flatten(0, -1).try_into().unwrap()
}

/// The largest difference over the largest number.
fn apart(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let largest = b.iter().fold(1e-12f32, |most, value| most.max(value.abs()));
    // NaN counts as the largest difference.
    let most = |most: f32, next: f32| if next <= most { most } else { next };
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, most) / largest
}

/// Odd ones, but whole patches where a network takes patches.
fn size(architecture: Architecture) -> (i64, i64) {
    match architecture {
        Architecture::ViT(_) => crate::pictures::size(architecture),
        _ => (61, 97),
    }
}

/// Rows and maps of `batch` images are libtorch's.
fn check(network: &Network, level: Level, batch: i64, (height, width): (i64, i64)) {
    let name = network.architecture().name();
    let (images, views) = images(batch, height, width);
    let engine = EmbeddedNetwork::new(network, &input(height, width), Output::Features, level, 2).unwrap();
    let fused = Fused::new(network, Kind::Float, 4, height, width).unwrap();
    let mut rows = vec![f32::NAN; batch as usize * network.feature_dim() as usize];
    engine.rows(&views, &mut rows).unwrap();
    let found = apart(&rows, &numbers(&fused.features(&images).unwrap()));
    assert!(found < 2e-5, "{name}, {level:?}, {batch} images of {height}×{width}: {found}");
    let stages: Vec<usize> = (0..fused.stages().len()).collect();
    let expected: Vec<Vec<f32>> = fused.maps(&images, fused.stages()).unwrap().iter().map(numbers).collect();
    let mut maps: Vec<Vec<f32>> = expected.iter().map(|map| vec![f32::NAN; map.len()]).collect();
    engine.maps(&views, &stages, &mut maps).unwrap();
    for ((map, expected), stage) in maps.iter().zip(&expected).zip(fused.stages()) {
        let found = apart(map, expected);
        assert!(found < 2e-5, "{name}, {level:?}, {}: {found}", stage.name);
    }
}

#[test]
fn every_architecture_gives_libtorchs_rows_and_maps() {
    for architecture in students() {
        check(&trained(architecture, HEAD), Level::best(), 3, size(architecture));
    }
}

#[test]
fn every_set_of_instructions_does() {
    let levels = Level::available();
    assert!(levels.contains(&Level::Portable) && levels.last() == Some(&Level::best()));
    for name in ["resnet10", "mobilenet_v2", "mobilenet_v3_small", "tf_efficientnet_b0", "vit_small_patch16"] {
        let architecture = Architecture::parse(name).unwrap();
        let network = trained(architecture, HEAD);
        for &level in &levels {
            for (batch, size) in [(1, size(architecture)), (5, crate::pictures::size(architecture))] {
                check(&network, level, batch, size);
            }
        }
    }
    let strange =
        [Level::Portable, Level::Avx2, Level::Avx512, Level::Neon].into_iter().find(|level| !levels.contains(level));
    let network = Network::new(Architecture::MobileNetV3Small, HEAD, 1, Device::Cpu).unwrap();
    // x86 never has NEON, ARM never AVX.
    let error = EmbeddedNetwork::new(&network, &input(64, 64), Output::Features, strange.unwrap(), 1).err().unwrap();
    assert!(error.kind() == ErrorKind::Unsupported && error.message().contains("this CPU does not have"), "{error}");
}

#[test]
fn rows_are_the_same_bits_for_any_threads_and_batch() {
    for name in ["resnet18", "mobilenet_v3_small", "vit_small_patch16"] {
        let architecture = Architecture::parse(name).unwrap();
        let network = trained(architecture, HEAD);
        let (height, width) = size(architecture);
        let (_, views) = images(33, height, width);
        let one = views.len() / 33;
        let by =
            |threads| EmbeddedNetwork::new(&network, &input(height, width), Output::Embedding, Level::best(), threads);
        let mut expected = vec![0f32; 33 * 32];
        by(1).unwrap().rows(&views, &mut expected).unwrap();
        for threads in [1, 2, 3, 7] {
            let engine = by(threads).unwrap();
            for batch in [33, 1, 3, 2, 16] {
                for (views, expected) in views.chunks(batch * one).zip(expected.chunks(batch * 32)).take(3) {
                    let mut rows = vec![0f32; expected.len()];
                    engine.rows(views, &mut rows).unwrap();
                    assert!(rows == expected, "{name}, {threads} threads, {batch} images");
                }
            }
        }
    }
}

#[test]
fn many_threads_share_an_engine() {
    let network = trained(Architecture::MobileNetV3Small, HEAD);
    let (_, views) = images(6, 64, 80);
    let one = views.len() / 6;
    let engine = EmbeddedNetwork::new(&network, &input(64, 80), Output::Embedding, Level::best(), 3).unwrap();
    let mut expected = vec![0f32; 6 * 32];
    engine.rows(&views, &mut expected).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..6 {
            let (engine, views, expected) = (&engine, &views, &expected);
            scope.spawn(move || {
                for lap in 0..10 {
                    let count = 1 + (thread + lap) % 6;
                    let mut rows = vec![0f32; count * 32];
                    engine.rows(&views[..count * one], &mut rows).unwrap();
                    assert!(rows == expected[..count * 32]);
                }
            });
        }
    });
}

#[test]
fn what_is_wrong_is_an_error() {
    let network = trained(Architecture::ResNet10, HEAD);
    let input = input(64, 64);
    let engine = EmbeddedNetwork::new(&network, &input, Output::Features, Level::best(), 1).unwrap();
    let mut row = vec![0f32; 512];
    let (_, mut views) = images(1, 64, 64);
    for (views, rows) in [(&views[..0], 0), (&views[1..], 512), (&views[..], 511), (&views[..], 1024)] {
        let error = engine.rows(views, &mut vec![0f32; rows]).unwrap_err();
        assert!(error.kind() == ErrorKind::InvalidArgument && error.message().contains("12288"), "{error}");
    }
    engine.rows(&views, &mut row).unwrap();
    // NaN goes through to the rows, where sessions refuse it.
    for level in Level::available() {
        let engine = EmbeddedNetwork::new(&network, &input, Output::Features, level, 1).unwrap();
        views[3 * (64 * 32 + 32)] = f32::NAN;
        engine.rows(&views, &mut row).unwrap();
        assert!(row.iter().all(|value| value.is_nan()), "{level:?}");
    }
    let choice = EngineChoice::of(&EngineConfig { name: EngineName::Embedded, ..EngineConfig::default() });
    let session =
        Session::new(&network, &input, SessionOptions { engine: choice, ..SessionOptions::default() }).unwrap();
    assert!(session.engine().starts_with("embedded ("), "{}", session.engine());
    let strange = Tensor::full([2, 3, 64, 64], f64::NAN, (Kind::Float, Device::Cpu));
    let error = session.embed_tensor(&strange).unwrap_err();
    assert!(error.kind() == ErrorKind::Mismatch && error.message().contains("image 0"), "{error}");
    let rough = SessionOptions { engine: choice, precision: Some(Kind::BFloat16), ..SessionOptions::default() };
    let error = Session::new(&network, &input, rough).unwrap_err();
    assert!(error.kind() == ErrorKind::Unsupported && error.message().contains("float32"), "{error}");
}

/// A convolution of one step.
fn convolution(image: [usize; 3], kernel: [usize; 2], groups: usize, outputs: usize) -> Program {
    let operation = Operation::Convolution {
        weight: vec![0.5; outputs * (image[2] / groups) * kernel[0] * kernel[1]],
        bias: vec![0.0; outputs],
        kernel,
        stride: 1,
        padding: [0; 4],
        groups,
        other: None,
        activation: Activation::Identity,
    };
    Program { image, steps: vec![Step { operation, input: 0 }] }
}

#[test]
fn programs_that_cannot_run_are_refused() {
    let refused = |program: Program| Embedded::new(program, Level::best(), 1).err().unwrap();
    let error = refused(convolution([8, 8, 3], [3, 3], 3, 3));
    assert!(error.kind() == ErrorKind::Unsupported, "{error}");
    assert!(error.message().contains("not supported by the embedded engine: operation convolution"), "{error}");
    let error = refused(convolution([2, 8, 3], [3, 3], 1, 4));
    assert!(error.kind() == ErrorKind::InvalidArgument && error.message().contains("2×8"), "{error}");
    let error = refused(convolution([1 << 31, 1 << 31, 3], [1, 1], 1, 4));
    assert!(error.kind() == ErrorKind::InvalidArgument && error.message().contains("too large"), "{error}");
    assert_eq!(refused(convolution([0, 8, 3], [1, 1], 1, 4)).kind(), ErrorKind::InvalidArgument);
    // Weights that are too few, and a value that is not there.
    let mut program = convolution([8, 8, 3], [3, 3], 1, 4);
    program.steps[0].input = 1;
    assert_eq!(refused(program).kind(), ErrorKind::Internal);
    let mut program = convolution([8, 8, 3], [3, 3], 1, 4);
    if let Operation::Convolution { weight, .. } = &mut program.steps[0].operation {
        weight.pop();
    }
    assert_eq!(refused(program).kind(), ErrorKind::Internal);
}
