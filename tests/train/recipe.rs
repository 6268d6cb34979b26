//! Presets, the plan, the probe of a run, and the one call from frames to a student.

use std::path::Path;
use std::sync::{Arc, Mutex};

use seed::config::Config;
use seed::data::{Dataset, Frame};
use seed::model::student_file::{StudentHeader, save_student};
use seed::model::{Architecture, Head, Network, Teacher};
use seed::recipe::{Plan, Progress, Request, Stage, Wish, distil};
use seed::train::{CancelToken, Control, Distillation, Outcome};
use tch::Device;

/// `count` frames of stripes, in two folders: upright ones of several widths, and level ones.
fn frames(count: usize) -> Arc<Dataset> {
    let dataset = Dataset::in_memory();
    for i in 0..count {
        let (width, level) = (3 + i % 7, i % 2 == 1);
        let value = |x: usize, y: usize| {
            if (if level { y } else { x } + i / 2) / width % 2 == 0 { 40 + (i % 100) as u8 } else { 200 }
        };
        let pixels = (0..40 * 40).map(|p| value(p % 40, p / 40)).collect();
        let name = format!("{}/{i:03}.png", if level { "level" } else { "upright" });
        dataset.push_frame(&name, Frame::new(40, 40, 1, pixels).unwrap()).unwrap();
    }
    Arc::new(dataset)
}

fn teacher(seed: u64) -> Arc<Teacher> {
    let network =
        Network::new(Architecture::MobileNetV3Small, Head::Projection { hidden: 0, dim: 24 }, seed, Device::Cpu);
    Arc::new(Teacher::new(network.unwrap()).unwrap())
}

fn config() -> Config {
    let mut config = Config::default();
    for (key, value) in [("image_width", 32), ("image_height", 32), ("batch_size", 8), ("workers", 1)] {
        config.set_int(key, value).unwrap();
    }
    config.set_string("device", "cpu").unwrap();
    config.set_string("precision", "fp32").unwrap();
    config
}

fn request(folder: &Path, seconds: f64) -> Request {
    Request {
        dataset: frames(64),
        teacher: teacher(1),
        architecture: Architecture::MobileNetV3Small,
        weights: None,
        seconds,
        folder: folder.to_owned(),
        config: config(),
    }
}

fn go_on(_: &Progress) -> Control {
    Control::Continue
}

#[test]
fn one_call_gives_a_student_and_a_report() {
    let folder = tempfile::tempdir().unwrap();
    let mut stages = Vec::new();
    let request = request(folder.path(), 3.0);
    let distilled = distil(&request, &CancelToken::default(), |progress| {
        if stages.last() != Some(&progress.stage) {
            stages.push(progress.stage);
        }
        Control::Continue
    })
    .unwrap();
    assert_eq!(distilled.outcome, Outcome::Finished);
    assert_eq!(stages.first(), Some(&Stage::Plan));
    assert_eq!(stages.last(), Some(&Stage::Report));
    let figures = distilled.figures.unwrap();
    assert_eq!((figures.images, figures.classes), (64, 2));
    let looks = distilled.looks.unwrap();
    assert!(looks.images == 64 && !looks.held_out && looks.last.agreement >= looks.start.agreement, "{looks:?}");
    // The student that is kept is the best that was seen.
    assert_eq!(looks.last.agreement, looks.best.agreement);

    let (network, header) =
        seed::model::student_file::load_student(&folder.path().join("student.safetensors")).unwrap();
    // Nobody said how wide the embedding is: it is the teacher's.
    assert_eq!(network.output_dim(), 24);
    assert_eq!((header.input.width, header.input.height), (32, 32));
    let probe = &header.provenance["distillation"]["probe"];
    assert_eq!(probe["last"]["agreement"].as_f64().unwrap(), looks.last.agreement);
    let page = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
    assert!(page.contains("balanced 10-NN recall") && page.contains("How the settings were chosen"));
    assert!(!folder.path().join("work").exists(), "what lies over is removed");
}

#[test]
fn a_cancelled_call_is_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let mut request = request(folder.path(), 4.0);
    let stop = |stage: Stage, done: u64| {
        move |progress: &Progress| {
            if progress.stage == stage && progress.done >= done { Control::Stop } else { Control::Continue }
        }
    };
    let first = distil(&request, &CancelToken::default(), stop(Stage::Distil, 3)).unwrap();
    assert_eq!(first.outcome, Outcome::Cancelled);
    assert!(first.figures.is_none() && !folder.path().join("student.safetensors").exists());
    let plan = std::fs::read_to_string(folder.path().join("work/plan.json")).unwrap();

    // Work of another run is not thrown away by a slip.
    let own = std::mem::replace(&mut request.teacher, teacher(2));
    let error = distil(&request, &CancelToken::default(), go_on).err().unwrap();
    assert!(error.message().contains("another run"), "{error}");
    request.teacher = own;

    let mut first_step = None;
    let second = distil(&request, &CancelToken::default(), |progress| {
        if progress.stage == Stage::Distil {
            first_step.get_or_insert(progress.done);
        }
        Control::Continue
    })
    .unwrap();
    assert_eq!(second.outcome, Outcome::Finished);
    assert!(first_step.unwrap() >= 3, "{first_step:?}");
    assert_eq!(second.config.epochs, serde_json::from_str::<serde_json::Value>(&plan).unwrap()["settings"]["epochs"]);
}

#[test]
fn a_student_with_the_teachers_weights_begins_as_its_teacher() {
    let folder = tempfile::tempdir().unwrap();
    let weights = folder.path().join("weights.safetensors");
    let network = || Network::new(Architecture::ResNet10, Head::None, 3, Device::Cpu).unwrap();
    save_student(&weights, &network(), &StudentHeader::new(&network(), &config().view.input)).unwrap();
    let mut request = request(&folder.path().join("out"), 2.0);
    request.teacher = Arc::new(Teacher::new(network()).unwrap());
    (request.architecture, request.weights) = (Architecture::ResNet10, Some(weights));
    // Over a bank of a single view too, the probe asks the teacher about the frames themselves.
    request.config.set_int("view_count", 1).unwrap();
    let distilled = distil(&request, &CancelToken::default(), go_on).unwrap();
    // By a head at random a third of the neighbours would be the teacher's.
    let looks = distilled.looks.unwrap();
    assert!(looks.start.agreement > 0.9 && looks.last.agreement >= looks.start.agreement, "{looks:?}");
    assert_eq!(distilled.config.batch_norm, seed::config::BatchNorm::Running);
}

#[test]
fn the_first_line_comes_before_any_work_and_a_token_stops_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let token = CancelToken::default();
    token.trigger();
    let mut lines = 0;
    let distilled = distil(&request(folder.path(), 60.0), &token, |_| {
        lines += 1;
        Control::Continue
    })
    .unwrap();
    assert_eq!((distilled.outcome, lines), (Outcome::Cancelled, 1));
}

#[test]
fn a_plan_keeps_what_the_caller_has_set() {
    let (dataset, teacher) = (frames(64), teacher(1));
    let wish = Wish { architecture: Architecture::MobileNetV3Small, from_weights: false, seconds: 20.0 };
    let mut given = config();
    given.set_float("learning_rate", 0.011).unwrap();
    given.set_int("view_count", 3).unwrap();
    let plan = Plan::new(&given, &dataset, &teacher, &wish).unwrap();
    assert!(plan.bank && plan.config.view_count == 3);
    assert_eq!((plan.config.learning_rate, plan.config.view.input.width, plan.config.batch_size), (0.011, 32, 8));
    // The preset's, and as many rows as there are images.
    assert_eq!((plan.config.temperature_student, plan.config.queue_capacity), (0.1, 64));
    assert!(plan.config.epochs > 1 && !plan.reasons.is_empty());
    let more = Plan::new(&given, &dataset, &teacher, &Wish { seconds: 80.0, ..wish }).unwrap();
    assert!(more.config.epochs > plan.config.epochs, "{} {}", more.config.epochs, plan.config.epochs);
    // A range that was not measured is told as that, not as frames that cannot be read.
    let mut unmeasured = given.clone();
    unmeasured.set_string("range", "dataset").unwrap();
    let error = Plan::new(&unmeasured, &dataset, &teacher, &wish).unwrap_err();
    assert!(error.kind() == seed::ErrorKind::InvalidArgument && error.message().contains("measured"), "{error}");
    for seconds in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(Plan::new(&given, &dataset, &teacher, &Wish { seconds, ..wish }).is_err());
    }
    let empty = Arc::new(Dataset::in_memory());
    assert!(Plan::new(&given, &empty, &teacher, &wish).is_err());
}

/// A run at a rate that ruins the student.
fn ruinous(keep_best: i64) -> (Distillation, Arc<Mutex<Network>>) {
    let mut config = config();
    config.preset("site").unwrap();
    for (key, value) in [
        ("image_width", 32),
        ("image_height", 32),
        ("batch_size", 8),
        ("steps", 40),
        ("view_count", 0),
        ("warmup_steps", 0),
    ] {
        config.set_int(key, value).unwrap();
    }
    config.set_int("probe.keep_best", keep_best).unwrap();
    config.set_float("learning_rate", 300.0).unwrap();
    let network = Network::new(Architecture::ResNet10, Head::None, 5, Device::Cpu).unwrap();
    let student = Arc::new(Mutex::new(network));
    let run = Distillation::new(config, Arc::clone(&student), teacher(1), None, Some(frames(64))).unwrap();
    (run, student)
}

#[test]
fn a_run_that_makes_it_worse_says_so_and_the_better_student_is_kept() {
    let (mut run, student) = ruinous(1);
    let before = student.lock().unwrap().to_state().unwrap();
    match run.run(None, &CancelToken::default(), |_| Control::Continue) {
        Ok(_) => {}
        // A rate like this may end in numbers that are none, which is an error of its own.
        Err(error) => return assert!(error.message().contains("diverged"), "{error}"),
    }
    let looks = run.looks().unwrap();
    assert_eq!(looks.last.agreement, looks.best.agreement);
    if looks.best.step == 0 {
        let after = student.lock().unwrap().to_state().unwrap();
        // The run gave it a head; the rest is what it was.
        let same =
            before.iter().all(|(name, tensor)| after.iter().any(|(other, found)| other == name && found == tensor));
        assert!(same, "the student of step 0 is the one that there was");
        // The other one is still at hand, and so is the way back.
        let kept = student.lock().unwrap().to_state().unwrap();
        assert!(run.take_the_other().unwrap());
        assert_eq!(run.looks().unwrap().last.step, run.total_steps());
        assert!(student.lock().unwrap().to_state().unwrap() != kept);
        assert!(run.take_the_other().unwrap());
        assert_eq!(run.looks().unwrap(), looks);
        assert!(student.lock().unwrap().to_state().unwrap() == kept);
    }

    let (mut run, _) = ruinous(0);
    if run.run(None, &CancelToken::default(), |_| Control::Continue).is_ok() {
        let looks = run.looks().unwrap();
        assert_eq!(looks.last.step, run.total_steps(), "the last one is kept where that is asked for");
        assert!(!run.take_the_other().unwrap(), "there is no other");
    }
}

#[test]
fn a_resumed_run_goes_on_with_its_looks_and_its_best() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    let mut config = config();
    for (key, value) in [("steps", 60), ("queue_capacity", 32), ("seed", 3)] {
        config.set_int(key, value).unwrap();
    }
    let make = || {
        let network = Network::new(Architecture::MobileNetV3Small, Head::None, 5, Device::Cpu).unwrap();
        let student = Arc::new(Mutex::new(network));
        let run = Distillation::new(config.clone(), Arc::clone(&student), teacher(1), None, Some(frames(64))).unwrap();
        (run, student)
    };
    let (mut whole, of_whole) = make();
    assert_eq!(whole.run(None, &CancelToken::default(), |_| Control::Continue).unwrap(), Outcome::Finished);
    let (mut first, _) = make();
    assert_eq!(first.run(Some(40), &CancelToken::default(), |_| Control::Continue).unwrap(), Outcome::Paused);
    first.save(&path).unwrap();
    let (mut second, of_second) = make();
    second.resume(&path).unwrap();
    assert_eq!(second.looks(), first.looks());
    assert_eq!(second.run(None, &CancelToken::default(), |_| Control::Continue).unwrap(), Outcome::Finished);
    assert_eq!(second.looks(), whole.looks());
    assert!(of_whole.lock().unwrap().to_state().unwrap() == of_second.lock().unwrap().to_state().unwrap());
}

#[test]
fn held_out_frames_are_never_shown_to_the_student() {
    let mut config = config();
    for (key, value) in [("probe.images", 30), ("epochs", 2), ("queue_capacity", 16)] {
        config.set_int(key, value).unwrap();
    }
    config.set_string("queue.fill", "noise").unwrap();
    let network = Network::new(Architecture::MobileNetV3Small, Head::None, 5, Device::Cpu).unwrap();
    let run = Distillation::new(config, Arc::new(Mutex::new(network)), teacher(1), None, Some(frames(300))).unwrap();
    // 270 of 300 images, twice, in batches of 8.
    assert_eq!(run.total_steps(), 540u64.div_ceil(8));
}

#[test]
fn the_queue_starts_with_the_data_set() {
    let mut config = config();
    for (key, value) in [("probe.images", 0), ("steps", 1), ("queue_capacity", 128)] {
        config.set_int(key, value).unwrap();
    }
    let filled = |fill: &str| {
        let mut config = config.clone();
        config.set_string("queue.fill", fill).unwrap();
        let network = Network::new(Architecture::MobileNetV3Small, Head::None, 5, Device::Cpu).unwrap();
        let mut run =
            Distillation::new(config, Arc::new(Mutex::new(network)), teacher(1), None, Some(frames(64))).unwrap();
        run.run(None, &CancelToken::default(), |_| Control::Continue).unwrap();
        let queue = run.queue().lock().unwrap();
        (queue.len(), queue.capacity())
    };
    // 64 images and the one batch; noise alone leaves that batch.
    assert_eq!(filled("dataset"), (72, 128));
    assert_eq!(filled("noise"), (8, 128));
}
