//! Several processes make one run: what they learn is what one process learns of the same batches, and none waits for one that is gone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use crate::alone;
use seed::config::{BatchNorm, Config, MethodName};
use seed::data::{Dataset, FrameView, PixelFormat};
use seed::model::weights::{self, StateDict};
use seed::model::{Architecture, Head, Network, Teacher};
use seed::train::{CancelToken, Control, Distillation, Outcome};
use seed::world::World;
use seed::{Error, ErrorKind};
use serde_json::{Value, json};
use tch::Device;

const DIM: i64 = 16;
/// For the others; a busy machine may need long to start a process.
const PATIENCE: Duration = Duration::from_secs(300);
/// Where a test waits for it to pass.
const IMPATIENCE: Duration = Duration::from_secs(10);

/// A grey image of 40² pixels, another one for each number.
fn pixels(image: u32) -> Vec<u8> {
    (0..40 * 40u32).map(|i| (i * (image + 3) % 239) as u8).collect()
}

fn dataset(folder: Option<&Path>) -> Arc<Dataset> {
    if let Some(folder) = folder {
        return Arc::new(Dataset::from_folder(folder).unwrap());
    }
    let dataset = Dataset::in_memory();
    for image in 0..11u32 {
        let pixels = pixels(image);
        let view = FrameView::new(&pixels, 40, 40, 40, PixelFormat::Mono8).unwrap();
        dataset.push(&image.to_string(), &view).unwrap();
    }
    Arc::new(dataset)
}

fn config() -> Config {
    let mut config = Config {
        batch_size: 6,
        steps: 4,
        queue_capacity: 10,
        embedding_dim: DIM as u64,
        learning_rate: 2.0,
        progress_every: 1,
        workers: 1,
        ..Config::default()
    };
    config.set_string("device", "cpu").unwrap();
    config.set_string("precision", "fp32").unwrap();
    (config.view.input.width, config.view.input.height) = (32, 32);
    config
}

fn trainer_of(config: Config, student: &str, dataset: Arc<Dataset>) -> Distillation {
    let head = Head::Projection { hidden: 0, dim: DIM };
    let network = |name: &str, seed| Network::new(Architecture::parse(name).unwrap(), head, seed, Device::Cpu).unwrap();
    let teacher = Arc::new(Teacher::new(network("resnet10", 2)).unwrap());
    Distillation::new(config, Arc::new(Mutex::new(network(student, 1))), teacher, None, Some(dataset)).unwrap()
}

/// A run of a student without batch norm, or whose batch norm leaves its statistics alone, as `about` says.
fn trainer(about: &Value) -> Distillation {
    let mut config = config();
    for (key, value) in about["settings"].as_object().into_iter().flatten() {
        match value {
            Value::String(text) => config.set_string(key, text).unwrap(),
            value => match value.as_i64() {
                Some(number) => config.set_int(key, number).unwrap(),
                None => config.set_float(key, value.as_f64().unwrap()).unwrap(),
            },
        }
    }
    let folder = about["images"].as_str().map(PathBuf::from);
    trainer_of(config, about["student"].as_str().unwrap(), dataset(folder.as_deref()))
}

/// The parts of a checkpoint by their names.
fn saved(checkpoint: &Path) -> BTreeMap<String, StateDict> {
    let mut files: Vec<_> = std::fs::read_dir(checkpoint).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "safetensors"));
    files.sort();
    assert!(files.len() >= 3, "{files:?}");
    let name = |file: &Path| file.file_stem().unwrap().to_str().unwrap().to_owned();
    files.iter().map(|file| (name(file), weights::read(file).unwrap())).collect()
}

/// The greatest difference of a number, and the greatest number.
fn apart(a: &StateDict, b: &StateDict) -> (f64, f64) {
    assert!(a.tensors.keys().eq(b.tensors.keys()));
    let of = |(a, b): (&weights::HostTensor, &weights::HostTensor)| {
        let (a, b) = (a.to_tensor().unwrap(), b.to_tensor().unwrap());
        let most = |tensor: tch::Tensor| if tensor.numel() == 0 { 0.0 } else { tensor.abs().max().double_value(&[]) };
        (most(&a - &b), most(a))
    };
    let all = a.tensors.values().zip(b.tensors.values()).map(of);
    all.fold((0.0, 0.0), |(far, most), (d, m)| (f64::max(far, d), f64::max(most, m)))
}

/// A process of rank `rank`; what it is to do stands in `about`.
fn start(rank: u32, size: u32, folder: &Path, about: &Value) -> Child {
    let mut command = alone::command(module_path!(), "a_process_of_a_world");
    let world = json!({ "rank": rank, "size": size, "address": format!("file:{}", folder.join("address").display()) });
    command.env("SEED_TEST_WORLD", world.to_string()).env("SEED_TEST_RUN", about.to_string());
    command.env("SEED_TEST_FOLDER", folder);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Processes of all ranks, which are waited for.
fn processes(size: u32, folder: &Path, about: &Value) -> Vec<Output> {
    let children: Vec<Child> = (0..size).map(|rank| start(rank, size, folder, about)).collect();
    children.into_iter().map(|child| child.wait_with_output().unwrap()).collect()
}

/// All of them have succeeded, and none has printed anything of libtorch's.
fn expect_success(outputs: &[Output]) {
    for (rank, output) in outputs.iter().enumerate() {
        let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "rank {rank}: {}\n{text}{errors}", output.status);
        assert!(!errors.contains("[W") && !errors.contains("[E"), "rank {rank} prints: {errors}");
    }
}

/// One process: makes its run, up to step "end" where there is one, and saves it to the folder "RANK"; with "resume" it goes on from that
/// checkpoint; with "kill" the process of this rank ends after its first step as by a power cut.
#[test]
#[ignore = "run by the tests below"]
fn a_process_of_a_world() {
    let read = |name: &str| -> Value { serde_json::from_str(&std::env::var(name).unwrap()).unwrap() };
    let (world, about) = (read("SEED_TEST_WORLD"), read("SEED_TEST_RUN"));
    let folder = PathBuf::from(std::env::var("SEED_TEST_FOLDER").unwrap());
    let number = |name: &str| world[name].as_u64().unwrap() as u32;
    let rank = number("rank");
    // As in a program in C: Rust's own runtime ignores the signal of a connection that is gone.
    // SAFETY: no handler of anybody's is replaced by the default.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    let world = World::join(rank, number("size"), world["address"].as_str().unwrap(), PATIENCE).unwrap();
    let mut run = trainer(&about);
    run.join(Arc::new(world)).unwrap();
    if let Some(checkpoint) = about["resume"].as_str() {
        run.resume(&folder.join(checkpoint)).unwrap();
    }
    let killed = about["kill"].as_u64() == Some(u64::from(rank));
    let steps = about["end"].as_u64();
    let ended = run.run(steps, &CancelToken::new(), |progress| {
        if killed && progress.step == 1 {
            // SAFETY: ends this process, and runs nothing of it.
            unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
        }
        Control::Continue
    });
    if about["kill"].is_null() {
        ended.unwrap();
        run.save(&folder.join(rank.to_string())).unwrap();
    } else {
        let error = ended.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
        assert!(error.message().contains(&format!("rank {rank} of 3 has lost the other processes")), "{error}");
        // The world is broken, and says the same at once.
        let again = run.run(None, &CancelToken::new(), |_| Control::Continue).unwrap_err();
        assert_eq!(again.message(), error.message());
    }
}

/// Processes of these numbers against one that makes whole batches: their students within 1e-5, their queues the same bits.
fn same_as_one_process(sizes: &[u32], about: &Value) {
    let mut whole = trainer(about);
    let folder = tempfile::tempdir().unwrap();
    whole.save(&folder.path().join("start")).unwrap();
    assert_eq!(whole.run(None, &CancelToken::new(), |_| Control::Continue).unwrap(), Outcome::Finished);
    whole.save(&folder.path().join("whole")).unwrap();
    let (start, whole) = (saved(&folder.path().join("start")), saved(&folder.path().join("whole")));
    // What is made before the first step, or gone after the last one, stands in one of the two.
    let both = start.iter().filter_map(|(name, before)| Some((before, whole.get(name)?)));
    let learned = both.map(|(before, after)| apart(before, after).0).fold(0.0, f64::max);
    assert!(learned > 1e-3, "the run has hardly changed the student: {learned}");
    for &size in sizes {
        expect_success(&processes(size, folder.path(), about));
        let of_rank = |rank: u32| saved(&folder.path().join(rank.to_string()));
        let first = of_rank(0);
        for rank in 1..size {
            assert!(of_rank(rank) == first, "rank {rank} of {size} has another student, velocity or queue than rank 0");
        }
        assert!(first.keys().eq(whole.keys()));
        for (part, found) in &first {
            let (far, most) = apart(found, &whole[part]);
            assert!(far < 1e-5 * most.max(1.0), "{size} processes, part {part}: {far} of {most}");
        }
    }
}

#[test]
fn two_and_three_processes_are_one_of_the_whole_batch() {
    same_as_one_process(&[2, 3], &json!({ "student": "vit_small_patch16", "settings": { "steps": 3 } }));
}

#[test]
fn so_they_are_with_small_views_pieces_clipping_and_a_broken_image() {
    let images = tempfile::tempdir().unwrap();
    for image in 0..7u32 {
        let pixels = pixels(image);
        image::save_buffer(images.path().join(format!("{image}.png")), &pixels, 40, 40, image::ExtendedColorType::L8)
            .unwrap();
    }
    // Shown by the next sound one, whichever process comes by it.
    std::fs::write(images.path().join("3b.png"), "no image").unwrap();
    let settings = json!({
        "batch_norm": "running", "small.count": 2, "small.size": 32, "batch_size": 8, "accumulation_steps": 2, "clip_norm": 0.5,
        "queue.fill": "dataset",
    });
    let images = images.path().to_str().unwrap();
    same_as_one_process(&[2], &json!({ "student": "resnet10", "settings": settings, "images": images }));
}

#[test]
fn so_they_are_with_the_other_methods_that_processes_share() {
    for method in ["l2", "binary_contrastive"] {
        let settings = json!({ "batch_norm": "running", "method": method, "steps": 3 });
        same_as_one_process(&[2], &json!({ "student": "resnet10", "settings": settings }));
    }
}

#[test]
fn so_they_are_with_standardised_targets_patches_and_the_mean_of_the_students() {
    let settings = json!({ "batch_norm": "running", "targets.standardise": "centre", "student.average": 0.5, "patch.weight": 1.0, "patch.stride": 8, "steps": 3 });
    same_as_one_process(&[2], &json!({ "student": "resnet10", "settings": settings }));
}

#[test]
fn a_resumed_run_of_two_processes_is_the_same_run() {
    let (whole, halves) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let settings = json!({ "batch_norm": "running", "checkpoint_every": 2 });
    let about = json!({ "student": "resnet10", "settings": settings });
    expect_success(&processes(2, whole.path(), &about));

    let mut first = about.clone();
    first["settings"]["checkpoint_path"] = json!(halves.path().join("half").to_str().unwrap());
    first["end"] = json!(2);
    expect_success(&processes(2, halves.path(), &first));
    let mut second = about;
    second["resume"] = json!("half");
    expect_success(&processes(2, halves.path(), &second));
    for rank in ["0", "1"] {
        assert!(saved(&halves.path().join(rank)) == saved(&whole.path().join(rank)), "rank {rank} differs");
    }
}

#[test]
fn a_killed_process_ends_the_others_with_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let settings = json!({ "batch_norm": "running", "steps": 1000 });
    let outputs = processes(3, folder.path(), &json!({ "student": "resnet10", "settings": settings, "kill": 1 }));
    assert!(!outputs[1].status.success(), "it was killed");
    expect_success(&outputs[..1]);
    expect_success(&outputs[2..]);
}

/// Worlds of `size` threads, each of which does `each`; what they give, by their ranks.
fn threads<T: Send>(size: u32, each: impl Fn(Arc<World>) -> T + Sync) -> Vec<T> {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("file:{}", folder.path().join("address").display());
    std::thread::scope(|scope| {
        let join = |rank| {
            let (address, each) = (&address, &each);
            scope.spawn(move || each(Arc::new(World::join(rank, size, address, PATIENCE).unwrap())))
        };
        let threads: Vec<_> = (0..size).map(join).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn small_run(world: &Arc<World>, config: Config) -> Distillation {
    let mut run = trainer_of(config, "resnet10", dataset(None));
    run.join(Arc::clone(world)).unwrap();
    run
}

#[test]
fn runs_that_differ_are_refused_on_all_processes_with_what_differs() {
    type Change = fn(&mut Config);
    let differing: [(&str, Change); 4] = [
        ("setting seed is 9 on rank 2, but", |config| config.seed = 9),
        ("setting temperature_teacher is 0.5 on rank 2, but", |config| config.temperature_teacher = 0.5),
        ("the last step of the call is 3 on rank 2, but 4", |config| config.steps = 3),
        ("setting queue_capacity is 20 on rank 2, but 10", |config| config.queue_capacity = 20),
    ];
    for error in threads(3, |world| {
        differing.map(|(what, change)| {
            let mut config = config();
            if world.rank() == 2 {
                change(&mut config);
            }
            let error = small_run(&world, config).run(None, &CancelToken::new(), |_| Control::Continue).unwrap_err();
            (what, error)
        })
    })
    .into_iter()
    .flatten()
    {
        let (what, error) = error;
        assert_eq!(error.kind(), ErrorKind::Mismatch, "{error}");
        assert!(error.message().contains(what), "{what}: {error}");
    }
    // Other weights of the same network, and other images.
    for error in threads(2, |world| {
        let images = dataset(None);
        if world.rank() == 1 {
            images.push("one more", &FrameView::new(&[7; 64], 8, 8, 8, PixelFormat::Mono8).unwrap()).unwrap();
        }
        let mut config = config();
        config.steps = 4;
        let mut run = trainer_of(config, "resnet10", images);
        run.join(Arc::clone(&world)).unwrap();
        let images = run.run(None, &CancelToken::new(), |_| Control::Continue).unwrap_err();
        let mut run = trainer_of(self::config(), "resnet10", dataset(None));
        if world.rank() == 1 {
            run.run(Some(1), &CancelToken::new(), |_| Control::Continue).unwrap();
            run = {
                let student = Arc::clone(run.student());
                let head = Head::Projection { hidden: 0, dim: DIM };
                let teacher = Network::new(Architecture::parse("resnet10").unwrap(), head, 2, Device::Cpu).unwrap();
                let teacher = Arc::new(Teacher::new(teacher).unwrap());
                Distillation::new(self::config(), student, teacher, None, Some(dataset(None))).unwrap()
            };
        }
        run.join(Arc::clone(&world)).unwrap();
        [images, run.run(None, &CancelToken::new(), |_| Control::Continue).unwrap_err()]
    }) {
        let [images, weights] = error;
        assert!(images.message().contains("the number of images is 12 on rank 1, but 11 on rank 0"), "{images}");
        assert!(weights.message().contains("the hash of the student's weights is"), "{weights}");
    }
}

#[test]
fn what_one_process_wants_or_fails_by_all_do_at_the_same_step() {
    let folder = tempfile::tempdir().unwrap();
    let is_no_folder = folder.path().join("file");
    std::fs::write(&is_no_folder, "").unwrap();
    let found = threads(2, |world| {
        // An observer that stops on rank 1, at the second step.
        let mut run = small_run(&world, config());
        let stops = |progress: &seed::train::Progress| match (world.rank(), progress.step) {
            (1, 2) => Control::Stop,
            _ => Control::Continue,
        };
        let stopped = (run.run(None, &CancelToken::new(), stops).unwrap(), run.step());
        // The same run goes on, to its end.
        let finished = (run.run(None, &CancelToken::new(), |_| Control::Continue).unwrap(), run.step());
        // Before the first step.
        let mut run = small_run(&world, config());
        let token = CancelToken::new();
        if world.rank() == 1 {
            token.trigger();
        }
        let cancelled = (run.run(None, &token, |_| Control::Continue).unwrap(), run.step());
        // A checkpoint that only rank 0 would write, and cannot.
        let mut config = config();
        config.checkpoint_path = is_no_folder.join("checkpoint").to_str().unwrap().to_owned();
        config.checkpoint_every = 1;
        let mut run = small_run(&world, config);
        let failed = (run.run(None, &CancelToken::new(), |_| Control::Continue).unwrap_err(), run.step());
        (stopped, finished, cancelled, failed)
    });
    for (rank, (stopped, finished, cancelled, (error, step))) in found.into_iter().enumerate() {
        assert_eq!(stopped, (Outcome::Cancelled, 2), "rank {rank}");
        assert_eq!(finished, (Outcome::Finished, 4), "rank {rank}");
        assert_eq!(cancelled, (Outcome::Cancelled, 0), "rank {rank}");
        assert_eq!((error.kind(), step), (ErrorKind::Io, 1), "rank {rank}: {error}");
        assert_eq!(
            error.message().starts_with("rank 0 has failed, which ends the call on all: "),
            rank == 1,
            "{error}"
        );
    }
}

#[test]
fn between_two_calls_students_and_images_may_not_come_apart() {
    for error in threads(2, |world| {
        let images = dataset(None);
        let mut run = trainer_of(config(), "resnet10", Arc::clone(&images));
        run.join(Arc::clone(&world)).unwrap();
        let go_on = |run: &mut Distillation| run.run(Some(1), &CancelToken::new(), |_| Control::Continue);
        assert_eq!(go_on(&mut run).unwrap(), Outcome::Paused);
        // On one process a number of the student changes, then its images do.
        let student = Arc::clone(run.student());
        let weight = || student.lock().unwrap().parameters()[0].1.select(0, 0);
        let kept = seed::world::host_copy(&weight()).unwrap();
        if world.rank() == 1 {
            seed::world::put_back(&weight(), &(&kept + 1.0)).unwrap();
        }
        let weights = go_on(&mut run).unwrap_err();
        seed::world::put_back(&weight(), &kept).unwrap();
        assert_eq!(go_on(&mut run).unwrap(), Outcome::Paused);
        if world.rank() == 1 {
            images.push("one more", &FrameView::new(&[7; 64], 8, 8, 8, PixelFormat::Mono8).unwrap()).unwrap();
        }
        (weights, go_on(&mut run).unwrap_err())
    }) {
        let (weights, images) = error;
        assert!(weights.message().contains("the hash of the student's weights is"), "{weights}");
        assert!(images.message().contains("the number of images is 12 on rank 1, but 11"), "{images}");
    }
}

#[test]
fn images_that_one_process_cannot_read_are_an_error_on_all_and_both_can_call_again() {
    let folder = tempfile::tempdir().unwrap();
    for rank in ["0", "1"] {
        std::fs::create_dir(folder.path().join(rank)).unwrap();
    }
    for image in 0..8u32 {
        let path = folder.path().join("0").join(format!("{image}.png"));
        let pixels = pixels(image);
        image::save_buffer(&path, &pixels, 40, 40, image::ExtendedColorType::L8).unwrap();
        // The same name and length, and no image.
        let length = std::fs::metadata(&path).unwrap().len() as usize;
        std::fs::write(folder.path().join("1").join(format!("{image}.png")), vec![0; length]).unwrap();
    }
    for (rank, (first, second, step)) in threads(2, |world| {
        let images = dataset(Some(&folder.path().join(world.rank().to_string())));
        let mut run = trainer_of(config(), "resnet10", images);
        run.join(Arc::clone(&world)).unwrap();
        let mut call = || run.run(None, &CancelToken::new(), |_| Control::Continue).unwrap_err();
        (call(), call(), run.step())
    })
    .into_iter()
    .enumerate()
    {
        assert_eq!(step, 0);
        for error in [first, second] {
            assert_eq!(error.message().contains("rank 1 has failed, which ends the call on all"), rank == 0, "{error}");
            assert!(!error.message().contains("lost the other processes"), "{error}");
        }
    }
}

#[test]
fn a_run_whose_world_has_broken_joins_another() {
    // Rank 1 leaves at once, so rank 0 loses it.
    let mut lost = threads(2, |world| {
        (world.rank() == 0).then(|| {
            let mut run = small_run(&world, config());
            assert!(run.join(Arc::clone(&world)).is_err(), "it has a world");
            run.run(None, &CancelToken::new(), |_| Control::Continue).unwrap_err();
            run
        })
    });
    let kept = Mutex::new(lost.remove(0));
    let ends = threads(2, |world| {
        let mut run = match world.rank() {
            0 => kept.lock().unwrap().take().unwrap(),
            _ => trainer_of(config(), "resnet10", dataset(None)),
        };
        run.join(world).unwrap();
        run.run(None, &CancelToken::new(), |_| Control::Continue).unwrap()
    });
    assert_eq!(ends, [Outcome::Finished; 2]);
}

#[test]
fn rank_0_alone_looks_and_at_the_end_all_have_its_student() {
    let images = || {
        let dataset = Dataset::in_memory();
        for image in 0..40u32 {
            let pixels = pixels(image);
            let view = FrameView::new(&pixels, 40, 40, 40, PixelFormat::Mono8).unwrap();
            dataset.push(&image.to_string(), &view).unwrap();
        }
        Arc::new(dataset)
    };
    let tensors = |run: &Distillation| run.student().lock().unwrap().to_state().unwrap();
    let found = threads(2, |world| {
        let mut config = config();
        config.set_int("probe.images", 30).unwrap();
        config.set_int("probe.keep_best", 1).unwrap();
        let mut run = trainer_of(config, "resnet10", images());
        run.join(world).unwrap();
        assert_eq!(run.run(Some(2), &CancelToken::new(), |_| Control::Continue).unwrap(), Outcome::Paused);
        let half = tensors(&run);
        assert_eq!(run.run(None, &CancelToken::new(), |_| Control::Continue).unwrap(), Outcome::Finished);
        (half, tensors(&run), run.looks().is_some())
    });
    let [(half, end, looked), (other_half, other_end, other_looked)] = <[_; 2]>::try_from(found).ok().unwrap();
    assert!(half != other_half, "statistics of batch norm are of each process's own share");
    assert!(end == other_end, "the students differ at the end");
    assert!(looked && !other_looked);
}

#[test]
fn a_pause_of_one_process_pauses_all() {
    let (pauses, paused) = mpsc::channel();
    let token = CancelToken::new();
    let steps = Mutex::new([0u64; 2]);
    std::thread::scope(|scope| {
        let worlds = scope.spawn(|| {
            threads(2, |world| {
                let rank = world.rank() as usize;
                let own = if rank == 1 { token.clone() } else { CancelToken::new() };
                small_run(&world, config())
                    .run(None, &own, |progress| {
                        steps.lock().unwrap()[rank] = progress.step;
                        if rank == 1 && progress.step == 2 {
                            token.pause();
                            pauses.send(()).unwrap();
                        }
                        Control::Continue
                    })
                    .unwrap()
            })
        });
        paused.recv().unwrap();
        std::thread::sleep(Duration::from_millis(500));
        let made = *steps.lock().unwrap();
        token.resume();
        assert!(made.iter().all(|step| *step <= 2), "{made:?} while one was paused");
        assert_eq!(worlds.join().unwrap(), [Outcome::Finished; 2]);
    });
}

#[test]
fn a_process_that_does_not_answer_is_an_error_after_the_timeout() {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("file:{}", folder.path().join("address").display());
    let (over, waits) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let address = &address;
        scope.spawn(move || {
            let _silent = World::join(1, 2, address, PATIENCE).unwrap();
            _ = waits.recv();
        });
        let world = Arc::new(World::join(0, 2, address, IMPATIENCE).unwrap());
        let error = small_run(&world, config()).run(None, &CancelToken::new(), |_| Control::Continue).unwrap_err();
        drop(over);
        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
        assert!(error.message().contains("rank 0 of 2 has lost the other processes after"), "{error}");
        assert!(error.message().contains("(timeout 10 s)"), "{error}");
    });
    // One that leaves without a word.
    let errors = threads(2, |world| {
        if world.rank() == 1 {
            return None;
        }
        Some(small_run(&world, config()).run(None, &CancelToken::new(), |_| Control::Continue).unwrap_err())
    });
    assert!(
        errors[0].as_ref().is_some_and(|error| error.message().contains("has lost the other processes")),
        "{errors:?}"
    );
    // One that never comes.
    let error = World::join(0, 2, &address, IMPATIENCE).unwrap_err();
    assert!(error.message().contains("rank 0 of 2 waited for rank 1 to join"), "{error}");
    assert!(!folder.path().join("address").exists(), "the file of a world that came to nothing");
    let error = World::join(1, 2, &address, Duration::from_millis(200)).unwrap_err();
    assert!(error.message().contains("rank 1 of 2 cannot reach rank 0"), "{error}");
}

/// What this process has open: files and threads.
fn open() -> (usize, usize) {
    let count = |folder: &str| std::fs::read_dir(folder).unwrap().count();
    (count("/proc/self/fd"), count("/proc/self/task"))
}

#[test]
fn worlds_leave_no_files_and_threads_behind() {
    let output = alone::command(module_path!(), "many_worlds").output().unwrap();
    expect_success(std::slice::from_ref(&output));
}

#[test]
#[ignore = "run by the test above"]
fn many_worlds() {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("file:{}", folder.path().join("address").display());
    let use_some = || {
        drop(World::join(0, 1, &address, PATIENCE).unwrap());
        World::join(0, 2, &address, Duration::from_millis(30)).unwrap_err();
        World::join(1, 2, &address, Duration::from_millis(30)).unwrap_err();
        World::join(0, 2, "127.0.0.1:1", Duration::from_millis(30)).unwrap_err();
    };
    (0..3).for_each(|_| use_some());
    let before = open();
    (0..12).for_each(|_| use_some());
    // The system may count a thread for a moment after it was waited for.
    let mut after = open();
    for _ in 0..100 {
        if after.0 <= before.0 && after.1 <= before.1 {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
        after = open();
    }
    panic!("{after:?} files and threads, {before:?} before");
}

#[test]
fn what_cannot_be_joined_is_refused() {
    let refused = |rank, size, address: &str, kind: ErrorKind, words: &str| {
        let error = World::join(rank, size, address, Duration::from_millis(300)).unwrap_err();
        assert!(error.kind() == kind && error.message().contains(words), "{error}");
    };
    refused(0, 0, "127.0.0.1:1", ErrorKind::InvalidArgument, "a world of 0 processes");
    refused(2, 2, "127.0.0.1:1", ErrorKind::InvalidArgument, "rank 2 of 2 processes, expected 0 to 1");
    refused(0, 2, "127.0.0.1", ErrorKind::InvalidArgument, "has no port");
    refused(0, 2, "0.0.0.0:29501", ErrorKind::InvalidArgument, "means every address");
    // An address that is kept for examples, so nobody's (RFC 5737).
    refused(0, 2, "192.0.2.1:29501", ErrorKind::Io, "is not an address of this machine");
    refused(1, 2, "host.invalid:29501", ErrorKind::Io, "there is no host");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    refused(0, 2, &taken.local_addr().unwrap().to_string(), ErrorKind::Io, "another program has this port");
    // Nobody listens there, and no test is given this port.
    refused(1, 2, "127.0.0.1:1", ErrorKind::Io, "cannot reach rank 0");
}

/// What three joins at one address give.
fn joins(of: [(u32, u32); 3]) -> [std::result::Result<World, Error>; 3] {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("file:{}", folder.path().join("address").display());
    std::thread::scope(|scope| {
        let join = |(rank, size)| {
            let address = &address;
            scope.spawn(move || World::join(rank, size, address, IMPATIENCE))
        };
        of.map(join).map(|thread| thread.join().unwrap())
    })
}

#[test]
fn sizes_and_ranks_that_contradict_each_other_are_refused() {
    for (rank, joined) in joins([(0, 3), (1, 2), (2, 3)]).into_iter().enumerate() {
        let error = joined.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Mismatch, "rank {rank}: {error}");
        assert!(error.message().contains("says that there are"), "{error}");
    }
    let twice = joins([(0, 3), (1, 3), (1, 3)]);
    let said = twice.iter().filter(|joined| {
        joined.as_ref().is_err_and(|error| {
            error.message().contains("rank 1 has joined") && error.kind() == ErrorKind::InvalidArgument
        })
    });
    assert_eq!(said.count(), 1, "{twice:?}");
    assert!(twice.iter().all(std::result::Result::is_err), "rank 2 is missing");
}

#[test]
fn what_processes_cannot_share_is_refused_with_the_reason() {
    let of_method = |method: MethodName, batch: u64| {
        let mut config = config();
        (config.method, config.batch_size) = (method, batch);
        config.batch_norm = BatchNorm::Batch;
        trainer_of(config, "resnet10", dataset(None))
    };
    let found = threads(2, |world| {
        let refused = [MethodName::KMeans, MethodName::OnlineClustering, MethodName::SeedMoco];
        let refused = refused.map(|method| of_method(method, 6).join(Arc::clone(&world)).unwrap_err());
        let odd = of_method(MethodName::Seed, 5).join(Arc::clone(&world)).unwrap_err();
        let mut twice = of_method(MethodName::L2, 6);
        twice.join(Arc::clone(&world)).unwrap();
        let own = twice.step_on(&[(*dataset(None).load(0).unwrap()).clone()]).unwrap_err();
        let mixed = Config { mixup: 0.5, ..config() };
        let mixed = trainer_of(mixed, "resnet10", dataset(None)).join(Arc::clone(&world)).unwrap_err();
        (refused, odd, twice.join(world).unwrap_err(), own, mixed)
    });
    for (refused, odd, twice, own, mixed) in found {
        for error in refused {
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.message().contains("is not made by several processes"), "{error}");
        }
        assert!(mixed.kind() == ErrorKind::Unsupported && mixed.message().contains("mixup is 0.5"), "{mixed}");
        assert!(odd.message().contains("batch_size is 5, which 2 processes cannot share evenly"), "{odd}");
        assert_eq!((twice.kind(), own.kind()), (ErrorKind::InvalidArgument, ErrorKind::Unsupported));
    }
}
