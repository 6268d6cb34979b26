//! Distillation on the GPU is distillation on the CPU: every kind of target, every way to make a batch, and a run that changes devices.

use std::sync::Arc;

use seed::config::{BatchNorm, Config, Precision};
use seed::data::Slot;
use seed::distill::{Bank, ImageEmbeddings, ImageTargets};
use seed::model::{Architecture, Head, Network};
use seed::train::{CancelToken, Control, Distillation, fill_bank};

use crate::runs::*;
use crate::stand_in::{Event, Gpu};

/// Of a run by the method "l2", which has the same kernels on both devices: nothing is added in another order, so both students are the
/// same, bit for bit. SEED's own loss is summed in blocks on a GPU and by flash attention on a CPU; `methods.rs` compares it.
fn exact(device: &str, steps: u64) -> Config {
    let mut config = config(device, steps);
    config.set_string("method", "l2").unwrap();
    config
}

fn table() -> Arc<ImageTargets> {
    let numbers: Vec<f32> = (0..IMAGES * DIM as usize).map(|i| (i as f32 * 0.7).sin()).collect();
    let rows = Arc::new(ImageEmbeddings::new(&numbers, DIM as usize).unwrap());
    Arc::new(ImageTargets::new(rows, &dataset()).unwrap())
}

#[test]
fn every_way_to_make_a_batch_gives_the_cpus_student() {
    let gpu = Gpu::take();
    let ways: [(&str, Change); 13] = [
        ("plain", |_| ()),
        ("accumulation", |config| config.accumulation_steps = 3),
        ("clip", |config| config.clip_norm = 0.05),
        ("running statistics", |config| config.batch_norm = BatchNorm::Running),
        ("views on the device", |config| config.set_string("view.device", "device").unwrap()),
        ("two views", |config| config.view_count = 2),
        ("small views", |config| (config.small.count, config.small.size) = (2, 16)),
        ("two workers", |config| config.workers = 2),
        ("the mean of its students", |config| config.student_average = 0.9),
        ("mixed images", |config| config.mixup = 1.0),
        ("patch similarity", |config| (config.patch.weight, config.patch.stride) = (1.0, 8)),
        ("targets without their mean", |config| config.set_string("targets.standardise", "centre").unwrap()),
        ("targets of equal variance", |config| config.set_string("targets.standardise", "whiten").unwrap()),
    ];
    for (what, change) in ways {
        let apart = devices_apart(what, |device| {
            let mut config = exact(device, 4);
            change(&mut config);
            run(&config, teacher(device))
        });
        assert_eq!(apart, 0.0, "{what}");
    }
    assert!(gpu.count(Event::Kernel) > 1000, "nothing ran on the device");
}

#[test]
fn grey_students_learn_alike() {
    let _gpu = Gpu::take();
    for views in ["workers", "device"] {
        let apart = devices_apart(&format!("grey, views by {views}"), |device| {
            let mut config = exact(device, 4);
            config.view.input.channels = 1;
            config.set_string("view.device", views).unwrap();
            let (architecture, head) =
                (Architecture::parse(STUDENT).unwrap(), Head::Projection { hidden: 0, dim: DIM });
            let mut student = Network::with_channels(architecture, head, 1, 1, tch::Device::Cpu).unwrap();
            student.to_device(seed::device::parse(device).unwrap()).unwrap();
            run_of(&config, student, teacher(device))
        });
        assert_eq!(apart, 0.0);
    }
}

#[test]
fn every_family_of_students_learns_alike() {
    let _gpu = Gpu::take();
    for name in ["mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0", "vit_small_patch16"] {
        let apart = devices_apart(name, |device| {
            let mut config = exact(device, 2);
            (config.head_dropout, config.learning_rate) = (0.3, 0.05);
            run_of(&config, network(name, 1, device), teacher(device))
        });
        // The CPU's attention has a kernel of its own.
        assert!(apart <= if name.starts_with("vit") { 1e-5 } else { 0.0 }, "{name}: {apart:e}");
    }
}

#[test]
fn a_bank_filled_on_the_gpu_is_the_cpus_and_serves_both() {
    let _gpu = Gpu::take();
    let folder = tempfile::tempdir().unwrap();
    let banks = [CPU, GPU].map(|device| {
        let path = folder.path().join(device.replace(':', ""));
        let config = Config { view_count: 2, ..config(device, 4) };
        fill_bank(&path, &config, &teacher(device), &dataset(), None, &CancelToken::new(), |_| Control::Continue)
            .unwrap();
        path
    });
    let rows = banks.each_ref().map(|path| {
        let numbers: Vec<usize> = (0..2 * IMAGES).map(|row| row % IMAGES).collect();
        let slots: Vec<Slot> =
            numbers.iter().enumerate().map(|(row, &index)| Slot { view: (row / IMAGES) as u64, index }).collect();
        Bank::open(path).unwrap().targets(&slots, &numbers, 0).unwrap()
    });
    let apart = apart(&rows[0], &rows[1]);
    assert!(apart < 1e-3, "{apart:e}");
    for path in &banks {
        let apart = devices_apart("bank", |device| {
            let config = Config { view_count: 2, ..exact(device, 4) };
            run(&config, Arc::new(Bank::open(path).unwrap()))
        });
        assert_eq!(apart, 0.0);
    }
}

/// SEED's loss is summed in another order on a GPU: in blocks, by flash attention on the CPU. Over this bank its students come apart by .24 in
/// four steps (velocities; in pieces of three images by .07), where l2's are the same bit for bit. It is rounding, which batch norm over
/// so few images enlarges at so high a rate:
///
/// - after one step they are the same to 1e-6, and after four where batch norm keeps its statistics;
/// - on the CPU alone, a teacher's temperature that differs in its last bit, which is what float32 leaves open of logits of 1/τ = 100, brings them as
///   far apart (.2438 for the devices' .2438).
#[test]
fn seed_over_a_bank_comes_apart_by_rounding_alone() {
    let _gpu = Gpu::take();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bank");
    let settings = |device: &str, steps: u64| Config { view_count: 2, ..config(device, steps) };
    let (filled, teacher) = (settings(CPU, 4), teacher(CPU));
    fill_bank(&path, &filled, &teacher, &dataset(), None, &CancelToken::new(), |_| Control::Continue).unwrap();
    let over_bank = |config: &Config| {
        let mut run = run(config, Arc::new(Bank::open(&path).unwrap()));
        losses(&mut run, None).unwrap();
        state(&run)
    };
    for pieces in [1, 3] {
        let of = |device: &str, steps: u64, norm: BatchNorm, nudge: f64| {
            let mut config = settings(device, steps);
            (config.accumulation_steps, config.batch_norm) = (pieces, norm);
            config.temperature_teacher *= 1.0 + nudge;
            over_bank(&config)
        };
        let (cpu, steps) = (|steps, norm, nudge| of(CPU, steps, norm, nudge), 4);
        for (steps, norm) in [(1, BatchNorm::Batch), (steps, BatchNorm::Running)] {
            let apart = states_apart(&cpu(steps, norm, 0.0), &of(GPU, steps, norm, 0.0));
            assert!(apart < 1e-5, "{pieces} pieces, {steps} steps, {norm:?}: {apart:e}");
        }
        let plain = cpu(steps, BatchNorm::Batch, 0.0);
        let devices = states_apart(&plain, &of(GPU, steps, BatchNorm::Batch, 0.0));
        let nudged = [1e-7, -1e-7, 2e-7].map(|nudge| states_apart(&plain, &cpu(steps, BatchNorm::Batch, nudge)));
        println!("{pieces} pieces: the devices {devices:e}, by a nudge on the CPU {nudged:?}");
        let most = nudged.into_iter().fold(0.0, f64::max);
        assert!(devices <= 10.0 * most, "{pieces} pieces: the devices {devices:e}, by a nudge {nudged:?}");
    }
}

#[test]
fn embeddings_of_images_serve_both() {
    let _gpu = Gpu::take();
    let apart = devices_apart("embeddings", |device| run(&exact(device, 4), table()));
    assert_eq!(apart, 0.0);
}

#[test]
fn a_run_goes_on_where_another_device_stopped() {
    let _gpu = Gpu::take();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("half");
    // With dropout and stochastic depth, whose noise must be the same one after the change.
    let whole = |device: &str| {
        let mut config = exact(device, 6);
        config.learning_rate = 0.05;
        config.head_dropout = 0.3;
        run_of(&config, network("efficientnet_b0", 1, device), teacher(device))
    };
    let in_one = |device: &str| {
        let mut run = whole(device);
        losses(&mut run, None).unwrap();
        state(&run)
    };
    let in_two = |first: &str, second: &str| {
        let mut run = whole(first);
        losses(&mut run, Some(3)).unwrap();
        run.save(&path).unwrap();
        let mut run = whole(second);
        run.resume(&path).unwrap();
        assert_eq!(run.step(), 3);
        losses(&mut run, None).unwrap();
        state(&run)
    };
    let on_cpu = in_one(CPU);
    for (first, second) in [(GPU, GPU), (GPU, SECOND_GPU), (CPU, GPU), (GPU, CPU)] {
        assert_eq!(states_apart(&on_cpu, &in_two(first, second)), 0.0, "{first} to {second}");
    }
}

#[test]
fn trainers_on_two_devices_do_not_touch_each_other() {
    let gpu = Gpu::take();
    let alone = |device: &str, seed: u64| {
        let config = Config { seed, ..config(device, 6) };
        let mut run = run(&config, teacher(device));
        losses(&mut run, None).unwrap();
        state(&run)
    };
    let wanted = [alone(GPU, 1), alone(GPU, 2)];
    let found = std::thread::scope(|scope| {
        let runs = [(GPU, 1), (SECOND_GPU, 2)].map(|(device, seed)| scope.spawn(move || alone(device, seed)));
        runs.map(|run| run.join().unwrap())
    });
    for (wanted, found) in wanted.iter().zip(&found) {
        assert_eq!(states_apart(wanted, found), 0.0);
    }
    assert_eq!(gpu.count(Event::BetweenDevices), 0);
}

#[test]
fn half_precision_learns_on_the_gpu() {
    let _gpu = Gpu::take();
    for precision in [Precision::Bf16, Precision::Auto] {
        let mut run = run(&Config { precision, ..config(GPU, 20) }, teacher(GPU));
        let losses = losses(&mut run, None).unwrap();
        let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
        assert!(mean(&losses[15..]) < mean(&losses[..5]), "{precision:?}: {losses:?}");
    }
}

#[test]
fn the_applications_own_batches_go_to_the_device() {
    let _gpu = Gpu::take();
    let frames: Vec<_> = (0..8).map(|i| seed::data::Frame::new(36, 36, 1, pixels(i, 36)).unwrap()).collect();
    let run_on = |device: &str| {
        let student = Arc::new(std::sync::Mutex::new(network(STUDENT, 1, device)));
        let mut run = Distillation::new(config(device, 4), student, teacher(device), None, None).unwrap();
        (0..4).map(|_| run.step_on(&frames).unwrap()).collect::<Vec<f64>>()
    };
    for (cpu, gpu) in run_on(CPU).into_iter().zip(run_on(GPU)) {
        assert!((cpu - gpu).abs() < 1e-3 * cpu.abs(), "{cpu} {gpu}");
    }
}
