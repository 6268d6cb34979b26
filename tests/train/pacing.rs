//! What every long call keeps: nobody waits for a teacher, `nice` and `duty_cycle` hold, and a cancel ends a rest.

use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use seed::config::{Config, Precision, QueueFill};
use seed::data::{Dataset, Frame, Input};
use seed::infer::{AnomalyDetector, Session, SessionOptions};
use seed::model::{Application, ApplicationOptions, Architecture, BatchFormat, Head, Network, Teacher};
use seed::train::shared::with_lock;
use seed::train::{CancelToken, Control, Distillation, Outcome, fill_bank};
use tch::{Device, Tensor};

const DIM: i64 = 6;

fn dataset(images: usize) -> Arc<Dataset> {
    let dataset = Dataset::in_memory();
    for image in 0..images {
        let pixels = (0..32 * 32).map(|i| (i / (1 + image % 5) * (image + 3) % 251) as u8).collect();
        dataset.push_frame(&image.to_string(), Frame::new(32, 32, 1, pixels).unwrap()).unwrap();
    }
    Arc::new(dataset)
}

fn config() -> Config {
    let mut config = Config {
        batch_size: 4,
        steps: 3,
        queue_capacity: 8,
        embedding_dim: DIM as u64,
        progress_every: 1,
        device: "cpu".to_owned(),
        precision: Precision::Fp32,
        queue_fill: QueueFill::Noise,
        ..Config::default()
    };
    (config.view.input.width, config.view.input.height, config.probe.images) = (32, 32, 0);
    config
}

/// A teacher that asks `before` at each call.
fn teacher(before: impl Fn() + Send + Sync + 'static) -> Arc<Teacher> {
    let embed = move |images: &Tensor, embeddings: &Tensor| {
        before();
        let of_image = images.view([images.size()[0], -1]).narrow(1, 0, DIM) + 0.1;
        embeddings.shallow_clone().copy_(&of_image);
        Ok(())
    };
    let (mean, std) = (config().view.input.mean, config().view.input.std);
    let (format, at, device) = (BatchFormat::FloatNchw, Device::Cpu, Device::Cpu);
    let options = ApplicationOptions { dim: DIM, identity: "an engine".to_owned(), format, at, device, mean, std };
    Arc::new(Teacher::from_embedder(Application::new(Box::new(embed), options).unwrap()))
}

fn student() -> Network {
    let head = Head::Projection { hidden: 0, dim: DIM };
    Network::new(Architecture::ResNet10, head, 1, Device::Cpu).unwrap()
}

/// The nice value of this thread.
fn nice() -> i32 {
    // SAFETY: plain numbers; 0 is the calling thread.
    unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
}

#[test]
fn nobody_waits_for_a_teacher() {
    let (asked, is_asked): (Sender<()>, Receiver<()>) = channel();
    let (answer, may_answer) = channel();
    let may_answer = Mutex::new(may_answer);
    let teacher = teacher(move || {
        asked.send(()).unwrap();
        // It thinks until the session below is there: were the student locked meanwhile, neither would come to an end.
        may_answer.lock().unwrap().recv_timeout(Duration::from_secs(60)).expect("the student was locked");
    });
    let shared = Arc::new(Mutex::new(student()));
    let mut run = Distillation::new(config(), Arc::clone(&shared), teacher, None, Some(dataset(8))).unwrap();
    std::thread::scope(|scope| {
        let running = scope.spawn(|| run.run(None, &CancelToken::new(), |_| Control::Continue).unwrap());
        for _ in 0..3 {
            is_asked.recv_timeout(Duration::from_secs(60)).unwrap();
            let input = config().view.input;
            with_lock(&shared, |student| Session::new(student, &input, SessionOptions::default())).unwrap();
            answer.send(()).unwrap();
        }
        assert_eq!(running.join().unwrap(), Outcome::Finished);
    });
}

#[test]
fn a_bank_is_filled_with_the_nice_value_of_its_configuration() {
    let seen = Arc::new(AtomicI32::new(-100));
    let teacher = teacher({
        let seen = Arc::clone(&seen);
        move || seen.store(nice(), Ordering::Relaxed)
    });
    let (folder, before, caller) = (tempfile::tempdir().unwrap(), nice(), std::thread::current().id());
    let config = Config { view_count: 2, nice: 7, ..config() };
    let observe = |_: &seed::train::BankProgress| {
        assert_eq!(std::thread::current().id(), caller);
        Control::Continue
    };
    let filled =
        fill_bank(&folder.path().join("bank"), &config, &teacher, &dataset(8), None, &CancelToken::new(), observe);
    assert_eq!(filled.unwrap(), Outcome::Finished);
    assert_eq!((seen.load(Ordering::Relaxed), nice()), (before.max(7), before));
}

#[test]
fn a_rest_of_the_filling_is_cut_short_by_a_cancel() {
    let calls = Arc::new(AtomicUsize::new(0));
    let teacher = teacher({
        let calls = Arc::clone(&calls);
        move || {
            calls.fetch_add(1, Ordering::Relaxed);
            // So that a rest is longer than the test.
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let config = Config { view_count: 4, duty_cycle: 0.01, batch_size: 64, ..config() };
    let cancel = CancelToken::new();
    let filled = std::thread::scope(|scope| {
        let filling = scope.spawn(|| {
            let path = folder.path().join("bank");
            fill_bank(&path, &config, &teacher, &dataset(64), None, &cancel, |_| Control::Continue).unwrap()
        });
        while calls.load(Ordering::Relaxed) == 0 {
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_millis(400));
        cancel.trigger();
        filling.join().unwrap()
    });
    assert_eq!(filled, Outcome::Cancelled);
    assert_eq!(calls.load(Ordering::Relaxed), 1, "there was no rest after the first chunk");
}

#[test]
fn good_parts_are_learned_in_the_background_with_the_same_result() {
    let caller = std::thread::current().id();
    let view = Input { width: 32, height: 32, ..Input::default() };
    for kind in ["patchcore", "stfpm"] {
        let mut files = Vec::new();
        for (nice, duty_cycle) in [(0, 1.0), (7, 0.7)] {
            let mut config = Config { nice, duty_cycle, ..config() };
            config.set_string("anomaly.kind", kind).unwrap();
            config.anomaly.layers = "layer1".to_owned();
            (config.anomaly.epochs, config.anomaly.batch_size, config.anomaly.held_out) = (2, 4, 0.25);
            let mut told = |_: usize, _: usize| {
                assert_eq!(std::thread::current().id(), caller);
                true
            };
            let options = SessionOptions::default();
            let detector = AnomalyDetector::fit(&student(), &view, &config, options, &dataset(16), &mut told).unwrap();
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("detector.safetensors");
            detector.save(&path).unwrap();
            files.push(std::fs::read(&path).unwrap());
        }
        assert!(files[0] == files[1], "{kind}: the pace changes what is learned");
    }
}
