//! Teachers that are no network of ours, for a run on the GPU.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use seed::device::parse;
use seed::model::{Application, ApplicationOptions, BatchFormat, Teacher, TorchScript};
use tch::{Device, Kind, Tensor};

use crate::golden::golden;
use crate::runs::*;
use crate::stand_in::Gpu;

/// Means over the image's halves of each channel, of numbers (B, 3, H, W): (B, 6).
fn halves(nchw: &Tensor) -> Tensor {
    let halves = [0, 1].map(|half| {
        let height = nchw.size()[2] / 2;
        nchw.narrow(2, half * height, height).mean_dim([2i64, 3].as_slice(), false, Kind::Float)
    });
    Tensor::cat(&halves, 1) - 0.05
}

/// An engine that sees batches on `at`, and how often it was asked.
fn engine(format: BatchFormat, at: Device, device: Device) -> (Arc<Teacher>, Arc<AtomicU64>) {
    let calls = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&calls);
    let embed = move |images: &Tensor, embeddings: &Tensor| {
        assert_eq!((images.device(), embeddings.device()), (at, at));
        assert!(images.is_contiguous() && embeddings.is_contiguous());
        counted.fetch_add(1, Ordering::Relaxed);
        let rows = match format {
            BatchFormat::FloatNchw => halves(images),
            BatchFormat::BytesNhwc => halves(&(images.permute([0, 3, 1, 2]).to_kind(Kind::Float) / 255.0 - 0.5)),
        };
        embeddings.shallow_clone().copy_(&rows);
        Ok(())
    };
    let view = config(CPU, 1).view.input;
    let identity = "an engine, version 1".to_owned();
    let options = ApplicationOptions { dim: 6, identity, format, at, device, mean: view.mean, std: view.std };
    (Arc::new(Teacher::from_embedder(Application::new(Box::new(embed), options).unwrap())), calls)
}

#[test]
fn callbacks_see_batches_where_they_want_them() {
    let _gpu = Gpu::take();
    for format in [BatchFormat::FloatNchw, BatchFormat::BytesNhwc] {
        for on_device in [false, true] {
            let apart = devices_apart(&format!("{format:?}, on the device: {on_device}"), |device| {
                let device = parse(device).unwrap();
                let (teacher, calls) = engine(format, if on_device { device } else { Device::Cpu }, device);
                let name = if device == Device::Cpu { CPU } else { GPU };
                let mut config = config(name, 4);
                config.set_string("queue.fill", "noise").unwrap();
                let student = seed::model::Network::new(
                    seed::model::Architecture::parse(STUDENT).unwrap(),
                    seed::model::Head::Projection { hidden: 0, dim: 6 },
                    1,
                    Device::Cpu,
                );
                let mut student = student.unwrap();
                student.to_device(device).unwrap();
                let run = run_of(&config, student, teacher);
                assert_eq!(calls.load(Ordering::Relaxed), 0);
                run
            });
            assert!(apart < 2e-3, "{format:?} {on_device}: {apart:e}");
        }
    }
}

/// On the CPU the row is looked at before the student learns from it; on a GPU, where that would wait in each step, the loss tells.
#[test]
fn rows_of_zeros_are_refused_wherever_they_lie() {
    let _gpu = Gpu::take();
    for name in [CPU, GPU] {
        let device = parse(name).unwrap();
        let view = config(CPU, 1).view.input;
        let embed = |images: &Tensor, embeddings: &Tensor| {
            // The third image of each batch gets no direction.
            embeddings.shallow_clone().copy_(&halves(images));
            let _zeroed = embeddings.get(2).zero_();
            Ok(())
        };
        let (identity, format) = ("an engine that fails".to_owned(), BatchFormat::FloatNchw);
        let options =
            ApplicationOptions { dim: 6, identity, format, at: device, device, mean: view.mean, std: view.std };
        let teacher = Arc::new(Teacher::from_embedder(Application::new(Box::new(embed), options).unwrap()));
        let mut config = config(name, 4);
        config.set_string("queue.fill", "noise").unwrap();
        let head = seed::model::Head::Projection { hidden: 0, dim: 6 };
        let architecture = seed::model::Architecture::parse(STUDENT).unwrap();
        let mut student = seed::model::Network::new(architecture, head, 1, Device::Cpu).unwrap();
        student.to_device(device).unwrap();
        let error = losses(&mut run_of(&config, student, teacher), None).unwrap_err();
        assert_eq!(error.kind(), seed::ErrorKind::Mismatch, "{name}: {error}");
        assert!(error.message().contains("teacher (application) gave zeros only for"), "{name}: {error}");
    }
}

#[test]
fn torchscript_runs_on_the_device() {
    let _gpu = Gpu::take();
    let expected = seed::model::weights::read(&golden("teachers/expected.safetensors")).unwrap();
    let images = expected.tensors["images"].to_tensor().unwrap();
    let wanted = seed::model::unit_rows(&expected.tensors["embeddings"].to_tensor().unwrap()).unwrap();
    let script = TorchScript::load(&golden("teachers/tensor.pt"), "", (16, 20), Device::Cuda(1)).unwrap();
    let teacher = Teacher::from_embedder(script);
    let rows = teacher.embed(&images.to_device(Device::Cuda(1))).unwrap();
    assert_eq!(rows.device(), Device::Cuda(1));
    assert!((rows.to_device(Device::Cpu) - wanted).abs().max().double_value(&[]) < 1e-6);
}
