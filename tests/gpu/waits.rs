//! No step waits for the device: nothing is read back, no copy blocks, and all memory that is copied is page-locked.

use std::sync::Arc;

use seed::config::{Config, DetectorKind, FinetuneMode};
use seed::data::{Dataset, Frame, FrameView, Input, PixelFormat};
use seed::distill::{Bank, ImageEmbeddings, ImageTargets};
use seed::infer::{AnomalyDetector, Output, Session, SessionOptions};
use seed::model::student_file::StudentHeader;
use seed::model::{Architecture, Head, Network};
use seed::train::finetune::{Labelled, Start, finetune};
use seed::train::{CancelToken, Control, Distillation, fill_bank};
use tch::{Device, Kind, Tensor};

use crate::runs::*;
use crate::sessions::{options, view};
use crate::stand_in::{Event, Gpu};

/// What four more steps add to the waits of two, which are those of the reports after the first and the last step.
pub fn added(gpu: &Gpu, run: &mut Distillation) -> Vec<(Event, i64)> {
    let waits_of = |run: &mut Distillation, steps: u64| {
        gpu.reset();
        losses(run, Some(steps)).unwrap();
        assert!(gpu.count(Event::Kernel) > 100 && gpu.count(Event::ToDevicePinned) > 0, "no step was made");
        gpu.waits()
    };
    losses(run, Some(2)).unwrap();
    let (two, six) = (waits_of(run, 2), waits_of(run, 6));
    let of = |waits: &[(Event, u64)], event| waits.iter().find(|(e, _)| *e == event).map_or(0, |(_, n)| *n as i64);
    let more = six.iter().map(|&(event, count)| (event, count as i64 - of(&two, event)));
    more.filter(|(_, count)| *count != 0).collect()
}

fn quiet_config() -> Config {
    Config { progress_every: 1000, ..config(GPU, 20) }
}

#[test]
fn no_student_waits() {
    let gpu = Gpu::take();
    for name in [STUDENT, "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0", "vit_small_patch16"] {
        let config = Config { head_dropout: 0.3, learning_rate: 0.05, ..quiet_config() };
        let found = added(&gpu, &mut run_of(&config, network(name, 1, GPU), teacher(GPU)));
        assert!(found.is_empty(), "{name}: {found:?}");
    }
}

#[test]
fn no_way_to_make_a_batch_waits() {
    let gpu = Gpu::take();
    let ways: [(&str, Change); 9] = [
        ("accumulation", |config| config.accumulation_steps = 3),
        ("clip", |config| config.clip_norm = 0.05),
        ("views on the device", |config| config.set_string("view.device", "device").unwrap()),
        ("small views", |config| (config.small.count, config.small.size) = (2, 16)),
        ("the mean of its students", |config| config.student_average = 0.9),
        ("mixed images", |config| config.mixup = 1.0),
        ("patch similarity", |config| (config.patch.weight, config.patch.stride) = (1.0, 8)),
        ("standardised targets", |config| config.set_string("targets.standardise", "whiten").unwrap()),
        ("bfloat16", |config| config.set_string("precision", "bf16").unwrap()),
    ];
    for (what, change) in ways {
        let mut config = quiet_config();
        change(&mut config);
        let found = added(&gpu, &mut run(&config, teacher(GPU)));
        assert!(found.is_empty(), "{what}: {found:?}");
    }
    for views in ["workers", "device"] {
        let mut config = quiet_config();
        config.view.input.channels = 1;
        config.set_string("view.device", views).unwrap();
        let (architecture, head) = (Architecture::parse(STUDENT).unwrap(), Head::Projection { hidden: 0, dim: DIM });
        let mut student = Network::with_channels(architecture, head, 1, 1, Device::Cpu).unwrap();
        student.to_device(Device::Cuda(0)).unwrap();
        let found = added(&gpu, &mut run_of(&config, student, teacher(GPU)));
        assert!(found.is_empty(), "grey, views by {views}: {found:?}");
    }
}

#[test]
fn no_stored_target_waits() {
    let gpu = Gpu::take();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bank");
    let config = Config { view_count: 2, ..quiet_config() };
    fill_bank(&path, &config, &teacher(GPU), &dataset(), None, &CancelToken::new(), |_| Control::Continue).unwrap();
    let found = added(&gpu, &mut run(&config, Arc::new(Bank::open(&path).unwrap())));
    assert!(found.is_empty(), "bank: {found:?}");
    let numbers: Vec<f32> = (0..IMAGES * DIM as usize).map(|i| (i as f32 * 0.7).sin()).collect();
    let rows = Arc::new(ImageEmbeddings::new(&numbers, DIM as usize).unwrap());
    let targets = Arc::new(ImageTargets::new(rows, &dataset()).unwrap());
    let found = added(&gpu, &mut run(&quiet_config(), targets));
    assert!(found.is_empty(), "embeddings: {found:?}");
}

/// Stripes with a label each, so many of them.
pub fn labelled(images: usize) -> (Arc<Dataset>, Vec<i32>) {
    let dataset = Dataset::in_memory();
    for number in 0..images {
        dataset.push_frame(&number.to_string(), Frame::new(36, 36, 1, pixels(number, 36)).unwrap()).unwrap();
    }
    (Arc::new(dataset), (0..images as i32).map(|image| image % 2).collect())
}

#[test]
fn fine_tuning_does_not_wait() {
    let gpu = Gpu::take();
    let waits_of = |images: usize| {
        let (dataset, labels) = labelled(images);
        let mut config = config(GPU, 1);
        config.finetune.mode = FinetuneMode::Full;
        (config.finetune.epochs, config.finetune.batch_size) = (2, 8);
        (config.finetune.held_out, config.finetune.penalty) = (0.0, 1.0);
        let view = Input { width: 32, height: 32, ..Input::default() };
        let network = network(STUDENT, 3, CPU);
        let start = Start::student(&network, &StudentHeader::new(&network, &view)).unwrap();
        let names = ["across", "along"].map(str::to_owned);
        let images = Labelled { dataset: &dataset, labels: &labels, names: &names };
        gpu.reset();
        finetune(&config, start, None, &images, &CancelToken::new(), |_| Control::Continue).unwrap();
        gpu.waits()
    };
    // Four steps and six; the images go through the backbone in one piece before that.
    assert_eq!(waits_of(16), waits_of(24));
}

#[test]
fn learning_maps_does_not_wait() {
    let gpu = Gpu::take();
    let waits_of = |images: usize| {
        let (good, _) = labelled(images);
        let mut config = config(GPU, 1);
        config.anomaly.kind = DetectorKind::Stfpm;
        (config.anomaly.epochs, config.anomaly.batch_size, config.anomaly.held_out) = (2, 4, 0.0);
        let view = Input { width: 32, height: 32, ..Input::default() };
        let options = SessionOptions::of(&config, Output::Features).unwrap();
        let network = network("resnet10", 5, GPU);
        gpu.reset();
        AnomalyDetector::fit(&network, &view, &config, options, &good, &mut |_, _| true).unwrap();
        gpu.waits()
    };
    assert_eq!(waits_of(8), waits_of(16));
}

#[test]
fn a_session_copies_in_once_and_out_once_and_waits_once() {
    let gpu = Gpu::take();
    for name in ["mobilenet_v3_small", "vit_small_patch16"] {
        let network = network(name, 7, CPU);
        for output in [Output::Embedding, Output::Features] {
            let session = Session::new(&network, &view(), options(Device::Cuda(0), output)).unwrap();
            for count in [1, 5] {
                let pictures: Vec<Vec<u8>> = (0..count).map(|number| pixels(number, 36)).collect();
                let frames: Vec<_> = pictures
                    .iter()
                    .map(|picture| FrameView::new(picture, 36, 36, 36, PixelFormat::Mono8).unwrap())
                    .collect();
                session.embed(&frames).unwrap();
                gpu.reset();
                session.embed(&frames).unwrap();
                assert_eq!(gpu.waits(), [(Event::StreamWait, 1)], "{name} {output:?} {count}");
                assert_eq!((gpu.count(Event::ToDevicePinned), gpu.count(Event::ToHostPinned)), (1, 1));
            }
        }
    }
}

#[test]
fn images_on_the_gpu_are_embedded_there() {
    let gpu = Gpu::take();
    let session =
        Session::new(&network("mobilenet_v3_small", 7, CPU), &view(), options(Device::Cuda(0), Output::Embedding));
    let session = session.unwrap();
    let bytes = Tensor::from_slice(&pixels(3, 60)).view([1, 60, 60, 1]).to_device(Device::Cuda(0));
    gpu.reset();
    let _rows = session.embed_tensor(&bytes).unwrap();
    // Whether the rows are numbers is read back; nothing else is.
    assert_eq!(gpu.waits(), [(Event::Item, 1)]);
}

#[test]
fn a_teacher_is_hashed_once_and_with_one_wait() {
    let gpu = Gpu::take();
    let teacher = teacher(GPU);
    gpu.reset();
    let identity = teacher.identity().unwrap();
    assert_eq!(gpu.waits(), [(Event::StreamWait, 1)], "all copies are queued before the host waits for them");
    gpu.reset();
    assert_eq!(teacher.identity().unwrap(), identity);
    assert_eq!(gpu.waits(), []);
    assert_eq!(crate::runs::teacher(CPU).identity().unwrap(), identity);
}

#[test]
fn pinned_copies_keep_how_a_batch_lies() {
    let gpu = Gpu::take();
    let nhwc = Tensor::arange(2 * 3 * 4 * 5, (Kind::Float, Device::Cpu)).view([2, 4, 5, 3]).permute([0, 3, 1, 2]);
    let expanded = Tensor::from_slice(&[1f32, 2.0]).view([2, 1]).expand([2, 3], false);
    for tensor in [&nhwc, &nhwc.contiguous(), &expanded, &nhwc.narrow(2, 1, 2)] {
        gpu.reset();
        let copy = seed::torch::copy_to(tensor, Device::Cuda(0)).unwrap();
        assert_eq!((gpu.waits(), gpu.count(Event::ToDevicePinned)), (vec![], 1));
        // One pass on the host, none on the device.
        assert_eq!(gpu.count(Event::OnDevice), 0);
        let back = seed::torch::copy_to(&copy, Device::Cpu).unwrap();
        assert!(back == *tensor, "{tensor:?}");
        if *tensor == nhwc && tensor.is_contiguous() == nhwc.is_contiguous() {
            assert_eq!((copy.stride(), back.stride()), (nhwc.stride(), nhwc.stride()));
        }
    }
}
