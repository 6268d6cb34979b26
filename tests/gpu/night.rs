//! A station's night and the programs that people run, on the GPU.

#[allow(dead_code)] // the station's own tests take more of it
#[path = "../station/plant.rs"]
mod plant;

use std::sync::Arc;

use seed::infer::{LiveSession, Session, SessionOptions};
use seed::model::{Architecture, Head, Network, Teacher};
use seed::night::NightOutcome;
use seed::train::Control;
use tch::Device;

use self::plant::{DIM, Plant};
use crate::programs::{compile, expect_success, quiet, root};
use crate::stand_in::{Event, Gpu, folder};

#[test]
fn a_night_on_the_gpu_puts_its_student_on_the_line() {
    let gpu = Gpu::take();
    let place = tempfile::tempdir().unwrap();
    let mut plant = Plant::new(place.path());
    let architecture = Architecture::parse("resnet10_w0.25").unwrap();
    let mut network = Network::new(architecture, Head::None, 5, Device::Cpu).unwrap();
    network.to_device(Device::Cuda(0)).unwrap();
    plant.teacher = Arc::new(Teacher::new(network).unwrap());
    plant.config.device = "cuda:0".to_owned();
    let student = Network::new(architecture, Head::Projection { hidden: 16, dim: DIM }, 77, Device::Cpu).unwrap();
    let options = SessionOptions { device: Device::Cuda(0), ..SessionOptions::default() };
    let line = LiveSession::new(Session::new(&student, &plant.config.view.input, options).unwrap());
    let outcome = plant.run_with(Some(&line), &mut |_| Control::Continue).unwrap();
    let NightOutcome::Live(night) = outcome else { panic!("{outcome:?}") };
    assert_eq!(night.swapped, "session and files");
    assert_eq!(line.current().device(), Device::Cuda(0));
    assert!(plant::runs(&line, &plant.folder.join("live/student.safetensors")), "the line runs the new student");
    assert!(gpu.count(Event::Kernel) > 1000, "nothing ran on the device");
}

#[test]
fn the_doctor_finds_the_gpu_and_tries_it() {
    let place = tempfile::tempdir().unwrap();
    let doctor = compile(&root().join("examples/c/doctor.c"), &["-std=c99", "-ldl"], place.path());
    let output = quiet(&doctor)
        .env("SEED_LIBTORCH", folder())
        .env("OMP_NUM_THREADS", "1")
        .current_dir(place.path())
        .output()
        .unwrap();
    let text = expect_success("seed-doctor", &output);
    for line in ["Pretend GPU 0", "Pretend GPU 1", &folder().join("libtorch_cuda.so").display().to_string()] {
        assert!(text.contains(line), "{line} is missing:\n{text}");
    }
    assert!(!text.contains("FAILED"), "{text}");
}
