//! Sessions on the GPU: every output is the CPU's, threads share them, and what they give can be looked at on either side.

use std::sync::Arc;

use seed::config::Config;
use seed::data::{FrameView, Input, PixelFormat, Resize};
use seed::eval::{DriftReference, Embeddings, FidelityConfig};
use seed::gate::{GateConfig, judge};
use seed::infer::{Classifier, Output, Session, SessionOptions};
use seed::model::student_file::{StudentHeader, save_student};
use seed::model::{Architecture, Head, Network};
use tch::{Device, Kind, Tensor};

use crate::runs::*;
use crate::stand_in::{Event, Gpu};

const NAMES: [&str; 5] = ["resnet10", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0", "vit_small_patch16"];

pub fn view() -> Input {
    Input { width: 48, height: 32, ..Input::default() }
}

pub fn options(device: Device, output: Output) -> SessionOptions {
    SessionOptions { device, output, ..SessionOptions::default() }
}

/// Pixels, width, height and format.
type Picture = (Vec<u8>, u32, u32, PixelFormat);

/// Frames of several sizes, each with a texture of its own.
fn frames() -> Vec<Picture> {
    let texture = |number: usize, at: usize| ((at * (2 * number + 7) + number * number * 31) % 251) as u8;
    (0..5)
        .map(|number| {
            let (width, height) = (50 + 3 * number as u32, 70 - number as u32);
            let (format, channels) = [(PixelFormat::Rgb8, 3), (PixelFormat::Mono8, 1)][number % 2];
            let pixels = (0..(width * height * channels) as usize).map(|at| texture(number, at)).collect();
            (pixels, width, height, format)
        })
        .collect()
}

fn views(frames: &[Picture]) -> Vec<FrameView<'_>> {
    frames
        .iter()
        .map(|(pixels, width, height, format)| {
            FrameView::new(pixels, *width, *height, pixels.len() / *height as usize, *format).unwrap()
        })
        .collect()
}

/// The largest difference of the largest number.
fn relative(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let largest = a.iter().fold(1e-6f32, |most, value| most.max(value.abs()));
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / largest
}

#[test]
fn every_output_of_every_family_is_the_cpus() {
    let gpu = Gpu::take();
    let frames = frames();
    let frames = views(&frames);
    for name in NAMES {
        let network = network(name, 7, CPU);
        for output in [Output::Features, Output::Embedding] {
            let rows = [Device::Cpu, Device::Cuda(0), Device::Cuda(1)].map(|device| {
                let session = Session::new(&network, &view(), options(device, output)).unwrap();
                assert_eq!(session.device(), device);
                session.embed(&frames).unwrap()
            });
            for other in &rows[1..] {
                let apart = relative(&rows[0], other);
                assert!(apart < 1e-4, "{name} {output:?}: {apart:e}");
            }
        }
        let maps = [Device::Cpu, Device::Cuda(0)].map(|device| {
            let session = Session::new(&network, &view(), options(device, Output::Features)).unwrap();
            let names: Vec<String> = session.stages().iter().map(|stage| stage.name.clone()).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let maps = session.feature_maps(&frames, &names).unwrap();
            assert!(maps.iter().all(|map| map.device() == device));
            maps.into_iter().map(|map| map.to_device(Device::Cpu)).collect::<Vec<Tensor>>()
        });
        for (cpu, gpu) in maps[0].iter().zip(&maps[1]) {
            assert!(apart(cpu, gpu) < 1e-4, "{name}");
        }
    }
    assert_eq!((gpu.taken(0), gpu.taken(1)), (0, 0), "a session's memory goes with it");
}

#[test]
fn bfloat16_keeps_the_direction() {
    let _gpu = Gpu::take();
    let frames = frames();
    let frames = views(&frames);
    let network = network("resnet10", 7, CPU);
    let exact = Session::new(&network, &view(), options(Device::Cuda(0), Output::Embedding)).unwrap();
    let rough = SessionOptions { precision: Some(Kind::BFloat16), ..options(Device::Cuda(0), Output::Embedding) };
    let rough = Session::new(&network, &view(), rough).unwrap();
    assert_eq!(rough.describe(), "cuda:0, bfloat16");
    let rows = [&exact, &rough].map(|session| Tensor::from_slice(&session.embed(&frames).unwrap()).view([-1, DIM]));
    let cosine = Tensor::cosine_similarity(&rows[0], &rows[1], 1, 1e-12).min().double_value(&[]);
    assert!(cosine > 0.999 && rows[0] != rows[1], "{cosine}");
}

#[test]
fn threads_share_a_session_and_files_and_data_sets_serve_it() {
    let _gpu = Gpu::take();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("student.safetensors");
    let network = network("mobilenet_v3_small", 7, GPU);
    save_student(&path, &network, &StudentHeader::new(&network, &view())).unwrap();
    let session = Session::open(&path, options(Device::Cuda(0), Output::Embedding)).unwrap();
    let on_cpu = Session::open(&path, options(Device::Cpu, Output::Embedding)).unwrap();
    let frames = frames();
    let frames = views(&frames);
    let wanted = on_cpu.embed(&frames).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..3 {
                    assert!(relative(&wanted, &session.embed(&frames).unwrap()) < 1e-4);
                }
            });
        }
    });
    let rows = [&on_cpu, &session].map(|session| session.embed_dataset(&dataset(), 7, 1, &mut |_, _| true).unwrap());
    assert!(relative(&rows[0], &rows[1]) < 1e-4);
}

#[test]
fn a_teacher_on_the_gpu_is_a_session() {
    let _gpu = Gpu::take();
    let frames = frames();
    let frames = views(&frames);
    let rows = [CPU, GPU].map(|device| {
        let options = options(seed::device::parse(device).unwrap(), Output::Embedding);
        Session::of_teacher(&teacher(device), &view(), options).unwrap().embed(&frames).unwrap()
    });
    assert!(relative(&rows[0], &rows[1]) < 1e-4);
}

#[test]
fn classifiers_answer_alike() {
    let _gpu = Gpu::take();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("classifier.safetensors");
    let classifier = crate::judging::classifier(GPU, "linear");
    classifier.save(&path).unwrap();
    let frames = frames();
    let frames = views(&frames);
    let answers = [CPU, GPU].map(|device| {
        let options = SessionOptions::of(&Config { device: device.to_owned(), ..config(device, 1) }, Output::Logits);
        Classifier::open(&path, options.unwrap()).unwrap().classify(&frames).unwrap().probabilities().to_vec()
    });
    assert!(relative(&answers[0], &answers[1]) < 1e-4);
}

#[test]
fn images_that_are_tensors_may_lie_on_either_side() {
    let _gpu = Gpu::take();
    let network = network("mobilenet_v3_small", 7, CPU);
    let texture: Vec<u8> = (0..2 * 41 * 57 * 3usize).map(|i| ((i * 37 % 251) ^ (i / 97 % 64)) as u8).collect();
    for resize in [Resize::Whole, Resize::Letterbox, Resize::Centre] {
        let view = Input { resize, ..view() };
        let bytes = Tensor::from_slice(&texture).view([2, 41, 57, 3]);
        let numbers = Tensor::from_slice(&texture).narrow(0, 0, 2 * 3 * 32 * 48).view([2, 3, 32, 48]);
        let numbers = numbers.to_kind(Kind::Float) / 127.0 - 1.0;
        let grey = Tensor::from_slice(&texture).narrow(0, 0, 2 * 41 * 57).view([2, 41, 57, 1]);
        let half = numbers.to_kind(Kind::Half);
        for images in [bytes, grey, numbers, half] {
            let on_cpu = Session::new(&network, &view, options(Device::Cpu, Output::Embedding)).unwrap();
            let wanted = on_cpu.embed_tensor(&images).unwrap();
            for (session, from) in [(0, None), (0, Some(0)), (0, Some(1)), (1, Some(0))] {
                let session = Session::new(&network, &view, options(Device::Cuda(session), Output::Embedding)).unwrap();
                let images = from.map_or(images.shallow_clone(), |index| images.to_device(Device::Cuda(index)));
                let rows = session.embed_tensor(&images).unwrap();
                assert_eq!(rows.device(), session.device());
                let apart = apart(&wanted, &rows.to_device(Device::Cpu));
                assert!(apart < 1e-4, "{resize:?} {images:?}: {apart:e}");
            }
            let rows = on_cpu.embed_tensor(&images.to_device(Device::Cuda(0))).unwrap();
            assert_eq!(rows.device(), Device::Cpu);
            assert!(apart(&wanted, &rows) < 1e-4, "a session on the CPU takes images of the GPU");
        }
    }
}

#[test]
fn drift_and_gate_judge_sessions_on_the_gpu_as_those_on_the_cpu() {
    let _gpu = Gpu::take();
    let labels: Vec<i64> = (0..IMAGES as i64).map(|image| image % 2).collect();
    let config = GateConfig {
        fidelity: FidelityConfig { k: 3, ..FidelityConfig::default() },
        latency_factor: 1e6,
        latency_frames: 1,
        k: 3,
        workers: 1,
        ..GateConfig::default()
    };
    let found = [Device::Cpu, Device::Cuda(0)].map(|device| {
        let session = |name: &str, seed: u64| {
            let architecture = Architecture::parse(name).unwrap();
            let network =
                Network::new(architecture, Head::Projection { hidden: 0, dim: DIM }, seed, Device::Cpu).unwrap();
            Arc::new(Session::new(&network, &view(), options(device, Output::Embedding)).unwrap())
        };
        let (old, new, teacher) = (session(STUDENT, 1), session(STUDENT, 3), session("resnet10", 2));
        let verdict = judge(&old, &new, &teacher, &dataset(), &dataset(), &labels, &config, &mut |_, _| true).unwrap();
        let rows = teacher.embed_dataset(&dataset(), 8, 1, &mut |_, _| true).unwrap();
        let rows = Embeddings::new(&rows, DIM as usize).unwrap();
        let drift = DriftReference::new(&rows).unwrap();
        let batch = rows.select(&[0, 2, 4, 6]).unwrap();
        let signal = drift.signal(&Embeddings::new(&batch, DIM as usize).unwrap()).unwrap();
        [verdict.kl.old, verdict.kl.new, verdict.overlap.old, verdict.recall.new, signal.energy, signal.nearest]
    });
    for (cpu, gpu) in found[0].iter().zip(&found[1]) {
        assert!((cpu - gpu).abs() < 1e-3 * cpu.abs().max(1e-2), "{found:?}");
    }
}

#[test]
fn memory_and_names_of_devices_are_told() {
    let gpu = Gpu::take();
    assert_eq!(seed::machine::cuda_count().unwrap(), 2);
    assert_eq!(seed::machine::name("cuda:1").unwrap(), "Pretend GPU 1");
    assert_eq!(seed::machine::name("auto").unwrap(), "Pretend GPU 0");
    assert_eq!(seed::device::parse("cuda:2").unwrap_err().kind(), seed::ErrorKind::Device);
    let before = seed::machine::memory("cuda:1").unwrap();
    let tensor = Tensor::zeros([1 << 20], (Kind::Float, Device::Cuda(1)));
    let after = seed::machine::memory("cuda:1").unwrap();
    // The allocator may hand out a block that is a little larger.
    assert!(before.device_taken == 0 && (4 << 20..=5 << 20).contains(&after.device_taken), "{after:?}");
    assert_eq!(before.device_free - after.device_free, after.device_taken);
    assert_eq!(after.device_total, 8 << 30);
    assert_eq!(gpu.taken(0), 0);
    drop(tensor);
    assert_eq!(gpu.taken(1), 0);
    assert_eq!(gpu.count(Event::Item), 0);
}
