//! The setting "method": what each learns, by every kind of teacher, and that a run goes on only with its own.

use std::path::Path;
use std::sync::{Arc, Mutex};

use seed::ErrorKind;
use seed::config::Config;
use seed::data::Dataset;
use seed::distill::{Bank, ImageEmbeddings, ImageTargets, Targets};
use seed::model::provenance::Provenance;
use seed::model::weights;
use seed::model::{Architecture, Head, Network, Teacher};
use seed::train::{CancelToken, Control, Distillation, Outcome, fill_bank};
use tch::{Device, Kind};

use crate::runs::{frame, losses, state};

const DIM: i64 = 16;
const IMAGES: usize = 24;
/// The methods that have a teacher; those without are in `pretraining.rs`.
const METHODS: [&str; 6] = ["seed", "l2", "k_means", "online_clustering", "binary_contrastive", "seed_moco"];

fn dataset() -> Arc<Dataset> {
    let dataset = Dataset::in_memory();
    for image in 0..IMAGES {
        dataset.push_frame(&image.to_string(), frame(image)).unwrap();
    }
    Arc::new(dataset)
}

fn config(method: &str, steps: u64) -> Config {
    let mut config = Config { batch_size: 8, steps, queue_capacity: 16, learning_rate: 1.0, ..Config::default() };
    config.set_string("device", "cpu").unwrap();
    config.set_string("precision", "fp32").unwrap();
    config.set_string("method", method).unwrap();
    config.progress_every = 1;
    (config.methods.clusters, config.methods.prototypes) = (3, 12);
    (config.view.input.width, config.view.input.height, config.probe.keep_best) = (32, 32, 0);
    config
}

fn network(architecture: Architecture, seed: u64) -> Network {
    Network::new(architecture, Head::Projection { hidden: 0, dim: DIM }, seed, Device::Cpu).unwrap()
}

fn teacher() -> Arc<Teacher> {
    Arc::new(Teacher::new(network(Architecture::ResNet18, 2)).unwrap())
}

fn run_on(config: &Config, targets: impl Into<Targets>, dataset: Option<Arc<Dataset>>) -> seed::Result<Distillation> {
    let student = Arc::new(Mutex::new(network(Architecture::ResNet10, 1)));
    Distillation::new(config.clone(), student, targets, None, dataset)
}

fn run_over(config: &Config, targets: impl Into<Targets>) -> Distillation {
    run_on(config, targets, Some(dataset())).unwrap()
}

/// The clusters of the images, as a checkpoint of "k_means" has them.
fn labels(run: &Distillation, folder: &Path) -> Vec<i64> {
    run.save(&folder.join("labels")).unwrap();
    let part = weights::read(&folder.join("labels/clusters.safetensors")).unwrap();
    Vec::try_from(part.tensors["labels"].to_tensor().unwrap()).unwrap()
}

#[test]
fn each_method_learns_from_each_kind_of_teacher() {
    let folder = tempfile::tempdir().unwrap();
    let numbers: Vec<f32> = (0..IMAGES * DIM as usize).map(|i| (i as f32 * 0.7).sin()).collect();
    let table = Arc::new(ImageEmbeddings::new(&numbers, DIM as usize).unwrap());
    let mut first = Vec::new();
    for method in METHODS {
        let mut online = config(method, 30);
        if method == "k_means" {
            // The clusters of the table have nothing to do with the images, which must be learned by heart.
            online.learning_rate = 0.1;
        }
        // Its queue of keys begins as noise, which is easily told from a key, so that MoCo's loss rises at first.
        online.methods.moco_weight = 0.1;
        let banked = Config { view_count: 2, ..online.clone() };
        let path = folder.path().join(method);
        fill_bank(&path, &banked, &teacher(), &dataset(), None, &CancelToken::new(), |_| Control::Continue).unwrap();
        let runs = [
            ("teacher", run_over(&online, teacher())),
            ("bank", run_over(&banked, Arc::new(Bank::open(&path).unwrap()))),
            ("embeddings", run_over(&online, Arc::new(ImageTargets::new(Arc::clone(&table), &dataset()).unwrap()))),
        ];
        for (name, mut run) in runs {
            let losses = losses(&mut run, None);
            let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
            let (start, end) = (mean(&losses[..5]), mean(&losses[25..]));
            assert!(end < start, "{method} over {name}: {start} → {end}");
            if name == "teacher" {
                first.push(losses[0]);
            }
        }
    }
    // As many losses as methods.
    for (i, loss) in first.iter().enumerate() {
        assert!(!first[..i].contains(loss), "{first:?}");
    }
}

#[test]
fn a_run_goes_on_with_its_own_method_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("half");
    for method in METHODS {
        let mut whole = run_over(&config(method, 6), teacher());
        losses(&mut whole, Some(3));
        whole.save(&path).unwrap();
        losses(&mut whole, None);
        let mut resumed = run_over(&config(method, 6), teacher());
        resumed.resume(&path).unwrap();
        losses(&mut resumed, None);
        let (found, wanted) = (state(&resumed, folder.path()), state(&whole, folder.path()));
        assert!(found == wanted, "{method}");
        let own = match method {
            "k_means" => Some("clusters.safetensors"),
            "online_clustering" => Some("prototypes.safetensors"),
            "seed_moco" => Some("momentum_encoder.safetensors"),
            _ => None,
        };
        assert_eq!(
            found
                .keys()
                .map(String::as_str)
                .find(|name| name.contains("clusters") || name.contains("prototypes") || name.contains("encoder")),
            own
        );
        for other in METHODS.iter().filter(|&&other| other != method) {
            let error = run_over(&config(other, 6), teacher()).resume(&path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Mismatch);
            assert!(error.message().contains(method) && error.message().contains(other), "{error}");
        }
    }
}

#[test]
fn settings_of_other_methods_are_none_of_a_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("half");
    let others = |method: &str, clusters, prototypes| {
        let mut config = config(method, 4);
        (config.methods.clusters, config.methods.prototypes) = (clusters, prototypes);
        config
    };
    for (method, clusters, prototypes, goes_on) in
        [("seed", 4, 9, true), ("k_means", 3, 9, true), ("k_means", 4, 12, false), ("online_clustering", 3, 9, false)]
    {
        let mut run = run_over(&others(method, 3, 12), teacher());
        losses(&mut run, Some(2));
        run.save(&path).unwrap();
        let found = run_over(&others(method, clusters, prototypes), teacher()).resume(&path);
        match found {
            Ok(()) => assert!(goes_on, "{method} {clusters} {prototypes}"),
            Err(error) => {
                assert!(!goes_on && error.kind() == ErrorKind::Mismatch && error.message().contains(method), "{error}");
            }
        }
    }
}

#[test]
fn running_statistics_of_batch_norm_stay_and_those_of_the_batch_move() {
    for (word, moves) in [("batch", true), ("running", false)] {
        let mut config = config("seed", 3);
        config.set_string("batch_norm", word).unwrap();
        let mut run = run_over(&config, teacher());
        let buffers = |run: &Distillation| -> Vec<tch::Tensor> {
            run.student().lock().unwrap().buffers().iter().map(|(_, buffer)| buffer.copy()).collect()
        };
        let parameters = |run: &Distillation| run.student().lock().unwrap().parameters()[0].1.detach().copy();
        let before = (buffers(&run), parameters(&run));
        losses(&mut run, None);
        assert_eq!(buffers(&run) != before.0, moves, "{word}");
        assert!(parameters(&run) != before.1, "{word}: nothing was learned");
    }
}

#[test]
fn the_method_stands_in_the_provenance_and_what_it_lacks_is_said() {
    let provenance = Arc::new(Provenance::default());
    let mut run = run_over(&config("l2", 2), teacher()).recorded_in(Arc::clone(&provenance));
    losses(&mut run, None);
    assert_eq!(provenance.to_value()["distillation"]["method"], "l2");

    for method in ["binary_contrastive", "k_means"] {
        let error = run_on(&config(method, 2), teacher(), None).err().unwrap();
        assert!(error.kind() == ErrorKind::InvalidArgument && error.message().contains("no data set"), "{error}");
        assert!(error.message().contains(method), "{error}");
    }
    let error = config("seed", 2).set_string("method", "simsiam").unwrap_err();
    assert!(error.message().contains("binary_contrastive"), "{error}");
}

#[test]
fn a_run_stopped_before_its_clusters_are_made_is_the_same_run() {
    let folder = tempfile::tempdir().unwrap();
    let mut whole = run_over(&config("k_means", 4), teacher());
    losses(&mut whole, None);
    // By the observer, which hears of the run before anything is made, and by a token.
    let mut stopped = run_over(&config("k_means", 4), teacher());
    let first = stopped.run(None, &CancelToken::new(), |_| Control::Stop).unwrap();
    let token = CancelToken::new();
    token.trigger();
    let second = stopped.run(None, &token, |_| Control::Continue).unwrap();
    assert!(first == Outcome::Cancelled && second == Outcome::Cancelled && stopped.step() == 0);
    let path = folder.path().join("before");
    stopped.save(&path).unwrap();
    let mut resumed = run_over(&config("k_means", 4), teacher());
    resumed.resume(&path).unwrap();
    losses(&mut stopped, None);
    assert!(state(&stopped, folder.path()) == state(&whole, folder.path()));
    // A queue that is stored is not filled again, and k-means looks at no queue; the clusters are those of the same images.
    losses(&mut resumed, None);
    assert_eq!(labels(&resumed, folder.path()), labels(&whole, folder.path()));
}

#[test]
fn clusters_are_of_the_frames_that_can_be_read_and_learned_from() {
    let folder = tempfile::tempdir().unwrap();
    let files: Vec<_> = (0..6).map(|image| folder.path().join(format!("{image}.png"))).collect();
    for (image, file) in files.iter().enumerate() {
        let picture = image::GrayImage::from_raw(32, 32, frame(image * 3).pixels().to_vec()).unwrap();
        picture.save(file).unwrap();
    }
    std::fs::write(&files[2], b"no image").unwrap();
    let dataset = || Some(Arc::new(Dataset::from_files(files.clone()).unwrap()));
    let mut run = run_on(&config("k_means", 3), teacher(), dataset()).unwrap();
    assert!(losses(&mut run, None).iter().all(|loss| loss.is_finite()));
    let found = labels(&run, folder.path());
    assert!(found[2] == -1 && found.len() == 6, "{found:?}");
    assert!(found.iter().enumerate().all(|(image, label)| image == 2 || (0..3).contains(label)), "{found:?}");
    // More clusters than images are refused when the run is made, or when it turns out.
    let with = |clusters: u64| {
        let mut config = config("k_means", 3);
        config.methods.clusters = clusters;
        config
    };
    let error = run_on(&with(7), teacher(), dataset()).err().unwrap();
    assert!(error.message().contains("k_means.clusters is 7") && error.message().contains("6 images"), "{error}");
    let mut run = run_on(&with(6), teacher(), dataset()).unwrap();
    let error = run.run(None, &CancelToken::new(), |_| Control::Continue).unwrap_err();
    assert!(error.kind() == ErrorKind::InvalidArgument && error.message().contains("5 images can be read"), "{error}");
    assert_eq!(run.step(), 0);
}

#[test]
fn images_of_the_probe_that_are_held_out_have_no_cluster() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = Dataset::in_memory();
    for image in 0..300 {
        dataset.push_frame(&image.to_string(), frame(image % 40)).unwrap();
    }
    let mut config = config("k_means", 1);
    (config.probe.images, config.methods.clusters) = (30, 0);
    let mut run = run_on(&config, teacher(), Some(Arc::new(dataset))).unwrap();
    losses(&mut run, None);
    let found = labels(&run, folder.path());
    assert_eq!(found.iter().filter(|label| **label == -1).count(), 30);
    // One cluster for each ten of the 270 images that are learned from.
    assert_eq!(run.student().lock().unwrap().feature_dim(), 512);
    let part = weights::read(&folder.path().join("labels/clusters.safetensors")).unwrap();
    assert_eq!(part.tensors["weight"].shape, [27, 512]);
}

#[test]
fn few_and_equal_images_and_a_short_queue_are_no_special_case() {
    let equal = |count: usize| {
        let dataset = Dataset::in_memory();
        for image in 0..count {
            dataset.push_frame(&image.to_string(), frame(3)).unwrap();
        }
        Some(Arc::new(dataset))
    };
    for method in METHODS {
        let mut config = config(method, 3);
        // A queue shorter than a batch.
        (config.queue_capacity, config.methods.clusters) = (3, 0);
        for images in [1, 20] {
            let mut run = run_on(&config, teacher(), equal(images)).unwrap();
            let losses = losses(&mut run, None);
            assert!(
                losses.len() == 3 && losses.iter().all(|loss| loss.is_finite()),
                "{method} of {images}: {losses:?}"
            );
            let parameters = run.student().lock().unwrap().parameters();
            assert!(parameters.iter().all(|(_, tensor)| tensor.isfinite().all().int64_value(&[]) == 1), "{method}");
            let told = run.warnings().list().iter().any(|warning| warning.contains("learns nothing"));
            assert_eq!(told, method == "k_means", "{:?}", run.warnings().list());
        }
    }
}

#[test]
fn k_means_knows_the_images_of_the_data_set_only_and_a_refusal_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = run_over(&config("k_means", 4), teacher());
    losses(&mut run, Some(2));
    let before = state(&run, folder.path());
    let error = run.step_on(&[frame(1), frame(2)]).unwrap_err();
    assert!(error.kind() == ErrorKind::InvalidArgument && error.message().contains("images only"), "{error}");
    assert!(run.step() == 2 && state(&run, folder.path()) == before);
    // Prototypes serve any frames, without a data set, too.
    let mut config = config("online_clustering", 4);
    config.queue_capacity = 3;
    let mut run = run_on(&config, teacher(), None).unwrap();
    for _ in 0..2 {
        assert!(run.step_on(&[frame(1), frame(2), frame(3), frame(4)]).unwrap().is_finite());
    }
}

#[test]
fn prototypes_learn_and_stay_unit_vectors() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = run_over(&config("online_clustering", 3), teacher());
    let prototypes = |run: &Distillation| {
        run.save(&folder.path().join("state")).unwrap();
        let part = |name: &str| weights::read(&folder.path().join("state").join(name)).unwrap();
        let momentum = part("optimiser.safetensors").tensors["prototypes.weight"].to_tensor().unwrap();
        assert!(run.step() == 0 || momentum.abs().max().double_value(&[]) > 0.0, "they have no momentum");
        part("prototypes.safetensors").tensors["weight"].to_tensor().unwrap()
    };
    let before = prototypes(&run);
    losses(&mut run, None);
    let after = prototypes(&run);
    assert_eq!(after.size(), [12, DIM]);
    let lengths = after.norm_scalaropt_dim(2.0, [1i64].as_slice(), false);
    assert!((lengths - 1.0).abs().max().double_value(&[]) < 1e-6);
    assert!((&after - &before).abs().sum(Kind::Float).double_value(&[]) > 1e-4, "they have not moved");
}

#[test]
fn pieces_of_a_batch_add_up_for_every_method() {
    for method in METHODS {
        let first_loss = |pieces: u64| {
            // Running statistics, so that batch norm sees no difference.
            let mut config = Config { accumulation_steps: pieces, ..config(method, 1) };
            config.set_string("batch_norm", "running").unwrap();
            let mut run = run_over(&config, teacher());
            let loss = losses(&mut run, None)[0];
            let parameters = run.student().lock().unwrap().parameters();
            (loss, parameters.iter().map(|(_, tensor)| tensor.detach().copy()).collect::<Vec<_>>())
        };
        let (whole, pieces) = (first_loss(1), first_loss(3));
        assert!((whole.0 - pieces.0).abs() < 1e-4 * whole.0.abs().max(1.0), "{method}: {} {}", whole.0, pieces.0);
        for (a, b) in whole.1.iter().zip(&pieces.1) {
            assert!((a - b).abs().max().double_value(&[]) < 1e-4, "{method}");
        }
    }
}

#[test]
fn seed_moco_without_a_weight_is_seed_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let end = |method: &str, weight: f64| {
        let mut config = config(method, 4);
        config.methods.moco_weight = weight;
        let mut run = run_over(&config, teacher());
        let losses = losses(&mut run, None);
        let on_frames = run_over(&config, teacher()).step_on(&[frame(1), frame(2), frame(5)]).unwrap();
        (losses, on_frames, state(&run, folder.path()))
    };
    let seed = end("seed", 1.0);
    assert!(seed == end("seed_moco", 0.0));
    let moco = end("seed_moco", 1.0);
    assert!(moco.0[0] > seed.0[0] && moco.1 > seed.1 && moco.2.contains_key("momentum_queue.safetensors"));
    // The teacher's queue knows nothing of it.
    assert!(moco.2["queue.safetensors"] == seed.2["queue.safetensors"]);
    assert!(moco.2["student.safetensors"] != seed.2["student.safetensors"]);
}

#[test]
fn a_run_gives_its_student_the_head_that_is_asked_for() {
    let deep = Config { projection_layers: 4, projection_hidden: 24, ..config("l2", 4) };
    let student = Arc::new(Mutex::new(Network::new(Architecture::ResNet10, Head::None, 1, Device::Cpu).unwrap()));
    let mut run = Distillation::new(deep, Arc::clone(&student), teacher(), None, Some(dataset())).unwrap();
    let losses = losses(&mut run, None);
    assert!(losses.last() < losses.first(), "{losses:?}");
    let head = student.lock().unwrap().head();
    assert_eq!(head, Head::NormedProjection { layers: 4, hidden: 24, dim: DIM });
}

#[test]
fn mixed_images_are_shown_to_both_networks_and_a_run_goes_on_with_them() {
    let folder = tempfile::tempdir().unwrap();
    for method in ["seed", "l2", "online_clustering", "binary_contrastive", "seed_moco"] {
        let plain = config(method, 6);
        let mixed = Config { mixup: 0.5, ..plain.clone() };
        let unmixed = losses(&mut run_over(&plain, teacher()), None);
        let mut whole = run_over(&mixed, teacher());
        let of_whole = losses(&mut whole, None);
        assert_ne!(of_whole, unmixed, "{method}");
        let mut half = run_over(&mixed, teacher());
        losses(&mut half, Some(3));
        half.save(&folder.path().join(method)).unwrap();
        let mut resumed = run_over(&mixed, teacher());
        resumed.resume(&folder.path().join(method)).unwrap();
        assert_eq!(losses(&mut resumed, None), of_whole[3..], "{method}");
        assert!(state(&resumed, folder.path()) == state(&whole, folder.path()), "{method}");
        let told = run_over(&plain, teacher()).resume(&folder.path().join(method)).unwrap_err();
        assert!(told.kind() == ErrorKind::Mismatch && told.to_string().contains("mixup"), "{told}");
    }
}

#[test]
fn what_knows_single_images_only_is_not_asked_about_mixtures() {
    let folder = tempfile::tempdir().unwrap();
    let numbers: Vec<f32> = (0..IMAGES * DIM as usize).map(|i| (i as f32 * 0.7).sin()).collect();
    let table = Arc::new(ImageEmbeddings::new(&numbers, DIM as usize).unwrap());
    let mixed = |method| Config { mixup: 1.0, ..config(method, 4) };
    let banked = Config { view_count: 1, ..mixed("seed") };
    let path = folder.path().join("bank");
    fill_bank(&path, &banked, &teacher(), &dataset(), None, &CancelToken::new(), |_| Control::Continue).unwrap();
    let refused = [
        (run_on(&banked, Arc::new(Bank::open(&path).unwrap()), Some(dataset())), "bank"),
        (run_on(&mixed("seed"), Arc::new(ImageTargets::new(table, &dataset()).unwrap()), Some(dataset())), "table"),
        (run_on(&mixed("k_means"), teacher(), Some(dataset())), "clusters"),
        (run_on(&mixed("moco_v2"), Targets::Own { dim: 0 }, Some(dataset())), "without a teacher"),
    ];
    for (result, word) in refused {
        let error = result.err().unwrap();
        assert!(error.kind() == ErrorKind::Unsupported && error.to_string().contains(word), "{error}");
    }
}

#[test]
fn views_in_tiles_are_refused_where_what_is_learned_is_a_whole_frames() {
    let in_tiles = |method| {
        let mut config = config(method, 4);
        config.view.tile = 16;
        config
    };
    let numbers: Vec<f32> = (0..IMAGES * DIM as usize).map(|i| (i as f32 * 0.7).sin()).collect();
    let table = Arc::new(ImageEmbeddings::new(&numbers, DIM as usize).unwrap());
    let table = Arc::new(ImageTargets::new(table, &dataset()).unwrap());
    let refused = [
        (run_on(&in_tiles("seed"), table, Some(dataset())), "whole frames"),
        (run_on(&in_tiles("k_means"), teacher(), Some(dataset())), "whole frames"),
        (run_on(&in_tiles("seed_moco"), teacher(), Some(dataset())), "different places"),
        (run_on(&in_tiles("simclr"), Targets::Own { dim: 0 }, Some(dataset())), "different places"),
    ];
    for (result, words) in refused {
        let error = result.err().unwrap();
        assert!(error.kind() == ErrorKind::Unsupported && error.to_string().contains(words), "{error}");
        assert!(error.to_string().contains("view.tile is 16"), "{error}");
    }
    let losses = losses(&mut run_on(&in_tiles("seed"), teacher(), Some(dataset())).unwrap(), None);
    assert!(losses.len() == 4 && losses.iter().all(|loss| loss.is_finite()), "{losses:?}");
}
