//! Every method on the GPU is the CPU's.

use seed::config::Config;
use seed::distill::Targets;
use seed::model::{Architecture, Head, Network};
use seed::train::Distillation;

use crate::runs::{config as config_of, *};
use crate::stand_in::Gpu;

/// Methods with a teacher, and how far the devices may come apart in four steps; 0 where both compute in one order.
pub const TAUGHT: [(&str, f64); 6] = [
    ("seed", 2e-3),
    ("l2", 0.0),
    ("k_means", 0.0),
    ("online_clustering", 0.0),
    ("binary_contrastive", 0.0),
    ("seed_moco", 2e-3),
];

/// Methods without one.
pub const ALONE: [(&str, f64); 3] = [("moco_v2", 2e-3), ("simclr", 0.0), ("swav", 0.0)];

/// A run of a method of [`TAUGHT`].
pub fn taught(method: &str, device: &str, steps: u64, change: Change) -> Distillation {
    let mut config = config_of(device, steps);
    config.set_string("method", method).unwrap();
    (config.methods.clusters, config.methods.prototypes) = (3, 12);
    change(&mut config);
    run(&config, teacher(device))
}

/// A run of a method of [`ALONE`].
pub fn alone(method: &str, device: &str, steps: u64, change: Change) -> Distillation {
    let mut config = Config::default();
    config.preset(method).unwrap();
    let own = config_of(device, steps);
    (config.device, config.precision, config.workers) = (own.device, own.precision, own.workers);
    (config.view.input.width, config.view.input.height, config.progress_every) = (32, 32, 1);
    (config.batch_size, config.queue_capacity, config.steps) = (8, 32, steps);
    if method == "swav" {
        (config.small.count, config.small.size) = (2, 16);
        (config.methods.swav_queue, config.methods.swav_queue_epoch) = (16, 0);
    }
    change(&mut config);
    let architecture = Architecture::parse(STUDENT).unwrap();
    let mut student = Network::new(architecture, Head::None, 1, tch::Device::Cpu).unwrap();
    student.to_device(seed::device::parse(device).unwrap()).unwrap();
    run_of(&config, student, Targets::Own { dim: 0 })
}

#[test]
fn methods_with_a_teacher() {
    let _gpu = Gpu::take();
    for (method, most) in TAUGHT {
        let apart = devices_apart(method, |device| taught(method, device, 4, |_| ()));
        assert!(apart <= most, "{method}: {apart:e}");
    }
}

#[test]
fn methods_without_a_teacher() {
    let _gpu = Gpu::take();
    for (method, most) in ALONE {
        let apart = devices_apart(method, |device| alone(method, device, 4, |_| ()));
        assert!(apart <= most, "{method}: {apart:e}");
    }
}
