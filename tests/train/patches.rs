//! Patch similarity: what it adds to a run, how a run goes on with it, and who has no patches to learn.

use std::sync::{Arc, Mutex};

use seed::ErrorKind;
use seed::config::Config;
use seed::data::Dataset;
use seed::distill::patches::{patch_loss, unit_patches};
use seed::distill::{Bank, ImageEmbeddings, ImageTargets, Targets};
use seed::model::{Application, ApplicationOptions, Architecture, BatchFormat, Head, Mode, Network, PatchMap, Teacher};
use seed::train::{CancelToken, Control, Distillation, fill_bank};
use tch::{Device, Kind, Tensor};

use crate::runs::{frame, losses, state};

const DIM: i64 = 16;
const IMAGES: usize = 24;

fn dataset() -> Arc<Dataset> {
    let dataset = Dataset::in_memory();
    for image in 0..IMAGES {
        dataset.push_frame(&image.to_string(), frame(image)).unwrap();
    }
    Arc::new(dataset)
}

/// Views of 32²: maps of 4 × 4 patches at stride 8.
fn config(steps: u64) -> Config {
    let mut config = Config { batch_size: 8, steps, queue_capacity: 16, learning_rate: 1.0, ..Config::default() };
    config.set_string("device", "cpu").unwrap();
    config.set_string("precision", "fp32").unwrap();
    config.progress_every = 1;
    (config.view.input.width, config.view.input.height, config.probe.images) = (32, 32, 0);
    (config.patch.weight, config.patch.stride) = (1.0, 8);
    config
}

fn network(name: &str, seed: u64) -> Network {
    let architecture = Architecture::parse(name).unwrap();
    Network::new(architecture, Head::Projection { hidden: 0, dim: DIM }, seed, Device::Cpu).unwrap()
}

fn teacher(name: &str) -> Arc<Teacher> {
    Arc::new(Teacher::new(network(name, 2)).unwrap())
}

fn run_on(config: &Config, student: &str, targets: impl Into<Targets>) -> seed::Result<Distillation> {
    let student = Arc::new(Mutex::new(network(student, 1)));
    Distillation::new(config.clone(), student, targets, None, Some(dataset()))
}

/// How far the student's patches are from the teacher's, over some images that no run has seen.
fn apart(run: &Distillation, teacher: &Network) -> f64 {
    let _no_grad = tch::no_grad_guard();
    tch::manual_seed(5);
    let images = Tensor::randn([6, 3, 4, 4], (Kind::Float, Device::Cpu)).upsample_bilinear2d(
        [32, 32],
        false,
        None::<f64>,
        None::<f64>,
    );
    let patches = |network: &Network| {
        let map = PatchMap::new(network.architecture(), 8).unwrap();
        unit_patches(&network.features_with_map(&images, &map, Mode::Eval).unwrap().1, [4, 4]).unwrap()
    };
    let student = run.student().lock().unwrap();
    patch_loss(&patches(&student), &patches(teacher), 0.07).unwrap().value.double_value(&[])
}

#[test]
fn a_student_learns_its_teachers_patches_beside_the_embedding() {
    let of = |weight: f64, method: &str| {
        let mut config = config(60);
        config.patch.weight = weight;
        config.set_string("method", method).unwrap();
        let mut run = run_on(&config, "resnet10", teacher("resnet18")).unwrap();
        let losses = losses(&mut run, None);
        (apart(&run, &network("resnet18", 2)), losses)
    };
    for method in ["seed", "l2"] {
        let ((with, of_both), (without, alone)) = (of(3.0, method), of(0.0, method));
        assert!(with < 0.6 * without, "{method}: {with} with, {without} without");
        // The first step sees the same views: its loss is larger by the patches' share.
        assert!(of_both[0] > alone[0] + 0.1, "{method}: {} {}", of_both[0], alone[0]);
    }
}

#[test]
fn a_run_goes_on_bit_for_bit_and_only_with_its_own_weight() {
    let folder = tempfile::tempdir().unwrap();
    for (student, of) in [("resnet10", "mobilenet_v3_small"), ("mobilenet_v3_small", "vit_small_patch8")] {
        let mut config = config(6);
        (config.small.count, config.small.size, config.mixup) = (1, 16, 0.5);
        if of.starts_with("vit") {
            config.small.count = 0; // 16 pixels are two of its patches, which is fine, but slow
        }
        let run = || run_on(&config, student, teacher(of)).unwrap();
        let mut whole = run();
        let of_whole = losses(&mut whole, None);
        let mut half = run();
        losses(&mut half, Some(3));
        half.save(&folder.path().join(of)).unwrap();
        let mut resumed = run();
        resumed.resume(&folder.path().join(of)).unwrap();
        assert_eq!(losses(&mut resumed, None), of_whole[3..], "{of}");
        assert!(state(&resumed, folder.path()) == state(&whole, folder.path()), "{of}");
        let mut other = config.clone();
        other.patch.weight = 2.0;
        let told = run_on(&other, student, teacher(of)).unwrap().resume(&folder.path().join(of)).unwrap_err();
        assert!(told.kind() == ErrorKind::Mismatch && told.to_string().contains("patch"), "{told}");
    }
}

#[test]
fn pieces_of_a_batch_learn_what_the_batch_does() {
    // Batch norm by running statistics: an image's gradient does not depend on which others are in its piece.
    let of = |pieces: u64| {
        let mut config = config(3);
        config.accumulation_steps = pieces;
        config.set_string("batch_norm", "running").unwrap();
        losses(&mut run_on(&config, "resnet10", teacher("resnet18")).unwrap(), None)
    };
    for (whole, pieces) in of(1).iter().zip(of(4)) {
        assert!((whole - pieces).abs() < 1e-4 * whole, "{whole} {pieces}");
    }
}

#[test]
fn who_has_no_patches_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bank");
    let banked = Config { view_count: 1, ..config(4) };
    fill_bank(&path, &banked, &teacher("resnet18"), &dataset(), None, &CancelToken::new(), |_| Control::Continue)
        .unwrap();
    let numbers: Vec<f32> = (0..IMAGES * DIM as usize).map(|i| (i as f32 * 0.7).sin()).collect();
    let table = Arc::new(ImageEmbeddings::new(&numbers, DIM as usize).unwrap());
    let options = ApplicationOptions {
        dim: DIM,
        identity: "first numbers".to_owned(),
        format: BatchFormat::FloatNchw,
        at: Device::Cpu,
        device: Device::Cpu,
        mean: [0.0; 3],
        std: [1.0; 3],
    };
    let own = |images: &Tensor, rows: &Tensor| {
        rows.shallow_clone().copy_(&images.flatten(1, -1).narrow(1, 0, DIM));
        Ok(())
    };
    let own = Teacher::from_embedder(Application::new(Box::new(own), options).unwrap());
    let mut alone = config(4);
    alone.set_string("method", "moco_v2").unwrap();
    let mut coarse = config(4);
    coarse.patch.stride = 32;
    let mut unknown = config(4);
    unknown.patch.stride = 5;
    let student = "resnet10";
    use ErrorKind::{InvalidArgument, Unsupported};
    let refused = [
        (run_on(&banked, student, Arc::new(Bank::open(&path).unwrap())), Unsupported, "bank's teacher (resnet18)"),
        (run_on(&config(4), student, Arc::new(ImageTargets::new(table, &dataset()).unwrap())), Unsupported, "table"),
        (run_on(&config(4), student, Arc::new(own)), Unsupported, "kind application"),
        (run_on(&alone, student, Targets::Own { dim: 0 }), Unsupported, "without a teacher"),
        (run_on(&coarse, student, teacher("resnet18")), InvalidArgument, "a map of one patch"),
        (run_on(&unknown, student, teacher("resnet18")), InvalidArgument, "5 pixels to a patch"),
    ];
    for (result, kind, words) in refused {
        let error = result.err().unwrap();
        assert!(error.kind() == kind && error.to_string().contains(words), "{error}");
        assert!(error.to_string().contains("patch."), "{error}");
    }
}
