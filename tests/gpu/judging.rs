//! Classifiers, detectors and exports that are made on the GPU.

use std::sync::Arc;

use seed::config::{Config, DetectorKind};
use seed::data::{Dataset, Frame, FrameView, Input, PixelFormat};
use seed::export::{ExportInput, Format, Options, Outputs, export};
use seed::infer::{AnomalyDetector, Classifier, Output, SessionOptions};
use seed::model::student_file::StudentHeader;
use seed::train::finetune::{Labelled, Start, Teachers, finetune_with};
use seed::train::{CancelToken, Control};

use crate::runs::*;
use crate::stand_in::Gpu;

/// Of `finetune`, by the mode, after four passes.
pub fn classifier(device: &str, mode: &str) -> Classifier {
    taught(device, mode, None, |_| ())
}

fn taught(device: &str, mode: &str, teacher: Option<Arc<Classifier>>, change: impl Fn(&mut Config)) -> Classifier {
    let mut config = config(device, 1);
    config.set_string("finetune.mode", mode).unwrap();
    (config.finetune.epochs, config.finetune.batch_size) = (4, 8);
    (config.finetune.held_out, config.finetune.penalty) = (0.25, 1.0);
    change(&mut config);
    let view = Input { width: 32, height: 32, ..Input::default() };
    let network = network(STUDENT, 3, CPU);
    let start = Start::student(&network, &StudentHeader::new(&network, &view)).unwrap();
    let labels: Vec<i32> = (0..IMAGES as i32).map(|image| if image < 20 { image % 2 } else { -1 }).collect();
    let names = ["across", "along"].map(str::to_owned);
    let images = Labelled { dataset: &dataset(), labels: &labels, names: &names };
    let teachers = Teachers { anchor: None, classifier: teacher };
    finetune_with(&config, start, teachers, &images, &CancelToken::new(), |_| Control::Continue).unwrap().0
}

fn weights(classifier: &Classifier) -> tch::Tensor {
    let state = classifier.network().unwrap().to_state().unwrap();
    let floats = state.iter().filter(|(_, tensor)| tensor.dtype == seed::model::weights::HostType::F32);
    tch::Tensor::cat(&floats.map(|(_, tensor)| tensor.to_tensor().unwrap().flatten(0, -1)).collect::<Vec<_>>(), 0)
}

#[test]
fn fine_tuning_gives_the_cpus_classifier() {
    let _gpu = Gpu::take();
    let linear = Arc::new(classifier(CPU, "linear"));
    let ways: [(&str, &str, Option<Arc<Classifier>>, Change); 4] = [
        ("linear", "linear", None, |_| ()),
        ("full", "full", None, |_| ()),
        ("anchored", "full", None, |config| config.finetune.anchor = 0.5),
        ("by a teacher's classifier", "full", Some(linear), |_| ()),
    ];
    for (what, mode, teacher, change) in ways {
        let [cpu, gpu] = [CPU, GPU].map(|device| weights(&taught(device, mode, teacher.clone(), change)));
        let apart = apart(&cpu, &gpu);
        // The anchor's loss is summed in another order on a GPU.
        assert!(apart <= if what == "anchored" { 2e-3 } else { 0.0 }, "{what}: {apart:e}");
    }
}

fn parts() -> Dataset {
    let dataset = Dataset::in_memory();
    for number in 0..24 {
        dataset.push_frame(&number.to_string(), Frame::new(64, 64, 1, part(number, false)).unwrap()).unwrap();
    }
    dataset
}

/// A smooth part, with a bright bar where it is damaged.
fn part(number: usize, damaged: bool) -> Vec<u8> {
    let level = |x: usize, y: usize| {
        let shade = 110.0 + 20.0 * ((x as f32 / 30.0 + number as f32).sin() + (y as f32 / 25.0).cos());
        if damaged && (20..26).contains(&x) && (10..40).contains(&y) { 250 } else { shade as u8 }
    };
    (0..64 * 64).map(|place| level(place % 64, place / 64)).collect()
}

#[test]
fn detectors_learn_and_judge_alike() {
    let _gpu = Gpu::take();
    for kind in [DetectorKind::PatchCore, DetectorKind::Stfpm] {
        let found = [CPU, GPU].map(|device| {
            let mut config = config(device, 1);
            config.anomaly.kind = kind;
            (config.anomaly.epochs, config.anomaly.batch_size, config.anomaly.held_out) = (3, 4, 0.25);
            (config.anomaly.memory_share, config.anomaly.memory_min) = (0.2, 0);
            let view = Input { width: 64, height: 64, ..Input::default() };
            let options = SessionOptions::of(&config, Output::Features).unwrap();
            let network = network("resnet10", 5, device);
            let detector = AnomalyDetector::fit(&network, &view, &config, options, &parts(), &mut |_, _| true).unwrap();
            if kind == DetectorKind::PatchCore {
                detector.add(&parts(), &config, &CancelToken::new(), &mut |_, _| true).unwrap();
            }
            let pixels = [part(40, false), part(41, true)];
            let frames = pixels.each_ref().map(|p| FrameView::new(p, 64, 64, 64, PixelFormat::Mono8).unwrap());
            let judged = detector.judge(&frames, true).unwrap();
            assert!(judged[1].score > judged[0].score, "{kind:?} on {device}");
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("detector.safetensors");
            detector.save(&path).unwrap();
            let again = AnomalyDetector::open(&path, options).unwrap().judge(&frames, false).unwrap();
            assert!((again[1].score - judged[1].score).abs() < 1e-4 * judged[1].score);
            [vec![judged[0].score, judged[1].score], judged[1].map.clone()].concat()
        });
        let [cpu, gpu] = found.map(|numbers| tch::Tensor::from_slice(&numbers));
        let apart = apart(&cpu, &gpu);
        assert_eq!(apart, 0.0, "{kind:?}: bit for bit");
    }
}

#[test]
fn a_network_on_the_gpu_is_exported_byte_for_byte() {
    let _gpu = Gpu::take();
    let folder = tempfile::tempdir().unwrap();
    for format in [Format::Onnx, Format::TorchScript, Format::Torchvision] {
        let options = Options { format, input: ExportInput::Bytes, outputs: Outputs::Both };
        let files = [CPU, GPU].map(|device| {
            // As seed_student_export does it: a copy on the CPU is written.
            let mut network = network("mobilenet_v3_small", 7, device).deep_copy().unwrap();
            network.to_device(tch::Device::Cpu).unwrap();
            let view = Input { width: 64, height: 64, ..Input::default() };
            let path = folder.path().join("student");
            export(&path, &network, &StudentHeader::new(&network, &view), &options).unwrap();
            std::fs::read(path).unwrap()
        });
        assert!(files[0] == files[1], "{format:?}");
    }
}
